//! Cold splits brought back: to be written anew without erased documents, to be copied into a snapshot, to be compared
//! with what was written.

use std::path::Path;
use std::sync::Arc;

use super::{ColdError, ColdStore};
use crate::store::manifest::{ColdMeta, SplitMeta};
use crate::store::objects::{ObjectError, fetch_file, fetch_split, verify_file};
use crate::store::part::{Part, Place};
use crate::store::seqs;
use crate::store::{Store, split};

impl ColdStore {
    /// Fetches the files of a split into a folder, each compared with what was written.
    ///
    /// # Errors
    /// When a file has changed, the object store is away, or the disk refuses.
    pub(in crate::store) fn fetch(
        &self,
        cold: &ColdMeta,
        split: &SplitMeta,
        to: &Path,
        go_on: &dyn Fn() -> bool,
    ) -> Result<u64, ObjectError> {
        self.surely(&cold.key, &|| fetch_split(&self.objects, &cold.key, split, to, go_on))
    }

    /// Reads a split and compares it with what was written.
    ///
    /// # Errors
    /// When it has changed, or can't be read.
    pub(in crate::store) fn verify(
        &self,
        cold: &ColdMeta,
        split: &SplitMeta,
        go_on: &dyn Fn() -> bool,
    ) -> Result<(), ObjectError> {
        let verify = |file| self.surely(&cold.key, &|| verify_file(&self.objects, &cold.key, file, go_on));
        split.files.iter().try_for_each(verify)
    }

    /// Fetches the file that says which records of the bus a damaged split held, if that is whole.
    pub(in crate::store) fn fetch_seqs(
        &self,
        cold: &ColdMeta,
        split: &SplitMeta,
        to: &Path,
    ) -> Result<(), ObjectError> {
        let Some(file) = split.files.iter().find(|file| file.name == seqs::FILE) else { return Ok(()) };
        let disk = |source| ObjectError::Disk { path: to.to_owned(), source };
        std::fs::create_dir_all(to).map_err(disk)?;
        fetch_file(&self.objects, &cold.key, file, &to.join(&file.name), &|| true)
    }
}

impl Store {
    /// Writes one cold split anew of which documents have been gone for long, or many: on the disk, from where it goes
    /// cold again. False when there is none.
    ///
    /// # Errors
    /// When the object store or the disk refuses: everything is then as before.
    pub(crate) fn rewrite_cold_erased(&self, now_ms: i64) -> Result<bool, ColdError> {
        let Some(cold) = &self.cold else { return Ok(false) };
        let due = self.due_for_erasing(now_ms);
        let (part, mut ticket) = {
            let mut pending = self.changes.lock();
            let catalog = self.catalog.load();
            let is_due = |part: &&Arc<Part>| part.place == Place::Cold && due.contains(&part.id);
            let free = catalog.parts().find(|part| is_due(part) && !pending.is_taken(part.id)).cloned();
            let Some(part) = free else { return Ok(false) };
            let ticket = pending.take(std::slice::from_ref(&part));
            (part, ticket)
        };
        let rewritten = self
            .bring_back(cold, &part)
            .and_then(|local| local.map_or(Ok(()), |local| Ok(self.merge_on_disk(&[Arc::new(local)], &mut ticket)?)));
        self.changes.lock().give_back(std::iter::once(&part), &ticket);
        self.remove_local(part.id);
        rewritten.map(|()| true)
    }

    /// A cold split with its files on the disk again, for as long as it is worked on.
    fn bring_back(&self, cold: &ColdStore, part: &Part) -> Result<Option<Part>, ColdError> {
        let Some(meta) = self.split_meta(&part.index, part.id) else { return Ok(None) };
        let Some(at) = &meta.cold else { return Ok(None) };
        self.check_disk_reserve()?;
        let folder = split::folder_of(&self.splits_folder(), meta.id);
        let go_on = || !self.stopping.load(std::sync::atomic::Ordering::Acquire);
        let fetched = cold.fetch(at, &meta, &folder, &go_on);
        if let Err(ObjectError::Damaged(_) | ObjectError::Missing(_)) = &fetched {
            let reason = fetched.as_ref().err().map(ToString::to_string).unwrap_or_default();
            self.put_aside(&part.index, part.id, &reason)?;
        }
        fetched?;
        let local = SplitMeta { deleted: part.deleted.to_vec(), cold: None, ..meta };
        Ok(Some(split::open(&self.splits_folder(), &part.index, &local)?))
    }
}
