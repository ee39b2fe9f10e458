//! Failures: one small type a failure, an enum an operation.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// The partition takes no more appends until the store is opened again, and why.
///
/// After a failed fsync nobody knows what is on disk (the kernel may have dropped the pages and forgotten the
/// error), so there is no retry: only a restart, which recovers from the last checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("partition {partition} takes no more writes: {reason}")]
pub struct Poisoned {
    /// `topic-id/partition`.
    pub partition: Arc<str>,
    /// What happened.
    pub reason: Arc<str>,
}

/// A store or partition could not be opened, created, deleted, trimmed or closed.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The system refused.
    #[error("can't {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process has the store open.
    #[error("{} is in use by another process: stop it, or choose another data directory", .0.display())]
    Locked(PathBuf),
    /// The files are of a version that this program does not know.
    #[error("{} has format version {found}, this program knows up to {known}: use a newer logmill", path.display())]
    Version {
        /// The file that says so.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The newest version that can be read.
        known: u32,
    },
    /// The bytes of one of our own files are not what they should be.
    #[error("{} is damaged: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: &'static str,
    },
    /// The topic id can't be a directory name.
    #[error("{0:?} can't name a topic directory: use letters, digits, - and _, at most 128")]
    TopicId(String),
    /// The partition number is negative.
    #[error("{0} is not a partition number")]
    PartitionNumber(i32),
    /// The offset lies outside the log.
    #[error("offset {offset} is outside the log ({log_start} to {durable_end})")]
    OutOfRange {
        /// What was asked for.
        offset: i64,
        /// First offset there is.
        log_start: i64,
        /// One past the last durable offset.
        durable_end: i64,
    },
    /// The partition takes no more writes.
    #[error(transparent)]
    Poisoned(#[from] Poisoned),
}

/// An append was refused; nothing of it is in the log.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The bytes are not whole, intact v2 batches.
    #[error("batch at byte {position} is corrupt: {reason}")]
    Corrupt {
        /// Where in the given bytes the bad batch begins.
        position: usize,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The batch is intact, but not one that a producer may send.
    #[error("batch at byte {position} is refused: {reason}")]
    Refused {
        /// Where in the given bytes it begins.
        position: usize,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The producer has a transaction open here, and sends records outside of it.
    #[error("producer {producer_id} has a transaction open in the partition; records outside of it are refused")]
    InTransaction {
        /// The producer.
        producer_id: i64,
    },
    /// A batch of a format before Kafka 0.11.
    #[error("record format {magic} is not supported, only 2 is")]
    UnsupportedMagic {
        /// The magic byte that was found.
        magic: i8,
    },
    /// The sequence leaves a gap after what this producer wrote last, or does not start a new epoch at 0.
    #[error("producer {producer_id} (epoch {epoch}) sent sequence {found}, expected {expected}")]
    OutOfOrderSequence {
        /// The producer.
        producer_id: i64,
        /// Its epoch.
        epoch: i16,
        /// The sequence that would be next.
        expected: i32,
        /// The sequence that was sent.
        found: i32,
    },
    /// The batch was written before, so long ago that its offset is no longer known.
    #[error("producer {producer_id} (epoch {epoch}) repeats sequence {sequence}, older than its last batches")]
    DuplicateTooOld {
        /// The producer.
        producer_id: i64,
        /// Its epoch.
        epoch: i16,
        /// The repeated base sequence.
        sequence: i32,
    },
    /// A newer instance of this producer has written here.
    #[error("producer {producer_id} has epoch {current}, a batch of epoch {found} is refused")]
    ProducerFenced {
        /// The producer.
        producer_id: i64,
        /// The epoch in force.
        current: i16,
        /// The epoch of the batch.
        found: i16,
    },
    /// The disk is full. The log is unharmed and takes appends again once there is room.
    #[error("no space left for {bytes} bytes in partition {partition}")]
    Full {
        /// `topic-id/partition`.
        partition: Arc<str>,
        /// The size of the append.
        bytes: usize,
    },
    /// The partition takes no more writes.
    #[error(transparent)]
    Poisoned(#[from] Poisoned),
    /// Writing failed; the log is unharmed and may be tried again.
    #[error("can't write to {}: {source}", path.display())]
    Io {
        /// The segment or index.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// A read could not be answered.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The offset is before the first or past the last.
    #[error("offset {offset} is outside the log ({log_start} to {log_end})")]
    OutOfRange {
        /// What was asked for.
        offset: i64,
        /// First offset there is.
        log_start: i64,
        /// One past the last offset.
        log_end: i64,
    },
    /// Damaged bytes which could not be taken out of the way.
    #[error("{} is damaged at byte {position}", path.display())]
    Corrupt {
        /// The segment.
        path: PathBuf,
        /// Where in it.
        position: u64,
    },
    /// Reading failed.
    #[error("can't read {}: {source}", path.display())]
    Io {
        /// The segment or index.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}
