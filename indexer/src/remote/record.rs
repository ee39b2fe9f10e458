//! A record of the bus as an item of a `_bulk` request. Its `_id` is made of where the record came from, so that
//! whatever is sent again is found to be there already.

use std::borrow::Cow;

use bytes::Bytes;
use logmill_bus_client::Message;
use logmill_core::origin::{ID_HEADER, INDEX_HEADER, OP_HEADER};
use serde::Serialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};

use crate::dates::instant;
use crate::ingest::indexing::{FALLBACK_INDEX, ID_BYTES_MAX, origin_of};
use crate::ingest::parse::wrapped;
use crate::schema::TIMESTAMP;
use crate::store::names;

/// An item, and the record that it was made of.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) op: Op,
    /// The action's line.
    pub(super) action: String,
    /// The document on one line; none for a deletion.
    pub(super) source: Option<Bytes>,
    pub(super) message: Message,
}

/// What is to be done with a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    /// Stores what is new: what is there already is left alone.
    Create,
    /// Replaces what is there.
    Index,
    Delete,
}

impl Op {
    /// What was sent without a choice is created: nothing is stored twice then.
    fn of(message: &Message) -> Option<Self> {
        match message.header(OP_HEADER) {
            None | Some(b"create") => Some(Self::Create),
            Some(b"index") => Some(Self::Index),
            Some(b"delete") => Some(Self::Delete),
            Some(_) => None,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Index => "index",
            Self::Delete => "delete",
        }
    }
}

/// What a record is to the engine.
#[derive(Debug)]
pub(super) enum Made {
    Item(Item),
    /// It has no value: nothing is to be stored.
    Empty,
    /// It asks for something that can't be asked of another engine.
    Unknown(Message),
}

impl Item {
    /// Bytes of it in a request.
    pub(super) fn bytes(&self) -> usize {
        self.action.len() + 1 + self.source.as_ref().map_or(0, |source| source.len() + 1)
    }
}

#[derive(Serialize)]
struct Target<'t> {
    #[serde(rename = "_index")]
    index: &'t str,
    #[serde(rename = "_id")]
    id: &'t str,
}

/// Makes the item of a record.
pub(super) fn item(message: Message) -> Made {
    let Some(op) = Op::of(&message) else { return Made::Unknown(message) };
    let source = match op {
        Op::Delete => None,
        _ if message.value.is_empty() => return Made::Empty,
        _ => Some(source(&message)),
    };
    let index = message.header_str(INDEX_HEADER).filter(|name| names::is_valid(name)).unwrap_or(FALLBACK_INDEX);
    let target = Target { index, id: &id(&message) };
    // A struct of two strings can always be written.
    let action = format!("{{\"{}\":{}}}", op.name(), serde_json::to_string(&target).unwrap_or_default());
    Made::Item(Item { op, action, source, message })
}

/// The id: the one that a client chose, else the place in the source, else the place on the bus. That place alone could
/// be given twice, when a bus is replaced by an empty one: time and checksum tell the two records apart.
fn id(message: &Message) -> Cow<'_, str> {
    if let Some(id) = message.header_str(ID_HEADER).filter(|id| !id.is_empty() && id.len() <= ID_BYTES_MAX) {
        return id.into();
    }
    if let Some((source, origin)) = origin_of(message) {
        return format!("{source}:{origin}").into();
    }
    let Message { topic, partition, offset, timestamp_ms, value, .. } = message;
    // Kafka's names have at most 249 bytes, so this is far below the bound of 512.
    format!("{topic}:{partition}:{offset}:{}:{:08x}", timestamp_ms.unwrap_or_default(), crc32c::crc32c(value)).into()
}

/// The document on one line, with a time: engines that keep logs in data streams want one.
fn source(message: &Message) -> Bytes {
    let time = || match message.timestamp_ms {
        Some(millis) => instant::to_rfc3339(millis.saturating_mul(1_000_000)),
        None => format!("{:.3}", jiff::Timestamp::now()),
    };
    match has_time(&message.value) {
        None => wrapped(&message.value, message.timestamp_ms.unwrap_or_default().saturating_mul(1_000_000)).into(),
        Some(true) => one_line(&message.value),
        Some(false) => timed(&one_line(&message.value), &time()),
    }
}

/// Line breaks stand only between the parts of a JSON text, where a space means the same.
fn one_line(value: &Bytes) -> Bytes {
    let breaks = |byte: &u8| matches!(byte, b'\n' | b'\r');
    if !value.iter().any(breaks) {
        return value.clone();
    }
    value.iter().map(|byte| if breaks(byte) { b' ' } else { *byte }).collect()
}

/// Puts a time in front of an object's members.
fn timed(object: &[u8], time: &str) -> Bytes {
    let members = object.iter().position(|byte| *byte == b'{').and_then(|at| object.get(at + 1..)).unwrap_or_default();
    let is_empty = members.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'}');
    let mut timed = format!("{{\"{TIMESTAMP}\":\"{time}\"{}", if is_empty { "" } else { "," }).into_bytes();
    timed.extend_from_slice(members);
    timed.into()
}

/// Whether a JSON object has a time of its own; `None` when the bytes are no JSON object.
fn has_time(value: &[u8]) -> Option<bool> {
    std::str::from_utf8(value).ok()?;
    let mut deserializer = serde_json::Deserializer::from_slice(value);
    let found = deserializer.deserialize_map(Members).ok()?;
    deserializer.end().ok()?;
    Some(found)
}

/// Looks through the names of an object's members.
struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = bool;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<bool, A::Error> {
        let mut found = false;
        while let Some(is_time) = map.next_key_seed(Name)? {
            found |= is_time;
            map.next_value::<IgnoredAny>()?;
        }
        Ok(found)
    }
}

/// Whether a name is that of the time, without keeping it.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name {
    type Value = bool;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<bool, E> {
        Ok(name == TIMESTAMP)
    }
}

#[cfg(test)]
pub(super) fn message(value: &str, headers: &[(&str, &str)]) -> Message {
    Message {
        topic: "logs.parsed".into(),
        partition: 2,
        offset: 7,
        timestamp_ms: Some(1_767_225_600_123),
        key: None,
        value: Bytes::copy_from_slice(value.as_bytes()),
        headers: headers
            .iter()
            .map(|(name, value)| (Box::from(*name), Bytes::copy_from_slice(value.as_bytes())))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    fn made(value: &str, headers: &[(&str, &str)]) -> Item {
        match item(message(value, headers)) {
            Made::Item(item) => item,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn ids_say_where_a_record_came_from() {
        let timed = "{\"@timestamp\":\"2026-01-01T00:00:00Z\"}";
        let from_a_file = [("logmill-source", "abc"), ("logmill-origin", "0:10:20:1"), ("logmill-index", "logs-a")];
        assert_eq!(made(timed, &from_a_file).action, r#"{"create":{"_index":"logs-a","_id":"abc:0:10:20:1"}}"#);
        let chosen = [("logmill-id", "mine \"7\""), ("logmill-op", "index"), ("logmill-index", "No Such Name")];
        assert_eq!(made(timed, &chosen).action, r#"{"index":{"_index":"logs-generic-default","_id":"mine \"7\""}}"#);
        let foreign = made(timed, &[]).action;
        assert!(foreign.contains(r#""_id":"logs.parsed:2:7:1767225600123:"#), "{foreign}");
        assert_ne!(foreign, made("{}", &[]).action, "another record at the same place of another bus");
        let gone = made("", &[("logmill-id", "mine"), ("logmill-op", "delete")]);
        assert_eq!((gone.op, gone.source), (Op::Delete, None));
        assert!(matches!(item(message("", &[])), Made::Empty));
        assert!(matches!(item(message("{}", &[("logmill-op", "update")])), Made::Unknown(_)));
    }

    #[test]
    fn documents_are_objects_on_one_line_with_a_time() {
        for (value, expected) in [
            ("{\"@timestamp\":1,\n \"a\":\"x\\ny\"}", "{\"@timestamp\":1,  \"a\":\"x\\ny\"}"),
            (" {\"a\":{\"@timestamp\":1}}", "{\"@timestamp\":\"2026-01-01T00:00:00.123Z\",\"a\":{\"@timestamp\":1}}"),
            ("{ }", "{\"@timestamp\":\"2026-01-01T00:00:00.123Z\" }"),
        ] {
            assert_eq!(made(value, &[]).source.as_deref(), Some(expected.as_bytes()), "{value}");
        }
        for no_object in ["plain text\nof two lines", "[1]", "{\"a\":1} {}", "{\"a\":"] {
            let source = made(no_object, &[]).source.unwrap_or_default();
            let event: Value = serde_json::from_slice(&source).unwrap();
            assert_eq!((&event["message"], &event["tags"][0]), (&no_object.into(), &"_not_json".into()));
            assert!(!source.contains(&b'\n'));
        }
    }

    proptest! {
        #[test]
        fn any_value_becomes_one_object_on_one_line(value: Vec<u8>) {
            let record = Message { value: value.clone().into(), ..message("", &[]) };
            match item(record) {
                Made::Empty => prop_assert!(value.is_empty()),
                Made::Item(item) => {
                    let source = item.source.unwrap_or_default();
                    prop_assert!(!source.contains(&b'\n'));
                    prop_assert!(serde_json::from_slice::<Value>(&source).is_ok_and(|source| source.is_object()));
                }
                Made::Unknown(_) => prop_assert!(false),
            }
        }
    }
}
