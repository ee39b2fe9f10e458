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

/// What the values of a field are, where a request has to write one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    Date,
    Number,
    Text,
    /// The indexes don't agree, or don't have the field.
    Anything,
}

/// Reads `search_after`.
///
/// # Errors
/// When there are more or fewer values than fields, or one can't be a value of its field: a page that begins nowhere
/// would look like the end.
pub(crate) fn read_after(
    values: &[Value],
    fields: &[SortField],
    written: impl Fn(&str) -> Written,
    now: Timestamp,
) -> Result<Vec<SortValue>, EsError> {
    if values.len() != fields.len() {
        let reason = format!("search_after has {} value(s) but sort has {}", values.len(), fields.len());
        return Err(EsError::argument(reason));
    }
    let one = |(value, field): (&Value, &SortField)| {
        let written = written(&field.field);
        match (written, value) {
            (Written::Number, Value::String(text)) => SortValue::of_number(text).ok_or_else(|| {
                EsError::argument(format!("Failed to parse search_after value for field [{}].", field.field))
            }),
            (Written::Text, Value::Number(number)) => Ok(SortValue::Text(number.to_string())),
            _ => field.read_value(value, written == Written::Date, now),
        }
    };
    values.iter().zip(fields).map(one).collect()
}
