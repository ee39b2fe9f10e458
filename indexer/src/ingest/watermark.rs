//! What was already stored, by source and partition: the rule that makes replays harmless.

use std::collections::HashMap;
use std::sync::Arc;

use logmill_core::Origin;

use crate::store::manifest::MarkMeta;

#[derive(Clone, Copy, Debug)]
struct Mark {
    origin: Origin,
    day: u32,
    /// It is in the list of changes.
    listed: bool,
}

/// The highest origin of each source in each partition.
#[derive(Debug, Default)]
pub(crate) struct Watermarks {
    partitions: HashMap<i32, HashMap<Arc<str>, Mark>>,
    changed: Vec<(i32, Arc<str>)>,
}

impl Watermarks {
    /// Goes on from what was stored.
    pub(crate) fn new(marks: impl Iterator<Item = MarkMeta>) -> Self {
        let mut watermarks = Self::default();
        for MarkMeta { partition, source, origin, day } in marks {
            let mark = Mark { origin, day, listed: false };
            watermarks.partitions.entry(partition).or_default().insert(source, mark);
        }
        watermarks
    }

    /// Whether a record is new: its origin is beyond the highest of its source in its partition, which it then is.
    /// Kept per source *and* partition: a pipeline may spread a source over partitions that are read at
    /// different paces, and one mark for all would drop what was never stored.
    pub(crate) fn admit(&mut self, partition: i32, source: &str, origin: Origin, day: u32) -> bool {
        let sources = self.partitions.entry(partition).or_default();
        match sources.get_mut(source) {
            Some(mark) if origin <= mark.origin => false,
            Some(mark) => {
                if !std::mem::replace(&mut mark.listed, true) {
                    // The map's own key can't be borrowed here; a source changes once a tick at most.
                    self.changed.push((partition, source.into()));
                }
                mark.origin = origin;
                mark.day = day;
                true
            }
            None => {
                let source: Arc<str> = source.into();
                sources.insert(source.clone(), Mark { origin, day, listed: true });
                self.changed.push((partition, source));
                true
            }
        }
    }

    /// The marks that moved since the last call.
    pub(crate) fn take_changes(&mut self) -> Vec<MarkMeta> {
        let mut changes = Vec::with_capacity(self.changed.len());
        for (partition, source) in self.changed.drain(..) {
            if let Some(mark) = self.partitions.get_mut(&partition).and_then(|sources| sources.get_mut(&source)) {
                mark.listed = false;
                changes.push(MarkMeta { partition, source, origin: mark.origin, day: mark.day });
            }
        }
        changes
    }

    /// Forgets the marks without news since before this day. Changes must have been taken.
    pub(crate) fn forget_before(&mut self, day: u32) {
        for sources in self.partitions.values_mut() {
            sources.retain(|_, mark| mark.day >= day || mark.listed);
        }
    }

    /// How many marks there are.
    pub(crate) fn len(&self) -> usize {
        self.partitions.values().map(HashMap::len).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    fn origin(number: u64) -> Origin {
        Origin { generation: 0, start: number, end: number + 1, part: 0 }
    }

    proptest! {
        /// A bus log in which sources send in order and go back to an earlier place at will (a replay), read by
        /// an indexer that crashes at will and goes on from what it last saved: each origin is stored once.
        #[test]
        fn replays_and_crashes_store_each_origin_once(
            steps in prop::collection::vec((0usize..3, 0u64..20, 1u64..20), 1..60),
            crashes in prop::collection::vec(0usize..10, 60),
        ) {
            let mut log = Vec::new();
            let mut sent = [0u64; 3];
            for (source, back, count) in steps {
                let from = sent[source].saturating_sub(back);
                log.extend((from..from + count).map(|number| (source, number)));
                sent[source] = sent[source].max(from + count);
            }
            let (mut saved_next, mut saved_marks, mut saved): (usize, Vec<MarkMeta>, Vec<(usize, u64)>) = Default::default();
            let (mut next, mut stored, mut marks) = (0, Vec::new(), Watermarks::default());
            let mut crashes = crashes.into_iter();
            while next < log.len() {
                for (source, number) in log.iter().skip(next).take(7) {
                    if marks.admit(0, &source.to_string(), origin(*number), 0) {
                        stored.push((*source, *number));
                    }
                    next += 1;
                }
                match crashes.next() {
                    Some(0) => {
                        (next, stored, marks) = (saved_next, saved.clone(), Watermarks::new(saved_marks.clone().into_iter()));
                    }
                    Some(1..4) => {}
                    _ => {
                        for change in marks.take_changes() {
                            saved_marks.retain(|mark| mark.source != change.source);
                            saved_marks.push(change);
                        }
                        (saved_next, saved) = (next, stored.clone());
                    }
                }
            }
            let once: HashSet<_> = stored.iter().collect();
            prop_assert_eq!(once.len(), stored.len());
            prop_assert_eq!(stored.len() as u64, sent.iter().sum::<u64>());
        }
    }

    #[test]
    fn partitions_have_marks_of_their_own_and_old_ones_go() {
        let mut marks = Watermarks::default();
        assert!(marks.admit(0, "a", origin(5), 10));
        assert!(marks.admit(1, "a", origin(3), 10));
        assert!(!marks.admit(0, "a", origin(5), 10));
        assert!(!marks.admit(0, "a", origin(4), 10));
        assert!(marks.admit(0, "b", origin(1), 30));
        assert_eq!(marks.take_changes().len(), 3);
        assert_eq!(marks.take_changes().len(), 0);
        marks.forget_before(20);
        assert_eq!(marks.len(), 1);
        assert!(marks.admit(0, "a", origin(4), 30));
    }
}
