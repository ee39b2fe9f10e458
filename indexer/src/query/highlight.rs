//! Marks in the shown text what made an event match.

mod fragments;
mod marks;
mod style;

use logmill_indexer_api::text::{self, Wildcard};
use serde_json::{Map, Value};

use super::clause::{Clause, Condition};
use super::error::EsError;
use super::named::{Name, Names};
use super::strict::Members;
use crate::store::registry::FieldType;
use style::Style;

/// How hits are to be highlighted.
#[derive(Clone, Debug)]
pub(crate) struct Highlight {
    fields: Vec<Marked>,
    /// Marks what this matches, instead of what was searched for.
    query: Option<Clause>,
}

/// A field that is to be highlighted.
#[derive(Clone, Debug)]
struct Marked {
    pattern: Wildcard,
    style: Style,
    /// Of this field alone.
    query: Option<Clause>,
}

/// Texts beyond this are shown without marks: nobody reads them whole, and marking must stay cheap.
const TEXT_BYTES_MAX: usize = 1 << 20;

impl Highlight {
    pub(crate) fn read(value: Value) -> Result<Self, EsError> {
        let mut members = Members::new(value, "[highlight]")?;
        let style = Style::default().changed(&mut members)?;
        let query = members.take("highlight_query").map(Clause::from_dsl).transpose()?;
        let mut fields = Vec::new();
        let mut add = |value: Value| -> Result<(), EsError> {
            let mut names = Members::new(value, "[highlight] [fields]")?;
            while let Some((name, options)) = names.take_one() {
                let mut options = Members::new(options, "[highlight] of a field")?;
                let own = style.changed(&mut options)?;
                let query = options.take("highlight_query").map(Clause::from_dsl).transpose()?;
                options.end()?;
                fields.push(Marked { pattern: Wildcard::new(&name), style: own, query });
            }
            Ok(())
        };
        match members.take("fields") {
            Some(Value::Array(items)) => items.into_iter().try_for_each(&mut add)?,
            Some(value) => add(value)?,
            None => {}
        }
        members.end()?;
        Ok(Self { fields, query })
    }
}

/// The conditions of a query that can be shown, with the fields that they are about; none means all.
type Shown<'h> = Vec<(Vec<Wildcard>, &'h Condition)>;

/// Marks the hits of a search.
#[derive(Debug)]
pub(crate) struct Highlighter<'h> {
    highlight: &'h Highlight,
    conditions: Shown<'h>,
    /// Of each field that has a query of its own.
    own: Vec<Option<Shown<'h>>>,
}

impl<'h> Highlighter<'h> {
    pub(crate) fn new(highlight: &'h Highlight, query: &'h Clause) -> Self {
        let shown = |query: &'h Clause| {
            let mut conditions = Vec::new();
            collect(query, &mut conditions);
            conditions
        };
        let own = highlight.fields.iter().map(|field| field.query.as_ref().map(shown)).collect();
        Self { highlight, conditions: shown(highlight.query.as_ref().unwrap_or(query)), own }
    }

    /// The `highlight` of one hit; `None` when there is nothing to mark.
    pub(crate) fn marked(&self, event: &Value, names: &Names<'_>) -> Option<Map<String, Value>> {
        let mut found = Map::new();
        text::each_leaf(event, &mut |own, value| {
            let Value::String(content) = value else { return };
            if content.len() > TEXT_BYTES_MAX {
                return;
            }
            names.each(own, &mut |name| {
                let is_about = |field: &Marked| {
                    field.pattern.matches(name.name) && !(name.is_virtual && field.pattern.matches(own))
                };
                let Some(place) = self.highlight.fields.iter().position(is_about) else { return };
                let shown = self.fragments(place, name, content, names);
                if shown.is_empty() {
                    return;
                }
                let fragments = shown.into_iter().map(Value::String);
                match found.entry(name.name.to_owned()).or_insert_with(|| Value::Array(Vec::new())) {
                    Value::Array(all) => all.extend(fragments),
                    other => *other = Value::Array(fragments.collect()),
                }
            });
        });
        (!found.is_empty()).then_some(found)
    }

    /// What is shown of one value of a field.
    fn fragments(&self, place: usize, name: Name<'_>, content: &str, names: &Names<'_>) -> Vec<String> {
        let Some(Marked { style, .. }) = self.highlight.fields.get(place) else { return Vec::new() };
        let conditions = self.own.get(place).and_then(Option::as_ref).unwrap_or(&self.conditions);
        let is_text = match names.kind(name.name) {
            Some((kind, _)) => kind == FieldType::Text,
            None => text::is_text(name.name),
        };
        let is_this = |pattern: &Wildcard| {
            pattern.matches(name.real) || names.aliases(name.real).iter().any(|alias| pattern.matches(alias))
        };
        let mut spans = Vec::new();
        for (fields, condition) in conditions {
            if !style.require_field_match || fields.is_empty() || fields.iter().any(is_this) {
                marks::mark(condition, content, is_text, &mut spans);
            }
        }
        match (spans.is_empty(), style.no_match_size) {
            (true, 0) => Vec::new(),
            (true, size) => vec![fragments::beginning(content, size, style)],
            _ => fragments::of(content, &marks::merged(spans), style),
        }
    }
}

fn collect<'c>(clause: &'c Clause, conditions: &mut Shown<'c>) {
    match clause {
        Clause::Bool { must, filter, should, .. } => {
            must.iter().chain(filter).chain(should).for_each(|member| collect(member, conditions));
        }
        Clause::BestOf { members, .. } => members.iter().for_each(|member| collect(member, conditions)),
        Clause::Demoted { positive: inner, .. }
        | Clause::Boosted(inner, _)
        | Clause::Constant(inner, _)
        | Clause::Named(_, inner) => collect(inner, conditions),
        Clause::On { field, test } => {
            let bare = field.strip_suffix(".keyword").into_iter();
            conditions.push((bare.chain([field.as_str()]).map(Wildcard::new).collect(), test));
        }
        Clause::OnAny { fields, test, .. } => {
            conditions.push((fields.iter().map(|field| Wildcard::new(&field.name)).collect(), test));
        }
        Clause::All | Clause::None | Clause::Ids(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::registry::Mapping;
    use serde_json::json;

    fn marked(highlight: Value, query: Value, event: &Value) -> Value {
        let highlight = Highlight::read(highlight).unwrap();
        let clause = Clause::from_dsl(query).unwrap();
        let mapping = Mapping::default();
        Highlighter::new(&highlight, &clause).marked(event, &Names::of(&mapping)).map_or(Value::Null, Value::Object)
    }

    #[test]
    fn marks_words_phrases_and_whole_values() {
        let event = json!({"message": "Connection reset: the reset by peer, connection", "log": {"level": "error"}});
        let all = json!({"fields": {"*": {}}, "pre_tags": ["<"], "post_tags": [">"], "number_of_fragments": 0});
        for (query, expected) in [
            (
                json!({"match": {"message": "RESET"}}),
                json!({"message": ["Connection <reset>: the <reset> by peer, connection"]}),
            ),
            (
                json!({"match_phrase": {"message": "reset by"}}),
                json!({"message": ["Connection reset: the <reset> <by> peer, connection"]}),
            ),
            (json!({"term": {"log.level": "error"}}), json!({"log.level": ["<error>"]})),
            (
                json!({"query_string": {"query": "conn* AND NOT peer"}}),
                json!({"message": ["<Connection> reset: the reset by peer, <connection>"]}),
            ),
            (json!({"bool": {"must_not": [{"match": {"message": "peer"}}]}}), Value::Null),
        ] {
            assert_eq!(marked(all.clone(), query.clone(), &event), expected, "{query}");
        }
    }

    #[test]
    fn options_change_what_is_shown() {
        let event = json!({"message": "a <b> needle", "other.text": "nothing here"});
        let query = json!({"match": {"message": "needle"}});
        for (options, expected) in [
            (
                json!({"fields": {"message": {}}, "encoder": "html"}),
                json!({"message": ["a &lt;b&gt; <em>needle</em>"]}),
            ),
            (
                json!({"fields": {"message": {}}, "tags_schema": "styled"}),
                json!({"message": ["a <b> <em class=\"hlt1\">needle</em>"]}),
            ),
            (
                json!({"fields": {"message": {}}, "highlight_query": {"match": {"message": "b"}}}),
                json!({"message": ["a <<em>b</em>> needle"]}),
            ),
            (json!({"fields": {"other.text": {"no_match_size": 7}}}), json!({"other.text": ["nothing"]})),
        ] {
            assert_eq!(marked(options.clone(), query.clone(), &event), expected, "{options}");
        }
        for (options, named) in [
            (json!({"fields": {"a": {"matched_fields": ["b"]}}}), "[matched_fields]"),
            (json!({"fields": {}, "encoder": "odd"}), "[odd]"),
        ] {
            assert!(Highlight::read(options).is_err_and(|error| error.reason.contains(named)), "{named}");
        }
    }

    #[test]
    fn long_texts_are_cut_to_fragments() {
        let event = json!({"message": format!("{} needle {}", "ä".repeat(300), "ü ".repeat(300))});
        let shown = marked(
            json!({"fields": {"message": {"fragment_size": 40}}}),
            json!({"match": {"message": "needle"}}),
            &event,
        );
        let fragment = shown["message"][0].as_str().unwrap();
        assert!(fragment.contains("<em>needle</em>") && fragment.len() < 70, "{fragment}");
    }
}
