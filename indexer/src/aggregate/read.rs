//! What many aggregations read in the same way.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use logmill_indexer_api::datemath;
use serde_json::Value;

use super::format::Format;
use super::rounding::Interval;
use crate::query::error::EsError;
use crate::query::strict::{Members, kind};

/// The field that is aggregated.
pub(super) fn field(members: &mut Members) -> Result<String, EsError> {
    if members.take("script").is_some() {
        return Err(EsError::parsing(format!("{} does not support [script]", members.what())));
    }
    let missing = |what: &str| {
        EsError::argument(format!(
            "Required one of fields [field, script], but none were specified. {what} needs [field]"
        ))
    };
    members.string("field")?.ok_or_else(|| missing(members.what()))
}

pub(super) fn format(members: &mut Members) -> Result<Option<Format>, EsError> {
    let format = members.string("format")?;
    format.map(|format| Format::read(&format, members.what())).transpose()
}

pub(super) fn least_count(members: &mut Members, default: u64) -> Result<u64, EsError> {
    match members.whole("min_doc_count")? {
        None => Ok(default),
        Some(number) => u64::try_from(number).map_err(|_| {
            EsError::argument(format!("[min_doc_count] must be greater than or equal to 0. Found [{number}]"))
        }),
    }
}

/// A count between 1 and `most`.
pub(super) fn size(members: &mut Members, key: &str, default: usize, most: usize) -> Result<usize, EsError> {
    let Some(number) = members.whole(key)? else { return Ok(default) };
    let refused = || {
        EsError::argument(format!(
            "[{key}] must be greater than 0 and at most {most}. Found [{number}] in {}",
            members.what()
        ))
    };
    usize::try_from(number).ok().filter(|size| (1..=most).contains(size)).ok_or_else(refused)
}

pub(super) fn zone(members: &mut Members) -> Result<TimeZone, EsError> {
    match members.string("time_zone")? {
        None => Ok(TimeZone::UTC),
        Some(name) => {
            datemath::zone_from(&name).ok_or_else(|| EsError::argument(format!("[{name}] is not a time zone")))
        }
    }
}

/// `1h`, `+30m`, `-1d` in milliseconds.
pub(super) fn offset(members: &mut Members) -> Result<i64, EsError> {
    let Some(text) = members.string("offset")? else { return Ok(0) };
    let (sign, bare) = match text.strip_prefix('-') {
        Some(bare) => (-1, bare),
        None => (1, text.strip_prefix('+').unwrap_or(&text)),
    };
    Ok(sign * bare.parse::<i64>().map_or_else(|_| fixed_interval(bare), Ok)?)
}

/// `fixed_interval`, `calendar_interval`, or the older `interval` that may be either.
pub(super) fn interval(members: &mut Members) -> Result<Interval, EsError> {
    let fixed = members.string("fixed_interval")?;
    let calendar = members.string("calendar_interval")?;
    let legacy = members.string("interval")?;
    match (fixed, calendar, legacy) {
        (Some(fixed), None, None) => fixed_interval(&fixed).map(Interval::Fixed),
        (None, Some(calendar), None) => calendar_interval(&calendar).ok_or_else(|| {
            EsError::argument(format!("The supplied interval [{calendar}] could not be parsed as a calendar interval."))
        }),
        (None, None, Some(either)) => match calendar_interval(&either) {
            Some(calendar) => Ok(calendar),
            None => fixed_interval(&either).map(Interval::Fixed),
        },
        (None, None, None) => Err(EsError::argument(
            "Invalid interval specified, must be non-null and non-empty: write [fixed_interval] or [calendar_interval]",
        )),
        _ => Err(EsError::argument("Cannot use [fixed_interval] with [calendar_interval] configuration option.")),
    }
}

/// `30s`, `12h`, `500ms` in milliseconds.
pub(super) fn fixed_interval(text: &str) -> Result<i64, EsError> {
    let refused = || {
        EsError::argument(format!(
            "failed to parse setting [fixed_interval] with value [{text}] as a time value: write 30s, 5m, 12h or 1d"
        ))
    };
    let split = text.find(|letter: char| !letter.is_ascii_digit()).ok_or_else(refused)?;
    let (number, unit) = text.split_at(split);
    let number: i64 = number.parse().map_err(|_| refused())?;
    let factor = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        "w" => 7 * 86_400_000,
        _ => return Err(refused()),
    };
    number.checked_mul(factor).filter(|ms| *ms > 0).ok_or_else(refused)
}

pub(super) fn calendar_interval(text: &str) -> Option<Interval> {
    Some(Interval::Calendar(match text {
        "1y" | "year" => 'y',
        "1q" | "quarter" => 'Q',
        "1M" | "month" => 'M',
        "1w" | "week" => 'w',
        "1d" | "day" => 'd',
        "1h" | "hour" => 'h',
        "1m" | "minute" => 'm',
        "1s" | "second" => 's',
        _ => return None,
    }))
}

/// A date in milliseconds: a number, a text, or `now` with steps.
pub(super) fn date_ms(value: &Value, zone: &TimeZone, what: &str) -> Result<i64, EsError> {
    match value {
        Value::Number(number) => {
            let ms = number.as_i64().or_else(|| number.as_f64().map(|float| float as i64));
            ms.ok_or_else(|| EsError::parsing(format!("{what} needs a date, not [{number}]")))
        }
        Value::String(text) => datemath::parse_rounded(text, Timestamp::now(), zone, false)
            .map(Timestamp::as_millisecond)
            .map_err(|error| EsError::new(400, "parse_exception", error.to_string())),
        other => Err(EsError::parsing(format!("{what} needs a date, not {}", kind(other)))),
    }
}

/// Two bounds, either of which may be missing.
pub(super) type Bounds<T> = (Option<T>, Option<T>);

pub(super) fn date_bounds(members: &mut Members, key: &str, zone: &TimeZone) -> Result<Option<Bounds<i64>>, EsError> {
    let Some(value) = members.take(key) else { return Ok(None) };
    let mut bounds = Members::new(value, format!("[{key}]"))?;
    let min = bounds.take("min").map(|value| date_ms(&value, zone, key)).transpose()?;
    let max = bounds.take("max").map(|value| date_ms(&value, zone, key)).transpose()?;
    bounds.end()?;
    in_order(key, (min, max)).map(Some)
}

pub(super) fn number_bounds(members: &mut Members, key: &str) -> Result<Option<Bounds<f64>>, EsError> {
    let Some(value) = members.take(key) else { return Ok(None) };
    let mut bounds = Members::new(value, format!("[{key}]"))?;
    let found = (bounds.float("min")?, bounds.float("max")?);
    bounds.end()?;
    in_order(key, found).map(Some)
}

/// Extended bounds must lie within the hard ones.
pub(super) fn check_bounds<T: PartialOrd>(extended: &Bounds<T>, hard: &Bounds<T>) -> Result<(), EsError> {
    let below = matches!((&extended.0, &hard.0), (Some(min), Some(hard)) if min < hard);
    let above = matches!((&extended.1, &hard.1), (Some(max), Some(hard)) if max > hard);
    if below || above {
        return Err(EsError::argument(
            "Extended bounds have to be inside hard bounds: [extended_bounds] [hard_bounds]",
        ));
    }
    Ok(())
}

fn in_order<T: PartialOrd + std::fmt::Display>(key: &str, bounds: Bounds<T>) -> Result<Bounds<T>, EsError> {
    if let (Some(min), Some(max)) = &bounds
        && min > max
    {
        let reason = format!("[{key}.min][{min}] cannot be greater than [{key}.max][{max}]");
        return Err(EsError::argument(reason));
    }
    Ok(bounds)
}

/// The error for a field of a type that an aggregation can't work on, in Elasticsearch's words.
pub(super) fn wrong_type(field: &str, field_type: &str, aggregation: &str) -> EsError {
    EsError::argument(format!(
        "Field [{field}] of type [{field_type}] is not supported for aggregation [{aggregation}]"
    ))
}
