//! How a request's `format` writes numbers (`0.00`, `#,##0.0 ms`) and dates (`yyyy-MM-dd HH:mm`, `epoch_millis`).

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use crate::query::columns;
use crate::query::error::EsError;

/// Longer formats are refused.
const FORMAT_BYTES_MAX: usize = 100;

/// A format that was read; what it is for is known when the field's type is.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Format {
    text: String,
    decimal: Option<Decimal>,
    date: Option<DatePattern>,
}

/// After Java's `DecimalFormat`.
#[derive(Clone, Debug, PartialEq)]
struct Decimal {
    prefix: String,
    suffix: String,
    grouping: Option<usize>,
    whole_min: usize,
    fraction_min: usize,
    fraction_max: usize,
    percent: bool,
}

#[derive(Clone, Debug, PartialEq)]
enum DatePattern {
    EpochMillis,
    EpochSecond,
    /// As dates are written when nobody asks.
    Default,
    Pattern(Vec<Token>),
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Literal(String),
    Field(char, usize),
}

impl Format {
    pub(super) fn read(text: &str, what: &str) -> Result<Self, EsError> {
        let refused = || EsError::argument(format!("{what}: the format [{text}] is not supported"));
        if text.len() > FORMAT_BYTES_MAX {
            return Err(refused());
        }
        let (decimal, date) = (Decimal::read(text), DatePattern::read(text));
        if decimal.is_none() && date.is_none() {
            return Err(refused());
        }
        Ok(Self { text: text.to_owned(), decimal, date })
    }

    /// Refuses a format of dates for numbers and the other way round.
    pub(super) fn check(format: Option<&Self>, is_date: bool, field: &str) -> Result<(), EsError> {
        let Some(format) = format else { return Ok(()) };
        if is_date && format.date.is_none() || !is_date && format.decimal.is_none() {
            let kind = if is_date { "dates" } else { "numbers" };
            let reason = format!("[format] [{}] can't write the {kind} of the field [{field}]", format.text);
            return Err(EsError::argument(reason));
        }
        Ok(())
    }

    pub(super) fn number(&self, number: f64) -> String {
        self.decimal.as_ref().map_or_else(|| columns::json_f64(number).to_string(), |decimal| decimal.write(number))
    }

    /// A date in UTC.
    pub(super) fn date(format: Option<&Self>, nanos: i64) -> String {
        Self::zoned(format, nanos, &TimeZone::UTC)
    }

    /// A date on the clock of a zone.
    pub(super) fn zoned(format: Option<&Self>, nanos: i64, zone: &TimeZone) -> String {
        let Ok(instant) = Timestamp::from_nanosecond(i128::from(nanos)) else { return nanos.to_string() };
        let default = DatePattern::Default;
        match format.and_then(|format| format.date.as_ref()).unwrap_or(&default) {
            DatePattern::EpochMillis => nanos.div_euclid(1_000_000).to_string(),
            DatePattern::EpochSecond => nanos.div_euclid(1_000_000_000).to_string(),
            DatePattern::Pattern(tokens) => written(tokens, &instant.to_zoned(zone.clone())),
            DatePattern::Default => {
                if zone.to_offset(instant).seconds() == 0 {
                    return columns::format_date(nanos, None);
                }
                let moment = instant.to_zoned(zone.clone());
                let digits = if nanos.rem_euclid(1_000_000) == 0 { 3 } else { 9 };
                format!("{}{}", written(&default_tokens(digits), &moment), offset(&moment, true))
            }
        }
    }
}

fn default_tokens(digits: usize) -> Vec<Token> {
    let mut tokens = Vec::new();
    for (letter, count, after) in
        [('y', 4, "-"), ('M', 2, "-"), ('d', 2, "T"), ('H', 2, ":"), ('m', 2, ":"), ('s', 2, "."), ('S', digits, "")]
    {
        tokens.push(Token::Field(letter, count));
        tokens.push(Token::Literal(after.to_owned()));
    }
    tokens
}

impl Decimal {
    fn read(text: &str) -> Option<Self> {
        // A second pattern would be for negative numbers.
        let is_digit = |letter: char| matches!(letter, '0' | '#' | ',' | '.');
        let start = text.find(is_digit)?;
        let rest = text.get(start..)?;
        let end = rest.find(|letter: char| !is_digit(letter)).unwrap_or(rest.len());
        let (digits, suffix) = rest.split_at(end);
        let prefix = text.get(..start)?;
        let odd = |part: &str| part.contains(['E', ';', '0', '#', '\u{2030}', '\u{a4}']);
        if odd(prefix) || odd(suffix) || !digits.contains(['0', '#']) {
            return None;
        }
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        if fraction.contains(['.', ',']) || whole.trim_start_matches(['#', ',']).contains('#') {
            return None;
        }
        if fraction.trim_start_matches('0').contains('0') {
            return None;
        }
        let count = |part: &str, letter: char| part.chars().filter(|each| *each == letter).count();
        Some(Self {
            prefix: prefix.replace('\'', ""),
            suffix: suffix.replace('\'', ""),
            grouping: whole.rfind(',').map(|at| whole.len() - at - 1).filter(|size| *size > 0),
            whole_min: count(whole, '0'),
            fraction_min: count(fraction, '0'),
            fraction_max: fraction.len(),
            percent: prefix.contains('%') || suffix.contains('%'),
        })
    }

    fn write(&self, number: f64) -> String {
        let number = if self.percent { number * 100.0 } else { number };
        if !number.is_finite() {
            return number.to_string();
        }
        let text = format!("{:.*}", self.fraction_max, number.abs());
        let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
        let whole = whole.trim_start_matches('0');
        let whole = format!("{whole:0>width$}", width = self.whole_min);
        let kept = fraction.trim_end_matches('0').len().max(self.fraction_min);
        let fraction = fraction.get(..kept).unwrap_or(fraction);
        let is_zero = !whole.bytes().chain(fraction.bytes()).any(|digit| digit != b'0');
        let sign = if number < 0.0 && !is_zero { "-" } else { "" };
        let whole = grouped(&whole, self.grouping, fraction.is_empty());
        let point = if fraction.is_empty() { "" } else { "." };
        format!("{sign}{}{whole}{point}{fraction}{}", self.prefix, self.suffix)
    }
}

fn grouped(whole: &str, grouping: Option<usize>, alone: bool) -> String {
    if whole.is_empty() && alone {
        return "0".to_owned();
    }
    let mut grouped = String::new();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && grouping.is_some_and(|size| (whole.len() - at).is_multiple_of(size)) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

impl DatePattern {
    fn read(text: &str) -> Option<Self> {
        // Of several formats the first writes.
        let text = text.split("||").next()?;
        let pattern = match text {
            "epoch_millis" => return Some(Self::EpochMillis),
            "epoch_second" => return Some(Self::EpochSecond),
            "iso8601" | "use_field_mapping" | "yyyy-MM-dd'T'HH:mm:ss.SSSZ" => return Some(Self::Default),
            _ if text.contains("date_optional_time") => return Some(Self::Default),
            _ => match text.strip_prefix("strict_").unwrap_or(text) {
                "date" | "year_month_day" => "yyyy-MM-dd",
                "year_month" => "yyyy-MM",
                "year" => "yyyy",
                "date_hour" => "yyyy-MM-dd'T'HH",
                "date_hour_minute" => "yyyy-MM-dd'T'HH:mm",
                "date_hour_minute_second" => "yyyy-MM-dd'T'HH:mm:ss",
                "date_hour_minute_second_millis" | "date_hour_minute_second_fraction" => "yyyy-MM-dd'T'HH:mm:ss.SSS",
                "date_time" => "yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
                "date_time_no_millis" => "yyyy-MM-dd'T'HH:mm:ssXXX",
                "hour" => "HH",
                "hour_minute" => "HH:mm",
                "hour_minute_second" => "HH:mm:ss",
                "time" => "HH:mm:ss.SSSXXX",
                "basic_date" => "yyyyMMdd",
                "basic_date_time" => "yyyyMMdd'T'HHmmss.SSSXX",
                "basic_date_time_no_millis" => "yyyyMMdd'T'HHmmssXX",
                _ => text,
            },
        };
        tokens(pattern).map(Self::Pattern)
    }
}

fn tokens(pattern: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut letters = pattern.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '\'' => {
                let mut literal = String::new();
                loop {
                    match letters.next()? {
                        '\'' => break,
                        other => literal.push(other),
                    }
                }
                // Two quotes are one.
                tokens.push(Token::Literal(if literal.is_empty() { "'".to_owned() } else { literal }));
            }
            'a'..='z' | 'A'..='Z' => {
                let mut count = 1;
                while letters.next_if_eq(&letter).is_some() {
                    count += 1;
                }
                let most = match letter {
                    'y' | 'u' | 'Y' | 'M' | 'E' => 4,
                    'S' => 9,
                    'X' | 'x' | 'Z' | 'D' => 3,
                    'd' | 'H' | 'h' | 'm' | 's' | 'w' => 2,
                    'a' | 'e' | 'Q' => 1,
                    _ => return None,
                };
                if count > most {
                    return None;
                }
                tokens.push(Token::Field(letter, count));
            }
            other => tokens.push(Token::Literal(other.to_string())),
        }
    }
    tokens.iter().any(|token| matches!(token, Token::Field(..))).then_some(tokens)
}

fn written(tokens: &[Token], moment: &Zoned) -> String {
    let mut text = String::new();
    for token in tokens {
        match token {
            Token::Literal(literal) => text.push_str(literal),
            Token::Field(letter, count) => text.push_str(&field(*letter, *count, moment)),
        }
    }
    text
}

fn field(letter: char, count: usize, moment: &Zoned) -> String {
    let padded = |number: i64| format!("{number:0count$}");
    let year = |year: i16| if count == 2 { format!("{:02}", year.rem_euclid(100)) } else { padded(i64::from(year)) };
    let hour = moment.hour();
    match letter {
        'y' | 'u' => year(moment.year()),
        'Y' => year(moment.date().iso_week_date().year()),
        'w' => padded(i64::from(moment.date().iso_week_date().week())),
        'M' if count == 3 => moment.strftime("%b").to_string(),
        'M' if count == 4 => moment.strftime("%B").to_string(),
        'M' => padded(i64::from(moment.month())),
        'Q' => ((moment.month() - 1) / 3 + 1).to_string(),
        'd' => padded(i64::from(moment.day())),
        'D' => padded(i64::from(moment.day_of_year())),
        'E' => moment.strftime(if count == 4 { "%A" } else { "%a" }).to_string(),
        'e' => moment.weekday().to_monday_one_offset().to_string(),
        'H' => padded(i64::from(hour)),
        'h' => padded(i64::from((hour + 11) % 12 + 1)),
        'a' => if hour < 12 { "AM" } else { "PM" }.to_owned(),
        'm' => padded(i64::from(moment.minute())),
        's' => padded(i64::from(moment.second())),
        'S' => format!("{:09}", moment.subsec_nanosecond()).chars().take(count).collect(),
        'X' if moment.offset().seconds() == 0 => "Z".to_owned(),
        'X' | 'x' => offset(moment, count == 3),
        _ => offset(moment, false),
    }
}

fn offset(moment: &Zoned, colon: bool) -> String {
    let seconds = moment.offset().seconds();
    let minutes = seconds.abs() / 60;
    let sign = if seconds < 0 { '-' } else { '+' };
    format!("{sign}{:02}{}{:02}", minutes / 60, if colon { ":" } else { "" }, minutes % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_as_java_writes_them() {
        for (format, number, text) in [
            ("0.00", 2.71528, "2.72"),
            ("0.00", -0.001, "0.00"),
            ("#,##0.0", 1_234_567.0, "1,234,567.0"),
            ("#.##", 0.5, ".5"),
            ("#.##", 0.0, "0"),
            ("000", 7.0, "007"),
            ("0.0 ms", 12.34, "12.3 ms"),
            ("$0", -5.0, "-$5"),
            ("00.00%", 0.1234, "12.34%"),
            ("0.###", 2.0, "2"),
        ] {
            assert_eq!(Format::read(format, "").unwrap().number(number), text, "{format} {number}");
        }
    }

    #[test]
    fn dates_as_java_writes_them() {
        let nanos = 1_767_323_045_678_000_000;
        let berlin = logmill_indexer_api::datemath::zone_from("Europe/Berlin").unwrap();
        for (format, text) in [
            ("yyyy-MM-dd HH:mm", "2026-01-02 04:04"),
            ("dd/MMM/yyyy:HH:mm:ss Z", "02/Jan/2026:04:04:05 +0100"),
            ("strict_date_time", "2026-01-02T04:04:05.678+01:00"),
            ("yyyy-MM-dd'T'HH", "2026-01-02T04"),
            ("epoch_second", "1767323045"),
            ("date_optional_time||epoch_millis", "2026-01-02T04:04:05.678+01:00"),
            ("E hh:mm a", "Fri 04:04 AM"),
        ] {
            let format = Format::read(format, "").unwrap();
            assert_eq!(Format::zoned(Some(&format), nanos, &berlin), text, "{format:?}");
        }
        assert_eq!(Format::date(None, nanos), "2026-01-02T03:04:05.678Z");
        for format in ["QQQQ", "bogus", "yyyy-MM-dd'T", ""] {
            assert!(Format::read(format, "").is_err(), "{format}");
        }
    }
}
