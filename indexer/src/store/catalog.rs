//! The catalog: which indexes there are and which parts they have, as one immutable value that searches load
//! and changes replace. Pure: no I/O.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use super::names::{self, NoSuchIndex};
use super::part::{Part, PartId};
use super::registry::{Mapping, Registry};
use super::view::{IndexSummary, View};

/// An index.
#[derive(Clone, Debug)]
pub(crate) struct IndexState {
    /// Tells apart indexes that had one name after each other.
    pub(crate) uuid: Arc<str>,
    /// Milliseconds since 1970.
    pub(crate) created_ms: i64,
    /// Its types.
    pub(crate) mapping: Arc<Mapping>,
    /// Its parts, oldest first.
    pub(crate) parts: Vec<Arc<Part>>,
}

impl IndexState {
    /// An empty index, made now.
    pub(crate) fn new() -> Self {
        Self {
            uuid: uuid(),
            created_ms: jiff::Timestamp::now().as_millisecond(),
            mapping: Registry::new(Arc::default(), 0).mapping(),
            parts: Vec::new(),
        }
    }
}

/// Tells apart indexes that had one name after each other; shaped as Elasticsearch's.
pub(crate) fn uuid() -> Arc<str> {
    use base64::Engine as _;
    // The clock's nanoseconds differ for two indexes of one name; the process tells machines' copies apart.
    let nanos = jiff::Timestamp::now().as_nanosecond().to_be_bytes();
    let mut bytes = nanos;
    for (byte, salt) in bytes.iter_mut().zip(std::process::id().to_be_bytes()) {
        *byte ^= salt;
    }
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes).into()
}

/// All indexes by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Catalog {
    pub(crate) indexes: BTreeMap<Arc<str>, IndexState>,
}

impl Catalog {
    /// The parts that a search over `expression` needs for events of the given time.
    ///
    /// # Errors
    /// When the expression names an index that does not exist.
    pub(crate) fn view(&self, expression: &str, time_ns: Option<&RangeInclusive<i64>>) -> Result<View, NoSuchIndex> {
        let chosen = names::select(expression, &self.indexes.keys().map(AsRef::as_ref))?;
        let mut view = View::default();
        for (name, index) in chosen.into_iter().filter_map(|name| self.indexes.get_key_value(name)) {
            view.mappings.insert(name.clone(), index.mapping.clone());
            let needed = |part: &&Arc<Part>| {
                time_ns.is_none_or(|asked| asked.start() <= part.time_ns.end() && part.time_ns.start() <= asked.end())
            };
            view.parts.extend(index.parts.iter().filter(needed).cloned());
        }
        view.parts.sort_by_key(|part| std::cmp::Reverse(*part.time_ns.end()));
        Ok(view)
    }

    /// What there is, for `_cat/indices`.
    pub(crate) fn summaries(&self) -> Vec<IndexSummary> {
        let summary = |(name, index): (&Arc<str>, &IndexState)| IndexSummary {
            name: name.clone(),
            docs: index.parts.iter().map(|part| part.docs()).sum(),
            bytes: index.parts.iter().map(|part| part.bytes).sum(),
            oldest_ns: index.parts.iter().map(|part| *part.time_ns.start()).min(),
            newest_ns: index.parts.iter().map(|part| *part.time_ns.end()).max(),
            created_ms: index.created_ms,
            uuid: index.uuid.clone(),
        };
        self.indexes.iter().map(summary).collect()
    }

    /// Every part.
    pub(crate) fn parts(&self) -> impl Iterator<Item = &Arc<Part>> {
        self.indexes.values().flat_map(|index| &index.parts)
    }

    /// Puts `added` in the place of `removed` in an index; says whether all of `removed` were still there,
    /// and changes nothing otherwise.
    #[must_use]
    pub(crate) fn replace(&mut self, index: &str, removed: &[PartId], added: Option<Arc<Part>>) -> bool {
        let Some(state) = self.indexes.get_mut(index) else { return false };
        let there = |id: &PartId| state.parts.iter().any(|part| part.id == *id);
        if !removed.iter().all(there) {
            return false;
        }
        let place = state.parts.iter().position(|part| removed.contains(&part.id)).unwrap_or(state.parts.len());
        state.parts.retain(|part| !removed.contains(&part.id));
        if let Some(part) = added {
            state.parts.insert(place.min(state.parts.len()), part);
        }
        true
    }
}
