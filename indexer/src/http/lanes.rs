//! Who may search next: cheap searches and dear ones wait in queues of their own, so that a few that read everything do
//! not hold up the many that read little, nor the other way round. Pure: no clock, no threads.

use std::collections::VecDeque;

/// How much a search is expected to cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    Cheap,
    Dear,
}

/// Slots and those who wait for one.
#[derive(Debug)]
pub(super) struct Lanes<T> {
    slots: usize,
    /// How many of the slots dear searches may take together: at least one is left to cheap ones.
    dear_max: usize,
    cheap_running: usize,
    dear_running: usize,
    cheap: VecDeque<T>,
    dear: VecDeque<T>,
}

impl<T> Lanes<T> {
    /// At least two slots, or one kind would wait for the other.
    pub(super) fn new(slots: usize) -> Self {
        let slots = slots.max(2);
        Self {
            slots,
            dear_max: slots - 1,
            cheap_running: 0,
            dear_running: 0,
            cheap: VecDeque::new(),
            dear: VecDeque::new(),
        }
    }

    pub(super) fn waiting(&self) -> usize {
        self.cheap.len() + self.dear.len()
    }

    /// Queues one, or says by giving the ticket back that it may begin at once.
    pub(super) fn arrive(&mut self, lane: Lane, ticket: T) -> Option<T> {
        self.queue(lane).push_back(ticket);
        let nobody_before = self.queue(lane).len() == 1;
        if nobody_before && self.may_begin(lane) { self.begin(lane) } else { None }
    }

    /// One has ended. The next must be asked for until there is none.
    pub(super) const fn leave(&mut self, lane: Lane) {
        match lane {
            Lane::Cheap => self.cheap_running = self.cheap_running.saturating_sub(1),
            Lane::Dear => self.dear_running = self.dear_running.saturating_sub(1),
        }
    }

    /// The next that may begin; it counts as running.
    pub(super) fn next(&mut self) -> Option<(Lane, T)> {
        for lane in [Lane::Cheap, Lane::Dear] {
            if !self.queue(lane).is_empty() && self.may_begin(lane) {
                return self.begin(lane).map(|ticket| (lane, ticket));
            }
        }
        None
    }

    /// Whether a dear search should let somebody pass between two of its steps.
    pub(super) fn should_give_way(&self) -> bool {
        !self.cheap.is_empty()
    }

    /// A dear search steps aside; it is the first of its kind to go on. Those who may begin now must be asked for.
    pub(super) fn give_way(&mut self, ticket: T) {
        self.leave(Lane::Dear);
        self.dear.push_front(ticket);
    }

    fn queue(&mut self, lane: Lane) -> &mut VecDeque<T> {
        match lane {
            Lane::Cheap => &mut self.cheap,
            Lane::Dear => &mut self.dear,
        }
    }

    fn may_begin(&self, lane: Lane) -> bool {
        let free = self.slots.saturating_sub(self.cheap_running + self.dear_running);
        match lane {
            // The last free slot is for a dear search, when one waits and none runs.
            Lane::Cheap => free > usize::from(!self.dear.is_empty() && self.dear_running == 0),
            Lane::Dear => free > 0 && self.dear_running < self.dear_max,
        }
    }

    fn begin(&mut self, lane: Lane) -> Option<T> {
        let ticket = self.queue(lane).pop_front()?;
        match lane {
            Lane::Cheap => self.cheap_running += 1,
            Lane::Dear => self.dear_running += 1,
        }
        Some(ticket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn dear_searches_leave_a_slot_to_cheap_ones() {
        let mut lanes = Lanes::new(3);
        assert_eq!((lanes.arrive(Lane::Dear, 1), lanes.arrive(Lane::Dear, 2)), (Some(1), Some(2)));
        assert_eq!(lanes.arrive(Lane::Dear, 3), None);
        assert_eq!(lanes.arrive(Lane::Cheap, 4), Some(4));
        assert_eq!(lanes.arrive(Lane::Cheap, 5), None);
        lanes.leave(Lane::Dear);
        assert_eq!((lanes.next(), lanes.next()), (Some((Lane::Cheap, 5)), None));
        lanes.leave(Lane::Cheap);
        assert_eq!((lanes.next(), lanes.next()), (Some((Lane::Dear, 3)), None));
    }

    #[test]
    fn a_flood_of_cheap_searches_leaves_a_slot_to_a_dear_one() {
        let mut lanes = Lanes::new(2);
        assert_eq!((lanes.arrive(Lane::Cheap, 1), lanes.arrive(Lane::Cheap, 2)), (Some(1), Some(2)));
        assert_eq!((lanes.arrive(Lane::Dear, 3), lanes.arrive(Lane::Cheap, 4)), (None, None));
        lanes.leave(Lane::Cheap);
        assert_eq!((lanes.next(), lanes.next()), (Some((Lane::Dear, 3)), None));
    }

    #[test]
    fn a_dear_search_steps_aside_and_goes_on_first() {
        let mut lanes = Lanes::new(2);
        assert_eq!((lanes.arrive(Lane::Dear, 1), lanes.arrive(Lane::Cheap, 2)), (Some(1), Some(2)));
        assert!(lanes.arrive(Lane::Dear, 3).is_none() && !lanes.should_give_way());
        assert!(lanes.arrive(Lane::Cheap, 4).is_none() && lanes.should_give_way());
        lanes.leave(Lane::Cheap);
        assert_eq!(lanes.next(), Some((Lane::Cheap, 4)));
        lanes.give_way(1);
        assert_eq!((lanes.next(), lanes.next()), (Some((Lane::Dear, 1)), None));
    }

    proptest! {
        #[test]
        fn everyone_has_their_turn_and_never_too_many(
            slots in 2usize..5,
            arrivals in prop::collection::vec(any::<bool>(), 1..60),
            ends in prop::collection::vec(any::<prop::sample::Index>(), 1..60),
        ) {
            let mut lanes = Lanes::new(slots);
            let mut running: Vec<(Lane, usize)> = Vec::new();
            let mut begun = 0;
            let total = arrivals.len();
            let mut arrivals = arrivals.into_iter().enumerate();
            let mut ends = ends.into_iter().cycle();
            while begun < total || !running.is_empty() {
                match arrivals.next() {
                    Some((number, dear)) => {
                        let lane = if dear { Lane::Dear } else { Lane::Cheap };
                        if let Some(ticket) = lanes.arrive(lane, number) {
                            running.push((lane, ticket));
                            begun += 1;
                        }
                    }
                    None => {
                        // Nobody waits while everything is free.
                        prop_assert!(!running.is_empty());
                        let (lane, _) = running.swap_remove(ends.next().unwrap().index(running.len()));
                        lanes.leave(lane);
                        while let Some(next) = lanes.next() {
                            running.push(next);
                            begun += 1;
                        }
                    }
                }
                prop_assert!(running.len() <= slots);
                prop_assert!(running.iter().filter(|(lane, _)| *lane == Lane::Dear).count() < slots);
            }
            prop_assert_eq!((begun, lanes.waiting()), (total, 0));
        }
    }
}
