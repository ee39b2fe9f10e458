//! The assignors: who of the members gets which partition. Pure, the same every time for the same input.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Part;

/// How partitions are shared out, by the names that clients use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Assignor {
    /// Everybody as many as the next, and what a member has it keeps as far as that goes.
    Uniform,
    /// Of each topic neighbouring partitions, so that topics with equal keys come to the same member.
    Range,
}

impl Assignor {
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name {
            "uniform" => Some(Self::Uniform),
            "range" => Some(Self::Range),
            _ => None,
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Uniform => "uniform",
            Self::Range => "range",
        }
    }
}

/// Topics with their partitions that each member wants.
type Wants<'m> = BTreeMap<&'m str, Vec<(Uuid, i32)>>;
type Shares = BTreeMap<String, BTreeSet<Part>>;

/// Shares out every partition that somebody wants, each to one member that wants its topic.
pub(super) fn assign(by: Assignor, wants: &Wants<'_>, before: &Shares) -> Shares {
    match by {
        Assignor::Range => range(wants),
        Assignor::Uniform => uniform(wants, before),
    }
}

/// Who wants each topic, in the order of the members.
fn subscribers<'m>(wants: &Wants<'m>) -> BTreeMap<(Uuid, i32), Vec<&'m str>> {
    let mut topics: BTreeMap<(Uuid, i32), Vec<&str>> = BTreeMap::new();
    for (member, wanted) in wants {
        for topic in wanted {
            topics.entry(*topic).or_default().push(member);
        }
    }
    topics
}

fn range(wants: &Wants<'_>) -> Shares {
    let mut shares: Shares = wants.keys().map(|id| ((*id).to_owned(), BTreeSet::new())).collect();
    for ((topic, count), members) in subscribers(wants) {
        let among = i32::try_from(members.len()).unwrap_or(i32::MAX).max(1);
        let (least, more) = (count / among, count % among);
        let mut next = 0;
        for (rank, member) in (0..).zip(members) {
            let end = next + least + i32::from(rank < more);
            if let Some(share) = shares.get_mut(member) {
                share.extend((next..end).map(|partition| (topic, partition)));
            }
            next = end;
        }
    }
    shares
}

/// Members by how much they have: the poorest first.
#[derive(Default)]
struct Loads<'m>(BTreeSet<(usize, &'m str)>, BTreeMap<&'m str, usize>);

impl<'m> Loads<'m> {
    fn set(&mut self, member: &'m str, load: usize) {
        if let Some(before) = self.1.insert(member, load) {
            self.0.remove(&(before, member));
        }
        self.0.insert((load, member));
    }

    fn of(&self, member: &str) -> usize {
        self.1.get(member).copied().unwrap_or(0)
    }

    /// The poorest of these.
    fn poorest(&self, of: &[&'m str]) -> Option<&'m str> {
        // Mostly everybody wants everything: then the first is the one.
        if of.len() == self.1.len() {
            return self.0.first().map(|(_, member)| *member);
        }
        of.iter().min_by_key(|member| (self.of(member), **member)).copied()
    }
}

fn uniform(wants: &Wants<'_>, before: &Shares) -> Shares {
    let topics = subscribers(wants);
    let members_of: BTreeMap<Uuid, &Vec<&str>> = topics.iter().map(|((id, _), members)| (*id, members)).collect();
    let mut shares: BTreeMap<&str, BTreeSet<Part>> = wants.keys().map(|id| (*id, BTreeSet::new())).collect();
    let mut free: BTreeSet<Part> =
        topics.keys().flat_map(|(id, count)| (0..*count).map(|partition| (*id, partition))).collect();
    // What a member has and still wants is its.
    for (member, share) in &mut shares {
        for part in before.get(*member).into_iter().flatten() {
            let wanted = members_of.get(&part.0).is_some_and(|members| members.contains(member));
            if wanted && free.remove(part) {
                share.insert(*part);
            }
        }
    }
    let mut loads = Loads::default();
    shares.iter().for_each(|(member, share)| loads.set(member, share.len()));
    for part in free {
        let poorest = members_of.get(&part.0).and_then(|members| loads.poorest(members));
        if let Some((member, share)) = poorest.and_then(|member| Some((member, shares.get_mut(member)?))) {
            share.insert(part);
            loads.set(member, share.len());
        }
    }
    even_out(&mut shares, &mut loads, &members_of);
    shares.into_iter().map(|(member, share)| (member.to_owned(), share)).collect()
}

/// Moves partitions from the rich to the poor until nobody could give one to somebody with two less.
fn even_out<'m>(
    shares: &mut BTreeMap<&'m str, BTreeSet<Part>>,
    loads: &mut Loads<'m>,
    members_of: &BTreeMap<Uuid, &Vec<&'m str>>,
) {
    // Each move brings two members nearer to each other, so that it ends.
    let by_wealth = |loads: &Loads<'m>| loads.0.iter().rev().map(|(_, member)| *member).collect::<Vec<_>>();
    let mut rich = by_wealth(loads);
    let mut at = 0;
    while let Some(giver) = rich.get(at).copied() {
        let load = loads.of(giver);
        // Nobody at all has two less: nobody further down the list can give anything either.
        if loads.0.first().is_none_or(|(least, _)| load < least + 2) {
            return;
        }
        let topics: BTreeSet<Uuid> = shares.get(giver).into_iter().flatten().map(|(topic, _)| *topic).collect();
        let taker_of = |topic: &Uuid| members_of.get(topic).and_then(|members| loads.poorest(members));
        let best = topics.iter().filter_map(|topic| Some((*topic, taker_of(topic)?)));
        let best = best.min_by_key(|(_, taker)| loads.of(taker)).filter(|(_, taker)| loads.of(taker) + 2 <= load);
        let Some((topic, taker)) = best else {
            at += 1;
            continue;
        };
        let part = shares.get(giver).and_then(|share| share.iter().rev().find(|(id, _)| *id == topic)).copied();
        let Some(part) = part else { return };
        if let Some(share) = shares.get_mut(giver) {
            share.remove(&part);
            loads.set(giver, share.len());
        }
        if let Some(share) = shares.get_mut(taker) {
            share.insert(part);
            loads.set(taker, share.len());
        }
        rich = by_wealth(loads);
        at = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn topic(number: u8) -> Uuid {
        Uuid::from_u128(u128::from(number) + 1)
    }

    #[test]
    fn ranges_stand_together_over_topics() {
        let both = vec![(topic(0), 5), (topic(1), 5)];
        let wants = Wants::from([("a", both.clone()), ("b", both)]);
        let shares = assign(Assignor::Range, &wants, &Shares::new());
        let numbers = |member: &str| shares[member].iter().map(|(_, partition)| *partition).collect::<Vec<_>>();
        assert_eq!((numbers("a"), numbers("b")), (vec![0, 1, 2, 0, 1, 2], vec![3, 4, 3, 4]));
    }

    #[test]
    fn who_comes_takes_no_more_than_its_part_and_the_others_keep_theirs() {
        let wants =
            |members: &[&'static str]| members.iter().map(|id| (*id, vec![(topic(0), 12)])).collect::<Wants<'_>>();
        let two = assign(Assignor::Uniform, &wants(&["a", "b"]), &Shares::new());
        let three = assign(Assignor::Uniform, &wants(&["a", "b", "c"]), &two);
        assert!(three.values().all(|share| share.len() == 4));
        assert!(three["a"].is_subset(&two["a"]) && three["b"].is_subset(&two["b"]));
        let again = assign(Assignor::Uniform, &wants(&["a", "b"]), &three);
        assert!(three["a"].is_subset(&again["a"]) && again["a"].len() == 6);
    }

    proptest! {
        #[test]
        fn every_wanted_partition_has_one_owner_who_wants_it(
            counts in proptest::collection::vec(0i32..20, 1..5),
            subscriptions in proptest::collection::vec(proptest::collection::btree_set(0usize..5, 0..5), 1..7),
            later in proptest::collection::vec(proptest::collection::btree_set(0usize..5, 0..5), 1..7),
            by in prop_oneof![Just(Assignor::Uniform), Just(Assignor::Range)],
        ) {
            let names: Vec<_> = (0..7).map(|number| format!("m{number}")).collect();
            let wants = |subscriptions: &[BTreeSet<usize>]| -> Vec<(usize, Vec<(Uuid, i32)>)> {
                let of = |wanted: &BTreeSet<usize>| wanted.iter().filter_map(|index| {
                    Some((topic(u8::try_from(*index).unwrap()), *counts.get(*index)?))
                }).collect();
                subscriptions.iter().map(of).enumerate().collect()
            };
            let mut before = Shares::new();
            for round in [&subscriptions, &later] {
                let wants: Wants<'_> = wants(round).into_iter().map(|(index, wanted)| (names[index].as_str(), wanted)).collect();
                let shares = assign(by, &wants, &before);
                let mut seen = BTreeSet::new();
                for (member, share) in &shares {
                    for part in share {
                        prop_assert!(seen.insert(*part), "twice");
                        prop_assert!(wants[member.as_str()].iter().any(|(id, count)| *id == part.0 && part.1 < *count));
                    }
                }
                let all: BTreeSet<Part> = wants.values().flatten()
                    .flat_map(|(id, count)| (0..*count).map(|partition| (*id, partition))).collect();
                prop_assert_eq!(&seen, &all);
                let same = wants.values().all(|wanted| wanted == wants.values().next().unwrap());
                if by == Assignor::Uniform && same {
                    let loads: Vec<_> = shares.values().map(BTreeSet::len).collect();
                    prop_assert!(loads.iter().max().unwrap() - loads.iter().min().unwrap() <= 1);
                }
                before = shares;
            }
        }
    }
}
