//! Date formats as mappings and requests name them: Elasticsearch's own names and patterns of Java's
//! `DateTimeFormatter`, several of them with `||` between. They are compiled once; reading takes one walk over the text.

pub(crate) mod instant;
mod names;
mod parse;
mod pattern;
mod print;

use jiff::tz::TimeZone;

use pattern::{Piece, Purpose};

/// Longer formats are no formats.
const FORMAT_BYTES_MAX: usize = 1024;

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

/// Formats that are tried in order when an instant is read; the first of them writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Formats(Vec<Format>);

impl Default for Formats {
    fn default() -> Self {
        // `strict_date_optional_time||epoch_millis`, as Elasticsearch has it.
        Self(vec![Format::Iso, Format::EpochMillis])
    }
}

impl Formats {
    /// Reads formats that instants are read and written by.
    ///
    /// # Errors
    /// When one is not known.
    pub(crate) fn read(text: &str) -> Result<Self, FormatError> {
        Self::read_for(text, Purpose::Both)
    }

    /// Reads formats that instants are only written by: parts that tell no instant may stand in them, such as the week
    /// or the quarter.
    ///
    /// # Errors
    /// When one is not known.
    pub(crate) fn read_to_write(text: &str) -> Result<Self, FormatError> {
        Self::read_for(text, Purpose::Writing)
    }

    fn read_for(text: &str, purpose: Purpose) -> Result<Self, FormatError> {
        let refused = |why: &str| FormatError { format: text.chars().take(100).collect(), why: why.to_owned() };
        if text.len() > FORMAT_BYTES_MAX {
            return Err(refused("it is too long"));
        }
        let formats = text.split("||").map(|one| Format::read(one, purpose).map_err(|why| refused(&why)));
        formats.collect::<Result<_, _>>().map(Self)
    }

    /// Whether plain numbers are seconds, not milliseconds.
    pub(crate) fn count_seconds(&self) -> bool {
        self.0.contains(&Format::EpochSecond) && !self.0.contains(&Format::EpochMillis)
    }

    /// Nanoseconds since 1970 of a text, when one of the formats takes it and it lies between 1677 and 2262.
    pub(crate) fn parse(&self, text: &str) -> Option<i64> {
        self.parse_rounded(text, &TimeZone::UTC, false)
    }

    /// The same on the clock of a zone, where the text names none; the last nanosecond of what is written with `up`.
    pub(crate) fn parse_rounded(&self, text: &str, zone: &TimeZone, up: bool) -> Option<i64> {
        let text = text.trim();
        self.0.iter().find_map(|format| match format {
            Format::EpochMillis => parse::epoch(text, 1_000_000),
            Format::EpochSecond => parse::epoch(text, 1_000_000_000),
            Format::Iso => parse::iso(text)?.nanos(zone, up),
            Format::Pattern(pieces) => parse::by_pattern(text, pieces)?.nanos(zone, up),
        })
    }

    /// An instant (nanoseconds since 1970) as the first format writes it, on the clock of a zone.
    pub(crate) fn print(&self, nanos: i64, zone: &TimeZone) -> String {
        match self.0.first() {
            Some(Format::EpochMillis) => nanos.div_euclid(1_000_000).to_string(),
            Some(Format::EpochSecond) => nanos.div_euclid(1_000_000_000).to_string(),
            Some(Format::Pattern(pieces)) => print::by_pattern(pieces, nanos, zone),
            Some(Format::Iso) | None => print::iso(nanos, zone),
        }
    }
}

/// An instant as it is written when nobody asks for a format: RFC 3339 in UTC, with milliseconds, or as many digits as
/// it needs.
pub(crate) fn rfc3339(nanos: i64) -> String {
    print::iso(nanos, &TimeZone::UTC)
}

/// The same on the clock of a zone.
pub(crate) fn rfc3339_in(nanos: i64, zone: &TimeZone) -> String {
    print::iso(nanos, zone)
}

impl Format {
    fn read(text: &str, purpose: Purpose) -> Result<Self, String> {
        let pattern = match text.strip_prefix("strict_").unwrap_or(text) {
            "epoch_millis" => return Ok(Self::EpochMillis),
            "epoch_second" => return Ok(Self::EpochSecond),
            name if names::is_iso(name) => return Ok(Self::Iso),
            // What the field's mapping says is not known where requests are read.
            "use_field_mapping" if purpose == Purpose::Writing => return Ok(Self::Iso),
            name => match names::pattern(name) {
                Some(pattern) => pattern,
                None if text.contains('_') => return Err("there is no format of this name here".to_owned()),
                None => text,
            },
        };
        pattern::compile(pattern, purpose).map(Self::Pattern)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(format: &str, text: &str) -> Option<String> {
        Some(rfc3339_short(Formats::read(format).unwrap().parse(text)?))
    }

    fn rfc3339_short(nanos: i64) -> String {
        jiff::Timestamp::from_nanosecond(i128::from(nanos)).unwrap().to_string()
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
            ("hour_minute", "03:04", "1970-01-01T03:04:00Z"),
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
            ("use_field_mapping", "no format"),
            ("yyyy-ww", "[ww]"),
            ("weekyear_week", "[YYYY]"),
            ("yyyy[", "does not end"),
            ("yyyy]", "not begun"),
            ("yyyy'T", "quote"),
            ("0.00", "no part"),
            ("", "empty"),
        ] {
            let error = Formats::read(format).unwrap_err();
            assert!(error.to_string().contains(named), "{format}: {error}");
        }
    }

    #[test]
    fn a_time_that_is_left_out_is_the_last_of_its_day_when_rounding_up() {
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        for (format, text, up) in [
            ("yyyy", "2026", "2026-01-01T22:59:59.999999999Z"),
            ("yyyy-MM", "2026-02", "2026-02-01T22:59:59.999999999Z"),
            ("dd.MM.yyyy", "02.01.2026", "2026-01-02T22:59:59.999999999Z"),
            ("yyyy-DDD", "2026-002", "2026-01-02T22:59:59.999999999Z"),
            ("yyyy-MM-dd HH:mm", "2026-01-02 03:04", "2026-01-02T02:04:59.999999999Z"),
            ("MM/dd/yy hh a", "01/02/26 03 PM", "2026-01-02T14:59:59.999999999Z"),
            ("date_optional_time", "2026-01-02T03:04:05Z", "2026-01-02T03:04:05.999999999Z"),
            ("yyyy-MM-dd HH:mm:ss.S", "2026-01-02 03:04:05.6", "2026-01-02T02:04:05.6Z"),
            ("epoch_second", "1767323045", "2026-01-02T03:04:05Z"),
        ] {
            let nanos = Formats::read(format).unwrap().parse_rounded(text, &berlin, true);
            assert_eq!(nanos.map(rfc3339_short).as_deref(), Some(up), "{text} as {format}");
        }
    }

    #[test]
    fn dates_are_written_as_asked() {
        let nanos = 1_767_323_045_678_000_000;
        let write = |format: &str, zone: &TimeZone| Formats::read_to_write(format).unwrap().print(nanos, zone);
        for (format, text) in [
            ("epoch_millis", "1767323045678"),
            ("yyyy-MM-dd", "2026-01-02"),
            ("strict_date_optional_time", "2026-01-02T03:04:05.678Z"),
            ("use_field_mapping", "2026-01-02T03:04:05.678Z"),
            ("yyyy-MM-dd'T'HH:mm:ss.SSSZ", "2026-01-02T03:04:05.678+0000"),
            ("yyyy-MM-dd[ HH:mm]", "2026-01-02 03:04"),
            ("YYYY-'W'ww-e", "2026-W01-5"),
            ("'Q'Q yyyy", "Q1 2026"),
            ("HH:mm VV", "03:04 UTC"),
        ] {
            assert_eq!(write(format, &TimeZone::UTC), text, "{format}");
        }
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        assert_eq!(write("HH:mm VV", &berlin), "04:04 Europe/Berlin");
        assert_eq!(rfc3339(nanos), "2026-01-02T03:04:05.678Z");
        assert_eq!(rfc3339(nanos + 1), "2026-01-02T03:04:05.678000001Z");
        assert_eq!(rfc3339_in(nanos + 1, &berlin), "2026-01-02T04:04:05.678000001+01:00");
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_back(seconds in -2_000_000_000i64..4_000_000_000, place in 0usize..8) {
            let formats = ["yyyy-MM-dd HH:mm:ss", "yyyyMMdd'T'HHmmssXX", "EEEE, d MMMM yyyy h:m:s a", "epoch_second",
                "strict_date_optional_time", "yyyy-DDD HH:mm:ss xxx", "yyyy-MM-dd HH:mm:ss VV", "basic_ordinal_date_time"];
            let formats = Formats::read(formats[place]).unwrap();
            let text = formats.print(seconds * 1_000_000_000, &TimeZone::UTC);
            prop_assert_eq!(formats.parse(&text), Some(seconds * 1_000_000_000), "{}", text);
        }

        #[test]
        fn any_format_and_text_do_no_harm(format in "[yMdHhmsSXxZzaYwQ'\\[\\]|: -]{0,30}", text in "\\PC{0,40}") {
            let rounded = Formats::read(&format).ok().and_then(|formats| {
                Some((formats.parse(&text)?, formats.parse_rounded(&text, &TimeZone::UTC, true)?))
            });
            if let Some((down, up)) = rounded {
                prop_assert!(down <= up, "{} {}", down, up);
            }
            if let Ok(formats) = Formats::read_to_write(&format) {
                formats.print(1_767_323_045_678_000_000, &TimeZone::UTC);
            }
        }
    }
}
