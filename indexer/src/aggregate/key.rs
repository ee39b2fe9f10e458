//! The key of a bucket.

use serde_json::Value;
use tantivy::columnar::MonotonicallyMappableToU64 as _;

use super::format::Format;
use crate::query::columns;

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Key {
    /// No value.
    Null,
    Boolean(bool),
    Long(i64),
    Unsigned(u64),
    /// The bits of a float in an order that is the floats' own.
    Double(u64),
    /// Nanoseconds.
    Date(i64),
    Text(String),
    /// Of several sources.
    Many(Vec<Key>),
}

impl Key {
    pub(super) fn double(number: f64) -> Self {
        Self::Double(number.to_u64())
    }

    /// As a number, where it is one.
    pub(super) fn as_f64(&self) -> Option<f64> {
        use tantivy::columnar::MonotonicallyMappableToU64 as _;
        match self {
            Self::Boolean(flag) => Some(f64::from(u8::from(*flag))),
            Self::Long(number) => Some(*number as f64),
            Self::Unsigned(number) => Some(*number as f64),
            Self::Double(bits) => Some(f64::from_u64(*bits)),
            Self::Date(nanos) => Some(nanos.div_euclid(1_000_000) as f64),
            _ => None,
        }
    }

    pub(super) fn to_json(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Boolean(flag) => i64::from(*flag).into(),
            Self::Long(number) => (*number).into(),
            Self::Unsigned(number) => (*number).into(),
            Self::Double(bits) => columns::json_f64(f64::from_u64(*bits)),
            Self::Date(nanos) => nanos.div_euclid(1_000_000).into(),
            Self::Text(text) => text.as_str().into(),
            Self::Many(keys) => keys.iter().map(Self::to_json).collect(),
        }
    }

    /// `key_as_string`, where the key alone does not say it.
    pub(super) fn as_string(&self, format: Option<&Format>) -> Option<String> {
        match (self, format) {
            (Self::Boolean(flag), _) => Some(flag.to_string()),
            (Self::Date(nanos), format) => Some(Format::date(format, *nanos)),
            (Self::Long(_) | Self::Unsigned(_) | Self::Double(_), Some(format)) => {
                self.as_f64().map(|number| format.number(number))
            }
            (Self::Many(keys), format) => Some(keys.iter().map(|key| key.text(format)).collect::<Vec<_>>().join("|")),
            _ => None,
        }
    }

    /// In words, whatever it is.
    pub(super) fn text(&self, format: Option<&Format>) -> String {
        self.as_string(format).unwrap_or_else(|| match self {
            Self::Text(text) => text.clone(),
            other => other.to_json().to_string(),
        })
    }
}
