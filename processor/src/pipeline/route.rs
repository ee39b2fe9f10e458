//! Where events go: topics, index names and keys.

use std::sync::Arc;

use logmill_core::{Event, FieldPath};
use serde_json::Value;

use crate::expression::Expression;

/// A text with fields in it: `logs-{service.name}-default`; `{a|b}` is the first of the fields that is there.
#[derive(Clone, Debug)]
pub(crate) struct Template(Vec<Part>);

#[derive(Clone, Debug)]
enum Part {
    Text(String),
    Fields(Vec<FieldPath>),
}

/// An entry of `out`.
#[derive(Debug)]
pub(crate) struct Output {
    pub(super) condition: Option<Expression>,
    pub(super) topic: Arc<str>,
    pub(super) index: Template,
    pub(super) key: Option<FieldPath>,
    pub(super) goes_on: bool,
}

/// Where one event goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) topic: Arc<str>,
    pub(crate) index: String,
    /// The record's key; that of the record that was read when `None`.
    pub(crate) key: Option<String>,
}

/// What stands for a field that is missing, or of which nothing legal is left.
const MISSING: &str = "generic";
/// A field may fill this much of an index name; the whole name may have 255 bytes.
const FIELD_BYTES_MAX: usize = 100;
const INDEX_BYTES_MAX: usize = 255;

impl Template {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, inside)) = rest.split_once('{') {
            let (names, after) = inside.split_once('}').ok_or("a { without its closing }")?;
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            let paths: Result<Vec<_>, _> = names.split('|').map(|name| FieldPath::parse(name.trim())).collect();
            parts.push(Part::Fields(paths.map_err(|error| error.to_string())?));
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Self(parts))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The text; missing fields are empty.
    pub(crate) fn fill(&self, event: &Event) -> String {
        let mut text = String::new();
        for part in &self.0 {
            match part {
                Part::Text(fixed) => text.push_str(fixed),
                Part::Fields(paths) => text.push_str(&first(event, paths).unwrap_or_default()),
            }
        }
        text
    }

    /// A legal index name: small letters, digits, `-`, `_`, `.`; nothing that a file system could mistake.
    fn index_name(&self, event: &Event) -> String {
        let mut name = String::with_capacity(32);
        for part in &self.0 {
            match part {
                Part::Text(fixed) => push_legal(&mut name, fixed, INDEX_BYTES_MAX),
                Part::Fields(paths) => {
                    let before = name.len();
                    if let Some(value) = first(event, paths) {
                        push_legal(&mut name, value.trim(), FIELD_BYTES_MAX);
                    }
                    if name.get(before..).is_none_or(|added| added.trim_matches(['_', '.']).is_empty()) {
                        name.truncate(before);
                        name.push_str(MISSING);
                    }
                }
            }
        }
        name.truncate(INDEX_BYTES_MAX);
        let legal = name.trim_start_matches(['-', '_', '+', '.']);
        if legal.is_empty() { MISSING.to_owned() } else { legal.to_owned() }
    }
}

fn push_legal(name: &mut String, text: &str, bytes_max: usize) {
    let legal = |letter: char| match letter.to_ascii_lowercase() {
        small @ ('a'..='z' | '0'..='9' | '-' | '_' | '.') => small,
        _ => '_',
    };
    name.extend(text.chars().take(bytes_max).map(legal));
}

fn first(event: &Event, paths: &[FieldPath]) -> Option<String> {
    paths.iter().find_map(|path| match event.get(path)? {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    })
}

impl Output {
    pub(super) fn takes(&self, event: &Event) -> bool {
        self.condition.as_ref().is_none_or(|condition| condition.is_true(event))
    }

    pub(super) fn route(&self, event: &Event) -> Route {
        Route {
            topic: self.topic.clone(),
            index: self.index.index_name(event),
            key: self.key.as_ref().and_then(|key| first(event, std::slice::from_ref(key))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn name(template: &str, event: Value) -> String {
        let event = Event::from_value(event).expect("an object");
        Template::parse(template).expect("a template").index_name(&event)
    }

    #[test]
    fn names_are_filled_and_made_legal() {
        let template = "logs-{service.name|app}-default";
        for (event, expected) in [
            (json!({"service": {"name": "Web Shop"}}), "logs-web_shop-default"),
            (json!({"app": 7}), "logs-7-default"),
            (json!({}), "logs-generic-default"),
            (json!({"app": "../../etc"}), "logs-.._.._etc-default"),
            (json!({"app": "…"}), "logs-generic-default"),
        ] {
            assert_eq!(name(template, event), expected);
        }
        assert_eq!(name("{a}", json!({"a": ".."})), "generic");
        assert_eq!(name("{a}", json!({"a": "x".repeat(1_000)})).len(), FIELD_BYTES_MAX);
        assert!(Template::parse("logs-{a").is_err() && Template::parse("{a..b}").is_err());
    }

    proptest! {
        #[test]
        fn any_value_makes_a_legal_name(value: String, template in "[A-Z{}_./-]{0,3}\\{a\\}[a-z.]{0,3}") {
            let Ok(template) = Template::parse(&template) else { return Ok(()) };
            let event = Event::from_value(json!({"a": value})).expect("an object");
            let name = template.index_name(&event);
            prop_assert!(!name.is_empty() && name.len() <= INDEX_BYTES_MAX && !name.starts_with(['.', '-', '_']), "{name}");
            prop_assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte)));
        }
    }
}
