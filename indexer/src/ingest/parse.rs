//! Turns a record's value into a document: one walk over the JSON text, no tree in between.
//! It never fails: what is not a JSON object is kept as a message with a tag.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::document::{Leaf, LogDocument, Scalar};
use super::instant;
use crate::schema::{IGNORED, KEYWORD_BYTES_MAX, MESSAGE, TIMESTAMP, VERSION};
use crate::store::registry::{Entry, FieldType, Kind, Registry};

/// Tags what was not a JSON object.
pub(crate) const NOT_JSON_TAG: &str = "_not_json";
/// Not indexed, as in ECS: it repeats the whole line, and `message` has its words.
const EVENT_ORIGINAL: &str = "event.original";

/// What the bus says of a record besides its value.
#[derive(Clone, Debug)]
pub(crate) struct RecordFacts {
    /// The record's time, nanoseconds since 1970.
    pub(crate) time_ns: i64,
    pub(crate) seq: u64,
    pub(crate) id: Option<Box<str>>,
    /// How often the document of the id has been written with this.
    pub(crate) version: u64,
}

/// What is worth counting about a parsed record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Remarks {
    /// It was not a JSON object.
    pub(crate) not_json: bool,
    /// So many values were not indexed because the index has too many paths already.
    pub(crate) paths_refused: u32,
}

/// Makes the document of a record.
pub(crate) fn document(value: &Bytes, facts: RecordFacts, registry: &mut Registry) -> (LogDocument, Remarks) {
    let mut walk = Walk::new(value.clone(), &facts, registry);
    if walk.run() {
        return walk.finish(facts);
    }
    // Begun paths of the broken text must not stay: walk the replacement from scratch.
    let wrapped = Bytes::from(wrapped(value, facts.time_ns));
    let mut walk = Walk::new(wrapped, &facts, registry);
    walk.remarks.not_json = true;
    walk.run();
    walk.finish(facts)
}

/// An event that holds, as its message, what was not an event. Bytes that are no text are kept beside it in base64.
pub(crate) fn wrapped(value: &Bytes, time_ns: i64) -> Vec<u8> {
    let message = String::from_utf8_lossy(value);
    let mut event = serde_json::json!({
        TIMESTAMP: instant::to_rfc3339(time_ns),
        MESSAGE: message,
        "tags": [NOT_JSON_TAG],
    });
    if let (std::borrow::Cow::Owned(_), Some(map)) = (&message, event.as_object_mut()) {
        use base64::Engine as _;
        let original = base64::engine::general_purpose::STANDARD.encode(value);
        map.insert("event".to_owned(), serde_json::json!({ "original": original, "original_encoding": "base64" }));
    }
    serde_json::to_vec(&event).unwrap_or_default()
}

struct Walk<'w> {
    document: LogDocument,
    registry: &'w mut Registry,
    path: String,
    remarks: Remarks,
}

impl<'w> Walk<'w> {
    fn new(source: Bytes, facts: &RecordFacts, registry: &'w mut Registry) -> Self {
        let document = LogDocument {
            time_ns: facts.time_ns,
            seq: facts.seq,
            arena: String::with_capacity(source.len()),
            keywords: Vec::with_capacity(24),
            present: Vec::with_capacity(24),
            source,
            ..LogDocument::default()
        };
        Self { document, registry, path: String::with_capacity(64), remarks: Remarks::default() }
    }

    /// Walks the source; false when it is not a JSON object.
    fn run(&mut self) -> bool {
        let source = self.document.source.clone();
        let mut deserializer = serde_json::Deserializer::from_slice(&source);
        let walked = deserializer.deserialize_map(Object(self));
        walked.is_ok() && deserializer.end().is_ok()
    }

    fn finish(mut self, facts: RecordFacts) -> (LogDocument, Remarks) {
        self.document.id = facts.id;
        // Nearly every document is written once: only what is more takes a column.
        if let Some(version) = i64::try_from(facts.version).ok().filter(|version| *version > 1) {
            self.document.keywords.push(Leaf { path: VERSION.into(), value: Scalar::Long(version) });
        }
        (self.document, self.remarks)
    }

    fn string(&mut self, text: &str) {
        match self.path.as_str() {
            TIMESTAMP => match instant::parse(text) {
                Some(nanos) => self.timestamp(nanos),
                None => self.ignored(),
            },
            EVENT_ORIGINAL => self.only_present(Kind::String),
            MESSAGE => {
                let stretch = self.document.keep(text);
                self.document.messages.push(stretch);
                self.only_present(Kind::String);
            }
            path => {
                let known = instant::parse(text);
                let kind = if known.is_some() { Kind::Instant } else { Kind::String };
                let Some(Entry { path, field_type }) = self.registry.entry(path, kind) else { return self.refused() };
                let (path, field_type) = (path.clone(), *field_type);
                let value = match field_type {
                    FieldType::Keyword if text.len() > KEYWORD_BYTES_MAX => {
                        self.present(path);
                        return self.ignored();
                    }
                    FieldType::Keyword | FieldType::Text => Some(Scalar::Text(self.document.keep(text))),
                    FieldType::Long => text.parse().ok().map(Scalar::Long),
                    FieldType::Double => text.parse().ok().filter(|n: &f64| n.is_finite()).map(Scalar::Double),
                    FieldType::Boolean => text.parse().ok().map(Scalar::Boolean),
                    FieldType::Date => known.map(Scalar::Instant),
                };
                match value {
                    Some(value) => self.leaf(path, value, field_type),
                    None => self.ignored(),
                }
            }
        }
    }

    /// A number or a boolean; `text` is how it is written.
    fn scalar(&mut self, kind: Kind, scalar: Scalar, text: &dyn fmt::Display) {
        if self.path == TIMESTAMP {
            return match instant::from_millis(scalar) {
                Some(nanos) => self.timestamp(nanos),
                None => self.ignored(),
            };
        }
        let Some(Entry { path, field_type }) = self.registry.entry(&self.path, kind) else { return self.refused() };
        let (path, field_type) = (path.clone(), *field_type);
        let value = match (field_type, scalar) {
            (FieldType::Keyword | FieldType::Text, _) => return self.string(&text.to_string()),
            (FieldType::Long, Scalar::Long(_) | Scalar::Unsigned(_))
            | (FieldType::Double, Scalar::Double(_))
            | (FieldType::Boolean, Scalar::Boolean(_)) => Some(scalar),
            (FieldType::Double, Scalar::Long(number)) => Some(Scalar::Double(number as f64)),
            (FieldType::Double, Scalar::Unsigned(number)) => Some(Scalar::Double(number as f64)),
            (FieldType::Date, _) => instant::from_millis(scalar).map(Scalar::Instant),
            _ => None,
        };
        match value {
            Some(value) => self.leaf(path, value, field_type),
            None => self.ignored(),
        }
    }

    fn timestamp(&mut self, nanos: i64) {
        self.document.time_ns = nanos;
        self.only_present(Kind::Instant);
    }

    fn leaf(&mut self, path: Arc<str>, value: Scalar, field_type: FieldType) {
        self.present(path.clone());
        let leaves = match field_type {
            FieldType::Text => &mut self.document.texts,
            _ => &mut self.document.keywords,
        };
        leaves.push(Leaf { path, value });
    }

    fn only_present(&mut self, kind: Kind) {
        let Some(entry) = self.registry.entry(&self.path, kind) else { return self.refused() };
        let path = entry.path.clone();
        self.present(path);
    }

    /// Notes a path once, also when it holds a list.
    fn present(&mut self, path: Arc<str>) {
        if self.document.present.last().is_none_or(|last| !Arc::ptr_eq(last, &path)) {
            self.document.present.push(path);
        }
    }

    fn ignored(&mut self) {
        let value = Scalar::Text(self.document.keep(&self.path));
        if let Some(entry) = self.registry.entry(IGNORED, Kind::String) {
            let path = entry.path.clone();
            self.leaf(path, value, FieldType::Keyword);
        }
    }

    fn refused(&mut self) {
        self.remarks.paths_refused += 1;
    }
}

/// Reads the members of an object under the path of the walk.
struct Object<'s, 'w>(&'s mut Walk<'w>);

impl<'de> Visitor<'de> for Object<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        members(self.0, map)
    }
}

fn members<'de, A: MapAccess<'de>>(walk: &mut Walk<'_>, mut map: A) -> Result<(), A::Error> {
    let outer = walk.path.len();
    while map.next_key_seed(Key(&mut walk.path))?.is_some() {
        map.next_value_seed(Member(walk))?;
        walk.path.truncate(outer);
    }
    Ok(())
}

/// Appends an object's key to a path.
struct Key<'p>(&'p mut String);

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<(), E> {
        if !self.0.is_empty() {
            self.0.push('.');
        }
        self.0.push_str(key);
        Ok(())
    }
}

/// Takes up the value at the path of the walk.
struct Member<'s, 'w>(&'s mut Walk<'w>);

impl<'de> DeserializeSeed<'de> for Member<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Member<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: Error>(self, truth: bool) -> Result<(), E> {
        self.0.scalar(Kind::Boolean, Scalar::Boolean(truth), &truth);
        Ok(())
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<(), E> {
        self.0.scalar(Kind::Integer, Scalar::Long(number), &number);
        Ok(())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<(), E> {
        let scalar = i64::try_from(number).map_or(Scalar::Unsigned(number), Scalar::Long);
        self.0.scalar(Kind::Integer, scalar, &number);
        Ok(())
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<(), E> {
        self.0.scalar(Kind::Float, Scalar::Double(number), &number);
        Ok(())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.0.string(text);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(Member(self.0))?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        members(self.0, map)
    }
}

#[cfg(test)]
mod tests;
