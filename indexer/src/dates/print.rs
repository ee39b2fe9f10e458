//! Writing instants. Names of months and days are English, as logs and Elasticsearch's root locale have them.

use std::fmt::Write as _;

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use super::pattern::Piece;

pub(super) const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
pub(super) const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// RFC 3339 with milliseconds, or with nanoseconds where there are any.
pub(super) fn iso(nanos: i64, zone: &TimeZone) -> String {
    let Ok(instant) = Timestamp::from_nanosecond(i128::from(nanos)) else { return nanos.to_string() };
    let is_whole = nanos.rem_euclid(1_000_000) == 0;
    if zone.to_offset(instant).seconds() == 0 {
        return if is_whole { format!("{instant:.3}") } else { instant.to_string() };
    }
    let moment = instant.to_zoned(zone.clone());
    let local = moment.datetime();
    let mut text = if is_whole { format!("{local:.3}") } else { format!("{local:.9}") };
    offset(&mut text, &moment, true);
    text
}

pub(super) fn by_pattern(pieces: &[Piece], nanos: i64, zone: &TimeZone) -> String {
    let Ok(instant) = Timestamp::from_nanosecond(i128::from(nanos)) else { return nanos.to_string() };
    let mut text = String::new();
    write_pieces(&mut text, pieces, &instant.to_zoned(zone.clone()));
    text
}

fn write_pieces(into: &mut String, pieces: &[Piece], at: &Zoned) {
    for piece in pieces {
        match piece {
            Piece::Literal(letter) => into.push(*letter),
            Piece::Year(width) => year(into, at.year(), *width),
            Piece::Month(width) => number(into, at.month(), *width),
            Piece::MonthName(whole) => name(into, &MONTHS, at.month() - 1, *whole),
            Piece::Day(width) => number(into, at.day(), *width),
            Piece::DayOfYear(width) => number(into, at.day_of_year(), *width),
            Piece::DayName(whole) => name(into, &DAYS, at.weekday().to_monday_zero_offset(), *whole),
            Piece::Hour(width) => number(into, at.hour(), *width),
            Piece::HalfHour(width) => number(into, (at.hour() + 11) % 12 + 1, *width),
            Piece::Noon => into.push_str(if at.hour() < 12 { "AM" } else { "PM" }),
            Piece::Minute(width) => number(into, at.minute(), *width),
            Piece::Second(width) => number(into, at.second(), *width),
            Piece::Fraction(width) => {
                let digits = format!("{:09}", at.subsec_nanosecond());
                into.push_str(digits.get(..*width).unwrap_or(&digits));
            }
            Piece::Offset { zulu: true, .. } if at.offset().seconds() == 0 => into.push('Z'),
            Piece::Offset { colon, .. } => offset(into, at, *colon),
            Piece::Zone => match at.time_zone().iana_name() {
                Some(zone) => into.push_str(zone),
                None => offset(into, at, true),
            },
            Piece::Optional(inner) => write_pieces(into, inner, at),
            Piece::WeekYear(width) => year(into, at.date().iso_week_date().year(), *width),
            Piece::Week(width) => number(into, at.date().iso_week_date().week(), *width),
            Piece::WeekDay => number(into, at.weekday().to_monday_one_offset(), 1),
            Piece::Quarter => number(into, (at.month() - 1) / 3 + 1, 1),
        }
    }
}

fn number(into: &mut String, number: impl Into<i64>, width: usize) {
    // Writing to a string does not fail.
    let _ = write!(into, "{:0width$}", number.into());
}

fn year(into: &mut String, year: i16, width: usize) {
    number(into, if width == 2 { year.rem_euclid(100) } else { year }, width);
}

fn name(into: &mut String, names: &[&str], at: i8, whole: bool) {
    let name = usize::try_from(at).ok().and_then(|at| names.get(at)).copied().unwrap_or_default();
    into.push_str(if whole { name } else { name.get(..3).unwrap_or(name) });
}

fn offset(into: &mut String, at: &Zoned, colon: bool) {
    let seconds = at.offset().seconds();
    let minutes = seconds.abs() / 60;
    into.push(if seconds < 0 { '-' } else { '+' });
    number(into, minutes / 60, 2);
    if colon {
        into.push(':');
    }
    number(into, minutes % 60, 2);
}
