//! A member of a consumer group: what it wants, what it has, and how far it is on the way from one to the other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Assignor, Beat, PAUSES, Part, SESSION};

/// How far a member is on its way to its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Progress {
    /// It has what it should.
    Stable,
    /// It is to give up partitions and has not said that it did.
    Revoking,
    /// Others have not given up yet what it is to have.
    Waiting,
}

/// A member.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) id: String,
    pub(crate) instance_id: Option<String>,
    pub(crate) rack: Option<String>,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    pub(crate) names: BTreeSet<String>,
    pub(crate) pattern: Option<String>,
    pub(crate) assignor: Option<Assignor>,
    pub(crate) epoch: i32,
    pub(crate) assigned: BTreeSet<Part>,
    pub(crate) revoking: BTreeSet<Part>,
    pub(super) rebalance: Duration,
    pub(super) previous_epoch: i32,
    pub(super) progress: Progress,
    /// The topics that it reads: by name, and those that its pattern has found.
    pub(super) topics: BTreeSet<Arc<str>>,
    /// The catalogue in which they were looked up.
    pub(super) seen_version: Option<u64>,
    pub(super) heard: Instant,
    pub(super) revoke_until: Option<Instant>,
}

impl Member {
    pub(super) fn new(beat: &Beat, now: Instant) -> Self {
        Self {
            id: beat.member_id.clone(),
            instance_id: beat.instance_id.clone(),
            rack: beat.rack.clone(),
            client_id: beat.client_id.clone(),
            client_host: beat.client_host.clone(),
            names: BTreeSet::new(),
            pattern: None,
            assignor: None,
            epoch: 0,
            assigned: BTreeSet::new(),
            revoking: BTreeSet::new(),
            rebalance: beat.rebalance.unwrap_or(SESSION),
            previous_epoch: 0,
            progress: Progress::Stable,
            topics: BTreeSet::new(),
            seen_version: None,
            heard: now,
            revoke_until: None,
        }
    }

    /// It comes back with nothing.
    pub(super) fn begin_anew(&mut self) {
        self.assigned.clear();
        self.revoking.clear();
        self.revoke_until = None;
        self.progress = Progress::Stable;
        self.epoch = 0;
        self.previous_epoch = 0;
    }

    /// It goes and will be back; it owns nothing meanwhile, but nobody else gets what is its.
    pub(super) fn pause(&mut self, now: Instant) {
        self.epoch = PAUSES;
        self.revoking.clear();
        self.revoke_until = None;
        self.progress = Progress::Stable;
        self.heard = now;
    }

    /// When it is dead unless it is heard of or gives up what it should.
    pub(super) fn dead_at(&self) -> Instant {
        let session = self.heard + SESSION;
        self.revoke_until.map_or(session, |until| until.min(session))
    }

    /// What it takes in memory, about.
    pub(super) fn bytes(&self) -> usize {
        /// A name in a set.
        const NAME: usize = 48;
        let own = self.id.len() + self.client_id.len() + self.instance_id.as_ref().map_or(0, String::len);
        let names: usize = self.names.iter().map(|name| NAME + name.len()).sum();
        own + names + self.topics.len() * NAME + (self.assigned.len() + self.revoking.len()) * size_of::<Part>()
    }

    pub(super) fn entry(&self) -> MemberEntry {
        MemberEntry {
            id: self.id.clone(),
            instance_id: self.instance_id.clone(),
            rack: self.rack.clone(),
            client_id: self.client_id.clone(),
            client_host: self.client_host.clone(),
            names: self.names.clone(),
            pattern: self.pattern.clone(),
            assignor: self.assignor,
            epoch: self.epoch,
            previous_epoch: self.previous_epoch,
            progress: self.progress,
            assigned: lists_of(&self.assigned),
            revoking: lists_of(&self.revoking),
            rebalance_ms: u64::try_from(self.rebalance.as_millis()).unwrap_or(u64::MAX),
            topics: self.topics.iter().map(ToString::to_string).collect(),
        }
    }
}

/// A member in the state file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MemberEntry {
    id: String,
    instance_id: Option<String>,
    rack: Option<String>,
    client_id: String,
    client_host: String,
    names: BTreeSet<String>,
    pattern: Option<String>,
    assignor: Option<Assignor>,
    epoch: i32,
    previous_epoch: i32,
    progress: Progress,
    assigned: Vec<(String, Vec<i32>)>,
    revoking: Vec<(String, Vec<i32>)>,
    rebalance_ms: u64,
    topics: Vec<String>,
}

impl MemberEntry {
    /// The member as it was, alive for another session from `now` on.
    pub(super) fn restore(self, now: Instant) -> Member {
        let rebalance = Duration::from_millis(self.rebalance_ms);
        Member {
            id: self.id,
            instance_id: self.instance_id,
            rack: self.rack,
            client_id: self.client_id,
            client_host: self.client_host,
            names: self.names,
            pattern: self.pattern,
            assignor: self.assignor,
            epoch: self.epoch,
            assigned: parts_of(self.assigned),
            revoking: parts_of(self.revoking),
            rebalance,
            previous_epoch: self.previous_epoch,
            progress: self.progress,
            topics: self.topics.into_iter().map(Into::into).collect(),
            seen_version: None,
            heard: now,
            revoke_until: (self.progress == Progress::Revoking).then(|| now + rebalance),
        }
    }
}

/// Partitions by their topics.
pub(crate) fn by_topic<'p>(parts: impl IntoIterator<Item = &'p Part>) -> BTreeMap<Uuid, Vec<i32>> {
    let mut topics: BTreeMap<Uuid, Vec<i32>> = BTreeMap::new();
    for (topic, partition) in parts {
        topics.entry(*topic).or_default().push(*partition);
    }
    topics
}

/// The same as it stands in the state file.
pub(super) fn lists_of(parts: &BTreeSet<Part>) -> Vec<(String, Vec<i32>)> {
    by_topic(parts).into_iter().map(|(topic, partitions)| (topic.to_string(), partitions)).collect()
}

/// And back; what is no id is nobody's.
pub(super) fn parts_of(lists: Vec<(String, Vec<i32>)>) -> BTreeSet<Part> {
    let of_topic = |(topic, partitions): (String, Vec<i32>)| {
        let id = Uuid::parse_str(&topic).ok();
        id.into_iter().flat_map(move |id| partitions.clone().into_iter().map(move |partition| (id, partition)))
    };
    lists.into_iter().flat_map(of_topic).collect()
}
