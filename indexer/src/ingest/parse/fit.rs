//! What becomes of a value in a field that a mapping tells about, as in Elasticsearch.

use std::fmt;

use crate::schema::KEYWORD_BYTES_MAX;
use crate::store::document::Scalar;
use crate::store::mapping::{Field, ip};
use crate::store::registry::FieldType;

/// A value as it stands in the event.
#[derive(Clone, Copy)]
pub(super) enum Raw<'r> {
    Text(&'r str),
    Scalar(Scalar, &'r dyn fmt::Display),
}

impl fmt::Display for Raw<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Scalar(_, text) => text.fmt(f),
        }
    }
}

/// A value as a field keeps it.
pub(super) enum Fit {
    Value(Scalar),
    Text(String),
    TooLong,
    Not,
}

/// Makes a value fit a field, as Elasticsearch does.
pub(super) fn fitting(field_type: FieldType, field: &Field, raw: Raw<'_>) -> Fit {
    let found = match field_type {
        FieldType::Keyword => {
            let text = raw.to_string();
            let too_long = field.ignore_above.is_some_and(|most| text.len() > most && text.chars().count() > most);
            return if too_long || text.len() > KEYWORD_BYTES_MAX { Fit::TooLong } else { Fit::Text(text) };
        }
        FieldType::Text => return Fit::Text(raw.to_string()),
        FieldType::Ip => return ip::parse(&raw.to_string()).map_or(Fit::Not, Fit::Text),
        FieldType::Long => whole(field, raw),
        FieldType::Double => match raw {
            Raw::Scalar(Scalar::Boolean(_), _) => None,
            raw if field.coerce || matches!(raw, Raw::Scalar(..)) => {
                raw.to_string().trim().parse().ok().filter(|number: &f64| number.is_finite()).map(Scalar::Double)
            }
            _ => None,
        },
        FieldType::Boolean => match raw.to_string().as_str() {
            "true" => Some(Scalar::Boolean(true)),
            "false" | "" => Some(Scalar::Boolean(false)),
            _ => None,
        },
        FieldType::Date => match raw {
            Raw::Scalar(Scalar::Boolean(_), _) => None,
            raw => field.formats.parse(&raw.to_string()).map(Scalar::Instant),
        },
    };
    found.map_or(Fit::Not, Fit::Value)
}

/// A whole number within what the field's type holds; fractions are cut off where that is allowed.
fn whole(field: &Field, raw: Raw<'_>) -> Option<Scalar> {
    let number: i128 = match raw {
        Raw::Scalar(Scalar::Long(number), _) => number.into(),
        Raw::Scalar(Scalar::Unsigned(number), _) => number.into(),
        Raw::Scalar(Scalar::Double(number), _) if field.coerce && number.abs() < 2e19 => number.trunc() as i128,
        Raw::Text(text) if field.coerce => {
            let text = text.trim();
            match text.parse() {
                Ok(number) => number,
                Err(_) => text.parse::<f64>().ok().filter(|number| number.abs() < 2e19)?.trunc() as i128,
            }
        }
        _ => return None,
    };
    let (least, greatest) = field.range.unwrap_or((i64::MIN.into(), i64::MAX.into()));
    if number < least || number > greatest {
        return None;
    }
    match i64::try_from(number) {
        Ok(number) => Some(Scalar::Long(number)),
        Err(_) => u64::try_from(number).ok().map(Scalar::Unsigned),
    }
}
