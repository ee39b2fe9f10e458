//! Instants as events write them: RFC 3339 text.

/// Nanoseconds since 1970 of an RFC 3339 text, when it is one and lies between 1677 and 2262.
pub(crate) fn parse(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    // Most strings are no instants: five comparisons tell.
    let shaped = (20..=40).contains(&bytes.len())
        && bytes.first()?.is_ascii_digit()
        && bytes.get(4) == Some(&b'-')
        && bytes.get(7) == Some(&b'-')
        && matches!(bytes.get(10), Some(b'T' | b't'))
        && bytes.get(13) == Some(&b':');
    if !shaped {
        return None;
    }
    let instant: jiff::Timestamp = text.parse().ok()?;
    i64::try_from(instant.as_nanosecond()).ok()
}

/// The instant as text with milliseconds, or as many digits as it needs.
pub(crate) fn to_rfc3339(nanos: i64) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(nanos))
        .map_or_else(|_| nanos.to_string(), |instant| format!("{instant:.3}"))
}

/// Days since 1970.
pub(crate) fn day_of(at: jiff::Timestamp) -> u32 {
    u32::try_from(at.as_second().div_euclid(86_400)).unwrap_or(0)
}
