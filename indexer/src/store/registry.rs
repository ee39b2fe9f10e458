//! Which type each path of an index has. The first value decides, later ones may only widen it; what does not
//! fit is told by name in `_ignored` and stays in the source. Mappings are answered from here, never from columns.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::schema::{IGNORED, MESSAGE, TIMESTAMP, VERSION};

/// The type of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum FieldType {
    /// A string, compared as a whole.
    Keyword,
    /// A string, searched by its words.
    Text,
    /// A whole number.
    Long,
    /// A number.
    Double,
    /// True or false.
    Boolean,
    /// An instant.
    Date,
}

impl FieldType {
    /// The name in an Elasticsearch mapping.
    pub(crate) const fn es_name(self) -> &'static str {
        match self {
            Self::Keyword => "keyword",
            Self::Text => "text",
            Self::Long => "long",
            Self::Double => "double",
            Self::Boolean => "boolean",
            Self::Date => "date",
        }
    }
}

/// The types of an index by dotted path.
pub(crate) type Mapping = BTreeMap<String, FieldType>;

/// The kind of a JSON value, as far as types go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A string that is an RFC 3339 instant.
    Instant,
    /// Any other string.
    String,
    /// A whole number that fits 64 bits.
    Integer,
    /// Any other number.
    Float,
    /// True or false.
    Boolean,
}

/// Paths longer than this are not indexed: a name, not a text.
const PATH_BYTES_MAX: usize = 512;

/// A path that is in the registry.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) path: Arc<str>,
    pub(crate) field_type: FieldType,
}

/// The types of one index while it is written.
#[derive(Debug)]
pub(crate) struct Registry {
    places: HashMap<Arc<str>, usize>,
    entries: Vec<Entry>,
    mapping: Arc<Mapping>,
    changed: bool,
    paths_max: usize,
}

impl Registry {
    /// Goes on from what is known.
    pub(crate) fn new(mapping: Arc<Mapping>, paths_max: usize) -> Self {
        let mut registry =
            Self { places: HashMap::new(), entries: Vec::new(), mapping: Arc::default(), changed: false, paths_max };
        for (path, field_type) in mapping.iter() {
            registry.insert(path, *field_type);
        }
        registry.changed = false;
        registry.mapping = mapping;
        for (path, field_type) in [(TIMESTAMP, FieldType::Date), (MESSAGE, FieldType::Text)] {
            if !registry.places.contains_key(path) {
                registry.insert(path, field_type);
            }
        }
        registry
    }

    /// The entry of a path, made after the first value; `None` when there are too many paths or it is no name.
    pub(crate) fn entry(&mut self, path: &str, kind: Kind) -> Option<&Entry> {
        let place = match self.places.get(path) {
            Some(place) => *place,
            None => {
                let is_name = path.len() <= PATH_BYTES_MAX && path != VERSION && !path.bytes().any(|byte| byte <= 1);
                let is_full = self.entries.len() >= self.paths_max && path != IGNORED;
                if is_full || !is_name {
                    return None;
                }
                self.insert(path, first_type(path, kind))
            }
        };
        let entry = self.entries.get_mut(place)?;
        if kind == Kind::Float && entry.field_type == FieldType::Long {
            entry.field_type = FieldType::Double;
            self.changed = true;
        }
        Some(entry)
    }

    /// The types as of now.
    pub(crate) fn mapping(&mut self) -> Arc<Mapping> {
        if std::mem::take(&mut self.changed) {
            let types = self.entries.iter().map(|entry| (entry.path.to_string(), entry.field_type));
            self.mapping = Arc::new(types.collect());
        }
        self.mapping.clone()
    }

    fn insert(&mut self, path: &str, field_type: FieldType) -> usize {
        let (path, place): (Arc<str>, usize) = (path.into(), self.entries.len());
        self.places.insert(path.clone(), place);
        self.entries.push(Entry { path, field_type });
        self.changed = true;
        place
    }
}

fn first_type(path: &str, kind: Kind) -> FieldType {
    if is_text(path) {
        return FieldType::Text;
    }
    match (path, kind) {
        ("event.created" | "event.ingested" | "event.start" | "event.end", _) | (_, Kind::Instant) => FieldType::Date,
        (_, Kind::String) => FieldType::Keyword,
        (_, Kind::Integer) => FieldType::Long,
        (_, Kind::Float) => FieldType::Double,
        (_, Kind::Boolean) => FieldType::Boolean,
    }
}

/// Paths whose strings are searched by their words, after ECS.
fn is_text(path: &str) -> bool {
    matches!(path, MESSAGE | "error.message" | "error.stack_trace") || path.ends_with(".text")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_value_decides_and_numbers_widen() {
        let mut registry = Registry::new(Arc::default(), 1000);
        let mut type_of = |path: &str, kind| registry.entry(path, kind).map(|entry| entry.field_type);
        assert_eq!(type_of("a", Kind::Integer), Some(FieldType::Long));
        assert_eq!(type_of("a", Kind::String), Some(FieldType::Long));
        assert_eq!(type_of("a", Kind::Float), Some(FieldType::Double));
        assert_eq!(type_of("a", Kind::Integer), Some(FieldType::Double));
        assert_eq!(type_of("b", Kind::Instant), Some(FieldType::Date));
        assert_eq!(type_of("event.created", Kind::String), Some(FieldType::Date));
        assert_eq!(type_of("error.message", Kind::Instant), Some(FieldType::Text));
        assert_eq!(registry.mapping().get("a"), Some(&FieldType::Double));
        assert_eq!(registry.mapping().get("@timestamp"), Some(&FieldType::Date));
    }

    #[test]
    fn paths_beyond_the_bound_are_not_taken_up() {
        let mut registry = Registry::new(Arc::default(), 3);
        assert!(registry.entry("a", Kind::Integer).is_some());
        assert!(registry.entry("b", Kind::Integer).is_none());
        assert!(registry.entry("a", Kind::String).is_some());
        assert!(registry.entry("with\u{0}zero", Kind::String).is_none());
        assert_eq!(registry.mapping().len(), 3);
        let again = Registry::new(registry.mapping(), 3).mapping();
        assert_eq!(again, registry.mapping());
    }
}
