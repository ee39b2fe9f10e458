//! Stack traces that follow a message: the exception's type, its message and the trace as fields of their own.
//! The message itself keeps everything.

use logmill_core::Event;
use serde_json::{Map, Value};

/// Looks for an exception in a message of several lines.
pub(super) fn recognise(message: &str, event: &mut Event) {
    if memchr::memchr(b'\n', message.as_bytes()).is_none() || event.0.contains_key("error") {
        return;
    }
    let Some(found) = java(message).or_else(|| python(message)).or_else(|| go(message)) else { return };
    let mut error = Map::new();
    error.insert("type".to_owned(), Value::String(found.kind.to_owned()));
    if !found.message.is_empty() {
        error.insert("message".to_owned(), Value::String(found.message.to_owned()));
    }
    error.insert("stack_trace".to_owned(), Value::String(found.trace.trim_end().to_owned()));
    event.0.insert("error".to_owned(), Value::Object(error));
}

struct Found<'t> {
    kind: &'t str,
    message: &'t str,
    trace: &'t str,
}

/// Java, Kotlin, Scala, .NET and JavaScript: a line `some.Exception: text` above lines `at …`.
fn java(message: &str) -> Option<Found<'_>> {
    let frame = ["\n\tat ", "\n    at ", "\n   at ", "\n  at "].iter().filter_map(|frame| message.find(frame)).min()?;
    // The exception's text may have several lines: its first one is the nearest above that names a type.
    let above = message.get(..frame)?;
    let mut end = above.len();
    for line in above.rsplit('\n') {
        let start = end - line.len();
        if let Some((kind, text, offset)) = exception(line) {
            return Some(Found { kind, message: text, trace: message.get(start + offset..)? });
        }
        end = start.saturating_sub(1);
    }
    None
}

/// `Exception in thread "main" java.lang.X: text`, `java.lang.X: text`, or `… - java.lang.X: text`.
/// The offset is where the type begins in the line.
fn exception(line: &str) -> Option<(&str, &str, usize)> {
    let mut from = 0;
    for word in line.split(' ') {
        let name = word.strip_suffix(':').unwrap_or(word);
        let last = name.rsplit(['.', '$']).next().unwrap_or(name);
        let named = ["Exception", "Error", "Throwable", "Failure"].iter().any(|ending| last.ends_with(ending));
        let is_type = named
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'$' | b'/' | b'@'))
            && last.starts_with(|first: char| first.is_ascii_uppercase());
        let ends = word.ends_with(':') || from + word.len() == line.len();
        if is_type && ends {
            let text = line.get(from + word.len()..).unwrap_or_default().trim();
            return Some((name, text, from));
        }
        from += word.len() + 1;
    }
    None
}

/// Python tells the type on the last line that is not indented.
fn python(message: &str) -> Option<Found<'_>> {
    const BEGIN: &str = "Traceback (most recent call last):";
    let start = message.find(BEGIN)?;
    let trace = message.get(start..)?;
    let last = trace.lines().skip(1).find(|line| !line.is_empty() && !line.starts_with([' ', '\t']))?;
    let (kind, text) = last.split_once(':').unwrap_or((last, ""));
    let is_type = kind.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_'));
    is_type.then_some(Found { kind, message: text.trim(), trace })
}

/// `panic: text` above `goroutine 1 [running]:`.
fn go(message: &str) -> Option<Found<'_>> {
    let goroutine = message.find("\ngoroutine ")?;
    let start = message.get(..goroutine)?.rfind("panic: ")?;
    let trace = message.get(start..)?;
    let text = trace.get("panic: ".len()..)?.lines().next().unwrap_or_default();
    Some(Found { kind: "panic", message: text, trace })
}
