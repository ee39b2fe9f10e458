//! The store: parts in memory and on disk, the manifest that says which count, and the views that searches get.

pub(crate) mod building;
pub(crate) mod catalog;
pub(crate) mod names;
pub(crate) mod part;
pub(crate) mod registry;
pub(crate) mod view;

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use logmill_bus_client::Position;
use parking_lot::Mutex;

use catalog::{Catalog, IndexState};
pub(crate) use names::NoSuchIndex;
pub(crate) use part::Part;
use part::PartId;
use registry::Mapping;
pub(crate) use view::{Freshness, IndexSummary, View};

/// Documents and where they are.
pub(crate) struct Store {
    /// What searches see.
    catalog: ArcSwap<Catalog>,
    /// Taken by whoever changes the catalog.
    changes: Mutex<()>,
    next_part: AtomicU64,
}

/// Why an index was not made or removed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChangeError {
    /// There is one of this name.
    #[error("index [{0}] already exists")]
    Exists(String),
    /// There is none of this name.
    #[error(transparent)]
    Missing(#[from] NoSuchIndex),
    /// No index may be called so.
    #[error(
        "invalid index name [{0}]: lower case, no spaces or any of \\ / * ? \" < > | , # : and none of - _ + . first"
    )]
    Name(String),
    /// The manifest could not be written.
    #[error("can't write the manifest: {0}")]
    Disk(#[from] std::io::Error),
}

impl Store {
    /// The parts and types of the indexes that `expression` names (`a,b-*,-c`, `_all`), without parts that lie
    /// outside `time_ns`.
    ///
    /// # Errors
    /// When the expression names an index that does not exist.
    pub(crate) fn view(&self, expression: &str, time_ns: Option<RangeInclusive<i64>>) -> Result<View, NoSuchIndex> {
        self.catalog.load().view(expression, time_ns.as_ref())
    }

    /// What there is.
    pub(crate) fn indices(&self) -> Vec<IndexSummary> {
        self.catalog.load().summaries()
    }

    /// Makes an empty index.
    ///
    /// # Errors
    /// When there is one, or the name is none.
    pub(crate) async fn create_index(&self, name: &str) -> Result<(), ChangeError> {
        if !names::is_valid(name) {
            return Err(ChangeError::Name(name.to_owned()));
        }
        self.change(|catalog| match catalog.indexes.contains_key(name) {
            true => Err(ChangeError::Exists(name.to_owned())),
            false => {
                catalog.indexes.insert(name.into(), new_index());
                Ok(())
            }
        })
    }

    /// Removes an index and its documents.
    ///
    /// # Errors
    /// When there is none of this name.
    pub(crate) async fn delete_index(&self, name: &str) -> Result<(), ChangeError> {
        self.change(|catalog| match catalog.indexes.remove(name) {
            Some(_) => Ok(()),
            None => Err(NoSuchIndex(name.to_owned()).into()),
        })
    }

    /// How far searches are behind the bus.
    pub(crate) fn freshness(&self) -> Freshness {
        Freshness::default()
    }

    /// Waits until the records at these positions are searchable; false after `timeout`.
    pub(crate) async fn wait_visible(&self, _positions: &[Position], _timeout: Duration) -> bool {
        false
    }

    fn next_part(&self) -> PartId {
        self.next_part.fetch_add(1, Ordering::Relaxed)
    }

    /// Publishes finished parts and the types of their indexes in one step.
    pub(crate) fn publish(&self, parts: Vec<Part>, mut mappings: HashMap<Arc<str>, Arc<Mapping>>) {
        let _changes = self.changes.lock();
        let mut catalog = Catalog::clone(&self.catalog.load());
        for part in parts {
            let index = catalog.indexes.entry(part.index.clone()).or_insert_with(new_index);
            if let Some(mapping) = mappings.remove(&part.index) {
                index.mapping = mapping;
            }
            index.parts.push(Arc::new(part));
        }
        self.catalog.store(Arc::new(catalog));
    }

    fn change<T>(&self, change: impl FnOnce(&mut Catalog) -> Result<T, ChangeError>) -> Result<T, ChangeError> {
        let _changes = self.changes.lock();
        let mut catalog = Catalog::clone(&self.catalog.load());
        let done = change(&mut catalog)?;
        self.catalog.store(Arc::new(catalog));
        Ok(done)
    }
}

fn new_index() -> IndexState {
    IndexState {
        uuid: format!("{:022x}", rand_u128()).into(),
        created_ms: jiff::Timestamp::now().as_millisecond(),
        mapping: registry::Registry::new(Arc::default(), 2).mapping(),
        parts: Vec::new(),
    }
}

fn rand_u128() -> u128 {
    // Only to tell indexes apart; the clock's nanoseconds do.
    jiff::Timestamp::now().as_nanosecond().unsigned_abs()
}

/// Stores for tests: documents go straight in, without a bus.
#[cfg(test)]
pub(crate) mod testing {
    use super::*;
    use crate::ingest::parse::{self, RecordFacts};
    use building::Building;
    use registry::Registry;

    /// A store in memory with nothing in it.
    pub(crate) fn empty() -> Arc<Store> {
        Arc::new(Store { catalog: ArcSwap::default(), changes: Mutex::default(), next_part: AtomicU64::new(1) })
    }

    /// A store with these documents in one index, in parts of `docs_a_part` documents; `seq` counts from 0.
    pub(crate) fn store_of(index: &str, documents: &[serde_json::Value], docs_a_part: usize) -> Arc<Store> {
        let store = empty();
        add(&store, index, documents, docs_a_part);
        store
    }

    /// Adds documents; their `seq` goes on from the documents that the store has. `_id` in a document is the
    /// client's id and is taken out of the source.
    pub(crate) fn add(store: &Store, index: &str, documents: &[serde_json::Value], docs_a_part: usize) {
        let mut seq: u64 = store.indices().iter().map(|index| index.docs).sum();
        let name: Arc<str> = index.into();
        for chunk in documents.chunks(docs_a_part.max(1)) {
            let known = store.catalog.load().indexes.get(index).map(|state| state.mapping.clone());
            let mut registry = Registry::new(known.unwrap_or_default(), 1000);
            let mut building = Building::new(name.clone()).unwrap();
            for document in chunk {
                let mut document = document.clone();
                let id = document.as_object_mut().and_then(|map| map.shift_remove("_id"));
                let facts = RecordFacts { time_ns: 0, seq, id: id.and_then(|id| id.as_str().map(Box::from)) };
                seq += 1;
                building.add(parse::document(&document.to_string().into(), facts, &mut registry).0).unwrap();
            }
            let part = building.finish(store.next_part()).unwrap();
            store.publish(vec![part], HashMap::from([(name.clone(), registry.mapping())]));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tantivy::collector::Count;
    use tantivy::query::{EnableScoring, Query as _, TermQuery};
    use tantivy::schema::IndexRecordOption;

    use super::*;

    fn count(view: &View, query: &TermQuery) -> usize {
        let weight = query.weight(EnableScoring::disabled_from_schema(&crate::schema::schema().0)).unwrap();
        view.parts.iter().map(|part| weight.count(&part.reader).unwrap() as usize).sum()
    }

    #[test]
    fn what_was_added_is_found_by_its_words_and_fields() {
        let documents: Vec<_> = (0..10)
            .map(|n| json!({"@timestamp": format!("2026-01-0{}T00:00:00Z", n % 9 + 1), "message": "Hello World", "n": n, "log": {"level": "INFO"}}))
            .collect();
        let store = testing::store_of("logs-a", &documents, 3);
        let view = store.view("logs-*", None).unwrap();
        assert_eq!(view.parts.len(), 4);
        let fields = crate::schema::schema().1;
        let word = tantivy::Term::from_field_text(fields.message, "world");
        assert_eq!(count(&view, &TermQuery::new(word, IndexRecordOption::Basic)), 10);
        let mut level = tantivy::Term::from_field_json_path(fields.keyword, "log.level", true);
        level.append_type_and_str("INFO");
        assert_eq!(count(&view, &TermQuery::new(level, IndexRecordOption::Basic)), 10);
        let mut number = tantivy::Term::from_field_json_path(fields.keyword, "n", true);
        number.append_type_and_fast_value(7i64);
        assert_eq!(count(&view, &TermQuery::new(number, IndexRecordOption::Basic)), 1);
        let seventh =
            view.parts.iter().find(|part| part.reader.fast_fields().u64("seq").unwrap().max_value() == 8).unwrap();
        assert_eq!(seventh.reader.fast_fields().i64("keyword.n").unwrap().first(0), Some(6));
        assert_eq!(view.mappings.values().next().unwrap().get("n"), Some(&registry::FieldType::Long));
        let summary = &store.indices()[0];
        assert_eq!((summary.docs, summary.name.as_ref()), (10, "logs-a"));
    }

    #[test]
    fn parts_outside_the_asked_time_are_left_out() {
        let documents: Vec<_> = (1..=9).map(|n| json!({"@timestamp": format!("2026-01-0{n}T00:00:00Z")})).collect();
        let store = testing::store_of("logs-a", &documents, 1);
        let day = |n: i64| 1_767_225_600_000_000_000 + (n - 1) * 86_400_000_000_000;
        assert_eq!(store.view("_all", Some(day(2)..=day(4))).unwrap().parts.len(), 3);
        assert_eq!(store.view("_all", Some(day(10)..=day(14))).unwrap().parts.len(), 0);
        assert_eq!(store.view("logs-b", None).unwrap_err(), NoSuchIndex("logs-b".into()));
    }
}
