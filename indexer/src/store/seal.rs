//! Fewer, larger and smaller splits: hot ones are merged, what is over or large is sealed. Sources leave manifest and
//! catalog in the same step in which their result enters it, without the documents that were replaced meanwhile.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::docstore::SealedForm;
use super::flush::FlushError;
use super::manifest::{Edit, SplitMeta};
use super::paced::Stop;
use super::part::{Part, PartId, Place};
use super::pending::{Pending, Ticket};
use super::plan::{Candidate, Rules, Run};
use super::split::Form;
use super::{Store, failpoint, split};
use crate::config::SourceMode;

/// While a merge that began before is at work, its end is looked for this often.
const BUSY_TICK: Duration = Duration::from_millis(20);

/// What a request to seal everything asks for besides.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Force {
    /// So few splits are wanted in each index, as far as they fit together.
    pub(crate) splits_max: Option<usize>,
    /// Only splits with documents that no longer count are written anew.
    pub(crate) expunge_only: bool,
}

/// What was done with some splits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sealed {
    pub(crate) docs: u64,
    pub(crate) bytes_before: u64,
    pub(crate) bytes_after: u64,
}

impl Store {
    /// Merges some hot splits; false when there is nothing to merge.
    ///
    /// # Errors
    /// When the disk refuses: everything is then as before.
    pub(crate) fn merge_splits(&self, now_ns: i64) -> Result<bool, FlushError> {
        if self.forced.load(Ordering::Acquire) > 0 {
            return Ok(false);
        }
        let rules = self.rules(now_ns);
        let Some((parts, mut ticket)) = self.take_splits(|_, free| rules.merge(&candidates(free))) else {
            return Ok(false);
        };
        let merged = self.rewrite(&parts, &mut ticket, None);
        self.changes.lock().give_back(parts.iter(), &ticket);
        merged.map(|_| true)
    }

    /// Seals some splits; `None` when there is nothing to seal.
    ///
    /// # Errors
    /// When the disk refuses: everything is then as before.
    pub(crate) fn seal_splits(&self, now_ns: i64) -> Result<Option<Sealed>, FlushError> {
        // Whoever seals everything does this work too.
        let Some(_one) = self.sealing.try_lock() else { return Ok(None) };
        let rules = self.rules(now_ns);
        let taken = self.take_splits(|_, free| rules.seal(&candidates(free)));
        taken.map(|(parts, ticket)| self.seal_taken(&parts, ticket)).transpose()
    }

    /// Seals everything that an index has now, over or not. Blocks for seconds a million documents.
    ///
    /// # Errors
    /// When the disk refuses, or the store is being stopped; what was sealed before that stays.
    pub(crate) fn force_merge(&self, index: &str, force: Force) -> Result<Sealed, FlushError> {
        self.flush()?;
        self.forced.fetch_add(1, Ordering::AcqRel);
        let done = self.force_all(index, force);
        self.forced.fetch_sub(1, Ordering::AcqRel);
        done
    }

    fn force_all(&self, index: &str, force: Force) -> Result<Sealed, FlushError> {
        let rules = self.rules(0);
        // Splits that come later are left alone: under load there would be no end.
        let limit = self.next_part();
        let mut done = Sealed::default();
        loop {
            let one = self.sealing.lock();
            let pick = |name: &Arc<str>, free: &[Arc<Part>]| {
                let known = |part: &Arc<Part>| part.sealed || part.id < limit;
                match (name.as_ref() == index, force.expunge_only) {
                    (false, _) => None,
                    (true, false) => {
                        let all: Vec<_> =
                            candidates(free).into_iter().zip(free).filter(|(_, part)| known(part)).collect();
                        rules.seal_all(&all.into_iter().map(|(split, _)| split).collect::<Vec<_>>(), force.splits_max)
                    }
                    (true, true) => {
                        let mut thin = candidates(free).into_iter().zip(free);
                        thin.find(|(_, part)| part.id < limit && !part.deleted.is_empty()).map(|(split, _)| vec![split])
                    }
                }
            };
            if let Some((parts, ticket)) = self.take_splits(pick) {
                let sealed = self.seal_taken(&parts, ticket)?;
                done.docs += sealed.docs;
                done.bytes_before += sealed.bytes_before;
                done.bytes_after += sealed.bytes_after;
                continue;
            }
            drop(one);
            let busy = {
                let pending = self.changes.lock();
                let catalog = self.catalog.load();
                let parts = catalog.indexes.get(index).map(|index| index.parts.as_slice()).unwrap_or_default();
                parts.iter().any(|part| part.place == Place::Disk && pending.is_taken(part.id))
            };
            if !busy {
                return Ok(done);
            }
            std::thread::sleep(BUSY_TICK);
        }
    }

    fn rules(&self, now_ns: i64) -> Rules {
        let nanos = |period: logmill_core::config::Period| i64::try_from(period.0.as_nanos()).unwrap_or(i64::MAX);
        Rules {
            bytes_max: self.config.split_bytes_max.0,
            window_ns: nanos(self.config.seal.window),
            grace_ns: nanos(self.config.seal.grace),
            now_ns,
        }
    }

    /// Takes the splits of the first index for which `pick` chooses some that nobody works on.
    pub(super) fn take_splits(
        &self,
        pick: impl Fn(&Arc<str>, &[Arc<Part>]) -> Option<Run>,
    ) -> Option<(Vec<Arc<Part>>, Ticket)> {
        let mut pending = self.changes.lock();
        let catalog = self.catalog.load();
        let parts: Vec<Arc<Part>> = pending.free(&catalog, Place::Disk).find_map(|(name, free)| {
            let run = pick(name, &free)?;
            Some(run.iter().filter_map(|split| free.get(split.place)).cloned().collect())
        })?;
        let ticket = pending.take(&parts);
        Some((parts, ticket))
    }

    fn seal_taken(&self, parts: &[Arc<Part>], mut ticket: Ticket) -> Result<Sealed, FlushError> {
        let form = parts.first().map(|part| self.sealed_form(&part.index));
        let written = self.rewrite(parts, &mut ticket, form);
        self.changes.lock().give_back(parts.iter(), &ticket);
        let (docs, bytes_after) = written?.map_or((0, 0), |meta| (meta.docs, meta.bytes));
        Ok(Sealed { docs, bytes_before: parts.iter().map(|part| part.bytes).sum(), bytes_after })
    }

    fn sealed_form(&self, index: &str) -> SealedForm {
        // The block size is checked to be at most some MiB.
        let block_bytes = usize::try_from(self.config.seal.block_bytes.0).unwrap_or(1 << 20);
        SealedForm { block_bytes, synthetic: self.is_synthetic(index) }
    }

    /// Whether sealed splits of an index keep of its events only what their columns do not know: as its own settings
    /// say, else as the configuration does.
    fn is_synthetic(&self, index: &str) -> bool {
        let catalog = self.catalog.load();
        let own = catalog.indexes.get(index).and_then(|index| index.facts.settings.source_mode());
        own.unwrap_or(self.config.source) == SourceMode::Synthetic
    }

    /// Puts one split in the place of some; it is sealed if any of them was.
    pub(super) fn merge_on_disk(&self, parts: &[Arc<Part>], ticket: &mut Ticket) -> Result<(), FlushError> {
        let sealed = parts.iter().find(|part| part.sealed).map(|part| self.sealed_form(&part.index));
        self.rewrite(parts, ticket, sealed).map(drop)
    }

    /// Writes parts as one split and puts it in their place, in manifest and catalog. `None` when nothing was left of
    /// them, or they were deleted meanwhile.
    pub(super) fn rewrite(
        &self,
        parts: &[Arc<Part>],
        ticket: &mut Ticket,
        sealed: Option<SealedForm>,
    ) -> Result<Option<SplitMeta>, FlushError> {
        let Some(index) = parts.first().map(|part| part.index.clone()) else { return Ok(None) };
        let removed: Vec<PartId> = parts.iter().map(|part| part.id).collect();
        let folder = self.splits_folder();
        self.check_disk_reserve()?;
        self.check_sources(parts)?;
        failpoint::hit("merge.before_write");
        let arrived_ms = parts.iter().map(|part| part.arrived_ms).max().unwrap_or_default();
        let stop = Stop { store: self.stopping.clone(), work: ticket.doomed.clone() };
        let form = Form { sealed, stop, arrived_ms };
        // A split without documents would be read by every search for nothing.
        let mut added = match parts.iter().all(|part| part.docs() == 0) {
            true => None,
            false => {
                let meta = match split::write(&folder, self.next_part(), parts, &form) {
                    Err(_) if ticket.doomed.load(Ordering::Acquire) => return Ok(None),
                    written => written?,
                };
                let part = split::open(&folder, &index, &meta)?;
                Some((meta, part))
            }
        };
        let added_id = added.as_ref().map(|(meta, _)| meta.id);
        let mut manifest = self.manifest.lock();
        let named = |id: &PartId| manifest.state().indexes.get(&index).is_some_and(|meta| meta.splits.contains_key(id));
        if !removed.iter().all(named) {
            // Deleted meanwhile, by retention or with its index.
            self.remove_folders(added_id.as_slice());
            return Ok(None);
        }
        if let Some((meta, part)) = &mut added {
            // Documents that left their split meanwhile must not come back with the record that drops that split.
            let pending = self.changes.lock();
            meta.deleted = pending.gone_from(part, ticket)?;
            pending.noted(ticket);
            drop(pending);
            meta.gone = part.seqs_of(&meta.deleted)?;
            meta.deleted_since_ms = (!meta.deleted.is_empty()).then(super::now_ms);
            *part = part.without(&meta.deleted)?;
        }
        failpoint::hit("merge.before_manifest");
        let metas = added.iter().map(|(meta, _)| meta.clone()).collect();
        let edit = Edit::Replace { index: index.clone(), removed: removed.clone(), added: metas };
        if let Err(error) = manifest.append(&edit) {
            self.remove_folders(added_id.as_slice());
            return Err(error.into());
        }
        failpoint::hit("merge.after_manifest");
        let meta = added.as_ref().map(|(meta, _)| meta.clone());
        self.note_leaving(&removed);
        self.change(|catalog, pending: &mut Pending| {
            let part = added.map(|(_, part)| pending.up_to_date(part, ticket)).transpose()?;
            let _ = catalog.replace(&index, &removed, part.map(Arc::new));
            Ok::<_, tantivy::TantivyError>(())
        })?;
        drop(manifest);
        self.remove_folders(&removed);
        Ok(meta)
    }
}

fn candidates(parts: &[Arc<Part>]) -> Vec<Candidate> {
    let candidate = |(place, part): (usize, &Arc<Part>)| Candidate {
        place,
        bytes: part.bytes,
        docs: part.docs(),
        newest_ns: *part.time_ns.end(),
        arrived_ns: part.arrived_ms.saturating_mul(1_000_000),
        sealed: part.sealed,
    };
    parts.iter().enumerate().map(candidate).collect()
}

#[cfg(test)]
mod tests;
