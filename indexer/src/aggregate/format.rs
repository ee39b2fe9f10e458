//! How a request's `format` writes numbers (`0.00`, `#,##0.0 ms`), and dates (`yyyy-MM-dd HH:mm`, `epoch_millis`).

use jiff::tz::TimeZone;

use crate::dates::{self, Formats};
use crate::query::columns;
use crate::query::error::EsError;

/// Longer formats are refused: each key is written by one, with as many digits as it has.
const FORMAT_BYTES_MAX: usize = 100;

/// A format that was read; what it is for is known when the field's type is.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Format {
    text: String,
    decimal: Option<Decimal>,
    date: Option<Formats>,
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

impl Format {
    pub(super) fn read(text: &str, what: &str) -> Result<Self, EsError> {
        let refused = || EsError::argument(format!("{what}: the format [{text}] is not supported"));
        if text.len() > FORMAT_BYTES_MAX {
            return Err(refused());
        }
        let (decimal, date) = (Decimal::read(text), Formats::read_to_write(text).ok());
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
        match format.and_then(|format| format.date.as_ref()) {
            Some(formats) => formats.print(nanos, zone),
            None => dates::rfc3339_in(nanos, zone),
        }
    }
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
