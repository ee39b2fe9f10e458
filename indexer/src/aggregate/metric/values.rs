//! The numbers that metrics are made of, and how those are shown.

use logmill_indexer_api::datemath;
use serde_json::{Map, Value};

use crate::aggregate::collect::Place;
use crate::aggregate::format::Format;
use crate::aggregate::read;
use crate::aggregate::stats::ValueKind;
use crate::query::columns::{NumberKind, Values, json_f64};
use crate::query::error::EsError;
use crate::query::parse::plain_text;

/// The numbers of a field; fields that have none are refused in Elasticsearch's words.
pub(super) fn numbers_of(place: Place<'_>, field: &str, aggregation: &str) -> Result<Values, EsError> {
    match Values::open(place.part, place.target.mapping, field)? {
        Values::Strings(_) | Values::Constant(_) => Err(read::wrong_type(field, "keyword", aggregation)),
        values => Ok(values),
    }
}

pub(super) fn kind_of(values: &Values) -> ValueKind {
    match values {
        Values::Numbers(_, NumberKind::Date) => ValueKind::Date,
        Values::Numbers(_, NumberKind::Boolean) => ValueKind::Boolean,
        _ => ValueKind::Number,
    }
}

/// The number that stands in for a missing value; dates in milliseconds.
pub(super) fn stand_in(value: Option<&Value>, place: Place<'_>) -> Result<Option<f64>, EsError> {
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
pub(super) fn slot<T: Default>(found: &mut Vec<T>, owner: u32) -> Option<&mut T> {
    let at = owner as usize;
    if at >= found.len() {
        found.resize_with(at + 1, T::default);
    }
    found.get_mut(at)
}

/// `value_as_string` of a number, where there is one.
pub(super) fn as_string(number: f64, kind: ValueKind, format: Option<&Format>) -> Option<String> {
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
pub(super) fn single(number: Option<f64>, kind: ValueKind, format: Option<&Format>) -> Map<String, Value> {
    let mut members = Map::new();
    members.insert("value".to_owned(), number.map_or(Value::Null, json_f64));
    if let Some(text) = number.and_then(|number| as_string(number, kind, format)) {
        members.insert("value_as_string".to_owned(), text.into());
    }
    members
}
