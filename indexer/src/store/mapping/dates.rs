//! Date formats as mappings name them: Elasticsearch's own names and patterns of Java's `DateTimeFormatter`, several
//! of them with `||` between. A pattern is compiled once; reading takes one walk over the text.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{Offset, TimeZone};

/// Longer formats are no formats.
const FORMAT_BYTES_MAX: usize = 1024;
/// Optional parts in optional parts: reading tries both ways at each.
const OPTIONAL_DEPTH_MAX: usize = 4;
const MONTHS: [&str; 12] = [
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
const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// A format can't be used; the text says why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Invalid format: [{format}]: {why}")]
pub(crate) struct FormatError {
    format: String,
    why: String,
}

/// One format.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Format {
    /// Milliseconds since 1970.
    EpochMillis,
    /// Seconds since 1970, also with a fraction.
    EpochSecond,
    /// A date, with a time or without.
    Iso,
    Pattern(Vec<Piece>),
}

/// A piece of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Literal(char),
    /// At least so many digits; two take the years from 2000.
    Year(usize),
    Month(usize),
    /// The month's name: three letters, or all.
    MonthName(bool),
    Day(usize),
    DayOfYear(usize),
    /// The day's name, which tells nothing that the date does not.
    DayName(bool),
    Hour(usize),
    /// One to twelve.
    HalfHour(usize),
    Noon,
    Minute(usize),
    Second(usize),
    Fraction(usize),
    /// `+01:00`, or `+0100`; `Z` for none where the flag says so.
    Offset {
        colon: bool,
        zulu: bool,
    },
    /// A name of a time zone.
    Zone,
    Optional(Vec<Piece>),
}

/// The formats of a field, tried in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Formats {
    text: String,
    formats: Vec<Format>,
}

impl Default for Formats {
    fn default() -> Self {
        Self {
            text: "strict_date_optional_time||epoch_millis".to_owned(),
            formats: vec![Format::Iso, Format::EpochMillis],
        }
    }
}

impl Formats {
    /// Reads formats.
    ///
    /// # Errors
    /// When one is not known.
    pub(crate) fn read(text: &str) -> Result<Self, FormatError> {
        let refused = |why: &str| FormatError { format: text.chars().take(100).collect(), why: why.to_owned() };
        if text.len() > FORMAT_BYTES_MAX {
            return Err(refused("it is too long"));
        }
        let formats = text.split("||").map(|one| Format::read(one).map_err(|why| refused(&why)));
        Ok(Self { text: text.to_owned(), formats: formats.collect::<Result<_, _>>()? })
    }

    /// As it was written.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// Nanoseconds since 1970 of a text, when one of the formats takes it and it lies between 1677 and 2262.
    pub(crate) fn parse(&self, text: &str) -> Option<i64> {
        let text = text.trim();
        self.formats.iter().find_map(|format| format.parse(text))
    }

    /// An instant as the first format writes it: what is read is held against this.
    #[cfg(test)]
    pub(crate) fn print(&self, nanos: i64) -> String {
        let Some(format) = self.formats.first() else { return nanos.to_string() };
        let Ok(instant) = jiff::Timestamp::from_nanosecond(i128::from(nanos)) else { return nanos.to_string() };
        match format {
            Format::EpochMillis => nanos.div_euclid(1_000_000).to_string(),
            Format::EpochSecond => nanos.div_euclid(1_000_000_000).to_string(),
            Format::Iso if nanos.rem_euclid(1_000_000) == 0 => format!("{instant:.3}"),
            Format::Iso => instant.to_string(),
            Format::Pattern(pieces) => {
                let mut text = String::new();
                print(pieces, &Offset::UTC.to_datetime(instant), &mut text);
                text
            }
        }
    }
}

impl Format {
    fn read(text: &str) -> Result<Self, String> {
        let pattern = match text.strip_prefix("strict_").unwrap_or(text) {
            "epoch_millis" => return Ok(Self::EpochMillis),
            "epoch_second" => return Ok(Self::EpochSecond),
            "date_optional_time" | "dateOptionalTime" | "date_optional_time_nanos" | "iso8601" | "rfc3339_lenient" => {
                return Ok(Self::Iso);
            }
            "basic_date" => "yyyyMMdd",
            "basic_date_time" => "yyyyMMdd'T'HHmmss.SSSXX",
            "basic_date_time_no_millis" => "yyyyMMdd'T'HHmmssXX",
            "basic_ordinal_date" => "yyyyDDD",
            "date" | "year_month_day" => "yyyy-MM-dd",
            "date_hour" => "yyyy-MM-dd'T'HH",
            "date_hour_minute" => "yyyy-MM-dd'T'HH:mm",
            "date_hour_minute_second" => "yyyy-MM-dd'T'HH:mm:ss",
            "date_hour_minute_second_millis" | "date_hour_minute_second_fraction" => "yyyy-MM-dd'T'HH:mm:ss.SSS",
            "date_time" => "yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
            "date_time_no_millis" => "yyyy-MM-dd'T'HH:mm:ssXXX",
            "ordinal_date" => "yyyy-DDD",
            "year" => "yyyy",
            "year_month" => "yyyy-MM",
            _ if text.contains('_') => return Err("there is no format of this name here".to_owned()),
            _ => text,
        };
        let mut letters = pattern.chars().peekable();
        let pieces = pieces(&mut letters, 0)?;
        if letters.next().is_some() {
            return Err("an optional part ends that has not begun".to_owned());
        }
        if pieces.is_empty() {
            return Err("it is empty".to_owned());
        }
        Ok(Self::Pattern(pieces))
    }

    fn parse(&self, text: &str) -> Option<i64> {
        match self {
            Self::EpochMillis => epoch(text, 1_000_000),
            Self::EpochSecond => epoch(text, 1_000_000_000),
            Self::Iso => iso(text),
            Self::Pattern(pieces) => {
                let mut found = Found::default();
                let rest = found.take(pieces, text)?;
                if rest.is_empty() { found.nanos() } else { None }
            }
        }
    }
}

/// A number of units, also with a fraction.
fn epoch(text: &str, unit: i64) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let nanos = whole.parse::<i64>().ok()?.checked_mul(unit)?;
    let below: f64 = if fraction.is_empty() { 0.0 } else { format!("0.{fraction}").parse().ok()? };
    let below = (below * unit as f64) as i64;
    if whole.starts_with('-') { nanos.checked_sub(below) } else { nanos.checked_add(below) }
}

/// `2026`, `2026-01-02`, `2026-01-02T03`, up to nanoseconds and an offset, or none for UTC.
fn iso(text: &str) -> Option<i64> {
    let mut found = Found::default();
    let mut rest = found.number(text, 4, 4, |found, year| found.year = Some(year))?;
    let dash = |found: &mut Found, rest: &mut &str, set: fn(&mut Found, i32)| {
        if let Some(after) = rest.strip_prefix('-') {
            *rest = found.number(after, 1, 2, set)?;
        }
        Some(())
    };
    dash(&mut found, &mut rest, |found, month| found.month = Some(month))?;
    dash(&mut found, &mut rest, |found, day| found.day = Some(day))?;
    if let Some(after) = rest.strip_prefix(['T', 't']) {
        rest = after;
        if !rest.is_empty() {
            rest = found.number(rest, 1, 2, |found, hour| found.hour = hour)?;
            if let Some(after) = rest.strip_prefix(':') {
                rest = found.number(after, 1, 2, |found, minute| found.minute = minute)?;
            }
            if let Some(after) = rest.strip_prefix(':') {
                rest = found.number(after, 1, 2, |found, second| found.second = second)?;
            }
            if let Some(after) = rest.strip_prefix(['.', ',']) {
                rest = found.fraction(after, 1)?;
            }
            rest = match rest {
                "" => "",
                rest => found.offset(rest)?,
            };
        }
    }
    if rest.is_empty() { found.nanos() } else { None }
}

type Letters<'p> = std::iter::Peekable<std::str::Chars<'p>>;

/// Reads a pattern up to its end, or that of the optional part that it is in.
fn pieces(letters: &mut Letters<'_>, depth: usize) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    while let Some(letter) = letters.next_if(|letter| *letter != ']' || depth > 0) {
        match letter {
            ']' => return Ok(pieces),
            '[' if depth >= OPTIONAL_DEPTH_MAX => return Err("optional parts are nested too deep".to_owned()),
            '[' => pieces.push(Piece::Optional(self::pieces(letters, depth + 1)?)),
            '\'' => quoted(letters, &mut pieces)?,
            'a'..='z' | 'A'..='Z' => {
                let mut width = 1;
                while letters.next_if_eq(&letter).is_some() {
                    width += 1;
                }
                pieces.push(piece(letter, width)?);
            }
            other => pieces.push(Piece::Literal(other)),
        }
    }
    if depth > 0 { Err("an optional part does not end".to_owned()) } else { Ok(pieces) }
}

/// What stands between quotes stands for itself; two quotes are one.
fn quoted(letters: &mut Letters<'_>, pieces: &mut Vec<Piece>) -> Result<(), String> {
    if letters.next_if_eq(&'\'').is_some() {
        pieces.push(Piece::Literal('\''));
        return Ok(());
    }
    while let Some(letter) = letters.next() {
        if letter == '\'' && letters.next_if_eq(&'\'').is_none() {
            return Ok(());
        }
        pieces.push(Piece::Literal(letter));
    }
    Err("a quote does not end".to_owned())
}

fn piece(letter: char, width: usize) -> Result<Piece, String> {
    Ok(match (letter, width) {
        ('y' | 'u', 1..=4) => Piece::Year(width),
        ('M' | 'L', 1..=2) => Piece::Month(width),
        ('M' | 'L', 3..=4) => Piece::MonthName(width == 4),
        ('d', 1..=2) => Piece::Day(width),
        ('D', 1..=3) => Piece::DayOfYear(width),
        ('E', 1..=4) => Piece::DayName(width == 4),
        ('H', 1..=2) => Piece::Hour(width),
        ('h', 1..=2) => Piece::HalfHour(width),
        ('a', 1) => Piece::Noon,
        ('m', 1..=2) => Piece::Minute(width),
        ('s', 1..=2) => Piece::Second(width),
        ('S', 1..=9) => Piece::Fraction(width),
        ('X', 1..=2) => Piece::Offset { colon: false, zulu: true },
        ('X', 3) => Piece::Offset { colon: true, zulu: true },
        ('x', 1..=2) | ('Z', 1..=3) => Piece::Offset { colon: false, zulu: false },
        ('x', 3) | ('Z', 5) => Piece::Offset { colon: true, zulu: letter == 'Z' },
        ('z', 1..=4) | ('V', 2) => Piece::Zone,
        _ => return Err(format!("[{}] is not supported in a pattern", letter.to_string().repeat(width))),
    })
}

/// What was read so far.
#[derive(Clone, Debug, Default)]
struct Found {
    year: Option<i32>,
    month: Option<i32>,
    day: Option<i32>,
    day_of_year: Option<i32>,
    hour: i32,
    half: Option<i32>,
    afternoon: Option<bool>,
    minute: i32,
    second: i32,
    nanos: i32,
    zone: Option<TimeZone>,
}

impl Found {
    /// Reads digits; the rest of the text.
    fn number<'t>(
        &mut self,
        text: &'t str,
        least: usize,
        most: usize,
        set: impl FnOnce(&mut Self, i32),
    ) -> Option<&'t str> {
        let digits = text.bytes().take(most).take_while(u8::is_ascii_digit).count();
        let (number, rest) = text.split_at_checked(digits).filter(|_| digits >= least)?;
        set(self, number.parse().ok()?);
        Some(rest)
    }

    fn fraction<'t>(&mut self, text: &'t str, least: usize) -> Option<&'t str> {
        let digits = text.bytes().take(9).take_while(u8::is_ascii_digit).count();
        let (number, rest) = text.split_at_checked(digits).filter(|_| digits >= least)?;
        self.nanos = format!("{number:0<9}").parse().ok()?;
        Some(rest)
    }

    /// `Z`, `+01`, `+0100` or `+01:00`.
    fn offset<'t>(&mut self, text: &'t str) -> Option<&'t str> {
        if let Some(rest) = text.strip_prefix(['Z', 'z']) {
            self.zone = Some(TimeZone::UTC);
            return Some(rest);
        }
        let sign = if text.starts_with('-') { -1 } else { 1 };
        let (mut hours, mut minutes) = (0, 0);
        let mut rest = self.number(text.strip_prefix(['+', '-'])?, 2, 2, |_, number| hours = number)?;
        let after = rest.strip_prefix(':').unwrap_or(rest);
        if let Some(after) = self.number(after, 2, 2, |_, number| minutes = number) {
            rest = after;
        }
        let offset = Offset::from_seconds(sign * (hours * 3600 + minutes * 60)).ok()?;
        self.zone = Some(TimeZone::fixed(offset));
        Some(rest)
    }

    fn name<'t>(&mut self, text: &'t str, names: &[&str], whole: bool) -> Option<(usize, &'t str)> {
        names.iter().enumerate().find_map(|(number, name)| {
            let name = if whole { Some(*name) } else { name.get(..3) }?;
            let (head, rest) = text.split_at_checked(name.len())?;
            head.eq_ignore_ascii_case(name).then_some((number, rest))
        })
    }

    /// Reads pieces from the beginning of a text; the rest of it.
    fn take<'t>(&mut self, pieces: &[Piece], mut text: &'t str) -> Option<&'t str> {
        for (at, piece) in pieces.iter().enumerate() {
            // Numbers that other digits follow have exactly their width: `yyyyMMdd`.
            let packed = matches!(
                pieces.get(at + 1),
                Some(
                    Piece::Month(_)
                        | Piece::Day(_)
                        | Piece::DayOfYear(_)
                        | Piece::Hour(_)
                        | Piece::HalfHour(_)
                        | Piece::Minute(_)
                        | Piece::Second(_)
                        | Piece::Fraction(_)
                )
            );
            let most = |width: usize, most: usize| if packed { width } else { most.max(width) };
            text = match piece {
                Piece::Literal(letter) => text.strip_prefix(*letter)?,
                Piece::Year(2) => self.number(text, 2, 2, |found, year| found.year = Some(2000 + year))?,
                Piece::Year(width) => {
                    self.number(text, *width, most(*width, 4), |found, year| found.year = Some(year))?
                }
                Piece::Month(width) => self.number(text, *width, 2, |found, month| found.month = Some(month))?,
                Piece::MonthName(whole) => {
                    let (month, rest) = self.name(text, &MONTHS, *whole)?;
                    self.month = i32::try_from(month + 1).ok();
                    rest
                }
                Piece::Day(width) => self.number(text, *width, 2, |found, day| found.day = Some(day))?,
                Piece::DayOfYear(width) => self.number(text, *width, 3, |found, day| found.day_of_year = Some(day))?,
                Piece::DayName(whole) => self.name(text, &DAYS, *whole)?.1,
                Piece::Hour(width) => self.number(text, *width, 2, |found, hour| found.hour = hour)?,
                Piece::HalfHour(width) => self.number(text, *width, 2, |found, hour| found.half = Some(hour))?,
                Piece::Noon => {
                    let (half, rest) = text.split_at_checked(2)?;
                    self.afternoon = Some(half.eq_ignore_ascii_case("pm"));
                    if self.afternoon == Some(false) && !half.eq_ignore_ascii_case("am") {
                        return None;
                    }
                    rest
                }
                Piece::Minute(width) => self.number(text, *width, 2, |found, minute| found.minute = minute)?,
                Piece::Second(width) => self.number(text, *width, 2, |found, second| found.second = second)?,
                Piece::Fraction(width) => self.fraction(text, *width)?,
                Piece::Offset { .. } => self.offset(text)?,
                Piece::Zone => {
                    let end = text
                        .find(|letter: char| !(letter.is_ascii_alphanumeric() || "/_+-".contains(letter)))
                        .unwrap_or(text.len());
                    let (name, rest) = text.split_at_checked(end)?;
                    self.zone = Some(match name {
                        "Z" | "UTC" | "GMT" => TimeZone::UTC,
                        name => TimeZone::get(name).ok()?,
                    });
                    rest
                }
                Piece::Optional(inner) => {
                    let mut tried = self.clone();
                    match tried.take(inner, text) {
                        Some(rest) => {
                            *self = tried;
                            rest
                        }
                        None => text,
                    }
                }
            };
        }
        Some(text)
    }

    fn nanos(self) -> Option<i64> {
        let narrow = |number: i32| i8::try_from(number).ok();
        let year = i16::try_from(self.year.unwrap_or(1970)).ok()?;
        let date = match self.day_of_year {
            Some(day) => Date::new(year, 1, 1).ok()?.with().day_of_year(i16::try_from(day).ok()?).build().ok()?,
            None => Date::new(year, narrow(self.month.unwrap_or(1))?, narrow(self.day.unwrap_or(1))?).ok()?,
        };
        let hour = match (self.half, self.afternoon) {
            (Some(half), afternoon) if (1..=12).contains(&half) => {
                half % 12 + if afternoon == Some(true) { 12 } else { 0 }
            }
            (Some(_), _) => return None,
            (None, _) => self.hour,
        };
        let time = Time::new(narrow(hour)?, narrow(self.minute)?, narrow(self.second)?, self.nanos).ok()?;
        let zone = self.zone.unwrap_or(TimeZone::UTC);
        let instant = zone.to_timestamp(DateTime::from_parts(date, time)).ok()?;
        i64::try_from(instant.as_nanosecond()).ok()
    }
}

#[cfg(test)]
fn print(pieces: &[Piece], at: &DateTime, into: &mut String) {
    use std::fmt::Write as _;
    for piece in pieces {
        let number = |into: &mut String, number: i32, width: usize| {
            // Writing to a string does not fail.
            let _ = write!(into, "{number:0width$}");
        };
        match piece {
            Piece::Literal(letter) => into.push(*letter),
            Piece::Year(2) => number(into, i32::from(at.year()).rem_euclid(100), 2),
            Piece::Year(width) => number(into, i32::from(at.year()), *width),
            Piece::Month(width) => number(into, i32::from(at.month()), *width),
            Piece::MonthName(whole) => name(into, &MONTHS, i32::from(at.month()) - 1, *whole),
            Piece::Day(width) => number(into, i32::from(at.day()), *width),
            Piece::DayOfYear(width) => number(into, i32::from(at.date().day_of_year()), *width),
            Piece::DayName(whole) => {
                name(into, &DAYS, i32::from(at.date().weekday().to_monday_zero_offset()), *whole);
            }
            Piece::Hour(width) => number(into, i32::from(at.hour()), *width),
            Piece::HalfHour(width) => number(into, (i32::from(at.hour()) + 11) % 12 + 1, *width),
            Piece::Noon => into.push_str(if at.hour() < 12 { "AM" } else { "PM" }),
            Piece::Minute(width) => number(into, i32::from(at.minute()), *width),
            Piece::Second(width) => number(into, i32::from(at.second()), *width),
            Piece::Fraction(width) => {
                let digits = format!("{:09}", at.subsec_nanosecond());
                into.push_str(digits.get(..*width).unwrap_or(&digits));
            }
            Piece::Offset { zulu: true, .. } => into.push('Z'),
            Piece::Offset { colon, .. } => into.push_str(if *colon { "+00:00" } else { "+0000" }),
            Piece::Zone => into.push_str("UTC"),
            Piece::Optional(inner) => print(inner, at, into),
        }
    }
}

#[cfg(test)]
fn name(into: &mut String, names: &[&str], number: i32, whole: bool) {
    let name = usize::try_from(number).ok().and_then(|number| names.get(number)).copied().unwrap_or_default();
    into.push_str(if whole { name } else { name.get(..3).unwrap_or(name) });
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(format: &str, text: &str) -> Option<String> {
        let nanos = Formats::read(format).unwrap().parse(text)?;
        Some(jiff::Timestamp::from_nanosecond(i128::from(nanos)).unwrap().to_string())
    }

    #[test]
    fn instants_are_read_in_every_kind_of_format() {
        for (format, text, instant) in [
            ("strict_date_optional_time||epoch_millis", "2026-01-02", "2026-01-02T00:00:00Z"),
            ("strict_date_optional_time||epoch_millis", "2026-01-02T03:04", "2026-01-02T03:04:00Z"),
            ("date_optional_time", "2026-01-02T03:04:05.678+02:00", "2026-01-02T01:04:05.678Z"),
            ("date_optional_time", "2026-01-02T03:04:05,6-0130", "2026-01-02T04:34:05.6Z"),
            ("strict_date_optional_time||epoch_millis", "1767323045678", "2026-01-02T03:04:05.678Z"),
            ("epoch_second", "1767323045", "2026-01-02T03:04:05Z"),
            ("epoch_second", "1767323045.25", "2026-01-02T03:04:05.25Z"),
            ("epoch_second", "-1.5", "1969-12-31T23:59:58.5Z"),
            ("yyyy-MM-dd HH:mm:ss", "2026-01-02 03:04:05", "2026-01-02T03:04:05Z"),
            ("yyyy-MM-dd HH:mm:ss.SSS||yyyy/MM/dd", "2026/01/02", "2026-01-02T00:00:00Z"),
            ("dd/MMM/yyyy:HH:mm:ss Z", "02/Jan/2026:03:04:05 +0100", "2026-01-02T02:04:05Z"),
            ("EEE MMM d HH:mm:ss yyyy", "Fri Jan 2 03:04:05 2026", "2026-01-02T03:04:05Z"),
            ("yyyyMMddHHmmss", "20260102030405", "2026-01-02T03:04:05Z"),
            ("MM/dd/yy hh:mm a", "01/02/26 03:04 PM", "2026-01-02T15:04:00Z"),
            ("yyyy-MM-dd[ HH:mm[:ss]]", "2026-01-02 03:04", "2026-01-02T03:04:00Z"),
            ("yyyy-MM-dd'T'HH:mm:ss.SSSSSSXXX", "2026-01-02T03:04:05.000001Z", "2026-01-02T03:04:05.000001Z"),
            ("basic_date", "20260102", "2026-01-02T00:00:00Z"),
            ("yyyy-DDD", "2026-032", "2026-02-01T00:00:00Z"),
            ("yyyy-MM-dd HH:mm VV", "2026-01-02 03:04 Europe/Berlin", "2026-01-02T02:04:00Z"),
        ] {
            assert_eq!(parse(format, text).as_deref(), Some(instant), "{text} as {format}");
        }
    }

    #[test]
    fn what_does_not_fit_is_no_instant() {
        for (format, text) in [
            ("yyyy-MM-dd", "2026-13-01"),
            ("yyyy-MM-dd", "2026-01-02x"),
            ("yyyy-MM-dd", "26-01-02"),
            ("strict_date_optional_time", "yesterday"),
            ("strict_date_optional_time", "1767323045678"),
            ("epoch_millis", "12a"),
            ("epoch_millis", "99999999999999999999"),
            ("HH:mm a", "10:00 xx"),
            ("yyyy", "9999"),
        ] {
            assert_eq!(parse(format, text), None, "{text} as {format}");
        }
        for (format, named) in [
            ("nonsense_name", "no format"),
            ("yyyy-ww", "[ww]"),
            ("yyyy[", "does not end"),
            ("yyyy]", "not begun"),
            ("yyyy'T", "quote"),
            ("", "empty"),
        ] {
            let error = Formats::read(format).unwrap_err();
            assert!(error.to_string().contains(named), "{format}: {error}");
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_back(seconds in -2_000_000_000i64..4_000_000_000, place in 0usize..6) {
            let formats = ["yyyy-MM-dd HH:mm:ss", "yyyyMMdd'T'HHmmssXX", "EEEE, d MMMM yyyy h:m:s a", "epoch_second",
                "strict_date_optional_time", "yyyy-DDD HH:mm:ss xxx"];
            let formats = Formats::read(formats[place]).unwrap();
            let text = formats.print(seconds * 1_000_000_000);
            prop_assert_eq!(formats.parse(&text), Some(seconds * 1_000_000_000), "{}", text);
        }

        #[test]
        fn any_format_and_text_do_no_harm(format in "[yMdHhmsSXxZza'\\[\\]|: -]{0,30}", text in "\\PC{0,40}") {
            if let Ok(formats) = Formats::read(&format) {
                formats.parse(&text);
                formats.print(1_767_323_045_678_000_000);
            }
        }
    }
}
