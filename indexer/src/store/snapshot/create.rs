//! Making a snapshot while everything goes on: the splits are held by links, copied, and described at the end.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::{Described, Repository, SnapshotError, at};
use crate::store::catalog::Catalog;
use crate::store::manifest::IndexMeta;
use crate::store::{Store, failpoint, now_ms, split};

/// A snapshot that was made, and what it cost.
#[derive(Debug)]
pub(crate) struct Created {
    pub(crate) described: Described,
    /// Files and bytes that no earlier snapshot had.
    pub(crate) copied_splits: usize,
    pub(crate) copied_bytes: u64,
}

/// Links to the files of splits, so that they stay while splits are merged and deleted. They go when this does.
struct Held {
    folder: PathBuf,
    /// Cold splits stay where they are for as long as somebody holds them.
    _cold: Arc<Catalog>,
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.folder) {
            tracing::warn!(folder = %self.folder.display(), %error, "can't remove what a snapshot held");
        }
    }
}

/// An index as the snapshot has it: with all its splits.
fn whole(mut meta: IndexMeta) -> IndexMeta {
    meta.splits.values_mut().for_each(|split| split.cold = None);
    meta
}

impl Store {
    /// Makes a snapshot of the indexes that `wanted` says yes to, with everything that was searchable when it began.
    ///
    /// # Errors
    /// When there is one of this name, another is at work, or a disk refuses. Nothing of it is visible then.
    pub(crate) fn create_snapshot(
        &self,
        repository: &Repository,
        name: &str,
        metadata: serde_json::Value,
        wanted: &dyn Fn(&str) -> bool,
        go_on: &dyn Fn() -> bool,
    ) -> Result<Created, SnapshotError> {
        let _one = self.snapshots.try_lock().ok_or(SnapshotError::Busy)?;
        let exists = || SnapshotError::Exists { repository: repository.name.clone(), snapshot: name.to_owned() };
        if repository.has(name)? {
            return Err(exists());
        }
        repository.prepare()?;
        let started_ms = now_ms();
        self.flush()?;
        let (held, indexes) = self.hold(wanted)?;
        let (mut copied_splits, mut copied_bytes) = (0, 0);
        for meta in indexes.values() {
            for split in meta.splits.values() {
                if repository.holds(&meta.uuid, split)? {
                    continue;
                }
                repository.check_free(&meta.uuid, split)?;
                let folder = split::folder_of(&held.folder, split.id);
                if let Some(cold) = &split.cold {
                    // By way of the disk: it is compared there, and the repository may be anywhere.
                    self.check_disk_reserve().map_err(at(&self.folder))?;
                    let from = self.cold.as_ref().ok_or_else(|| SnapshotError::Absent(meta.uuid.to_string()))?;
                    from.fetch(cold, split, &folder, go_on)?;
                }
                copied_bytes += repository.keep(&meta.uuid, split, &folder, go_on)?;
                if split.cold.is_some() {
                    std::fs::remove_dir_all(&folder).map_err(at(&folder))?;
                }
                copied_splits += 1;
                failpoint::hit("snapshot.between_splits");
            }
        }
        let described = Described {
            name: name.to_owned(),
            uuid: crate::store::uuid::uuid().to_string(),
            started_ms,
            ended_ms: now_ms(),
            program: env!("CARGO_PKG_VERSION").to_owned(),
            metadata,
            indexes: indexes.into_iter().map(|(name, meta)| (name, whole(meta))).collect(),
        };
        repository.describe(&described)?;
        Ok(Created { described, copied_splits, copied_bytes })
    }

    /// Takes hold of the splits as they are now.
    fn hold(&self, wanted: &dyn Fn(&str) -> bool) -> Result<(Held, BTreeMap<String, IndexMeta>), SnapshotError> {
        let folder = self.folder.join("snapshotting");
        if folder.exists() {
            std::fs::remove_dir_all(&folder).map_err(at(&folder))?;
        }
        std::fs::create_dir_all(&folder).map_err(at(&folder))?;
        // While this is locked no split is removed.
        let manifest = self.manifest.lock();
        let held = Held { folder, _cold: self.catalog.load_full() };
        let mut indexes = BTreeMap::new();
        for (name, meta) in manifest.state().indexes.iter().filter(|(name, _)| wanted(name)) {
            for split in meta.splits.values().filter(|split| split.cold.is_none()) {
                let (from, to) =
                    (split::folder_of(&self.splits_folder(), split.id), split::folder_of(&held.folder, split.id));
                std::fs::create_dir(&to).map_err(at(&to))?;
                for file in &split.files {
                    std::fs::hard_link(from.join(&file.name), to.join(&file.name))
                        .map_err(at(from.join(&file.name)))?;
                }
            }
            indexes.insert(name.to_string(), meta.clone());
        }
        Ok((held, indexes))
    }
}
