//! Tests one event in memory, for live tail and alerts, with the meaning that the index gives to the same query.

use std::cmp::Ordering;

use jiff::Timestamp;
use regex::Regex;
use serde_json::{Number, Value};

use crate::ast::{Ast, Field, Range, Test};
use crate::text::{self, Wildcard};
use crate::{DEFAULT_FIELDS, datemath, regexp};

/// A query made ready to test many events.
#[derive(Clone, Debug)]
pub struct Matcher(Node);

#[derive(Clone, Debug)]
enum Node {
    All,
    And(Vec<Node>),
    Or(Vec<Node>),
    Not(Box<Node>),
    Field { name: String, exact: bool, check: Check },
    Fields { pattern: Wildcard, check: Check },
}

#[derive(Clone, Debug)]
enum Check {
    Words {
        text: String,
        words: Vec<String>,
    },
    Phrase {
        text: String,
        words: Vec<(usize, String)>,
        slop: usize,
    },
    Pattern {
        whole: Wildcard,
        words: Vec<Vec<Wildcard>>,
    },
    /// `None`: not a regular expression, which matches nothing.
    Regex(Option<Regex>),
    Fuzzy {
        text: String,
        distance: usize,
    },
    Range(Range),
    Exists,
}

impl Ast {
    /// Whether the event matches. For many events make a [`Matcher`] once.
    #[must_use]
    pub fn matches(&self, event: &Value) -> bool {
        Matcher::new(self).matches(event)
    }
}

impl Matcher {
    /// Makes the query ready; bare words are searched in `message`.
    #[must_use]
    pub fn new(ast: &Ast) -> Self {
        Self::new_in(ast, &DEFAULT_FIELDS)
    }

    /// Makes the query ready; bare words are searched in the given fields.
    #[must_use]
    pub fn new_in(ast: &Ast, default_fields: &[&str]) -> Self {
        Self(node(ast, default_fields))
    }

    /// Whether the event matches now.
    #[must_use]
    pub fn matches(&self, event: &Value) -> bool {
        self.matches_at(event, Timestamp::now())
    }

    /// Whether the event matches when it is `now`.
    #[must_use]
    pub fn matches_at(&self, event: &Value, now: Timestamp) -> bool {
        holds(&self.0, event, now)
    }
}

fn node(ast: &Ast, default_fields: &[&str]) -> Node {
    let all = |members: &[Ast]| members.iter().map(|member| node(member, default_fields)).collect();
    match ast {
        Ast::All => Node::All,
        Ast::And(members) => Node::And(all(members)),
        Ast::Or(members) => Node::Or(all(members)),
        // An event matches or not, however much that counts.
        Ast::Boosted { member, .. } => node(member, default_fields),
        Ast::Not(member) => Node::Not(Box::new(node(member, default_fields))),
        Ast::Leaf { field: Field::Named(name), test } => on_field(name, test),
        Ast::Leaf { field: Field::Pattern(pattern), test } => {
            Node::Fields { pattern: Wildcard::new(pattern), check: check(test) }
        }
        Ast::Leaf { field: Field::Default, test } => {
            Node::Or(default_fields.iter().map(|name| on_field(name, test)).collect())
        }
    }
}

fn on_field(name: &str, test: &Test) -> Node {
    let bare = name.strip_suffix(".keyword").filter(|bare| !bare.is_empty());
    Node::Field { name: bare.unwrap_or(name).to_owned(), exact: bare.is_some(), check: check(test) }
}

fn check(test: &Test) -> Check {
    match test {
        Test::Words(text) => {
            Check::Words { text: text.clone(), words: text::words(text).map(|(_, word)| word).collect() }
        }
        Test::Phrase { text, slop } => {
            let slop = usize::try_from(*slop).unwrap_or(usize::MAX);
            Check::Phrase { text: text.clone(), words: text::words(text).collect(), slop }
        }
        Test::Pattern(pattern) => {
            let groups = text::word_patterns(pattern);
            let words = groups.iter().map(|group| group.iter().map(|word| Wildcard::new(word)).collect()).collect();
            Check::Pattern { whole: Wildcard::new(pattern), words }
        }
        Test::Regex(pattern) => {
            let translated = regexp::translated(pattern, regexp::Operators::default()).ok();
            Check::Regex(translated.and_then(|pattern| Regex::new(&format!("^(?:{pattern})$")).ok()))
        }
        Test::Fuzzy { text, distance } => Check::Fuzzy { text: text.clone(), distance: usize::from(*distance) },
        Test::Range(range) => Check::Range(range.clone()),
        Test::Exists => Check::Exists,
    }
}

fn holds(node: &Node, event: &Value, now: Timestamp) -> bool {
    match node {
        Node::All => true,
        Node::And(members) => members.iter().all(|member| holds(member, event, now)),
        Node::Or(members) => members.iter().any(|member| holds(member, event, now)),
        Node::Not(member) => !holds(member, event, now),
        Node::Field { name, check: Check::Exists, .. } => text::has(event, name),
        Node::Field { name, exact, check } => {
            let mut found = false;
            let analysed = !exact && text::is_text(name);
            text::each_value(event, name, &mut |value| {
                found = found || if analysed { in_text(check, value) } else { in_value(check, name, value, now) };
            });
            found
        }
        Node::Fields { pattern, check } => {
            let mut found = false;
            text::each_leaf(event, &mut |name, value| {
                found = found
                    || pattern.matches(name)
                        && if text::is_text(name) { in_text(check, value) } else { in_value(check, name, value, now) };
            });
            found
        }
    }
}

/// On a field whose text is taken apart into words.
fn in_text(check: &Check, value: &Value) -> bool {
    let Some(content) = plain(value) else { return false };
    match check {
        Check::Words { words, .. } => text::words(&content).any(|(_, word)| words.contains(&word)),
        Check::Phrase { words, slop, .. } => phrase(&content, words, *slop),
        Check::Pattern { words, .. } if words.is_empty() => true,
        Check::Pattern { words: groups, .. } => {
            let words: Vec<String> = text::words(&content).map(|(_, word)| word).collect();
            let some = |pattern: &Wildcard| words.iter().any(|word| pattern.matches(word));
            groups.iter().any(|group| group.iter().all(some))
        }
        Check::Regex(regex) => {
            regex.as_ref().is_some_and(|regex| text::words(&content).any(|(_, word)| regex.is_match(&word)))
        }
        Check::Fuzzy { text, distance } => {
            text::words(&content).any(|(_, word)| text::within_edits(&word, &text::lower(text), *distance))
        }
        Check::Range(range) => {
            text::words(&content).any(|(_, word)| within(range, |bound, _| Some(word.as_str().cmp(bound))))
        }
        Check::Exists => true,
    }
}

/// On a field that is compared as a whole.
fn in_value(check: &Check, name: &str, value: &Value, now: Timestamp) -> bool {
    match (check, value) {
        (Check::Exists, _) => true,
        (Check::Words { text, .. } | Check::Phrase { text, .. }, _) => equals(value, text),
        (Check::Pattern { whole, .. }, Value::String(content)) => whole.matches(content),
        (Check::Regex(Some(regex)), Value::String(content)) => regex.is_match(content),
        (Check::Fuzzy { text, distance }, Value::String(content)) => text::within_edits(content, text, *distance),
        (Check::Range(range), Value::Number(number)) if name != "@timestamp" => {
            within(range, |bound, _| compare_number(number, bound))
        }
        (Check::Range(range), _) => {
            let date = match value {
                Value::String(content) => content.parse::<Timestamp>().ok(),
                Value::Number(number) => number.as_i64().and_then(|millis| Timestamp::from_millisecond(millis).ok()),
                _ => None,
            };
            match (date, value) {
                (Some(date), _) => within(range, |bound, up| {
                    datemath::parse_rounded(bound, now, &jiff::tz::TimeZone::UTC, up).ok().map(|bound| date.cmp(&bound))
                }),
                (None, Value::String(content)) => within(range, |bound, _| Some(content.as_str().cmp(bound))),
                _ => false,
            }
        }
        _ => false,
    }
}

fn plain(value: &Value) -> Option<std::borrow::Cow<'_, str>> {
    match value {
        Value::String(content) => Some(content.into()),
        Value::Number(number) => Some(number.to_string().into()),
        Value::Bool(flag) => Some(flag.to_string().into()),
        _ => None,
    }
}

fn equals(value: &Value, text: &str) -> bool {
    match value {
        Value::String(content) => {
            content == text
                || match (content.parse::<Timestamp>(), text.parse::<Timestamp>()) {
                    (Ok(content), Ok(text)) => content == text,
                    _ => false,
                }
        }
        Value::Number(number) => compare_number(number, text) == Some(Ordering::Equal),
        Value::Bool(flag) => text == if *flag { "true" } else { "false" },
        _ => false,
    }
}

/// Whole numbers exactly, others as 64-bit floats.
fn compare_number(number: &Number, text: &str) -> Option<Ordering> {
    if let (Some(number), Ok(bound)) = (number.as_i128(), text.parse::<i128>()) {
        return Some(number.cmp(&bound));
    }
    number.as_f64()?.partial_cmp(&text.parse::<f64>().ok()?)
}

/// `compare(bound, whether date math rounds up)` says how the value stands to the bound.
fn within(range: &Range, mut compare: impl FnMut(&str, bool) -> Option<Ordering>) -> bool {
    let lower = range.lower.as_ref().is_none_or(|bound| {
        let order = compare(&bound.value, !bound.inclusive);
        order == Some(Ordering::Greater) || bound.inclusive && order == Some(Ordering::Equal)
    });
    lower
        && range.upper.as_ref().is_none_or(|bound| {
            let order = compare(&bound.value, bound.inclusive);
            order == Some(Ordering::Less) || bound.inclusive && order == Some(Ordering::Equal)
        })
}

/// Whether the words of a phrase stand in the text, moved by at most `slop` places against each other.
fn phrase(content: &str, words: &[(usize, String)], slop: usize) -> bool {
    let found: Vec<(usize, String)> = text::words(content).collect();
    text::phrase_at(&found, words, slop).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn matches(query: &str, event: &Value) -> bool {
        let ast = crate::lucene::parse(query).unwrap_or_else(|error| panic!("{query}: {error}"));
        ast.matches(event)
    }

    #[test]
    fn conditions_on_one_event() {
        let event = json!({
            "@timestamp": "2026-01-02T03:04:05.678Z",
            "message": "GET /cart/42 took 17ms: Connection reset by peer",
            "log": {"level": "error"},
            "http.response": {"status_code": 502},
            "tags": ["web", "edge"],
            "ok": false,
            "took": 0.5,
        });
        for query in [
            "connection",
            "message:\"connection reset\"",
            "message:\"connection peer\"~2",
            "message:conn*",
            "message:c?rt",
            "message:/4[0-9]/",
            "message:conection~1",
            "log.level:error",
            "log.level:err*",
            "log.level:\"error\"",
            "log.level.keyword:error",
            "http.response.status_code:502",
            "http.response.status_code:502.0",
            "http.response.status_code:[500 TO 502]",
            "http.response.status_code:>=500",
            "tags:edge",
            "ok:false",
            "took:{0 TO 1}",
            "_exists_:http",
            "_exists_:tags",
            "@timestamp:[2026-01-02 TO 2026-01-02]",
            "@timestamp:>2026-01-02T03:04:04Z",
            "NOT log.level:info",
            "http.*:502",
            "*:*",
            "log.level:[a TO f]",
            "+log.level:error -tags:db",
            "message:cart/4*",
        ] {
            assert!(matches(query, &event), "{query}");
        }
        for query in [
            "refused",
            // A pattern is held against single words of a text, as the index holds it against its terms.
            "message:GET*cart/4*",
            "message:\"reset connection\"",
            "message:\"connection peer\"",
            "log.level:Error",
            "log.level:err",
            "http.response.status_code:50",
            "http.response.status_code:{502 TO *}",
            "tags:ed",
            "ok:true",
            "_exists_:nothing",
            "@timestamp:<2026-01-02",
            "message.keyword:connection",
            "http.*:501",
            "log.level:[f TO z]",
            "took:abc",
        ] {
            assert!(!matches(query, &event), "{query}");
        }
    }
}
