//! Deleting what is too old or too much, a whole split at a time, and keeping the disk from filling up.

mod limits;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::inventory::Found;
use super::manifest::Edit;
use super::objects::ObjectError;
use super::part::{PartId, Place};
#[cfg(test)]
use super::{ChangeError, NoSuchIndex};
use super::{Store, failpoint, split};
use crate::config::DiskPolicy;
use limits::Candidate;
pub(in crate::store) use limits::names;

/// Sources without news for so many days are forgotten. A shipper that was away longer may double the tail of
/// a file; remembering every file for ever would fill memory.
pub(crate) const REMEMBERED_DAYS: u32 = 14;

impl Store {
    /// Deletes splits that are past their time or beyond the size that was allowed. Says how many. Those that a merge
    /// works on go too, and the merge for nothing: else younger ones would go before them, and leave a gap.
    ///
    /// # Errors
    /// When the manifest can't be written.
    pub(crate) fn retain(&self, now_ns: i64) -> io::Result<usize> {
        let wanted = self.bytes_to_free()?;
        let mut manifest = self.manifest.lock();
        let retention = &self.config.retention;
        let mut all = Vec::new();
        for (name, index) in &manifest.state().indexes {
            let limits = limits::limits_of(retention, name, index.max_age_ms.map(Duration::from_millis));
            all.extend(index.splits.values().map(|split| Candidate {
                index: name.clone(),
                id: split.id,
                newest_ns: split.newest_ns,
                bytes: split.bytes,
                limits,
                cold: split.cold.is_some(),
            }));
        }
        let gone: BTreeMap<Arc<str>, Vec<PartId>> =
            limits::chosen(all, retention.bytes.map(|bytes| bytes.0), wanted, now_ns);
        for (index, removed) in &gone {
            failpoint::hit("retention.before_manifest");
            manifest.append(&Edit::Replace { index: index.clone(), removed: removed.clone(), added: Vec::new() })?;
            failpoint::hit("retention.after_manifest");
            self.let_go(removed);
            self.change(|catalog, _| {
                let _ = catalog.replace(index, removed, None);
            });
            self.remove_folders(removed);
        }
        Ok(gone.values().map(Vec::len).sum())
    }

    /// Sets how old events of an index may become, as a lifecycle policy has it; what the configuration says is never
    /// prolonged by it. `None` leaves the index to the configuration.
    ///
    /// # Errors
    /// When there is no such index on disk, or the manifest can't be written.
    #[cfg(test)]
    pub(crate) fn set_max_age(&self, index: &str, max_age: Option<Duration>) -> Result<(), ChangeError> {
        let max_age_ms = max_age.map(|age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX));
        let mut manifest = self.manifest.lock();
        let Some((name, meta)) = manifest.state().indexes.get_key_value(index) else {
            return Err(NoSuchIndex(index.to_owned()).into());
        };
        if meta.max_age_ms == max_age_ms {
            return Ok(());
        }
        let edit = Edit::Age { index: name.clone(), max_age_ms };
        Ok(manifest.append(&edit)?)
    }

    /// Whether less is free on the disk than is to be left alone.
    ///
    /// # Errors
    /// When the disk can't be asked.
    pub(crate) fn is_disk_low(&self) -> io::Result<bool> {
        Ok(free_bytes(&self.folder)? < self.config.disk_reserve.0)
    }

    /// Splits are about to be deleted: whoever merges them ends.
    pub(super) fn let_go(&self, splits: &[PartId]) {
        self.changes.lock().doom(splits);
        self.note_leaving(splits);
    }

    /// The files of splits are about to be removed. Until nobody reads them any more their bytes are remembered, for only
    /// then the disk has them back.
    pub(super) fn note_leaving(&self, splits: &[PartId]) {
        let catalog = self.catalog.load();
        let gone = catalog.parts().filter(|part| part.place == Place::Disk && splits.contains(&part.id));
        let mut leaving = self.leaving.lock();
        leaving.retain(|(held, _)| held.strong_count() > 0);
        leaving.extend(gone.map(|part| (Arc::downgrade(&part.held), part.bytes)));
    }

    /// Bytes of deleted splits that somebody still reads.
    pub(super) fn leaving_bytes(&self) -> u64 {
        let mut leaving = self.leaving.lock();
        leaving.retain(|(held, _)| held.strong_count() > 0);
        leaving.iter().map(|(_, bytes)| bytes).sum()
    }

    /// Whether old splits are to make room on a low disk, and wait for those that still read them.
    pub(crate) fn is_room_held_back(&self) -> bool {
        self.config.disk_policy == DiskPolicy::DropOldest
            && self.leaving_bytes() > 0
            && self.is_disk_low().unwrap_or(false)
    }

    /// The bytes of old splits that have to make room for new ones.
    fn bytes_to_free(&self) -> io::Result<u64> {
        if self.config.disk_policy == DiskPolicy::BackPressure || !self.is_disk_low()? {
            return Ok(0);
        }
        // A quarter more, so that it does not begin again with the next split.
        let reserve = self.config.disk_reserve.0;
        // Asked first: what somebody lets go of meanwhile is then counted twice, not never.
        let leaving = self.leaving_bytes();
        let wanted = (reserve + reserve / 4).saturating_sub(free_bytes(&self.folder)?);
        Ok(wanted.saturating_sub(leaving))
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
    pub(crate) fn verify_split(&self, id: PartId) -> Option<Found> {
        let (index, meta) = {
            let manifest = self.manifest.lock();
            let found = manifest.state().indexes.iter().find_map(|(name, index)| Some((name, index.splits.get(&id)?)));
            found.map(|(name, meta)| (name.clone(), meta.clone()))?
        };
        let reason = match (&meta.cold, &self.cold) {
            (None, _) => split::verify(&self.splits_folder(), &meta).err()?.to_string(),
            (Some(_), None) => {
                let reason = "its files are on an object store, and `indexer.cold.url` does not say where";
                return Some(Found::Away(format!("a split of {index} can't be compared: {reason}")));
            }
            (Some(at), Some(cold)) => match cold.verify(at, &meta, &|| !self.stopping.load(Ordering::Acquire)).err()? {
                damaged @ (ObjectError::Damaged(_) | ObjectError::Missing(_)) => damaged.to_string(),
                error => return Some(Found::Away(format!("a split of {index} can't be compared: {error}"))),
            },
        };
        // A merge that works on it finds out by itself.
        if self.changes.lock().is_taken(id) {
            return None;
        }
        match self.put_aside(&index, id, &reason) {
            Ok(true) => {}
            Ok(false) => return None,
            Err(error) => {
                return Some(Found::Damaged(format!("a split of {index} is damaged and can't be put aside: {error}")));
            }
        }
        self.manifest.lock().state().quarantine.get(&id).map(super::quarantine::in_words).map(Found::Damaged)
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

fn free_bytes(folder: &std::path::Path) -> io::Result<u64> {
    let facts = rustix::fs::statvfs(folder)?;
    Ok(facts.f_bavail.saturating_mul(facts.f_frsize))
}
