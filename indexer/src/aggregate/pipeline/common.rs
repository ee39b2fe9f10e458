//! What many pipeline aggregations read and show in the same way.

use serde_json::{Map, Value};

use super::path::Path;
use crate::aggregate::format::Format;
use crate::aggregate::read;
use crate::query::columns::json_f64;
use crate::query::error::EsError;
use crate::query::strict::Members;

/// What happens where a bucket has no number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gap {
    Skip,
    Zeros,
    Keep,
}

/// What most of them have.
#[derive(Debug)]
pub(super) struct Common {
    pub(super) path: Path,
    pub(super) gap: Gap,
    pub(super) format: Option<Format>,
}

impl Common {
    pub(super) fn read(members: &mut Members) -> Result<Self, EsError> {
        let text = match members.required("buckets_path")? {
            Value::String(text) => text,
            Value::Array(mut items) if items.len() == 1 => match items.pop() {
                Some(Value::String(text)) => text,
                _ => return Err(EsError::parsing(format!("{} needs a path in [buckets_path]", members.what()))),
            },
            other => return Err(members.wrong("buckets_path", "one path", &other)),
        };
        Ok(Self { path: Path::read(&text)?, gap: Gap::read(members)?, format: read::format(members)? })
    }

    /// The number of a bucket: `None` where there is nothing at the path, no number where the gap is to be skipped.
    pub(super) fn number(&self, row: &Map<String, Value>) -> Result<Option<f64>, EsError> {
        self.gap.number(&self.path, row)
    }
}

impl Gap {
    pub(super) fn read(members: &mut Members) -> Result<Self, EsError> {
        match members.string("gap_policy")?.as_deref() {
            None | Some("skip") => Ok(Self::Skip),
            Some("insert_zeros") => Ok(Self::Zeros),
            Some("keep_values") => Ok(Self::Keep),
            Some(other) => Err(EsError::argument(format!(
                "Invalid gap policy: [{other}], accepted values: [insert_zeros, skip, keep_values]"
            ))),
        }
    }

    pub(super) fn number(self, path: &Path, row: &Map<String, Value>) -> Result<Option<f64>, EsError> {
        let Some(number) = path.number(row)? else { return Ok(None) };
        // A count is never missing.
        let is_empty = row.get("doc_count").and_then(Value::as_u64) == Some(0) && !path.is_count();
        if number.is_finite() && !is_empty {
            return Ok(Some(number));
        }
        Ok(Some(match self {
            Self::Skip => f64::NAN,
            Self::Zeros => 0.0,
            Self::Keep if number.is_finite() => number,
            Self::Keep => f64::NAN,
        }))
    }
}

/// `value`, null when it is no number.
pub(super) fn simple(number: f64, format: Option<&Format>) -> Map<String, Value> {
    let mut members = Map::new();
    members.insert("value".to_owned(), json_f64(number));
    if let Some(format) = format.filter(|_| number.is_finite()) {
        members.insert("value_as_string".to_owned(), format.number(number).into());
    }
    members
}
