//! Removing from the object store what no longer counts: what was deleted while we run, once nobody reads it any more;
//! and what a killed process left, which is whatever is there under our name and is not in the manifest.

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};

use super::{ColdError, ColdStore, Known, head_name, named};
use crate::store::manifest::{ColdMeta, SplitMeta};
use crate::store::objects::{ObjectError, delete_split};
use crate::store::{Store, failpoint};

impl ColdStore {
    /// A split no longer counts: it goes from the object store when nobody reads it any more. Does nothing for
    /// splits that are not there.
    pub(in crate::store) fn doom(&self, id: u64) {
        if let Some(known) = self.known.lock().remove(&id) {
            self.doomed.lock().push(known);
        }
    }

    /// What was written for a split does not count after all.
    pub(super) fn forget(&self, id: u64, cold: &ColdMeta) {
        self.known.lock().remove(&id);
        self.doomed.lock().push(Known { key: cold.key.clone(), files: Vec::new(), held: Weak::new() });
        let _ = std::fs::remove_file(self.head_path(cold));
    }

    /// Removes what was doomed and is read by nobody; gives how many splits.
    fn remove_doomed(&self) -> Result<usize, ObjectError> {
        let due: Vec<Known> = {
            let mut doomed = self.doomed.lock();
            let (due, held) = std::mem::take(&mut *doomed).into_iter().partition(|one| one.held.strong_count() == 0);
            *doomed = held;
            due
        };
        for (place, one) in due.iter().enumerate() {
            failpoint::hit("cold.before_remove");
            if let Err(error) = delete_split(&self.objects, &one.key) {
                self.doomed.lock().extend(due.iter().skip(place).cloned());
                return Err(error);
            }
            self.cache.forget(&one.files);
            let _ = std::fs::remove_file(self.heads.join(head_name(&one.key)));
        }
        Ok(due.len())
    }
}

impl Store {
    /// Removes from the object store what no longer counts, as far as this process knows.
    ///
    /// # Errors
    /// When the object store refuses: it is tried again.
    pub(crate) fn remove_cold(&self) -> Result<usize, ColdError> {
        let Some(cold) = &self.cold else { return Ok(0) };
        Ok(cold.remove_doomed()?)
    }

    /// Removes from the object store what is under our name and not in the manifest. Never while a split goes cold:
    /// the same thread does both. Gives how many splits went.
    ///
    /// # Errors
    /// When the object store refuses.
    pub(crate) fn sweep_cold(&self) -> Result<usize, ColdError> {
        let Some(cold) = &self.cold else { return Ok(0) };
        let there: BTreeSet<String> = {
            let folder = |name: String| name.rsplit_once('/').map(|(folder, _)| folder.to_owned());
            cold.objects.list(&cold.id)?.into_iter().filter_map(|(name, _)| folder(name)).collect()
        };
        let wanted: BTreeSet<String> = {
            let manifest = self.manifest.lock();
            let doomed = cold.doomed.lock();
            let named = named(manifest.state()).map(|(_, cold)| cold.key.clone());
            // Those that are doomed and still read go later.
            named.chain(doomed.iter().map(|one| one.key.clone())).collect()
        };
        let mut gone = 0;
        for key in there.difference(&wanted) {
            delete_split(&cold.objects, key)?;
            gone += 1;
        }
        Ok(gone)
    }

    /// Opens cold splits that could not be opened before; gives how many are still away.
    ///
    /// # Errors
    /// When the last of them can't be opened either.
    pub(crate) fn reopen_absent(&self) -> Result<usize, ColdError> {
        let Some(cold) = &self.cold else { return Ok(0) };
        let absent: Vec<(Arc<str>, SplitMeta)> = {
            let catalog = self.catalog.load();
            let of = |(name, state): (&Arc<str>, &crate::store::catalog::IndexState)| {
                let name = name.clone();
                state.absent.iter().map(move |absent| (name.clone(), absent.split.clone())).collect::<Vec<_>>()
            };
            catalog.indexes.iter().flat_map(of).collect()
        };
        for (index, split) in absent {
            let Some(at) = &split.cold else { continue };
            let part = cold.open_split(&index, &split, at)?;
            // Its documents may have been deleted while it was away, by what the manifest has: by nobody else.
            let manifest = self.manifest.lock();
            let known = manifest.state().indexes.get(&index).and_then(|known| known.splits.get(&split.id)).cloned();
            let part = known.map(|known| part.without(&known.deleted)).transpose()?;
            self.change(|catalog, _| {
                if let Some(state) = catalog.indexes.get_mut(&index) {
                    state.absent.retain(|absent| absent.split.id != split.id);
                    state.parts.extend(part.map(Arc::new));
                }
            });
        }
        Ok(0)
    }
}
