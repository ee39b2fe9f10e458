//! Clauses to tantivy queries, by the types of one index. A field that the index does not have matches nothing;
//! a value that makes no sense for a field's type matches nothing either, except as a bound of a range.

use std::ops::Bound;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use logmill_indexer_api::datemath;
use logmill_indexer_api::text::{self, Wildcard};
use serde_json::Value;
use tantivy::query::{AllQuery, BooleanQuery, EmptyQuery, Occur, PhrasePrefixQuery, PhraseQuery, Query, RangeQuery, TermQuery, TermSetQuery};
use tantivy::schema::{Field, IndexRecordOption};
use tantivy::{DateTime, Term};

use super::clause::{Bounds, Clause, Condition};
use super::error::EsError;
use super::fields::{self, Place};
use super::parse::plain_text;
use super::pattern::{PatternQuery, TermTest};
use crate::schema::{Fields, KEYWORD_BYTES_MAX, schema};
use crate::store::registry::{FieldType, Mapping};

/// What a query is compiled for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target<'a> {
    pub(crate) index: &'a str,
    pub(crate) mapping: &'a Mapping,
    pub(crate) now: Timestamp,
}

type Compiled = Result<Box<dyn Query>, EsError>;

/// Compiles a query.
pub(crate) fn compile(clause: &Clause, target: Target<'_>) -> Compiled {
    match clause {
        Clause::All => Ok(all()),
        Clause::None => Ok(none()),
        Clause::Ids(ids) => Ok(ids_query(ids)),
        Clause::On { field, test } => on(field, test, target),
        Clause::OnAny { fields, test } => {
            let fields = fields::expand(target.mapping, fields)?;
            any(fields.iter().map(|field| lenient(on(field, test, target))).collect::<Result<_, _>>()?)
        }
        Clause::Bool { must, should, must_not, minimum_should_match } => {
            let mut members: Vec<(Occur, Box<dyn Query>)> = Vec::new();
            for (occur, clauses) in [(Occur::Must, must), (Occur::MustNot, must_not)] {
                for clause in clauses {
                    members.push((occur, compile(clause, target)?));
                }
            }
            match minimum_should_match {
                // Beside required clauses, optional ones would only change the score.
                0 => {}
                1 => {
                    let optional = should.iter().map(|clause| compile(clause, target)).collect::<Result<_, _>>()?;
                    members.push((Occur::Must, any(optional)?));
                }
                minimum => {
                    let optional = should.iter().map(|clause| Ok((Occur::Should, compile(clause, target)?)));
                    let optional = optional.collect::<Result<Vec<_>, EsError>>()?;
                    members.push((Occur::Must, Box::new(BooleanQuery::with_minimum_required_clauses(optional, *minimum))));
                }
            }
            if members.iter().all(|(occur, _)| *occur == Occur::MustNot) {
                members.push((Occur::Must, all()));
            }
            Ok(match members.len() {
                1 => members.pop().map_or_else(none, |(_, only)| only),
                _ => Box::new(BooleanQuery::new(members)),
            })
        }
    }
}

/// Among many fields, one whose type does not fit the value is passed over.
fn lenient(compiled: Compiled) -> Compiled {
    compiled.or_else(|error| if error.status == 400 { Ok(none()) } else { Err(error) })
}

fn all() -> Box<dyn Query> {
    Box::new(AllQuery)
}

fn none() -> Box<dyn Query> {
    Box::new(EmptyQuery)
}

fn any(mut members: Vec<Box<dyn Query>>) -> Compiled {
    Ok(match members.len() {
        0 => none(),
        1 => members.pop().unwrap_or_else(none),
        _ => Box::new(BooleanQuery::union(members)),
    })
}

fn every(mut members: Vec<Box<dyn Query>>) -> Compiled {
    Ok(match members.len() {
        0 => none(),
        1 => members.pop().unwrap_or_else(none),
        _ => Box::new(BooleanQuery::intersection(members)),
    })
}

fn term_query(term: Term) -> Box<dyn Query> {
    Box::new(TermQuery::new(term, IndexRecordOption::Basic))
}

fn fields_of_schema() -> Fields {
    schema().1
}

fn on(field: &str, test: &Condition, target: Target<'_>) -> Compiled {
    if *test == Condition::Exists {
        return exists(field, target);
    }
    let keeping = fields_of_schema();
    match fields::place(target.mapping, field) {
        Place::Nowhere => Ok(none()),
        Place::Id => on_id(test),
        Place::Index => on_index(test, target),
        Place::Time => on_date(test, &Kept::Time, target),
        Place::Message => on_words(test, &Words { field: keeping.message, path: None }),
        Place::Text(path) => on_words(test, &Words { field: keeping.text, path: Some(path) }),
        Place::Value(path, FieldType::Date) => on_date(test, &Kept::Path(path), target),
        Place::Value(path, FieldType::Keyword | FieldType::Text) => on_keyword(test, &path),
        Place::Value(path, FieldType::Boolean) => on_boolean(test, &path),
        Place::Value(path, FieldType::Long | FieldType::Double) => on_number(test, &path, field),
    }
}

fn exists(field: &str, target: Target<'_>) -> Compiled {
    let keeping = fields_of_schema();
    match field {
        "_id" | "_index" | crate::schema::TIMESTAMP => return Ok(all()),
        _ => {}
    }
    let known = match fields::place(target.mapping, field) {
        Place::Value(path, _) | Place::Text(path) => vec![path],
        Place::Message => vec![field.to_owned()],
        _ => fields::with_children(target.mapping, field).into_iter().map(str::to_owned).collect(),
    };
    match known.as_slice() {
        [] => Ok(none()),
        [only] => Ok(term_query(Term::from_field_text(keeping.present, only))),
        several => {
            let terms = several.iter().map(|path| Term::from_field_text(keeping.present, path));
            Ok(Box::new(TermSetQuery::new(terms)))
        }
    }
}

/// The values that a condition compares with as a whole; `None` for conditions of another kind.
fn whole_values(test: &Condition) -> Option<Vec<Value>> {
    match test {
        Condition::Match { text, .. } | Condition::Phrase { text, prefix: false, .. } => Some(vec![text.as_str().into()]),
        Condition::Term { value, case_insensitive: false } => Some(vec![value.clone()]),
        Condition::Terms(values) => Some(values.clone()),
        _ => None,
    }
}

fn unsupported(test: &Condition, field: &str, kind: &str) -> EsError {
    let name = match test {
        Condition::Prefix { .. } => "prefix",
        Condition::Wildcard { .. } | Condition::WordPattern(_) => "wildcard",
        Condition::Regexp { .. } => "regexp",
        Condition::Fuzzy { .. } => "fuzzy",
        Condition::Range(_) => "range",
        Condition::Phrase { .. } => "match_phrase_prefix",
        _ => "term",
    };
    let reason = format!("Can only use {name} queries on keyword and text fields - not on [{field}] which is of type [{kind}]");
    EsError::new(400, "query_shard_exception", reason)
}

fn ids_query(ids: &[String]) -> Box<dyn Query> {
    let keeping = fields_of_schema();
    let mut members: Vec<Box<dyn Query>> = Vec::new();
    let chosen = ids.iter().map(|id| Term::from_field_text(keeping.id, id));
    members.push(Box::new(TermSetQuery::new(chosen)));
    let unnamed: Vec<Box<dyn Query>> = ids
        .iter()
        .filter_map(|id| fields::seq_of(id))
        .map(|seq| {
            let bound = || Bound::Included(Term::from_field_u64(keeping.seq, seq));
            Box::new(RangeQuery::new(bound(), bound())) as Box<dyn Query>
        })
        .collect();
    if !unnamed.is_empty() {
        let named = tantivy::query::ExistsQuery::new("id".to_owned(), false);
        members.push(Box::new(BooleanQuery::new(vec![
            (Occur::Must, Box::new(BooleanQuery::union(unnamed))),
            (Occur::MustNot, Box::new(named)),
        ])));
    }
    Box::new(BooleanQuery::union(members))
}

fn on_id(test: &Condition) -> Compiled {
    match whole_values(test) {
        Some(values) => Ok(ids_query(&values.iter().map(plain_text).collect::<Vec<_>>())),
        None => Err(EsError::new(400, "query_shard_exception", "[_id] can be queried by term, terms, match and ids only")),
    }
}

fn on_index(test: &Condition, target: Target<'_>) -> Compiled {
    let matches = match test {
        Condition::Prefix { text, .. } => target.index.starts_with(text.as_str()),
        Condition::Wildcard { pattern, .. } | Condition::WordPattern(pattern) => Wildcard::new(pattern).matches(target.index),
        other => match whole_values(other) {
            Some(values) => values.iter().any(|value| Wildcard::new(&plain_text(value)).matches(target.index)),
            None => return Err(EsError::new(400, "query_shard_exception", "[_index] can be queried by term, terms, prefix and wildcard only")),
        },
    };
    Ok(if matches { all() } else { none() })
}

fn json_term(field: Field, path: &str) -> Term {
    // Backslashes would escape; paths hold what the event's keys hold.
    Term::from_field_json_path(field, &path.replace('\\', "\\\\"), true)
}

/// Where the terms of a path are, and what they begin with.
fn text_path(field: Field, path: Option<&str>) -> Vec<u8> {
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
            let bound = |side: &Option<(Value, bool)>| side.as_ref().map(|(value, inclusive)| (plain_text(value), *inclusive));
            let (lower, upper) = (bound(&bounds.lower), bound(&bounds.upper));
            found("", Arc::new(move |term| {
                lower.as_ref().is_none_or(|(bound, inclusive)| term > bound.as_str() || *inclusive && term == bound)
                    && upper.as_ref().is_none_or(|(bound, inclusive)| term < bound.as_str() || *inclusive && term == bound)
            }))
        }
        _ => None,
    }
}

/// Compiled regular expressions may take so much memory.
const REGEX_BYTES_MAX: usize = 4 << 20;

/// A field of words.
struct Words {
    field: Field,
    path: Option<String>,
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

fn on_words(test: &Condition, at: &Words) -> Compiled {
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

fn on_keyword(test: &Condition, path: &str) -> Compiled {
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

fn on_boolean(test: &Condition, path: &str) -> Compiled {
    let Some(values) = whole_values(test) else { return Err(unsupported(test, path, "boolean")) };
    let term = |value: &Value| {
        let flag = match plain_text(value).as_str() {
            "true" => true,
            "false" => false,
            _ => return None,
        };
        let mut term = json_term(fields_of_schema().keyword, path);
        term.append_type_and_fast_value(flag);
        Some(term_query(term))
    };
    any(values.iter().filter_map(term).collect())
}

/// A number as the index keeps it: whole ones as `i64` where they fit, then `u64`, else `f64`.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Number {
    Long(i64),
    Unsigned(u64),
    Double(f64),
}

impl Number {
    fn of(value: &Value) -> Option<Self> {
        let text = plain_text(value);
        let text = text.trim();
        if let Ok(long) = text.parse() {
            return Some(Self::Long(long));
        }
        if let Ok(unsigned) = text.parse() {
            return Some(Self::Unsigned(unsigned));
        }
        let double: f64 = text.parse().ok().filter(|number: &f64| number.is_finite())?;
        // 2^63 is where whole floats stop fitting.
        let whole = double.fract() == 0.0 && double.abs() < 9_223_372_036_854_775_808.0;
        Some(if whole { Self::Long(double as i64) } else { Self::Double(double) })
    }

    fn as_f64(self) -> f64 {
        match self {
            Self::Long(number) => number as f64,
            Self::Unsigned(number) => number as f64,
            Self::Double(number) => number,
        }
    }

    fn term(self, path: &str) -> Term {
        let mut term = json_term(fields_of_schema().keyword, path);
        match self {
            Self::Long(number) => term.append_type_and_fast_value(number),
            Self::Unsigned(number) => term.append_type_and_fast_value(number),
            Self::Double(number) => term.append_type_and_fast_value(number),
        }
        term
    }
}

fn on_number(test: &Condition, path: &str, field: &str) -> Compiled {
    if let Some(values) = whole_values(test) {
        let terms: Vec<Term> = values.iter().filter_map(Number::of).map(|number| number.term(path)).collect();
        return Ok(match terms.as_slice() {
            [] => none(),
            [only] => term_query(only.clone()),
            _ => Box::new(TermSetQuery::new(terms)),
        });
    }
    let Condition::Range(bounds) = test else { return Err(unsupported(test, field, "long")) };
    let read = |side: &Option<(Value, bool)>| -> Result<Option<(Number, bool)>, EsError> {
        let Some((value, inclusive)) = side else { return Ok(None) };
        let refused = || EsError::new(400, "query_shard_exception", format!("failed to create query: [{}] is not a number, as [{field}] needs it", plain_text(value)));
        Number::of(value).map(|number| Some((number, *inclusive))).ok_or_else(refused)
    };
    let (lower, upper) = (read(&bounds.lower)?, read(&bounds.upper)?);
    if lower.is_none() && upper.is_none() {
        return Ok(term_query(Term::from_field_text(fields_of_schema().present, path)));
    }
    // Both bounds must be of one kind, or the library compares them wrongly.
    let whole = [lower, upper].iter().flatten().all(|(number, _)| matches!(number, Number::Long(_)));
    let bound = |side: Option<(Number, bool)>| match side {
        None => Bound::Unbounded,
        Some((number, inclusive)) => {
            let term = if whole { number.term(path) } else { Number::Double(number.as_f64()).term(path) };
            if inclusive { Bound::Included(term) } else { Bound::Excluded(term) }
        }
    };
    Ok(Box::new(RangeQuery::new(bound(lower), bound(upper))))
}

/// Where instants are kept.
enum Kept {
    Time,
    Path(String),
}

fn on_date(test: &Condition, kept: &Kept, target: Target<'_>) -> Compiled {
    let between = |lower: i64, upper: i64| -> Box<dyn Query> {
        if lower > upper {
            return none();
        }
        let term = |nanos: i64| {
            let instant = DateTime::from_timestamp_nanos(nanos);
            match kept {
                Kept::Time => Term::from_field_date(fields_of_schema().time, instant),
                Kept::Path(path) => {
                    let mut term = json_term(fields_of_schema().keyword, path);
                    term.append_type_and_fast_value(instant);
                    term
                }
            }
        };
        Box::new(RangeQuery::new(Bound::Included(term(lower)), Bound::Included(term(upper))))
    };
    if let Some(values) = whole_values(test) {
        let spans = values.iter().filter_map(|value| {
            let bounds = Bounds { lower: Some((value.clone(), true)), upper: Some((value.clone(), true)), ..Bounds::default() };
            nanos_of(&bounds, target.now).ok()
        });
        return any(spans.map(|(lower, upper)| between(lower, upper)).collect());
    }
    match test {
        Condition::Range(bounds) => {
            let (lower, upper) = nanos_of(bounds, target.now)?;
            Ok(between(lower, upper))
        }
        other => Err(unsupported(other, "@timestamp", "date")),
    }
}

/// Nanoseconds, both included, that a range of dates covers.
pub(crate) fn nanos_of(bounds: &Bounds, now: Timestamp) -> Result<(i64, i64), EsError> {
    let zone = match &bounds.time_zone {
        None => TimeZone::UTC,
        Some(name) => {
            datemath::zone_from(name).ok_or_else(|| EsError::argument(format!("[{name}] is not a time zone")))?
        }
    };
    let format = bounds.format.as_deref().unwrap_or_default();
    let read = |value: &Value, up: bool| -> Result<i64, EsError> {
        let seconds = format.contains("epoch_second") && !format.contains("epoch_millis");
        let factor = if seconds { 1e9 } else { 1e6 };
        let number = match value {
            Value::Number(number) => number.as_f64().map(|float| number.as_i64().map_or((float * factor) as i64, |whole| whole.saturating_mul(factor as i64))),
            Value::String(text) if seconds => text.parse::<f64>().ok().map(|float| (float * factor) as i64),
            _ => None,
        };
        if let Some(nanos) = number {
            return Ok(nanos);
        }
        let instant = datemath::parse_rounded(&plain_text(value), now, &zone, up);
        let instant = instant.map_err(|error| EsError::new(400, "parse_exception", format!("failed to parse date field: {error}")))?;
        Ok(i64::try_from(instant.as_nanosecond()).unwrap_or(if instant < now { i64::MIN } else { i64::MAX }))
    };
    let lower = match &bounds.lower {
        None => i64::MIN,
        Some((value, true)) => read(value, false)?,
        Some((value, false)) => read(value, true)?.saturating_add(1),
    };
    let upper = match &bounds.upper {
        None => i64::MAX,
        Some((value, true)) => read(value, true)?,
        Some((value, false)) => read(value, false)?.saturating_sub(1),
    };
    Ok((lower, upper))
}

/// The instants of `@timestamp` that any match must have, so that parts outside are not even opened.
pub(crate) fn time_bounds(clause: &Clause, now: Timestamp) -> (i64, i64) {
    match clause {
        Clause::On { field, test: Condition::Range(bounds) } if field == crate::schema::TIMESTAMP => {
            nanos_of(bounds, now).unwrap_or((i64::MIN, i64::MAX))
        }
        Clause::Bool { must, .. } => must.iter().fold((i64::MIN, i64::MAX), |(lower, upper), member| {
            let (inner_lower, inner_upper) = time_bounds(member, now);
            (lower.max(inner_lower), upper.min(inner_upper))
        }),
        _ => (i64::MIN, i64::MAX),
    }
}


