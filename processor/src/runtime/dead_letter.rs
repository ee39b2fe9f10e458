//! Dead letters: the original bytes, where they came from, and why no pipeline could take them.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use logmill_bus_client::Message;
use logmill_core::Event;
use serde_json::{Map, Value, json};

use crate::pipeline::{Dead, Pipeline};
use crate::time::rfc3339;

/// So much of the original is kept in the letter: JSON may spell a byte with six, and the largest record has 16 MiB.
/// The rest is found at the raw position as long as the raw topic keeps it.
const ORIGINAL_BYTES_MAX: usize = 2 << 20;

/// Fields of the original that say where it came from, so that dead letters can be searched by them.
const KEPT: [&str; 6] = ["agent", "data_stream", "fields", "host", "log", "service"];

/// The index that a store puts dead letters in.
pub(super) const INDEX: &str = "logs-dead_letter-default";

/// How much of the original goes into a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// Up to the limit.
    Original,
    /// Nothing: the letter with it was too large for the bus.
    Reference,
}

/// The letter's bytes.
pub(super) fn letter(message: &Message, pipeline: &Pipeline, dead: &Dead, body: Body, now: Timestamp) -> Vec<u8> {
    let mut letter = Map::new();
    letter.insert("@timestamp".to_owned(), Value::String(rfc3339(now)));
    letter.insert("message".to_owned(), Value::String(format!("{}: {}", dead.step, dead.reason)));
    letter.insert("error".to_owned(), json!({"message": dead.reason, "type": dead.step}));
    let mut event = Map::new();
    event.insert("kind".to_owned(), json!("pipeline_error"));
    let limit = if body == Body::Original { ORIGINAL_BYTES_MAX } else { 0 };
    let kept = message.value.get(..message.value.len().min(limit)).unwrap_or_default();
    match std::str::from_utf8(kept) {
        Ok(text) => drop(event.insert("original".to_owned(), json!(text))),
        // Cut within a character, or no text at all.
        Err(_) => drop(event.insert("original_base64".to_owned(), json!(STANDARD.encode(kept)))),
    }
    letter.insert("event".to_owned(), Value::Object(event));
    letter.insert(
        "logmill".to_owned(),
        json!({
            "pipeline": {"id": pipeline.id, "config_hash": pipeline.hash, "step": dead.step},
            "raw": {"topic": &*message.topic, "partition": message.partition, "offset": message.offset},
            "original": {"bytes": message.value.len(), "truncated": kept.len() < message.value.len()},
        }),
    );
    if let Ok(original) = Event::from_slice(&message.value) {
        for name in KEPT {
            if let Some(value) = original.0.get(name) {
                letter.insert(name.to_owned(), value.clone());
            }
        }
    }
    serde_json::to_vec(&letter).unwrap_or_default()
}

/// Why a record that the bus refused, or that broke a step, is dead.
pub(super) fn because(step: &str, to: &Arc<str>, reason: String) -> Dead {
    Dead { step: step.to_owned(), to: to.clone(), reason }
}
