//! From which offset on a partition's records are not read yet by a pinned group.

use std::collections::{HashMap, HashSet};

use crate::groups::{Groups, Place};

/// Where pinned groups stand.
#[derive(Debug, Default)]
pub(crate) struct Pins {
    /// The least of the groups' commits.
    from: HashMap<Place, i64>,
    /// For each group the topics that it reads: where it has not committed yet, nothing is read.
    readers: Vec<(HashSet<String>, HashSet<Place>)>,
}

impl Pins {
    pub(crate) fn of(names: &[String], groups: &Groups) -> Self {
        let mut pins = Self::default();
        for name in names {
            let committed = groups.committed(name, None).into_iter();
            pins.add(committed.filter_map(|(place, committed)| Some((place, committed?.offset))).collect());
        }
        pins
    }

    fn add(&mut self, commits: Vec<(Place, i64)>) {
        let topics = commits.iter().map(|((topic, _), _)| topic.clone()).collect();
        let places = commits.iter().map(|(place, _)| place.clone()).collect();
        self.readers.push((topics, places));
        for (place, offset) in commits {
            let least = self.from.entry(place).or_insert(offset);
            *least = offset.min(*least);
        }
    }

    /// The first offset that a pinned group has yet to read; `i64::MAX` where nobody is pinned.
    pub(crate) fn from(&self, topic: &str, partition: i32) -> i64 {
        if self.readers.is_empty() {
            return i64::MAX;
        }
        let place = (topic.to_owned(), partition);
        let unread =
            |(topics, places): &(HashSet<String>, HashSet<Place>)| topics.contains(topic) && !places.contains(&place);
        if self.readers.iter().any(unread) {
            return 0;
        }
        self.from.get(&place).copied().unwrap_or(i64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_pinned_group_counts_and_what_it_never_read_is_all_unread() {
        let place = |topic: &str, partition| (topic.to_owned(), partition);
        let mut pins = Pins::default();
        assert_eq!(pins.from("a", 0), i64::MAX);
        pins.add(vec![(place("a", 0), 50), (place("b", 0), 7)]);
        pins.add(vec![(place("a", 0), 20)]);
        assert_eq!((pins.from("a", 0), pins.from("b", 0)), (20, 7));
        assert_eq!((pins.from("a", 1), pins.from("b", 1), pins.from("c", 0)), (0, 0, i64::MAX));
    }
}
