//! A mapping as `_mapping` shows it: what was put, and in its place what came with documents.

use serde_json::{Map, Value, json};

use super::Mapping;
use super::field::Kept;
use crate::schema::IGNORED;

/// The object with `properties`.
pub(crate) fn shown(mapping: &Mapping) -> Map<String, Value> {
    let declared = mapping.declared();
    let mut shown = declared.shown.clone();
    let mut properties = match shown.shift_remove("properties") {
        Some(Value::Object(properties)) => properties,
        _ => Map::new(),
    };
    for (path, field) in mapping.made() {
        insert(&mut properties, path, &Value::Object(field.shown.clone()));
    }
    for (path, field_type) in mapping.iter() {
        // What was declared is there, and what a rule or a flattened object made of it belongs to that.
        let known = path == IGNORED || mapping.field(path).is_some() || is_flattened(mapping, path);
        if !known {
            insert(&mut properties, path, &json!({ "type": field_type.es_name() }));
        }
    }
    shown.insert("properties".to_owned(), Value::Object(properties));
    shown
}

/// Whether a path is a key of a flattened object.
pub(crate) fn is_flattened(mapping: &Mapping, path: &str) -> bool {
    flattened_root(mapping, path).is_some()
}

/// The flattened object that a path is a key of.
pub(crate) fn flattened_root<'p>(mapping: &Mapping, path: &'p str) -> Option<&'p str> {
    if !mapping.declared().has_objects() {
        return None;
    }
    let mut outer = path;
    while let Some((parent, _)) = outer.rsplit_once('.') {
        if mapping.declared().field(parent).is_some_and(|field| field.kept == Kept::Flattened) {
            return Some(parent);
        }
        outer = parent;
    }
    None
}

/// Dotted paths as nested properties. Where a path is a value and an object both, what is below keeps its dots.
fn insert(properties: &mut Map<String, Value>, path: &str, leaf: &Value) {
    let dotted = properties.get(path).is_some();
    let Some((head, tail)) =
        path.split_once('.').filter(|(head, tail)| !dotted && !head.is_empty() && !tail.is_empty())
    else {
        properties.insert(path.to_owned(), leaf.clone());
        return;
    };
    let kind = properties.get(head).and_then(|known| known.get("type")).and_then(Value::as_str);
    if kind.is_some_and(|kind| !matches!(kind, "object" | "nested" | "passthrough")) {
        properties.insert(path.to_owned(), leaf.clone());
        return;
    }
    let object = properties.entry(head.to_owned()).or_insert_with(|| json!({ "properties": {} }));
    let Some(object) = object.as_object_mut() else { return };
    let inner = object.entry("properties").or_insert_with(|| json!({}));
    if let Some(inner) = inner.as_object_mut() {
        insert(inner, tail, leaf);
    }
}
