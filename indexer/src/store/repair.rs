//! Damaged splits: which there are, what they held, and putting in their place what could be read again.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use super::flush::FlushError;
use super::manifest::{Edit, Quarantined, SplitMeta};
use super::part::Part;
use super::seqs::Seqs;
use super::split::Form;
use super::{Store, quarantine, split};

/// A damaged split.
#[derive(Clone, Debug)]
pub(crate) struct Damage {
    pub(crate) split: u64,
    pub(crate) index: Arc<str>,
    /// Documents that it held and that counted.
    pub(crate) docs: u64,
    /// What was wrong with it.
    pub(crate) reason: String,
    /// Which records of the bus these are; `None` when that can't be read either.
    pub(crate) held: Option<Seqs>,
}

/// Parts that take the place of a damaged split, already on disk.
#[derive(Debug, Default)]
pub(crate) struct Rebuilt(Vec<(SplitMeta, Part)>);

impl Store {
    /// The splits that are damaged and not repaired yet.
    pub(crate) fn damages(&self) -> Vec<Damage> {
        let (quarantine, foreign): (_, BTreeSet<Arc<str>>) = {
            let manifest = self.manifest.lock();
            let restored = manifest.state().indexes.iter().filter(|(_, meta)| meta.restored);
            (manifest.state().quarantine.clone(), restored.map(|(name, _)| name.clone()).collect())
        };
        let aside = self.folder.join("quarantine");
        let damage = |(id, damaged): (u64, Quarantined)| {
            let held = Seqs::read(&split::folder_of(&aside, id));
            let held = held.inspect_err(|error| tracing::warn!(split = id, %error, "what it held is not known")).ok();
            let held = held.filter(|_| !foreign.contains(&damaged.index));
            let held = held.map(|held| held.without(&damaged.split.gone));
            Damage {
                split: id,
                docs: held.as_ref().map_or_else(|| quarantine::counting(&damaged.split), Seqs::len),
                index: damaged.index,
                reason: damaged.reason,
                held,
            }
        };
        quarantine.into_iter().map(damage).collect()
    }

    /// Which of these records an index has.
    ///
    /// # Errors
    /// When a part can't be read.
    pub(crate) fn present(&self, index: &str, wanted: &Seqs) -> tantivy::Result<BTreeSet<u64>> {
        let catalog = self.catalog.load();
        let mut present = BTreeSet::new();
        for part in catalog.indexes.get(index).into_iter().flat_map(|index| &index.parts) {
            let column = part.reader.fast_fields().u64("seq")?;
            let numbers = part.reader.doc_ids_alive().filter_map(|document| column.first(document));
            present.extend(numbers.filter(|number| wanted.contains(*number)));
        }
        Ok(present)
    }

    /// Writes parts in memory as one split that does not count yet.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(crate) fn rebuild(&self, rebuilt: &mut Rebuilt, parts: &[Arc<Part>]) -> Result<(), FlushError> {
        let Some(index) = parts.first().map(|part| part.index.clone()) else { return Ok(()) };
        self.check_disk_reserve()?;
        let meta = split::write(&self.splits_folder(), self.next_part(), parts, &Form::hot())?;
        let part = split::open(&self.splits_folder(), &index, &meta)?;
        rebuilt.0.push((meta, part));
        Ok(())
    }

    /// Compares splits with what was written, before a merge makes new ones of them: what is damaged must not become
    /// what looks whole. A damaged one is put aside.
    ///
    /// # Errors
    /// When one is damaged.
    pub(super) fn check_sources(&self, parts: &[Arc<Part>]) -> Result<(), FlushError> {
        for part in parts {
            let found = {
                let manifest = self.manifest.lock();
                let index = manifest.state().indexes.get(&part.index);
                index.and_then(|index| index.splits.get(&part.id)).cloned()
            };
            if let Some(meta) = found
                && let Err(error) = split::verify(&self.splits_folder(), &meta)
                && self.put_aside(&part.index, part.id, &error.to_string())?
            {
                return Err(error.into());
            }
        }
        Ok(())
    }

    /// Takes a damaged split out of every search and keeps its files. Says no when it is not in the index any more:
    /// what was deleted while it was read looks damaged, and is not.
    pub(super) fn put_aside(&self, index: &Arc<str>, id: u64, reason: &str) -> io::Result<bool> {
        let split = self.split_meta(index, id);
        let mut manifest = self.manifest.lock();
        if !manifest.state().indexes.get(index).is_some_and(|meta| meta.splits.contains_key(&id)) {
            return Ok(false);
        }
        manifest.append(&Edit::Quarantine { index: index.clone(), split: id, reason: reason.to_owned() })?;
        self.change(|catalog, _| {
            let _ = catalog.replace(index, &[id], None);
        });
        drop(manifest);
        let at = split.as_ref().and_then(|split| split.cold.clone());
        let (Some(split), Some(at)) = (split, at) else {
            quarantine::put_aside(&self.folder, id);
            return Ok(true);
        };
        // The rest stays where it is for as long as the split is in quarantine.
        let aside = split::folder_of(&self.folder.join("quarantine"), id);
        if let Some(cold) = &self.cold
            && let Err(error) = cold.fetch_seqs(&at, &split, &aside)
        {
            tracing::warn!(split = id, %error, "what it held is not known");
        }
        Ok(true)
    }

    /// Puts what was rebuilt in the place of a damaged split, in one step: however often a repair is begun, each
    /// document comes back once.
    ///
    /// # Errors
    /// When the manifest can't be written, or the split was repaired by others.
    pub(crate) fn settle_repair(&self, damage: &Damage, rebuilt: Rebuilt) -> io::Result<()> {
        let written: Vec<u64> = rebuilt.0.iter().map(|(meta, _)| meta.id).collect();
        let mut manifest = self.manifest.lock();
        let is_named = manifest.state().quarantine.get(&damage.split).is_some_and(|known| known.index == damage.index);
        let added = rebuilt.0.iter().map(|(meta, _)| meta.clone()).collect();
        let settled = match is_named {
            true => manifest.append(&Edit::Repair { split: damage.split, added }),
            false => Err(io::Error::other("the split was repaired or deleted meanwhile")),
        };
        if let Err(error) = settled {
            self.remove_folders(&written);
            return Err(error);
        }
        self.change(|catalog, _| {
            if let Some(state) = catalog.indexes.get_mut(&damage.index) {
                state.parts.extend(rebuilt.0.into_iter().map(|(_, part)| Arc::new(part)));
            }
        });
        Ok(())
    }

    /// Gives up what was rebuilt.
    pub(crate) fn abandon(&self, rebuilt: &Rebuilt) {
        self.remove_folders(&rebuilt.0.iter().map(|(meta, _)| meta.id).collect::<Vec<_>>());
    }

    /// Removes the damaged files of a split that has nothing left to give.
    pub(crate) fn remove_quarantined(&self, id: u64) {
        if let Some(cold) = &self.cold {
            cold.doom(id);
        }
        let folder = split::folder_of(&self.folder.join("quarantine"), id);
        if let Err(error) = std::fs::remove_dir_all(&folder)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(folder = %folder.display(), %error, "can't remove a damaged split that was repaired");
        }
    }
}
