//! The values that hits are ordered by, and which of two comes first.

use std::cmp::Ordering;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;
use tantivy::columnar::MonotonicallyMappableToU64;

use crate::dates::{self, Formats};
use crate::query::clause::Bounds;
use crate::query::columns::{self, NumberKind};
use crate::query::compile;
use crate::query::error::EsError;

/// A value that hits are ordered by.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum SortValue {
    /// Before all others.
    First,
    Long(i64),
    Unsigned(u64),
    Double(f64),
    Boolean(bool),
    /// Nanoseconds since 1970.
    Date(i64),
    Text(String),
    /// After all others.
    Last,
}

impl SortValue {
    /// Reads a value as `search_after` has it; `null` is no value, and comes last.
    pub(crate) fn read(
        value: &Value,
        is_date: bool,
        format: Option<&Formats>,
        now: Timestamp,
    ) -> Result<Self, EsError> {
        Ok(match value {
            Value::Null => Self::Last,
            Value::Bool(flag) => Self::Boolean(*flag),
            _ if is_date => {
                let lower = Some((value.clone(), true));
                let bounds = Bounds { lower, format: format.cloned(), ..Bounds::default() };
                Self::Date(compile::nanos_of(&bounds, now)?.0)
            }
            Value::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
                (Some(long), ..) => Self::Long(long),
                (_, Some(unsigned), _) => Self::Unsigned(unsigned),
                (_, _, Some(double)) => Self::Double(double),
                _ => return Err(EsError::argument("a number of [search_after] is out of range")),
            },
            Value::String(text) => Self::Text(text.clone()),
            _ => return Err(EsError::argument("[search_after] takes plain values only")),
        })
    }

    /// A number that stands in quotation marks.
    pub(super) fn of_number(text: &str) -> Option<Self> {
        let text = text.trim();
        let long = text.parse().map(Self::Long).ok();
        let unsigned = || text.parse().map(Self::Unsigned).ok();
        let double = || text.parse::<f64>().ok().filter(|number| number.is_finite()).map(Self::Double);
        long.or_else(unsigned).or_else(double)
    }

    /// As hits show it. Dates in milliseconds, or as text where those would not be exact: paging must not skip any.
    pub(crate) fn to_json(&self, format: Option<&Formats>) -> Value {
        match self {
            Self::First | Self::Last => Value::Null,
            Self::Long(number) => (*number).into(),
            Self::Unsigned(number) => (*number).into(),
            Self::Double(number) => columns::json_f64(*number),
            Self::Boolean(flag) => i64::from(*flag).into(),
            Self::Date(nanos) => match format {
                Some(format) => format.print(*nanos, &TimeZone::UTC).into(),
                None if nanos.rem_euclid(1_000_000) == 0 => (nanos / 1_000_000).into(),
                None => dates::rfc3339(*nanos).into(),
            },
            Self::Text(text) => text.as_str().into(),
        }
    }

    /// The value of a column's bits.
    pub(crate) fn of_bits(kind: NumberKind, bits: u64) -> Self {
        match kind {
            NumberKind::Long => Self::Long(i64::from_u64(bits)),
            NumberKind::Unsigned => Self::Unsigned(bits),
            NumberKind::Double => Self::Double(f64::from_u64(bits)),
            NumberKind::Boolean => Self::Boolean(bits == 1),
            NumberKind::Date => Self::Date(i64::from_u64(bits)),
        }
    }

    pub(super) const fn rank(&self) -> u8 {
        match self {
            Self::First => 0,
            Self::Last => 3,
            Self::Text(_) => 2,
            _ => 1,
        }
    }

    pub(super) fn as_i128(&self) -> Option<i128> {
        match self {
            Self::Long(number) | Self::Date(number) => Some(i128::from(*number)),
            Self::Unsigned(number) => Some(i128::from(*number)),
            Self::Boolean(flag) => Some(i128::from(*flag)),
            _ => None,
        }
    }

    pub(super) fn as_f64(&self) -> f64 {
        match self {
            Self::Double(number) => *number,
            other => other.as_i128().map_or(0.0, |number| number as f64),
        }
    }

    /// Which comes first.
    pub(crate) fn order(&self, other: &Self, descending: bool) -> Ordering {
        let ranks = (self.rank(), other.rank());
        let ends = |rank: u8| rank == 0 || rank == 3;
        let order = match (self, other) {
            _ if ends(ranks.0) || ends(ranks.1) => return ranks.0.cmp(&ranks.1),
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            _ if ranks.0 != ranks.1 => ranks.0.cmp(&ranks.1),
            _ => match (self.as_i128(), other.as_i128()) {
                (Some(a), Some(b)) => a.cmp(&b),
                _ => self.as_f64().total_cmp(&other.as_f64()),
            },
        };
        if descending { order.reverse() } else { order }
    }
}
