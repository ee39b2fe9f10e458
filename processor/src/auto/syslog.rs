//! Syslog: RFC 5424, RFC 3164, and the lines that syslog daemons write to files.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::Rest;
use super::fields::Fields;
use super::level;
use crate::time::{Civil, month_of, parse_iso_prefix};

/// A line that begins with `<34>`.
pub(super) fn with_priority<'t>(text: &'t str, fields: &mut Fields<'_>) -> Option<Rest<'t>> {
    let (priority, rest) = text.strip_prefix('<')?.split_once('>')?;
    let priority: u8 = priority.parse().ok().filter(|_| priority.len() <= 3)?;
    if priority > 191 {
        return None;
    }
    let message = match rest.strip_prefix("1 ") {
        Some(rest) => rfc5424(rest, fields)?,
        None => match header(rest, fields) {
            Some(message) => message,
            // Some devices send the priority and nothing else of the header.
            None => rest,
        },
    };
    let (facility, severity) = (priority / 8, priority % 8);
    if let Some(log) = fields.group("log") {
        let syslog = log.entry("syslog").or_insert_with(|| Value::Object(Map::new()));
        if let Value::Object(syslog) = syslog {
            syslog.insert("priority".to_owned(), Value::from(priority));
            syslog.insert("facility".to_owned(), code(facility));
            syslog.insert("severity".to_owned(), code(severity));
        }
    }
    fields.envelope_level = Some(level::of_severity(severity));
    Some(Rest::Inner(Cow::Borrowed(message)))
}

/// A line as daemons write it to files: `Nov 22 13:10:24 host sshd[77]: text`, or with an ISO time.
pub(super) fn without_priority<'t>(text: &'t str, fields: &mut Fields<'_>) -> Option<Rest<'t>> {
    header(text, fields).map(|message| Rest::Inner(Cow::Borrowed(message)))
}

fn code(number: u8) -> Value {
    let mut map = Map::new();
    map.insert("code".to_owned(), Value::from(number));
    Value::Object(map)
}

/// Time, host and tag; what is left. Nothing is set unless all of it is there.
fn header<'t>(text: &'t str, fields: &mut Fields<'_>) -> Option<&'t str> {
    let (civil, length) = match text.as_bytes().first()? {
        b'0'..=b'9' => parse_iso_prefix(text).filter(|(civil, _)| civil.offset.is_some())?,
        _ => bsd_time(text)?,
    };
    let rest = text.get(length..)?.strip_prefix(' ')?.trim_start_matches(' ');
    let (host, rest) = rest.split_once(' ')?;
    let is_host = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':');
    if host.is_empty() || !host.bytes().all(is_host) || host.ends_with(':') || level::level(host).is_some() {
        return None;
    }
    let (name, pid, message) = tag(rest)?;
    if !fields.time(civil) {
        return None;
    }
    put_origin(fields, host, name, pid);
    Some(message)
}

/// `Nov 22 13:10:24`, also with a fraction or a year behind it.
fn bsd_time(text: &str) -> Option<(Civil, usize)> {
    let (month, length) = month_of(text)?;
    if length != 3 {
        return None;
    }
    let bytes = text.as_bytes();
    let number = |at: usize| -> Option<u8> {
        match (bytes.get(at)?, bytes.get(at + 1)?) {
            (b' ', ones) if ones.is_ascii_digit() => Some(ones - b'0'),
            (tens, ones) if tens.is_ascii_digit() && ones.is_ascii_digit() => Some((tens - b'0') * 10 + ones - b'0'),
            _ => None,
        }
    };
    let signs = [(3, b' '), (6, b' '), (9, b':'), (12, b':')];
    if signs.iter().any(|(at, sign)| bytes.get(*at) != Some(sign)) {
        return None;
    }
    let civil = Civil {
        month,
        day: number(4)?,
        hour: number(7)?,
        minute: number(10)?,
        second: number(13)?,
        ..Civil::default()
    };
    Some((civil, 15))
}

/// `sshd[77]: `, `kernel: `: the program's name, its number, and the text behind.
fn tag(text: &str) -> Option<(&str, Option<&str>, &str)> {
    let end = text.bytes().position(|byte| matches!(byte, b':' | b'[' | b' '))?;
    let (name, rest) = text.split_at_checked(end).filter(|(name, _)| !name.is_empty() && name.len() <= 100)?;
    if let Some(rest) = rest.strip_prefix('[') {
        let (pid, rest) = rest.split_once(']')?;
        let rest = rest.strip_prefix(':')?;
        return (pid.len() <= 20).then_some((name, Some(pid), rest.strip_prefix(' ').unwrap_or(rest)));
    }
    // `sshd(pam_unix)[77]:` and `rsyslogd 8.2:` are names as well; only a colon ends them.
    match rest.strip_prefix(':') {
        Some(rest) if rest.is_empty() || rest.starts_with(' ') => {
            Some((name, None, rest.strip_prefix(' ').unwrap_or(rest)))
        }
        _ => None,
    }
}

fn put_origin(fields: &mut Fields<'_>, host: &str, name: &str, pid: Option<&str>) {
    fields.put("host", "hostname", host);
    fields.put("process", "name", name);
    match pid.map(|pid| (pid, pid.parse::<u64>())) {
        Some((_, Ok(number))) => fields.put("process", "pid", number),
        Some((text, Err(_))) if text != "-" => syslog_field(fields, "procid", Value::String(text.to_owned())),
        _ => {}
    }
    syslog_field(fields, "hostname", Value::String(host.to_owned()));
}

fn syslog_field(fields: &mut Fields<'_>, name: &str, value: Value) {
    if let Some(log) = fields.group("log")
        && let Value::Object(syslog) = log.entry("syslog").or_insert_with(|| Value::Object(Map::new()))
    {
        syslog.insert(name.to_owned(), value);
    }
}

/// What follows `<34>1 `: time, host, program, process, message id, structured data, text.
fn rfc5424<'t>(text: &'t str, fields: &mut Fields<'_>) -> Option<&'t str> {
    let mut words = text.splitn(6, ' ');
    let (time, host, name) = (words.next()?, words.next()?, words.next()?);
    let (process, id, rest) = (words.next()?, words.next()?, words.next()?);
    let (data, message) = structured_data(rest)?;
    if time != "-" {
        let (civil, length) = parse_iso_prefix(time)?;
        if length != time.len() || !fields.time(civil) {
            return None;
        }
    }
    for (group, field, word) in [("host", "hostname", host), ("process", "name", name)] {
        if word != "-" {
            fields.put(group, field, word);
        }
    }
    if let Ok(pid) = process.parse::<u64>() {
        fields.put("process", "pid", pid);
    } else if process != "-" {
        syslog_field(fields, "procid", Value::String(process.to_owned()));
    }
    if host != "-" {
        syslog_field(fields, "hostname", Value::String(host.to_owned()));
    }
    if id != "-" {
        syslog_field(fields, "msgid", Value::String(id.to_owned()));
    }
    if !data.is_empty() {
        syslog_field(fields, "structured_data", Value::Object(data));
    }
    // The standard allows a byte order mark in front of UTF-8.
    Some(message.strip_prefix('\u{feff}').unwrap_or(message))
}

/// `-` or `[id name="value" …]…`, and the text behind.
fn structured_data(text: &str) -> Option<(Map<String, Value>, &str)> {
    let mut data = Map::new();
    if let Some(rest) = text.strip_prefix('-') {
        return Some((data, rest.strip_prefix(' ').unwrap_or(rest)));
    }
    let mut rest = text;
    while let Some(inner) = rest.strip_prefix('[') {
        let end = inner.find([' ', ']'])?;
        let (id, mut inner) = inner.split_at(end);
        let mut element = Map::new();
        while let Some(parameter) = inner.strip_prefix(' ') {
            let (name, value) = parameter.split_once("=\"")?;
            let (value, after) = value_of(value)?;
            element.insert(name.to_owned(), Value::String(value));
            inner = after;
        }
        rest = inner.strip_prefix(']')?;
        data.insert(id.to_owned(), Value::Object(element));
    }
    (!data.is_empty()).then(|| (data, rest.strip_prefix(' ').unwrap_or(rest)))
}

/// A value up to its quote; a backslash hides `"`, `\` and `]`.
fn value_of(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '"' => return Some((value, letters.as_str())),
            '\\' => match letters.next()? {
                hidden @ ('"' | '\\' | ']') => value.push(hidden),
                other => value.extend(['\\', other]),
            },
            _ => value.push(letter),
        }
    }
    None
}
