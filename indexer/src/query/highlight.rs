//! Marks in the shown text what made an event match.

use std::ops::Range;

use logmill_indexer_api::text::{self, Wildcard};
use serde_json::{Map, Value};

use super::clause::{Clause, Condition, Words};
use super::error::EsError;
use super::parse::plain_text;
use super::strict::Members;

/// How hits are to be highlighted.
#[derive(Clone, Debug)]
pub(crate) struct Highlight {
    fields: Vec<(Wildcard, Style)>,
    /// Marks what this matches, instead of what was searched for.
    query: Option<Clause>,
}

#[derive(Clone, Debug)]
struct Style {
    pre: String,
    post: String,
    /// Letters of a fragment.
    fragment_size: usize,
    /// 0: the whole text.
    fragments: usize,
    /// Letters that are shown of a text without marks.
    no_match_size: usize,
    /// Whether the text is made safe to stand in HTML.
    html: bool,
    /// Fragments with most marks first.
    by_score: bool,
    require_field_match: bool,
}

impl Default for Style {
    fn default() -> Self {
        Self {
            pre: "<em>".to_owned(),
            post: "</em>".to_owned(),
            fragment_size: 100,
            fragments: 5,
            no_match_size: 0,
            html: false,
            by_score: false,
            require_field_match: true,
        }
    }
}

/// Texts beyond this are shown without marks: nobody reads them whole, and marking must stay cheap.
const TEXT_BYTES_MAX: usize = 1 << 20;

impl Highlight {
    pub(crate) fn read(value: Value) -> Result<Self, EsError> {
        let mut members = Members::new(value, "[highlight]")?;
        let style = style(&mut members, &Style::default())?;
        let query = members.take("highlight_query").map(Clause::from_dsl).transpose()?;
        let mut fields = Vec::new();
        let mut add = |value: Value| -> Result<(), EsError> {
            let mut names = Members::new(value, "[highlight] [fields]")?;
            while let Some((name, options)) = names.take_one() {
                let mut options = Members::new(options, "[highlight] of a field")?;
                let own = self::style(&mut options, &style)?;
                options.end()?;
                fields.push((Wildcard::new(&name), own));
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

fn style(members: &mut Members, base: &Style) -> Result<Style, EsError> {
    // How Elasticsearch finds words again and where it cuts: here always at letters, around the marks.
    members.ignore(&[
        "type",
        "boundary_scanner",
        "boundary_scanner_locale",
        "boundary_chars",
        "boundary_max_scan",
        "force_source",
        "fragmenter",
        "phrase_limit",
        "max_analyzed_offset",
    ]);
    let mut style = base.clone();
    let first = |tags: Option<Vec<String>>| tags.and_then(|tags| tags.into_iter().next());
    style.pre = first(members.strings("pre_tags")?).unwrap_or(style.pre);
    style.post = first(members.strings("post_tags")?).unwrap_or(style.post);
    let size = |number: Option<i64>, default| number.map_or(default, |number| usize::try_from(number).unwrap_or(0));
    style.fragment_size = size(members.whole("fragment_size")?, style.fragment_size);
    style.fragments = size(members.whole("number_of_fragments")?, style.fragments);
    style.no_match_size = size(members.whole("no_match_size")?, style.no_match_size);
    style.require_field_match = members.boolean("require_field_match")?.unwrap_or(style.require_field_match);
    let one_of = |name: &str, written: Option<String>, known: (&str, &str), default: bool| match written.as_deref() {
        None => Ok(default),
        Some(text) if text == known.0 => Ok(false),
        Some(text) if text == known.1 => Ok(true),
        Some(other) => Err(EsError::parsing(format!("[highlight] does not support the [{name}] [{other}]"))),
    };
    style.html = one_of("encoder", members.string("encoder")?, ("default", "html"), style.html)?;
    style.by_score = one_of("order", members.string("order")?, ("none", "score"), style.by_score)?;
    if one_of("tags_schema", members.string("tags_schema")?, ("default", "styled"), false)? {
        // The first of Elasticsearch's ten styles.
        style.pre = "<em class=\"hlt1\">".to_owned();
    }
    Ok(style)
}

/// The conditions of a query that can be shown.
#[derive(Debug)]
pub(crate) struct Highlighter<'h> {
    highlight: &'h Highlight,
    conditions: Vec<(Vec<Wildcard>, &'h Condition)>,
}

impl<'h> Highlighter<'h> {
    pub(crate) fn new(highlight: &'h Highlight, query: &'h Clause) -> Self {
        let mut conditions = Vec::new();
        collect(highlight.query.as_ref().unwrap_or(query), &mut conditions);
        Self { highlight, conditions }
    }

    /// The `highlight` of one hit; `None` when there is nothing to mark.
    pub(crate) fn marked(&self, event: &Value) -> Option<Map<String, Value>> {
        let mut found = Map::new();
        text::each_leaf(event, &mut |name, value| {
            let Some((_, style)) = self.highlight.fields.iter().find(|(pattern, _)| pattern.matches(name)) else {
                return;
            };
            let Value::String(content) = value else { return };
            if content.len() > TEXT_BYTES_MAX {
                return;
            }
            let mut spans = Vec::new();
            for (fields, condition) in &self.conditions {
                let on_this = fields.is_empty() || fields.iter().any(|pattern| pattern.matches(name));
                if on_this || !style.require_field_match {
                    mark(condition, content, text::is_text(name), &mut spans);
                }
            }
            let shown = match (spans.is_empty(), style.no_match_size) {
                (true, 0) => return,
                (true, size) => {
                    let end = boundary(content, size.min(content.len()));
                    vec![with_tags(content, 0..end, &[], style)]
                }
                _ => fragments(content, &merged(spans), style),
            };
            let fragments = shown.into_iter().map(Value::String);
            match found.entry(name.to_owned()).or_insert_with(|| Value::Array(Vec::new())) {
                Value::Array(all) => all.extend(fragments),
                other => *other = Value::Array(fragments.collect()),
            }
        });
        (!found.is_empty()).then_some(found)
    }
}

fn collect<'c>(clause: &'c Clause, conditions: &mut Vec<(Vec<Wildcard>, &'c Condition)>) {
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
            let bare = field.strip_suffix(".keyword").unwrap_or(field);
            conditions.push((vec![Wildcard::new(bare)], test));
        }
        Clause::OnAny { fields, test, .. } => {
            conditions.push((fields.iter().map(|field| Wildcard::new(&field.name)).collect(), test));
        }
        Clause::All | Clause::None | Clause::Ids(_) => {}
    }
}

/// A word of the text.
struct Word {
    span: Range<usize>,
    place: usize,
    lower: String,
}

fn words_of(content: &str) -> Vec<Word> {
    let base = content.as_ptr() as usize;
    content
        .split(|letter: char| !letter.is_alphanumeric())
        .filter(|piece| !piece.is_empty())
        .enumerate()
        .map(|(place, piece)| {
            let start = piece.as_ptr() as usize - base;
            Word { span: start..start + piece.len(), place, lower: text::lower(piece) }
        })
        .collect()
}

fn mark(condition: &Condition, content: &str, is_text: bool, spans: &mut Vec<Range<usize>>) {
    if is_text {
        return mark_words(condition, &words_of(content), spans);
    }
    let matches = match condition {
        Condition::Match(Words { text, fuzzy: Some(how), .. }) | Condition::Fuzzy { text, how } => {
            text::edits_between(content, text, how.edits.of(text), how.swaps).is_some()
        }
        Condition::Match(Words { text, prefix_last: true, .. }) => content.starts_with(text.as_str()),
        Condition::Match(Words { text, .. }) | Condition::Phrase { text, prefix: None, .. } => content == text,
        Condition::Term { value, case_insensitive: false } => content == plain_text(value),
        Condition::Term { value, .. } => text::lower(content) == text::lower(&plain_text(value)),
        Condition::Terms(values) => values.iter().any(|value| plain_text(value) == content),
        Condition::Prefix { text, .. } | Condition::Phrase { text, .. } => content.starts_with(text.as_str()),
        Condition::Wildcard { pattern, .. } | Condition::WordPattern(pattern) => {
            Wildcard::new(pattern).matches(content)
        }
        Condition::Regexp { pattern, .. } => {
            regex::Regex::new(&format!("^(?:{pattern})$")).is_ok_and(|regex| regex.is_match(content))
        }
        Condition::Range(_) | Condition::Exists | Condition::AnyOf(_) | Condition::PhraseOf { .. } => false,
    };
    if matches && !content.is_empty() {
        spans.push(0..content.len());
    }
}

fn mark_words(condition: &Condition, words: &[Word], spans: &mut Vec<Range<usize>>) {
    let mut each = |test: &dyn Fn(&str) -> bool| {
        spans.extend(words.iter().filter(|word| test(&word.lower)).map(|word| word.span.clone()));
    };
    match condition {
        Condition::Match(asked) => {
            let wanted: Vec<String> = text::words(&asked.text).map(|(_, word)| word).collect();
            let last = wanted.last().filter(|_| asked.prefix_last);
            let is_near = |wanted: &String, word: &str| match &asked.fuzzy {
                Some(how) => text::edits_between(word, wanted, how.edits.of(wanted), how.swaps).is_some(),
                None => wanted == word,
            };
            each(&|word| {
                wanted.iter().any(|wanted| is_near(wanted, word))
                    || last.is_some_and(|last| word.starts_with(last.as_str()))
            });
        }
        Condition::Phrase { text, slop, prefix, .. } => {
            let wanted: Vec<(usize, String)> = text::words(text).collect();
            mark_phrase(&wanted, *slop as usize, prefix.is_some(), words, spans);
        }
        Condition::Term { value, .. } => {
            let wanted = plain_text(value);
            each(&|word| word == wanted);
        }
        Condition::Terms(values) => each(&|word| values.iter().any(|value| plain_text(value) == word)),
        Condition::Prefix { text, .. } => each(&|word| word.starts_with(text.as_str())),
        Condition::Wildcard { pattern, case_insensitive } => {
            let wildcard = Wildcard::new(&if *case_insensitive { text::lower(pattern) } else { pattern.clone() });
            each(&|word| wildcard.matches(word));
        }
        Condition::WordPattern(pattern) => {
            let patterns: Vec<Wildcard> =
                text::word_patterns(pattern).into_iter().flatten().map(|pattern| Wildcard::new(&pattern)).collect();
            each(&|word| patterns.iter().any(|pattern| pattern.matches(word)));
        }
        Condition::Regexp { pattern, .. } => {
            if let Ok(regex) = regex::Regex::new(&format!("^(?:{pattern})$")) {
                each(&|word| regex.is_match(word));
            }
        }
        Condition::Fuzzy { text, how } => {
            let wanted = text::lower(text);
            each(&|word| text::edits_between(word, &wanted, how.edits.of(&wanted), how.swaps).is_some());
        }
        Condition::Range(_) | Condition::Exists | Condition::AnyOf(_) | Condition::PhraseOf { .. } => {}
    }
}

fn mark_phrase(wanted: &[(usize, String)], slop: usize, prefix: bool, words: &[Word], spans: &mut Vec<Range<usize>>) {
    let Some((first_place, _)) = wanted.first() else { return };
    let fits = |at: usize, word: &str, last: bool| {
        wanted
            .get(at)
            .is_some_and(|(_, text)| if last && prefix { word.starts_with(text.as_str()) } else { word == text })
    };
    for (start, first) in words.iter().enumerate() {
        if !fits(0, &first.lower, wanted.len() == 1) {
            continue;
        }
        let mut found = vec![first.span.clone()];
        let mut spare = slop;
        let mut from = start + 1;
        let mut expected_base = first.place;
        for (at, (place, _)) in wanted.iter().enumerate().skip(1) {
            let distance = place - wanted.get(at - 1).map_or(*first_place, |(place, _)| *place);
            let expected = expected_base + distance;
            let next = words.iter().enumerate().skip(from).take_while(|(_, word)| word.place <= expected + spare);
            let last = at + 1 == wanted.len();
            let Some((index, word)) =
                next.into_iter().find(|(_, word)| word.place >= expected && fits(at, &word.lower, last))
            else {
                break;
            };
            spare -= word.place - expected;
            expected_base = word.place;
            from = index + 1;
            found.push(word.span.clone());
        }
        if found.len() == wanted.len() {
            spans.append(&mut found);
        }
    }
}

/// In order, overlapping ones as one.
fn merged(mut spans: Vec<Range<usize>>) -> Vec<Range<usize>> {
    spans.sort_by_key(|span| (span.start, span.end));
    let mut merged: Vec<Range<usize>> = Vec::new();
    for span in spans {
        match merged.last_mut() {
            Some(last) if span.start < last.end => last.end = last.end.max(span.end),
            _ => merged.push(span),
        }
    }
    merged
}

fn fragments(content: &str, spans: &[Range<usize>], style: &Style) -> Vec<String> {
    if style.fragments == 0 || style.fragment_size == 0 || content.len() <= style.fragment_size {
        return vec![with_tags(content, 0..content.len(), spans, style)];
    }
    let mut shown = Vec::new();
    let mut rest = spans;
    let most = if style.by_score { spans.len() } else { style.fragments };
    while let (Some(first), true) = (rest.first(), shown.len() < most) {
        let length = (first.end - first.start).max(style.fragment_size);
        let start = boundary(content, first.start.saturating_sub((length - (first.end - first.start)) / 2));
        let end = boundary(content, start.saturating_add(length).min(content.len())).max(first.end);
        let inside = rest.iter().take_while(|span| span.end <= end).count().max(1);
        let (here, later) = rest.split_at(inside.min(rest.len()));
        shown.push((here.len(), with_tags(content, start..end, here, style)));
        rest = later;
    }
    if style.by_score {
        shown.sort_by_key(|(marks, _)| std::cmp::Reverse(*marks));
    }
    shown.into_iter().take(style.fragments).map(|(_, fragment)| fragment).collect()
}

/// The last character boundary up to `at`.
fn boundary(content: &str, at: usize) -> usize {
    (0..=at.min(content.len())).rev().find(|at| content.is_char_boundary(*at)).unwrap_or(0)
}

fn with_tags(content: &str, within: Range<usize>, spans: &[Range<usize>], style: &Style) -> String {
    let mut out = String::with_capacity(within.len() + spans.len() * (style.pre.len() + style.post.len()));
    let mut at = within.start;
    let plain = |range: Range<usize>, out: &mut String| {
        for letter in content.get(range).unwrap_or_default().chars() {
            match letter {
                '&' if style.html => out.push_str("&amp;"),
                '<' if style.html => out.push_str("&lt;"),
                '>' if style.html => out.push_str("&gt;"),
                '"' if style.html => out.push_str("&quot;"),
                '\'' if style.html => out.push_str("&#x27;"),
                '/' if style.html => out.push_str("&#x2F;"),
                other => out.push(other),
            }
        }
    };
    for span in spans {
        plain(at..span.start, &mut out);
        out.push_str(&style.pre);
        plain(span.clone(), &mut out);
        out.push_str(&style.post);
        at = span.end;
    }
    plain(at..within.end, &mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn marked(highlight: Value, query: Value, event: &Value) -> Value {
        let highlight = Highlight::read(highlight).unwrap();
        let clause = Clause::from_dsl(query).unwrap();
        Highlighter::new(&highlight, &clause).marked(event).map_or(Value::Null, Value::Object)
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
