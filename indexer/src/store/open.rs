//! Starting: the manifest is read, the splits that it names are opened, and whatever else lies about is removed.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::catalog::{Catalog, IndexState};
use super::cold::{ColdError, ColdStore};
use super::manifest::{ColdMeta, Edit, IndexMeta, Manifest, ManifestError, Recovery, SplitMeta};
use super::mapping::Declared;
use super::objects::{ObjectError, Objects};
use super::part::Part;
use super::pending::Pending;
use super::progress::Progress;
use super::view::Absent;
use super::{Store, quarantine, split};
use crate::config::Config;

/// The store can't be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    /// A folder can't be made or read.
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: std::io::Error },
    /// Another process has it.
    #[error("{} is used by another process; stop it first, or choose another data folder", .0.display())]
    Used(PathBuf),
    /// The manifest is of no use.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
}

/// What was found at the start that someone should know.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// Of the manifest.
    pub(crate) recovery: Recovery,
    /// Folders that the manifest does not name: what a crash interrupted.
    pub(crate) orphans: usize,
    /// What is damaged, in plain words.
    pub(crate) damaged: Vec<String>,
    /// Cold splits that can't be opened for now, in plain words.
    pub(crate) away: Vec<String>,
}

impl Store {
    /// Opens the store in a folder, or begins one.
    ///
    /// # Errors
    /// When the folder can't be used. Damaged splits are no error: they are put aside and told.
    pub(crate) fn open(folder: &Path, config: Config) -> Result<(Self, Findings), OpenError> {
        let objects = config.cold.url.as_ref().map(|url| Objects::at_url(url, &config.s3)).transpose();
        let failed = |error: ObjectError| OpenError::Io { path: folder.to_owned(), source: error.into() };
        Self::open_over(folder, config, objects.map_err(failed)?)
    }

    /// The same with any object store for cold splits.
    pub(super) fn open_over(
        folder: &Path,
        config: Config,
        objects: Option<Objects>,
    ) -> Result<(Self, Findings), OpenError> {
        let splits = folder.join("splits");
        let failed = |source| OpenError::Io { path: folder.to_owned(), source };
        std::fs::create_dir_all(&splits).map_err(failed)?;
        let lock = std::fs::File::create(folder.join("lock")).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => return Err(OpenError::Used(folder.to_owned())),
            Err(std::fs::TryLockError::Error(error)) => return Err(failed(error)),
        }
        let (mut manifest, recovery) = Manifest::open(folder)?;
        let mut findings = Findings { recovery, ..Findings::default() };
        if recovery.damaged {
            findings.damaged.push(
                "the manifest is damaged before its end: splits written after that are in quarantine, \
                 and their events are read again from the bus as far as it still has them"
                    .to_owned(),
            );
        }
        // Links that a snapshot held when the process ended.
        match std::fs::remove_dir_all(folder.join("snapshotting")) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        let highest = remove_orphans(folder, &manifest, &mut findings).map_err(failed)?;
        let stopping: Arc<AtomicBool> = Arc::default();
        let objects = objects.map(|objects| objects.until(stopping.clone()));
        let cold = objects.map(|objects| ColdStore::open(folder, &config, &manifest, objects));
        let cold = cold.transpose().map_err(failed)?;
        let catalog = open_splits(folder, &mut manifest, cold.as_ref(), &mut findings).map_err(failed)?;
        let mut progress = Progress::default();
        progress.published(&manifest.state().next);
        let store = Self {
            config,
            folder: folder.to_owned(),
            catalog: ArcSwap::from_pointee(catalog),
            changes: Mutex::new(Pending::default()),
            manifest: Mutex::new(manifest),
            cold,
            flushing: Mutex::default(),
            snapshots: Mutex::default(),
            memory_merges: Mutex::default(),
            sealing: Mutex::default(),
            forced: AtomicU64::new(0),
            stopping,
            leaving: Mutex::default(),
            next_part: AtomicU64::new(highest + 1),
            hot_bytes: AtomicU64::new(0),
            epoch: AtomicU64::new(0),
            progress: watch::Sender::new(progress),
            _lock: lock,
            #[cfg(test)]
            _folder: None,
            #[cfg(test)]
            next_seq: AtomicU64::new(0),
        };
        Ok((store, findings))
    }
}

/// Opens what the manifest names; what is damaged is taken out of it.
fn open_splits(
    folder: &Path,
    manifest: &mut Manifest,
    cold: Option<&ColdStore>,
    findings: &mut Findings,
) -> std::io::Result<Catalog> {
    let mut catalog = Catalog { directory: Arc::new(manifest.state().directory.clone()), ..Catalog::default() };
    let mut edits = Vec::new();
    // Found to be so once, it is for all: a start must not wait for each of a thousand splits.
    let mut is_away = false;
    for (name, meta) in &manifest.state().indexes {
        let mut state = IndexState {
            uuid: meta.uuid.clone(),
            created_ms: meta.created_ms,
            mapping: Arc::new(meta.mapping.with_declared(declared_of(name, meta))),
            facts: meta.facts.clone(),
            parts: Vec::new(),
            absent: Vec::new(),
        };
        for split_meta in meta.splits.values() {
            if let Some(at) = &split_meta.cold {
                match open_cold(cold, name, split_meta, at, &mut is_away) {
                    Ok(part) => state.parts.push(Arc::new(part)),
                    Err(reason) => {
                        findings.away.push(format!("a cold split of {name} can't be searched: {reason}"));
                        state.absent.push(Arc::new(Absent { split: split_meta.clone(), reason }));
                    }
                }
                continue;
            }
            match split::open(&folder.join("splits"), name, split_meta) {
                Ok(part) => state.parts.push(Arc::new(part)),
                Err(error) => {
                    quarantine::put_aside(folder, split_meta.id);
                    let reason = error.to_string();
                    edits.push(Edit::Quarantine { index: name.clone(), split: split_meta.id, reason });
                }
            }
        }
        catalog.indexes.insert(name.clone(), state);
    }
    edits.iter().try_for_each(|edit| manifest.append(edit))?;
    findings.damaged.extend(manifest.state().quarantine.values().map(quarantine::in_words));
    Ok(catalog)
}

fn open_cold(
    cold: Option<&ColdStore>,
    name: &Arc<str>,
    split: &SplitMeta,
    at: &ColdMeta,
    is_away: &mut bool,
) -> Result<Part, String> {
    let cold = cold.ok_or("its files are on an object store, and `indexer.cold.url` does not say where")?;
    let opened = if *is_away { cold.open_unasked(name, split, at) } else { cold.open_split(name, split, at) };
    *is_away |= matches!(&opened, Err(ColdError::Objects(ObjectError::Away { .. })));
    opened.map_err(|error| error.to_string())
}

/// The mapping that was put for an index. One of a newer program may have what this one can't read.
pub(super) fn declared_of(name: &str, meta: &IndexMeta) -> Arc<Declared> {
    Arc::new(Declared::read(&meta.facts.mappings).unwrap_or_else(|error| {
        tracing::error!(%error, index = name, "the mapping of an index can't be read; values decide on its types");
        Declared::default()
    }))
}

/// Removes split folders that the manifest does not name; gives the highest id that was ever seen.
fn remove_orphans(folder: &Path, manifest: &Manifest, findings: &mut Findings) -> std::io::Result<u64> {
    let known = manifest.state().splits().map(|split| split.id).chain(manifest.state().quarantine.keys().copied());
    let mut highest = known.max().unwrap_or(0);
    for entry in std::fs::read_dir(folder.join("splits"))? {
        let entry = entry?;
        let name = entry.file_name();
        if name.to_str().is_some_and(|name| name.ends_with(".tmp")) {
            std::fs::remove_dir_all(entry.path())?;
        }
        let Some(id) = name.to_str().and_then(split::id_of) else { continue };
        highest = highest.max(id);
        if manifest.state().splits().any(|split| split.id == id && split.cold.is_some()) {
            // It went cold, or was brought back to be written anew, and then the process ended.
            findings.orphans += 1;
            std::fs::remove_dir_all(entry.path())?;
            continue;
        }
        let is_named = manifest.state().splits().any(|split| split.id == id);
        if is_named || manifest.state().quarantine.contains_key(&id) {
            if !is_named {
                // The record was written, and then the process ended.
                quarantine::put_aside(folder, id);
            }
            continue;
        }
        findings.orphans += 1;
        if findings.recovery.damaged {
            // It may have counted: kept for whoever repairs by hand.
            quarantine::put_aside(folder, id);
        } else {
            std::fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(highest)
}
