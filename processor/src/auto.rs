//! Recognises the usual formats of log lines by hand-written scanners, none of which looks at a byte more than a
//! few times.
//!
//! What is taken out of `message` stands in a field of its own, so nothing is lost; access logs, and lines of which
//! a part finds no field, keep their whole text. What is not recognised stays as it is.

mod access;
mod fields;
mod json;
mod leading;
mod level;
mod logfmt;
mod stack;
mod syslog;

use std::borrow::Cow;

use jiff::Timestamp;
use logmill_core::Event;
use serde_json::Value;

use crate::time::Zone;

use fields::Fields;
pub(crate) use logfmt::logfmt_pairs;

/// How lines are recognised.
#[derive(Debug)]
pub(crate) struct Auto {
    /// The zone of times that name none.
    pub(crate) zone: Zone,
    /// Keeps the whole line where the message becomes shorter.
    pub(crate) keep_original: bool,
}

/// Formats may stand in one another (JSON in syslog, a container's line in JSON): this deep.
const NESTED_MAX: usize = 3;

/// What is left of a line once its format is known.
enum Rest<'t> {
    /// The message stays as it is.
    Whole,
    /// This is the message, and may have a format of its own.
    Inner(Cow<'t, str>),
    /// This is the message.
    Message(Cow<'t, str>),
}

impl Auto {
    /// Adds what the event's message tells.
    pub(crate) fn recognise(&self, event: &mut Event, now: Timestamp) {
        if !event.0.contains_key("message") && !json::recognise_event(event, &self.zone, now) {
            return;
        }
        let Some(Value::String(line)) = event.0.get_mut("message") else { return };
        let line = std::mem::take(line);
        let mut fields = Fields { event, zone: &self.zone, now, envelope_level: None };
        let message = message_of(&line, &mut fields);
        if let Some(level) = fields.envelope_level {
            fields.level(level);
        }
        stack::recognise(message.as_deref().unwrap_or(&line), event);
        if message.is_some() && self.keep_original {
            fields::insert_if_absent(event, "event", "original", Value::String(line.clone()));
        }
        if let Some(place) = event.0.get_mut("message") {
            *place = Value::String(message.unwrap_or(line));
        }
    }
}

/// The new message; `None` when it stays as it is.
fn message_of(line: &str, fields: &mut Fields<'_>) -> Option<String> {
    let mut text: Cow<'_, str> = without_colours(line);
    let mut changed = matches!(text, Cow::Owned(_));
    for _ in 0..NESTED_MAX {
        let (inner, goes_on) = match recognised(&text, fields) {
            None | Some(Rest::Whole) => break,
            Some(Rest::Inner(inner)) => (inner.into_owned(), true),
            Some(Rest::Message(message)) => (message.into_owned(), false),
        };
        text = Cow::Owned(inner);
        changed = true;
        if !goes_on {
            break;
        }
    }
    changed.then(|| text.into_owned())
}

fn recognised<'t>(text: &'t str, fields: &mut Fields<'_>) -> Option<Rest<'t>> {
    let trimmed = text.trim_start_matches(['\u{feff}', ' ', '\t']);
    match trimmed.as_bytes().first()? {
        b'{' => json::recognise(trimmed, fields),
        b'<' => syslog::with_priority(trimmed, fields),
        _ => access::recognise(trimmed, fields)
            .or_else(|| syslog::without_priority(trimmed, fields))
            .or_else(|| leading::recognise(trimmed, fields))
            .or_else(|| logfmt::recognise(trimmed, fields)),
    }
}

/// The text without the escape sequences by which terminals colour it.
fn without_colours(text: &str) -> Cow<'_, str> {
    if memchr::memchr(0x1b, text.as_bytes()).is_none() {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    let mut parts = text.split('\u{1b}');
    plain.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let sequence = part.strip_prefix('[').and_then(|sequence| {
            let end = sequence.find(|letter: char| !letter.is_ascii_digit() && letter != ';')?;
            sequence.get(end..)?.strip_prefix(['m', 'K'])
        });
        plain.push_str(sequence.unwrap_or(part));
    }
    Cow::Owned(plain)
}

#[cfg(test)]
mod tests;
