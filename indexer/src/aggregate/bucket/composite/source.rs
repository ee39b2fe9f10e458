//! One source of combinations: what is asked for, the order of its keys, and how they are read and shown.

use std::cmp::Ordering;

use jiff::tz::TimeZone;
use serde_json::Value;

use crate::aggregate::format::Format;
use crate::aggregate::key::Key;
use crate::aggregate::read;
use crate::aggregate::rounding::Interval;
use crate::query::error::EsError;
use crate::query::strict::Members;

#[derive(Debug)]
pub(super) struct Source {
    pub(super) name: String,
    pub(super) field: String,
    pub(super) kind: SourceKind,
    pub(super) descending: bool,
    /// Documents without a value have a bucket too.
    pub(super) missing_bucket: bool,
    pub(super) missing_first: bool,
    pub(super) format: Option<Format>,
}

#[derive(Debug)]
pub(super) enum SourceKind {
    Terms,
    Histogram { interval: f64 },
    DateHistogram { interval: Interval, zone: TimeZone, offset_ms: i64 },
}

impl Source {
    pub(super) fn read(item: Value) -> Result<Self, EsError> {
        let mut named = Members::new(item, "[sources]")?;
        let Some((name, body)) = named.take_one() else {
            return Err(EsError::parsing("[sources] needs a name for each source"));
        };
        named.end()?;
        let mut kinds = Members::new(body, format!("the source [{name}]"))?;
        let Some((kind_name, body)) = kinds.take_one() else {
            return Err(EsError::parsing(format!("the source [{name}] needs a type")));
        };
        kinds.end()?;
        let mut members = Members::new(body, format!("[{kind_name}] source [{name}]"))?;
        members.ignore(&["value_type"]);
        let kind = match kind_name.as_str() {
            "terms" => SourceKind::Terms,
            "histogram" => {
                let interval = members.float("interval")?.filter(|interval| *interval > 0.0);
                let refused = || EsError::argument("[interval] must be greater than 0 for a [histogram] source");
                SourceKind::Histogram { interval: interval.ok_or_else(refused)? }
            }
            "date_histogram" => {
                let zone = read::zone(&mut members)?;
                SourceKind::DateHistogram {
                    interval: read::interval(&mut members)?,
                    zone,
                    offset_ms: read::offset(&mut members)?,
                }
            }
            other => {
                let reason =
                    format!("the source type [{other}] is not supported: use terms, histogram or date_histogram");
                return Err(EsError::parsing(reason));
            }
        };
        let descending = match members.string("order")?.map(|order| order.to_ascii_lowercase()).as_deref() {
            None | Some("asc") => false,
            Some("desc") => true,
            Some(other) => return Err(EsError::argument(format!("[order] must be asc or desc, not [{other}]"))),
        };
        let missing_bucket = members.boolean("missing_bucket")?.unwrap_or(false);
        let missing_first = match members.string("missing_order")?.as_deref() {
            Some(_) if !missing_bucket => {
                return Err(EsError::argument("missingOrder can only be set if missingBucket is true"));
            }
            None | Some("default") => !descending,
            Some("first") => true,
            Some("last") => false,
            Some(other) => {
                return Err(EsError::argument(format!(
                    "[missing_order] must be first, last or default, not [{other}]"
                )));
            }
        };
        let field = read::field(&mut members)?;
        let format = read::format(&mut members)?;
        members.end()?;
        Ok(Self { name, field, kind, descending, missing_bucket, missing_first, format })
    }

    pub(super) fn order(&self, a: &Key, b: &Key) -> Ordering {
        match (a, b) {
            (Key::Null, Key::Null) => Ordering::Equal,
            (Key::Null, _) if self.missing_first => Ordering::Less,
            (Key::Null, _) => Ordering::Greater,
            (_, Key::Null) if self.missing_first => Ordering::Greater,
            (_, Key::Null) => Ordering::Less,
            _ => {
                let order = match (a.as_f64(), b.as_f64()) {
                    // Whole numbers of one index beside fractions of another.
                    (Some(one), Some(other)) if std::mem::discriminant(a) != std::mem::discriminant(b) => {
                        one.total_cmp(&other)
                    }
                    _ => a.cmp(b),
                };
                if self.descending { order.reverse() } else { order }
            }
        }
    }

    /// A member of `after`.
    pub(super) fn read_key(&self, value: &Value) -> Result<Key, EsError> {
        let zone = match &self.kind {
            SourceKind::DateHistogram { zone, .. } => zone.clone(),
            _ => TimeZone::UTC,
        };
        Ok(match (&self.kind, value) {
            (_, Value::Null) if self.missing_bucket => Key::Null,
            (_, Value::Null) => {
                return Err(EsError::argument(format!(
                    "[after.{}] is null, but [missing_bucket] is not true",
                    self.name
                )));
            }
            (SourceKind::DateHistogram { .. }, value) => {
                Key::Date(read::date_ms(value, &zone, "[after]")?.saturating_mul(1_000_000))
            }
            (SourceKind::Histogram { .. }, value) => {
                let number = value.as_f64().or_else(|| value.as_str().and_then(|text| text.parse().ok()));
                Key::double(number.ok_or_else(|| EsError::argument(format!("[after.{}] must be a number", self.name)))?)
            }
            (SourceKind::Terms, Value::Bool(flag)) => Key::Boolean(*flag),
            (SourceKind::Terms, Value::String(text)) => Key::Text(text.clone()),
            (SourceKind::Terms, Value::Number(number)) => match (number.as_i64(), number.as_u64()) {
                (Some(long), _) => Key::Long(long),
                (_, Some(unsigned)) => Key::Unsigned(unsigned),
                _ => Key::double(number.as_f64().unwrap_or_default()),
            },
            _ => return Err(EsError::argument(format!("[after.{}] must be a plain value", self.name))),
        })
    }

    pub(super) fn shown(&self, key: &Key) -> Value {
        match (key, &self.kind) {
            (Key::Boolean(flag), _) => (*flag).into(),
            (Key::Date(nanos), SourceKind::DateHistogram { zone, .. }) if self.format.is_some() => {
                Format::zoned(self.format.as_ref(), *nanos, zone).into()
            }
            (Key::Date(_), _) if self.format.is_none() => key.to_json(),
            _ => key.as_string(self.format.as_ref()).map_or_else(|| key.to_json(), Value::String),
        }
    }
}
