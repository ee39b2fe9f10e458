//! What opening a store found and did, for the broker's log and metrics.

use std::path::PathBuf;

/// The outcome of opening a store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecoveryReport {
    /// Partitions that were opened.
    pub partitions: usize,
    /// Bytes whose CRC was checked because they lay past the last checkpoint.
    pub bytes_scanned: u64,
    /// Bytes of torn tails that were cut off.
    pub bytes_cut: u64,
    /// Each torn tail.
    pub torn: Vec<Torn>,
    /// Each damaged stretch in the middle of a log that was taken out.
    pub quarantined: Vec<Quarantined>,
    /// Index files that were missing or damaged and were made anew.
    pub indexes_rebuilt: usize,
    /// Partitions whose checkpoint was missing or damaged, so that the whole log was read.
    pub checkpoints_lost: usize,
    /// Partitions that could not be opened and were left alone, with the reason; the others serve.
    pub failed: Vec<(PathBuf, String)>,
}

impl RecoveryReport {
    /// Whether recovery lost or set aside anything, or left something out: worth a loud line in the log.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.torn.is_empty() && self.quarantined.is_empty() && self.failed.is_empty()
    }

    pub(crate) fn merge(&mut self, other: Self) {
        self.partitions += other.partitions;
        self.bytes_scanned += other.bytes_scanned;
        self.bytes_cut += other.bytes_cut;
        self.torn.extend(other.torn);
        self.quarantined.extend(other.quarantined);
        self.indexes_rebuilt += other.indexes_rebuilt;
        self.checkpoints_lost += other.checkpoints_lost;
        self.failed.extend(other.failed);
    }
}

/// A write that a crash cut short; it was never acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Torn {
    /// The segment file.
    pub segment: PathBuf,
    /// Where in the file the tail was cut.
    pub position: u64,
    /// How many bytes were cut (zeros of the reserved space not counted).
    pub bytes: u64,
    /// The next offset of the log after the cut.
    pub log_end: i64,
}

/// Damaged bytes that lie before intact batches. The batches of that stretch are gone from the log
/// (their offsets are a gap); the whole original segment is kept aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quarantined {
    /// The copy of the segment as it was found.
    pub kept_as: PathBuf,
    /// Where in that file the damage begins.
    pub position: u64,
    /// How many bytes were taken out.
    pub bytes: u64,
    /// The first offset that may be missing.
    pub from_offset: i64,
    /// The first offset that is there again.
    pub to_offset: i64,
}
