//! Follows the files of all inputs, one step at a time: answers, news, turns, checkpoint.
//!
//! Everything of one step happens on one thread, so no two parts of it can disagree about a file. The clock and the
//! bus are handed in.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use logmill_core::StatusBoard;
use logmill_core::stage::Counter;
use regex::bytes::Regex;

use super::content::Content;
use super::discover::Wanted;
use super::identity::{FileId, FileKey, Stamp};
use super::source::{Place, Source};
use super::strangers::Stranger;
use super::turn::{Buffers, Turned};
use crate::checkpoint::{Checkpoint, Entry, Found};
use crate::encode::Shape;
use crate::output::{Answer, Output};
use crate::split::Rules;

/// After an error of a file or of the checkpoint, the next try.
pub(super) const RETRY_MS: u64 = 1000;

/// An instant, in the two ways that matter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    /// Milliseconds that only go forward.
    pub(crate) ms: u64,
    pub(crate) wall: jiff::Timestamp,
}

/// One configured input, ready to be used.
#[derive(Debug)]
pub(crate) struct FileInput {
    pub(crate) wanted: Wanted,
    pub(crate) rules: Rules,
    pub(crate) shape: Shape,
    pub(crate) include_lines: Vec<Regex>,
    pub(crate) exclude_lines: Vec<Regex>,
    /// Joined lines are sent after this; `None` when lines are not joined.
    pub(crate) join_timeout_ms: Option<u64>,
    pub(crate) incomplete_ms: u64,
    pub(crate) ignore_older_ms: u64,
    pub(crate) close_inactive_ms: u64,
    pub(crate) copy_hold_ms: u64,
    pub(crate) from_end: bool,
}

/// What all inputs share.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) scan_ms: u64,
    pub(crate) open_max: usize,
    pub(crate) forget_after_s: u64,
}

/// Running totals.
#[derive(Debug)]
pub(super) struct Counts {
    pub(super) events: Counter,
    pub(super) bytes: Counter,
    pub(super) batches: Counter,
    pub(super) filtered: Counter,
    pub(super) empty: Counter,
    pub(super) nul_bytes: Counter,
    pub(super) parts: Counter,
    pub(super) truncations: Counter,
    pub(super) copies: Counter,
    pub(super) resent: Counter,
}

impl Counts {
    fn new(board: &StatusBoard) -> Self {
        Self {
            events: board.counter("events"),
            bytes: board.counter("bytes"),
            batches: board.counter("batches"),
            filtered: board.counter("lines_filtered"),
            empty: board.counter("lines_empty"),
            nul_bytes: board.counter("nul_bytes_skipped"),
            parts: board.counter("partial_events"),
            truncations: board.counter("files_truncated"),
            copies: board.counter("files_continued_in_a_copy"),
            resent: board.counter("restarts_of_sending"),
        }
    }
}

/// The files, and everything known of them.
pub(crate) struct Tail<O> {
    pub(super) inputs: Vec<FileInput>,
    pub(super) settings: Settings,
    pub(super) output: O,
    pub(super) checkpoint: Checkpoint,
    pub(super) board: Arc<StatusBoard>,
    pub(super) counts: Counts,
    pub(super) sources: HashMap<FileId, Source>,
    pub(super) by_key: HashMap<FileKey, FileId>,
    /// The sources by how their content begins.
    pub(super) by_prefix: BTreeMap<Box<[u8]>, Vec<FileId>>,
    /// Files that are not known to be anyone yet.
    pub(super) strangers: HashMap<FileKey, Stranger>,
    /// The sources that are open, or should be.
    pub(super) active: BTreeSet<FileId>,
    /// New sources whose entries must be in the checkpoint before they may send.
    pub(super) unsaved: Vec<FileId>,
    pub(super) open_files: usize,
    pub(super) batches: u64,
    pub(super) scans: u64,
    pub(super) scan_due_ms: u64,
    pub(super) scanned_ms: u64,
    /// What the last scan cost: the next one keeps a distance of several times that.
    pub(super) scan_cost_ms: u64,
    /// There was no checkpoint when the program started.
    pub(super) first_start: bool,
    pub(super) folders: BTreeSet<PathBuf>,
    pub(super) buffers: Buffers,
    pub(super) saved_ms: u64,
    pub(super) synced_ms: u64,
    answers: Vec<Answer>,
}

impl<O: Output> Tail<O> {
    pub(crate) fn new(
        inputs: Vec<FileInput>,
        settings: Settings,
        output: O,
        (checkpoint, found): (Checkpoint, Found),
        board: Arc<StatusBoard>,
        now: &Moment,
    ) -> Self {
        if found.cut_bytes > 0 {
            board.counter("checkpoint_bytes_cut").add(found.cut_bytes);
        }
        let mut tail = Self {
            inputs,
            settings,
            output,
            checkpoint,
            counts: Counts::new(&board),
            board,
            sources: HashMap::new(),
            by_key: HashMap::new(),
            by_prefix: BTreeMap::new(),
            strangers: HashMap::new(),
            active: BTreeSet::new(),
            unsaved: Vec::new(),
            open_files: 0,
            batches: 0,
            scans: 0,
            scan_due_ms: now.ms,
            scanned_ms: 0,
            scan_cost_ms: 0,
            first_start: found.fresh,
            folders: BTreeSet::new(),
            buffers: Buffers::default(),
            saved_ms: now.ms,
            synced_ms: now.ms,
            answers: Vec::new(),
        };
        for mut entry in found.entries.into_values() {
            entry.seen_s = seconds(now);
            tail.recall(entry, now);
        }
        tail
    }

    /// Takes a source out of the checkpoint.
    fn recall(&mut self, entry: Entry, now: &Moment) {
        let (id, key) = (entry.id, entry.key);
        self.index(&entry.head.prefix, id);
        let path = entry.path.clone();
        let mut source = Source::new(entry, 0, path, now.ms);
        source.saved = true;
        if key == FileKey::default() {
            source.place = Place::Lost { truncated: true };
        } else if let Some(other) = self.by_key.insert(key, id) {
            // Only a damaged checkpoint says so. Their contents will tell.
            let other_acked = self.sources.get(&other).map_or(0, |other| other.entry.acked);
            tracing::debug!(%id, %other, "two sources had the same file");
            if other_acked > source.entry.acked {
                self.by_key.insert(key, other);
                source.place = Place::Lost { truncated: true };
            } else if let Some(other) = self.sources.get_mut(&other) {
                other.place = Place::Lost { truncated: true };
            }
        }
        self.sources.insert(id, source);
    }

    /// Does all that can be done now; `true` when there is more to do at once.
    pub(crate) fn step(&mut self, now: &Moment) -> bool {
        self.take_answers(now);
        if now.ms >= self.scan_due_ms {
            self.scan(now);
        }
        self.judge_strangers(now);
        let busy = self.round(now);
        self.save(now, false);
        busy
    }

    /// How often the patterns were looked through.
    pub(crate) const fn scans(&self) -> u64 {
        self.scans
    }

    /// The folders in which new files would appear.
    pub(crate) const fn folders(&self) -> &BTreeSet<PathBuf> {
        &self.folders
    }

    /// Writes what was acknowledged so far, for good.
    pub(crate) fn finish(&mut self, now: &Moment) {
        self.take_answers(now);
        self.save(now, true);
    }

    /// Whether everything that was read is acknowledged.
    pub(crate) fn settled(&self) -> bool {
        self.sources.values().all(Source::settled)
    }

    pub(crate) fn take_answers(&mut self, now: &Moment) {
        let mut answers = std::mem::take(&mut self.answers);
        self.output.answers(&mut answers);
        for answer in answers.drain(..) {
            if let Some(reason) = answer.refused {
                self.counts.resent.add(1);
                self.output.restart(&reason);
                self.rewind(now);
                break;
            }
            if let Some(source) = self.sources.get_mut(&answer.source) {
                source.acked(answer.number);
            }
        }
        answers.clear();
        self.answers = answers;
    }

    /// Goes back to what was acknowledged, in every file.
    fn rewind(&mut self, now: &Moment) {
        let open: Vec<_> = self.sources.values().filter(|source| !source.settled()).map(|s| s.entry.id).collect();
        for id in open {
            let Some(mut source) = self.sources.remove(&id) else { continue };
            source.rewind();
            if let Place::Open(content) = &mut source.place {
                match content.before(source.sent) {
                    Ok(tail) if super::identity::hash(&tail) == source.entry.tail => source.tail = tail,
                    Ok(_) => self.lose(&mut source, now),
                    Err(error) => {
                        self.report(&source.path, &error);
                        // Reading again is what a restart of the program does; do the same.
                        self.close(&mut source);
                        self.active.insert(id);
                    }
                }
            }
            self.sources.insert(id, source);
        }
    }

    /// One turn for every file that has something, rotated ones first.
    fn round(&mut self, now: &Moment) -> bool {
        let mut ids: Vec<_> = self.active.iter().copied().collect();
        ids.sort_by_cached_key(|id| self.sources.get(id).is_none_or(|source| !source.rotated));
        let mut busy = false;
        for id in ids {
            if !self.output.has_room() {
                busy = false;
                break;
            }
            let Some(mut source) = self.sources.remove(&id) else { continue };
            let turned = self.turn(&mut source, now);
            self.sources.insert(id, source);
            match turned {
                Turned::More => busy = true,
                Turned::Idle => {}
                Turned::Stopping => break,
            }
        }
        self.save_new(now);
        self.buffers.shrink();
        busy
    }

    /// Its file no longer holds what was read of it: it was emptied in place, or is another file.
    pub(super) fn lose(&mut self, source: &mut Source, now: &Moment) {
        let key = source.entry.key;
        tracing::debug!(id = %source.entry.id, path = %source.path.display(), sent = source.sent, "file was truncated");
        self.counts.truncations.add(1);
        let place = std::mem::replace(&mut source.place, Place::Lost { truncated: true });
        let content = match place {
            Place::Open(content) => {
                self.open_files = self.open_files.saturating_sub(1);
                // Content that was decompressed must be looked at anew.
                (!content.is_gzip()).then_some(content)
            }
            _ => None,
        };
        if self.by_key.get(&key) == Some(&source.entry.id) {
            self.by_key.remove(&key);
        }
        self.active.remove(&source.entry.id);
        source.entry.key = FileKey::default();
        source.changed = true;
        source.seen = Stamp::default();
        let stranger = Stranger::new(source.path.clone(), source.input, content, now.ms);
        self.strangers.insert(key, stranger);
        // The copy that holds the rest was there before the truncation.
        self.scan_due_ms = now.ms;
    }

    /// Closes its file; it stays known.
    pub(super) fn close(&mut self, source: &mut Source) {
        if source.is_open() {
            self.open_files = self.open_files.saturating_sub(1);
            source.place = Place::Closed;
        }
        source.tail = Vec::new();
        self.active.remove(&source.entry.id);
    }

    /// Whether one more file may be opened; closes one that has nothing to say for it.
    pub(super) fn may_open(&mut self) -> bool {
        if self.open_files < self.settings.open_max {
            return true;
        }
        let idle = |source: &&Source| {
            source.is_open() && source.settled() && source.seen != Stamp::default() && source.sent == source.size
        };
        let idle = self.active.iter().filter_map(|id| self.sources.get(id)).find(idle).map(|source| source.entry.id);
        let Some(mut source) = idle.and_then(|id| self.sources.remove(&id)) else { return false };
        // A file without a name can't be opened again.
        let named = matches!(&source.place, Place::Open(content) if content.file().metadata().is_ok_and(|meta| {
            std::os::unix::fs::MetadataExt::nlink(&meta) > 0
        }));
        if named {
            self.close(&mut source);
        }
        self.sources.insert(source.entry.id, source);
        named
    }

    pub(super) fn index(&mut self, prefix: &[u8], id: FileId) {
        self.by_prefix.entry(prefix.into()).or_default().push(id);
    }

    pub(super) fn unindex(&mut self, prefix: &[u8], id: FileId) {
        if let Some(ids) = self.by_prefix.get_mut(prefix) {
            ids.retain(|other| *other != id);
            if ids.is_empty() {
                self.by_prefix.remove(prefix);
            }
        }
    }

    pub(super) fn report(&self, path: &std::path::Path, error: &std::io::Error) {
        self.board.set_problem("file", Some(format!("{}: {error}", path.display())));
        tracing::warn!(path = %path.display(), %error, "a file can't be read; trying again");
    }

    /// Opens a source's file and verifies that it holds what was read of it. `None`: it is not there now.
    pub(super) fn opened(&self, source: &Source) -> std::io::Result<Option<Content>> {
        let (file, meta) = match super::content::open(&source.path) {
            Ok(opened) => opened,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        if FileKey::of(&meta) != source.entry.key {
            return Ok(None);
        }
        Content::new(file, &source.path)
    }
}

pub(super) fn seconds(now: &Moment) -> u64 {
    u64::try_from(now.wall.as_second()).unwrap_or(0)
}
