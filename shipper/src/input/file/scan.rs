//! Looks through the patterns: who is still there, who has another name, who is new.

use std::path::Path;
use std::time::Instant;

use super::discover::Scan;
use super::identity::{FileKey, Stamp};
use super::source::Place;
use super::strangers::Stranger;
use super::tail::{Moment, Tail, seconds};
use crate::output::Output;

/// Scans are at least so far apart, however many notifications come.
const SCAN_GAP_MS: u64 = 50;
/// And so many times as far as the last one took: a huge folder must not keep the reader from reading.
const SCAN_COST_FACTOR: u64 = 10;
/// The second scan comes soon after the first, because only two scans together can tell that a file is gone.
const SECOND_SCAN_MS: u64 = 300;

impl<O: Output> Tail<O> {
    pub(super) fn scan(&mut self, now: &Moment) {
        let began = Instant::now();
        let mut scan = Scan::default();
        let mut ends = Vec::new();
        for input in &self.inputs {
            input.wanted.scan(&mut scan);
            ends.push(scan.files.len());
        }
        self.scans += 1;
        for source in self.sources.values_mut() {
            source.missing = source.missing.saturating_add(1);
        }
        for stranger in self.strangers.values_mut() {
            stranger.missing = stranger.missing.saturating_add(1);
        }
        for (index, found) in scan.files.into_iter().enumerate() {
            let input = ends.iter().position(|end| index < *end).unwrap_or(0);
            self.met(found.key, &found.path, found.stamp, input, now);
        }
        self.after_scan(&scan.errors, now);
        self.folders = scan.folders.into_iter().collect();
        self.scanned_ms = now.ms;
        self.scan_cost_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let next = if self.scans < 2 { SECOND_SCAN_MS } else { self.settings.scan_ms };
        self.scan_due_ms = now.ms + next.max(self.scan_cost_ms.saturating_mul(SCAN_COST_FACTOR));
    }

    fn met(&mut self, key: FileKey, path: &Path, stamp: Stamp, input: usize, now: &Moment) {
        let source = self.by_key.get(&key).and_then(|id| self.sources.get_mut(id));
        let Some(source) = source else {
            let first = self.scans == 1 && self.first_start;
            let new = || {
                let mut stranger = Stranger::new(path.to_owned(), input, None, now.ms);
                stranger.at_first_start = first;
                stranger
            };
            let stranger = self.strangers.entry(key).or_insert_with(new);
            stranger.missing = 0;
            if stranger.path != path {
                path.clone_into(&mut stranger.path);
            }
            return;
        };
        source.missing = 0;
        source.input = input;
        source.entry.seen_s = seconds(now);
        source.rotated = source.rotated || path != source.entry.path;
        if source.path != path {
            path.clone_into(&mut source.path);
        }
        if matches!(source.place, Place::Lost { truncated: false }) {
            source.place = Place::Closed;
        }
        let finished = source.entry.short || source.entry.whole > 0 && source.entry.whole == stamp.size;
        if matches!(source.place, Place::Closed) && finished {
            source.size = source.entry.acked;
        } else if matches!(source.place, Place::Closed) && source.seen != stamp {
            source.size = if source.entry.gzip { source.size } else { stamp.size };
            self.active.insert(source.entry.id);
        }
    }

    fn after_scan(&mut self, errors: &[(std::path::PathBuf, std::io::Error)], now: &Moment) {
        if let Some((path, error)) = errors.first() {
            self.board.set_problem("scan", Some(format!("{}: {error}", path.display())));
            tracing::debug!(path = %path.display(), %error, "can't be looked at");
            // Nobody is gone only because something could not be looked at.
            for source in self.sources.values_mut() {
                source.missing = source.missing.saturating_sub(1);
            }
            for stranger in self.strangers.values_mut() {
                stranger.missing = stranger.missing.saturating_sub(1);
            }
        } else {
            self.board.set_problem("scan", None);
            self.board.set_problem("file", None);
        }
        for source in self.sources.values_mut() {
            if source.missing > 1 && matches!(source.place, Place::Closed) {
                source.place = Place::Lost { truncated: false };
                self.active.remove(&source.entry.id);
            }
        }
        self.strangers.retain(|_, stranger| stranger.missing < 3 || stranger.content.is_some());
        self.forget(now);
    }

    /// Something happened to this path.
    pub(crate) fn hint(&mut self, path: &Path, now: &Moment) {
        let Ok(meta) = std::fs::metadata(path) else { return self.scan_soon(now) };
        let key = FileKey::of(&meta);
        if let Some(source) = self.by_key.get(&key).and_then(|id| self.sources.get_mut(id)) {
            if matches!(source.place, Place::Closed) && source.seen != Stamp::of(&meta) && !source.entry.short {
                self.active.insert(source.entry.id);
            }
            if source.path != path {
                self.scan_soon(now);
            }
        } else if let Some(stranger) = self.strangers.get_mut(&key) {
            stranger.retry_ms = stranger.retry_ms.min(now.ms);
        } else {
            self.scan_soon(now);
        }
    }

    /// Looks through the patterns as soon as that is not too often.
    pub(crate) fn scan_soon(&mut self, now: &Moment) {
        let gap = SCAN_GAP_MS.max(self.scan_cost_ms.saturating_mul(SCAN_COST_FACTOR));
        self.scan_due_ms = self.scan_due_ms.min(now.ms.max(self.scanned_ms + gap));
    }
}
