//! Read: where whole, checked batches lie in one segment, never past the durable offset. A closed segment that turns
//! out to be damaged is cut into its intact pieces on the spot, so that readers can go on behind the damage.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::batch::BatchHeader;
use crate::error::{LogError, ReadError};
use crate::index::{self, Hint, Wanted};
use crate::partition::{Partition, Shared};
use crate::proven::Proven;
use crate::scan::{Step, Walk};
use crate::segment::{self, Checked, Sealed, check_sealed};

/// A slice is no longer than this, unless a single batch is: where the bytes were never checked, one who asks for
/// more would wait long for the first of them.
const SLICE_BYTES_MAX: usize = 64 << 20;
/// Each try after the first has waited for retention or for damage to be taken out.
const TRIES_MAX: usize = 4;

/// Where whole batches lie, ready for a fetch response: they go from the file to the client without passing through here.
/// The file stays readable when the segment is removed meanwhile.
#[derive(Clone, Debug)]
pub struct FileSlice {
    file: Option<Arc<File>>,
    position: u64,
    bytes: usize,
    /// How many records the batches count.
    pub records: u64,
    /// Base offset of the first batch (at most the offset asked for, unless offsets are missing).
    pub base_offset: i64,
    /// Where to read on.
    pub next_offset: i64,
}

impl FileSlice {
    fn nothing(at: i64) -> Self {
        Self { file: None, position: 0, bytes: 0, records: 0, base_offset: at, next_offset: at }
    }

    /// How many bytes the batches have; 0 when there is nothing (yet) at the asked offset.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.bytes
    }

    /// Whether there is nothing.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// The file and where in it, for a call that sends from a file; none when there is nothing.
    #[must_use]
    pub fn file(&self) -> Option<(&File, u64)> {
        self.file.as_deref().map(|file| (file, self.position))
    }

    /// Reads the slice's bytes from `skip` on into `buffer`, which must not reach beyond its end.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn read_at(&self, skip: usize, buffer: &mut [u8]) -> io::Result<()> {
        self.file.as_deref().map_or(Ok(()), |file| file.read_exact_at(buffer, self.position + skip as u64))
    }
}

/// The file to look into: the active segment's, or a closed one's that is opened when it is needed.
enum Held {
    Active(Arc<File>),
    Closed(Arc<Sealed>),
}

/// A segment to look into.
pub(crate) struct Source {
    pub(crate) base: i64,
    path: PathBuf,
    file: Held,
    /// How far it may be read.
    pub(crate) end: u64,
    hint: Option<Hint>,
    proven: Arc<Proven>,
}

/// Whole batches that follow each other.
struct Extent {
    end: u64,
    next_offset: i64,
    records: u64,
}

impl Source {
    fn closed(segment: &Arc<Sealed>) -> Self {
        Self {
            base: segment.base_offset,
            path: segment.path.clone(),
            file: Held::Closed(Arc::clone(segment)),
            end: segment.summary.bytes,
            hint: None,
            proven: Arc::clone(&segment.proven),
        }
    }

    fn active(shared: &Shared, wanted: Wanted) -> Self {
        let active = &shared.active;
        let hint = match wanted {
            Wanted::Offset(offset) => active.index.by_offset(offset),
            Wanted::Time(time_ms) => active.index.by_time(time_ms),
        };
        Self {
            base: active.index.base_offset(),
            path: active.path.clone(),
            file: Held::Active(Arc::clone(&active.file)),
            end: active.durable_bytes,
            hint: Some(hint),
            proven: Arc::clone(&active.proven),
        }
    }

    /// The file, and where to begin looking in it.
    pub(crate) fn open(&self, partition: &Partition, wanted: Wanted) -> Result<(Arc<File>, Hint), Miss> {
        let file = match &self.file {
            Held::Active(file) => Arc::clone(file),
            Held::Closed(segment) => segment.file().map_err(|source| self.miss(source))?,
        };
        let start = Hint { position: 0, offset: Some(self.base) };
        let hint = self.hint.unwrap_or_else(|| {
            // A lost index only costs time: the segment is then searched from its start.
            index::search_file(&segment::index_path(&partition.dir, self.base), self.base, wanted).unwrap_or(start)
        });
        // Compaction may have put another file in its place meanwhile, with another length and index.
        if let Held::Closed(segment) = &self.file
            && !partition.has(segment)
        {
            return Err(Miss::Gone);
        }
        Ok((file, if hint.offset.is_some() { hint } else { start }))
    }

    /// How far whole batches reach from the first, at `position`, below the place `limit` and the offset `until`. Bytes that nobody has proven yet are checked on the way.
    fn extent(&self, file: &File, position: u64, first: &BatchHeader, limit: u64, until: i64) -> Result<Extent, Miss> {
        let proven = self.proven.covers(position, limit);
        let walk = if proven { Walk::new } else { Walk::checking };
        let mut walk = walk(file, position, limit, Some(first.base_offset));
        let mut extent = Extent { end: position, next_offset: first.base_offset, records: 0 };
        while let Step::Batch { position, header } = walk.step().map_err(|error| self.miss(error))?
            && header.last_offset() < until
        {
            extent.end = position + header.size() as u64;
            extent.next_offset = header.next_offset();
            extent.records += u64::try_from(header.count()).unwrap_or(0);
        }
        if extent.end == position {
            return Err(self.corrupt(position));
        }
        if !proven {
            self.proven.note(position, extent.end);
        }
        Ok(extent)
    }

    pub(crate) fn miss(&self, source: io::Error) -> Miss {
        if source.kind() == io::ErrorKind::NotFound {
            return Miss::Gone;
        }
        Miss::Failed(ReadError::Io { path: self.path.clone(), source })
    }

    pub(crate) fn corrupt(&self, position: u64) -> Miss {
        Miss::Corrupt { base: self.base, error: ReadError::Corrupt { path: self.path.clone(), position } }
    }
}

/// Why a try to read gave nothing.
pub(crate) enum Miss {
    /// Retention removed the segment meanwhile, or compaction replaced it.
    Gone,
    /// The segment with that base is damaged.
    Corrupt {
        base: i64,
        error: ReadError,
    },
    Failed(ReadError),
}

impl Partition {
    /// Finds whole batches from `from` on: at most `max_bytes` of them (with `min_one` the first one even if
    /// it is larger), none that reaches `until` (exclusive) or past the durable offset. The first batch may
    /// start before `from`. From one segment, so less than there is may come. Blocks on disk reads.
    ///
    /// # Errors
    /// When `from` is outside the log, or the bytes can't be read.
    pub fn slice(&self, from: i64, max_bytes: usize, until: i64, min_one: bool) -> Result<FileSlice, ReadError> {
        let mut slice = self.retrying(|| self.try_slice(from, max_bytes, until, min_one))?;
        // Compaction leaves batches without records. Nothing but those reads to librdkafka as if a record did not fit,
        // so they are passed over where something follows.
        while slice.records == 0 && !slice.is_empty() {
            let next_offset = slice.next_offset;
            match self.retrying(|| self.try_slice(next_offset, max_bytes, until, min_one))? {
                next if next.is_empty() => break,
                next => slice = next,
            }
        }
        Ok(slice)
    }

    /// Tries again after what another try can find cured.
    pub(crate) fn retrying<T>(&self, mut attempt: impl FnMut() -> Result<T, Miss>) -> Result<T, ReadError> {
        let mut tries = 0;
        loop {
            tries += 1;
            match attempt() {
                Ok(answer) => return Ok(answer),
                Err(Miss::Failed(error)) => return Err(error),
                Err(Miss::Gone) if tries < TRIES_MAX => {}
                Err(Miss::Gone) => {
                    let source = io::Error::from(io::ErrorKind::NotFound);
                    return Err(ReadError::Io { path: self.dir.clone(), source });
                }
                Err(Miss::Corrupt { base, error }) => {
                    let healed = tries < TRIES_MAX
                        && self.heal(base).unwrap_or_else(|cause| {
                            tracing::error!(partition = %self.name, error = %cause, "can't take damage out of the log");
                            false
                        });
                    if !healed {
                        return Err(error);
                    }
                }
            }
        }
    }

    fn try_slice(&self, from: i64, max_bytes: usize, until: i64, min_one: bool) -> Result<FileSlice, Miss> {
        let until = until.min(self.durable_end());
        let source = {
            let shared = self.shared.read();
            let (log_start, log_end) = (shared.log_start, shared.log_end());
            if from < log_start || from > log_end {
                return Err(Miss::Failed(ReadError::OutOfRange { offset: from, log_start, log_end }));
            }
            if from >= until {
                return Ok(FileSlice::nothing(from));
            }
            // The first that ends after `from`: where offsets are missing it begins after it.
            let at = shared.sealed.partition_point(|segment| segment.summary.next_offset <= from);
            shared.sealed.get(at).map_or_else(|| Source::active(&shared, Wanted::Offset(from)), Source::closed)
        };
        if source.end == 0 {
            // All from here on was damaged and taken out; what comes next begins at the segment's base.
            return Ok(FileSlice::nothing(from));
        }
        let (file, hint) = source.open(self, Wanted::Offset(from))?;
        let mut walk = Walk::new(&file, hint.position, source.end, hint.offset);
        let (position, first) = loop {
            match walk.step().map_err(|error| source.miss(error))? {
                Step::Batch { position, header } if header.last_offset() >= from => break (position, header),
                Step::Batch { .. } => {}
                // The segment ends before the offset that it was known to have.
                Step::End => return Err(source.corrupt(source.end)),
                Step::Corrupt { position } => return Err(source.corrupt(position)),
            }
        };
        if first.last_offset() >= until || (first.size() > max_bytes && !min_one) {
            return Ok(FileSlice::nothing(from));
        }
        let most = (max_bytes.min(SLICE_BYTES_MAX).max(first.size()) as u64).min(source.end - position);
        let limit = position + most;
        let Extent { end, next_offset, records } = source.extent(&file, position, &first, limit, until)?;
        // It fits: no longer than `most`, which was a usize or is less than 1 GiB.
        let bytes = (end - position) as usize;
        Ok(FileSlice { file: Some(file), position, bytes, records, base_offset: first.base_offset, next_offset })
    }

    /// Takes the damage out of a segment, closing it first if it is the active one. Says whether a new try is worth it.
    fn heal(&self, base: i64) -> Result<bool, LogError> {
        let mut writer = self.writer.lock();
        if self.shared.read().active.index.base_offset() == base {
            self.roll(&mut writer)?;
        }
        let known = self.shared.read().sealed.iter().find(|segment| segment.base_offset == base).cloned();
        // Another reader may have been faster.
        let Some(known) = known else { return Ok(true) };
        let interval_bytes = self.options.index_interval_bytes;
        let limit = known.summary.next_offset;
        let mut pieces = Vec::new();
        match check_sealed(&*self.disk, &self.dir, base, interval_bytes, |_, _| {})? {
            Checked::Intact { sealed, .. } => {
                if sealed.summary.next_offset < limit {
                    tracing::error!(
                        partition = %self.name, from_offset = sealed.summary.next_offset, to_offset = limit,
                        "records are missing from the log: their part of the file is empty"
                    );
                }
                pieces.push(Arc::new(sealed));
            }
            Checked::Damaged(quarantined) => {
                for found in quarantined {
                    tracing::error!(
                        partition = %self.name, from_offset = found.from_offset, to_offset = found.to_offset,
                        bytes = found.bytes, kept_as = %found.kept_as.display(),
                        "damaged records were taken out of the log"
                    );
                }
                for piece in segment::list(&self.dir)?.into_iter().filter(|piece| (base..limit).contains(piece)) {
                    if let Checked::Intact { sealed, .. } =
                        check_sealed(&*self.disk, &self.dir, piece, interval_bytes, |_, _| {})?
                    {
                        pieces.push(Arc::new(sealed));
                    }
                }
            }
        }
        let mut shared = self.shared.write();
        if let Some(at) = shared.sealed.iter().position(|segment| segment.base_offset == base) {
            drop(shared.sealed.remove(at));
            for piece in pieces.into_iter().rev() {
                shared.sealed.insert(at, piece);
            }
        }
        drop(shared);
        drop(writer);
        Ok(true)
    }
}

impl Partition {
    /// The segments in which the first batch as late as `time_ms` can be, in order, and where the log starts.
    pub(crate) fn sources_for_time(&self, time_ms: i64) -> (Vec<Source>, i64) {
        let shared = self.shared.read();
        let late = |segment: &&Arc<Sealed>| {
            segment.summary.max_time >= time_ms && segment.summary.next_offset > shared.log_start
        };
        // What is late in the first may lie before the log's start; in any other segment the search ends.
        let mut sources: Vec<Source> = shared.sealed.iter().filter(late).take(2).map(Source::closed).collect();
        if shared.active.index.summary().max_time >= time_ms {
            sources.push(Source::active(&shared, Wanted::Time(time_ms)));
        }
        (sources, shared.log_start)
    }
}
