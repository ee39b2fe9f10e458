//! Aggregations that answer with numbers, or with documents.

mod best;
mod boxplot;
mod cardinality;
mod numbers;
mod percentiles;
mod rate;
mod string_stats;
mod top_hits;
mod top_metrics;
mod weighted_avg;

use std::sync::Arc;

use serde_json::{Map, Value};

use super::aggregator::Aggregator;
use super::format::Format;
use super::stats::ValueKind;
use super::{Place, read};
use crate::query::columns::{NumberKind, Values, json_f64};
use crate::query::error::EsError;
use crate::query::parse::plain_text;
use crate::query::strict::Members;
use logmill_indexer_api::datemath;

/// An aggregation of this file's kind, read; `None` when it is not one.
pub(super) fn read(name: &str, body: Value) -> Option<Result<Arc<dyn Aggregator>, EsError>> {
    let members = |body| Members::new(body, format!("[{name}] aggregation"));
    if let Some(kind) = numbers::Kind::of(name) {
        return Some(members(body).and_then(|members| numbers::Numbers::read(kind, members)));
    }
    Some(match name {
        "cardinality" => members(body).and_then(cardinality::Cardinality::read),
        "percentiles" => members(body).and_then(percentiles::Percentiles::read),
        "percentile_ranks" => members(body).and_then(percentiles::PercentileRanks::read),
        "median_absolute_deviation" => members(body).and_then(percentiles::MedianAbsoluteDeviation::read),
        "boxplot" => members(body).and_then(boxplot::Boxplot::read),
        "weighted_avg" => members(body).and_then(weighted_avg::WeightedAvg::read),
        "string_stats" => members(body).and_then(string_stats::StringStats::read),
        "rate" => members(body).and_then(rate::Rate::read),
        "top_hits" => members(body).and_then(top_hits::TopHits::read),
        "top_metrics" => members(body).and_then(top_metrics::TopMetrics::read),
        _ => return None,
    })
}

/// The numbers of a field; fields that have none are refused in Elasticsearch's words.
fn numbers_of(place: Place<'_>, field: &str, aggregation: &str) -> Result<Values, EsError> {
    match Values::open(place.part, place.target.mapping, field)? {
        Values::Strings(_) | Values::Constant(_) => Err(read::wrong_type(field, "keyword", aggregation)),
        values => Ok(values),
    }
}

fn kind_of(values: &Values) -> ValueKind {
    match values {
        Values::Numbers(_, NumberKind::Date) => ValueKind::Date,
        Values::Numbers(_, NumberKind::Boolean) => ValueKind::Boolean,
        _ => ValueKind::Number,
    }
}

/// The number that stands in for a missing value; dates in milliseconds.
fn stand_in(value: Option<&Value>, place: Place<'_>) -> Result<Option<f64>, EsError> {
    let Some(value) = value else { return Ok(None) };
    if let Value::Bool(flag) = value {
        return Ok(Some(f64::from(u8::from(*flag))));
    }
    let text = plain_text(value);
    if let Some(number) = text.parse().ok().filter(|number: &f64| number.is_finite()) {
        return Ok(Some(number));
    }
    let instant = datemath::parse(&text, place.target.now);
    let refused = |_| EsError::argument(format!("[missing] must be a number, not [{text}]"));
    instant.map(|instant| Some(instant.as_millisecond() as f64)).map_err(refused)
}

/// The state of an owner, made when it is first needed.
fn slot<T: Default>(found: &mut Vec<T>, owner: u32) -> Option<&mut T> {
    let at = owner as usize;
    if at >= found.len() {
        found.resize_with(at + 1, T::default);
    }
    found.get_mut(at)
}

/// `value_as_string` of a number, where there is one.
fn as_string(number: f64, kind: ValueKind, format: Option<&Format>) -> Option<String> {
    if !number.is_finite() {
        return None;
    }
    match (kind, format) {
        (ValueKind::Date, format) => Some(Format::date(format, (number as i64).saturating_mul(1_000_000))),
        (_, Some(format)) => Some(format.number(number)),
        (ValueKind::Boolean, None) => Some((number != 0.0).to_string()),
        (ValueKind::Number, None) => None,
    }
}

/// `value`, and `value_as_string` where there is one.
fn single(number: Option<f64>, kind: ValueKind, format: Option<&Format>) -> Map<String, Value> {
    let mut members = Map::new();
    members.insert("value".to_owned(), number.map_or(Value::Null, json_f64));
    if let Some(text) = number.and_then(|number| as_string(number, kind, format)) {
        members.insert("value_as_string".to_owned(), text.into());
    }
    members
}

// What pipeline aggregations over buckets show in the same way.
pub(super) use numbers::{extended, shown as shown_stats};
pub(super) use percentiles::{read_numbers, shown as percentile_values};
