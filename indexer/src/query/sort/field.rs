//! Reading a sort: what each level is by.

use jiff::Timestamp;
use serde_json::Value;

use super::value::SortValue;
use crate::dates::Formats;
use crate::query::columns;
use crate::query::error::EsError;
use crate::query::strict::Members;

/// Sort fields that a request may name.
pub(super) const FIELDS_MAX: usize = 6;

/// One level of the order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SortField {
    pub(crate) field: String,
    pub(crate) descending: bool,
    /// Where documents without a value go.
    pub(crate) missing: Missing,
    pub(crate) format: Option<Formats>,
    /// Which of several values counts; `None`: the least for ascending, the greatest for descending.
    pub(crate) mode: Option<Mode>,
    /// What numbers are made to before they are compared.
    pub(crate) numeric: Option<Numeric>,
    /// Indexes that don't have the field are sorted as if all their values were missing.
    pub(crate) unmapped: bool,
}

/// Which of several values of a document counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Min,
    Max,
    Sum,
    Avg,
    Median,
}

/// `numeric_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Numeric {
    Long,
    Double,
    /// Instants, shown in milliseconds.
    Date,
    /// Instants, shown in nanoseconds.
    DateNanos,
}

/// Where documents without a value go.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Missing {
    First,
    Last,
    Instead(Value),
}

impl SortField {
    pub(crate) fn new(field: &str, descending: bool) -> Self {
        let field = field.to_owned();
        Self { field, descending, missing: Missing::Last, format: None, mode: None, numeric: None, unmapped: false }
    }

    /// Reads `sort`: names, objects, or an array of both.
    pub(crate) fn read_all(value: Value) -> Result<Vec<Self>, EsError> {
        let items = match value {
            Value::Array(items) => items,
            single => vec![single],
        };
        let mut fields = Vec::new();
        for item in items {
            match item {
                Value::String(text) => fields.push(Self::from_text(&text)?),
                other => {
                    let mut members = Members::new(other, "[sort]")?;
                    while let Some((field, options)) = members.take_one() {
                        fields.push(Self::read(&field, options)?);
                    }
                }
            }
        }
        if fields.len() > FIELDS_MAX {
            return Err(EsError::argument(format!("[sort] takes at most {FIELDS_MAX} fields, not {}", fields.len())));
        }
        Ok(fields)
    }

    /// `field` or `field:desc`.
    pub(crate) fn from_text(text: &str) -> Result<Self, EsError> {
        match text.rsplit_once(':') {
            Some((field, order)) => Self::read(field, order.into()),
            None => Ok(Self::new(text, text == "_score")),
        }
    }

    fn read(field: &str, options: Value) -> Result<Self, EsError> {
        if field == "_geo_distance" || field == "_script" {
            return Err(EsError::argument(format!("[sort] by [{field}] is not supported")));
        }
        let mut sort = Self::new(field, field == "_score");
        let mut members = match options {
            Value::String(order) => Members::new(serde_json::json!({ "order": order }), "[sort]")?,
            other => Members::new(other, format!("[sort] on [{field}]"))?,
        };
        let unmapped = members.string("unmapped_type")?.is_some();
        sort.unmapped = unmapped || members.boolean("ignore_unmapped")?.unwrap_or(false);
        match members.string("order")?.map(|order| order.to_ascii_lowercase()).as_deref() {
            None => {}
            Some("asc") => sort.descending = false,
            Some("desc") => sort.descending = true,
            Some(other) => return Err(EsError::argument(format!("[sort] needs asc or desc, not [{other}]"))),
        }
        sort.mode = match members.string("mode")?.as_deref() {
            None => None,
            Some("min") => Some(Mode::Min),
            Some("max") => Some(Mode::Max),
            Some("sum") => Some(Mode::Sum),
            Some("avg") => Some(Mode::Avg),
            Some("median") => Some(Mode::Median),
            Some(other) => return Err(EsError::argument(format!("Unknown SortMode [{other}]"))),
        };
        sort.numeric = match members.string("numeric_type")?.as_deref() {
            None => None,
            Some("long") => Some(Numeric::Long),
            Some("double") => Some(Numeric::Double),
            Some("date") => Some(Numeric::Date),
            Some("date_nanos") => Some(Numeric::DateNanos),
            Some(other) => {
                return Err(EsError::argument(format!(
                    "invalid value for [numeric_type], must be one of [long, double, date, date_nanos], not [{other}]"
                )));
            }
        };
        if members.take("nested").is_some() || members.take("nested_path").is_some() {
            return Err(EsError::argument(format!(
                "[sort] on [{field}]: [nested] is not supported, objects in arrays are kept flat; sort by the dotted name"
            )));
        }
        let refused = |error| EsError::argument(format!("[sort] on [{field}]: {error}"));
        sort.format =
            members.string("format")?.map(|format| Formats::read_to_write(&format).map_err(refused)).transpose()?;
        match members.take("missing") {
            None => {}
            Some(Value::String(place)) if place == "_last" => {}
            Some(Value::String(place)) if place == "_first" => sort.missing = Missing::First,
            Some(value) => sort.missing = Missing::Instead(value),
        }
        members.end().map(|()| sort)
    }

    /// Reads a value as `search_after` and `missing` have it.
    pub(crate) fn read_value(&self, value: &Value, is_date: bool, now: Timestamp) -> Result<SortValue, EsError> {
        if value.is_null() && self.missing == Missing::First {
            return Ok(SortValue::First);
        }
        SortValue::read(value, is_date, self.format.as_ref(), now)
    }

    /// A value as hits show it.
    pub(crate) fn show(&self, value: &SortValue) -> Value {
        match (self.numeric, value) {
            (Some(Numeric::DateNanos), SortValue::Date(nanos)) if self.format.is_none() => (*nanos).into(),
            (Some(Numeric::Date), SortValue::Date(nanos)) if self.format.is_none() => {
                nanos.div_euclid(1_000_000).into()
            }
            (_, SortValue::Text(text)) if text.starts_with(columns::ADDRESS) => columns::shown_address(text).into(),
            _ => value.to_json(self.format.as_ref()),
        }
    }
}
