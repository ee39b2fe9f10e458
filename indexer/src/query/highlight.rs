//! Marks in the shown text what made an event match.

mod fragments;
mod marks;
mod style;

use logmill_indexer_api::text::{self, Wildcard};
use serde_json::{Map, Value};

use super::clause::{Clause, Condition};
use super::error::EsError;
use super::strict::Members;
use style::Style;

/// How hits are to be highlighted.
#[derive(Clone, Debug)]
pub(crate) struct Highlight {
    fields: Vec<(Wildcard, Style)>,
    /// Marks what this matches, instead of what was searched for.
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
                    marks::mark(condition, content, text::is_text(name), &mut spans);
                }
            }
            let shown = match (spans.is_empty(), style.no_match_size) {
                (true, 0) => return,
                (true, size) => vec![fragments::beginning(content, size, style)],
                _ => fragments::of(content, &marks::merged(spans), style),
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
