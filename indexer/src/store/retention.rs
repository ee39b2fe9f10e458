//! Deleting what is too old or too much, a whole split at a time, and keeping the disk from filling up.

use std::io;

use logmill_core::config::Period;

use super::manifest::{Edit, SplitMeta};
use super::part::PartId;
use super::{Store, split};

impl Store {
    /// Deletes splits that are past their time or beyond the size that was allowed. Says how many.
    ///
    /// # Errors
    /// When the manifest can't be written.
    pub(crate) fn retain(&self, now_ns: i64) -> io::Result<usize> {
        let mut manifest = self.manifest.lock();
        let retention = &self.config.retention;
        let taken = self.changes.lock().taken.clone();
        let mut gone = Vec::new();
        for (name, index) in &manifest.state().indexes {
            // A split that is being merged is looked at again when that is done.
            let splits = index.splits.values().filter(|split| !taken.contains(&split.id));
            gone.extend(
                splits.filter(|split| is_too_old(split, retention.age, now_ns)).map(|split| (name.clone(), split.id)),
            );
        }
        if let Some(limit) = retention.bytes {
            let mut left: Vec<_> = manifest
                .state()
                .indexes
                .iter()
                .flat_map(|(name, index)| index.splits.values().map(move |split| (name, split)))
                .filter(|(_, split)| !gone.iter().any(|(_, id)| *id == split.id))
                .collect();
            left.sort_by_key(|(_, split)| split.newest_ns);
            let mut total: u64 = left.iter().map(|(_, split)| split.bytes).sum();
            for (name, split) in left.into_iter().filter(|(_, split)| !taken.contains(&split.id)) {
                if total <= limit.0 {
                    break;
                }
                total -= split.bytes;
                gone.push((name.clone(), split.id));
            }
        }
        gone.sort();
        for chunk in gone.chunk_by(|one, other| one.0 == other.0) {
            let Some((index, _)) = chunk.first() else { continue };
            let removed: Vec<PartId> = chunk.iter().map(|(_, id)| *id).collect();
            manifest.append(&Edit::Replace { index: index.clone(), removed: removed.clone(), added: Vec::new() })?;
            self.change(|catalog, _| {
                let _ = catalog.replace(index, &removed, None);
            });
            self.remove_folders(&removed);
        }
        Ok(gone.len())
    }

    /// Forgets the origins without news since before a day.
    ///
    /// # Errors
    /// When the manifest can't be written.
    pub(crate) fn forget_marks(&self, before_day: u32) -> io::Result<()> {
        let mut manifest = self.manifest.lock();
        let old = manifest.state().marks.values().any(|(_, day)| *day < before_day);
        if old { manifest.append(&Edit::Forget { before_day }) } else { Ok(()) }
    }

    /// Compares one split with what was written; a damaged one is put aside, so that the others stay searchable.
    /// Gives the words to tell it.
    pub(crate) fn verify_split(&self, id: PartId) -> Option<String> {
        let (index, meta) = {
            let manifest = self.manifest.lock();
            let found = manifest.state().indexes.iter().find_map(|(name, index)| Some((name, index.splits.get(&id)?)));
            found.map(|(name, meta)| (name.clone(), meta.clone()))?
        };
        let error = split::verify(&self.splits_folder(), &meta).err()?;
        let mut manifest = self.manifest.lock();
        let named = manifest.state().splits().any(|split| split.id == id);
        if !named || self.changes.lock().taken.contains(&id) {
            return None;
        }
        let edit = Edit::Replace { index: index.clone(), removed: vec![id], added: Vec::new() };
        if let Err(error) = manifest.append(&edit) {
            return Some(format!("a split of {index} is damaged and can't be put aside: {error}"));
        }
        self.change(|catalog, _| {
            let _ = catalog.replace(&index, &[id], None);
        });
        Some(self.quarantine(&index, &meta, &error))
    }

    /// Moves a damaged split's folder away. Gives the words to tell it.
    pub(super) fn quarantine(&self, index: &str, meta: &SplitMeta, error: &split::SplitError) -> String {
        super::open::quarantine(&self.folder, meta.id);
        format!("{} documents of {index} are lost: {error}; the split is in quarantine", meta.docs)
    }

    /// Refuses to write when that would leave less free space than is to be left alone.
    pub(super) fn check_disk_reserve(&self) -> io::Result<()> {
        let free = free_bytes(&self.folder)?;
        let reserve = self.config.disk_reserve;
        if free >= reserve.0 {
            return Ok(());
        }
        Err(io::Error::new(
            io::ErrorKind::StorageFull,
            format!(
                "only {} MiB are free on the disk of {}, and {reserve} are to be left alone (`indexer.disk_reserve`)",
                free >> 20,
                self.folder.display()
            ),
        ))
    }
}

fn is_too_old(split: &SplitMeta, age: Option<Period>, now_ns: i64) -> bool {
    let Some(Period(age)) = age else { return false };
    let age_ns = i64::try_from(age.as_nanos()).unwrap_or(i64::MAX);
    split.newest_ns < now_ns.saturating_sub(age_ns)
}

fn free_bytes(folder: &std::path::Path) -> io::Result<u64> {
    let facts = rustix::fs::statvfs(folder)?;
    Ok(facts.f_bavail.saturating_mul(facts.f_frsize))
}
