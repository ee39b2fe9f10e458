//! Times as logs write them, read without a clock of our own: what a text leaves out (year, zone) is handed in.

mod civil;
mod format;
mod iso;

pub(crate) use civil::{Civil, Zone};
pub(crate) use format::{DateFormat, month_of};
pub(crate) use iso::parse_iso_prefix;

use jiff::Timestamp;

/// The time as events carry it: RFC 3339 in UTC, with as many digits as it needs, in threes.
pub(crate) fn rfc3339(at: Timestamp) -> String {
    let nanos = at.as_nanosecond();
    let (seconds, nanos) = (nanos.div_euclid(1_000_000_000) as i64, nanos.rem_euclid(1_000_000_000) as u32);
    let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil::date_of_days(days);
    let (hour, minute, second) = (rest / 3_600, rest / 60 % 60, rest % 60);
    if !(0..=9_999).contains(&year) {
        return at.to_string();
    }
    let mut text = String::with_capacity(30);
    push_digits(&mut text, year, 4);
    for (sign, number) in [('-', i64::from(month)), ('-', i64::from(day)), ('T', hour), (':', minute), (':', second)] {
        text.push(sign);
        push_digits(&mut text, number, 2);
    }
    text.push('.');
    if nanos % 1_000_000 == 0 {
        push_digits(&mut text, i64::from(nanos / 1_000_000), 3);
    } else if nanos % 1_000 == 0 {
        push_digits(&mut text, i64::from(nanos / 1_000), 6);
    } else {
        push_digits(&mut text, i64::from(nanos), 9);
    }
    text.push('Z');
    text
}

fn push_digits(text: &mut String, number: i64, width: u32) {
    for place in (0..width).rev() {
        let digit = number / 10i64.pow(place) % 10;
        text.push(char::from(b'0' + digit as u8));
    }
}

/// A point in time from a count of seconds, milliseconds, microseconds or nanoseconds since 1970, told apart by
/// its size: any of them lies between 1973 and 2286 in only one reading.
pub(crate) fn from_epoch(number: &serde_json::Number) -> Option<Timestamp> {
    if let Some(whole) = number.as_i64() {
        return match whole.unsigned_abs() {
            0..100_000_000_000 => Timestamp::from_second(whole).ok(),
            100_000_000_000..100_000_000_000_000 => Timestamp::from_millisecond(whole).ok(),
            100_000_000_000_000..100_000_000_000_000_000 => Timestamp::from_microsecond(whole).ok(),
            _ => Timestamp::from_nanosecond(i128::from(whole)).ok(),
        };
    }
    let number = number.as_f64()?;
    if number.abs() < 1e11 {
        // Microseconds are what a double holds exactly for times of this century.
        Timestamp::from_microsecond((number * 1e6).round() as i64).ok()
    } else {
        Timestamp::from_microsecond((number * 1e3).round() as i64).ok()
    }
}

#[cfg(test)]
mod tests;
