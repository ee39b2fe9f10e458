//! How far the store has come on the bus, as far as searches go. Pure: whoever asks the bus or the clock tells it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use jiff::Timestamp;
use logmill_bus_client::Position;

use super::view::Freshness;

/// Remembered looks at the ends of the bus. Older ones are answered first, so the bound only makes
/// `indexed_up_to` coarser when the store is minutes behind.
const LOOKS_MAX: usize = 256;

/// Where each partition ends: the offset that its next record will get.
type Ends = BTreeMap<i32, i64>;

/// What is searchable, and what was seen on the bus.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress {
    visible: Ends,
    looks: VecDeque<(Timestamp, Ends)>,
    last: Option<(Timestamp, Ends)>,
    indexed_up_to: Option<Timestamp>,
}

impl Progress {
    /// Everything before these offsets is searchable now.
    pub(crate) fn published(&mut self, next: &BTreeMap<i32, i64>) {
        self.visible.extend(next);
        self.settle();
    }

    /// The bus ended there at this instant.
    pub(crate) fn looked(&mut self, at: Timestamp, ends: Ends) {
        if self.looks.len() >= LOOKS_MAX {
            self.looks.pop_back();
        }
        self.looks.push_back((at, ends.clone()));
        self.last = Some((at, ends));
        self.settle();
    }

    /// The bus can't be asked.
    pub(crate) fn lost_sight(&mut self) {
        self.last = None;
    }

    /// Whether records at these places are searchable.
    pub(crate) fn shows(&self, positions: &[Position]) -> bool {
        let shown =
            |position: &Position| self.visible.get(&position.partition).is_some_and(|next| *next > position.offset);
        positions.iter().all(shown)
    }

    /// The partitions that are read.
    pub(crate) fn partitions(&self) -> BTreeSet<i32> {
        self.visible.keys().copied().collect()
    }

    /// How far searches are behind, at `now`.
    pub(crate) fn freshness(&self, now: Timestamp) -> Freshness {
        let behind = self.last.as_ref().map(|(_, ends)| self.behind(ends));
        let indexed_up_to = if behind == Some(0) { Some(now) } else { self.indexed_up_to };
        Freshness { indexed_up_to, behind }
    }

    /// How many records were seen on the bus from these offsets on; none when it can't be asked.
    pub(crate) fn waiting(&self, next: &BTreeMap<i32, i64>) -> u64 {
        self.last.as_ref().map_or(0, |(_, ends)| between(next, ends))
    }

    fn behind(&self, ends: &Ends) -> u64 {
        between(&self.visible, ends)
    }

    fn settle(&mut self) {
        while let Some((at, ends)) = self.looks.front()
            && self.behind(ends) == 0
        {
            self.indexed_up_to = Some(*at);
            self.looks.pop_front();
        }
    }
}

/// How many records lie between two places.
fn between(next: &Ends, ends: &Ends) -> u64 {
    let missing = |(partition, end): (&i32, &i64)| {
        let next = next.get(partition).copied().unwrap_or(0);
        u64::try_from(end - next).unwrap_or(0)
    };
    ends.iter().map(missing).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn searches_are_fresh_up_to_the_last_look_that_they_have_caught_up_with() {
        let mut progress = Progress::default();
        assert_eq!(progress.freshness(at(0)), Freshness::default());
        progress.looked(at(1), [(0, 5), (1, 0)].into());
        assert_eq!(progress.freshness(at(2)), Freshness { indexed_up_to: None, behind: Some(5) });
        progress.looked(at(3), [(0, 9), (1, 4)].into());
        progress.published(&[(0, 6)].into());
        assert_eq!(progress.freshness(at(4)), Freshness { indexed_up_to: Some(at(1)), behind: Some(7) });
        assert_eq!(progress.waiting(&[(0, 8), (1, 5)].into()), 1);
        assert!(progress.shows(&[Position { partition: 0, offset: 5 }]));
        assert!(!progress.shows(&[Position { partition: 0, offset: 6 }]));
        assert!(!progress.shows(&[Position { partition: 7, offset: 0 }]));
        progress.published(&[(0, 9), (1, 4)].into());
        assert_eq!(progress.freshness(at(5)), Freshness { indexed_up_to: Some(at(5)), behind: Some(0) });
        progress.lost_sight();
        assert_eq!(progress.waiting(&BTreeMap::new()), 0);
        assert_eq!(progress.freshness(at(6)), Freshness { indexed_up_to: Some(at(3)), behind: None });
    }
}
