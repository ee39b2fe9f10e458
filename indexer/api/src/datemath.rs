//! Dates as Elasticsearch reads them: `now-15m`, `now/d`, `2026-01-01||+1M/d`, RFC 3339 in all its shortened forms,
//! milliseconds since 1970.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, ToSpan, Zoned};

/// The text is no date.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a date: write 2026-01-31, 2026-01-31T10:00:00Z, milliseconds since 1970, or now with steps like now-15m or now/d"
)]
pub struct DateError(String);

/// Longer texts are no dates.
const TEXT_BYTES_MAX: usize = 200;

/// The moment that the text means when it is `now`, in UTC, rounded down.
///
/// # Errors
/// When the text is no date.
pub fn parse(text: &str, now: Timestamp) -> Result<Timestamp, DateError> {
    parse_rounded(text, now, &TimeZone::UTC, false)
}

/// As [`parse`]; dates without an offset are in `zone`. `up` takes the last nanosecond of what `/d` or a missing time of
/// the day leaves open, as an upper inclusive bound or a lower exclusive one wants it. A missing month or day is the first.
///
/// # Errors
/// When the text is no date.
pub fn parse_rounded(text: &str, now: Timestamp, zone: &TimeZone, up: bool) -> Result<Timestamp, DateError> {
    let refused = || DateError(text.chars().take(80).collect());
    let trimmed = text.trim();
    if trimmed.len() > TEXT_BYTES_MAX {
        return Err(refused());
    }
    if let Some(steps) = trimmed.strip_prefix("now") {
        return apply(now, steps, zone, up).ok_or_else(refused);
    }
    let moment = match trimmed.split_once("||") {
        Some((anchor, steps)) => absolute(anchor, zone, false).and_then(|(start, _)| apply(start, steps, zone, up)),
        None => absolute(trimmed, zone, up).map(|(start, end)| if up { end } else { start }),
    };
    moment.ok_or_else(refused)
}

/// First and last nanosecond of what is written.
fn absolute(text: &str, zone: &TimeZone, up: bool) -> Option<(Timestamp, Timestamp)> {
    if text.len() != 4
        && let Ok(millis) = text.parse::<i64>()
    {
        let start = Timestamp::from_millisecond(millis).ok()?;
        return Some((start, start));
    }
    let (local, offset) = split_offset(text);
    let (start, end) = civil(local)?;
    let zone = match offset {
        None => zone.clone(),
        Some("Z" | "z") => TimeZone::UTC,
        Some(offset) => zone_from(offset)?,
    };
    let start = zone.to_timestamp(start).ok()?;
    Some((start, if up { zone.to_timestamp(end).ok()? } else { start }))
}

fn split_offset(text: &str) -> (&str, Option<&str>) {
    let from = text.find(['T', ' ']).map_or(text.len(), |at| at + 1);
    match text.get(from..).and_then(|time| time.find(['Z', 'z', '+', '-'])) {
        Some(at) => (text.get(..from + at).unwrap_or_default(), text.get(from + at..)),
        None => (text, None),
    }
}

/// A time zone as requests write it: `+02:00`, `Z`, `UTC`, `Europe/Berlin`.
#[must_use]
pub fn zone_from(name: &str) -> Option<TimeZone> {
    if matches!(name, "Z" | "z" | "UTC" | "GMT") {
        return Some(TimeZone::UTC);
    }
    let Some(digits) = name.strip_prefix(['+', '-']) else { return TimeZone::get(name).ok() };
    let (hours, minutes) = match digits.split_once(':') {
        Some((hours, minutes)) => (hours.parse::<i32>().ok()?, minutes.parse::<i32>().ok()?),
        None if digits.len() == 4 => (digits.get(..2)?.parse::<i32>().ok()?, digits.get(2..)?.parse::<i32>().ok()?),
        None => (digits.parse::<i32>().ok()?, 0),
    };
    if hours > 18 || minutes > 59 {
        return None;
    }
    let seconds = (hours * 60 + minutes) * 60;
    let seconds = if name.starts_with('-') { -seconds } else { seconds };
    jiff::tz::Offset::from_seconds(seconds).ok().map(TimeZone::fixed)
}

/// `2026`, `2026-01`, `2026-01-31`, `2026-01-31T10`, `T10:00`, `T10:00:00`, `T10:00:00.123`.
fn civil(text: &str) -> Option<(DateTime, DateTime)> {
    let (date, time) = match text.split_once(['T', ' ']) {
        Some((date, time)) => (date, time),
        None => (text, ""),
    };
    let mut numbers = date.split('-');
    let year = numbers.next().filter(|year| year.len() == 4)?.parse().ok()?;
    let month: Option<i8> = two_digits(numbers.next())?;
    let day: Option<i8> = two_digits(numbers.next())?;
    if numbers.next().is_some() {
        return None;
    }
    let first = Date::new(year, month.unwrap_or(1), day.unwrap_or(1)).ok()?;
    if time.is_empty() {
        // Also of a month or year alone: Elasticsearch leaves only the time of the day open, under "missing date components".
        let next = first.checked_add(1.day());
        let start = first.to_datetime(Time::midnight());
        let end = next.ok()?.to_datetime(Time::midnight()).checked_sub(1.nanosecond()).ok()?;
        return Some((start, end));
    }
    let (whole, fraction) = match time.split_once(['.', ',']) {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (time, None),
    };
    let mut numbers = whole.split(':');
    let hour: i8 = two_digits(numbers.next())??;
    let minute: Option<i8> = two_digits(numbers.next())?;
    let second: Option<i8> = two_digits(numbers.next())?;
    if numbers.next().is_some()
        || fraction.is_some_and(|digits| second.is_none() || digits.is_empty() || digits.len() > 9)
    {
        return None;
    }
    let nanosecond = match fraction {
        Some(digits) => format!("{digits:0<9}").parse().ok()?,
        None => 0,
    };
    let start = first.to_datetime(Time::new(hour, minute.unwrap_or(0), second.unwrap_or(0), nanosecond).ok()?);
    let open: Span = match (minute, second, fraction) {
        (None, ..) => 1.hour(),
        (_, None, _) => 1.minute(),
        (.., None) => 1.second(),
        _ => 1.nanosecond(),
    };
    Some((start, start.checked_add(open).ok()?.checked_sub(1.nanosecond()).ok()?))
}

/// `Some(None)` when there is nothing; `None` when there is something else than two digits.
fn two_digits(part: Option<&str>) -> Option<Option<i8>> {
    match part {
        None => Some(None),
        Some(digits) if digits.len() == 2 => digits.parse().ok().map(Some),
        Some(_) => None,
    }
}

/// Steps like `-15m`, `+1d`, `/w`, one after the other.
fn apply(start: Timestamp, steps: &str, zone: &TimeZone, up: bool) -> Option<Timestamp> {
    let mut moment = start.to_zoned(zone.clone());
    let mut rest = steps;
    while let Some(sign) = rest.chars().next() {
        rest = rest.get(sign.len_utf8()..)?;
        let digits = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len());
        let (number, tail) = rest.split_at(digits);
        let unit = tail.chars().next()?;
        rest = tail.get(unit.len_utf8()..)?;
        let number: i64 = if number.is_empty() { 1 } else { number.parse().ok()? };
        moment = match sign {
            '+' => moment.checked_add(span(number, unit)?).ok()?,
            '-' => moment.checked_sub(span(number, unit)?).ok()?,
            '/' if digits == 0 => {
                let floor = floor(&moment, unit)?;
                if up { floor.checked_add(span(1, unit)?).ok()?.checked_sub(1.nanosecond()).ok()? } else { floor }
            }
            _ => return None,
        };
    }
    Some(moment.timestamp())
}

fn span(number: i64, unit: char) -> Option<Span> {
    let span = Span::new();
    match unit {
        'y' => span.try_years(number),
        'M' => span.try_months(number),
        'w' => span.try_weeks(number),
        'd' => span.try_days(number),
        'h' | 'H' => span.try_hours(number),
        'm' => span.try_minutes(number),
        's' => span.try_seconds(number),
        _ => return None,
    }
    .ok()
}

/// The start of the year, month, week (Monday), day, hour, minute or second that the moment lies in.
#[must_use]
pub fn floor(moment: &Zoned, unit: char) -> Option<Zoned> {
    let date = moment.date();
    let day = match unit {
        'y' => date.first_of_year(),
        'Q' => Date::new(date.year(), (date.month() - 1) / 3 * 3 + 1, 1).ok()?,
        'M' => date.first_of_month(),
        'w' => date.checked_sub(i64::from(date.weekday().to_monday_zero_offset()).days()).ok()?,
        'd' => date,
        'h' | 'H' | 'm' | 's' => {
            let seconds = match unit {
                'm' => 60,
                's' => 1,
                _ => 3600,
            };
            // Within a day offsets change by whole minutes at least; the local clock's hour is what is asked for.
            let local = moment.timestamp().as_second() + i64::from(moment.offset().seconds());
            let start = local.div_euclid(seconds) * seconds - i64::from(moment.offset().seconds());
            return Timestamp::from_second(start).ok().map(|start| start.to_zoned(moment.time_zone().clone()));
        }
        _ => return None,
    };
    day.to_zoned(moment.time_zone().clone()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn what_elasticsearch_reads() {
        let now = at("2026-11-22T13:14:15.123Z");
        for (text, down, up) in [
            ("now", "2026-11-22T13:14:15.123Z", "2026-11-22T13:14:15.123Z"),
            ("now-15m", "2026-11-22T12:59:15.123Z", "2026-11-22T12:59:15.123Z"),
            ("now/d", "2026-11-22T00:00:00Z", "2026-11-22T23:59:59.999999999Z"),
            ("now-1d/d", "2026-11-21T00:00:00Z", "2026-11-21T23:59:59.999999999Z"),
            ("now/w", "2026-11-16T00:00:00Z", "2026-11-22T23:59:59.999999999Z"),
            ("now-1M/M", "2026-10-01T00:00:00Z", "2026-10-31T23:59:59.999999999Z"),
            ("now+1h/h", "2026-11-22T14:00:00Z", "2026-11-22T14:59:59.999999999Z"),
            ("2026-01-31||+1M", "2026-02-28T00:00:00Z", "2026-02-28T00:00:00Z"),
            ("2026-01", "2026-01-01T00:00:00Z", "2026-01-01T23:59:59.999999999Z"),
            ("2026", "2026-01-01T00:00:00Z", "2026-01-01T23:59:59.999999999Z"),
            ("2026-01-02T03", "2026-01-02T03:00:00Z", "2026-01-02T03:59:59.999999999Z"),
            ("2026-01-02 03:04", "2026-01-02T03:04:00Z", "2026-01-02T03:04:59.999999999Z"),
            ("2026-01-02T03:04+0200", "2026-01-02T01:04:00Z", "2026-01-02T01:04:59.999999999Z"),
            ("2026-01-02T03:04:05.6+02:00", "2026-01-02T01:04:05.6Z", "2026-01-02T01:04:05.6Z"),
            ("1767323045000", "2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z"),
        ] {
            assert_eq!(parse(text, now), Ok(at(down)), "{text}");
            assert_eq!(parse_rounded(text, now, &TimeZone::UTC, true), Ok(at(up)), "{text}, rounded up");
        }
        let zone = zone_from("+02:00").unwrap_or(TimeZone::UTC);
        assert_eq!(parse_rounded("2026-01-02", now, &zone, false), Ok(at("2026-01-01T22:00:00Z")));
        assert_eq!(parse_rounded("now/d", now, &zone, false), Ok(at("2026-11-21T22:00:00Z")));
    }

    #[test]
    fn what_is_no_date() {
        for text in
            ["", "yesterday", "now-", "now-5", "now-5x", "now/5d", "2026-13-01", "2026-1-1", "12:30", "2026-01-01||"]
        {
            let outcome = parse(text, Timestamp::UNIX_EPOCH);
            assert!(outcome.is_err() || text.ends_with("||"), "{text}: {outcome:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn anything_is_a_date_or_not(text in "(now)?[-+/0-9dMwhy:.TZ|]{0,24}") {
            let _ = parse_rounded(&text, Timestamp::UNIX_EPOCH, &TimeZone::UTC, true);
        }
    }
}
