//! Clauses to tantivy queries, by the types of one index. A field that the index does not have matches nothing;
//! a value that makes no sense for a field's type matches nothing either, except as a bound of a range.

mod addresses;
mod terms;
mod values;

use std::ops::Bound;

use jiff::Timestamp;
use logmill_indexer_api::text::Wildcard;
use serde_json::Value;
use tantivy::Term;
use tantivy::query::{
    AllQuery, BooleanQuery, BoostQuery, ConstScoreQuery, DisjunctionMaxQuery, EmptyQuery, Occur, Query, RangeQuery,
    TermQuery, TermSetQuery,
};
use tantivy::schema::IndexRecordOption;

use super::clause::{Bounds, Clause, Combine, Condition, Weighted, Words as WordsOf};
use super::error::EsError;
use super::exclude::Excluded;
use super::fields::{self, Place};
use super::parse::plain_text;
use super::range::GuardedRange;
use super::scoring::{Demoting, InField};
use crate::ingest::parse::overflow_term;
use crate::schema::{Fields, schema};
use crate::store::registry::{FieldType, Mapping};
use addresses::on_ip;
use terms::{Words, on_keyword, on_words};
pub(crate) use terms::{near, text_path};
pub(crate) use values::{ALL_TIMES, nanos_of, time_bounds};
use values::{Kept, on_boolean, on_date, on_number};

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
        Clause::OnAny { fields, test, combine } => on_any(fields, test, *combine, target),
        Clause::Boosted(inner, boost) => Ok(Box::new(BoostQuery::new(compile_member(inner, target)?, *boost))),
        Clause::Constant(inner, score) => Ok(Box::new(ConstScoreQuery::new(compile(inner, target)?, *score))),
        Clause::BestOf { members, tie_breaker } => {
            let members = members.iter().map(|member| compile_member(member, target)).collect::<Result<_, _>>()?;
            Ok(best(members, *tie_breaker))
        }
        Clause::Demoted { positive, negative, by } => Ok(Box::new(Demoting {
            positive: compile_member(positive, target)?,
            negative: compile(negative, target)?,
            by: *by,
        })),
        Clause::Named(_, inner) => compile(inner, target),
        Clause::Bool { must, filter, should, must_not, minimum_should_match } => {
            let mut members: Vec<(Occur, Box<dyn Query>)> = Vec::new();
            for clause in must {
                members.push((Occur::Must, compile_member(clause, target)?));
            }
            for clause in filter {
                members.push((Occur::Must, constant(compile(clause, target)?, 0.0)));
            }
            for clause in must_not {
                members.push((Occur::MustNot, Box::new(Excluded(compile(clause, target)?))));
            }
            let required = !must.is_empty() || !filter.is_empty();
            let optional: Vec<Box<dyn Query>> =
                should.iter().map(|clause| compile_member(clause, target)).collect::<Result<_, _>>()?;
            match (*minimum_should_match).max(usize::from(!required && !should.is_empty())) {
                // Beside required clauses, optional ones only change the score.
                0 => members.extend(optional.into_iter().map(|query| (Occur::Should, query))),
                minimum => members.push((Occur::Must, at_least(optional, minimum))),
            }
            if members.iter().all(|(occur, _)| *occur == Occur::MustNot) {
                members.push((Occur::Must, constant(all(), 0.0)));
            }
            Ok(match members.len() {
                1 => members.pop().map_or_else(none, |(_, only)| only),
                _ => Box::new(BooleanQuery::with_minimum_required_clauses(members, 0)),
            })
        }
    }
}

/// As part of another query. The library takes what matches everything out of those, and its score with it.
fn compile_member(clause: &Clause, target: Target<'_>) -> Compiled {
    let query = compile(clause, target)?;
    Ok(if query.is::<AllQuery>() { constant(query, 1.0) } else { query })
}

fn constant(query: Box<dyn Query>, score: f32) -> Box<dyn Query> {
    Box::new(ConstScoreQuery::new(query, score))
}

/// At least so many of these, at least one.
fn at_least(mut members: Vec<Box<dyn Query>>, minimum: usize) -> Box<dyn Query> {
    match (members.len(), minimum) {
        (number, minimum) if minimum > number => none(),
        (1, _) => members.pop().unwrap_or_else(none),
        (number, minimum) if minimum == number => Box::new(BooleanQuery::intersection(members)),
        _ => Box::new(BooleanQuery::union_with_minimum_required_clauses(members, minimum)),
    }
}

/// Any of these, scored by the best and a share of the others.
fn best(mut members: Vec<Box<dyn Query>>, tie_breaker: f32) -> Box<dyn Query> {
    match members.len() {
        0 => none(),
        1 => members.pop().unwrap_or_else(none),
        _ => Box::new(DisjunctionMaxQuery::with_tie_breaker(members, tie_breaker)),
    }
}

/// A condition on several fields.
fn on_any(fields: &[Weighted], test: &Condition, combine: Combine, target: Target<'_>) -> Compiled {
    let fields = fields::expand_weighted(target.mapping, fields)?;
    let one = |field: &Weighted, test: &Condition| -> Compiled {
        let query = lenient(on(&field.name, test, target))?;
        let plain = (field.boost - 1.0).abs() < f32::EPSILON;
        Ok(if plain { query } else { Box::new(BoostQuery::new(query, field.boost)) })
    };
    let each = |fields: &[Weighted]| fields.iter().map(|field| one(field, test)).collect::<Result<Vec<_>, _>>();
    match (combine, test) {
        (Combine::Best(tie_breaker), _) => Ok(best(each(&fields)?, tie_breaker)),
        (Combine::Sum, _) => any(each(&fields)?),
        (Combine::Cross(tie_breaker), Condition::Match(words)) => {
            let is_words = |field: &Weighted| {
                matches!(fields::place(target.mapping, &field.name), Place::Message | Place::Text(_))
            };
            let (of_words, others): (Vec<Weighted>, Vec<Weighted>) = fields.into_iter().partition(is_words);
            let mut groups = each(&others)?;
            if !of_words.is_empty() {
                let mut members = Vec::new();
                for (_, word) in logmill_indexer_api::text::words(&words.text) {
                    let word = Condition::Match(WordsOf::of(&word, false));
                    let found = of_words.iter().map(|field| one(field, &word)).collect::<Result<Vec<_>, _>>()?;
                    members.push(best(found, tie_breaker));
                }
                groups.push(terms::of_words(members, words));
            }
            Ok(best(groups, tie_breaker))
        }
        (Combine::Cross(tie_breaker), _) => Ok(best(each(&fields)?, tie_breaker)),
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

/// Every match has the score 1.
fn term_query(term: Term) -> Box<dyn Query> {
    constant(Box::new(TermQuery::new(term, IndexRecordOption::Basic)), 1.0)
}

/// Scored by how rare the term is in its field, and how often the document has it where that is kept.
fn scored_term(term: Term, path: &str, counted: bool) -> Box<dyn Query> {
    let option = if counted { IndexRecordOption::WithFreqs } else { IndexRecordOption::Basic };
    in_field(Box::new(TermQuery::new(term.clone(), option)), vec![term], path)
}

fn in_field(query: Box<dyn Query>, terms: Vec<Term>, path: &str) -> Box<dyn Query> {
    Box::new(InField { query, terms, present: Term::from_field_text(fields_of_schema().present, path) })
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
        Place::Nowhere => Ok(on_overflow(test, field)),
        Place::InSource(es_type) => {
            let reason =
                format!("Cannot search on field [{field}] of type [{es_type}]: it is kept in the source alone");
            Err(EsError::new(400, "query_shard_exception", reason))
        }
        Place::Id => on_id(test),
        Place::Index => on_index(test, target),
        Place::Time => on_date(test, &Kept::Time, target),
        Place::Message => on_words(test, &Words { field: keeping.message, path: None }),
        Place::Text(path) => on_words(test, &Words { field: keeping.text, path: Some(path) }),
        Place::Value(path, FieldType::Date) => {
            let twin = twin(test, &path, target);
            let tests = with_format(test, &path, target);
            let kept = Kept::Path(path);
            let found = tests.iter().map(|test| on_date(test, &kept, target)).collect::<Result<_, _>>();
            or_twin(found.and_then(any), twin)
        }
        Place::Value(path, FieldType::Keyword | FieldType::Text) => on_keyword(test, &path),
        Place::Value(path, FieldType::Boolean) => or_twin(on_boolean(test, &path), twin(test, &path, target)),
        Place::Value(path, FieldType::Ip) => or_twin(on_ip(test, &path, field), twin(test, &path, target)),
        Place::Value(path, FieldType::Long | FieldType::Double) => {
            or_twin(on_number(test, &path, field), twin(test, &path, target))
        }
    }
}

/// Dates are read by the field's own format where a request names none; each value becomes a range then.
fn with_format(test: &Condition, path: &str, target: Target<'_>) -> Vec<Condition> {
    let Some(field) = target.mapping.field(path) else { return vec![test.clone()] };
    if let Condition::Range(bounds) = test {
        let format = bounds.format.clone().or_else(|| Some(field.formats.clone()));
        return vec![Condition::Range(Bounds { format, ..bounds.clone() })];
    }
    let Some(values) = whole_values(test) else { return vec![test.clone()] };
    let ranges = values.into_iter().map(|value| Bounds {
        lower: Some((value.clone(), true)),
        upper: Some((value, true)),
        format: Some(field.formats.clone()),
        ..Bounds::default()
    });
    // A value that is no instant matches nothing.
    let is_instant = |bounds: &Bounds| nanos_of(bounds, target.now).is_ok();
    ranges.filter(is_instant).map(Condition::Range).collect()
}

/// What did not fit a path's type is a keyword beside it, and is found by its exact value.
fn twin(test: &Condition, path: &str, target: Target<'_>) -> Option<Box<dyn Query>> {
    let twin = format!("{path}.str");
    if target.mapping.get(&twin) != Some(&FieldType::Keyword) || whole_values(test).is_none() {
        return None;
    }
    on_keyword(test, &twin).ok()
}

fn or_twin(found: Compiled, twin: Option<Box<dyn Query>>) -> Compiled {
    match twin {
        None => found,
        Some(twin) => any(vec![found?, twin]),
    }
}

/// A path for which an index had no room is found by its exact value.
fn on_overflow(test: &Condition, path: &str) -> Box<dyn Query> {
    let terms = whole_values(test).unwrap_or_default();
    let terms = terms.iter().filter_map(|value| overflow_term(path, &plain_text(value)));
    let terms: Vec<Term> = terms.map(|term| Term::from_field_text(fields_of_schema().present, &term)).collect();
    match terms.as_slice() {
        [] => none(),
        [only] => term_query(only.clone()),
        _ => Box::new(TermSetQuery::new(terms)),
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
        // It may be one for which there was no room.
        [] => Ok(term_query(Term::from_field_text(keeping.present, field))),
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
        Condition::Match(WordsOf { text, .. }) | Condition::Phrase { text, prefix: None, .. } => {
            Some(vec![text.as_str().into()])
        }
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
    let reason =
        format!("Can only use {name} queries on keyword and text fields - not on [{field}] which is of type [{kind}]");
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
            Box::new(GuardedRange(RangeQuery::new(bound(), bound()))) as Box<dyn Query>
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
        None => {
            Err(EsError::new(400, "query_shard_exception", "[_id] can be queried by term, terms, match and ids only"))
        }
    }
}

fn on_index(test: &Condition, target: Target<'_>) -> Compiled {
    let matches = match test {
        Condition::Prefix { text, .. } => target.index.starts_with(text.as_str()),
        Condition::Wildcard { pattern, .. } | Condition::WordPattern(pattern) => {
            Wildcard::new(pattern).matches(target.index)
        }
        other => match whole_values(other) {
            Some(values) => values.iter().any(|value| Wildcard::new(&plain_text(value)).matches(target.index)),
            None => {
                return Err(EsError::new(
                    400,
                    "query_shard_exception",
                    "[_index] can be queried by term, terms, prefix and wildcard only",
                ));
            }
        },
    };
    Ok(if matches { all() } else { none() })
}
