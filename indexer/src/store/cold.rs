//! Cold splits: sealed splits whose files are on an object store, searched through a cache on the disk. The manifest
//! says which; a split's files are there, compared and read back before it does, and removed only after it no longer
//! does and nobody reads them. Nothing here is waited for while a lock is held.

mod cache;
mod directory;
mod fetch;
mod freeze;
mod head;
mod marker;
mod round;
mod sweep;

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use bytes::Bytes;
pub(crate) use cache::{BlockCache, CacheTally};
pub(crate) use directory::ColdSplit;
use directory::{ColdDirectory, file_number};
pub(crate) use freeze::ColdError;
use head::Head;
use parking_lot::Mutex;
use tantivy::directory::{Directory as _, MmapDirectory};

use super::Store;
use super::manifest::{ColdMeta, Manifest, SplitMeta, State, checksum, sync_folder};
use super::objects::{ObjectError, Objects};
use super::part::{Label, Part, Place};
use crate::config::Config;

/// A head is a few MiB at most.
const HEAD_BYTES_MAX: u64 = 64 << 20;
/// The object beside a split's files that is its head.
const HEAD: &str = "head";

/// The object store, as far as the store uses it.
#[derive(Debug)]
pub(crate) struct ColdStore {
    objects: Arc<Objects>,
    cache: Arc<BlockCache>,
    heads: PathBuf,
    /// The splits that are there and count, by id.
    known: Mutex<HashMap<u64, Known>>,
    /// Splits that no longer count and may still be there.
    doomed: Mutex<Vec<Known>>,
}

/// A split that is there.
#[derive(Clone, Debug)]
struct Known {
    key: String,
    files: Vec<u64>,
    held: Weak<ColdSplit>,
}

impl Known {
    fn unread(split: &SplitMeta, cold: &ColdMeta) -> Self {
        let files = split.files.iter().map(|file| file_number(&cold.key, &file.name)).collect();
        Self { key: cold.key.clone(), files, held: Weak::new() }
    }
}

impl ColdStore {
    /// Gets ready to use an object store. It is not asked yet.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(super) fn open(folder: &Path, config: &Config, manifest: &Manifest, objects: Objects) -> io::Result<Self> {
        let heads = folder.join("cold").join("heads");
        std::fs::create_dir_all(&heads)?;
        let cache = BlockCache::open(&folder.join("cold").join("cache"), config.cold.cache_bytes.0)?;
        remove_heads(&heads, manifest.state())?;
        let known = named(manifest.state()).map(|(split, cold)| (split.id, Known::unread(split, cold))).collect();
        let (known, doomed) = (Mutex::new(known), Mutex::default());
        Ok(Self { objects: Arc::new(objects), cache: Arc::new(cache), heads, known, doomed })
    }

    /// Opens a split without its files: from the head on the disk, or else from the one beside them.
    ///
    /// # Errors
    /// When both can't be read.
    pub(super) fn open_split(&self, index: &Arc<str>, split: &SplitMeta, cold: &ColdMeta) -> Result<Part, ColdError> {
        if !self.has_head(cold) {
            let bytes = self.objects.get(&format!("{}/{HEAD}", cold.key), HEAD_BYTES_MAX)?;
            let found = (crc32c::crc32c(&bytes), bytes.len() as u64);
            if found != (cold.head.crc32c, cold.head.bytes) {
                return Err(ObjectError::Damaged(self.objects.shown(&format!("{}/{HEAD}", cold.key))).into());
            }
            self.keep_head(&self.head_path(cold), &bytes)?;
        }
        self.open_by_head(index, split, cold)
    }

    /// The same when the object store is known to be away: it is not asked.
    ///
    /// # Errors
    /// When the head on the disk can't be read.
    pub(super) fn open_unasked(&self, index: &Arc<str>, split: &SplitMeta, cold: &ColdMeta) -> Result<Part, ColdError> {
        if !self.has_head(cold) {
            return Err(self.objects.away("it has just not answered").into());
        }
        self.open_by_head(index, split, cold)
    }

    fn has_head(&self, cold: &ColdMeta) -> bool {
        checksum(&self.head_path(cold)).is_ok_and(|found| found == (cold.head.crc32c, cold.head.bytes))
    }

    fn open_by_head(&self, index: &Arc<str>, split: &SplitMeta, cold: &ColdMeta) -> Result<Part, ColdError> {
        let path = self.head_path(cold);
        let name = path.file_name().map(PathBuf::from).unwrap_or_default();
        let file = MmapDirectory::open(&self.heads).map_err(tantivy::TantivyError::from)?.open_read(&name);
        let bytes = file.map_err(tantivy::TantivyError::from)?.read_bytes()?;
        let head = Head::read(&bytes).ok_or_else(|| ObjectError::Damaged(path.display().to_string()))?;
        let opened = Arc::new(ColdSplit {
            key: cold.key.clone(),
            head,
            objects: self.objects.clone(),
            cache: self.cache.clone(),
        });
        let label = Label::of_split(index, split);
        let directory = ColdDirectory(opened.clone());
        let part = Part::through(label, directory, Place::Cold, split.bytes, split.deleted.as_slice().into())?;
        let known = Known { held: Arc::downgrade(&opened), ..Known::unread(split, cold) };
        self.known.lock().insert(split.id, known);
        Ok(part)
    }

    fn head_path(&self, cold: &ColdMeta) -> PathBuf {
        self.heads.join(head_name(&cold.key))
    }

    /// Writes a head durably.
    fn keep_head(&self, path: &Path, bytes: &Bytes) -> io::Result<()> {
        use io::Write as _;
        let new = path.with_extension("tmp");
        let mut file = std::fs::File::create(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&new, path)?;
        sync_folder(&self.heads)
    }

    /// What the cache holds and what was asked of it.
    pub(crate) fn tally(&self) -> CacheTally {
        self.cache.tally()
    }
}

impl Store {
    /// Whether the configuration names an object store for cold splits.
    pub(crate) fn has_cold(&self) -> bool {
        self.cold.is_some()
    }

    /// Bytes of the cold splits, and what their cache has to tell; `None` without an object store.
    pub(crate) fn cold_tally(&self) -> Option<(u64, CacheTally)> {
        let cold = self.cold.as_ref()?;
        let parts = self.catalog.load();
        let bytes = parts.parts().filter(|part| part.place == Place::Cold).map(|part| part.bytes).sum();
        Some((bytes, cold.tally()))
    }
}

/// The last part of a key is the split's id and what tells it from all others.
fn head_name(key: &str) -> &str {
    key.rsplit('/').next().unwrap_or(key)
}

/// The cold splits that the manifest names, damaged ones included.
fn named(state: &State) -> impl Iterator<Item = (&SplitMeta, &ColdMeta)> {
    let damaged = state.quarantine.values().map(|damaged| &damaged.split);
    state.splits().chain(damaged).filter_map(|split| Some((split, split.cold.as_ref()?)))
}

/// Removes the heads of splits that no longer count.
fn remove_heads(heads: &Path, state: &State) -> io::Result<()> {
    let wanted: std::collections::HashSet<String> =
        named(state).map(|(_, cold)| head_name(&cold.key).to_owned()).collect();
    for entry in std::fs::read_dir(heads)? {
        let entry = entry?;
        if !wanted.contains(&*entry.file_name().to_string_lossy()) {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
