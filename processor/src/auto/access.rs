//! Access logs of web servers: common and combined, with or without a virtual host in front.
//! The message stays the whole line.

use std::net::IpAddr;

use serde_json::{Map, Value};

use super::Rest;
use super::fields::Fields;
use crate::time::{Civil, month_of};

/// Reads `host ident user [22/Nov/2026:13:10:24 +0000] "GET / HTTP/1.1" 200 5 "referrer" "agent"`.
pub(super) fn recognise<'t>(text: &str, fields: &mut Fields<'_>) -> Option<Rest<'t>> {
    // The date's bracket comes after a few short words, or this is no access log.
    let head = text.as_bytes().get(..text.len().min(600))?;
    let bracket = memchr::memchr(b'[', head)?;
    let mut words = text.get(..bracket)?.strip_suffix(' ')?.split(' ').rev();
    let (user, _ident, client) = (words.next()?, words.next()?, words.next()?);
    let virtual_host = words.next();
    if words.next().is_some() || client.is_empty() {
        return None;
    }
    let rest = text.get(bracket + 1..)?;
    let civil = http_date(rest)?;
    let rest = rest.get(26..)?.strip_prefix("] \"")?;
    let (request, rest) = quoted(rest)?;
    let mut words = rest.strip_prefix(' ')?.splitn(3, ' ');
    let (status, bytes) = (words.next()?, words.next().unwrap_or("-"));
    let rest = words.next().unwrap_or_default();
    if !is_count(status) || !is_count(bytes) || !fields.time(civil) {
        return None;
    }
    put_client(fields, client, user, virtual_host);
    put_exchange(fields, request, status, bytes, rest);
    Some(Rest::Whole)
}

fn is_count(text: &str) -> bool {
    text == "-" || (!text.is_empty() && text.len() < 20 && text.bytes().all(|byte| byte.is_ascii_digit()))
}

/// `22/Nov/2026:13:10:24 +0000`, 26 bytes.
fn http_date(text: &str) -> Option<Civil> {
    let bytes = text.as_bytes().get(..26)?;
    let number = |at: usize, digits: usize| -> Option<u16> {
        bytes
            .get(at..at + digits)?
            .iter()
            .try_fold(0u16, |value, byte| byte.is_ascii_digit().then(|| value * 10 + u16::from(byte - b'0')))
    };
    let shape = [(2, b'/'), (6, b'/'), (11, b':'), (14, b':'), (17, b':'), (20, b' ')];
    if shape.iter().any(|(at, sign)| bytes.get(*at) != Some(sign)) {
        return None;
    }
    let (month, length) = month_of(text.get(3..6)?)?;
    let east = match bytes.get(21)? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let offset = i32::from(number(22, 2)?) * 3_600 + i32::from(number(24, 2)?) * 60;
    (length == 3).then_some(Civil {
        year: i16::try_from(number(7, 4)?).ok(),
        month,
        day: number(0, 2)? as u8,
        hour: number(12, 2)? as u8,
        minute: number(15, 2)? as u8,
        second: number(18, 2)? as u8,
        nanos: 0,
        offset: Some(east * offset),
    })
}

/// The text up to the closing quote (a backslash hides one), and what follows it.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let bytes = text.as_bytes();
    let mut from = 0;
    loop {
        let at = from + memchr::memchr2(b'"', b'\\', bytes.get(from..)?)?;
        if bytes.get(at) == Some(&b'"') {
            return Some((text.get(..at)?, text.get(at + 1..)?));
        }
        from = at + 2;
    }
}

fn put_client(fields: &mut Fields<'_>, client: &str, user: &str, virtual_host: Option<&str>) {
    if let Some(source) = fields.group("source") {
        source.insert("address".to_owned(), Value::String(client.to_owned()));
        if client.parse::<IpAddr>().is_ok() {
            source.insert("ip".to_owned(), Value::String(client.to_owned()));
        }
    }
    if user != "-" {
        fields.put("user", "name", user);
    }
    if let Some(host) = virtual_host {
        fields.put("url", "domain", host.split(':').next().unwrap_or(host));
    }
}

fn put_exchange(fields: &mut Fields<'_>, request: &str, status: &str, bytes: &str, rest: &str) {
    let mut http = Map::new();
    let mut about_request = Map::new();
    let mut words = request.split(' ');
    let (method, target, version) = (words.next().unwrap_or_default(), words.next(), words.next());
    let is_method = !method.is_empty() && method.len() <= 20 && method.bytes().all(|byte| byte.is_ascii_uppercase());
    if let (true, Some(target), None) = (is_method, target, words.next()) {
        about_request.insert("method".to_owned(), Value::String(method.to_owned()));
        fields.put("url", "original", target);
        fields.put("url", "path", target.split(['?', '#']).next().unwrap_or(target));
        if let Some(version) = version.and_then(|version| version.strip_prefix("HTTP/")) {
            http.insert("version".to_owned(), Value::String(version.to_owned()));
        }
    }
    // ` "referrer" "agent"`, when the format is the combined one.
    if let Some((referrer, after)) = rest.strip_prefix('"').and_then(quoted) {
        if referrer != "-" && !referrer.is_empty() {
            about_request.insert("referrer".to_owned(), Value::String(referrer.to_owned()));
        }
        if let Some((agent, _)) = after.strip_prefix(" \"").and_then(quoted)
            && agent != "-"
            && !agent.is_empty()
        {
            fields.put("user_agent", "original", agent);
        }
    }
    if !about_request.is_empty() {
        http.insert("request".to_owned(), Value::Object(about_request));
    }
    let mut response = Map::new();
    if let Ok(status) = status.parse::<u16>() {
        response.insert("status_code".to_owned(), Value::from(status));
        fields.level(match status {
            500.. => "error",
            400.. => "warn",
            _ => "info",
        });
    }
    if let Ok(bytes) = bytes.parse::<u64>() {
        let mut body = Map::new();
        body.insert("bytes".to_owned(), Value::from(bytes));
        response.insert("body".to_owned(), Value::Object(body));
    }
    http.insert("response".to_owned(), Value::Object(response));
    if !fields.event.0.contains_key("http") {
        fields.event.0.insert("http".to_owned(), Value::Object(http));
    }
    fields.put("event", "dataset", "access");
}
