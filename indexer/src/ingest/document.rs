//! The document that tantivy is given: a flat list of paths and values, with strings in one arena.
//! It implements tantivy's document trait itself, so that an event is walked once and copied once.

use std::sync::Arc;

use bytes::Bytes;
use tantivy::DateTime;
use tantivy::schema::document::{Document, ReferenceValue, ReferenceValueLeaf, Value};
use tantivy::schema::{Field, Schema};

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
}

impl LogDocument {
    /// Puts a string into the arena.
    pub(crate) fn keep(&mut self, text: &str) -> Stretch {
        // A record is at most some MiB (the bus's bound), far from 4 GiB.
        let start = u32::try_from(self.arena.len()).unwrap_or(u32::MAX);
        self.arena.push_str(text);
        Stretch { start, end: u32::try_from(self.arena.len()).unwrap_or(u32::MAX) }
    }

    fn text(&self, stretch: Stretch) -> &str {
        self.arena.get(stretch.start as usize..stretch.end as usize).unwrap_or_default()
    }

    fn leaf(&self, scalar: Scalar) -> ReferenceValueLeaf<'_> {
        match scalar {
            Scalar::Text(stretch) => ReferenceValueLeaf::Str(self.text(stretch)),
            Scalar::Long(number) => ReferenceValueLeaf::I64(number),
            Scalar::Unsigned(number) => ReferenceValueLeaf::U64(number),
            Scalar::Double(number) => ReferenceValueLeaf::F64(number),
            Scalar::Boolean(truth) => ReferenceValueLeaf::Bool(truth),
            Scalar::Instant(nanos) => ReferenceValueLeaf::Date(DateTime::from_timestamp_nanos(nanos)),
        }
    }
}

/// A value as tantivy asks for it.
#[derive(Clone, Debug)]
pub(crate) enum LogValue<'d> {
    Leaf(ReferenceValueLeaf<'d>),
    Object(&'d LogDocument, &'d [Leaf]),
}

impl<'d> Value<'d> for LogValue<'d> {
    type ArrayIter = std::iter::Empty<Self>;
    type ObjectIter = Leaves<'d>;

    fn as_value(&self) -> ReferenceValue<'d, Self> {
        match self {
            Self::Leaf(leaf) => ReferenceValue::Leaf(leaf.clone()),
            Self::Object(document, leaves) => ReferenceValue::Object(Leaves { document, leaves: leaves.iter() }),
        }
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
        Some((leaf.path.as_ref(), LogValue::Leaf(self.document.leaf(leaf.value))))
    }
}

impl Document for LogDocument {
    type Value<'d> = LogValue<'d>;
    type FieldsValuesIter<'d> = Box<dyn Iterator<Item = (Field, LogValue<'d>)> + 'd>;

    fn iter_fields_and_values(&self) -> Self::FieldsValuesIter<'_> {
        // In the order of the schema, so that tantivy's sort by field finds nothing to do.
        let Fields { time, seq, id, message, keyword, text, present, source } = schema().1;
        let head = [
            (time, LogValue::Leaf(ReferenceValueLeaf::Date(DateTime::from_timestamp_nanos(self.time_ns)))),
            (seq, LogValue::Leaf(ReferenceValueLeaf::U64(self.seq))),
        ];
        let ids = self.id.as_deref().map(move |value| (id, LogValue::Leaf(ReferenceValueLeaf::Str(value))));
        let messages = self
            .messages
            .iter()
            .map(move |stretch| (message, LogValue::Leaf(ReferenceValueLeaf::Str(self.text(*stretch)))));
        let keywords = (!self.keywords.is_empty()).then(|| (keyword, LogValue::Object(self, &self.keywords)));
        let texts = (!self.texts.is_empty()).then(|| (text, LogValue::Object(self, &self.texts)));
        let paths =
            self.present.iter().map(move |path| (present, LogValue::Leaf(ReferenceValueLeaf::Str(path.as_ref()))));
        let tail = (source, LogValue::Leaf(ReferenceValueLeaf::Bytes(&self.source)));
        Box::new(
            head.into_iter()
                .chain(ids)
                .chain(messages)
                .chain(keywords)
                .chain(texts)
                .chain(paths)
                .chain(std::iter::once(tail)),
        )
    }

    fn to_json(&self, _: &Schema) -> String {
        String::from_utf8_lossy(&self.source).into_owned()
    }
}
