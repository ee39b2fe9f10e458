//! The document that tantivy is given: a flat list of paths and values, with strings in one arena.
//! It implements tantivy's document trait itself, so that an event is walked once and copied once.

use std::sync::Arc;

use bytes::Bytes;
use tantivy::DateTime;
use tantivy::schema::document::{Document, ReferenceValue, ReferenceValueLeaf, Value};
use tantivy::schema::{Field, Schema};

use super::registry::FieldType;
use crate::schema::{Fields, schema};

/// A stretch of the arena.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stretch {
    start: u32,
    end: u32,
}

/// A value of a path.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Scalar {
    Text(Stretch),
    Long(i64),
    Unsigned(u64),
    Double(f64),
    Boolean(bool),
    /// Nanoseconds since 1970.
    Instant(i64),
}

impl Scalar {
    /// Nanoseconds since 1970 of a number of milliseconds.
    pub(crate) fn millis_as_nanos(self) -> Option<i64> {
        match self {
            Self::Long(millis) => millis.checked_mul(1_000_000),
            Self::Double(millis) if (millis * 1e6).abs() < i64::MAX as f64 => Some((millis * 1e6) as i64),
            _ => None,
        }
    }
}

/// A path and one of its values.
#[derive(Clone, Debug)]
pub(crate) struct Leaf {
    pub(crate) path: Arc<str>,
    pub(crate) value: Scalar,
}

/// One event, ready to be indexed.
#[derive(Clone, Debug, Default)]
pub(crate) struct LogDocument {
    /// Nanoseconds since 1970.
    pub(crate) time_ns: i64,
    pub(crate) seq: u64,
    pub(crate) id: Option<Box<str>>,
    pub(crate) source: Bytes,
    pub(crate) arena: String,
    pub(crate) messages: Vec<Stretch>,
    pub(crate) keywords: Vec<Leaf>,
    pub(crate) texts: Vec<Leaf>,
    pub(crate) present: Vec<Arc<str>>,
    /// What it is sorted by in its part.
    pub(crate) order: Option<Box<[u8]>>,
}

impl LogDocument {
    /// Puts a string into the arena.
    pub(crate) fn keep(&mut self, text: &str) -> Stretch {
        // A record is at most some MiB (the bus's bound), far from 4 GiB.
        let start = u32::try_from(self.arena.len()).unwrap_or(u32::MAX);
        self.arena.push_str(text);
        Stretch { start, end: u32::try_from(self.arena.len()).unwrap_or(u32::MAX) }
    }

    /// Adds a value of a path.
    pub(crate) fn leaf(&mut self, path: &Arc<str>, value: Scalar, field_type: FieldType) {
        self.note(path);
        let leaves = match field_type {
            FieldType::Text => &mut self.texts,
            _ => &mut self.keywords,
        };
        leaves.push(Leaf { path: path.clone(), value });
    }

    /// Notes that it has a path, once also when that holds a list.
    pub(crate) fn note(&mut self, path: &Arc<str>) {
        if self.present.last().is_none_or(|last| !Arc::ptr_eq(last, path)) {
            self.present.push(path.clone());
        }
    }

    /// The values of the paths that are wanted, without texts.
    pub(crate) fn keywords_of(&self, wanted: impl Fn(&str) -> bool) -> impl Iterator<Item = LogValue<'_>> {
        self.keywords.iter().filter(move |leaf| wanted(&leaf.path)).map(|leaf| self.value(leaf.value))
    }

    fn text(&self, stretch: Stretch) -> &str {
        self.arena.get(stretch.start as usize..stretch.end as usize).unwrap_or_default()
    }

    fn value(&self, scalar: Scalar) -> LogValue<'_> {
        match scalar {
            Scalar::Text(stretch) => LogValue::Text(self.text(stretch)),
            Scalar::Long(number) => LogValue::Long(number),
            Scalar::Unsigned(number) => LogValue::Unsigned(number),
            Scalar::Double(number) => LogValue::Double(number),
            Scalar::Boolean(truth) => LogValue::Boolean(truth),
            Scalar::Instant(nanos) => LogValue::Instant(nanos),
        }
    }
}

/// A value as tantivy asks for it. Plain to copy: tantivy's own kind of leaf may own memory, and asks for it to be
/// looked after wherever it is handed on.
#[derive(Clone, Copy, Debug)]
pub(crate) enum LogValue<'d> {
    Text(&'d str),
    Bytes(&'d [u8]),
    Long(i64),
    Unsigned(u64),
    Double(f64),
    Boolean(bool),
    /// Nanoseconds since 1970.
    Instant(i64),
    Object(&'d LogDocument, &'d [Leaf]),
}

impl<'d> Value<'d> for LogValue<'d> {
    type ArrayIter = std::iter::Empty<Self>;
    type ObjectIter = Leaves<'d>;

    fn as_value(&self) -> ReferenceValue<'d, Self> {
        ReferenceValue::Leaf(match *self {
            Self::Text(text) => ReferenceValueLeaf::Str(text),
            Self::Bytes(bytes) => ReferenceValueLeaf::Bytes(bytes),
            Self::Long(number) => ReferenceValueLeaf::I64(number),
            Self::Unsigned(number) => ReferenceValueLeaf::U64(number),
            Self::Double(number) => ReferenceValueLeaf::F64(number),
            Self::Boolean(truth) => ReferenceValueLeaf::Bool(truth),
            Self::Instant(nanos) => ReferenceValueLeaf::Date(DateTime::from_timestamp_nanos(nanos)),
            Self::Object(document, leaves) => {
                return ReferenceValue::Object(Leaves { document, leaves: leaves.iter() });
            }
        })
    }
}

/// The members of a flat object: dotted paths and their values.
#[derive(Clone, Debug)]
pub(crate) struct Leaves<'d> {
    document: &'d LogDocument,
    leaves: std::slice::Iter<'d, Leaf>,
}

impl<'d> Iterator for Leaves<'d> {
    type Item = (&'d str, LogValue<'d>);

    fn next(&mut self) -> Option<Self::Item> {
        let leaf = self.leaves.next()?;
        Some((leaf.path.as_ref(), self.document.value(leaf.value)))
    }
}

/// The fields and their values in the order of the schema, so that tantivy's sort by field finds nothing to do.
#[derive(Debug)]
pub(crate) struct FieldValues<'d> {
    document: &'d LogDocument,
    fields: Fields,
    next: Next,
}

/// What a document's iterator gives next; lists by the place in them.
#[derive(Clone, Copy, Debug)]
enum Next {
    Time,
    Seq,
    Id,
    Message(usize),
    Keywords,
    Texts,
    Present(usize),
    Source,
    Order,
    Nothing,
}

impl<'d> FieldValues<'d> {
    fn step(&mut self) -> Option<(Field, LogValue<'d>)> {
        let (document, fields) = (self.document, &self.fields);
        let object =
            |field, leaves: &'d [Leaf]| (!leaves.is_empty()).then_some((field, LogValue::Object(document, leaves)));
        let (next, value) = match self.next {
            Next::Time => (Next::Seq, Some((fields.time, LogValue::Instant(document.time_ns)))),
            Next::Seq => (Next::Id, Some((fields.seq, LogValue::Unsigned(document.seq)))),
            Next::Id => (Next::Message(0), document.id.as_deref().map(|id| (fields.id, LogValue::Text(id)))),
            Next::Message(at) => match document.messages.get(at) {
                Some(stretch) => {
                    (Next::Message(at + 1), Some((fields.message, LogValue::Text(document.text(*stretch)))))
                }
                None => (Next::Keywords, None),
            },
            Next::Keywords => (Next::Texts, object(fields.keyword, &document.keywords)),
            Next::Texts => (Next::Present(0), object(fields.text, &document.texts)),
            Next::Present(at) => match document.present.get(at) {
                Some(path) => (Next::Present(at + 1), Some((fields.present, LogValue::Text(path)))),
                None => (Next::Source, None),
            },
            Next::Source => (Next::Order, Some((fields.source, LogValue::Bytes(&document.source)))),
            Next::Order => (Next::Nothing, document.order.as_deref().map(|key| (fields.order, LogValue::Bytes(key)))),
            Next::Nothing => return None,
        };
        self.next = next;
        value
    }
}

impl<'d> Iterator for FieldValues<'d> {
    type Item = (Field, LogValue<'d>);

    fn next(&mut self) -> Option<Self::Item> {
        while !matches!(self.next, Next::Nothing) {
            let value = self.step();
            if value.is_some() {
                return value;
            }
        }
        None
    }
}

impl Document for LogDocument {
    type Value<'d> = LogValue<'d>;
    type FieldsValuesIter<'d> = FieldValues<'d>;

    fn iter_fields_and_values(&self) -> Self::FieldsValuesIter<'_> {
        FieldValues { document: self, fields: schema().1, next: Next::Time }
    }

    fn to_json(&self, _: &Schema) -> String {
        String::from_utf8_lossy(&self.source).into_owned()
    }
}
