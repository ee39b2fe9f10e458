//! Opening a partition's directory: trusts what the checkpoint covers, checks what lies past it, cuts a torn
//! tail, takes damage out, and makes lost indexes anew. It gives up only on what the disk refuses to do,
//! never on what it finds.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::aborted;
use crate::batch::BatchHeader;
use crate::checkpoint::{self, Checkpoint, Decoded};
use crate::disk::Disk;
use crate::error::LogError;
use crate::index::{Index, NO_TIME, Summary, read_summary};
use crate::marker::Marker;
use crate::meta::{self, Kind};
use crate::producers::Producers;
use crate::proven::Proven;
use crate::report::{RecoveryReport, Torn};
use crate::scan::scan;
use crate::segment::{self, Checked, OpenFile, Sealed, check_sealed, cut_out, index_path, log_path};
use crate::stability::Stability;

/// Left by a partition whose fsync failed: the page cache may then claim to be on disk what is not.
pub(crate) const SUSPECT_FILE: &str = "suspect";
/// The suspect tail is written anew in pieces of this size.
const REWRITE_BYTES: usize = 1 << 20;

/// A partition as it was found, all of it durable.
pub(crate) struct Recovered {
    pub(crate) log_start: i64,
    pub(crate) sealed: VecDeque<Arc<Sealed>>,
    pub(crate) active_path: PathBuf,
    pub(crate) active_file: File,
    pub(crate) index: Index,
    pub(crate) producers: Producers,
    pub(crate) stability: Stability,
    /// Whether a new checkpoint would spare the next start work.
    pub(crate) checkpoint_due: bool,
}

/// Makes a new partition's files in `dir`, which must be there and empty.
pub(crate) fn create(disk: &dyn Disk, dir: &Path) -> Result<(), LogError> {
    let failed = |source| LogError::Io { action: "create a log in", path: dir.to_owned(), source };
    let empty = Summary { next_offset: 0, bytes: 0, max_time: NO_TIME, max_time_offset: -1 };
    let checkpoint = Checkpoint {
        log_start: 0,
        segment: 0,
        summary: empty,
        aborted: Vec::new(),
        with_aborted: Vec::new(),
        producers: Producers::default(),
    };
    let write = |name: &str, bytes: &[u8]| {
        let file = File::create_new(dir.join(name))?;
        disk.write_all_at(&file, bytes, 0)?;
        disk.sync(&file)
    };
    write(Kind::Partition.file(), &meta::encode(Kind::Partition)).map_err(failed)?;
    write(checkpoint::FILE, &checkpoint.encode()).map_err(failed)?;
    // Its creation makes all three names durable.
    segment::create(disk, dir, 0).map(drop).map_err(failed)
}

/// Recovers the partition in `dir`, adding to `report` what was found.
pub(crate) fn recover(
    disk: &dyn Disk,
    dir: &Path,
    interval_bytes: u32,
    now_ms: i64,
    report: &mut RecoveryReport,
) -> Result<Recovered, LogError> {
    if !meta::check(dir, Kind::Partition)? {
        meta::write(disk, dir, Kind::Partition)?;
    }
    let checkpoint = load_checkpoint(dir)?;
    let log_start = checkpoint.as_ref().map(|known| known.log_start);
    let durable_end = checkpoint.as_ref().map_or(0, |known| known.summary.next_offset);
    let mut recovery =
        Recovery { disk, dir, interval_bytes, now_ms, checkpoint, log_start, durable_end, report, scanned: false };
    if recovery.checkpoint.is_none() {
        recovery.report.checkpoints_lost += 1;
    }
    recovery.check_aborted()?;
    // Each round that has to begin again has taken damage out of at least one segment for good.
    loop {
        if let Some(recovered) = recovery.attempt()? {
            return Ok(recovered);
        }
    }
}

fn load_checkpoint(dir: &Path) -> Result<Option<Checkpoint>, LogError> {
    let path = dir.join(checkpoint::FILE);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(LogError::Io { action: "read", path, source }),
    };
    match Checkpoint::decode(&bytes) {
        Decoded::Good(checkpoint) => Ok(Some(checkpoint)),
        Decoded::Damaged => Ok(None),
        Decoded::Newer(found) => Err(LogError::Version { path, found, known: checkpoint::VERSION }),
    }
}

struct Recovery<'a> {
    disk: &'a dyn Disk,
    dir: &'a Path,
    interval_bytes: u32,
    now_ms: i64,
    /// What need not be read again.
    checkpoint: Option<Checkpoint>,
    /// The start of the log and its durable end, of a checkpoint of which the rest may not be enough.
    log_start: Option<i64>,
    durable_end: i64,
    report: &'a mut RecoveryReport,
    scanned: bool,
}

impl Recovery<'_> {
    /// Without one of the lists of aborted transactions, what is in it has to be learned from the log.
    fn check_aborted(&mut self) -> Result<(), LogError> {
        let Some(known) = &self.checkpoint else { return Ok(()) };
        let bases = if known.with_aborted.is_empty() { Vec::new() } else { segment::list(self.dir)? };
        let lost = known.with_aborted.iter().find(|base| {
            // A segment that was removed since takes its list along.
            bases.binary_search(base).is_ok() && aborted::read(self.dir, **base).is_err()
        });
        if let Some(base) = lost {
            let path = aborted::path(self.dir, *base);
            tracing::warn!(file = %path.display(), "a list of aborted transactions is lost: the whole log is read");
            self.report.indexes_rebuilt += 1;
            self.checkpoint = None;
        }
        Ok(())
    }

    /// Goes through the segments once; `None` when files were replaced and the list must be read again.
    fn attempt(&mut self) -> Result<Option<Recovered>, LogError> {
        let mut bases = segment::list(self.dir)?;
        let mut replay = Replay::new(self.checkpoint.as_ref(), self.now_ms);
        let mut sealed = VecDeque::with_capacity(bases.len());
        let last = bases.pop();
        for (at, base) in bases.iter().enumerate() {
            if sealed.back().is_some_and(|before: &Arc<Sealed>| *base < before.summary.next_offset) {
                // Its records are in the one before: compaction was about to remove it.
                segment::remove(self.dir, *base)?;
                continue;
            }
            let limit = bases.get(at + 1).copied().or(last).unwrap_or(i64::MAX);
            match self.closed_segment(*base, limit, &mut replay)? {
                Some(segment) => sealed.push_back(Arc::new(segment)),
                None => return Ok(None),
            }
        }
        let Some((mut file, mut index)) = self.last_segment(last, &mut replay)? else { return Ok(None) };
        if index.summary().next_offset < self.durable_end {
            // Files went missing. Their offsets must not be given to other records, readers would skip those.
            tracing::error!(
                dir = %self.dir.display(), found = index.summary().next_offset, expected = self.durable_end,
                "durable records are missing from the log; it goes on after them"
            );
            self.seal(&file, &index, &mut sealed, &mut replay)?;
            (file, index) = self.new_segment(self.durable_end)?;
        }
        let base = index.base_offset();
        let first = sealed.front().map_or(base, |segment| segment.base_offset);
        let log_start = self.log_start.map_or(first, |known| known.max(first));
        Ok(Some(Recovered {
            log_start: log_start.min(index.summary().next_offset),
            sealed,
            active_path: log_path(self.dir, base),
            active_file: file,
            index,
            producers: replay.producers,
            stability: replay.stability,
            checkpoint_due: self.scanned || self.checkpoint.is_none(),
        }))
    }

    /// A segment before the last: complete and durable, and known by its index if the checkpoint covers it.
    fn closed_segment(&mut self, base: i64, limit: i64, replay: &mut Replay) -> Result<Option<Sealed>, LogError> {
        let path = log_path(self.dir, base);
        let summary = read_summary(&index_path(self.dir, base), base);
        let covered = self.checkpoint.as_ref().is_some_and(|known| base < known.segment);
        if let (true, Some(summary)) = (covered, summary) {
            let length = fs::metadata(&path).map_err(|source| self.failed("look at", &path, source))?.len();
            if length == summary.bytes && summary.next_offset <= limit {
                let has_aborted = aborted::path(self.dir, base).exists();
                let proven = Arc::new(Proven::unknown());
                return Ok(Some(Sealed {
                    base_offset: base,
                    path,
                    summary,
                    has_aborted,
                    proven,
                    open: OpenFile::default(),
                }));
            }
        }
        self.report.indexes_rebuilt += usize::from(summary.is_none());
        self.scanned = true;
        let note = |header: &BatchHeader, marker| replay.note(header, marker);
        let checked = check_sealed(self.disk, self.dir, base, self.interval_bytes, note)?;
        match checked {
            Checked::Intact { mut sealed, bytes } => {
                self.report.bytes_scanned += bytes;
                if !covered {
                    sealed.has_aborted = self.close_aborted(base, replay)?;
                }
                if let Some(lost) = summary.filter(|known| known.next_offset > sealed.summary.next_offset) {
                    tracing::error!(
                        segment = %sealed.path.display(), found = sealed.summary.next_offset, expected = lost.next_offset,
                        "records are missing from the log: their part of the file is empty"
                    );
                }
                Ok(Some(sealed))
            }
            Checked::Damaged(quarantined) => {
                self.report.quarantined.extend(quarantined);
                Ok(None)
            }
        }
    }

    /// The segment that was written when the store was last open.
    fn last_segment(&mut self, base: Option<i64>, replay: &mut Replay) -> Result<Option<(File, Index)>, LogError> {
        let Some(base) = base else {
            return self.new_segment(self.durable_end).map(Some);
        };
        let path = log_path(self.dir, base);
        let file = segment::open(&path)?;
        let length = file.metadata().map_err(|source| self.failed("look at", &path, source))?.len();
        let mut index = self.known_index(base, length).unwrap_or_else(|| Index::new(base, self.interval_bytes));
        let from = index.summary().bytes;
        if from == length && !self.dir.join(SUSPECT_FILE).exists() {
            return Ok(Some((file, index)));
        }
        self.scanned = true;
        let found = scan(&file, &mut index, true, |header, marker| replay.note(header, marker))
            .map_err(|source| self.failed("check", &path, source))?;
        self.report.bytes_scanned += found.bytes;
        if !found.damage.is_empty() {
            let quarantined = cut_out(self.disk, self.dir, base, &found.damage, found.end)?;
            self.report.quarantined.extend(quarantined);
            return Ok(None);
        }
        if found.torn_bytes > 0 {
            self.report.bytes_cut += found.torn_bytes;
            let log_end = index.summary().next_offset;
            self.report.torn.push(Torn {
                segment: path.clone(),
                position: found.end,
                bytes: found.torn_bytes,
                log_end,
            });
        }
        self.settle(&file, from, found.end).map_err(|source| self.failed("make durable", &path, source))?;
        Ok(Some((file, index)))
    }

    /// The checkpoint's word on the last segment, if its index file is there to go with it.
    fn known_index(&mut self, base: i64, length: u64) -> Option<Index> {
        let summary = self.checkpoint.as_ref().filter(|known| known.segment == base)?.summary;
        if summary.bytes > length {
            return None;
        }
        if summary.bytes == 0 {
            return Some(Index::new(base, self.interval_bytes));
        }
        let bytes = fs::read(index_path(self.dir, base)).ok();
        let index = bytes.and_then(|bytes| Index::decode(&bytes, base, self.interval_bytes));
        let Some(mut index) = index.filter(|index| index.summary().bytes >= summary.bytes) else {
            self.report.indexes_rebuilt += 1;
            return None;
        };
        index.rewind(summary);
        Some(index)
    }

    /// Cuts the file where its batches end, and makes durable what only the page cache may hold: it was
    /// readable before a crash of the process only if it was durable, and is about to be shown.
    fn settle(&self, file: &File, from: u64, end: u64) -> io::Result<()> {
        self.disk.truncate(file, end)?;
        let suspect = self.dir.join(SUSPECT_FILE);
        if suspect.exists() {
            let mut buffer = vec![0; REWRITE_BYTES];
            let mut position = from;
            while position < end {
                let bytes = (REWRITE_BYTES as u64).min(end - position) as usize;
                let chunk = buffer.get_mut(..bytes).unwrap_or_default();
                file.read_exact_at(chunk, position)?;
                self.disk.write_all_at(file, chunk, position)?;
                position += bytes as u64;
            }
        }
        self.disk.sync(file)?;
        match fs::remove_file(&suspect) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Puts the list of aborted transactions beside a segment that is complete, and says whether there are any.
    fn close_aborted(&self, base: i64, replay: &mut Replay) -> Result<bool, LogError> {
        let list = std::mem::take(&mut replay.stability.aborted);
        let written = aborted::write(self.disk, self.dir, base, &list);
        written.map_err(|source| self.failed("write", &aborted::path(self.dir, base), source))?;
        Ok(!list.is_empty())
    }

    fn seal(
        &self,
        file: &File,
        index: &Index,
        sealed: &mut VecDeque<Arc<Sealed>>,
        replay: &mut Replay,
    ) -> Result<(), LogError> {
        let base_offset = index.base_offset();
        if index.summary().bytes == 0 {
            return segment::remove(self.dir, base_offset);
        }
        let path = log_path(self.dir, base_offset);
        self.disk
            .sync(file)
            .and_then(|()| segment::write_index(self.disk, self.dir, index))
            .map_err(|source| self.failed("close", &path, source))?;
        let has_aborted = self.close_aborted(base_offset, replay)?;
        let (summary, proven) = (*index.summary(), Arc::new(Proven::unknown()));
        sealed.push_back(Arc::new(Sealed {
            base_offset,
            path,
            summary,
            has_aborted,
            proven,
            open: OpenFile::default(),
        }));
        Ok(())
    }

    fn new_segment(&mut self, base: i64) -> Result<(File, Index), LogError> {
        self.scanned = true;
        let created = segment::create(self.disk, self.dir, base);
        let (_, file) = created.map_err(|source| self.failed("create", &log_path(self.dir, base), source))?;
        Ok((file, Index::new(base, self.interval_bytes)))
    }

    fn failed(&self, action: &'static str, path: &Path, source: io::Error) -> LogError {
        LogError::Io { action, path: path.to_owned(), source }
    }
}

/// What the batches past the checkpoint say of producers and transactions.
struct Replay {
    producers: Producers,
    stability: Stability,
    /// The checkpoint knows everything before this offset.
    from: i64,
    now_ms: i64,
}

impl Replay {
    fn new(checkpoint: Option<&Checkpoint>, now_ms: i64) -> Self {
        let producers = checkpoint.map(|known| known.producers.clone()).unwrap_or_default();
        let aborted = checkpoint.map(|known| known.aborted.clone()).unwrap_or_default();
        let stability = Stability::new(&producers, aborted);
        Self { producers, stability, from: checkpoint.map_or(0, |known| known.summary.next_offset), now_ms }
    }

    fn note(&mut self, header: &BatchHeader, marker: Option<Marker>) {
        if header.base_offset < self.from {
            return;
        }
        if let Some(turn) = self.producers.wrote(header, marker.as_ref(), self.now_ms) {
            self.stability.note(turn);
        }
    }
}
