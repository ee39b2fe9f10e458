//! Taking single documents away: from every search at once, for good before the caller is told, and from the disk
//! within `indexer.erase_within`.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::flush::FlushError;
use super::manifest::{Edit, SplitMeta};
use super::part::{Part, PartId, Place};
use super::pending::{ColdDeleted, Departure};
use super::{Store, failpoint, now_ms};

/// A split of which more is gone than this is written anew without waiting: every search passes over what is gone.
const GONE_PERCENT_MAX: u64 = 20;

/// Cold splits in which documents of these numbers may be.
type Elsewhere = Vec<(Arc<Part>, Arc<[u64]>)>;

/// Documents that left splits, and their numbers on the bus, by split.
type Departed = (BTreeMap<u64, Vec<u32>>, BTreeMap<u64, Vec<u64>>);

/// Documents that are to go, as they were found.
#[derive(Debug)]
pub(crate) struct Doomed {
    /// Where they were.
    pub(crate) part: Arc<Part>,
    /// Their numbers there, ascending.
    pub(crate) documents: Vec<u32>,
}

impl Store {
    /// Takes documents out of every search that begins from now on, wherever they are by now. Gives how many there
    /// still were; [`settle_erased`](Self::settle_erased) makes it last.
    ///
    /// # Errors
    /// When a part can't be read.
    pub(crate) fn erase(&self, doomed: &[Doomed]) -> tantivy::Result<u64> {
        // Read before anybody is kept waiting: a cold split takes its time.
        let seqs = doomed.iter().map(|one| Ok(one.part.seqs_of(&one.documents)?.into()));
        let seqs: Vec<Arc<[u64]>> = seqs.collect::<tantivy::Result<_>>()?;
        let (mut gone, elsewhere) = self.take_out(doomed, &seqs)?;
        for (part, seqs) in elsewhere {
            let documents = part.documents_at(&seqs)?;
            if !documents.is_empty() {
                gone += self.erase(&[Doomed { part, documents }])?;
            }
        }
        Ok(gone)
    }

    /// Gives how many documents there still were, and the cold splits that may have some of them by now.
    fn take_out(&self, doomed: &[Doomed], seqs: &[Arc<[u64]>]) -> tantivy::Result<(u64, Elsewhere)> {
        self.change(|catalog, pending| {
            let (mut gone, mut elsewhere) = (0, Vec::new());
            for (Doomed { part: found_in, documents }, seqs) in doomed.iter().zip(seqs) {
                let Some(state) = catalog.indexes.get_mut(&found_in.index) else { continue };
                let still_there = state.parts.iter().any(|part| part.id == found_in.id);
                // A part that is gone was merged or flushed into one that was made, and so numbered, after it.
                let holders = state.parts.iter_mut().filter(|part| match still_there {
                    true => part.id == found_in.id,
                    false => part.id > found_in.id,
                });
                for part in holders {
                    if part.place == Place::Cold && !still_there {
                        // What a part was merged into covers its time.
                        if part.time_ns.start() <= found_in.time_ns.start()
                            && found_in.time_ns.end() <= part.time_ns.end()
                        {
                            elsewhere.push((part.clone(), seqs.clone()));
                        }
                        continue;
                    }
                    let living: Vec<u32> = match still_there {
                        true => documents.iter().copied().filter(|document| part.is_alive(*document)).collect(),
                        false => part.documents_at(seqs)?,
                    };
                    if !living.is_empty() {
                        gone += living.len() as u64;
                        if part.place == Place::Cold {
                            pending.bury_cold(part.id, &living, seqs);
                        }
                        *part = Arc::new(pending.bury(part, &living)?);
                    }
                }
                pending.departed(|| Departure::Seqs(found_in.index.clone(), seqs.clone()));
            }
            Ok((gone, elsewhere))
        })
    }

    /// Makes what was erased before the call last: no crash brings it back, neither from the disk nor from the bus.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(crate) fn settle_erased(&self, doomed: &[Doomed]) -> Result<(), FlushError> {
        failpoint::hit("erase.before_settle");
        let error = match self.flush() {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        // A full disk must not keep anyone from erasing what is on it: a few bytes in the manifest do.
        self.append_deleted()?;
        let on_disk = |one: &Doomed| one.part.place != Place::Memory;
        if doomed.iter().all(on_disk) { Ok(()) } else { Err(error) }
    }

    fn append_deleted(&self) -> std::io::Result<()> {
        let mut manifest = self.manifest.lock();
        let (deleted, cold_deleted) = {
            let pending = self.changes.lock();
            (pending.deleted.clone(), pending.cold_deleted.clone())
        };
        let (deleted, gone) = self.departed(&deleted, &cold_deleted).map_err(std::io::Error::other)?;
        let edit = Edit::Flush {
            next: BTreeMap::new(),
            marks: Vec::new(),
            indexes: BTreeMap::new(),
            gone,
            deleted,
            at_ms: now_ms(),
        };
        // They stay in the list for the next flush: noting them twice changes nothing.
        manifest.append(&edit)
    }

    /// Documents that left splits, and their numbers on the bus.
    ///
    /// # Errors
    /// When a split can't be read.
    pub(super) fn departed(
        &self,
        documents: &BTreeMap<u64, Vec<u32>>,
        cold: &ColdDeleted,
    ) -> tantivy::Result<Departed> {
        let catalog = self.catalog.load();
        let (mut all, mut seqs) = (documents.clone(), BTreeMap::new());
        // A split that is not there any more was merged: what left it is noted with its successor.
        for part in catalog.parts().filter(|part| part.place == Place::Disk) {
            if let Some(documents) = documents.get(&part.id) {
                seqs.insert(part.id, part.seqs_of(documents)?);
            }
        }
        for (split, (documents, numbers)) in cold {
            all.entry(*split).or_default().extend(documents);
            seqs.entry(*split).or_default().extend(numbers);
        }
        Ok((all, seqs))
    }

    /// Writes one split anew of which documents have been gone for long, or many; false when there is none.
    ///
    /// # Errors
    /// When the disk refuses: everything is then as before.
    pub(crate) fn rewrite_erased(&self, now_ms: i64) -> Result<bool, FlushError> {
        let due = self.due_for_erasing(now_ms);
        if due.is_empty() {
            return Ok(false);
        }
        let (parts, mut ticket) = {
            let mut pending = self.changes.lock();
            let catalog = self.catalog.load();
            // Cold ones are another thread's: they wait for the object store.
            let is_due = |part: &&Arc<Part>| part.place == Place::Disk && due.contains(&part.id);
            let free = catalog.parts().find(|part| is_due(part) && !pending.is_taken(part.id));
            let Some(part) = free.cloned() else { return Ok(false) };
            let parts = vec![part];
            let ticket = pending.take(&parts);
            (parts, ticket)
        };
        let rewritten = self.merge_on_disk(&parts, &mut ticket);
        self.changes.lock().give_back(parts.iter(), &ticket);
        rewritten.map(|()| true)
    }

    /// The splits from which erased documents are to go from the disk by now.
    pub(super) fn due_for_erasing(&self, now_ms: i64) -> Vec<PartId> {
        // Half of the time is for whatever keeps this from happening: a full disk, a long merge, a stop.
        let patience_ms = i64::try_from(self.config.erase_within.0.as_millis() / 2).unwrap_or(i64::MAX);
        let manifest = self.manifest.lock();
        let due = manifest.state().splits().filter(|split| is_due(split, now_ms, patience_ms));
        due.map(|split| split.id).collect()
    }
}

fn is_due(split: &SplitMeta, now_ms: i64, patience_ms: i64) -> bool {
    let gone = split.deleted.len() as u64;
    // The first version did not note when: long ago, then.
    let since_ms = split.deleted_since_ms.unwrap_or(0);
    let is_long = now_ms.saturating_sub(since_ms) >= patience_ms;
    gone > 0 && (is_long || gone * 100 > split.docs * GONE_PERCENT_MAX)
}

#[cfg(test)]
mod tests;
