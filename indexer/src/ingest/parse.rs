//! Turns a record's value into a document: one walk over the JSON text, no tree in between.
//! It never fails: what is not a JSON object is kept as a message with a tag.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::document::{Leaf, LogDocument, Scalar};
use super::instant;
use crate::schema::{IGNORED, KEYWORD_BYTES_MAX, MESSAGE, TIMESTAMP, VERSION};
use crate::store::mapping::{Field, ip};
use crate::store::registry::{Entry, FieldType, Found, Kind, PATH_BYTES_MAX, Registry};

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
        let mut deserializer = serde_json::Deserializer::from_slice(&source);
        let walked = deserializer.deserialize_map(Object(self));
        walked.is_ok() && deserializer.end().is_ok()
    }

    fn finish(mut self, facts: RecordFacts) -> (LogDocument, Remarks) {
        for (path, value) in self.registry.constants.clone() {
            if !self.document.present.contains(&path) {
                let value = Scalar::Text(self.document.keep(&value));
                self.leaf(path, value, FieldType::Keyword);
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
                    Found::Entry(entry) => entry.clone(),
                    Found::Overflow => return self.overflow(&text),
                    Found::Unwanted => return,
                };
                if let Some(field) = &entry.field {
                    return self.declared(&entry, &field.clone(), Raw::Text(text));
                }
                let value = match entry.field_type {
                    FieldType::Keyword if text.len() > KEYWORD_BYTES_MAX => {
                        self.present(entry.path);
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
                    Some(value) => self.keep(&entry, value),
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
            return match nanos.or_else(|| instant::from_millis(scalar)) {
                Some(nanos) => self.timestamp(nanos),
                None => self.ignored(),
            };
        }
        let entry = match self.registry.find(&self.path, kind) {
            Found::Entry(entry) => entry.clone(),
            Found::Overflow => return self.overflow(text),
            Found::Unwanted => return,
        };
        if let Some(field) = &entry.field {
            return self.declared(&entry, &field.clone(), Raw::Scalar(scalar, text));
        }
        let value = match (entry.field_type, scalar) {
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
            Some(value) => self.keep(&entry, value),
            None => self.misfit(text),
        }
    }

    /// The value of a field that a mapping or a dynamic template tells about, and of the fields beside it.
    fn declared(&mut self, entry: &Entry, field: &Field, raw: Raw<'_>) {
        match fitting(entry.field_type, field, raw) {
            Fit::Value(scalar) => self.keep(entry, scalar),
            Fit::Text(text) => {
                let value = Scalar::Text(self.document.keep(&text));
                self.keep(entry, value);
            }
            Fit::TooLong => {
                self.present(entry.path.clone());
                self.ignored();
            }
            Fit::Not => self.misfit(&raw.to_string()),
        }
        for sub in entry.subs.iter() {
            let Some(field) = &sub.field else { continue };
            match fitting(sub.field_type, field, raw) {
                Fit::Value(scalar) => self.keep(sub, scalar),
                Fit::Text(text) => {
                    let value = Scalar::Text(self.document.keep(&text));
                    self.keep(sub, value);
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

    /// A value of an entry's type.
    fn keep(&mut self, entry: &Entry, value: Scalar) {
        if entry.path.as_ref() == MESSAGE
            && entry.field_type == FieldType::Text
            && let Scalar::Text(stretch) = value
        {
            self.document.messages.push(stretch);
            return self.present(entry.path.clone());
        }
        self.leaf(entry.path.clone(), value, entry.field_type);
        if let Some(root) = &entry.root {
            self.leaf(root.clone(), value, entry.field_type);
        }
    }

    /// A value that its path's type can't hold: it stays searchable as a keyword beside the path.
    fn misfit(&mut self, text: &dyn fmt::Display) {
        let text = text.to_string();
        if text.len() <= KEYWORD_BYTES_MAX
            && let Some(twin) = self.registry.twin(&self.path)
        {
            let value = Scalar::Text(self.document.keep(&text));
            self.leaf(twin, value, FieldType::Keyword);
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

    fn leaf(&mut self, path: Arc<str>, value: Scalar, field_type: FieldType) {
        self.present(path.clone());
        let leaves = match field_type {
            FieldType::Text => &mut self.document.texts,
            _ => &mut self.document.keywords,
        };
        leaves.push(Leaf { path, value });
    }

    fn only_present(&mut self, kind: Kind) {
        match self.registry.find(&self.path, kind) {
            Found::Entry(entry) => {
                let path = entry.path.clone();
                self.present(path);
            }
            Found::Overflow => self.remarks.paths_refused += 1,
            Found::Unwanted => {}
        }
    }

    /// Notes a path once, also when it holds a list.
    fn present(&mut self, path: Arc<str>) {
        if self.document.present.last().is_none_or(|last| !Arc::ptr_eq(last, &path)) {
            self.document.present.push(path);
        }
    }

    fn ignored(&mut self) {
        let value = Scalar::Text(self.document.keep(&self.path));
        self.note_ignored(value);
    }

    fn note_ignored(&mut self, value: Scalar) {
        if let Found::Entry(entry) = self.registry.find(IGNORED, Kind::String) {
            let path = entry.path.clone();
            self.leaf(path, value, FieldType::Keyword);
        }
    }
}

/// A value as it stands in the event.
#[derive(Clone, Copy)]
enum Raw<'r> {
    Text(&'r str),
    Scalar(Scalar, &'r dyn fmt::Display),
}

impl fmt::Display for Raw<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Scalar(_, text) => text.fmt(f),
        }
    }
}

/// A value as a field keeps it.
enum Fit {
    Value(Scalar),
    Text(String),
    TooLong,
    Not,
}

/// Makes a value fit a field, as Elasticsearch does.
fn fitting(field_type: FieldType, field: &Field, raw: Raw<'_>) -> Fit {
    let found = match field_type {
        FieldType::Keyword => {
            let text = raw.to_string();
            let too_long = field.ignore_above.is_some_and(|most| text.len() > most && text.chars().count() > most);
            return if too_long || text.len() > KEYWORD_BYTES_MAX { Fit::TooLong } else { Fit::Text(text) };
        }
        FieldType::Text => return Fit::Text(raw.to_string()),
        FieldType::Ip => return ip::parse(&raw.to_string()).map_or(Fit::Not, Fit::Text),
        FieldType::Long => whole(field, raw),
        FieldType::Double => match raw {
            Raw::Scalar(Scalar::Boolean(_), _) => None,
            raw if field.coerce || matches!(raw, Raw::Scalar(..)) => {
                raw.to_string().trim().parse().ok().filter(|number: &f64| number.is_finite()).map(Scalar::Double)
            }
            _ => None,
        },
        FieldType::Boolean => match raw.to_string().as_str() {
            "true" => Some(Scalar::Boolean(true)),
            "false" | "" => Some(Scalar::Boolean(false)),
            _ => None,
        },
        FieldType::Date => match raw {
            Raw::Scalar(Scalar::Boolean(_), _) => None,
            raw => field.formats.parse(&raw.to_string()).map(Scalar::Instant),
        },
    };
    found.map_or(Fit::Not, Fit::Value)
}

/// A whole number within what the field's type holds; fractions are cut off where that is allowed.
fn whole(field: &Field, raw: Raw<'_>) -> Option<Scalar> {
    let number: i128 = match raw {
        Raw::Scalar(Scalar::Long(number), _) => number.into(),
        Raw::Scalar(Scalar::Unsigned(number), _) => number.into(),
        Raw::Scalar(Scalar::Double(number), _) if field.coerce && number.abs() < 2e19 => number.trunc() as i128,
        Raw::Text(text) if field.coerce => {
            let text = text.trim();
            match text.parse() {
                Ok(number) => number,
                Err(_) => text.parse::<f64>().ok().filter(|number| number.abs() < 2e19)?.trunc() as i128,
            }
        }
        _ => return None,
    };
    let (least, greatest) = field.range.unwrap_or((i64::MIN.into(), i64::MAX.into()));
    if number < least || number > greatest {
        return None;
    }
    match i64::try_from(number) {
        Ok(number) => Some(Scalar::Long(number)),
        Err(_) => u64::try_from(number).ok().map(Scalar::Unsigned),
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
        if self.0.registry.has_nulls {
            self.0.null();
        }
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

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        if self.0.registry.has_objects && self.0.registry.declared().is_opaque(&self.0.path) {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(());
        }
        members(self.0, map)
    }
}

#[cfg(test)]
mod tests;
