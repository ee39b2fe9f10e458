//! One group of the newer protocol (KIP-848) as a state machine: members say what they subscribe to and what they
//! own, the broker assigns, and each member is led there by its heartbeats: it gives up first, others take then.
//!
//! It knows no socket, no disk and no clock but the one handed in.

mod assign;
mod member;
mod subscribe;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use logmill_bus_protocol::ResponseError;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub(crate) use assign::Assignor;
pub(crate) use member::{Member, MemberEntry, Progress};

/// A partition of a topic by its id.
pub(crate) type Part = (Uuid, i32);

/// How often members are told to come, as Kafka's `group.consumer.heartbeat.interval.ms`.
pub(crate) const BEAT_EVERY: Duration = Duration::from_secs(5);
/// Who is silent for so long is dead, as Kafka's `group.consumer.session.timeout.ms`.
pub(crate) const SESSION: Duration = Duration::from_secs(45);
/// Members of one group: each costs a share of every assignment.
const MEMBERS_MAX: usize = 1000;
/// What members may say about themselves and their topics together, as of classic groups.
const BYTES_MAX: usize = 8 << 20;
/// The epochs with which members come and go.
pub(crate) const JOINS: i32 = 0;
pub(crate) const LEAVES: i32 = -1;
/// A static member goes and will be back.
pub(crate) const PAUSES: i32 = -2;

/// All topics by name, and a number that is new whenever one of them changes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Catalogue {
    pub(crate) version: u64,
    /// Id and partitions.
    pub(crate) topics: BTreeMap<Arc<str>, (Uuid, i32)>,
}

/// A heartbeat. What is `None` has not changed since the last.
#[derive(Clone, Debug, Default)]
pub(crate) struct Beat {
    pub(crate) member_id: String,
    pub(crate) epoch: i32,
    pub(crate) instance_id: Option<String>,
    pub(crate) rack: Option<String>,
    /// How long it may take to give partitions up.
    pub(crate) rebalance: Option<Duration>,
    pub(crate) names: Option<BTreeSet<String>>,
    pub(crate) pattern: Option<String>,
    pub(crate) assignor: Option<Assignor>,
    pub(crate) owned: Option<BTreeSet<Part>>,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
}

/// The answer to a heartbeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) member_id: String,
    pub(crate) epoch: i32,
    /// What the member should own now, when that is news.
    pub(crate) assignment: Option<BTreeMap<Uuid, Vec<i32>>>,
}

/// Why a heartbeat is refused.
pub(crate) type Refusal = (ResponseError, String);

fn refuse<T>(error: ResponseError, why: impl Into<String>) -> Result<T, Refusal> {
    Err((error, why.into()))
}

/// A group.
#[derive(Debug, Default)]
pub(crate) struct Group {
    /// Raised whenever members, what they want, or their topics change.
    epoch: i32,
    /// The group's epoch for which the target was made.
    target_epoch: i32,
    target: BTreeMap<String, BTreeSet<Part>>,
    members: BTreeMap<String, Member>,
    /// The topics that are subscribed to, as they were when the epoch was last looked at.
    topics: BTreeMap<Arc<str>, (Uuid, i32)>,
    seen_version: Option<u64>,
    changed: bool,
}

/// A group in the state file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct GroupEntry {
    epoch: i32,
    target_epoch: i32,
    target: BTreeMap<String, Vec<(String, Vec<i32>)>>,
    members: Vec<MemberEntry>,
    topics: BTreeMap<String, (String, i32)>,
    /// When a member was last seen, in milliseconds since 1970; set by whoever has a calendar.
    pub(crate) active_ms: u64,
}

impl Group {
    /// The group as it stood on disk; members are alive for another session from `now` on.
    pub(crate) fn restore(entry: GroupEntry, now: Instant) -> Self {
        let topic =
            |(name, (id, count)): (String, (String, i32))| Some((name.into(), (Uuid::parse_str(&id).ok()?, count)));
        let members = entry.members.into_iter().map(|member| member.restore(now));
        Self {
            epoch: entry.epoch,
            target_epoch: entry.target_epoch,
            target: entry.target.into_iter().map(|(id, parts)| (id, member::parts_of(parts))).collect(),
            members: members.map(|member| (member.id.clone(), member)).collect(),
            topics: entry.topics.into_iter().filter_map(topic).collect(),
            seen_version: None,
            changed: false,
        }
    }

    /// The group for the state file.
    pub(crate) fn entry(&self) -> GroupEntry {
        let topic = |(name, (id, count)): (&Arc<str>, &(Uuid, i32))| (name.to_string(), (id.to_string(), *count));
        GroupEntry {
            epoch: self.epoch,
            target_epoch: self.target_epoch,
            target: self.target.iter().map(|(id, parts)| (id.clone(), member::lists_of(parts))).collect(),
            members: self.members.values().map(Member::entry).collect(),
            topics: self.topics.iter().map(topic).collect(),
            active_ms: 0,
        }
    }

    /// Whether [`Self::entry`] differs from what it was when this was last asked.
    pub(crate) fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    pub(crate) const fn epochs(&self) -> (i32, i32) {
        (self.epoch, self.target_epoch)
    }

    pub(crate) fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.values()
    }

    pub(crate) fn target_of(&self, id: &str) -> impl Iterator<Item = &Part> {
        self.target.get(id).into_iter().flatten()
    }

    /// What its members take in memory, about.
    pub(crate) fn bytes(&self) -> usize {
        self.members.values().map(Member::bytes).sum()
    }

    /// The topics that its members read.
    pub(crate) fn subscribed(&self) -> BTreeSet<String> {
        self.members.values().flat_map(|member| &member.topics).map(ToString::to_string).collect()
    }

    /// Kafka's name for where it stands.
    pub(crate) fn state(&self) -> &'static str {
        let is_there = |member: &Member| member.progress == Progress::Stable && member.epoch == self.target_epoch;
        match () {
            () if self.members.is_empty() => "Empty",
            () if self.epoch > self.target_epoch => "Assigning",
            () if self.members.values().all(is_there) => "Stable",
            () => "Reconciling",
        }
    }

    /// The assignor that most members want; the uniform one where none says.
    pub(crate) fn assignor(&self) -> Assignor {
        let votes = |wanted| self.members.values().filter(|member| member.assignor == Some(wanted)).count();
        if votes(Assignor::Range) > votes(Assignor::Uniform) { Assignor::Range } else { Assignor::Uniform }
    }

    /// A member beats; `may_see` says which topics a pattern may find for it.
    pub(crate) fn beat(
        &mut self,
        beat: &Beat,
        topics: &Catalogue,
        may_see: &dyn Fn(&str) -> bool,
        now: Instant,
    ) -> Result<Told, Refusal> {
        if matches!(beat.epoch, LEAVES | PAUSES) {
            return self.leave(beat, now);
        }
        // Before anybody is let in: a pattern that can't be understood leaves no trace.
        if let Some(pattern) = beat.pattern.as_deref().filter(|pattern| !pattern.is_empty()) {
            subscribe::compile(pattern)?;
        }
        let before = self.members.get(&beat.member_id).map(|member| member.assigned.clone());
        let is_new = self.admit(beat, now)?;
        let wants_more = self.subscribe(beat, topics, may_see, now)?;
        self.look_at_topics(topics, is_new || wants_more);
        if self.epoch > self.target_epoch {
            self.assign();
        }
        self.reconcile(&beat.member_id, beat.owned.as_ref(), now);
        let member = self.members.get(&beat.member_id).ok_or((ResponseError::UnknownMemberId, String::new()))?;
        let says_all =
            beat.rebalance.is_some() && beat.owned.is_some() && (beat.names.is_some() || beat.pattern.is_some());
        // An epoch of before says that the last answer was not heard.
        let is_news = beat.epoch == JOINS
            || beat.epoch == member.previous_epoch
            || says_all
            || before.as_ref() != Some(&member.assigned);
        Ok(Told {
            member_id: member.id.clone(),
            epoch: member.epoch,
            assignment: is_news.then(|| member::by_topic(&member.assigned)),
        })
    }

    /// Finds the member, or makes it; whether it is new to the group.
    fn admit(&mut self, beat: &Beat, now: Instant) -> Result<bool, Refusal> {
        let holder = beat.instance_id.as_deref().and_then(|instance| self.static_member(instance));
        if let Some(holder) = holder.filter(|holder| *holder != beat.member_id) {
            if beat.epoch != JOINS {
                return refuse(ResponseError::FencedInstanceId, "another member has this instance id");
            }
            return self.replace_static(&holder, beat, now).map(|()| false);
        }
        let full = self.members.len() >= MEMBERS_MAX || self.bytes() > BYTES_MAX;
        let Some(member) = self.members.get_mut(&beat.member_id) else {
            if beat.epoch != JOINS {
                return refuse(ResponseError::UnknownMemberId, "there is no such member: join with epoch 0");
            }
            if full {
                return refuse(
                    ResponseError::GroupMaxSizeReached,
                    format!("a group has at most {MEMBERS_MAX} members"),
                );
            }
            self.members.insert(beat.member_id.clone(), Member::new(beat, now));
            return Ok(true);
        };
        if beat.epoch == JOINS {
            // It has lost what it knew, or the answer to its first heartbeat: it owns nothing now.
            member.begin_anew();
            self.changed = true;
        } else if beat.epoch != member.epoch {
            // The answer that raised the epoch may have been lost: then it owns nothing beyond what it should.
            let is_last = beat.epoch == member.previous_epoch
                && beat.owned.as_ref().is_some_and(|owned| owned.is_subset(&member.assigned));
            if !is_last {
                let why =
                    format!("epoch {} is not {}: give all partitions up and join again", beat.epoch, member.epoch);
                return refuse(ResponseError::FencedMemberEpoch, why);
            }
        }
        member.heard = now;
        Ok(false)
    }

    /// A static member has restarted: it takes over the place of its former self, which must have left.
    fn replace_static(&mut self, old_id: &str, beat: &Beat, now: Instant) -> Result<(), Refusal> {
        let released = self.members.get(old_id).is_some_and(|member| member.epoch == PAUSES);
        if !released {
            return refuse(ResponseError::UnreleasedInstanceId, "the member with this instance id has not left");
        }
        if let Some(mut member) = self.members.remove(old_id) {
            member.id.clone_from(&beat.member_id);
            member.epoch = JOINS;
            member.previous_epoch = JOINS;
            member.heard = now;
            self.members.insert(member.id.clone(), member);
        }
        if let Some(target) = self.target.remove(old_id) {
            self.target.insert(beat.member_id.clone(), target);
        }
        self.changed = true;
        Ok(())
    }

    fn static_member(&self, instance: &str) -> Option<String> {
        let is_it = |member: &&Member| member.instance_id.as_deref() == Some(instance);
        self.members.values().find(is_it).map(|member| member.id.clone())
    }

    fn leave(&mut self, beat: &Beat, now: Instant) -> Result<Told, Refusal> {
        let holder = beat.instance_id.as_deref().and_then(|instance| self.static_member(instance));
        if holder.is_some_and(|holder| holder != beat.member_id) {
            return refuse(ResponseError::FencedInstanceId, "another member has this instance id");
        }
        let Some(member) = self.members.get_mut(&beat.member_id) else {
            return refuse(ResponseError::UnknownMemberId, "there is no such member");
        };
        if beat.epoch == PAUSES {
            if member.instance_id.is_none() {
                return refuse(ResponseError::InvalidRequest, "only a static member may leave with epoch -2");
            }
            // Its place is kept until its session ends.
            member.pause(now);
            self.changed = true;
        } else {
            self.remove(&beat.member_id.clone());
        }
        Ok(Told { member_id: beat.member_id.clone(), epoch: beat.epoch, assignment: None })
    }

    fn remove(&mut self, id: &str) {
        if self.members.remove(id).is_some() {
            self.target.remove(id);
            self.epoch += 1;
            self.changed = true;
        }
    }

    /// Makes the target for the epoch in force.
    fn assign(&mut self) {
        let wants: BTreeMap<&str, Vec<(Uuid, i32)>> = self
            .members
            .values()
            .map(|member| {
                let topics = member.topics.iter().filter_map(|name| self.topics.get(name).copied());
                (member.id.as_str(), topics.collect())
            })
            .collect();
        self.target = assign::assign(self.assignor(), &wants, &self.target);
        self.target_epoch = self.epoch;
        self.changed = true;
    }

    /// Leads a member towards its target: it gives up what it should not have; when it has, it gets what is free.
    fn reconcile(&mut self, id: &str, owned: Option<&BTreeSet<Part>>, now: Instant) {
        let target = self.target.get(id).cloned().unwrap_or_default();
        let Some(member) = self.members.get(id) else { return };
        let still_owns = |parts: &BTreeSet<Part>| owned.is_none_or(|owned| !owned.is_disjoint(parts));
        let settled = match member.progress {
            Progress::Stable => member.epoch == self.target_epoch,
            Progress::Revoking => still_owns(&member.revoking),
            Progress::Waiting => false,
        };
        if settled {
            return;
        }
        let missing: BTreeSet<Part> = target.difference(&member.assigned).copied().collect();
        let taken = self.taken_by_others(id, &missing);
        let Some(member) = self.members.get_mut(id) else { return };
        let before = (member.epoch, member.progress, member.assigned.clone());
        let surplus: BTreeSet<Part> = member.assigned.difference(&target).copied().collect();
        member.assigned = member.assigned.intersection(&target).copied().collect();
        if !surplus.is_empty() && still_owns(&surplus) {
            member.progress = Progress::Revoking;
            member.revoking = surplus;
            member.revoke_until = Some(now + member.rebalance);
        } else {
            member.revoking.clear();
            member.revoke_until = None;
            member.assigned.extend(missing.difference(&taken));
            member.progress = if taken.is_empty() { Progress::Stable } else { Progress::Waiting };
            if member.epoch != self.target_epoch {
                member.previous_epoch = std::mem::replace(&mut member.epoch, self.target_epoch);
            }
        }
        self.changed |= before != (member.epoch, member.progress, member.assigned.clone());
    }

    /// Those of `wanted` that other members have or are giving up.
    fn taken_by_others(&self, id: &str, wanted: &BTreeSet<Part>) -> BTreeSet<Part> {
        if wanted.is_empty() {
            return BTreeSet::new();
        }
        let others = self.members.values().filter(|member| member.id != id);
        let held: HashSet<&Part> = others.flat_map(|member| member.assigned.iter().chain(&member.revoking)).collect();
        wanted.iter().filter(|part| held.contains(part)).copied().collect()
    }

    /// Whether this may commit or fetch offsets as a member.
    pub(crate) fn may_commit(&self, member_id: &str, epoch: i32) -> Result<(), i16> {
        if epoch < 0 && (member_id.is_empty() || self.members.is_empty()) {
            return if self.members.is_empty() { Ok(()) } else { Err(ResponseError::UnknownMemberId.code()) };
        }
        match self.members.get(member_id) {
            None => Err(ResponseError::UnknownMemberId.code()),
            Some(member) if member.epoch != epoch => Err(ResponseError::StaleMemberEpoch.code()),
            Some(_) => Ok(()),
        }
    }

    /// Fences off who was silent for too long or does not give up what it should.
    pub(crate) fn expire(&mut self, now: Instant) {
        let is_dead = |member: &&Member| member.dead_at() <= now;
        let dead: Vec<_> = self.members.values().filter(is_dead).map(|member| member.id.clone()).collect();
        for id in dead {
            self.remove(&id);
        }
    }

    /// When [`Self::expire`] has something to do at the earliest.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.members.values().map(Member::dead_at).min()
    }
}

#[cfg(test)]
mod tests;
