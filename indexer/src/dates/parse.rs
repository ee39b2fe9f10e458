//! Reading instants.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{Offset, TimeZone};

use super::pattern::Piece;
use super::print::{DAYS, MONTHS};

/// A number of units, also with a fraction.
pub(super) fn epoch(text: &str, unit: i64) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let nanos = whole.parse::<i64>().ok()?.checked_mul(unit)?;
    let below: f64 = if fraction.is_empty() { 0.0 } else { format!("0.{fraction}").parse().ok()? };
    let below = (below * unit as f64) as i64;
    if whole.starts_with('-') { nanos.checked_sub(below) } else { nanos.checked_add(below) }
}

/// `2026`, `2026-01-02`, `2026-01-02T03`, up to nanoseconds and an offset, or none.
pub(super) fn iso(text: &str) -> Option<Found> {
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
            rest = found.number(rest, 1, 2, |found, hour| found.hour = Some(hour))?;
            if let Some(after) = rest.strip_prefix(':') {
                rest = found.number(after, 1, 2, |found, minute| found.minute = Some(minute))?;
            }
            if let Some(after) = rest.strip_prefix(':') {
                rest = found.number(after, 1, 2, |found, second| found.second = Some(second))?;
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
    rest.is_empty().then_some(found)
}

/// The whole of a text by a pattern.
pub(super) fn by_pattern(text: &str, pieces: &[Piece]) -> Option<Found> {
    let mut found = Found::default();
    found.take(pieces, text)?.is_empty().then_some(found)
}

/// Pieces that are digits alone.
const fn is_number(piece: &Piece) -> bool {
    matches!(
        piece,
        Piece::Month(_)
            | Piece::Day(_)
            | Piece::DayOfYear(_)
            | Piece::Hour(_)
            | Piece::HalfHour(_)
            | Piece::Minute(_)
            | Piece::Second(_)
            | Piece::Fraction(_)
    )
}

/// What was read so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    year: Option<i32>,
    month: Option<i32>,
    day: Option<i32>,
    day_of_year: Option<i32>,
    hour: Option<i32>,
    half: Option<i32>,
    afternoon: Option<bool>,
    minute: Option<i32>,
    second: Option<i32>,
    nanos: Option<i32>,
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
        self.nanos = Some(format!("{number:0<9}").parse().ok()?);
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

    /// A name of a time zone, or an offset in its place.
    fn zone<'t>(&mut self, text: &'t str) -> Option<&'t str> {
        if text.starts_with(['+', '-']) {
            return self.offset(text);
        }
        let end = text.find(|letter: char| !(letter.is_ascii_alphanumeric() || "/_+-".contains(letter)));
        let (name, rest) = text.split_at_checked(end.unwrap_or(text.len()))?;
        self.zone = Some(match name {
            "Z" | "UTC" | "GMT" => TimeZone::UTC,
            name => TimeZone::get(name).ok()?,
        });
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
            let packed = pieces.get(at + 1).is_some_and(is_number);
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
                Piece::Hour(width) => self.number(text, *width, 2, |found, hour| found.hour = Some(hour))?,
                Piece::HalfHour(width) => self.number(text, *width, 2, |found, hour| found.half = Some(hour))?,
                Piece::Noon => {
                    let (half, rest) = text.split_at_checked(2)?;
                    self.afternoon = Some(half.eq_ignore_ascii_case("pm"));
                    if self.afternoon == Some(false) && !half.eq_ignore_ascii_case("am") {
                        return None;
                    }
                    rest
                }
                Piece::Minute(width) => self.number(text, *width, 2, |found, minute| found.minute = Some(minute))?,
                Piece::Second(width) => self.number(text, *width, 2, |found, second| found.second = Some(second))?,
                Piece::Fraction(width) => self.fraction(text, *width)?,
                Piece::Offset { .. } => self.offset(text)?,
                Piece::Zone => self.zone(text)?,
                // Compiled for writing only.
                Piece::WeekYear(_) | Piece::Week(_) | Piece::WeekDay | Piece::Quarter => return None,
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

    /// The instant, on the clock of `zone` where the text names none. What was left out of the time of the day is the first
    /// of its kind, or the last with `up`; a date that was left out is the first of 1970, as Elasticsearch has it.
    pub(super) fn nanos(self, zone: &TimeZone, up: bool) -> Option<i64> {
        let narrow = |number: i32| i8::try_from(number).ok();
        let open = |found: Option<i32>, first: i32, last: i32| found.unwrap_or(if up { last } else { first });
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
            (None, _) => open(self.hour, 0, 23),
        };
        let (minute, second) = (open(self.minute, 0, 59), open(self.second, 0, 59));
        let time = Time::new(narrow(hour)?, narrow(minute)?, narrow(second)?, open(self.nanos, 0, 999_999_999)).ok()?;
        let zone = self.zone.as_ref().unwrap_or(zone);
        let instant = zone.to_timestamp(DateTime::from_parts(date, time)).ok()?;
        i64::try_from(instant.as_nanosecond()).ok()
    }
}
