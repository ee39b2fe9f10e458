//! Leader epochs of a partition: which epoch began at which offset. After an end that was not clean the epoch is
//! raised, so that a client that has read or written past a lost tail finds out (KIP-320).

use serde::{Deserialize, Serialize};

/// Epochs and the offsets at which they began, ascending in both; the last is the one in force.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Epochs(Vec<(i32, i64)>);

/// Older beginnings are forgotten: a client that lags so many crashes behind begins anew by its reset policy.
const KEPT_MAX: usize = 100;

impl Epochs {
    /// The epoch in force; -1 before the first.
    pub(crate) fn current(&self) -> i32 {
        self.0.last().map_or(-1, |(epoch, _)| *epoch)
    }

    /// Begins `epoch` at `offset`; whether that changed anything.
    pub(crate) fn begin(&mut self, epoch: i32, offset: i64) -> bool {
        if epoch <= self.current() {
            return false;
        }
        // An epoch in which nothing was kept leaves no trace.
        self.0.retain(|(_, start)| *start < offset);
        self.0.push((epoch, offset));
        if self.0.len() > KEPT_MAX {
            self.0.remove(0);
        }
        true
    }

    /// The largest epoch not above `epoch` and the offset at which it ended (`log_end` for the one in force).
    pub(crate) fn end_of(&self, epoch: i32, log_end: i64) -> Option<(i32, i64)> {
        let index = self.0.iter().rposition(|(known, _)| *known <= epoch)?;
        let (known, _) = *self.0.get(index)?;
        Some((known, self.0.get(index + 1).map_or(log_end, |(_, start)| *start)))
    }

    /// The epoch in which `offset` was written.
    pub(crate) fn at(&self, offset: i64) -> i32 {
        self.0.iter().rev().find(|(_, start)| *start <= offset).map_or(-1, |(epoch, _)| *epoch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_follow_from_beginnings() {
        let mut epochs = Epochs::default();
        assert_eq!((epochs.current(), epochs.end_of(3, 9)), (-1, None));
        assert!(epochs.begin(0, 0) && epochs.begin(2, 10) && epochs.begin(5, 30));
        assert!(!epochs.begin(5, 40));
        assert_eq!(epochs.end_of(0, 99), Some((0, 10)));
        assert_eq!(epochs.end_of(1, 99), Some((0, 10)), "an epoch that never was: the one before it");
        assert_eq!(epochs.end_of(2, 99), Some((2, 30)));
        assert_eq!(epochs.end_of(5, 99), Some((5, 99)));
        assert_eq!((epochs.at(9), epochs.at(10), epochs.at(50)), (0, 2, 5));
        assert!(epochs.begin(6, 30), "nothing was kept of epoch 5");
        assert_eq!(epochs.end_of(5, 99), Some((2, 30)));
    }
}
