//! From memory to disk: the documents up to one cut become splits, and one manifest record makes the splits,
//! the offsets and the origins count together. This is the only place where offsets become durable.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::manifest::{Edit, IndexMeta, MarkMeta, SplitMeta};
use super::part::{Part, Place};
use super::pending::{ColdDeleted, Ticket};
use super::split::Form;
use super::{SplitError, Store, failpoint, meta_of, now_ms, split};

/// Documents could not be written; they stay in memory and are tried again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FlushError {
    /// A split could not be written.
    #[error("can't write a split: {0}")]
    Split(#[from] SplitError),
    /// The manifest could not be written.
    #[error("can't write the manifest: {0}")]
    Manifest(#[from] std::io::Error),
    /// A part could not be read.
    #[error("can't read a split that was just written: {0}")]
    Index(#[from] tantivy::TantivyError),
}

/// What was published up to one instant.
struct Cut {
    indexes: BTreeMap<Arc<str>, (IndexMeta, Vec<Arc<Part>>)>,
    next: BTreeMap<i32, i64>,
    marks: Vec<MarkMeta>,
    deleted: BTreeMap<u64, Vec<u32>>,
    cold_deleted: ColdDeleted,
    ticket: Ticket,
}

impl Cut {
    fn is_empty(&self) -> bool {
        let nothing_left = self.deleted.is_empty() && self.cold_deleted.is_empty();
        self.next.is_empty() && self.marks.is_empty() && nothing_left && self.indexes.is_empty()
    }

    fn parts(&self) -> impl Iterator<Item = &Arc<Part>> {
        self.indexes.values().flat_map(|(_, parts)| parts)
    }
}

impl Store {
    /// Writes to disk what is in memory only. When this returns `Ok`, a crash no longer undoes what was published
    /// before the call.
    ///
    /// # Errors
    /// When the disk refuses: everything is then as before.
    pub(crate) fn flush(&self) -> Result<(), FlushError> {
        let _one = self.flushing.lock();
        let mut cut = self.cut();
        if cut.is_empty() {
            self.changes.lock().give_back(cut.parts(), &cut.ticket);
            return Ok(());
        }
        let mut written = BTreeMap::new();
        let done = self.write(&cut, &mut written).and_then(|()| self.settle(&mut cut, &mut written));
        let mut pending = self.changes.lock();
        pending.give_back(cut.parts(), &cut.ticket);
        if done.is_err() {
            pending.restore(cut.next, cut.marks, cut.deleted, cut.cold_deleted);
            drop(pending);
            self.remove_folders(&written.values().map(|(meta, _)| meta.id).collect::<Vec<_>>());
        }
        done
    }

    fn cut(&self) -> Cut {
        let _whole = self.memory_merges.lock();
        let mut pending = self.changes.lock();
        let catalog = self.catalog.load();
        let mut indexes = BTreeMap::new();
        for (name, state) in &catalog.indexes {
            let parts: Vec<_> = state.parts.iter().filter(|part| part.place == Place::Memory).cloned().collect();
            if !parts.is_empty() {
                indexes.insert(name.clone(), (meta_of(state), parts));
            }
        }
        let parts: Vec<_> = indexes.values().flat_map(|(_, parts)| parts.iter().cloned()).collect();
        Cut {
            ticket: pending.take(&parts),
            next: std::mem::take(&mut pending.next),
            marks: std::mem::take(&mut pending.marks).into_values().collect(),
            deleted: std::mem::take(&mut pending.deleted),
            cold_deleted: std::mem::take(&mut pending.cold_deleted),
            indexes,
        }
    }

    /// Writes one split an index.
    fn write(&self, cut: &Cut, written: &mut BTreeMap<Arc<str>, (SplitMeta, Part)>) -> Result<(), FlushError> {
        self.check_disk_reserve()?;
        let form = Form::hot();
        for (name, (_, parts)) in &cut.indexes {
            if parts.iter().all(|part| part.docs() == 0) {
                continue;
            }
            let meta = split::write(&self.splits_folder(), self.next_part(), parts, &form)?;
            let part = split::open(&self.splits_folder(), name, &meta)?;
            written.insert(name.clone(), (meta, part));
        }
        Ok(())
    }

    /// Makes the splits count, and lets searches read them instead of what was in memory.
    fn settle(&self, cut: &mut Cut, written: &mut BTreeMap<Arc<str>, (SplitMeta, Part)>) -> Result<(), FlushError> {
        let mut manifest = self.manifest.lock();
        let known = self.catalog.load();
        let still_there = |name: &Arc<str>| {
            let uuid = cut.indexes.get(name).map(|(meta, _)| &meta.uuid);
            known.indexes.get(name).map(|state| &state.uuid) == uuid
        };
        // Indexes that were deleted while their documents were written.
        let lost: Vec<Arc<str>> = cut.indexes.keys().filter(|name| !still_there(name)).cloned().collect();
        let mut indexes = BTreeMap::new();
        for (name, (meta, _)) in cut.indexes.iter().filter(|(name, _)| !lost.contains(name)) {
            let splits = written.get(name).map(|(split, _)| (split.id, split.clone())).into_iter().collect();
            indexes.insert(name.clone(), IndexMeta { splits, ..meta.clone() });
        }
        // Also what was deleted since the cut: a merge that ended meanwhile has moved documents to another split.
        {
            let mut pending = self.changes.lock();
            for (split, documents) in std::mem::take(&mut pending.deleted) {
                cut.deleted.entry(split).or_default().extend(documents);
            }
            for (split, (documents, seqs)) in std::mem::take(&mut pending.cold_deleted) {
                let known = cut.cold_deleted.entry(split).or_default();
                known.0.extend(documents);
                known.1.extend(seqs);
            }
        }
        failpoint::hit("flush.before_manifest");
        let (deleted, gone) = self.departed(&cut.deleted, &cut.cold_deleted)?;
        let (next, marks) = (cut.next.clone(), cut.marks.clone());
        manifest.append(&Edit::Flush { next, marks, indexes, deleted, gone, at_ms: now_ms() })?;
        failpoint::hit("flush.after_manifest");
        let settled = std::mem::take(written);
        self.change(|catalog, pending| {
            for (name, (_, sources)) in cut.indexes.iter().filter(|(name, _)| !lost.contains(name)) {
                let removed: Vec<_> = sources.iter().map(|part| part.id).collect();
                let _ = catalog.replace(name, &removed, None);
            }
            for (name, (meta, part)) in settled {
                if lost.contains(&name) {
                    self.remove_folders(&[meta.id]);
                } else if let Some(index) = catalog.indexes.get_mut(&name) {
                    index.parts.push(Arc::new(pending.up_to_date(part, &cut.ticket)?));
                }
            }
            Ok::<_, tantivy::TantivyError>(())
        })?;
        Ok(())
    }
}
