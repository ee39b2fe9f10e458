//! Formats on texts, and the calendar held against another implementation.

use super::*;
use proptest::prelude::*;

const NOW: &str = "2026-11-22T13:10:24Z";

fn now() -> Timestamp {
    NOW.parse().expect("a time")
}

fn read(format: &str, text: &str, zone: &str) -> Option<String> {
    let format = DateFormat::compile(format).unwrap_or_else(|error| panic!("{format}: {error}"));
    format.parse(text, &Zone::parse(zone).expect("a zone"), now()).map(rfc3339)
}

#[test]
fn reads_what_logs_write() {
    let cases = [
        ("dd/MMM/yyyy:HH:mm:ss Z", "22/Nov/2026:14:10:24 +0100", "UTC", "2026-11-22T13:10:24.000Z"),
        ("ISO8601", "2026-11-22T13:10:24.123456Z", "UTC", "2026-11-22T13:10:24.123456Z"),
        ("ISO8601", "2026-11-22 13:10:24,123", "+02:00", "2026-11-22T11:10:24.123Z"),
        ("ISO8601", "2026-11-22", "UTC", "2026-11-22T00:00:00.000Z"),
        ("ISO8601", "20261122T131024Z", "UTC", "2026-11-22T13:10:24.000Z"),
        ("ISO8601", "2026-11-22T13:10:24+05:30", "UTC", "2026-11-22T07:40:24.000Z"),
        ("UNIX", "1795353024", "UTC", "2026-11-22T13:10:24.000Z"),
        ("UNIX", "1795353024.5", "UTC", "2026-11-22T13:10:24.500Z"),
        ("UNIX_MS", "1795353024123", "UTC", "2026-11-22T13:10:24.123Z"),
        ("MMM d HH:mm:ss", "Nov 22 13:10:00", "UTC", "2026-11-22T13:10:00.000Z"),
        ("MMM d HH:mm:ss", "Nov  2 13:10:00", "UTC", "2026-11-02T13:10:00.000Z"),
        ("MMM d HH:mm:ss", "Dec 31 23:59:59", "UTC", "2025-12-31T23:59:59.000Z"),
        ("EEE MMM dd HH:mm:ss.SSSSSS yyyy", "Sun Nov 22 13:10:24.123456 2026", "UTC", "2026-11-22T13:10:24.123456Z"),
        ("EEE, dd MMM yyyy HH:mm:ss zzz", "Sun, 22 Nov 2026 13:10:24 GMT", "UTC", "2026-11-22T13:10:24.000Z"),
        ("yyyy-MM-dd HH:mm:ss,SSS", "2026-07-01 12:00:00,5", "Europe/Paris", "2026-07-01T10:00:00.500Z"),
        ("MMM dd, yyyy h:mm:ss a", "Nov 22, 2026 1:10:24 PM", "UTC", "2026-11-22T13:10:24.000Z"),
        ("MMM dd, yyyy h:mm:ss a", "Nov 22, 2026 12:10:24 AM", "UTC", "2026-11-22T00:10:24.000Z"),
        ("yyyy-MM-dd'T'HH:mm:ssXXX", "2026-11-22T13:10:24Z", "UTC", "2026-11-22T13:10:24.000Z"),
        ("yy/MM/dd HH:mm:ss", "26/11/22 13:10:24", "UTC", "2026-11-22T13:10:24.000Z"),
        ("yyyy DDD", "2026 326", "UTC", "2026-11-22T00:00:00.000Z"),
        ("ISO8601", "2016-12-31T23:59:60Z", "UTC", "2016-12-31T23:59:59.000Z"),
    ];
    for (format, text, zone, expected) in cases {
        assert_eq!(read(format, text, zone).as_deref(), Some(expected), "{format} on {text}");
    }
}

#[test]
fn refuses_what_is_no_time() {
    for (format, text) in [
        ("ISO8601", "2026-13-01T00:00:00Z"),
        ("ISO8601", "2026-02-30"),
        ("ISO8601", "2026-11-22T25:00:00Z"),
        ("ISO8601", "2026-11-22T13:10:24Z and more"),
        ("ISO8601", "ünicode"),
        ("dd/MMM/yyyy:HH:mm:ss Z", "22/Nov/2026:14:10:24"),
        ("dd/MMM/yyyy", "22/Foo/2026"),
        ("UNIX", "soon"),
        ("UNIX_MS", "99999999999999999999"),
        ("HH:mm", "12:30"),
    ] {
        assert_eq!(read(format, text, "UTC"), None, "{format} on {text}");
    }
    for format in ["", "yyyy-'MM", "yyyy-bb"] {
        assert!(DateFormat::compile(format).is_err(), "{format}");
    }
}

#[test]
fn prefixes_end_where_the_time_ends() {
    for (text, length) in [
        ("2026-11-22 12:00:00,123 ERROR", 23),
        ("2026-11-22T12:00:00Z x", 20),
        ("2026-11-22T12:00:00.123+02:00 x", 29),
        ("2026-11-22 12:00:00 +0200 x", 25),
        ("2026-11-22 12:00:00 UTC x", 23),
        ("2026-11-22 12:00:00.123 PDT x", 27),
        ("2026-11-22 12:00:00 UTCx", 19),
        ("2026-11-22 12:00:00 -12 x", 19),
        ("2026/11/22 12:00:00 [error]", 19),
        ("2026-11-22 12:00 x", 16),
    ] {
        assert_eq!(parse_iso_prefix(text).map(|(_, length)| length), Some(length), "{text}");
    }
}

#[test]
fn epochs_are_told_apart_by_size() {
    for text in ["1795353024", "1795353024000", "1795353024000000", "1795353024000000000", "1795353024.0"] {
        let number = text.parse().expect("a number");
        assert_eq!(from_epoch(&number).map(rfc3339).as_deref(), Some("2026-11-22T13:10:24.000Z"), "{text}");
    }
}

proptest! {
    #[test]
    fn agrees_with_another_calendar(nanos in -62_000_000_000_000_000_000i128..250_000_000_000_000_000_000) {
        let at = Timestamp::from_nanosecond(nanos).map_err(|error| TestCaseError::fail(error.to_string()))?;
        let text = rfc3339(at);
        prop_assert_eq!(text.parse::<Timestamp>().ok(), Some(at));
        let (civil, length) = parse_iso_prefix(&text).ok_or_else(|| TestCaseError::fail(text.clone()))?;
        prop_assert_eq!(length, text.len());
        prop_assert_eq!(civil.timestamp(&Zone::Fixed(0), at), Some(at));
    }

    #[test]
    fn junk_is_refused_not_panicked_on(text: String, format in "[yMdHmsSZzEa:/' -]{0,12}") {
        let _ = parse_iso_prefix(&text);
        if let Ok(format) = DateFormat::compile(&format) {
            let _ = format.parse(&text, &Zone::Fixed(0), now());
        }
    }
}
