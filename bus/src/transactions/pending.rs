//! Which offsets of which groups hang on open transactions: who asks for stable ones has to wait for those.

use std::collections::HashMap;

use super::GroupPlace;
use crate::groups::Place;

/// How many transactions have handed in an offset, by group and place.
#[derive(Debug, Default)]
pub(super) struct Pending(HashMap<String, HashMap<Place, usize>>);

impl Pending {
    pub(super) fn add(&mut self, (group, place): &GroupPlace) {
        *self.0.entry(group.clone()).or_default().entry(place.clone()).or_default() += 1;
    }

    pub(super) fn add_if(&mut self, is_new: bool, place: &GroupPlace) {
        if is_new {
            self.add(place);
        }
    }

    pub(super) fn remove(&mut self, (group, place): &GroupPlace) {
        let Some(places) = self.0.get_mut(group) else { return };
        if let Some(count) = places.get_mut(place) {
            *count -= 1;
            if *count == 0 {
                places.remove(place);
            }
        }
        if places.is_empty() {
            self.0.remove(group);
        }
    }

    pub(super) fn has(&self, group: &str, place: &Place) -> bool {
        self.0.get(group).is_some_and(|places| places.contains_key(place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_pending_until_the_last_transaction_let_go() {
        let mut pending = Pending::default();
        let place = ("g".to_owned(), ("t".to_owned(), 1));
        pending.add(&place);
        pending.add_if(true, &place);
        pending.add_if(false, &place);
        pending.remove(&place);
        assert!(pending.has("g", &place.1) && !pending.has("h", &place.1));
        pending.remove(&place);
        pending.remove(&place);
        assert!(!pending.has("g", &place.1) && pending.0.is_empty());
    }
}
