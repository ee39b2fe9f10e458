//! One consumer group as a state machine: members join, the leader assigns, members sync, beat, leave, expire.
//!
//! It knows no socket and no clock but the one handed in; answers go to an outbox, so that they can be held back
//! until the state they rest on is on disk.

mod join;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};

use logmill_bus_protocol::{ResponseError, subscribed_topics};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::member::{Member, MemberEntry};
use super::messages::{Joined, Reply, Sync, Synced, Who};

/// How long an empty group waits for more members after its first: several that start together share one
/// generation, and one that starts alone hardly notices.
const FIRST_WINDOW: Duration = Duration::from_millis(150);
/// Members of one group, with those that were given an id and have not come back: each is told to the leader.
const MEMBERS_MAX: usize = 1000;
/// What one member may tell its leader: a consumer of ten thousand topics takes half of it.
const METADATA_BYTES_MAX: usize = 1 << 20;
/// What all members of a group may take: the leader brings their assignments back in one request, which may be so long.
const BYTES_MAX: usize = 8 << 20;
/// How far the generation jumps after a restart. Generations that never became stable were not written down: a
/// client of one of them must not meet its number again.
const GENERATIONS_SKIPPED: i32 = 1000;
/// Sessions must lie between these, as clients expect of `group.min/max.session.timeout.ms`; the lower end is
/// lower than Kafka's 6 s, the machine is near.
const SESSION_LEAST: Duration = Duration::from_millis(500);
const SESSION_MOST: Duration = Duration::from_secs(1800);

/// Where the group stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// No members; offsets may be there.
    Empty,
    /// A new generation gathers. Who is not there by `until` is left behind; `first`: more may come in that time.
    Joining { until: Instant, first: bool },
    /// The generation stands, the leader has until then to assign.
    Syncing { until: Instant },
    /// Everybody reads.
    Stable,
}

impl Phase {
    /// Kafka's name for it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Joining { .. } => "PreparingRebalance",
            Self::Syncing { .. } => "CompletingRebalance",
            Self::Stable => "Stable",
        }
    }
}

/// A group.
#[derive(Debug)]
pub(crate) struct Group {
    phase: Phase,
    generation: i32,
    protocol_type: Option<String>,
    protocol: Option<String>,
    leader: Option<String>,
    members: BTreeMap<String, Member>,
    /// Ids given to clients that have not come back with them, and until when.
    pending: HashMap<String, Instant>,
    outbox: Vec<Reply>,
    changed: bool,
    /// It was brought back and has made no generation since.
    restored: bool,
}

/// A group's members in the state file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct GroupEntry {
    generation: i32,
    protocol_type: Option<String>,
    protocol: Option<String>,
    leader: Option<String>,
    members: Vec<MemberEntry>,
    /// When a member was last seen, in milliseconds since 1970; set by whoever has a calendar.
    #[serde(default)]
    pub(crate) active_ms: Option<u64>,
}

type Code = Result<(), i16>;

const fn refuse<T>(error: ResponseError) -> Result<T, i16> {
    Err(error.code())
}

impl Group {
    pub(crate) fn new() -> Self {
        Self {
            phase: Phase::Empty,
            generation: 0,
            protocol_type: None,
            protocol: None,
            leader: None,
            members: BTreeMap::new(),
            pending: HashMap::new(),
            outbox: Vec::new(),
            changed: false,
            restored: false,
        }
    }

    /// The group as it stood when it was last stable or empty.
    pub(crate) fn restore(entry: GroupEntry, now: Instant) -> Self {
        let named = |member: MemberEntry| {
            let member = member.restore(now);
            (member.id.clone(), member)
        };
        let members: BTreeMap<_, _> = entry.members.into_iter().map(named).collect();
        Self {
            phase: if members.is_empty() { Phase::Empty } else { Phase::Stable },
            generation: entry.generation,
            protocol_type: entry.protocol_type,
            protocol: entry.protocol,
            leader: entry.leader,
            members,
            restored: true,
            ..Self::new()
        }
    }

    /// The group for the state file.
    pub(crate) fn entry(&self) -> GroupEntry {
        GroupEntry {
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader: self.leader.clone(),
            members: self.members.values().map(Member::entry).collect(),
            active_ms: None,
        }
    }

    pub(crate) const fn phase(&self) -> Phase {
        self.phase
    }
    pub(crate) fn protocol_type(&self) -> &str {
        self.protocol_type.as_deref().unwrap_or_default()
    }
    pub(crate) fn protocol(&self) -> &str {
        self.protocol.as_deref().unwrap_or_default()
    }
    pub(crate) fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.values()
    }
    /// What its members take in memory, about.
    pub(crate) fn bytes(&self) -> usize {
        self.members.values().map(Member::bytes).sum()
    }

    /// The topics that its members subscribe to; `None` when they are no consumers, or say it in a way of their own.
    pub(crate) fn subscribed(&self) -> Option<BTreeSet<String>> {
        /// The type of all clients that read topics; others (Connect workers) share other things.
        const CONSUMER: &str = "consumer";
        if self.protocol_type() != CONSUMER {
            return None;
        }
        let mut all = BTreeSet::new();
        for member in self.members.values() {
            for (_, metadata) in &member.protocols {
                all.extend(subscribed_topics(metadata).ok()?);
            }
        }
        Some(all)
    }

    /// Nobody is in it nor about to be.
    pub(crate) fn is_deserted(&self) -> bool {
        self.members.is_empty() && self.pending.is_empty()
    }

    /// Answers that are ready; when the second is true they may go only after [`Self::entry`] is on disk.
    pub(crate) fn take_outbox(&mut self) -> (Vec<Reply>, bool) {
        (std::mem::take(&mut self.outbox), std::mem::take(&mut self.changed))
    }

    /// A new generation is to gather, or gathers and may be complete.
    fn rebalance(&mut self, now: Instant) {
        match self.phase {
            Phase::Joining { .. } => {}
            Phase::Empty => self.phase = Phase::Joining { until: now + FIRST_WINDOW, first: true },
            Phase::Stable | Phase::Syncing { .. } => {
                let again = ResponseError::RebalanceInProgress.code();
                for member in self.members.values_mut() {
                    member.synced = false;
                    if let Some(waiting) = member.syncing.take() {
                        // It was here all the time: its session begins anew.
                        member.heard = now;
                        self.outbox.push(Reply::Synced(waiting, Synced::refused(again)));
                    }
                }
                self.phase = Phase::Joining { until: now + self.rebalance_most(), first: false };
            }
        }
        let everybody = self.pending.is_empty() && self.members.values().all(|member| member.joining.is_some());
        if everybody && !matches!(self.phase, Phase::Joining { first: true, .. }) {
            self.complete_join(now);
        }
    }

    fn rebalance_most(&self) -> Duration {
        self.members.values().map(|member| member.rebalance).max().unwrap_or_default().min(SESSION_MOST)
    }

    /// The generation stands with whoever is there.
    fn complete_join(&mut self, now: Instant) {
        let left_behind = |member: &Member| member.joining.is_none() && member.instance_id.is_none();
        self.members.retain(|_, member| !left_behind(member));
        let joined = |member: &&Member| member.joining.is_some();
        let Some(first) = self.members.values().find(joined).map(|member| member.id.clone()) else {
            if self.members.is_empty() {
                self.become_empty();
            } else {
                // Only static members that have not come back: their sessions decide.
                self.phase = Phase::Joining { until: now + self.rebalance_most(), first: false };
            }
            return;
        };
        self.next_generation();
        self.protocol = self.vote();
        let leader_is_here =
            self.leader.as_ref().and_then(|id| self.members.get(id)).is_some_and(|member| member.joining.is_some());
        if !leader_is_here {
            self.leader = Some(first);
        }
        self.phase = Phase::Syncing { until: now + self.rebalance_most() };
        let ids: Vec<_> = self.members.keys().cloned().collect();
        for id in ids {
            let answer = self.joined(&id);
            let Some(member) = self.members.get_mut(&id) else { continue };
            member.assignment = bytes::Bytes::new();
            member.synced = false;
            if let Some(waiting) = member.joining.take() {
                member.heard = now;
                self.outbox.push(Reply::Joined(waiting, answer));
            }
        }
    }

    fn next_generation(&mut self) {
        let step = if std::mem::take(&mut self.restored) { GENERATIONS_SKIPPED } else { 1 };
        self.generation = self.generation.wrapping_add(step).max(1);
    }

    fn become_empty(&mut self) {
        self.phase = Phase::Empty;
        self.next_generation();
        self.protocol = None;
        self.leader = None;
        self.changed = true;
    }

    /// Whether this is a member of this generation; it is heard of if so.
    fn recognise(&mut self, who: &Who, now: Instant) -> Code {
        if let Some(instance) = &who.instance_id
            && let Some(holder) = self.static_member(instance)
            && holder != who.member_id
        {
            return refuse(ResponseError::FencedInstanceId);
        }
        let Some(member) = self.members.get_mut(&who.member_id) else {
            return refuse(ResponseError::UnknownMemberId);
        };
        if who.generation != self.generation {
            return refuse(ResponseError::IllegalGeneration);
        }
        member.heard = now;
        Ok(())
    }

    /// A member asks for its assignment.
    pub(crate) fn sync(&mut self, sync: Sync, now: Instant, reply: oneshot::Sender<Synced>) {
        let differs = |theirs: &Option<String>, ours: &Option<String>| theirs.is_some() && theirs != ours;
        let recognised = self.recognise(&sync.who, now).and_then(|()| {
            if differs(&sync.protocol_type, &self.protocol_type) || differs(&sync.protocol, &self.protocol) {
                return refuse(ResponseError::InconsistentGroupProtocol);
            }
            match self.phase {
                Phase::Joining { .. } => refuse(ResponseError::RebalanceInProgress),
                Phase::Empty => refuse(ResponseError::UnknownMemberId),
                Phase::Syncing { .. } | Phase::Stable => Ok(()),
            }
        });
        if let Err(error) = recognised {
            return self.outbox.push(Reply::Synced(reply, Synced::refused(error)));
        }
        let leads = self.leader.as_ref() == Some(&sync.who.member_id);
        if let Some(member) = self.members.get_mut(&sync.who.member_id) {
            member.synced = true;
            member.syncing = Some(reply);
        }
        if leads && matches!(self.phase, Phase::Syncing { .. }) {
            for (id, assignment) in sync.assignments {
                if let Some(member) = self.members.get_mut(&id) {
                    member.assignment = assignment;
                }
            }
            self.phase = Phase::Stable;
            self.changed = true;
        }
        if self.phase == Phase::Stable {
            for member in self.members.values_mut() {
                if let Some(waiting) = member.syncing.take() {
                    member.heard = now;
                    let answer = Synced {
                        error: 0,
                        protocol_type: self.protocol_type.clone(),
                        protocol: self.protocol.clone(),
                        assignment: member.assignment.clone(),
                    };
                    self.outbox.push(Reply::Synced(waiting, answer));
                }
            }
        }
    }

    /// A member says that it lives.
    pub(crate) fn heartbeat(&mut self, who: &Who, now: Instant) -> Code {
        self.recognise(who, now)?;
        match self.phase {
            Phase::Joining { .. } => refuse(ResponseError::RebalanceInProgress),
            _ => Ok(()),
        }
    }

    /// Whether this may commit offsets. Without a generation only a group without members takes them.
    pub(crate) fn may_commit(&mut self, who: &Who, now: Instant) -> Code {
        if who.generation < 0 && who.member_id.is_empty() {
            return if self.members.is_empty() { Ok(()) } else { refuse(ResponseError::UnknownMemberId) };
        }
        self.recognise(who, now)?;
        match self.phase {
            Phase::Syncing { .. } => refuse(ResponseError::RebalanceInProgress),
            _ => Ok(()),
        }
    }

    /// A member leaves, named by its id or by its instance.
    pub(crate) fn leave(&mut self, member_id: &str, instance_id: Option<&str>, now: Instant) -> Code {
        let id = match instance_id.map(|instance| self.static_member(instance)) {
            Some(None) => return refuse(ResponseError::UnknownMemberId),
            Some(Some(holder)) if !member_id.is_empty() && holder != member_id => {
                return refuse(ResponseError::FencedInstanceId);
            }
            Some(Some(holder)) => holder,
            None => member_id.to_owned(),
        };
        if self.pending.remove(&id).is_some() {
            self.after_loss(now);
            return Ok(());
        }
        if !self.remove(&id) {
            return refuse(ResponseError::UnknownMemberId);
        }
        self.after_loss(now);
        Ok(())
    }

    /// Whether it was there.
    fn remove(&mut self, id: &str) -> bool {
        let Some(member) = self.members.remove(id) else { return false };
        let unknown = ResponseError::UnknownMemberId.code();
        if let Some(waiting) = member.joining {
            self.outbox.push(Reply::Joined(waiting, Joined::refused(unknown, id.to_owned())));
        }
        if let Some(waiting) = member.syncing {
            self.outbox.push(Reply::Synced(waiting, Synced::refused(unknown)));
        }
        true
    }

    /// Somebody went: the rest share anew, or the generation that gathers is now complete.
    fn after_loss(&mut self, now: Instant) {
        match self.phase {
            Phase::Empty => {}
            _ if self.members.is_empty() && self.pending.is_empty() => self.become_empty(),
            _ => self.rebalance(now),
        }
    }

    /// Does what is due at `now`.
    pub(crate) fn expire(&mut self, now: Instant) {
        let before = self.members.len() + self.pending.len();
        self.pending.retain(|_, until| *until > now);
        let dead: Vec<_> = self
            .members
            .values()
            .filter(|member| member.dead_at().is_some_and(|at| at <= now))
            .map(|member| member.id.clone())
            .collect();
        for id in &dead {
            self.remove(id);
        }
        if self.members.len() + self.pending.len() < before {
            self.after_loss(now);
        }
        match self.phase {
            Phase::Joining { until, .. } if until <= now => self.complete_join(now),
            Phase::Syncing { until } if until <= now => {
                let late: Vec<_> =
                    self.members.values().filter(|member| !member.synced).map(|member| member.id.clone()).collect();
                for id in &late {
                    self.remove(id);
                }
                self.after_loss(now);
            }
            _ => {}
        }
    }

    /// When [`Self::expire`] has something to do at the earliest.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let phase = match self.phase {
            Phase::Joining { until, .. } | Phase::Syncing { until } => Some(until),
            Phase::Empty | Phase::Stable => None,
        };
        let members = self.members.values().filter_map(Member::dead_at);
        members.chain(self.pending.values().copied()).chain(phase).min()
    }
}

#[cfg(test)]
mod tests;
