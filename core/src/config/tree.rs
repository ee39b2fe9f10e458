//! YAML as a tree whose every node knows where it was written.
//!
//! Depth, node count and alias expansion are bounded, so that no file can exhaust the stack or memory.

use std::collections::HashMap;
use std::fmt;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span};
use serde_json::{Map, Number, Value};

use super::{Problem, SourceName};

/// Where a piece of configuration was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    source: SourceName,
    /// Line and column from 1; line 0 for what is not in a file.
    line: usize,
    column: usize,
}

impl Place {
    /// A place that is no file: `--set`, a variable, the defaults.
    #[must_use]
    pub fn nowhere(source: &str) -> Self {
        Self { source: source.into(), line: 0, column: 0 }
    }

    /// The line, from 1; 0 for what is not in a file.
    #[must_use]
    pub const fn line(&self) -> usize {
        self.line
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(&self.source),
            line => write!(f, "{}:{line}:{}", self.source, self.column),
        }
    }
}

/// A value and where it stands.
#[derive(Clone, Debug)]
pub struct Node {
    pub(super) place: Place,
    pub(super) data: Data,
}

#[derive(Clone, Debug)]
pub(super) enum Data {
    /// A value, and whether it was written without quotes (so that a number may still mean a text).
    Scalar(Value, Option<String>),
    List(Vec<Node>),
    Map(Vec<(String, Place, Node)>),
}

/// Deeper nesting is refused; real configurations stay under ten.
const DEPTH_MAX: usize = 64;
/// More nodes than this (aliases counted as often as they are used) are refused.
const NODES_MAX: usize = 200_000;

impl Node {
    /// A map without keys.
    #[must_use]
    pub fn empty_map(place: Place) -> Self {
        Self { place, data: Data::Map(Vec::new()) }
    }

    /// Parses one YAML document; `source` names it in errors. An empty document is an empty map.
    ///
    /// # Errors
    /// At the first place that is not YAML, repeats a key, or goes beyond the bounds.
    pub fn parse(source: &str, text: &str) -> Result<Self, Problem> {
        Builder { source: source.into(), parser: Parser::new_from_str(text), anchors: HashMap::new(), nodes: 0 }
            .document()
    }

    /// A tree of a JSON value, all at one place.
    #[must_use]
    pub fn from_value(place: &Place, value: Value) -> Self {
        let data = match value {
            Value::Array(items) => Data::List(items.into_iter().map(|item| Self::from_value(place, item)).collect()),
            Value::Object(map) => Data::Map(
                map.into_iter().map(|(key, item)| (key, place.clone(), Self::from_value(place, item))).collect(),
            ),
            scalar => Data::Scalar(scalar, None),
        };
        Self { place: place.clone(), data }
    }

    /// The tree as a JSON value, without the places.
    #[must_use]
    pub fn to_value(&self) -> Value {
        match &self.data {
            Data::Scalar(value, _) => value.clone(),
            Data::List(items) => Value::Array(items.iter().map(Self::to_value).collect()),
            Data::Map(entries) => Value::Object(
                entries.iter().map(|(key, _, item)| (key.clone(), item.to_value())).collect::<Map<_, _>>(),
            ),
        }
    }

    /// Where the node stands.
    #[must_use]
    pub const fn place(&self) -> &Place {
        &self.place
    }

    /// The place of a dotted key (list items as numbers), or of the nearest parent that is written down.
    #[must_use]
    pub fn place_of(&self, key: &str) -> &Place {
        let mut node = self;
        for part in key.split('.').filter(|part| !part.is_empty()) {
            let next = match &node.data {
                Data::Map(entries) => entries.iter().find(|(name, ..)| name == part).map(|(.., item)| item),
                Data::List(items) => part.parse::<usize>().ok().and_then(|index| items.get(index)),
                Data::Scalar(..) => None,
            };
            match next {
                Some(found) => node = found,
                None => break,
            }
        }
        &node.place
    }

    pub(super) fn problem(&self, key: &str, message: impl Into<String>) -> Problem {
        Problem { place: self.place.clone(), key: key.to_owned(), message: message.into() }
    }

    fn count(&self) -> usize {
        1 + match &self.data {
            Data::Scalar(..) => 0,
            Data::List(items) => items.iter().map(Self::count).sum(),
            Data::Map(entries) => entries.iter().map(|(.., item)| item.count()).sum(),
        }
    }
}

struct Builder<'t> {
    source: SourceName,
    parser: Parser<'t, saphyr_parser::StrInput<'t>>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
}

impl Builder<'_> {
    fn document(mut self) -> Result<Node, Problem> {
        let mut root = None;
        loop {
            match self.next()? {
                None | Some((Event::StreamEnd, _)) => break,
                Some((Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd | Event::Nothing, _)) => {}
                Some((_, span)) if root.is_some() => {
                    return Err(self.problem_at(&span, "a second document; a configuration is one"));
                }
                Some((event, span)) => root = Some(self.node(event, &span, 0)?),
            }
        }
        let root = root.unwrap_or_else(|| Node::empty_map(Place { source: self.source.clone(), line: 1, column: 1 }));
        match root.data {
            Data::Scalar(Value::Null, _) => Ok(Node::empty_map(root.place)),
            _ => Ok(root),
        }
    }

    fn node(&mut self, event: Event<'_>, span: &Span, depth: usize) -> Result<Node, Problem> {
        if depth > DEPTH_MAX {
            return Err(self.problem_at(span, format!("nested deeper than {DEPTH_MAX} levels")));
        }
        self.spend(1, span)?;
        let place = self.place(span);
        let (data, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let quoted = style != ScalarStyle::Plain || tag.is_some_and(|tag| tag.suffix == "str");
                (self.scalar(&text, quoted, span)?, anchor)
            }
            Event::SequenceStart(anchor, _) => (Data::List(self.list(depth)?), anchor),
            Event::MappingStart(anchor, _) => (Data::Map(self.map(depth)?), anchor),
            Event::Alias(anchor) => {
                let Some(node) = self.anchors.get(&anchor).cloned() else {
                    return Err(self.problem_at(span, "an alias of something that is not written above it"));
                };
                self.spend(node.count(), span)?;
                return Ok(node);
            }
            _ => return Err(self.problem_at(span, "unexpected end of the document")),
        };
        let node = Node { place, data };
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Node>, Problem> {
        let mut items = Vec::new();
        while let Some((event, span)) = self.next()? {
            match event {
                Event::SequenceEnd => break,
                event => items.push(self.node(event, &span, depth + 1)?),
            }
        }
        Ok(items)
    }

    fn map(&mut self, depth: usize) -> Result<Vec<(String, Place, Node)>, Problem> {
        let mut entries: Vec<(String, Place, Node)> = Vec::new();
        while let Some((event, span)) = self.next()? {
            let key = match event {
                Event::MappingEnd => break,
                Event::Scalar(text, ..) => text.into_owned(),
                _ => return Err(self.problem_at(&span, "a key must be plain text")),
            };
            let place = self.place(&span);
            let Some((event, span)) = self.next()? else { break };
            let value = self.node(event, &span, depth + 1)?;
            if let Some((_, first, _)) = entries.iter().find(|(known, ..)| *known == key) {
                let message = format!("`{key}` stands here a second time; the first is on line {}", first.line);
                return Err(Problem { place, key, message });
            }
            entries.push((key, place, value));
        }
        Ok(entries)
    }

    fn scalar(&self, text: &str, quoted: bool, span: &Span) -> Result<Data, Problem> {
        let filled = fill_variables(text).map_err(|name| {
            self.problem_at(
                span,
                format!("the environment variable {name} is not set; give it a value or write ${{{name}:default}}"),
            )
        })?;
        if quoted {
            Ok(Data::Scalar(Value::String(filled), None))
        } else {
            Ok(Data::Scalar(plain_scalar(&filled), Some(filled)))
        }
    }

    fn next(&mut self) -> Result<Option<(Event<'static>, Span)>, Problem> {
        match self.parser.next() {
            None => Ok(None),
            Some(Ok((event, span))) => Ok(Some((owned(event), span))),
            Some(Err(error)) => Err(self.scan_problem(&error)),
        }
    }

    fn spend(&mut self, nodes: usize, span: &Span) -> Result<(), Problem> {
        self.nodes += nodes;
        if self.nodes > NODES_MAX {
            Err(self.problem_at(span, format!("more than {NODES_MAX} values")))
        } else {
            Ok(())
        }
    }

    fn place(&self, span: &Span) -> Place {
        Place { source: self.source.clone(), line: span.start.line(), column: span.start.col() + 1 }
    }

    fn problem_at(&self, span: &Span, message: impl Into<String>) -> Problem {
        Problem { place: self.place(span), key: String::new(), message: message.into() }
    }

    fn scan_problem(&self, error: &ScanError) -> Problem {
        let marker = error.marker();
        let place = Place { source: self.source.clone(), line: marker.line(), column: marker.col() + 1 };
        Problem { place, key: String::new(), message: format!("not YAML: {}", error.info()) }
    }
}

fn owned(event: Event<'_>) -> Event<'static> {
    use std::borrow::Cow;
    match event {
        Event::Scalar(text, style, anchor, tag) => {
            Event::Scalar(Cow::Owned(text.into_owned()), style, anchor, tag.map(|tag| Cow::Owned(tag.into_owned())))
        }
        Event::SequenceStart(anchor, tag) => Event::SequenceStart(anchor, tag.map(|tag| Cow::Owned(tag.into_owned()))),
        Event::MappingStart(anchor, tag) => Event::MappingStart(anchor, tag.map(|tag| Cow::Owned(tag.into_owned()))),
        Event::Nothing => Event::Nothing,
        Event::StreamStart => Event::StreamStart,
        Event::StreamEnd => Event::StreamEnd,
        Event::DocumentStart(explicit) => Event::DocumentStart(explicit),
        Event::DocumentEnd => Event::DocumentEnd,
        Event::Alias(anchor) => Event::Alias(anchor),
        Event::SequenceEnd => Event::SequenceEnd,
        Event::MappingEnd => Event::MappingEnd,
    }
}

/// An unquoted scalar after the YAML 1.2 core schema.
pub(super) fn plain_scalar(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    if let Ok(whole) = text.parse::<i64>() {
        return Value::from(whole);
    }
    let numeric = text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte))
        && text.bytes().any(|byte| byte.is_ascii_digit());
    match text.parse::<f64>() {
        Ok(number) if numeric => Number::from_f64(number).map_or_else(|| Value::String(text.to_owned()), Value::Number),
        _ => Value::String(text.to_owned()),
    }
}

/// Replaces `${NAME}` and `${NAME:default}` by the environment; names are upper case, so that other uses of
/// `${` pass untouched. The error is the name of a variable that is not set.
fn fill_variables(text: &str) -> Result<String, String> {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let (before, from) = rest.split_at(start);
        filled.push_str(before);
        let inner = from.find('}').map(|end| (&from[2..end], &from[end + 1..]));
        let Some((inside, after)) = inner.filter(|(inside, _)| is_variable(inside)) else {
            filled.push_str("${");
            rest = &from[2..];
            continue;
        };
        let (name, default) = inside.split_once(':').map_or((inside, None), |(name, default)| (name, Some(default)));
        match (std::env::var(name), default) {
            (Ok(value), _) => filled.push_str(&value),
            (Err(_), Some(default)) => filled.push_str(default),
            (Err(_), None) => return Err(name.to_owned()),
        }
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

fn is_variable(inside: &str) -> bool {
    let name = inside.split(':').next().unwrap_or_default();
    name.starts_with(|first: char| first.is_ascii_uppercase() || first == '_')
        && name.chars().all(|letter| letter.is_ascii_uppercase() || letter.is_ascii_digit() || letter == '_')
}
