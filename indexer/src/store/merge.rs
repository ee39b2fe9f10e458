//! Fewer and larger parts: in memory by level, on disk by size within a day. Each document stays in exactly one
//! part that searches see: sources leave the catalog in the same step in which their merge enters it.

use std::sync::Arc;

use tantivy::directory::RamDirectory;

use super::flush::FlushError;
use super::manifest::Edit;
use super::part::{self, Label, Part, PartId, Place};
use super::pending::Ticket;
use super::{Store, failpoint, split};

/// Parts of one level that become one of the next: measured best at 8 to 16.
const FAN_IN: usize = 10;
/// Splits that an index should not have more of: each costs a search about a tenth of a millisecond.
const SPLITS_WANTED: usize = 50;
/// Splits below this size are all of the lowest tier.
const TIER_BYTES: u64 = 256 << 10;
/// Splits are not merged beyond this many documents: keeps the merge's memory and duration bounded.
const SPLIT_DOCS_MAX: u64 = 5_000_000;
const DAY_NS: i64 = 86_400_000_000_000;

impl Store {
    /// Merges some parts in memory; false when there is nothing to merge.
    ///
    /// # Errors
    /// When a part can't be merged.
    pub(crate) fn merge_memory(&self) -> tantivy::Result<bool> {
        let _whole = self.memory_merges.lock();
        let (parts, ticket) = {
            let mut pending = self.changes.lock();
            let catalog = self.catalog.load();
            let picked = pending.free(&catalog, Place::Memory).find_map(|(_, parts)| of_one_level(&parts));
            let Some(parts) = picked else { return Ok(false) };
            let ticket = pending.take(&parts);
            (parts, ticket)
        };
        let merged = self.merged_in_memory(&parts);
        let outcome = match merged {
            Err(error) => Err(error),
            Ok(part) => self.change(|catalog, pending| {
                let part = pending.up_to_date(part, &ticket)?;
                let removed: Vec<PartId> = parts.iter().map(|part| part.id).collect();
                // False when the index was deleted meanwhile: then the merge is dropped with it.
                let _ = catalog.replace(&part.index.clone(), &removed, Some(Arc::new(part)));
                Ok(())
            }),
        };
        self.changes.lock().give_back(parts.iter(), &ticket);
        outcome.map(|()| true)
    }

    fn merged_in_memory(&self, parts: &[Arc<Part>]) -> tantivy::Result<Part> {
        let directory = RamDirectory::create();
        let index = part::merge(parts, part::memory_settings(), directory.clone())?;
        let first = parts.first().ok_or_else(|| tantivy::TantivyError::InvalidArgument("nothing to merge".into()))?;
        let level = first.level.saturating_add(1);
        let label = Label { id: self.next_part(), index: first.index.clone(), time_ns: part::time_of(parts), level };
        Part::in_memory(label, index, &directory, Arc::from([]))
    }

    /// Merges some splits on disk; false when there is nothing to merge.
    ///
    /// # Errors
    /// When the disk refuses: everything is then as before.
    pub(crate) fn merge_splits(&self, now_ns: i64) -> Result<bool, FlushError> {
        let (parts, mut ticket) = {
            let mut pending = self.changes.lock();
            let catalog = self.catalog.load();
            let picked = pending
                .free(&catalog, Place::Disk)
                .find_map(|(_, parts)| of_one_tier(&parts, self.config.split_bytes_max.0, now_ns));
            let Some(parts) = picked else { return Ok(false) };
            let ticket = pending.take(&parts);
            (parts, ticket)
        };
        let merged = self.merge_on_disk(&parts, &mut ticket);
        self.changes.lock().give_back(parts.iter(), &ticket);
        merged.map(|()| true)
    }

    /// Puts one split in the place of some.
    pub(super) fn merge_on_disk(&self, parts: &[Arc<Part>], ticket: &mut Ticket) -> Result<(), FlushError> {
        let Some(index) = parts.first().map(|part| part.index.clone()) else { return Ok(()) };
        let removed: Vec<PartId> = parts.iter().map(|part| part.id).collect();
        let folder = self.splits_folder();
        self.check_disk_reserve()?;
        failpoint::hit("merge.before_write");
        // A split without documents would be read by every search for nothing.
        let mut added = match parts.iter().all(|part| part.docs() == 0) {
            true => None,
            false => {
                let meta = split::write(&folder, self.next_part(), parts)?;
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
            return Ok(());
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
        self.change(|catalog, pending| {
            let part = added.map(|(_, part)| pending.up_to_date(part, ticket)).transpose()?;
            let _ = catalog.replace(&index, &removed, part.map(Arc::new));
            Ok::<_, tantivy::TantivyError>(())
        })?;
        drop(manifest);
        self.remove_folders(&removed);
        Ok(())
    }
}

/// Parts in memory that are to be merged.
fn of_one_level(parts: &[Arc<Part>]) -> Option<Vec<Arc<Part>>> {
    let levels = parts.iter().map(|part| part.level).max()?;
    (0..=levels).find_map(|level| {
        let same: Vec<_> = parts.iter().filter(|part| part.level == level).take(FAN_IN).cloned().collect();
        (same.len() == FAN_IN).then_some(same)
    })
}

/// What the choice of splits depends on.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    place: usize,
    bytes: u64,
    docs: u64,
    newest_ns: i64,
}

fn of_one_tier(parts: &[Arc<Part>], bytes_max: u64, now_ns: i64) -> Option<Vec<Arc<Part>>> {
    let candidate = |(place, part): (usize, &Arc<Part>)| Candidate {
        place,
        bytes: part.bytes,
        docs: part.docs(),
        newest_ns: *part.time_ns.end(),
    };
    let candidates: Vec<_> = parts.iter().enumerate().map(candidate).collect();
    let picked = pick(candidates, bytes_max, now_ns)?;
    Some(picked.iter().filter_map(|candidate| parts.get(candidate.place)).cloned().collect())
}

/// Which splits of an index to merge next: ten of one tier and day; all of a day that is over; or, while there are
/// too many, the smallest neighbours in time whatever their day.
fn pick(mut all: Vec<Candidate>, bytes_max: u64, now_ns: i64) -> Option<Vec<Candidate>> {
    let total = all.len();
    // A split that can't double any more is finished.
    all.retain(|split| split.bytes <= bytes_max / 2 && split.docs <= SPLIT_DOCS_MAX / 2);
    all.sort_by_key(|split| (split.newest_ns.div_euclid(DAY_NS), split.bytes));
    for day in all.chunk_by(|one, other| one.newest_ns.div_euclid(DAY_NS) == other.newest_ns.div_euclid(DAY_NS)) {
        for tier in day.chunk_by(|one, other| tier_of(one.bytes) == tier_of(other.bytes)) {
            if let Some(run) = tier.get(..FAN_IN).and_then(|run| fitting(run, bytes_max)) {
                return Some(run);
            }
        }
        let over = day.iter().all(|split| split.newest_ns.div_euclid(DAY_NS) < now_ns.div_euclid(DAY_NS));
        if let Some(run) = day.get(..day.len().min(FAN_IN)).filter(|_| over).and_then(|run| fitting(run, bytes_max)) {
            return Some(run);
        }
    }
    if total > SPLITS_WANTED {
        all.sort_by_key(|split| split.newest_ns);
        let runs = all.windows(FAN_IN).filter_map(|run| fitting(run, bytes_max));
        return runs.min_by_key(|run| run.iter().map(|split| split.bytes).sum::<u64>() / run.len() as u64);
    }
    None
}

/// As many splits of the run, from its start, as may become one; `None` when that is less than two.
fn fitting(run: &[Candidate], bytes_max: u64) -> Option<Vec<Candidate>> {
    let (mut bytes, mut docs) = (0, 0);
    let fits = |split: &&Candidate| {
        bytes += split.bytes;
        docs += split.docs;
        bytes <= bytes_max && docs <= SPLIT_DOCS_MAX
    };
    let fitting: Vec<_> = run.iter().take_while(fits).copied().collect();
    (fitting.len() > 1).then_some(fitting)
}

fn tier_of(bytes: u64) -> u32 {
    (bytes / TIER_BYTES).max(1).ilog10()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MAX: u64 = 512 << 20;

    fn split(place: usize, bytes: u64, day: i64) -> Candidate {
        Candidate { place, bytes, docs: bytes / 100, newest_ns: day * DAY_NS + place as i64 }
    }

    #[test]
    fn a_day_becomes_few_splits_and_days_stay_apart() {
        let mut splits: Vec<Candidate> = Vec::new();
        // A flush every ten seconds for a day, 1 MiB each.
        for place in 0..8640 {
            splits.push(split(place, 1 << 20, 3));
            while let Some(run) = pick(splits.clone(), MAX, 3 * DAY_NS) {
                splits.retain(|split| run.iter().all(|merged| merged.place != split.place));
                splits.push(split(run[0].place, run.iter().map(|split| split.bytes).sum(), 3));
            }
            assert!(splits.len() <= 60, "{} splits", splits.len());
        }
        splits.push(split(0, 1 << 20, 4));
        while let Some(run) = pick(splits.clone(), MAX, 4 * DAY_NS) {
            assert!(run.iter().all(|split| split.newest_ns / DAY_NS == 3));
            splits.retain(|split| run.iter().all(|merged| merged.place != split.place));
            splits.push(split(run[0].place, run.iter().map(|split| split.bytes).sum(), 3));
        }
        assert_eq!(splits.iter().map(|split| split.bytes).sum::<u64>(), 8641 << 20);
    }

    proptest! {
        #[test]
        fn merging_ends_and_respects_the_bound(sizes in prop::collection::vec((1u64..MAX, 0i64..20), 0..150)) {
            let mut splits: Vec<_> = sizes.iter().enumerate().map(|(place, (bytes, day))| split(place, *bytes, *day)).collect();
            let total: u64 = splits.iter().map(|split| split.bytes).sum();
            while let Some(run) = pick(splits.clone(), MAX, 10 * DAY_NS) {
                prop_assert!(run.len() > 1);
                let bytes = run.iter().map(|split| split.bytes).sum();
                prop_assert!(bytes <= MAX);
                let newest = run.iter().map(|split| split.newest_ns).max().unwrap();
                splits.retain(|split| run.iter().all(|merged| merged.place != split.place));
                splits.push(Candidate { newest_ns: newest, ..split(run[0].place, bytes, 0) });
            }
            prop_assert_eq!(splits.iter().map(|split| split.bytes).sum::<u64>(), total);
        }
    }
}
