//! Turns a record's value into a document: one walk over the JSON text, no tree in between.
//! It never fails: what is not a JSON object is kept as a message with a tag.

mod fit;
mod visit;

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use serde::de::Deserializer as _;
use serde_json::Deserializer;

use crate::dates::instant;
use crate::schema::{IGNORED, KEYWORD_BYTES_MAX, MESSAGE, TIMESTAMP, VERSION};
use crate::store::document::{Leaf, LogDocument, Scalar};
use crate::store::registry::{Entry, FieldType, Found, Kind, PATH_BYTES_MAX, Registry};
use fit::{Fit, Raw, fitting};
use visit::Object;

/// Tags what was not a JSON object.
pub(crate) const NOT_JSON_TAG: &str = "_not_json";
/// Not indexed, as in ECS: it repeats the whole line, and `message` has its words.
const EVENT_ORIGINAL: &str = "event.original";

/// Values of one document that are found by path and exact value for want of room.
const OVERFLOW_MAX: usize = 5000;
/// Longer values of such paths are not searchable.
const OVERFLOW_BYTES_MAX: usize = 1024;

/// The term of a value whose path has no room among the others: no path has a zero byte in it.
pub(crate) fn overflow_term(path: &str, value: &str) -> Option<String> {
    (value.len() <= OVERFLOW_BYTES_MAX).then(|| format!("{path}\u{0}{value}"))
}

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
        match std::str::from_utf8(&source) {
            // Checked as a whole, in a fraction of what checking each string takes.
            Ok(text) => self.walk(Deserializer::from_str(text)),
            // What is not looked at need not be text.
            Err(_) => self.walk(Deserializer::from_slice(&source)),
        }
    }

    fn walk<'de, R: serde_json::de::Read<'de>>(&mut self, mut deserializer: Deserializer<R>) -> bool {
        let walked = deserializer.deserialize_map(Object(self));
        walked.is_ok() && deserializer.end().is_ok()
    }

    fn finish(mut self, facts: RecordFacts) -> (LogDocument, Remarks) {
        for (path, value) in &self.registry.constants {
            if !self.document.present.contains(path) {
                let value = Scalar::Text(self.document.keep(value));
                self.document.leaf(path, value, FieldType::Keyword);
            }
        }
        self.document.id = facts.id;
        // Nearly every document is written once: only what is more takes a column.
        if let Some(version) = i64::try_from(facts.version).ok().filter(|version| *version > 1) {
            self.document.keywords.push(Leaf { path: VERSION.into(), value: Scalar::Long(version) });
        }
        (self.document, self.remarks)
    }

    fn string(&mut self, text: &str) {
        match self.path.as_str() {
            TIMESTAMP => match self.instant_of(text) {
                Some(nanos) => self.timestamp(nanos),
                None => self.ignored(),
            },
            EVENT_ORIGINAL => self.only_present(Kind::String),
            path => {
                let known = instant::parse(text);
                let kind = if known.is_some() { Kind::Instant } else { Kind::String };
                let entry = match self.registry.find(path, kind) {
                    Found::Entry(entry) => entry,
                    Found::Overflow => return self.overflow(&text),
                    Found::Unwanted => return,
                };
                if entry.field.is_some() {
                    let entry = entry.clone();
                    return self.declared(&entry, Raw::Text(text));
                }
                let value = match entry.field_type {
                    FieldType::Keyword if text.len() > KEYWORD_BYTES_MAX => {
                        self.document.note(&entry.path);
                        return self.ignored();
                    }
                    FieldType::Keyword | FieldType::Text | FieldType::Ip => {
                        Some(Scalar::Text(self.document.keep(text)))
                    }
                    FieldType::Long => text.parse().ok().map(Scalar::Long),
                    FieldType::Double => text.parse().ok().filter(|n: &f64| n.is_finite()).map(Scalar::Double),
                    FieldType::Boolean => text.parse().ok().map(Scalar::Boolean),
                    FieldType::Date => known.map(Scalar::Instant),
                };
                match value {
                    Some(value) => keep(&mut self.document, entry, value),
                    None => self.misfit(&text),
                }
            }
        }
    }

    /// A number or a boolean; `text` is how it is written.
    fn scalar(&mut self, kind: Kind, scalar: Scalar, text: &dyn fmt::Display) {
        if self.path == TIMESTAMP {
            let nanos = match &self.registry.time_formats {
                Some(formats) => formats.parse(&text.to_string()),
                None => None,
            };
            return match nanos.or_else(|| scalar.millis_as_nanos()) {
                Some(nanos) => self.timestamp(nanos),
                None => self.ignored(),
            };
        }
        let entry = match self.registry.find(&self.path, kind) {
            Found::Entry(entry) => entry,
            Found::Overflow => return self.overflow(text),
            Found::Unwanted => return,
        };
        if entry.field.is_some() {
            let entry = entry.clone();
            return self.declared(&entry, Raw::Scalar(scalar, text));
        }
        let value = match (entry.field_type, scalar) {
            (FieldType::Keyword | FieldType::Text, _) => return self.string(&text.to_string()),
            (FieldType::Long, Scalar::Long(_) | Scalar::Unsigned(_))
            | (FieldType::Double, Scalar::Double(_))
            | (FieldType::Boolean, Scalar::Boolean(_)) => Some(scalar),
            (FieldType::Double, Scalar::Long(number)) => Some(Scalar::Double(number as f64)),
            (FieldType::Double, Scalar::Unsigned(number)) => Some(Scalar::Double(number as f64)),
            (FieldType::Date, _) => scalar.millis_as_nanos().map(Scalar::Instant),
            _ => None,
        };
        match value {
            Some(value) => keep(&mut self.document, entry, value),
            None => self.misfit(text),
        }
    }

    /// The value of a field that a mapping or a dynamic template tells about, and of the fields beside it.
    fn declared(&mut self, entry: &Entry, raw: Raw<'_>) {
        let Some(field) = &entry.field else { return };
        match fitting(entry.field_type, field, raw) {
            Fit::Value(scalar) => keep(&mut self.document, entry, scalar),
            Fit::Text(text) => {
                let value = Scalar::Text(self.document.keep(&text));
                keep(&mut self.document, entry, value);
            }
            Fit::TooLong => {
                self.document.note(&entry.path);
                self.ignored();
            }
            Fit::Not => self.misfit(&raw.to_string()),
        }
        for sub in entry.subs.iter() {
            let Some(field) = &sub.field else { continue };
            match fitting(sub.field_type, field, raw) {
                Fit::Value(scalar) => keep(&mut self.document, sub, scalar),
                Fit::Text(text) => {
                    let value = Scalar::Text(self.document.keep(&text));
                    keep(&mut self.document, sub, value);
                }
                Fit::TooLong | Fit::Not => {
                    let value = Scalar::Text(self.document.keep(&sub.path));
                    self.note_ignored(value);
                }
            }
        }
    }

    /// An explicit null, which some mappings give a value.
    fn null(&mut self) {
        let known = self.registry.known(&self.path).and_then(|entry| entry.field.clone());
        match known.and_then(|field| field.null_value.clone()) {
            Some(serde_json::Value::String(text)) => self.string(&text),
            Some(serde_json::Value::Bool(truth)) => self.scalar(Kind::Boolean, Scalar::Boolean(truth), &truth),
            Some(serde_json::Value::Number(number)) => {
                let (kind, scalar) = match (number.as_i64(), number.as_u64(), number.as_f64()) {
                    (Some(number), ..) => (Kind::Integer, Scalar::Long(number)),
                    (_, Some(number), _) => (Kind::Integer, Scalar::Unsigned(number)),
                    (.., float) => (Kind::Float, Scalar::Double(float.unwrap_or_default())),
                };
                self.scalar(kind, scalar, &number);
            }
            _ => {}
        }
    }

    fn instant_of(&self, text: &str) -> Option<i64> {
        instant::parse(text).or_else(|| self.registry.time_formats.as_ref()?.parse(text))
    }

    /// A value that its path's type can't hold: it stays searchable as a keyword beside the path.
    fn misfit(&mut self, text: &dyn fmt::Display) {
        let text = text.to_string();
        if text.len() <= KEYWORD_BYTES_MAX
            && let Some(twin) = self.registry.twin(&self.path)
        {
            let value = Scalar::Text(self.document.keep(&text));
            self.document.leaf(&twin, value, FieldType::Keyword);
        }
        self.ignored();
    }

    /// A value of a path for which there was no room: it is found by path and exact value.
    fn overflow(&mut self, text: &dyn fmt::Display) {
        self.remarks.paths_refused += 1;
        let path_fits =
            self.path.len() <= PATH_BYTES_MAX && self.path != VERSION && !self.path.bytes().any(|byte| byte <= 1);
        if path_fits && self.document.present.len() < OVERFLOW_MAX {
            let term = overflow_term(&self.path, &text.to_string());
            self.document.present.push(self.path.as_str().into());
            self.document.present.extend(term.map(Arc::from));
        }
    }

    fn timestamp(&mut self, nanos: i64) {
        self.document.time_ns = nanos;
        self.only_present(Kind::Instant);
    }

    fn only_present(&mut self, kind: Kind) {
        match self.registry.find(&self.path, kind) {
            Found::Entry(entry) => self.document.note(&entry.path),
            Found::Overflow => self.remarks.paths_refused += 1,
            Found::Unwanted => {}
        }
    }

    fn ignored(&mut self) {
        let value = Scalar::Text(self.document.keep(&self.path));
        self.note_ignored(value);
    }

    fn note_ignored(&mut self, value: Scalar) {
        if let Found::Entry(entry) = self.registry.find(IGNORED, Kind::String) {
            self.document.leaf(&entry.path, value, FieldType::Keyword);
        }
    }
}

/// Puts a value of an entry's type into the document.
fn keep(document: &mut LogDocument, entry: &Entry, value: Scalar) {
    if entry.path.as_ref() == MESSAGE
        && entry.field_type == FieldType::Text
        && let Scalar::Text(stretch) = value
    {
        document.messages.push(stretch);
        return document.note(&entry.path);
    }
    document.leaf(&entry.path, value, entry.field_type);
    if let Some(root) = &entry.root {
        document.leaf(root, value, entry.field_type);
    }
}

#[cfg(test)]
mod tests;
