//! Which type each path of an index has, while it is written. What was declared counts; else the first value decides,
//! and later ones may only widen it. What does not fit goes to a twin (`path.str`) as a keyword, and is told by name
//! in `_ignored`. Mappings are answered from here, never from columns.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::mapping::declared::Dynamic;
use super::mapping::dynamic::DynamicTemplate;
use super::mapping::render;
use super::mapping::{Declared, Field, Kept};
pub(crate) use super::mapping::{FieldType, Mapping};
use crate::dates::Formats;
use crate::schema::{IGNORED, MESSAGE, TIMESTAMP, VERSION};

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
pub(crate) const PATH_BYTES_MAX: usize = 512;
/// What the keyword beside a path of another type is called.
const TWIN: &str = ".str";

/// A path that is in the registry.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) path: Arc<str>,
    pub(crate) field_type: FieldType,
    /// What a mapping or a dynamic template says of it.
    pub(crate) field: Option<Arc<Field>>,
    /// Fields beside it, made of the same values.
    pub(crate) subs: Arc<[Entry]>,
    /// The flattened object that it is a key of: its values are also found by that name.
    pub(crate) root: Option<Arc<str>>,
}

/// What becomes of a value.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Found<'r> {
    Entry(&'r Entry),
    /// There are too many paths already: it is found by its exact value alone.
    Overflow,
    /// It stays in the source.
    Unwanted,
}

#[derive(Clone, Copy, Debug)]
enum Place {
    At(usize),
    Unwanted,
}

/// The types of one index while it is written.
#[derive(Debug)]
pub(crate) struct Registry {
    places: HashMap<Arc<str>, Place>,
    entries: Vec<Entry>,
    /// Of each entry, the one that was asked for after it the last time: events of an index are alike.
    followers: Vec<usize>,
    /// The entry that was asked for last.
    last: usize,
    made: BTreeMap<String, Arc<Field>>,
    mapping: Arc<Mapping>,
    changed: bool,
    paths_max: usize,
    /// Entries that a mapping asked for, which do not count towards the bound.
    declared_count: usize,
    /// Fields that stand in every document with one value.
    pub(crate) constants: Vec<(Arc<str>, String)>,
    /// The formats of `@timestamp`, when they are not the default.
    pub(crate) time_formats: Option<Formats>,
    /// Objects are to be looked up.
    pub(crate) has_objects: bool,
    /// Some fields stand for an explicit null.
    pub(crate) has_nulls: bool,
}

impl Registry {
    /// Goes on from what is known.
    pub(crate) fn new(mapping: Arc<Mapping>, paths_max: usize) -> Self {
        let declared = mapping.declared().clone();
        let mut registry = Self {
            places: HashMap::new(),
            entries: Vec::new(),
            followers: Vec::new(),
            last: 0,
            made: mapping.made().clone(),
            mapping: Arc::default(),
            changed: false,
            paths_max,
            declared_count: 0,
            constants: Vec::new(),
            time_formats: None,
            has_objects: declared.has_objects(),
            has_nulls: false,
        };
        for (path, field_type) in mapping.iter() {
            registry.declared_count += usize::from(declared.field(path).is_some());
            if registry.places.contains_key(path.as_str()) {
                continue;
            }
            let field = mapping.field(path).cloned();
            let root = render::flattened_root(&mapping, path).map(Arc::from);
            registry.insert(path, *field_type, field, root);
        }
        for (path, field) in declared.each() {
            if !matches!(field.kept, Kept::As(_)) {
                registry.places.insert(path.into(), Place::Unwanted);
            }
        }
        let shared = mapping.made().values().chain(declared.each().map(|(_, field)| field));
        registry.has_nulls = shared.into_iter().any(|field| field.null_value.is_some());
        registry
            .constants
            .extend(declared.each().filter_map(|(path, field)| Some((path.into(), field.constant.clone()?))));
        registry.time_formats = declared.field(TIMESTAMP).map(|field| field.formats.clone());
        registry.changed = false;
        registry.mapping = mapping;
        for (path, field_type) in [(TIMESTAMP, FieldType::Date), (MESSAGE, FieldType::Text)] {
            if !registry.places.contains_key(path) {
                registry.insert(path, field_type, None, None);
            }
        }
        registry
    }

    /// What was declared.
    pub(crate) fn declared(&self) -> &Arc<Declared> {
        self.mapping.declared()
    }

    /// Takes up other declarations; what documents brought stays.
    pub(crate) fn declare(&mut self, declared: &Arc<Declared>) {
        if !Arc::ptr_eq(self.declared(), declared) {
            let mapping = self.mapping().with_declared(declared.clone());
            *self = Self::new(Arc::new(mapping), self.paths_max);
        }
    }

    /// What becomes of a value of a path. The first value of a path that nothing is said about makes an entry.
    pub(crate) fn find(&mut self, path: &str, kind: Kind) -> Found<'_> {
        let expected = self.followers.get(self.last).copied().unwrap_or(usize::MAX);
        let is_expected = self.entries.get(expected).is_some_and(|entry| entry.path.as_ref() == path);
        let place = match is_expected.then_some(Place::At(expected)).or_else(|| self.look_up(path, kind)) {
            Some(Place::At(place)) => place,
            Some(Place::Unwanted) => return Found::Unwanted,
            None => return Found::Overflow,
        };
        self.last = place;
        let Some(entry) = self.entries.get_mut(place) else { return Found::Unwanted };
        if kind == Kind::Float && entry.field_type == FieldType::Long && entry.field.is_none() {
            entry.field_type = FieldType::Double;
            self.changed = true;
        }
        Found::Entry(entry)
    }

    /// The place of a path, remembered as the one after the last; `None` when there is no room for it.
    fn look_up(&mut self, path: &str, kind: Kind) -> Option<Place> {
        let known = self.places.get(path).copied();
        let place = known.or_else(|| self.first(path, kind))?;
        if let Place::At(follower) = place {
            self.followers.resize(self.entries.len(), usize::MAX);
            if let Some(known) = self.followers.get_mut(self.last) {
                *known = follower;
            }
        }
        Some(place)
    }

    /// The keyword beside a path, for values that do not fit its type.
    pub(crate) fn twin(&mut self, path: &str) -> Option<Arc<str>> {
        match self.find(&format!("{path}{TWIN}"), Kind::String) {
            Found::Entry(Entry { path, field_type: FieldType::Keyword, .. }) => Some(path.clone()),
            _ => None,
        }
    }

    /// The entry of a path that is there.
    pub(crate) fn known(&self, path: &str) -> Option<&Entry> {
        match self.places.get(path)? {
            Place::At(place) => self.entries.get(*place),
            Place::Unwanted => None,
        }
    }

    /// The types as of now.
    pub(crate) fn mapping(&mut self) -> Arc<Mapping> {
        if std::mem::take(&mut self.changed) {
            let types = self.entries.iter().map(|entry| (entry.path.to_string(), entry.field_type)).collect();
            self.mapping = Arc::new(Mapping::new(types, self.made.clone(), self.declared().clone()));
        }
        self.mapping.clone()
    }

    /// Takes up a path; `None` when there are too many.
    fn first(&mut self, path: &str, kind: Kind) -> Option<Place> {
        // A name that is none would break the terms that are made of it.
        if path.len() > PATH_BYTES_MAX || path == VERSION || path.bytes().any(|byte| byte <= 1) {
            return None;
        }
        let root = render::flattened_root(&self.mapping, path).map(Arc::from);
        if root.is_none() && path != IGNORED && self.declared().dynamic_for(path) != Dynamic::Yes {
            // Not remembered: there may be any number of these.
            return Some(Place::Unwanted);
        }
        if self.entries.len() >= self.paths_max + self.declared_count && path != IGNORED {
            return None;
        }
        if root.is_some() {
            return Some(self.insert(path, FieldType::Keyword, None, root));
        }
        let kind = if kind == Kind::Instant && !self.declared().date_detection { Kind::String } else { kind };
        let made =
            DynamicTemplate::field_for(&self.declared().templates, path, es_kind(kind)).filter(|_| path != IGNORED);
        let Some(field) = made else { return Some(self.insert(path, first_type(path, kind), None, None)) };
        let (kept, field) = (field.kept.clone(), Arc::new(field));
        self.has_nulls |= field.null_value.is_some();
        self.made.insert(path.to_owned(), field.clone());
        self.changed = true;
        if let Kept::As(field_type) = kept {
            return Some(self.insert(path, field_type, Some(field), None));
        }
        self.places.insert(path.into(), Place::Unwanted);
        Some(Place::Unwanted)
    }

    fn insert(
        &mut self,
        path: &str,
        field_type: FieldType,
        field: Option<Arc<Field>>,
        root: Option<Arc<str>>,
    ) -> Place {
        let (path, place): (Arc<str>, Place) = (path.into(), Place::At(self.entries.len()));
        let subs = field.iter().flat_map(|field| &field.subs).filter_map(|(name, sub)| {
            let Kept::As(field_type) = sub.kept else { return None };
            let path = format!("{path}.{name}").into();
            Some(Entry { path, field_type, field: Some(sub.clone()), subs: Arc::default(), root: None })
        });
        let subs: Arc<[Entry]> = subs.collect();
        for sub in subs.iter() {
            // They get their values from the field that they stand beside; a document can't have them.
            if !self.places.contains_key(&sub.path) {
                self.places.insert(sub.path.clone(), Place::At(self.entries.len()));
                self.entries.push(sub.clone());
            }
        }
        let place = if subs.is_empty() { place } else { Place::At(self.entries.len()) };
        self.places.insert(path.clone(), place);
        self.entries.push(Entry { path, field_type, field, subs, root });
        self.changed = true;
        place
    }
}

/// The kind of a value in Elasticsearch's words.
const fn es_kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Instant => "date",
        Kind::String => "string",
        Kind::Integer => "long",
        Kind::Float => "double",
        Kind::Boolean => "boolean",
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
    use serde_json::json;

    use super::*;

    fn type_of(registry: &mut Registry, path: &str, kind: Kind) -> Option<FieldType> {
        match registry.find(path, kind) {
            Found::Entry(entry) => Some(entry.field_type),
            _ => None,
        }
    }

    fn with(mapping: &serde_json::Value) -> Registry {
        let declared = Arc::new(Declared::read(mapping.as_object().unwrap()).unwrap());
        Registry::new(Arc::new(Mapping::default().with_declared(declared)), 1000)
    }

    #[test]
    fn the_first_value_decides_and_numbers_widen() {
        let mut registry = Registry::new(Arc::default(), 1000);
        for (path, kind, expected) in [
            ("a", Kind::Integer, FieldType::Long),
            ("a", Kind::String, FieldType::Long),
            ("a", Kind::Float, FieldType::Double),
            ("a", Kind::Integer, FieldType::Double),
            ("b", Kind::Instant, FieldType::Date),
            ("event.created", Kind::String, FieldType::Date),
            ("error.message", Kind::Instant, FieldType::Text),
        ] {
            assert_eq!(type_of(&mut registry, path, kind), Some(expected), "{path}");
        }
        assert_eq!(registry.mapping().get("a"), Some(&FieldType::Double));
        assert_eq!(registry.mapping().get("@timestamp"), Some(&FieldType::Date));
    }

    #[test]
    fn paths_beyond_the_bound_are_not_taken_up() {
        let mut registry = Registry::new(Arc::default(), 3);
        assert!(matches!(registry.find("a", Kind::Integer), Found::Entry(_)));
        assert!(matches!(registry.find("b", Kind::Integer), Found::Overflow));
        assert!(matches!(registry.find("a", Kind::String), Found::Entry(_)));
        assert!(matches!(registry.find("with\u{0}zero", Kind::String), Found::Overflow));
        assert_eq!(registry.mapping().len(), 3);
        assert!(registry.twin("a").is_none());
        let again = Registry::new(registry.mapping(), 3).mapping();
        assert_eq!(again, registry.mapping());
    }

    #[test]
    fn declarations_go_before_values_and_rules_make_fields() {
        let mut registry = with(&json!({
            "dynamic_templates": [
                {"ports": {"path_match": "*.port", "mapping": {"type": "integer"}}},
                {"strings": {"match_mapping_type": "string", "mapping": {"type": "keyword", "ignore_above": 10}}},
                {"texts": {"match": "said_*", "match_mapping_type": "*", "mapping": {"type": "text", "fields": {"raw": {"type": "keyword"}}}}},
            ],
            "properties": {
                "n": {"type": "keyword"}, "labels": {"type": "flattened"}, "off": {"type": "object", "enabled": false},
                "fixed": {"dynamic": false, "properties": {"a": {"type": "ip"}}}, "geo": {"type": "geo_point"},
            },
        }));
        for (path, kind, expected) in [
            ("n", Kind::Integer, Some(FieldType::Keyword)),
            ("a.port", Kind::String, Some(FieldType::Long)),
            ("s", Kind::String, Some(FieldType::Keyword)),
            ("said_what", Kind::Integer, Some(FieldType::Text)),
            ("labels.x.y", Kind::Integer, Some(FieldType::Keyword)),
            ("fixed.a", Kind::String, Some(FieldType::Ip)),
            ("fixed.b", Kind::String, None),
            ("off.x", Kind::String, None),
            ("geo", Kind::String, None),
        ] {
            assert_eq!(type_of(&mut registry, path, kind), expected, "{path}");
        }
        let mapping = registry.mapping();
        assert_eq!(mapping.get("said_what.raw"), Some(&FieldType::Keyword));
        assert_eq!(mapping.field("s").unwrap().ignore_above, Some(10));
        let text = serde_json::to_string(mapping.as_ref()).unwrap();
        let read: Mapping = serde_json::from_str(&text).unwrap();
        assert_eq!(&read.with_declared(registry.declared().clone()), mapping.as_ref());
        let shown = serde_json::Value::Object(render::shown(&mapping));
        assert_eq!(shown.pointer("/properties/a/properties/port/type"), Some(&json!("integer")));
        assert_eq!(shown.pointer("/properties/fixed/properties/a/type"), Some(&json!("ip")));
        assert_eq!(shown.pointer("/properties/labels"), Some(&json!({"type": "flattened"})));
        assert_eq!(shown.pointer("/properties/said_what/fields/raw/type"), Some(&json!("keyword")));
    }

    #[test]
    fn other_declarations_keep_what_documents_brought() {
        let mut registry = Registry::new(Arc::default(), 1000);
        type_of(&mut registry, "a", Kind::Integer);
        let declared = Declared::read(json!({"properties": {"b": {"type": "ip"}}}).as_object().unwrap()).unwrap();
        registry.declare(&Arc::new(declared));
        assert_eq!(type_of(&mut registry, "a", Kind::String), Some(FieldType::Long));
        assert_eq!(type_of(&mut registry, "b", Kind::String), Some(FieldType::Ip));
        assert_eq!(registry.mapping().get("b"), Some(&FieldType::Ip));
    }
}
