//! Restoring: the splits of a snapshot become those of new indexes, each compared with what was written.

use crate::store::open::declared_of;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Described, Repository, SnapshotError, at};
use crate::store::catalog::IndexState;
use crate::store::manifest::{Edit, IndexMeta, SplitMeta};
use crate::store::part::Place;
use crate::store::uuid::uuid;
use crate::store::{Store, names, split};

/// What is to be restored: the name in the snapshot, and the name that it gets.
pub(crate) type Wanted = [(String, String)];

/// What was restored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Restored {
    pub(crate) indexes: Vec<String>,
    pub(crate) splits: usize,
    pub(crate) bytes: u64,
}

impl Store {
    /// Restores indexes of a snapshot under names that no index has. An index is there whole or not at all; those that
    /// were restored before a failure stay.
    ///
    /// # Errors
    /// When an index is in the way, a file is damaged, or the disk refuses.
    pub(crate) fn restore_snapshot(
        &self,
        repository: &Repository,
        described: &Described,
        wanted: &Wanted,
        go_on: &dyn Fn() -> bool,
    ) -> Result<Restored, SnapshotError> {
        let _one = self.snapshots.try_lock().ok_or(SnapshotError::Busy)?;
        self.check_names(wanted)?;
        let mut restored = Restored::default();
        for (from, to) in wanted {
            let Some(meta) = described.indexes.get(from) else { continue };
            self.restore_index(repository, meta, to, &mut restored, go_on)?;
            restored.indexes.push(to.clone());
        }
        Ok(restored)
    }

    /// Whether indexes can be restored under these names, as far as can be seen before.
    ///
    /// # Errors
    /// When one is no name, or is taken.
    pub(crate) fn check_names(&self, wanted: &Wanted) -> Result<(), SnapshotError> {
        let known = self.catalog.load();
        let mut seen = BTreeMap::new();
        for (from, to) in wanted {
            if !names::is_valid(to) {
                return Err(SnapshotError::Refused(format!("Invalid index name [{to}]")));
            }
            if known.indexes.contains_key(to.as_str()) {
                return Err(SnapshotError::InTheWay(to.clone()));
            }
            if let Some(other) = seen.insert(to, from) {
                let reason = format!("indices [{from}] and [{other}] are renamed into the same index [{to}]");
                return Err(SnapshotError::Refused(reason));
            }
        }
        let (there, max) = (known.indexes.len(), self.config.indices_max as usize);
        if there + wanted.len() > max {
            let reason = format!("the store may have {max} indexes and has {there}; raise `indexer.indices_max`");
            return Err(SnapshotError::Refused(reason));
        }
        Ok(())
    }

    fn restore_index(
        &self,
        repository: &Repository,
        meta: &IndexMeta,
        name: &str,
        restored: &mut Restored,
        go_on: &dyn Fn() -> bool,
    ) -> Result<(), SnapshotError> {
        let mut written = Vec::new();
        let copied = meta.splits.values().try_for_each(|split| {
            self.check_disk_reserve().map_err(at(&self.folder))?;
            let id = self.next_part();
            let to = split::folder_of(&self.splits_folder(), id);
            restored.bytes += repository.bring(&meta.uuid, split, &to, go_on)?;
            written.push(SplitMeta { id, cold: None, ..split.clone() });
            Ok(())
        });
        let ids: Vec<u64> = written.iter().map(|split| split.id).collect();
        let settled = copied.and_then(|()| self.settle_index(meta, name, written));
        match settled {
            Ok(splits) => restored.splits += splits,
            Err(error) => {
                self.remove_folders(&ids);
                return Err(error);
            }
        }
        Ok(())
    }

    fn settle_index(&self, meta: &IndexMeta, name: &str, splits: Vec<SplitMeta>) -> Result<usize, SnapshotError> {
        let index: Arc<str> = name.into();
        let mut parts = Vec::with_capacity(splits.len());
        for split in &splits {
            parts.push(Arc::new(split::open(&self.splits_folder(), &index, split)?));
        }
        let count = splits.len();
        let meta = IndexMeta {
            uuid: uuid(),
            splits: splits.into_iter().map(|split| (split.id, split)).collect(),
            // The bus that is read here may hold other records under the numbers of those that are restored.
            restored: true,
            ..meta.clone()
        };
        let mut manifest = self.manifest.lock();
        // In the catalog first: whatever is indexed under this name from now on finds it there.
        let taken = self.change(|catalog, _| {
            if catalog.indexes.contains_key(name) {
                return true;
            }
            let mapping = Arc::new(meta.mapping.with_declared(declared_of(name, &meta)));
            let (uuid, facts) = (meta.uuid.clone(), meta.facts.clone());
            let state = IndexState { uuid, created_ms: meta.created_ms, mapping, facts, parts, absent: Vec::new() };
            catalog.indexes.insert(index.clone(), state);
            false
        });
        if taken {
            return Err(SnapshotError::InTheWay(name.to_owned()));
        }
        manifest.append(&Edit::Create { index: index.clone(), meta }).map_err(|error| {
            self.change(|catalog, _| {
                if let Some(state) = catalog.indexes.get_mut(&index) {
                    state.parts.retain(|part| part.place == Place::Memory);
                }
            });
            at(&self.folder)(error)
        })?;
        Ok(count)
    }
}
