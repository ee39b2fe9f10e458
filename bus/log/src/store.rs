//! One data directory with all its partitions, and the threads that make their appends durable.

use std::path::Path;
use std::sync::Arc;

use crate::error::LogError;
use crate::options::LogOptions;
use crate::partition::Partition;
use crate::report::RecoveryReport;

/// All logs below one directory, `<dir>/<topic id>/<partition>/`. One process at a time may have it open.
pub struct LogStore {}

impl LogStore {
    /// Opens the store, creating it if need be, and recovers every partition: quickly after a clean shutdown,
    /// by checking what lies past the last checkpoint otherwise. A partition that can't be opened is
    /// reported, not fatal. Blocks; call it before serving.
    ///
    /// # Errors
    /// When the directory can't be used, is in use, or was written by a newer version.
    pub fn open(_dir: &Path, _options: LogOptions) -> Result<(Self, RecoveryReport), LogError> {
        todo!()
    }

    /// Creates the partition, or returns it if it is there. `topic_id` becomes a directory name:
    /// letters, digits, `-` and `_`, at most 128 (a UUID). Durable on return.
    ///
    /// # Errors
    /// When the name is unfit or the files can't be created.
    pub fn create(&self, _topic_id: &str, _partition: i32) -> Result<Arc<Partition>, LogError> {
        todo!()
    }

    /// The partition, if it is there.
    #[must_use]
    pub fn get(&self, _topic_id: &str, _partition: i32) -> Option<Arc<Partition>> {
        todo!()
    }

    /// Every partition, in no order; its names are [`Partition::topic_id`] and [`Partition::partition`].
    #[must_use]
    pub fn partitions(&self) -> Vec<Arc<Partition>> {
        todo!()
    }

    /// Removes all partitions of a topic; absent ones are no error. Whoever still holds a partition gets
    /// [`Poisoned`](crate::Poisoned) from appends.
    ///
    /// # Errors
    /// When the directory can't be moved out of the way.
    pub fn delete_topic(&self, _topic_id: &str) -> Result<(), LogError> {
        todo!()
    }

    /// Makes everything durable, writes checkpoints and the mark of a clean shutdown. Appends are refused
    /// from here on, reads still work. Blocks. Calling it twice is the same as once; dropping the store
    /// without it is like a crash of the process.
    ///
    /// # Errors
    /// The first thing that failed; the rest was still attempted.
    pub fn shutdown(&self) -> Result<(), LogError> {
        todo!()
    }

    /// [`shutdown`](Self::shutdown) for whoever owns the store.
    ///
    /// # Errors
    /// As `shutdown`.
    pub fn close(self) -> Result<(), LogError> {
        self.shutdown()
    }

    /// False when the last process ended without [`shutdown`](Self::shutdown): the broker then raises the
    /// leader epoch, so that clients notice a lost tail.
    #[must_use]
    pub fn clean_start(&self) -> bool {
        todo!()
    }
}
