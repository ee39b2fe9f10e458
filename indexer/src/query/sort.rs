//! The order of hits. Within a part every document has a key of plain integers, so that comparing is cheap; across
//! parts the values themselves are compared. A hidden last key (the place on the bus) makes every order total.

mod field;
mod part;
mod value;

use std::cmp::Ordering;

use jiff::Timestamp;
use serde_json::Value;

pub(crate) use field::SortField;
pub(crate) use part::{Key, PartOrder};
pub(crate) use value::SortValue;

use super::error::EsError;

/// Compares whole orders.
pub(crate) fn order(a: &[SortValue], b: &[SortValue], fields: &[SortField]) -> Ordering {
    let hidden_descending = fields.first().is_none_or(|field| field.descending);
    for (at, (a, b)) in a.iter().zip(b).enumerate() {
        let descending = fields.get(at).map_or(hidden_descending, |field| field.descending);
        match a.order(b, descending) {
            Ordering::Equal => {}
            unequal => return unequal,
        }
    }
    Ordering::Equal
}

/// Reads `search_after`.
pub(crate) fn read_after(
    values: &[Value],
    fields: &[SortField],
    is_date: impl Fn(&str) -> bool,
    now: Timestamp,
) -> Result<Vec<SortValue>, EsError> {
    if values.len() != fields.len() {
        let reason = format!("search_after has {} value(s) but sort has {}", values.len(), fields.len());
        return Err(EsError::argument(reason));
    }
    values.iter().zip(fields).map(|(value, field)| field.read_value(value, is_date(&field.field), now)).collect()
}
