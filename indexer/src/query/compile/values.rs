//! Conditions on booleans, numbers and instants.

use std::ops::Bound;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use logmill_indexer_api::datemath;
use serde_json::Value;
use tantivy::query::{Query, RangeQuery, TermSetQuery};
use tantivy::{DateTime, Term};

use super::terms::json_term;
use super::{Compiled, Target, any, fields_of_schema, none, term_query, unsupported, whole_values};
use crate::dates::Formats;
use crate::query::clause::{Bounds, Clause, Condition};
use crate::query::error::EsError;
use crate::query::parse::plain_text;
use crate::query::range::GuardedRange;

pub(super) fn on_boolean(test: &Condition, path: &str) -> Compiled {
    let Some(values) = whole_values(test) else { return Err(unsupported(test, path, "boolean")) };
    let term = |value: &Value| {
        let flag = match plain_text(value).as_str() {
            "true" => true,
            "false" => false,
            _ => return None,
        };
        let mut term = json_term(fields_of_schema().keyword, path);
        term.append_type_and_fast_value(flag);
        Some(super::scored_term(term, path, false))
    };
    let found = values.iter().filter_map(term).collect();
    // A set of values counts as one, whichever of them is there.
    Ok(if matches!(test, Condition::Terms(_)) { super::constant(any(found)?, 1.0) } else { any(found)? })
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

pub(super) fn on_number(test: &Condition, path: &str, field: &str) -> Compiled {
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
        let refused = || {
            EsError::new(
                400,
                "query_shard_exception",
                format!("failed to create query: [{}] is not a number, as [{field}] needs it", plain_text(value)),
            )
        };
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
    Ok(Box::new(GuardedRange(RangeQuery::new(bound(lower), bound(upper)))))
}

/// Where instants are kept.
pub(super) enum Kept {
    Time,
    Path(String),
}

pub(super) fn on_date(test: &Condition, kept: &Kept, target: Target<'_>) -> Compiled {
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
        Box::new(GuardedRange(RangeQuery::new(Bound::Included(term(lower)), Bound::Included(term(upper)))))
    };
    if let Some(values) = whole_values(test) {
        let spans = values.iter().filter_map(|value| {
            let bounds =
                Bounds { lower: Some((value.clone(), true)), upper: Some((value.clone(), true)), ..Bounds::default() };
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
    let formats = bounds.format.as_ref();
    let factor = if formats.is_some_and(Formats::count_seconds) { 1e9 } else { 1e6 };
    let read = |value: &Value, up: bool| -> Result<i64, EsError> {
        let text = plain_text(value);
        if let Some(nanos) = formats.and_then(|formats| formats.parse_rounded(&text, &zone, up)) {
            return Ok(nanos);
        }
        if let Value::Number(number) = value {
            let whole = number.as_i64().map(|whole| whole.saturating_mul(factor as i64));
            return Ok(whole.unwrap_or((number.as_f64().unwrap_or_default() * factor) as i64));
        }
        let instant = datemath::parse_rounded(&text, now, &zone, up);
        let instant = instant
            .map_err(|error| EsError::new(400, "parse_exception", format!("failed to parse date field: {error}")))?;
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

/// From the first instant to the last.
pub(crate) const ALL_TIMES: (i64, i64) = (i64::MIN, i64::MAX);

/// The instants of `@timestamp` that any match must have, so that parts outside are not even opened.
pub(crate) fn time_bounds(clause: &Clause, now: Timestamp) -> (i64, i64) {
    match clause {
        Clause::On { field, test: Condition::Range(bounds) } if field == crate::schema::TIMESTAMP => {
            nanos_of(bounds, now).unwrap_or(ALL_TIMES)
        }
        Clause::Boosted(inner, _) | Clause::Constant(inner, _) | Clause::Named(_, inner) => time_bounds(inner, now),
        Clause::Demoted { positive, .. } => time_bounds(positive, now),
        Clause::Bool { must, filter, .. } => must.iter().chain(filter).fold(ALL_TIMES, |(lower, upper), member| {
            let (inner_lower, inner_upper) = time_bounds(member, now);
            (lower.max(inner_lower), upper.min(inner_upper))
        }),
        _ => ALL_TIMES,
    }
}
