//! From the builder of segments to what searches see: a tick's documents come in one step, with the place on the bus up
//! to which they go.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::catalog::{Catalog, IndexState};
use super::manifest::MarkMeta;
use super::part::{Part, Place};
use super::pending::Pending;
use super::registry::Mapping;
use super::{Store, amend, failpoint};

/// What a tick adds: documents and the place on the bus up to which they go.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// Finished parts, at most one an index.
    pub(crate) parts: Vec<Part>,
    /// The types of their indexes.
    pub(crate) mappings: HashMap<Arc<str>, Arc<Mapping>>,
    /// Indexes and ids of which only the document in this batch counts.
    pub(crate) replaced: Vec<(Arc<str>, Box<str>)>,
    /// The next offset to read, by partition.
    pub(crate) next: BTreeMap<i32, i64>,
    /// The origins that moved.
    pub(crate) marks: Vec<MarkMeta>,
}

impl Store {
    /// Publishes a tick's documents in one step, with the place on the bus up to which they go.
    ///
    /// # Errors
    /// When a part with replaced documents can't be read.
    pub(crate) fn publish(&self, batch: Batch) -> tantivy::Result<()> {
        failpoint::hit("ingest.before_publish");
        let Batch { parts, mut mappings, replaced, next, marks } = batch;
        self.change(|catalog, pending| {
            for (index, id) in &replaced {
                replace_in(catalog, pending, index, id)?;
            }
            for part in parts {
                if !catalog.indexes.contains_key(&part.index) {
                    let facts = amend::birth(&catalog.directory, &part.index);
                    catalog.indexes.insert(part.index.clone(), IndexState::born(facts).unwrap_or_default());
                }
                let Some(index) = catalog.indexes.get_mut(&part.index) else { continue };
                if let Some(mapping) = mappings.remove(&part.index) {
                    index.take_up(mapping);
                }
                index.parts.push(Arc::new(part));
            }
            pending.published(&next, marks, replaced);
            Ok::<_, tantivy::TantivyError>(())
        })?;
        self.progress.send_modify(|progress| progress.published(&next));
        Ok(())
    }
}

/// Takes the documents of an id out of the parts that an index has.
fn replace_in(catalog: &mut Catalog, pending: &mut Pending, index: &str, id: &str) -> tantivy::Result<()> {
    let Some(state) = catalog.indexes.get_mut(index) else { return Ok(()) };
    for part in state.parts.iter_mut().filter(|part| part.place != Place::Cold) {
        let documents = part.documents_of(id)?;
        if documents.is_empty() {
            continue;
        }
        *part = Arc::new(pending.bury(part, &documents)?);
    }
    Ok(())
}
