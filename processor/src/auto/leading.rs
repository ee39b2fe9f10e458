//! Lines that begin with a time and name a level near it: `2026-11-22 12:00:00,123 ERROR [main] org.App - text`.
//!
//! The message becomes the text behind that head only when every word of the head found a field; otherwise time and
//! level are taken and the line stays whole.

use std::borrow::Cow;

use super::Rest;
use super::fields::Fields;
use super::level;
use crate::time::{Civil, month_of, parse_iso_prefix};

/// More words than this between time and text are no head.
const WORDS_MAX: usize = 8;

#[derive(Default)]
struct Head<'t> {
    level: Option<&'static str>,
    thread: Option<&'t str>,
    logger: Option<&'t str>,
    pid: Option<u64>,
    /// A word found no field.
    unknown: bool,
}

pub(super) fn recognise<'t>(text: &'t str, fields: &mut Fields<'_>) -> Option<Rest<'t>> {
    if let Some(rest) = glog(text, fields) {
        return Some(rest);
    }
    let line_end = memchr::memchr(b'\n', text.as_bytes()).unwrap_or(text.len());
    let line = text.get(..line_end)?;
    let (inner, bracket) = line.strip_prefix('[').map_or((line, false), |inner| (inner, true));
    let time = time_prefix(inner).filter(|(_, length)| *length > 0);
    let timed = time.is_some();
    let rest = match time {
        Some((civil, length)) => {
            if let Some(civil) = civil
                && !fields.time(civil)
            {
                return None;
            }
            let rest = inner.get(length..)?;
            if bracket { rest.trim_start_matches(' ').strip_prefix(']').unwrap_or(rest) } else { rest }
        }
        None => line,
    };
    let mut head = Head::default();
    let after = words(rest, timed, &mut head);
    let Some(level) = head.level else {
        return timed.then_some(Rest::Whole);
    };
    fields.level(level);
    if !timed || head.unknown {
        return Some(Rest::Whole);
    }
    if let Some(thread) = head.thread {
        put_thread(fields, thread);
    }
    if let Some(logger) = head.logger {
        fields.put("log", "logger", logger);
    }
    if let Some(pid) = head.pid {
        fields.put("process", "pid", pid);
    }
    // The head ends within the first line; further lines follow it.
    let message = text.get(line_end - after.len()..)?;
    if message.trim().is_empty() {
        return Some(Rest::Whole);
    }
    Some(Rest::Message(Cow::Borrowed(message)))
}

fn put_thread(fields: &mut Fields<'_>, thread: &str) {
    if let Some(process) = fields.group("process") {
        let thread_fields = process.entry("thread").or_insert_with(|| serde_json::json!({}));
        if let Some(map) = thread_fields.as_object_mut() {
            map.entry("name").or_insert_with(|| thread.into());
        }
    }
}

/// Reads the head's words; what is left is the text.
fn words<'t>(text: &'t str, timed: bool, head: &mut Head<'t>) -> &'t str {
    let mut rest = text;
    for index in 0..WORDS_MAX {
        let trimmed = rest.trim_start_matches([' ', '\t', '|']);
        let trimmed = ["- ", "--- ", ": "].iter().find_map(|sign| trimmed.strip_prefix(sign)).unwrap_or(trimmed);
        let trimmed = trimmed.trim_start_matches([' ', '\t', '|']);
        let Some((word, after)) = word(trimmed) else { return trimmed };
        if head.level.is_none()
            && let Some(known) = level_of(word, index, timed)
        {
            head.level = Some(known);
            rest = after.strip_prefix(':').unwrap_or(after);
            continue;
        }
        let inside = word.strip_prefix('[').and_then(|word| word.strip_suffix(']'));
        match (inside, head.level) {
            (Some(inside), _) if head.thread.is_none() => head.thread = Some(inside.trim()),
            (Some(_), Some(_)) => return trimmed,
            (None, _) if head.pid.is_none() && is_pid(word, after) => head.pid = word.parse().ok(),
            (None, _) if head.logger.is_none() && is_logger(word, after) => {
                head.logger = Some(word.trim_end_matches(':'));
                rest = after.trim_start().trim_start_matches(['-', ':', ']']);
                // A logger is the last word of a head, unless the level comes behind it.
                if head.level.is_some() {
                    return rest.trim_start_matches(' ');
                }
                continue;
            }
            (_, Some(_)) => return trimmed,
            (_, None) if !timed => return trimmed,
            (_, None) => head.unknown = true,
        }
        rest = after;
    }
    rest
}

/// The next word; one in square brackets goes to its bracket.
fn word(text: &str) -> Option<(&str, &str)> {
    if text.starts_with('[') {
        let end = text.find(']').filter(|end| *end <= 200)?;
        return Some(text.split_at(end + 1));
    }
    let end = text.find([' ', '\t', '|']).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

fn level_of(word: &str, index: usize, timed: bool) -> Option<&'static str> {
    let bare = word.trim_matches(['[', ']', '<', '>', '(', ')', ':', '|']).trim();
    // `core:error` in Apache's error log.
    let bare = if word.starts_with('[') { bare.rsplit(':').next().unwrap_or(bare) } else { bare };
    let bare = bare.trim();
    let known = if word == "[Note]" { "notice" } else { level::level_in_text(bare)? };
    if timed {
        // Small letters in brackets or before a colon, capitals anywhere in the head.
        let marked = word.len() > bare.len() || index == 0;
        return (marked || bare.bytes().all(|byte| byte.is_ascii_uppercase())).then_some(known);
    }
    // Without a time, only capitals at the very start: `ERROR: text`, `[WARN] text`.
    (index == 0 && bare.len() > 2 && bare.bytes().all(|byte| byte.is_ascii_uppercase())).then_some(known)
}

fn is_pid(word: &str, after: &str) -> bool {
    (1..=8).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_digit()) && after.starts_with(" --")
}

/// A dotted or plain name with a dash or colon behind it.
fn is_logger(word: &str, after: &str) -> bool {
    let name = word.strip_suffix(':').unwrap_or(word);
    let is_name =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'$' | b'-' | b'/' | b'[' | b']');
    let named = !name.is_empty()
        && name.len() <= 200
        && name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.bytes().all(is_name);
    let ends = word.len() > name.len() || {
        let after = after.trim_start_matches(' ');
        after.starts_with("- ") || after.starts_with(": ")
    };
    let colon_only = word.len() > name.len();
    // `Error: text` begins a text: a logger before a bare colon has a dot, or `::`, in its name.
    named && ends && (!colon_only || name.contains('.') || name.contains('_'))
}

/// A time at the start; `None` inside for a time of day alone, which says nothing about the day.
fn time_prefix(text: &str) -> Option<(Option<Civil>, usize)> {
    let bytes = text.as_bytes();
    match bytes.first()? {
        b'0'..=b'9' => parse_iso_prefix(text)
            .map(|(civil, length)| (Some(civil), length))
            .or_else(|| day_first(text))
            .or_else(|| short_year(text))
            .or_else(|| epoch(text))
            .or_else(|| time_of_day(text).map(|(_, length)| (None, length))),
        b'A'..=b'Z' => ctime(text),
        _ => None,
    }
}

/// `12:00:00[.,]123`.
fn time_of_day(text: &str) -> Option<(Civil, usize)> {
    // The parser of whole times does the work, given any date.
    let head: String = text.chars().take(20).collect();
    let dated = format!("2000-01-01 {head}");
    let (civil, length) = parse_iso_prefix(&dated)?;
    let length = length.checked_sub(11)?;
    (length >= 8 && text.is_char_boundary(length)).then_some((Civil { year: None, offset: None, ..civil }, length))
}

/// `22-Nov-2026 13:10:24.123`, `22/Nov/2026:13:10:24`, `22 Nov 2026 13:10:24`.
fn day_first(text: &str) -> Option<(Option<Civil>, usize)> {
    let bytes = text.as_bytes();
    let digits = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let sign = *bytes.get(digits).filter(|_| (1..=2).contains(&digits))?;
    if !matches!(sign, b'-' | b'/' | b' ') || bytes.get(digits + 4) != Some(&sign) {
        return None;
    }
    let (month, length) = month_of(text.get(digits + 1..digits + 4)?)?;
    let year = text.get(digits + 5..digits + 9)?.parse::<i16>().ok()?;
    if length != 3 || !matches!(bytes.get(digits + 9), Some(b' ' | b':' | b'T')) {
        return None;
    }
    let (time, used) = time_of_day(text.get(digits + 10..)?)?;
    let civil = Civil { year: Some(year), month, day: text.get(..digits)?.parse().ok()?, ..time };
    Some((Some(civil), digits + 10 + used))
}

/// `26/11/22 13:10:24`, as Spark writes it.
fn short_year(text: &str) -> Option<(Option<Civil>, usize)> {
    let bytes = text.as_bytes();
    if bytes.get(2) != Some(&b'/') || bytes.get(5) != Some(&b'/') || bytes.get(8) != Some(&b' ') {
        return None;
    }
    let number = |at: usize| text.get(at..at + 2)?.parse::<u8>().ok();
    let (time, used) = time_of_day(text.get(9..)?)?;
    let (year, month, day) = (number(0)?, number(3)?, number(6)?);
    let civil = Civil { year: Some(2_000 + i16::from(year)), month, day, ..time };
    Some((Some(civil), 9 + used))
}

/// `1795353024.123`: seconds of this century, ten digits.
fn epoch(text: &str) -> Option<(Option<Civil>, usize)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    if digits != 10 || !text.starts_with('1') {
        return None;
    }
    let fraction = text
        .get(10..)?
        .strip_prefix('.')
        .map_or(0, |fraction| 1 + fraction.bytes().take_while(u8::is_ascii_digit).count());
    let length = digits + fraction;
    let at = crate::time::from_epoch(&text.get(..length)?.trim_end_matches('.').parse().ok()?)?;
    let civil = jiff::tz::TimeZone::UTC.to_datetime(at);
    let civil = Civil {
        year: Some(civil.year()),
        month: civil.month() as u8,
        day: civil.day() as u8,
        hour: civil.hour() as u8,
        minute: civil.minute() as u8,
        second: civil.second() as u8,
        nanos: civil.subsec_nanosecond().cast_unsigned(),
        offset: Some(0),
    };
    Some((Some(civil), length))
}

/// `Sun Nov 22 13:10:24.123 2026`, or `Nov 22 13:10:24` and `Nov 22, 2026 1:10:24 PM` without the day.
fn ctime(text: &str) -> Option<(Option<Civil>, usize)> {
    let weekday = ["Mon ", "Tue ", "Wed ", "Thu ", "Fri ", "Sat ", "Sun "].iter().any(|day| text.starts_with(day));
    let skipped = if weekday { 4 } else { 0 };
    let rest = text.get(skipped..)?;
    let (month, 3) = month_of(rest)? else { return None };
    let day_text = rest.get(4..6)?;
    let day = day_text.trim().parse::<u8>().ok()?;
    let (time, used) = time_of_day(rest.get(7..)?)?;
    let mut length = skipped + 7 + used;
    let year = text
        .get(length + 1..length + 5)
        .filter(|year| text.as_bytes().get(length) == Some(&b' ') && year.bytes().all(|byte| byte.is_ascii_digit()));
    let year = year.and_then(|year| year.parse::<i16>().ok());
    if year.is_some() {
        length += 5;
    }
    Some((Some(Civil { year, month, day, ..time }), length))
}

/// `I1122 13:10:24.123456   77 file.go:12] text`.
fn glog<'t>(text: &'t str, fields: &mut Fields<'_>) -> Option<Rest<'t>> {
    let bytes = text.as_bytes();
    let known = level::of_letter(*bytes.first()?)?;
    if bytes.get(5) != Some(&b' ') {
        return None;
    }
    let number = |at: usize| text.get(at..at + 2)?.parse::<u8>().ok();
    let (month, day) = (number(1)?, number(3)?);
    let (time, used) = time_of_day(text.get(6..)?)?;
    let rest = text.get(6 + used..)?.trim_start_matches(' ');
    let (origin, message) = rest.split_once("] ")?;
    let mut words = origin.split_ascii_whitespace();
    let (thread, place) = (words.next()?, words.next()?);
    let (file, line) = place.rsplit_once(':')?;
    let (thread, line) = (thread.parse::<u64>().ok()?, line.parse::<u64>().ok()?);
    if words.next().is_some() || !fields.time(Civil { month, day, ..time }) {
        return None;
    }
    fields.level(known);
    put_thread_id(fields, thread);
    if let Some(log) = fields.group("log") {
        log.insert("origin".to_owned(), serde_json::json!({"file": {"name": file, "line": line}}));
    }
    Some(Rest::Message(Cow::Borrowed(message)))
}

fn put_thread_id(fields: &mut Fields<'_>, id: u64) {
    if let Some(process) = fields.group("process") {
        process.entry("thread").or_insert_with(|| serde_json::json!({ "id": id }));
    }
}
