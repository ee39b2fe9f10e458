//! ISO 8601 and its relatives: `2026-11-22T13:10:24.123Z`, `2026-11-22 13:10:24,123`, `2026/11/22 13:10`.

use super::civil::{Civil, parse_offset};
use super::format::zone_of;

/// Reads a date with a time at the start of `text`; the length that it takes is returned too.
/// Date and time may be parted by `T`, blanks or `:`; the zone may be missing.
pub(crate) fn parse_iso_prefix(text: &str) -> Option<(Civil, usize)> {
    let bytes = text.as_bytes();
    let year = number(bytes, 0, 4)?;
    let sign = *bytes.get(4)?;
    if !matches!(sign, b'-' | b'/' | b'.') || *bytes.get(7)? != sign {
        return None;
    }
    let (month, day) = (number(bytes, 5, 2)?, number(bytes, 8, 2)?);
    let gap = match bytes.get(10)? {
        b'T' | b't' | b'_' => 1,
        b' ' if bytes.get(11) == Some(&b' ') => 2,
        b' ' => 1,
        _ => return None,
    };
    let mut at = 10 + gap;
    let hour = number(bytes, at, 2)?;
    if bytes.get(at + 2) != Some(&b':') {
        return None;
    }
    let minute = number(bytes, at + 3, 2)?;
    at += 5;
    let mut civil = Civil {
        year: i16::try_from(year).ok(),
        month: month as u8,
        day: day as u8,
        hour: hour as u8,
        minute: minute as u8,
        ..Civil::default()
    };
    if bytes.get(at) == Some(&b':')
        && let Some(second) = number(bytes, at + 1, 2)
    {
        civil.second = second as u8;
        at += 3;
        if matches!(bytes.get(at), Some(b'.' | b',' | b':')) && bytes.get(at + 1).is_some_and(u8::is_ascii_digit) {
            let (nanos, digits) = fraction(bytes.get(at + 1..)?);
            civil.nanos = nanos;
            at += 1 + digits;
        }
    }
    // `Z` and offsets stand directly behind, or behind one blank. A blank and a minus is no zone: `12:00 -1 x`.
    let rest = text.get(at..)?;
    let (blank, zone) = rest.strip_prefix(' ').map_or((0, rest), |zone| (1, zone));
    if let Some((offset, tail)) = parse_offset(zone) {
        let whole = zone.len() - tail.len() != 3 || blank == 0;
        let ends = !tail.starts_with(|next: char| next.is_alphanumeric());
        if whole && ends {
            civil.offset = Some(offset);
            at = text.len() - tail.len();
        }
    } else if let Some((offset, length)) = zone_of(zone) {
        civil.offset = Some(offset);
        at = text.len() - zone.len() + length;
    }
    Some((civil, at))
}

fn number(bytes: &[u8], at: usize, digits: usize) -> Option<u32> {
    let mut value = 0;
    for byte in bytes.get(at..at + digits)? {
        value = value * 10 + u32::from(byte.checked_sub(b'0').filter(|digit| *digit <= 9)?);
    }
    Some(value)
}

/// The nanoseconds that leading digits mean behind a decimal point, and how many digits there are.
pub(super) fn fraction(bytes: &[u8]) -> (u32, usize) {
    let (mut nanos, mut digits) = (0u32, 0);
    while let Some(digit) = bytes.get(digits).filter(|byte| byte.is_ascii_digit()) {
        if digits < 9 {
            nanos = nanos * 10 + u32::from(digit - b'0');
        }
        digits += 1;
    }
    (nanos * 10u32.pow(9u32.saturating_sub(digits as u32)), digits)
}
