//! Which bytes of a segment are handed out without a look at their checksums: those that this process wrote (it had
//! checked them when they came), and those that a reader has checked since the start. What lay on the disk before is
//! checked when it is first read, so that damage found there is taken out instead of passed on.

use std::sync::atomic::{AtomicU64, Ordering};

/// What is known of one segment's bytes. Changes only for the better, so readers need no lock.
#[derive(Debug)]
pub(crate) struct Proven {
    /// From here on this process wrote them.
    written_from: u64,
    /// Up to here a reader has checked them, without a gap from the first.
    checked_to: AtomicU64,
}

impl Proven {
    /// A segment that this process goes on with at `position`; 0 where it began it.
    pub(crate) fn written_from(position: u64) -> Self {
        Self { written_from: position, checked_to: AtomicU64::new(0) }
    }

    /// A closed segment of which nothing is known.
    pub(crate) fn unknown() -> Self {
        Self::written_from(u64::MAX)
    }

    /// A closed segment that was checked just now.
    pub(crate) fn whole() -> Self {
        Self::written_from(0)
    }

    pub(crate) fn covers(&self, from: u64, to: u64) -> bool {
        let checked_to = self.checked_to.load(Ordering::Relaxed);
        from >= self.written_from || to <= checked_to || checked_to >= self.written_from
    }

    /// A reader has checked these bytes.
    pub(crate) fn note(&self, from: u64, to: u64) {
        if from <= self.checked_to.load(Ordering::Relaxed) {
            self.checked_to.fetch_max(to, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_there_before_is_proven_from_its_start_on() {
        let proven = Proven::written_from(100);
        assert!(proven.covers(100, 900) && !proven.covers(99, 120) && !proven.covers(0, 10));
        proven.note(50, 60);
        assert!(!proven.covers(50, 60), "what lies before was not checked");
        proven.note(0, 40);
        assert!(proven.covers(0, 40) && proven.covers(7, 33) && !proven.covers(0, 41));
        proven.note(40, 100);
        assert!(proven.covers(0, 500), "nothing is left unchecked");
    }

    #[test]
    fn a_closed_segment_is_known_whole_or_not_at_all() {
        assert!(Proven::whole().covers(0, u64::MAX - 1));
        let unknown = Proven::unknown();
        assert!(!unknown.covers(0, 1));
        unknown.note(0, 64);
        assert!(unknown.covers(0, 64) && !unknown.covers(0, 65));
    }
}
