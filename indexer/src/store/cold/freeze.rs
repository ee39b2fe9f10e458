//! Going cold: the files of a split are written to the object store, compared, read back, and then one record of the
//! manifest says that they count and those on the disk do not.

use std::sync::Arc;

use super::{ColdStore, HEAD, head};
use crate::config::Cold;
use crate::store::manifest::{ColdMeta, Edit, SplitFile, SplitMeta};
use crate::store::objects::{ObjectError, upload_split};
use crate::store::part::{Part, Place};
use crate::store::pending::Ticket;
use crate::store::uuid::uuid;
use crate::store::{FlushError, Store, failpoint, retention, split};

/// A split could not be moved, or not be searched where it is.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ColdError {
    /// The object store.
    #[error(transparent)]
    Objects(#[from] ObjectError),
    /// The disk.
    #[error("can't write on this machine: {0}")]
    Disk(#[from] std::io::Error),
    /// The split.
    #[error("can't read a split: {0}")]
    Index(#[from] tantivy::TantivyError),
    /// Writing a split anew.
    #[error(transparent)]
    Flush(#[from] FlushError),
    /// The split on the disk is damaged.
    #[error(transparent)]
    Split(#[from] split::SplitError),
}

/// How old the newest event of a sealed split of an index is when the split goes cold.
fn age_ns(cold: &Cold, index: &str) -> Option<i64> {
    let rule = cold.indices.iter().find(|rule| retention::names(&rule.index, index));
    let after = rule.map_or(cold.after, |rule| rule.after)?;
    Some(i64::try_from(after.0.as_nanos()).unwrap_or(i64::MAX))
}

impl Store {
    /// Moves the oldest split whose time has come to the object store; false when there is none.
    ///
    /// # Errors
    /// When the object store or the disk refuses: the split then stays as it is.
    pub(crate) fn freeze_one(&self, now_ns: i64) -> Result<bool, ColdError> {
        let Some(cold) = &self.cold else { return Ok(false) };
        let Some((part, ticket)) = self.take_freezable(now_ns) else { return Ok(false) };
        let frozen = self.freeze(cold, &part);
        self.changes.lock().give_back(std::iter::once(&part), &ticket);
        frozen.map(|()| true)
    }

    fn take_freezable(&self, now_ns: i64) -> Option<(Arc<Part>, Ticket)> {
        let mut pending = self.changes.lock();
        let catalog = self.catalog.load();
        let due = |part: &Arc<Part>| {
            let age = age_ns(&self.config.cold, &part.index);
            part.sealed && age.is_some_and(|age| *part.time_ns.end() < now_ns.saturating_sub(age))
        };
        let free = pending.free(&catalog, Place::Disk).flat_map(|(_, parts)| parts).filter(due);
        let oldest = free.min_by_key(|part| *part.time_ns.end())?;
        let ticket = pending.take(std::slice::from_ref(&oldest));
        Some((oldest, ticket))
    }

    fn freeze(&self, cold: &ColdStore, part: &Arc<Part>) -> Result<(), ColdError> {
        let Some(meta) = self.split_meta(&part.index, part.id) else { return Ok(()) };
        let name = self.make_cold_name(cold)?;
        self.check_sources(std::slice::from_ref(part))?;
        let folder = split::folder_of(&self.splits_folder(), meta.id);
        let head = head::build(&folder, &meta)?;
        let key = format!("{name}/{:016x}-{}", meta.id, uuid());
        let file = SplitFile { name: HEAD.to_owned(), bytes: head.len() as u64, crc32c: crc32c::crc32c(&head) };
        let to = ColdMeta { key, head: file };
        failpoint::hit("cold.before_upload");
        // The place may have been taken away meanwhile, and then all of it lies elsewhere.
        let uploaded = self.upload(cold, part, &meta, &to, head);
        let opened = match uploaded.and_then(|opened| Ok(cold.check_marker(&name).map(|()| opened)?)) {
            Ok(opened) => opened,
            Err(error) => {
                cold.forget(meta.id, &to);
                return Err(error);
            }
        };
        // A record that could not be written for sure may be there after a crash: then nothing of this may be missing,
        // here or there. What does not count in the end is swept.
        let moved = self.settle_cold(&to, &opened);
        match moved {
            Ok(true) => {
                failpoint::hit("cold.before_local_delete");
                self.remove_local(meta.id);
                Ok(())
            }
            Ok(false) => {
                cold.forget(meta.id, &to);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn upload(
        &self,
        cold: &ColdStore,
        part: &Part,
        meta: &SplitMeta,
        to: &ColdMeta,
        head: Vec<u8>,
    ) -> Result<Part, ColdError> {
        let go_on = || !self.stopping.load(std::sync::atomic::Ordering::Acquire);
        let folder = split::folder_of(&self.splits_folder(), meta.id);
        upload_split(&cold.objects, &to.key, &folder, meta, &go_on)?;
        let head = bytes::Bytes::from(head);
        cold.objects.put(&format!("{}/{HEAD}", to.key), head.clone(), &go_on)?;
        cold.keep_head(&cold.head_path(to), &head)?;
        failpoint::hit("cold.after_upload");
        cold.open_split(&part.index, meta, to)
    }

    /// Makes the split on the object store count; false when it was deleted meanwhile.
    fn settle_cold(&self, to: &ColdMeta, opened: &Part) -> Result<bool, ColdError> {
        let (index, id) = (opened.index.clone(), opened.id);
        // A flush that runs has documents to delete from the split, by its files on the disk.
        let _whole = self.flushing.lock();
        let mut manifest = self.manifest.lock();
        let is_named = manifest.state().indexes.get(&index).is_some_and(|known| known.splits.contains_key(&id));
        if !is_named {
            return Ok(false);
        }
        failpoint::hit("cold.before_manifest");
        manifest.append(&Edit::Cold { index: index.clone(), split: id, cold: to.clone() })?;
        failpoint::hit("cold.after_manifest");
        self.change(|catalog, pending| {
            let known = catalog.indexes.get(&index).and_then(|state| state.parts.iter().find(|part| part.id == id));
            let Some(known) = known.cloned() else { return Ok(()) };
            // Documents that left it and are not in the manifest yet: where they lay on the bus is still to be read here.
            if let Some(documents) = pending.deleted.remove(&id) {
                let seqs = known.seqs_of(&documents)?;
                pending.bury_cold(id, &documents, &seqs);
            }
            let part = opened.without(&known.deleted)?;
            let _ = catalog.replace(&index, &[id], Some(Arc::new(part)));
            Ok::<_, tantivy::TantivyError>(())
        })?;
        Ok(true)
    }

    /// What the manifest says of a split.
    pub(in crate::store) fn split_meta(&self, index: &str, id: u64) -> Option<SplitMeta> {
        self.manifest.lock().state().indexes.get(index)?.splits.get(&id).cloned()
    }
}

#[cfg(test)]
mod tests {
    use logmill_core::config::Period;

    use super::*;
    use crate::config::objects::IndexCold;

    #[test]
    fn the_first_rule_that_names_an_index_counts() {
        let rule = |index: &str, after: Option<u64>| IndexCold { index: index.into(), after: after.map(Period::secs) };
        let indices = vec![rule("logs-audit*", None), rule("logs-*", Some(5))];
        let cold = Cold { after: Some(Period::secs(60)), indices, ..Cold::default() };
        let second = 1_000_000_000;
        assert_eq!(age_ns(&cold, "logs-audit-x"), None);
        assert_eq!(age_ns(&cold, "logs-a"), Some(5 * second));
        assert_eq!(age_ns(&cold, "metrics"), Some(60 * second));
        assert_eq!(age_ns(&Cold::default(), "metrics"), None);
    }
}
