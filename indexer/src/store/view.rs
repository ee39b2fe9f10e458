//! What a search sees: the parts and types of the chosen indexes at one instant. It stays whole while parts
//! are merged, flushed or deleted around it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::manifest::SplitMeta;
use super::part::Part;
use super::registry::Mapping;

/// The parts of the chosen indexes, memory and disk, each document once.
#[derive(Clone, Debug, Default)]
pub(crate) struct View {
    /// The parts, those with the newest events first.
    pub(crate) parts: Vec<Arc<Part>>,
    /// Cold splits that can't be searched for now, and their indexes.
    pub(crate) absent: Vec<(Arc<str>, Arc<Absent>)>,
    /// The types of every chosen index, also of those without parts.
    pub(crate) mappings: BTreeMap<Arc<str>, Arc<Mapping>>,
}

/// A split of the manifest that can't be searched for now.
#[derive(Clone, Debug)]
pub(crate) struct Absent {
    pub(crate) split: SplitMeta,
    /// Why not.
    pub(crate) reason: String,
}

/// What `_cat/indices` tells of an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IndexSummary {
    pub(crate) name: Arc<str>,
    pub(crate) docs: u64,
    pub(crate) bytes: u64,
    pub(crate) oldest_ns: Option<i64>,
    pub(crate) newest_ns: Option<i64>,
    pub(crate) created_ms: i64,
    pub(crate) uuid: Arc<str>,
}

/// How far searches are behind the bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Freshness {
    /// Everything on the bus up to this instant is searchable; `None` while nothing is known.
    pub(crate) indexed_up_to: Option<jiff::Timestamp>,
    /// Records on the bus that are not searchable yet; `None` while the bus is away.
    pub(crate) behind: Option<u64>,
}
