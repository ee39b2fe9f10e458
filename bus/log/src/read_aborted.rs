//! Which aborted transactions a stretch of the log is touched by: what a reader of committed records is told with it.

use std::io;
use std::sync::Arc;

use crate::aborted::{self, Aborted};
use crate::error::ReadError;
use crate::partition::Partition;
use crate::read::Miss;
use crate::segment::Sealed;

/// A transaction whose records are to be skipped, up to its marker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AbortedTransaction {
    /// Whose.
    pub producer_id: i64,
    /// Of its first record in the partition.
    pub first_offset: i64,
}

impl Partition {
    /// The aborted transactions with records or markers from `from` up to `until` (exclusive), by first offset.
    /// Complete for what lies before [`stable_end`](Self::stable_end). Blocks on disk reads.
    ///
    /// # Errors
    /// When a list can't be read; the records must not be given out then.
    pub fn aborted(&self, from: i64, until: i64) -> Result<Vec<AbortedTransaction>, ReadError> {
        self.retrying(|| self.try_aborted(from, until))
    }

    fn try_aborted(&self, from: i64, until: i64) -> Result<Vec<AbortedTransaction>, Miss> {
        let mut found = Found { from, until, list: Vec::new(), complete: false };
        // Markers of what is open at `until` lie in later segments, so the search may go beyond it.
        let (closed, active) = {
            let shared = self.shared.read();
            let at = shared.sealed.partition_point(|segment| segment.summary.next_offset <= from);
            let closed: Vec<Arc<Sealed>> =
                shared.sealed.iter().skip(at).filter(|segment| segment.has_aborted).cloned().collect();
            let touched = |aborted: &&Aborted| aborted.last_offset >= from && aborted.first_offset < until;
            let active: Vec<Aborted> = shared.stability.aborted.iter().filter(touched).copied().collect();
            (closed, active)
        };
        for segment in closed {
            if found.complete {
                break;
            }
            found.take(&self.aborted_of(&segment)?);
        }
        if !found.complete {
            found.take(&active);
        }
        found.list.sort_unstable_by_key(|aborted| (aborted.first_offset, aborted.producer_id));
        Ok(found.list)
    }

    fn aborted_of(&self, segment: &Sealed) -> Result<Vec<Aborted>, Miss> {
        aborted::read(&self.dir, segment.base_offset).map_err(|source| match source.kind() {
            // Retention took it; or it is lost, which looks the same until the tries are used up.
            io::ErrorKind::NotFound => Miss::Gone,
            _ => Miss::Failed(ReadError::Io { path: aborted::path(&self.dir, segment.base_offset), source }),
        })
    }
}

/// The search for what touches a stretch.
struct Found {
    from: i64,
    until: i64,
    list: Vec<AbortedTransaction>,
    complete: bool,
}

impl Found {
    fn take(&mut self, list: &[Aborted]) {
        for aborted in list {
            if aborted.last_offset >= self.from && aborted.first_offset < self.until {
                let Aborted { producer_id, first_offset, .. } = *aborted;
                self.list.push(AbortedTransaction { producer_id, first_offset });
            }
            if aborted.last_offset >= self.from && aborted.decided_end >= self.until {
                // All that begin before `until` have ended: their markers came before.
                self.complete = true;
                return;
            }
        }
    }
}
