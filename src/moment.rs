//! Places in a partition as people say them: its ends, an offset, a time, so many records on or back.

use jiff::{SignedDuration, Timestamp};

/// A place in a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Position {
    /// The oldest record that is kept.
    Start,
    /// What comes from now on.
    End,
    /// This offset.
    Offset(i64),
    /// The first record of this time (milliseconds since 1970) or later.
    Time(i64),
    /// So many records on from where a group is, or back.
    Shift(i64),
}

/// Where reading begins.
pub(crate) fn start(text: &str) -> Result<Position, String> {
    parse(text, Timestamp::now(), Signed::Refused)
}

/// Where a group is moved.
pub(crate) fn shift(text: &str) -> Result<Position, String> {
    parse(text, Timestamp::now(), Signed::Shift)
}

/// Before what records are deleted.
pub(crate) fn cut(text: &str) -> Result<Position, String> {
    match parse(text, Timestamp::now(), Signed::Refused)? {
        Position::Start => Err("before the start there is nothing to delete".to_owned()),
        position => Ok(position),
    }
}

/// What a number with a sign and no unit means.
#[derive(Clone, Copy)]
enum Signed {
    Refused,
    Shift,
}

fn parse(text: &str, now: Timestamp, signed: Signed) -> Result<Position, String> {
    match text {
        "start" | "earliest" => return Ok(Position::Start),
        "end" | "latest" => return Ok(Position::End),
        _ => {}
    }
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        let number: i64 = text.parse().map_err(|_| format!("{text} is larger than any offset"))?;
        return match (digits.len() == text.len(), signed) {
            (true, _) => Ok(Position::Offset(number)),
            (false, Signed::Shift) => Ok(Position::Shift(number)),
            (false, Signed::Refused) => Err("offsets have no sign; times have a unit, for instance -2h".to_owned()),
        };
    }
    if let Some(ago) = text.strip_prefix('-') {
        let time = now.checked_sub(period(ago)?).map_err(|_| format!("{ago} ago is before all time"))?;
        return Ok(Position::Time(time.as_millisecond()));
    }
    match text.parse::<Timestamp>() {
        Ok(time) => Ok(Position::Time(time.as_millisecond())),
        Err(_) => Err("not start, end, an offset, a time with its zone (2026-11-22T10:00:00Z), \
                       or a time before now (-2h, -1d12h)"
            .to_owned()),
    }
}

/// Numbers with units: `90s`, `1d12h`.
fn period(text: &str) -> Result<SignedDuration, String> {
    let wrong = || format!("`{text}` is not a length of time; say 90s, 15m, 2h, 1d12h or 1w");
    let mut rest = text;
    let mut seconds: i64 = 0;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, behind) = rest.split_at(digits);
        let mut letters = behind.chars();
        let unit = match letters.next() {
            Some('s') => 1,
            Some('m') => 60,
            Some('h') => 3_600,
            Some('d') => 86_400,
            Some('w') => 7 * 86_400,
            _ => return Err(wrong()),
        };
        let number: i64 = number.parse().map_err(|_| wrong())?;
        seconds = number.checked_mul(unit).and_then(|more| seconds.checked_add(more)).ok_or_else(wrong)?;
        rest = letters.as_str();
    }
    if text.is_empty() { Err(wrong()) } else { Ok(SignedDuration::from_secs(seconds)) }
}

/// A time in milliseconds since 1970 as RFC 3339; the number itself when it is beyond the calendar.
pub(crate) fn rfc3339(time_ms: i64) -> String {
    Timestamp::from_millisecond(time_ms).map_or_else(|_| time_ms.to_string(), |time| format!("{time:.3}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str, signed: Signed) -> Result<Position, String> {
        parse(text, "2026-11-22T12:00:00Z".parse().unwrap(), signed)
    }

    fn time(text: &str) -> Position {
        Position::Time(text.parse::<Timestamp>().unwrap().as_millisecond())
    }

    #[test]
    fn ends_offsets_and_shifts() {
        assert_eq!(at("start", Signed::Refused), Ok(Position::Start));
        assert_eq!(at("latest", Signed::Refused), Ok(Position::End));
        assert_eq!(at("42", Signed::Shift), Ok(Position::Offset(42)));
        assert_eq!(at("-42", Signed::Shift), Ok(Position::Shift(-42)));
        assert_eq!(at("+42", Signed::Shift), Ok(Position::Shift(42)));
        assert!(at("-42", Signed::Refused).unwrap_err().contains("-2h"));
        assert!(at("9223372036854775808", Signed::Shift).unwrap_err().contains("larger"));
        assert!(cut("start").is_err() && cut("7").is_ok());
    }

    #[test]
    fn times() {
        assert_eq!(at("-2h", Signed::Shift), Ok(time("2026-11-22T10:00:00Z")));
        assert_eq!(at("-1d12h", Signed::Refused), Ok(time("2026-11-21T00:00:00Z")));
        assert_eq!(at("2026-11-22T10:00:00+01:00", Signed::Refused), Ok(time("2026-11-22T09:00:00Z")));
        for wrong in ["", "-", "yesterday", "-2x", "-h", "2026-11-22", "-99999999999999999w", "-9999999999w", "-²h"] {
            assert!(at(wrong, Signed::Shift).is_err(), "{wrong}");
        }
    }

    #[test]
    fn times_are_printed_whole() {
        assert_eq!(rfc3339(1_763_800_000_123), "2025-11-22T08:26:40.123Z");
        assert_eq!(rfc3339(i64::MAX), i64::MAX.to_string());
    }
}
