//! Removing from the object store what no longer counts: what was deleted while we run, once nobody reads it any more;
//! and what a killed process left, which is whatever is there under our name and is not in the manifest.

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::{ColdError, ColdStore, Known, head_name, named};
use crate::store::manifest::{ColdMeta, SplitMeta};
use crate::store::objects::{ObjectError, delete_split};
use crate::store::{Store, failpoint};

/// One split that does not answer must not keep others from being tried; a store that is away must not be asked for
/// each of a thousand.
const REOPEN_MAX: Duration = Duration::from_secs(30);

/// The key of the split that an object belongs to; what lies beside the splits belongs to none.
fn key_of(name: &str) -> Option<&str> {
    name.rsplit_once('/').map(|(key, _)| key).filter(|key| key.contains('/'))
}

/// The split of a key.
fn split_of(key: &str) -> Option<u64> {
    let (split, _) = head_name(key).split_once('-')?;
    u64::from_str_radix(split, 16).ok()
}

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
        let Some(name) = self.cold_name(cold)? else { return Ok(0) };
        let there: BTreeSet<String> =
            cold.objects.list(&name)?.iter().filter_map(|(name, _)| key_of(name)).map(str::to_owned).collect();
        let (wanted, damaged): (BTreeSet<String>, BTreeSet<u64>) = {
            let mut manifest = self.manifest.lock();
            // After a crash a record in doubt may name what the state does not.
            manifest.settle()?;
            let doomed = cold.doomed.lock();
            let named = named(manifest.state()).map(|(_, cold)| cold.key.clone());
            // Those that are doomed and still read go later.
            let wanted = named.chain(doomed.iter().map(|one| one.key.clone())).collect();
            (wanted, manifest.state().quarantine.keys().copied().collect())
        };
        let mut gone = 0;
        for key in there.difference(&wanted) {
            // The record that it went cold may be what was lost: then this is all that is left of it.
            if split_of(key).is_some_and(|split| damaged.contains(&split)) {
                continue;
            }
            delete_split(&cold.objects, key)?;
            gone += 1;
        }
        Ok(gone)
    }

    /// Opens cold splits that could not be opened before.
    ///
    /// # Errors
    /// When one of them can't be opened either, as the first of these has it.
    pub(crate) fn reopen_absent(&self) -> Result<(), ColdError> {
        let Some(cold) = &self.cold else { return Ok(()) };
        let absent: Vec<(Arc<str>, SplitMeta)> = {
            let catalog = self.catalog.load();
            let of = |(name, state): (&Arc<str>, &crate::store::catalog::IndexState)| {
                let name = name.clone();
                state.absent.iter().map(move |absent| (name.clone(), absent.split.clone())).collect::<Vec<_>>()
            };
            catalog.indexes.iter().flat_map(of).collect()
        };
        let began = Instant::now();
        let mut done = Ok(());
        for (index, split) in absent {
            let reopened = self.reopen(cold, &index, &split);
            done = done.and(reopened);
            if done.is_err() && began.elapsed() > REOPEN_MAX {
                break;
            }
        }
        done
    }

    fn reopen(&self, cold: &ColdStore, index: &Arc<str>, split: &SplitMeta) -> Result<(), ColdError> {
        let Some(at) = &split.cold else { return Ok(()) };
        let part = cold.open_split(index, split, at)?;
        // Its documents may have been deleted while it was away, by what the manifest has: by nobody else.
        let manifest = self.manifest.lock();
        let known = manifest.state().indexes.get(index).and_then(|known| known.splits.get(&split.id)).cloned();
        let part = known.map(|known| part.without(&known.deleted)).transpose()?;
        self.change(|catalog, _| {
            if let Some(state) = catalog.indexes.get_mut(index) {
                state.absent.retain(|absent| absent.split.id != split.id);
                state.parts.extend(part.map(Arc::new));
            }
        });
        Ok(())
    }
}
