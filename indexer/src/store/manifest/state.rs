//! What the manifest says, and how each change alters it. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use logmill_core::Origin;
use serde::{Deserialize, Serialize};

use crate::store::directory::Directory;
use crate::store::facts::Facts;
use crate::store::objects::Bucket;
use crate::store::registry::Mapping;

/// Everything the manifest says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    /// The next offset to read of each partition: everything before it is in the splits.
    pub(crate) next: BTreeMap<i32, i64>,
    /// The highest stored origin of each source, by partition.
    #[serde(with = "marks")]
    pub(crate) marks: BTreeMap<(i32, Arc<str>), (Origin, u32)>,
    /// The indexes by name.
    #[serde(with = "named")]
    pub(crate) indexes: BTreeMap<Arc<str>, IndexMeta>,
    /// Templates and policies.
    #[serde(default)]
    pub(crate) directory: Directory,
    /// Splits that are damaged and not repaired yet.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) quarantine: BTreeMap<u64, Quarantined>,
    /// Where snapshots are kept, by the names that clients gave the places.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) repositories: BTreeMap<String, Location>,
    /// Under which name this store keeps its cold splits, from the first on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) store_id: Option<String>,
}

/// Where a repository of snapshots is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Location {
    /// A folder on this machine.
    Folder(String),
    /// On an object store.
    Bucket(Bucket),
}

/// Where a cold split is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ColdMeta {
    /// The name under which its objects are, below `indexer.cold.url`.
    pub(crate) key: String,
    /// The file beside them that opens it, which is also kept on the disk.
    pub(crate) head: SplitFile,
}

/// An index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct IndexMeta {
    #[serde(with = "text")]
    pub(crate) uuid: Arc<str>,
    pub(crate) created_ms: i64,
    #[serde(with = "types")]
    pub(crate) mapping: Arc<Mapping>,
    pub(crate) splits: BTreeMap<u64, SplitMeta>,
    /// How old its events may become, as a lifecycle policy has it, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) max_age_ms: Option<u64>,
    /// It comes from a snapshot: its documents' numbers may be of another bus.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) restored: bool,
    /// What was said about it: mapping, settings, aliases.
    #[serde(default, with = "shared")]
    pub(crate) facts: Arc<Facts>,
}

/// What was said about an index is something else now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Amended {
    #[serde(with = "text")]
    pub(crate) index: Arc<str>,
    #[serde(with = "text")]
    pub(crate) uuid: Arc<str>,
    pub(crate) created_ms: i64,
    pub(crate) facts: Facts,
}

/// A split: a folder named after its id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SplitMeta {
    pub(crate) id: u64,
    pub(crate) docs: u64,
    pub(crate) bytes: u64,
    pub(crate) oldest_ns: i64,
    pub(crate) newest_ns: i64,
    pub(crate) files: Vec<SplitFile>,
    /// Documents that no longer count, ascending.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) deleted: Vec<u32>,
    /// When the first of them was deleted, in milliseconds since 1970: how long they have been on the disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) deleted_since_ms: Option<i64>,
    /// The numbers on the bus of the documents that no longer count, ascending: they must not be read again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) gone: Vec<u64>,
    /// It was written for good: hard compression, large blocks.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) sealed: bool,
    /// When the last of its events was written to disk, milliseconds since 1970; 0 in splits of older versions.
    #[serde(default)]
    pub(crate) arrived_ms: i64,
    /// Its files are on the object store and no longer on the disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cold: Option<ColdMeta>,
}

/// A split that was not as it was written: its folder is in quarantine, and its documents are not searchable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Quarantined {
    #[serde(with = "text")]
    pub(crate) index: Arc<str>,
    pub(crate) split: SplitMeta,
    /// What was wrong with it.
    pub(crate) reason: String,
}

/// A file of a split, as it was when it was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SplitFile {
    pub(crate) name: String,
    pub(crate) bytes: u64,
    pub(crate) crc32c: u32,
}

/// The highest stored origin of a source in a partition, and the day (since 1970) of the last news of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MarkMeta {
    pub(crate) partition: i32,
    #[serde(with = "text")]
    pub(crate) source: Arc<str>,
    #[serde(with = "origin_text")]
    pub(crate) origin: Origin,
    pub(crate) day: u32,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Edit {
    /// The whole state.
    Snapshot(Box<State>),
    /// Documents went to disk, and with them the offsets and origins that they cover.
    Flush {
        next: BTreeMap<i32, i64>,
        marks: Vec<MarkMeta>,
        /// By index: what it is now, with only the new splits.
        #[serde(with = "named")]
        indexes: BTreeMap<Arc<str>, IndexMeta>,
        /// Documents of older splits that were replaced or erased: split → document numbers.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        deleted: BTreeMap<u64, Vec<u32>>,
        /// Their numbers on the bus.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        gone: BTreeMap<u64, Vec<u64>>,
        /// When that was, in milliseconds since 1970.
        #[serde(default)]
        at_ms: i64,
    },
    /// Splits of an index were replaced by others (merged), or by none (retention, damage).
    Replace {
        #[serde(with = "text")]
        index: Arc<str>,
        removed: Vec<u64>,
        added: Vec<SplitMeta>,
    },
    /// An index was made.
    Create {
        #[serde(with = "text")]
        index: Arc<str>,
        meta: IndexMeta,
    },
    /// An index was removed.
    Delete {
        #[serde(with = "text")]
        index: Arc<str>,
    },
    /// A split of an index is damaged and was put aside.
    Quarantine {
        #[serde(with = "text")]
        index: Arc<str>,
        split: u64,
        reason: String,
    },
    /// What could be had of a damaged split is in others now.
    Repair { split: u64, added: Vec<SplitMeta> },
    /// A repository of snapshots was registered, or forgotten.
    Repository { name: String, location: Option<Location> },
    /// A split's files are on the object store; those on the disk no longer count.
    Cold {
        #[serde(with = "text")]
        index: Arc<str>,
        split: u64,
        cold: ColdMeta,
    },
    /// Under which name the store keeps its cold splits.
    StoreId(String),
    /// How old the events of an index may become was changed.
    Age {
        #[serde(with = "text")]
        index: Arc<str>,
        max_age_ms: Option<u64>,
    },
    /// What was said about indexes is something else now; they may have no splits yet.
    Amend { indexes: Vec<Amended> },
    /// Templates and policies are these now.
    Directory(Box<Directory>),
    /// Marks without news since before this day are forgotten.
    Forget { before_day: u32 },
}

impl State {
    /// Applies one change.
    pub(crate) fn apply(&mut self, edit: &Edit) {
        match edit {
            Edit::Snapshot(state) => self.clone_from(state),
            Edit::Flush { next, marks, indexes, deleted, gone, at_ms } => {
                self.next.extend(next);
                for mark in marks {
                    self.marks.insert((mark.partition, mark.source.clone()), (mark.origin, mark.day));
                }
                for (name, meta) in indexes {
                    let known = self.indexes.entry(name.clone()).or_insert_with(|| meta.clone());
                    // What was declared since is in the facts, and goes before.
                    known.mapping = meta.mapping.clone();
                    known.splits.extend(meta.splits.iter().map(|(id, split)| (*id, split.clone())));
                }
                for split in self.indexes.values_mut().flat_map(|index| index.splits.values_mut()) {
                    if let Some(documents) = deleted.get(&split.id) {
                        extend(&mut split.deleted, documents);
                        extend(&mut split.gone, gone.get(&split.id).map(Vec::as_slice).unwrap_or_default());
                        split.deleted_since_ms.get_or_insert(*at_ms);
                    }
                }
            }
            Edit::Replace { index, removed, added } => {
                if let Some(index) = self.indexes.get_mut(index) {
                    index.splits.retain(|id, _| !removed.contains(id));
                    index.splits.extend(added.iter().map(|split| (split.id, split.clone())));
                }
            }
            Edit::Create { index, meta } => drop(self.indexes.insert(index.clone(), meta.clone())),
            Edit::Delete { index } => {
                self.indexes.remove(index);
                self.quarantine.retain(|_, damaged| damaged.index != *index);
            }
            Edit::Quarantine { index, split, reason } => {
                if let Some(found) = self.indexes.get_mut(index).and_then(|index| index.splits.remove(split)) {
                    let damaged = Quarantined { index: index.clone(), split: found, reason: reason.clone() };
                    self.quarantine.insert(*split, damaged);
                }
            }
            Edit::Repair { split, added } => {
                let index = self.quarantine.remove(split).map(|damaged| damaged.index);
                if let Some(index) = index.and_then(|index| self.indexes.get_mut(&index)) {
                    index.splits.extend(added.iter().map(|split| (split.id, split.clone())));
                }
            }
            Edit::Repository { name, location } => match location {
                Some(location) => drop(self.repositories.insert(name.clone(), location.clone())),
                None => drop(self.repositories.remove(name)),
            },
            Edit::Cold { index, split, cold } => {
                if let Some(split) = self.indexes.get_mut(index).and_then(|index| index.splits.get_mut(split)) {
                    split.cold = Some(cold.clone());
                }
            }
            Edit::StoreId(id) => self.store_id = Some(id.clone()),
            Edit::Amend { indexes } => indexes.iter().for_each(|amended| self.amend(amended)),
            Edit::Directory(directory) => self.directory.clone_from(directory),
            Edit::Age { index, max_age_ms } => {
                if let Some(index) = self.indexes.get_mut(index) {
                    index.max_age_ms = *max_age_ms;
                }
            }
            Edit::Forget { before_day } => self.marks.retain(|_, (_, day)| *day >= *before_day),
        }
    }

    fn amend(&mut self, Amended { index, uuid, created_ms, facts }: &Amended) {
        let known = self.indexes.entry(index.clone()).or_insert_with(|| IndexMeta {
            uuid: uuid.clone(),
            created_ms: *created_ms,
            mapping: Arc::default(),
            splits: BTreeMap::new(),
            max_age_ms: None,
            restored: false,
            facts: Arc::default(),
        });
        known.max_age_ms = facts.retention_age_ms;
        known.facts = Arc::new(facts.clone());
    }

    /// Every split.
    pub(crate) fn splits(&self) -> impl Iterator<Item = &SplitMeta> {
        self.indexes.values().flat_map(|index| index.splits.values())
    }
}

/// Adds numbers to ascending ones, each once.
fn extend<N: Ord + Copy>(known: &mut Vec<N>, more: &[N]) {
    known.extend(more);
    known.sort_unstable();
    known.dedup();
}

mod text {
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(text: &Arc<str>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(text)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<str>, D::Error> {
        String::deserialize(deserializer).map(Arc::from)
    }
}

mod shared {
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::store::facts::Facts;

    pub(super) fn serialize<S: Serializer>(facts: &Arc<Facts>, serializer: S) -> Result<S::Ok, S::Error> {
        facts.as_ref().serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<Facts>, D::Error> {
        Facts::deserialize(deserializer).map(Arc::new)
    }
}

mod types {
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::store::registry::Mapping;

    pub(super) fn serialize<S: Serializer>(mapping: &Arc<Mapping>, serializer: S) -> Result<S::Ok, S::Error> {
        mapping.as_ref().serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<Mapping>, D::Error> {
        Mapping::deserialize(deserializer).map(Arc::new)
    }
}

mod named {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serializer};

    use super::IndexMeta;

    type Named = BTreeMap<Arc<str>, IndexMeta>;

    pub(super) fn serialize<S: Serializer>(named: &Named, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(named.iter().map(|(name, meta)| (name.as_ref(), meta)))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Named, D::Error> {
        let named = BTreeMap::<String, IndexMeta>::deserialize(deserializer)?;
        Ok(named.into_iter().map(|(name, meta)| (name.into(), meta)).collect())
    }
}

mod origin_text {
    use logmill_core::Origin;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(origin: &Origin, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(origin)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Origin, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

mod marks {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use logmill_core::Origin;
    use serde::{Deserialize, Deserializer, Serializer};

    use super::MarkMeta;

    type Marks = BTreeMap<(i32, Arc<str>), (Origin, u32)>;

    pub(super) fn serialize<S: Serializer>(marks: &Marks, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(marks.iter().map(|((partition, source), (origin, day))| MarkMeta {
            partition: *partition,
            source: source.clone(),
            origin: *origin,
            day: *day,
        }))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Marks, D::Error> {
        let list = Vec::<MarkMeta>::deserialize(deserializer)?;
        Ok(list.into_iter().map(|mark| ((mark.partition, mark.source), (mark.origin, mark.day))).collect())
    }
}
