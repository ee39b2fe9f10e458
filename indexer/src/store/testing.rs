//! Stores for tests: documents go straight in, without a bus.

use std::collections::HashMap;

use super::building::{Building, Purpose};
use super::registry::Registry;
use super::*;
use crate::ingest::parse::{self, RecordFacts};

/// A store with nothing in it, in a folder of its own that goes with it.
pub(crate) fn empty() -> Arc<Store> {
    let folder = tempfile::tempdir().unwrap();
    let (mut store, _) = Store::open(folder.path(), Config::default()).unwrap();
    store._folder = Some(folder);
    Arc::new(store)
}

/// A store with these documents in one index, in parts of `docs_a_part` documents; `seq` counts from 0.
pub(crate) fn store_of(index: &str, documents: &[serde_json::Value], docs_a_part: usize) -> Arc<Store> {
    let store = empty();
    add(&store, index, documents, docs_a_part);
    store
}

/// The same, with the documents in an order that is told by their number: answers must not depend on it. Some of them
/// are on disk then, some in memory.
pub(crate) fn store_in_some_order(index: &str, documents: &[serde_json::Value], docs_a_part: usize) -> Arc<Store> {
    let store = empty();
    let sorted = [
        serde_json::json!({}),
        serde_json::json!({"sort.field": "@timestamp", "sort.order": "desc"}),
        serde_json::json!({"sort.field": ["status", "@timestamp"], "sort.order": ["desc", "asc"]}),
        serde_json::json!({"mode": "logsdb"}),
    ];
    let settings = &sorted[documents.len() % sorted.len()];
    let properties = serde_json::json!({"status": {"type": "long"}});
    let mappings = if settings["sort.field"].is_array() {
        serde_json::json!({ "properties": properties })
    } else {
        serde_json::json!({})
    };
    create(&store, index, &serde_json::json!({ "settings": settings, "mappings": mappings })).unwrap();
    add(&store, index, documents, docs_a_part);
    if documents.len().is_multiple_of(3) {
        store.flush().unwrap();
    }
    store
}

/// Erases the documents of these numbers, which are ascending.
pub(crate) fn erase(store: &Store, seqs: &[u64]) {
    let parts = store.view("_all", None).unwrap().parts;
    let doomed = parts.iter().map(|part| Doomed { part: part.clone(), documents: part.documents_at(seqs).unwrap() });
    let doomed: Vec<_> = doomed.filter(|one| !one.documents.is_empty()).collect();
    assert_eq!(store.erase(&doomed).unwrap(), seqs.len() as u64);
}

/// Makes an empty index by the body of a request.
pub(crate) fn create(store: &Store, index: &str, body: &serde_json::Value) -> Result<(), ChangeError> {
    let settings = settings::Settings::read(&body["settings"]).unwrap();
    let body = directory::Body {
        settings,
        mappings: body["mappings"].as_object().cloned().unwrap_or_default(),
        ..directory::Body::default()
    };
    store.create_with(index, &body, false)
}

/// Adds events as they are written; their `seq` goes on from the documents that the store has.
pub(crate) fn add_texts(store: &Store, index: &str, events: &[&str], docs_a_part: usize) {
    let mut seq: u64 = store.indices().iter().map(|index| index.docs).sum();
    let name: Arc<str> = index.into();
    for chunk in events.chunks(docs_a_part.max(1)) {
        let known = store.index_types(index).map(|(_, mapping)| mapping);
        let mut registry = Registry::new(known.unwrap_or_default(), 1000);
        let mut building = Building::new(name.clone(), Purpose::Memory, store.order_of(index)).unwrap();
        for event in chunk {
            let facts = RecordFacts { time_ns: 0, seq, id: None, version: 1 };
            seq += 1;
            let event = bytes::Bytes::copy_from_slice(event.as_bytes());
            building.add(parse::document(&event, facts, &mut registry).0).unwrap();
        }
        let part = building.finish(store.next_part()).unwrap();
        let mappings = HashMap::from([(name.clone(), registry.mapping())]);
        store.publish(Batch { parts: vec![part], mappings, ..Batch::default() }).unwrap();
    }
}

/// Adds documents; their `seq` goes on from the highest that the store has. `_id` in a document is the
/// client's id and is taken out of the source; it replaces an earlier document of the same id.
pub(crate) fn add(store: &Store, index: &str, documents: &[serde_json::Value], docs_a_part: usize) {
    let known = store
        .catalog
        .load()
        .parts()
        .filter_map(|part| Some(1 + part.reader.fast_fields().u64("seq").ok()?.max_value()))
        .max();
    store.next_seq.fetch_max(known.unwrap_or(0), Ordering::Relaxed);
    add_on(store, index, documents, docs_a_part);
}

/// The same; their `seq` goes on from the last that was given, wherever that began.
pub(crate) fn add_on(store: &Store, index: &str, documents: &[serde_json::Value], docs_a_part: usize) {
    let name: Arc<str> = index.into();
    for chunk in documents.chunks(docs_a_part.max(1)) {
        let known = store.index_types(index).map(|(_, mapping)| mapping);
        let mut registry = Registry::new(known.unwrap_or_default(), 1000);
        let mut building = Building::new(name.clone(), Purpose::Memory, store.order_of(index)).unwrap();
        let mut replaced = Vec::new();
        for document in chunk {
            let mut document = document.clone();
            let id = document.as_object_mut().and_then(|map| map.shift_remove("_id"));
            let id: Option<Box<str>> = id.and_then(|id| id.as_str().map(Box::from));
            replaced.extend(id.iter().map(|id| (name.clone(), id.clone())));
            let seq = store.next_seq.fetch_add(1, Ordering::Relaxed);
            let facts = RecordFacts { time_ns: 0, seq, id, version: 1 };
            building.add(parse::document(&document.to_string().into(), facts, &mut registry).0).unwrap();
        }
        let part = building.finish(store.next_part()).unwrap();
        let mappings = HashMap::from([(name.clone(), registry.mapping())]);
        store.publish(Batch { parts: vec![part], mappings, replaced, ..Batch::default() }).unwrap();
    }
}
