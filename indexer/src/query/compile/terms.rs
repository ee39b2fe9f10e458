//! Conditions on words and keywords.

use std::sync::Arc;

use logmill_indexer_api::text::{self, Wildcard};
use serde_json::Value;
use tantivy::Term;
use tantivy::query::{PhrasePrefixQuery, PhraseQuery, Query, TermSetQuery};
use tantivy::schema::Field;

use super::{Compiled, any, every, fields_of_schema, none, term_query, whole_values};
use crate::query::clause::Condition;
use crate::query::error::EsError;
use crate::query::parse::plain_text;
use crate::query::pattern::{PatternQuery, TermTest};
use crate::schema::KEYWORD_BYTES_MAX;

pub(super) fn json_term(field: Field, path: &str) -> Term {
    // Backslashes would escape; paths hold what the event's keys hold.
    Term::from_field_json_path(field, &path.replace('\\', "\\\\"), true)
}

/// Where the terms of a path are, and what they begin with.
pub(crate) fn text_path(field: Field, path: Option<&str>) -> Vec<u8> {
    match path {
        None => Vec::new(),
        Some(path) => {
            let mut term = json_term(field, path);
            term.append_type_and_str("");
            term.serialized_value_bytes().to_vec()
        }
    }
}

fn pattern_query(field: Field, path: Option<&str>, prefix: &str, test: TermTest) -> Box<dyn Query> {
    Box::new(PatternQuery::new(field, &text_path(field, path), prefix, test))
}

/// Conditions on single terms, the same for words and keywords.
fn on_terms(test: &Condition, field: Field, path: Option<&str>) -> Option<Compiled> {
    let found = |prefix: &str, test: TermTest| Some(Ok(pattern_query(field, path, prefix, test)));
    match test {
        Condition::Term { value, case_insensitive: true } => {
            let wanted = text::lower(&plain_text(value));
            found("", Arc::new(move |term| text::lower(term) == wanted))
        }
        Condition::Prefix { text, case_insensitive: false } => found(text, Arc::new(|_| true)),
        Condition::Prefix { text, .. } => {
            let wanted = text::lower(text);
            found("", Arc::new(move |term| text::lower(term).starts_with(&wanted)))
        }
        Condition::Wildcard { pattern, case_insensitive: false } => {
            let wildcard = Wildcard::new(pattern);
            let prefix = wildcard.prefix();
            found(&prefix, Arc::new(move |term| wildcard.matches(term)))
        }
        Condition::Wildcard { pattern, .. } => {
            let wildcard = Wildcard::new(&text::lower(pattern));
            found("", Arc::new(move |term| wildcard.matches(&text::lower(term))))
        }
        Condition::Regexp { pattern, case_insensitive } => {
            let flags = if *case_insensitive { "(?i)" } else { "" };
            match regex::RegexBuilder::new(&format!("{flags}^(?:{pattern})$")).size_limit(REGEX_BYTES_MAX).build() {
                Ok(regex) => found("", Arc::new(move |term| regex.is_match(term))),
                Err(error) => {
                    let why = error.to_string();
                    let why = why.lines().last().unwrap_or_default().trim_start_matches("error: ");
                    Some(Err(EsError::argument(format!("[{pattern}] is not a regular expression: {why}"))))
                }
            }
        }
        Condition::Fuzzy { text, distance } => {
            let (wanted, distance) = (text.clone(), usize::from(*distance));
            found("", Arc::new(move |term| text::within_edits(term, &wanted, distance)))
        }
        Condition::Range(bounds) => {
            let bound =
                |side: &Option<(Value, bool)>| side.as_ref().map(|(value, inclusive)| (plain_text(value), *inclusive));
            let (lower, upper) = (bound(&bounds.lower), bound(&bounds.upper));
            found(
                "",
                Arc::new(move |term| {
                    lower.as_ref().is_none_or(|(bound, inclusive)| term > bound.as_str() || *inclusive && term == bound)
                        && upper
                            .as_ref()
                            .is_none_or(|(bound, inclusive)| term < bound.as_str() || *inclusive && term == bound)
                }),
            )
        }
        _ => None,
    }
}

/// Compiled regular expressions may take so much memory.
const REGEX_BYTES_MAX: usize = 4 << 20;

/// A field of words.
pub(super) struct Words {
    pub(super) field: Field,
    pub(super) path: Option<String>,
}

impl Words {
    fn term(&self, word: &str) -> Term {
        match &self.path {
            None => Term::from_field_text(self.field, word),
            Some(path) => {
                let mut term = json_term(self.field, path);
                term.append_type_and_str(word);
                term
            }
        }
    }

    fn pattern(&self, pattern: &str) -> Box<dyn Query> {
        let wildcard = Wildcard::new(pattern);
        let prefix = wildcard.prefix();
        pattern_query(self.field, self.path.as_deref(), &prefix, Arc::new(move |term| wildcard.matches(term)))
    }
}

pub(super) fn on_words(test: &Condition, at: &Words) -> Compiled {
    match test {
        Condition::Match { text, all } => {
            let words = text::words(text).map(|(_, word)| term_query(at.term(&word))).collect();
            if *all { every(words) } else { any(words) }
        }
        Condition::Phrase { text, slop, prefix } => phrase(text, *slop, *prefix, at),
        Condition::Term { value, case_insensitive: false } => Ok(term_query(at.term(&plain_text(value)))),
        Condition::Terms(values) => {
            Ok(Box::new(TermSetQuery::new(values.iter().map(|value| at.term(&plain_text(value))))))
        }
        Condition::WordPattern(pattern) => {
            let groups = text::word_patterns(pattern);
            let group = |patterns: &Vec<String>| every(patterns.iter().map(|pattern| at.pattern(pattern)).collect());
            match groups.len() {
                0 => Ok(at.pattern("*")),
                _ => any(groups.iter().map(group).collect::<Result<_, _>>()?),
            }
        }
        Condition::Fuzzy { text, distance } => {
            let lower = Condition::Fuzzy { text: text::lower(text), distance: *distance };
            on_terms(&lower, at.field, at.path.as_deref()).unwrap_or_else(|| Ok(none()))
        }
        other => on_terms(other, at.field, at.path.as_deref()).unwrap_or_else(|| Ok(none())),
    }
}

fn phrase(text: &str, slop: u32, prefix: bool, at: &Words) -> Compiled {
    let words: Vec<(usize, Term)> = text::words(text).map(|(place, word)| (place, at.term(&word))).collect();
    let first = words.first().map_or(0, |(place, _)| *place);
    let mut words: Vec<(usize, Term)> = words.into_iter().map(|(place, term)| (place - first, term)).collect();
    Ok(match (words.len(), prefix) {
        (0, _) => none(),
        (1, false) => words.pop().map_or_else(none, |(_, term)| term_query(term)),
        (1, true) => {
            let word = text::words(text).next().map(|(_, word)| word).unwrap_or_default();
            pattern_query(at.field, at.path.as_deref(), &word, Arc::new(|_| true))
        }
        (_, false) => Box::new(PhraseQuery::new_with_offset_and_slop(words, slop)),
        (_, true) => Box::new(PhrasePrefixQuery::new_with_offset(words)),
    })
}

pub(super) fn on_keyword(test: &Condition, path: &str) -> Compiled {
    let field = fields_of_schema().keyword;
    let term = |value: &Value| {
        let mut term = json_term(field, path);
        term.append_type_and_str(&plain_text(value));
        term
    };
    if let Some(values) = whole_values(test) {
        let mut terms: Vec<Term> =
            values.iter().filter(|value| plain_text(value).len() <= KEYWORD_BYTES_MAX).map(term).collect();
        return Ok(match terms.len() {
            0 => none(),
            1 => terms.pop().map_or_else(none, term_query),
            _ => Box::new(TermSetQuery::new(terms)),
        });
    }
    match test {
        Condition::Phrase { text, .. } => {
            on_terms(&Condition::Prefix { text: text.clone(), case_insensitive: false }, field, Some(path))
        }
        Condition::WordPattern(pattern) => {
            on_terms(&Condition::Wildcard { pattern: pattern.clone(), case_insensitive: false }, field, Some(path))
        }
        other => on_terms(other, field, Some(path)),
    }
    .unwrap_or_else(|| Ok(none()))
}
