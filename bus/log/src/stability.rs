//! How far a partition is decided: where its open transactions begin, which were aborted, and so up to where a
//! reader that wants committed records alone may read. Pure.

use std::collections::{BTreeMap, VecDeque};

use crate::aborted::Aborted;
use crate::producers::{Producers, Turn};

/// A transaction whose marker is in the log, maybe not yet on the disk.
#[derive(Clone, Copy, Debug)]
struct Ending {
    first_offset: i64,
    marker_offset: i64,
}

/// The transactions of one partition.
#[derive(Debug, Default)]
pub(crate) struct Stability {
    /// The producers of open transactions, by first offset.
    open: BTreeMap<i64, i64>,
    ending: VecDeque<Ending>,
    /// Those with their marker in the segment that is written, in the order of their markers.
    pub(crate) aborted: Vec<Aborted>,
}

impl Stability {
    /// As it was when `producers` and `aborted` were noted, all of it durable.
    pub(crate) fn new(producers: &Producers, aborted: Vec<Aborted>) -> Self {
        let open = producers.transactions().map(|(producer_id, first_offset)| (first_offset, producer_id)).collect();
        Self { open, ending: VecDeque::new(), aborted }
    }

    pub(crate) fn note(&mut self, turn: Turn) {
        match turn {
            Turn::Began { producer_id, first_offset } => drop(self.open.insert(first_offset, producer_id)),
            Turn::Ended { producer_id, first_offset, marker_offset, commit } => {
                self.open.remove(&first_offset);
                self.ending.push_back(Ending { first_offset, marker_offset });
                if !commit {
                    let decided_end = self.open.keys().next().copied().unwrap_or(marker_offset + 1);
                    self.aborted.push(Aborted { producer_id, first_offset, last_offset: marker_offset, decided_end });
                }
            }
        }
    }

    /// The last stable offset: everything before it is durable, and belongs to no transaction whose end is not.
    pub(crate) fn stable_end(&mut self, durable_end: i64) -> i64 {
        self.ending.retain(|ending| ending.marker_offset >= durable_end);
        let undecided = self.ending.iter().map(|ending| ending.first_offset);
        undecided.chain(self.open.keys().next().copied()).fold(durable_end, i64::min)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn began(producer_id: i64, first_offset: i64) -> Turn {
        Turn::Began { producer_id, first_offset }
    }

    fn ended(producer_id: i64, first_offset: i64, marker_offset: i64, commit: bool) -> Turn {
        Turn::Ended { producer_id, first_offset, marker_offset, commit }
    }

    #[test]
    fn it_ends_where_the_first_open_transaction_begins() {
        let mut stability = Stability::default();
        assert_eq!(stability.stable_end(9), 9);
        stability.note(began(1, 10));
        stability.note(began(2, 12));
        assert_eq!((stability.stable_end(9), stability.stable_end(20)), (9, 10));
        stability.note(ended(1, 10, 14, true));
        assert_eq!(stability.stable_end(14), 10, "its marker could still be lost");
        assert_eq!(stability.stable_end(15), 12);
        stability.note(ended(2, 12, 15, false));
        assert_eq!(stability.stable_end(16), 16);
        assert_eq!(stability.aborted, [Aborted { producer_id: 2, first_offset: 12, last_offset: 15, decided_end: 16 }]);
    }

    #[test]
    fn an_aborted_one_says_how_far_all_was_decided_then() {
        let mut stability = Stability::default();
        for (producer, first) in [(1, 3), (2, 5), (3, 6)] {
            stability.note(began(producer, first));
        }
        stability.note(ended(2, 5, 9, false));
        stability.note(ended(1, 3, 10, false));
        stability.note(ended(3, 6, 11, true));
        let decided: Vec<i64> = stability.aborted.iter().map(|aborted| aborted.decided_end).collect();
        assert_eq!(decided, [3, 6]);
    }
}
