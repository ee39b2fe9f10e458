//! When what is known of the files goes to disk: new ones before they send, boundaries before what ends there,
//! acknowledgements soon after they came.

use super::source::{Place, Source};
use super::tail::{Moment, RETRY_MS, Tail, seconds};
use crate::checkpoint::{CheckpointError, Record};
use crate::output::Output;

/// Acknowledgements reach the checkpoint so late at most: after a kill so much is sent again.
const SAVE_EVERY_MS: u64 = 200;
/// A loss of power loses so much of the checkpoint at most.
const SYNC_EVERY_MS: u64 = 1000;
impl<O: Output> Tail<O> {
    /// Puts the entries of new sources into the checkpoint, for good: only then may they send.
    pub(super) fn save_new(&mut self, now: &Moment) {
        if self.unsaved.is_empty() {
            return;
        }
        let new = std::mem::take(&mut self.unsaved);
        // Who had a file before stands in the log before who has it now: after a kill no file has two owners.
        let changed = self.sources.values().filter(|source| source.saved && source.changed);
        let ids: Vec<_> = changed.map(|source| source.entry.id).chain(new).collect();
        let entries = ids.iter().filter_map(|id| self.sources.get(id)).map(|source| &source.entry);
        let records: Vec<_> = entries.map(|entry| Record::Entry(Box::new(entry.clone()))).collect();
        let saved = self.append(&records).and_then(|()| self.checkpoint.sync());
        let saved = self.noted(&saved);
        for id in ids {
            if let Some(source) = self.sources.get_mut(&id) {
                tracing::trace!(%id, saved, head = source.entry.head.length, "introduced");
                if saved {
                    (source.saved, source.moved, source.changed) = (true, false, false);
                } else {
                    source.retry_ms = now.ms + RETRY_MS;
                }
            }
        }
    }

    fn append(&mut self, records: &[Record]) -> Result<(), CheckpointError> {
        if self.checkpoint.wants_snapshot() {
            let entries = self.sources.values().filter(|source| source.saved).map(|source| &source.entry);
            self.checkpoint.snapshot(entries)?;
        }
        self.checkpoint.append(records)
    }

    fn noted(&self, saved: &Result<(), CheckpointError>) -> bool {
        self.board.set_problem("checkpoint", saved.as_ref().err().map(ToString::to_string));
        if let Err(error) = saved {
            tracing::warn!(%error, "the checkpoint can't be written; trying again");
        }
        saved.is_ok()
    }

    /// Makes a boundary hold after a restart, before anything is sent that ends there.
    pub(super) fn save_cut(&mut self, source: &mut Source, at: u64) -> bool {
        let saved = if source.saved {
            // No snapshot here: this source is in its turn, and would be missing from it.
            let record = [Record::Cut { id: source.entry.id, at }];
            let saved = self.checkpoint.append(&record).and_then(|()| self.checkpoint.sync());
            self.noted(&saved)
        } else {
            true
        };
        if saved {
            source.entry.cuts.push(at);
        }
        saved
    }

    pub(super) fn save(&mut self, now: &Moment, for_good: bool) {
        if !for_good && now.ms < self.saved_ms + SAVE_EVERY_MS {
            return;
        }
        self.saved_ms = now.ms;
        let mut records = Vec::new();
        let mut ids = Vec::new();
        for source in self.sources.values().filter(|source| source.saved && (source.moved || source.changed)) {
            let entry = &source.entry;
            ids.push(entry.id);
            records.push(if source.changed {
                Record::Entry(Box::new(entry.clone()))
            } else {
                Record::Acked { id: entry.id, offset: entry.acked, tail: entry.tail }
            });
        }
        let sync = for_good || now.ms >= self.synced_ms + SYNC_EVERY_MS;
        if records.is_empty() && !sync {
            return;
        }
        let mut saved = self.append(&records);
        if saved.is_ok() && sync {
            self.synced_ms = now.ms;
            saved = self.checkpoint.sync();
        }
        if self.noted(&saved) {
            for id in ids {
                if let Some(source) = self.sources.get_mut(&id) {
                    (source.moved, source.changed) = (false, false);
                }
            }
        }
    }

    /// Forgets files that have been gone for long.
    pub(super) fn forget(&mut self, now: &Moment) {
        let before = seconds(now).saturating_sub(self.settings.forget_after_s);
        let gone = |source: &&Source| {
            !source.is_open()
                && source.settled()
                && source.entry.seen_s < before
                && (source.missing > 1 || matches!(source.place, Place::Lost { .. }))
        };
        let ids: Vec<_> = self.sources.values().filter(gone).map(|source| source.entry.id).collect();
        for id in ids {
            if self.append(&[Record::Forget { id }]).is_err() {
                return;
            }
            let Some(source) = self.sources.remove(&id) else { continue };
            self.unindex(&source.entry.head.prefix, id);
            if self.by_key.get(&source.entry.key) == Some(&id) {
                self.by_key.remove(&source.entry.key);
            }
            self.active.remove(&id);
        }
    }
}
