//! Settling what was written: checkpoints, closing a segment and beginning the next, closing the partition.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::aborted;
use crate::checkpoint::{self, Checkpoint};
use crate::disk::replace;
use crate::error::{LogError, Poisoned};
use crate::index::Index;
use crate::partition::{Active, Partition, Writer};
use crate::proven::Proven;
use crate::segment::{self, OpenFile, Sealed};

/// A checkpoint is due after so many bytes: about what is checked within a tenth of a second at a restart,
/// while a checkpoint costs a few milliseconds.
pub(crate) const CHECKPOINT_BYTES: u64 = 32 << 20;

impl Partition {
    /// Writes a checkpoint if enough was appended since the last, and nobody else is at it.
    pub(crate) fn checkpoint_if_due(&self) {
        if self.writer.lock().unchecked_bytes < CHECKPOINT_BYTES || self.checkpointing.is_locked() {
            return;
        }
        if let Err(error) = self.checkpoint() {
            // Nothing is lost, the next start has more to check.
            tracing::warn!(partition = %self.name, %error, "can't write a checkpoint");
        }
    }

    /// Makes everything durable and notes that, so that the next start need not check it.
    pub(crate) fn checkpoint(&self) -> Result<(), LogError> {
        let _one_at_a_time = self.checkpointing.lock();
        let (checkpoint, index, unchecked_bytes) = {
            let mut writer = self.writer.lock();
            let shared = self.shared.read();
            let index = shared.active.index.clone();
            let checkpoint = Checkpoint {
                log_start: shared.log_start,
                segment: index.base_offset(),
                summary: *index.summary(),
                aborted: shared.stability.aborted.clone(),
                with_aborted: shared
                    .sealed
                    .iter()
                    .filter(|known| known.has_aborted)
                    .map(|known| known.base_offset)
                    .collect(),
                producers: writer.producers.clone(),
            };
            (checkpoint, index, std::mem::take(&mut writer.unchecked_bytes))
        };
        let written = self.write_checkpoint(&checkpoint, &index);
        if written.is_err() {
            self.writer.lock().unchecked_bytes += unchecked_bytes;
        }
        written
    }

    fn write_checkpoint(&self, checkpoint: &Checkpoint, index: &Index) -> Result<(), LogError> {
        // If the segment is closed meanwhile, closing it has made it durable.
        self.sync()?;
        let failed = |path: PathBuf| move |source| LogError::Io { action: "write", path, source };
        if checkpoint.summary.bytes > 0 {
            let _one_at_a_time = self.index_file.lock();
            if self.shared.read().active.index.base_offset() == checkpoint.segment {
                let path = segment::index_path(&self.dir, checkpoint.segment);
                segment::write_index(&*self.disk, &self.dir, index).map_err(failed(path))?;
            }
        }
        let path = self.dir.join(checkpoint::FILE);
        replace(&*self.disk, &path, &checkpoint.encode()).map_err(failed(path))
    }

    /// Closes the active segment, all of it durable, and begins a new one. An empty one stays.
    pub(crate) fn roll(&self, writer: &mut Writer) -> Result<(), RollError> {
        let (file, path, index, aborted, proven) = {
            let shared = self.shared.read();
            let (active, aborted) = (&shared.active, shared.stability.aborted.clone());
            let proven = Arc::clone(&active.proven);
            (Arc::clone(&active.file), active.path.clone(), active.index.clone(), aborted, proven)
        };
        let summary = *index.summary();
        if summary.bytes == 0 {
            return Ok(());
        }
        let failed = |source| RollError::Io { path: path.clone(), source };
        self.disk.truncate(&file, summary.bytes).map_err(failed)?;
        writer.reserved_bytes = summary.bytes;
        self.sync()?;
        let _index_is_ours = self.index_file.lock();
        segment::write_index(&*self.disk, &self.dir, &index).map_err(failed)?;
        aborted::write(&*self.disk, &self.dir, index.base_offset(), &aborted).map_err(failed)?;
        let (new_path, new_file) = segment::create(&*self.disk, &self.dir, summary.next_offset).map_err(failed)?;
        let mut shared = self.shared.write();
        let has_aborted = !aborted.is_empty();
        let base_offset = index.base_offset();
        shared.sealed.push_back(Arc::new(Sealed {
            base_offset,
            path,
            summary,
            has_aborted,
            proven,
            open: OpenFile::default(),
        }));
        shared.stability.aborted.clear();
        shared.active = Active {
            path: new_path,
            file: Arc::new(new_file),
            index: Index::new(summary.next_offset, self.options.index_interval_bytes),
            durable_bytes: 0,
            proven: Arc::new(Proven::written_from(0)),
        };
        writer.reserved_bytes = 0;
        writer.begun_ms = None;
        // The closed segment need not be checked again.
        writer.unchecked_bytes = writer.unchecked_bytes.max(CHECKPOINT_BYTES);
        Ok(())
    }

    /// Before the last reference goes, for a clean end. Costs nothing if nothing was written.
    pub(crate) fn close(&self) -> Result<(), LogError> {
        {
            let mut writer = self.writer.lock();
            self.check_poison()?;
            if writer.unchecked_bytes == 0 && writer.reserved_bytes == self.shared.read().active.index.summary().bytes {
                return Ok(());
            }
            let (file, bytes) = {
                let shared = self.shared.read();
                (Arc::clone(&shared.active.file), shared.active.index.summary().bytes)
            };
            let path = self.dir.clone();
            self.disk.truncate(&file, bytes).map_err(|source| LogError::Io { action: "close", path, source })?;
            writer.reserved_bytes = bytes;
        }
        self.checkpoint()
    }
}

/// Why a new segment could not be begun. The old one goes on.
#[derive(Debug)]
pub(crate) enum RollError {
    Io { path: PathBuf, source: io::Error },
    Poisoned(Poisoned),
}

impl From<Poisoned> for RollError {
    fn from(poisoned: Poisoned) -> Self {
        Self::Poisoned(poisoned)
    }
}

impl From<RollError> for LogError {
    fn from(error: RollError) -> Self {
        match error {
            RollError::Io { path, source } => Self::Io { action: "begin a segment after", path, source },
            RollError::Poisoned(poisoned) => Self::Poisoned(poisoned),
        }
    }
}
