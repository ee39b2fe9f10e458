//! Date formats as Java, Logstash and Elasticsearch users write them, compiled once.

use jiff::Timestamp;

use super::civil::{Civil, Zone, parse_offset};
use super::iso::{fraction, parse_iso_prefix};

/// A compiled format.
#[derive(Clone, Debug)]
pub(crate) enum DateFormat {
    /// ISO 8601, whole or a date alone.
    Iso,
    /// Seconds since 1970, with a fraction if there is one.
    Seconds,
    /// Milliseconds since 1970.
    Millis,
    Items(Vec<Item>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    Literal(char),
    Blank,
    Year,
    /// Two digits: 1970 to 2069.
    ShortYear,
    Month,
    MonthName,
    Day,
    DayOfYear,
    Hour,
    Hour12,
    Minute,
    Second,
    Fraction,
    HalfDay,
    Offset,
    ZoneName,
    Weekday,
}

/// A format that is not one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}; formats are ISO8601, UNIX, UNIX_MS, or letters such as yyyy-MM-dd HH:mm:ss,SSS with texts in '…'")]
pub(crate) struct FormatError(String);

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
/// Abbreviations that logs use and that mean one zone to nearly everyone.
const ZONES: [(&str, i32); 13] = [
    ("UTC", 0),
    ("GMT", 0),
    ("Z", 0),
    ("WET", 0),
    ("CET", 1),
    ("CEST", 2),
    ("EST", -5),
    ("EDT", -4),
    ("CST", -6),
    ("CDT", -5),
    ("MST", -7),
    ("PST", -8),
    ("PDT", -7),
];

/// The seconds east of Greenwich of the abbreviation that begins `text`, and its length.
pub(super) fn zone_of(text: &str) -> Option<(i32, usize)> {
    let length = text.bytes().take_while(u8::is_ascii_alphabetic).count();
    let name = text.get(..length)?;
    let (_, hours) = ZONES.iter().find(|(known, _)| *known == name)?;
    Some((hours * 3_600, length))
}

/// The month (1 to 12) whose English name, whole or its first three letters, begins `text`, and its length.
pub(crate) fn month_of(text: &str) -> Option<(u8, usize)> {
    let (index, length) = name_of(text, &MONTHS)?;
    Some((index + 1, length))
}

fn name_of(text: &str, names: &[&str]) -> Option<(u8, usize)> {
    let head = text.as_bytes().get(..3)?;
    let index = names.iter().position(|name| head.eq_ignore_ascii_case(name.as_bytes()))?;
    let length = text.bytes().position(|byte| !byte.is_ascii_alphabetic()).unwrap_or(text.len());
    Some((index as u8, length))
}

impl DateFormat {
    pub(crate) fn compile(format: &str) -> Result<Self, FormatError> {
        match format {
            "ISO8601"
            | "RFC3339"
            | "date_optional_time"
            | "strict_date_optional_time"
            | "strict_date_optional_time_nanos"
            | "date_time"
            | "strict_date_time" => return Ok(Self::Iso),
            "UNIX" | "epoch_second" => return Ok(Self::Seconds),
            "UNIX_MS" | "epoch_millis" => return Ok(Self::Millis),
            "" => return Err(FormatError("an empty format".into())),
            _ => {}
        }
        let (mut items, mut letters) = (Vec::new(), format.chars().peekable());
        while let Some(letter) = letters.next() {
            if letter == '\'' {
                // Two quotes in a row are one quote, inside and outside.
                if letters.next_if_eq(&'\'').is_some() {
                    items.push(Item::Literal('\''));
                    continue;
                }
                loop {
                    match letters.next() {
                        None => return Err(FormatError("a text without its closing quote".into())),
                        Some('\'') if letters.next_if_eq(&'\'').is_some() => items.push(Item::Literal('\'')),
                        Some('\'') => break,
                        Some(inner) => items.push(Item::Literal(inner)),
                    }
                }
                continue;
            }
            let mut count = 1;
            while letter.is_ascii_alphabetic() && letters.next_if_eq(&letter).is_some() {
                count += 1;
            }
            items.push(item(letter, count)?);
        }
        Ok(Self::Items(items))
    }

    /// The time that `text` (the whole of it) tells.
    pub(crate) fn parse(&self, text: &str, zone: &Zone, now: Timestamp) -> Option<Timestamp> {
        let text = text.trim();
        match self {
            Self::Iso => match parse_iso_prefix(text) {
                Some((civil, length)) if length == text.len() => civil.timestamp(zone, now),
                Some(_) => None,
                None => iso_date(text)?.timestamp(zone, now),
            },
            Self::Seconds => match text.parse::<i64>() {
                Ok(seconds) => Timestamp::from_second(seconds).ok(),
                Err(_) => {
                    let seconds = text.parse::<f64>().ok().filter(|seconds| seconds.abs() < 1e12)?;
                    Timestamp::from_microsecond((seconds * 1e6).round() as i64).ok()
                }
            },
            Self::Millis => Timestamp::from_millisecond(text.parse().ok()?).ok(),
            Self::Items(items) => civil_of(items, text)?.timestamp(zone, now),
        }
    }
}

/// `2026-11-22` or `20261122T131024Z`.
fn iso_date(text: &str) -> Option<Civil> {
    let digits =
        |range: std::ops::Range<usize>| text.get(range).filter(|part| part.bytes().all(|byte| byte.is_ascii_digit()));
    let mut civil = Civil::default();
    let dashed = text.as_bytes().get(4) == Some(&b'-');
    let (month, day) = if dashed { (5..7, 8..10) } else { (4..6, 6..8) };
    civil.year = Some(digits(0..4)?.parse().ok()?);
    (civil.month, civil.day) = (digits(month)?.parse().ok()?, digits(day)?.parse().ok()?);
    let rest = text.get(if dashed { 10 } else { 8 }..)?;
    if rest.is_empty() {
        return Some(civil);
    }
    if dashed || !rest.starts_with('T') {
        return None;
    }
    (civil.hour, civil.minute) = (digits(9..11)?.parse().ok()?, digits(11..13)?.parse().ok()?);
    civil.second = digits(13..15).map_or(Some(0), |second| second.parse().ok())?;
    match text.get(15..).unwrap_or_default() {
        "" => Some(civil),
        zone => match parse_offset(zone)? {
            (offset, "") => Some(Civil { offset: Some(offset), ..civil }),
            _ => None,
        },
    }
}

fn item(letter: char, count: usize) -> Result<Item, FormatError> {
    Ok(match (letter, count) {
        ('y' | 'u' | 'Y', 2) => Item::ShortYear,
        ('y' | 'u' | 'Y', _) => Item::Year,
        ('M' | 'L', 1..=2) => Item::Month,
        ('M' | 'L', _) => Item::MonthName,
        ('d', _) => Item::Day,
        ('D', _) => Item::DayOfYear,
        ('H' | 'k', _) => Item::Hour,
        ('h' | 'K', _) => Item::Hour12,
        ('m', _) => Item::Minute,
        ('s', _) => Item::Second,
        ('S' | 'n', _) => Item::Fraction,
        ('a', _) => Item::HalfDay,
        ('Z' | 'X' | 'x', _) => Item::Offset,
        ('z' | 'V', _) => Item::ZoneName,
        ('E' | 'e', _) => Item::Weekday,
        ('T', 1) => Item::Literal('T'),
        (' ', _) => Item::Blank,
        (other, _) if other.is_ascii_alphabetic() => {
            return Err(FormatError(format!("`{other}` means nothing in a date format")));
        }
        (other, _) => Item::Literal(other),
    })
}

fn civil_of(items: &[Item], text: &str) -> Option<Civil> {
    let mut reader = Reader { rest: text, afternoon: None, day_of_year: None };
    let mut civil = Civil { month: 1, day: 1, ..Civil::default() };
    for item in items {
        reader.item(*item, &mut civil)?;
    }
    if !reader.rest.trim_start().is_empty() {
        return None;
    }
    match reader.afternoon {
        Some(true) if civil.hour < 12 => civil.hour += 12,
        Some(false) if civil.hour == 12 => civil.hour = 0,
        _ => {}
    }
    if let Some(day_of_year) = reader.day_of_year {
        let days = super::civil::days_before_year(i64::from(civil.year?)) + i64::from(day_of_year) - 1;
        let (year, month, day) = super::civil::date_of_days(days);
        (year == i64::from(civil.year?)).then_some(())?;
        (civil.month, civil.day) = (month, day);
    }
    // A time alone says nothing about its day.
    items
        .iter()
        .any(|item| {
            matches!(item, Item::Day | Item::Month | Item::MonthName | Item::Year | Item::ShortYear | Item::DayOfYear)
        })
        .then_some(civil)
}

struct Reader<'t> {
    rest: &'t str,
    afternoon: Option<bool>,
    day_of_year: Option<u16>,
}

impl Reader<'_> {
    fn number(&mut self, digits_max: usize) -> Option<u32> {
        let bytes = self.rest.as_bytes();
        let length = bytes.iter().take(digits_max).take_while(|byte| byte.is_ascii_digit()).count();
        let value = self.rest.get(..length)?.parse().ok()?;
        self.skip(length)?;
        Some(value)
    }

    fn skip(&mut self, length: usize) -> Option<()> {
        self.rest = self.rest.get(length..)?;
        Some(())
    }

    fn short(&mut self) -> Option<u8> {
        // Days and hours are padded with a blank by some.
        self.rest = self.rest.trim_start_matches(' ');
        self.number(2).map(|number| number as u8)
    }

    fn item(&mut self, item: Item, civil: &mut Civil) -> Option<()> {
        match item {
            Item::Literal(letter) => self.rest = self.rest.strip_prefix(letter)?,
            Item::Blank => {
                let trimmed = self.rest.trim_start_matches(' ');
                (trimmed.len() < self.rest.len()).then_some(())?;
                self.rest = trimmed;
            }
            Item::Year => civil.year = i16::try_from(self.number(4)?).ok(),
            Item::ShortYear => {
                let year = i16::try_from(self.number(2)?).ok()?;
                civil.year = Some(if year < 70 { 2_000 + year } else { 1_900 + year });
            }
            Item::Month => civil.month = self.short()?,
            Item::MonthName => {
                let (month, length) = month_of(self.rest)?;
                civil.month = month;
                self.skip(length)?;
                // Some locales write a dot behind it.
                self.rest = self.rest.strip_prefix('.').unwrap_or(self.rest);
            }
            Item::Day => civil.day = self.short()?,
            Item::DayOfYear => self.day_of_year = u16::try_from(self.number(3)?).ok(),
            Item::Hour | Item::Hour12 => civil.hour = self.short()?,
            Item::Minute => civil.minute = self.number(2)? as u8,
            Item::Second => civil.second = self.number(2)? as u8,
            Item::Fraction => {
                let (nanos, digits) = fraction(self.rest.as_bytes());
                (digits > 0).then_some(())?;
                civil.nanos = nanos;
                self.skip(digits)?;
            }
            Item::HalfDay => {
                let head = self.rest.get(..2)?;
                self.afternoon = Some(head.eq_ignore_ascii_case("pm"));
                (self.afternoon == Some(true) || head.eq_ignore_ascii_case("am")).then_some(())?;
                self.skip(2)?;
            }
            Item::Offset => self.offset(civil)?,
            Item::ZoneName => {
                if let Some((offset, length)) = zone_of(self.rest) {
                    civil.offset = Some(offset);
                    self.skip(length)?;
                } else {
                    self.offset(civil)?;
                }
            }
            Item::Weekday => {
                let (_, length) = name_of(self.rest, &WEEKDAYS)?;
                self.skip(length)?;
            }
        }
        Some(())
    }

    fn offset(&mut self, civil: &mut Civil) -> Option<()> {
        let (offset, rest) = parse_offset(self.rest)?;
        civil.offset = Some(offset);
        self.rest = rest;
        Some(())
    }
}
