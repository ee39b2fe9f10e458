//! JSON lines: keys go to the event's root. What the event has already wins, and the loser stands under `json.`;
//! so does what would put a plain value where ECS has an object.

use std::borrow::Cow;

use jiff::Timestamp;
use logmill_core::{Event, FieldPath};
use serde_json::{Map, Value};

use super::Rest;
use super::fields::Fields;
use super::level;
use crate::time::{Zone, from_epoch, parse_iso_prefix};

/// Names of ECS that are objects.
const OBJECTS: [&str; 40] = [
    "agent",
    "client",
    "cloud",
    "container",
    "data_stream",
    "destination",
    "device",
    "dns",
    "ecs",
    "email",
    "error",
    "event",
    "file",
    "geo",
    "group",
    "host",
    "http",
    "kubernetes",
    "log",
    "network",
    "observer",
    "orchestrator",
    "organization",
    "package",
    "process",
    "registry",
    "related",
    "rule",
    "server",
    "service",
    "source",
    "span",
    "threat",
    "tls",
    "trace",
    "transaction",
    "url",
    "user",
    "user_agent",
    "vulnerability",
];

/// Where plain values of such names belong.
const PLAIN: [(&str, &str, &str); 14] = [
    ("error", "error", "message"),
    ("err", "error", "message"),
    ("exception", "error", "stack_trace"),
    ("logger", "log", "logger"),
    ("logger_name", "log", "logger"),
    ("loggerName", "log", "logger"),
    ("service", "service", "name"),
    ("span_id", "span", "id"),
    ("stack_trace", "error", "stack_trace"),
    ("stacktrace", "error", "stack_trace"),
    ("thread_name", "thread", "name"),
    ("trace_id", "trace", "id"),
    ("traceId", "trace", "id"),
    ("user", "user", "name"),
];

const MESSAGES: [&str; 5] = ["message", "msg", "@message", "short_message", "MESSAGE"];
const LEVELS: [&str; 9] =
    ["level", "severity", "lvl", "log.level", "loglevel", "log_level", "levelname", "level_name", "severity_text"];
const TIMES: [&str; 8] = ["@timestamp", "timestamp", "time", "ts", "datetime", "@t", "asctime", "start_time"];

/// Reads a JSON line.
pub(super) fn recognise<'t>(text: &'t str, fields: &mut Fields<'_>) -> Option<Rest<'t>> {
    // Deeper than 128 levels is refused by the parser, and such a line stays text.
    let map: Map<String, Value> = serde_json::from_str(text).ok()?;
    Some(match take(map, fields) {
        Some((message, true)) => Rest::Inner(Cow::Owned(message)),
        Some((message, false)) => Rest::Message(Cow::Owned(message)),
        None => Rest::Whole,
    })
}

/// An event that came without a message, from a program that writes JSON to the bus by itself.
/// Says whether its message may have a format of its own.
pub(super) fn recognise_event(event: &mut Event, zone: &Zone, now: Timestamp) -> bool {
    let known = MESSAGES.iter().chain(&LEVELS).chain(&TIMES).any(|name| event.0.contains_key(*name));
    if !known {
        return false;
    }
    let map = std::mem::take(&mut event.0);
    let message = take(map, &mut Fields { event, zone, now, envelope_level: None });
    if let Some((message, nested)) = message {
        event.0.insert("message".to_owned(), Value::String(message));
        return nested;
    }
    false
}

/// Spreads the keys over the event. The message, when there is one, and whether it may have a format of its own.
pub(super) fn take(mut map: Map<String, Value>, fields: &mut Fields<'_>) -> Option<(String, bool)> {
    let container = container_line(&mut map);
    let message = container.clone().or_else(|| take_message(&mut map));
    take_time(&mut map, fields);
    take_level(&mut map, fields);
    for (key, value) in map {
        place(key, value, fields);
    }
    message.map(|message| (message, container.is_some()))
}

/// The line of a container as Docker writes it: `{"log":"…\n","stream":"stdout","time":"…"}`.
fn container_line(map: &mut Map<String, Value>) -> Option<String> {
    if !matches!(map.get("log"), Some(Value::String(_))) || !map.contains_key("stream") {
        return None;
    }
    match map.shift_remove("log") {
        Some(Value::String(line)) => Some(line.trim_end_matches(['\n', '\r']).to_owned()),
        _ => None,
    }
}

fn take_message(map: &mut Map<String, Value>) -> Option<String> {
    let name = MESSAGES.iter().find(|name| matches!(map.get(**name), Some(Value::String(_))))?;
    match map.shift_remove(*name) {
        Some(Value::String(message)) => Some(message),
        _ => None,
    }
}

fn take_time(map: &mut Map<String, Value>, fields: &mut Fields<'_>) {
    for name in TIMES {
        let Some(value) = map.get(name) else { continue };
        let at = match value {
            Value::String(text) => match parse_iso_prefix(text) {
                Some((civil, length)) if length == text.len() => civil.timestamp(fields.zone, fields.now),
                _ => None,
            },
            // Small numbers are durations and counters more often than times of 1970.
            Value::Number(number) if number.as_f64().is_some_and(|number| number > 3e8) => from_epoch(number),
            _ => None,
        };
        if let Some(at) = at {
            fields.timestamp(at);
            map.shift_remove(name);
            return;
        }
    }
}

fn take_level(map: &mut Map<String, Value>, fields: &mut Fields<'_>) {
    for name in LEVELS {
        let known = match map.get(name) {
            Some(Value::String(word)) => level::level(word.trim()),
            Some(Value::Number(number)) => number.as_i64().and_then(level::of_number),
            _ => None,
        };
        if let Some(known) = known {
            fields.level(known);
            map.shift_remove(name);
            return;
        }
    }
    // ECS loggers nest it.
    if let Some(Value::Object(log)) = map.get_mut("log")
        && let Some(Value::String(word)) = log.get_mut("level")
        && let Some(known) = level::level(word)
    {
        *word = known.to_owned();
    }
}

fn place(key: String, value: Value, fields: &mut Fields<'_>) {
    if !value.is_object() && !value.is_null() {
        if let Some((_, group, name)) = PLAIN.iter().find(|(known, ..)| *known == key)
            && value.is_string()
            && fields.event.0.get(*group).is_none_or(|map| map.as_object().is_some_and(|map| !map.contains_key(*name)))
        {
            return fields.put(group, name, value);
        }
        // Times that could not be read, and plain values where an object belongs, must not spoil the field.
        if key == "@timestamp" || key == "message" || OBJECTS.contains(&key.as_str()) {
            return lose(&[&key], value, fields);
        }
    }
    if key.contains('.') {
        return place_dotted(&key, value, fields);
    }
    match (fields.event.0.get_mut(&key), value) {
        (None, value) => drop(fields.event.0.insert(key, value)),
        (Some(Value::Object(known)), Value::Object(new)) => {
            let mut lost = Map::new();
            merge(known, new, &mut lost);
            if !lost.is_empty() {
                lose(&[&key], Value::Object(lost), fields);
            }
        }
        (Some(known), value) if *known == value => {}
        (Some(_), value) => lose(&[&key], value, fields),
    }
}

/// `log.level` and its like as one key, as ECS loggers write them.
fn place_dotted(key: &str, value: Value, fields: &mut Fields<'_>) {
    let Ok(path) = FieldPath::parse(key) else {
        fields.event.0.entry(key).or_insert(value);
        return;
    };
    let taken = fields.event.get(&path).is_some();
    if taken || fields.event.set(&path, value.clone()).is_err() {
        lose(&[key], value, fields);
    }
}

/// Adds `new` to `known`; what is there already and differs goes to `lost`.
fn merge(known: &mut Map<String, Value>, new: Map<String, Value>, lost: &mut Map<String, Value>) {
    for (key, value) in new {
        match (known.get_mut(&key), value) {
            (None, value) => drop(known.insert(key, value)),
            (Some(Value::Object(known)), Value::Object(new)) => {
                let mut inner = Map::new();
                merge(known, new, &mut inner);
                if !inner.is_empty() {
                    lost.insert(key, Value::Object(inner));
                }
            }
            (Some(known), value) if *known == value => {}
            (Some(_), value) => drop(lost.insert(key, value)),
        }
    }
}

/// Keeps a value under `json.`.
fn lose(path: &[&str], value: Value, fields: &mut Fields<'_>) {
    let Some(mut map) = fields.group("json") else { return };
    let Some((last, parents)) = path.split_last() else { return };
    for part in parents {
        match map.entry(*part).or_insert_with(|| Value::Object(Map::new())) {
            Value::Object(inner) => map = inner,
            _ => return,
        }
    }
    map.insert((*last).to_owned(), value);
}
