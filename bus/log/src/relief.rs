//! Making room under pressure: the oldest closed segment of a partition, one at a time, as whoever looks over all
//! partitions decides.

use crate::error::LogError;
use crate::partition::Partition;
use crate::trim::{Removed, SEGMENT_BYTES_MIN};

/// What would go next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Oldest {
    /// Its first offset that can still be read.
    pub first_offset: i64,
    /// One past its last offset.
    pub end_offset: i64,
    /// Its size.
    pub bytes: u64,
}

impl Partition {
    /// The oldest segment that is no longer written, if there is one.
    #[must_use]
    pub fn oldest(&self) -> Option<Oldest> {
        let shared = self.shared.read();
        shared.sealed.front().map(|segment| Oldest {
            first_offset: shared.log_start.max(segment.base_offset),
            end_offset: segment.summary.next_offset,
            bytes: segment.summary.bytes,
        })
    }

    /// Removes `oldest`, if it is still that.
    ///
    /// # Errors
    /// When the files can't be removed.
    pub fn drop_oldest(&self, oldest: Oldest) -> Result<Removed, LogError> {
        let mut first = true;
        self.drop_front(|shared| {
            let same = shared.sealed.front().is_some_and(|segment| segment.summary.next_offset == oldest.end_offset);
            std::mem::take(&mut first) && same
        })
    }

    /// Closes the segment that is written, so that it can leave; says whether it was worth that.
    ///
    /// # Errors
    /// When the next can't be begun, for another reason than a full disk.
    pub fn close_segment(&self) -> Result<bool, LogError> {
        let mut writer = self.writer.lock();
        self.check_poison()?;
        let bytes = self.shared.read().active.index.summary().bytes;
        if bytes < SEGMENT_BYTES_MIN {
            return Ok(false);
        }
        self.roll_if_room(&mut writer)?;
        Ok(self.shared.read().active.index.summary().bytes == 0)
    }
}
