//! The object that shows that a place is the one where our splits are: `<store id>/store`, written before the first of
//! them. An empty mount point, another bucket or another prefix is else taken for one from which everything is gone.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::{ColdError, ColdStore, named};
use crate::store::Store;
use crate::store::manifest::Edit;
use crate::store::objects::ObjectError;
use crate::store::uuid::uuid;

/// What is in it: the version covers how the objects of splits are laid out.
const MARKER: &[u8; 8] = b"LMCOLD\0\x01";

fn marker_of(store_id: &str) -> String {
    format!("{store_id}/store")
}

/// The first part of a key is the name of the store that wrote it.
fn store_of(key: &str) -> &str {
    key.split('/').next().unwrap_or(key)
}

impl ColdStore {
    fn has_marker(&self, store_id: &str) -> Result<bool, ObjectError> {
        let marker = marker_of(store_id);
        match self.objects.get(&marker, MARKER.len() as u64) {
            Ok(found) if found == MARKER.as_slice() => Ok(true),
            // No damage of a split: nobody knows what there is.
            Ok(_) | Err(ObjectError::Damaged(_)) => {
                Err(self.objects.away(&format!("{marker} is not as this program writes it")))
            }
            Err(ObjectError::Missing(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Makes sure that a store's splits are to be found here.
    ///
    /// # Errors
    /// When they are not, or the object store can't be asked.
    pub(super) fn check_marker(&self, store_id: &str) -> Result<(), ObjectError> {
        if self.has_marker(store_id)? {
            return Ok(());
        }
        let marker = marker_of(store_id);
        let reason = format!("{marker} is not there; is it mounted, and is it what `indexer.cold.url` named before?");
        Err(self.objects.away(&reason))
    }

    /// Asks for what belongs to a key. That something is missing is believed when it is so where the marker is.
    ///
    /// # Errors
    /// As the question has it.
    pub(super) fn surely<T>(&self, key: &str, ask: &dyn Fn() -> Result<T, ObjectError>) -> Result<T, ObjectError> {
        match ask() {
            Err(ObjectError::Missing(_)) => {
                self.check_marker(store_of(key))?;
                ask()
            }
            other => other,
        }
    }
}

impl Store {
    /// The name under which our splits are on the object store, if there are any.
    ///
    /// # Errors
    /// When the manifest names cold splits and the object store is not where they are.
    pub(super) fn cold_name(&self, cold: &ColdStore) -> Result<Option<String>, ObjectError> {
        let (name, used): (Option<String>, BTreeSet<String>) = {
            let manifest = self.manifest.lock();
            let used = named(manifest.state()).map(|(_, at)| store_of(&at.key).to_owned()).collect();
            (manifest.state().store_id.clone(), used)
        };
        used.iter().try_for_each(|used| cold.check_marker(used))?;
        match name {
            Some(name) if used.contains(&name) || cold.has_marker(&name)? => Ok(Some(name)),
            _ => Ok(None),
        }
    }

    /// The same, or a new one, marked. One that has lost its marker is not marked again: the place may be another one,
    /// and must not be taken for that from before.
    ///
    /// # Errors
    /// When the object store or the disk refuses.
    pub(super) fn make_cold_name(&self, cold: &ColdStore) -> Result<String, ColdError> {
        if let Some(name) = self.cold_name(cold)? {
            return Ok(name);
        }
        let name = uuid().to_string();
        cold.objects.put(&marker_of(&name), Bytes::from_static(MARKER), &|| true)?;
        cold.check_marker(&name)?;
        self.manifest.lock().append(&Edit::StoreId(name.clone()))?;
        Ok(name)
    }
}
