//! Conditions on words and keywords.

use std::sync::Arc;

use logmill_indexer_api::text::{self, Wildcard};
use serde_json::Value;
use tantivy::Term;
use tantivy::query::{BoostQuery, PhrasePrefixQuery, PhraseQuery, Query, TermSetQuery};
use tantivy::schema::Field;

use super::{Compiled, any, every, fields_of_schema, none, whole_values};
use crate::query::clause::{Condition, Fuzzy, Words as WordsOf};
use crate::query::error::EsError;
use crate::query::parse::plain_text;
use crate::query::patient::Patient;
use crate::query::pattern::{PatternQuery, TermTest};
use crate::schema::{KEYWORD_BYTES_MAX, MESSAGE};

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

/// The documents that have a keyword of a path that fits.
pub(super) fn keyword_pattern(path: &str, test: TermTest) -> Box<dyn Query> {
    pattern_query(fields_of_schema().keyword, Some(path), "", test)
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
        Condition::Fuzzy { text, how } => {
            let (prefix, test) = near(text, how);
            found(&prefix, test)
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

    /// What the field is called where its presence is kept.
    fn name(&self) -> &str {
        self.path.as_deref().unwrap_or(MESSAGE)
    }

    fn scored(&self, word: &str) -> Box<dyn Query> {
        super::scored_term(self.term(word), self.name(), true)
    }

    fn starting(&self, word: &str) -> Box<dyn Query> {
        pattern_query(self.field, self.path.as_deref(), word, Arc::new(|_| true))
    }

    /// At least two words at their places.
    fn phrase(&self, words: &[(usize, String)], slop: u32) -> Box<dyn Query> {
        let terms: Vec<(usize, Term)> = words.iter().map(|(place, word)| (*place, self.term(word))).collect();
        let bare = terms.iter().map(|(_, term)| term.clone()).collect();
        let query = Patient(Box::new(PhraseQuery::new_with_offset_and_slop(terms, slop)));
        super::in_field(Box::new(query), bare, self.name())
    }

    fn pattern(&self, pattern: &str) -> Box<dyn Query> {
        let wildcard = Wildcard::new(pattern);
        let prefix = wildcard.prefix();
        pattern_query(self.field, self.path.as_deref(), &prefix, Arc::new(move |term| wildcard.matches(term)))
    }
}

/// What is within the edits of a word, and what every such term begins with.
pub(crate) fn near(word: &str, how: &Fuzzy) -> (String, TermTest) {
    let (wanted, edits, swaps) = (word.to_owned(), how.edits.of(word), how.swaps);
    let prefix: String = word.chars().take(if edits == 0 { usize::MAX } else { how.prefix }).collect();
    (prefix, Arc::new(move |term| text::edits_between(term, &wanted, edits, swaps).is_some()))
}

pub(super) fn on_words(test: &Condition, at: &Words) -> Compiled {
    match test {
        Condition::Match(words) => matching(words, at),
        Condition::Phrase { text, slop, prefix, all_when_empty } => {
            if *all_when_empty && text::words(text).next().is_none() {
                return Ok(super::all());
            }
            phrase(text, *slop, *prefix, at)
        }
        Condition::PhraseOf { text, slop, lasts } => Ok(phrase_of(text, *slop, lasts, at)),
        Condition::AnyOf(words) => Ok(any_of(words, |word| at.scored(word))),
        Condition::Term { value, case_insensitive: false } => Ok(at.scored(&plain_text(value))),
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
        Condition::Fuzzy { text, how } => {
            let lower = Condition::Fuzzy { text: text::lower(text), how: how.clone() };
            on_terms(&lower, at.field, at.path.as_deref()).unwrap_or_else(|| Ok(none()))
        }
        other => on_terms(other, at.field, at.path.as_deref()).unwrap_or_else(|| Ok(none())),
    }
}

fn matching(words: &WordsOf, at: &Words) -> Compiled {
    let found: Vec<String> = text::words(&words.text).map(|(_, word)| word).collect();
    if found.is_empty() {
        return Ok(if words.all_when_empty { super::all() } else { none() });
    }
    let last = found.len() - 1;
    let mut members = Vec::with_capacity(found.len());
    for (place, word) in found.iter().enumerate() {
        members.push(match &words.fuzzy {
            _ if words.prefix_last && place == last => at.starting(word),
            Some(how) if how.edits.of(word) > 0 => {
                let (prefix, test) = near(word, how);
                pattern_query(at.field, at.path.as_deref(), &prefix, test)
            }
            _ => at.scored(word),
        });
    }
    Ok(of_words(members, words))
}

/// As many of the words' queries as must match.
pub(super) fn of_words(members: Vec<Box<dyn Query>>, words: &WordsOf) -> Box<dyn Query> {
    if members.is_empty() {
        return if words.all_when_empty { super::all() } else { none() };
    }
    let minimum = match &words.minimum {
        _ if words.all => members.len(),
        Some(minimum) => minimum.of(members.len()).max(1),
        None => 1,
    };
    super::at_least(members, minimum)
}

fn any_of(words: &[(String, f32)], scored: impl Fn(&str) -> Box<dyn Query>) -> Box<dyn Query> {
    let members = words.iter().map(|(word, boost)| {
        let plain = (*boost - 1.0).abs() < f32::EPSILON;
        if plain { scored(word) } else { Box::new(BoostQuery::new(scored(word), *boost)) as Box<dyn Query> }
    });
    let members: Vec<_> = members.collect();
    if members.is_empty() { none() } else { super::at_least(members, 1) }
}

/// The words of a phrase with their places, the first of which is 0.
fn places(text: &str) -> Vec<(usize, String)> {
    let first = text::words(text).next().map_or(0, |(place, _)| place);
    text::words(text).map(|(place, word)| (place - first, word)).collect()
}

fn phrase(text: &str, slop: u32, prefix: Option<usize>, at: &Words) -> Compiled {
    let words = places(text);
    Ok(match (words.as_slice(), prefix) {
        ([], _) => none(),
        ([(_, only)], None) => at.scored(only),
        ([(_, only)], Some(_)) => at.starting(only),
        (_, None) => at.phrase(&words, slop),
        (_, Some(_)) if slop > 0 => {
            return Err(EsError::argument(
                "[match_phrase_prefix] with [slop] is supported in the query of a search only",
            ));
        }
        (_, Some(most)) => {
            let terms = words.iter().map(|(place, word)| (*place, at.term(word))).collect();
            let mut query = PhrasePrefixQuery::new_with_offset(terms);
            query.set_max_expansions(u32::try_from(most).unwrap_or(u32::MAX));
            super::constant(Box::new(query), 1.0)
        }
    })
}

/// A phrase that ends with any of some words.
fn phrase_of(text: &str, slop: u32, lasts: &[String], at: &Words) -> Box<dyn Query> {
    let mut words = places(text);
    let Some((place, _)) = words.pop() else { return none() };
    let with = |last: &String| {
        if words.is_empty() {
            return at.scored(last);
        }
        let mut words = words.clone();
        words.push((place, last.clone()));
        at.phrase(&words, slop)
    };
    super::best(lasts.iter().map(with).collect(), 0.0)
}

pub(super) fn on_keyword(test: &Condition, path: &str) -> Compiled {
    let field = fields_of_schema().keyword;
    let term = |value: &Value| {
        let mut term = json_term(field, path);
        term.append_type_and_str(&plain_text(value));
        term
    };
    let is_whole = match test {
        Condition::Match(words) => {
            !words.prefix_last && words.fuzzy.as_ref().is_none_or(|how| how.edits.of(&words.text) == 0)
        }
        _ => true,
    };
    if let Some(values) = whole_values(test).filter(|_| is_whole) {
        let mut terms: Vec<Term> =
            values.iter().filter(|value| plain_text(value).len() <= KEYWORD_BYTES_MAX).map(term).collect();
        return Ok(match terms.len() {
            0 => none(),
            1 if matches!(test, Condition::Terms(_)) => terms.pop().map_or_else(none, super::term_query),
            1 => terms.pop().map_or_else(none, |term| super::scored_term(term, path, false)),
            _ => Box::new(TermSetQuery::new(terms)),
        });
    }
    match test {
        Condition::AnyOf(words) => Some(Ok(any_of(words, |word| super::scored_term(term(&word.into()), path, false)))),
        Condition::Match(WordsOf { text, fuzzy: Some(how), .. }) if how.edits.of(text) > 0 => {
            on_terms(&Condition::Fuzzy { text: text.clone(), how: how.clone() }, field, Some(path))
        }
        // A keyword is one word, and so its last.
        Condition::Match(WordsOf { text, .. }) | Condition::Phrase { text, .. } => {
            on_terms(&Condition::Prefix { text: text.clone(), case_insensitive: false }, field, Some(path))
        }
        Condition::WordPattern(pattern) => {
            on_terms(&Condition::Wildcard { pattern: pattern.clone(), case_insensitive: false }, field, Some(path))
        }
        other => on_terms(other, field, Some(path)),
    }
    .unwrap_or_else(|| Ok(none()))
}
