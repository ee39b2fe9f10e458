//! From a record's bytes to an event and back. Whatever the bytes are, there is an event that keeps them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use logmill_bus_client::Message;
use logmill_core::Event;
use serde_json::{Map, Value};

use crate::time::rfc3339;

/// The event of a record: JSON objects as they are, anything else as the message of a new event.
pub(super) fn decode(message: &Message, now: Timestamp) -> Event {
    if let Ok(event) = Event::from_slice(&message.value) {
        return event;
    }
    let mut event = Event::default();
    event.0.insert("@timestamp".to_owned(), Value::String(rfc3339(time_of(message, now))));
    match std::str::from_utf8(&message.value) {
        Ok(text) => drop(event.0.insert("message".to_owned(), Value::String(text.to_owned()))),
        Err(_) => {
            let text = String::from_utf8_lossy(&message.value).into_owned();
            event.0.insert("message".to_owned(), Value::String(text));
            event.add_tag("_invalid_utf8");
            let mut original = Map::new();
            original.insert("original_base64".to_owned(), Value::String(STANDARD.encode(&message.value)));
            event.0.insert("event".to_owned(), Value::Object(original));
        }
    }
    event
}

/// The event as a record's value. An event without a time gets that of its record.
pub(super) fn encode(event: &mut Event, message: &Message, now: Timestamp) -> Vec<u8> {
    if !event.0.get("@timestamp").is_some_and(|at| at.is_string() || at.is_number()) {
        event.0.insert("@timestamp".to_owned(), Value::String(rfc3339(time_of(message, now))));
    }
    let mut bytes = Vec::with_capacity(message.value.len() + 256);
    // Maps with string keys always serialise.
    let _ = serde_json::to_writer(&mut bytes, &event.0);
    bytes
}

pub(super) fn time_of(message: &Message, now: Timestamp) -> Timestamp {
    message.timestamp_ms.and_then(|millis| Timestamp::from_millisecond(millis).ok()).unwrap_or(now)
}
