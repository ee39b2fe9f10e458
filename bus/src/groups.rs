//! The coordinator: all groups with their members and committed offsets, kept on disk and expired in time.

mod beats;
pub(crate) mod consumer;
mod machine;
mod member;
mod messages;
mod offsets;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use logmill_bus_protocol::ResponseError;
use logmill_core::Shutdown;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, oneshot};

use crate::state_file::{Entries, StateFile};
use crate::state_key::{Change, StateKey};

use machine::{Group, GroupEntry};
pub(crate) use messages::{Join, Joined, JoinedMember, Sync, Synced, Who};
pub(crate) use offsets::NOTE_BYTES_MAX;

/// Groups at a time; the protocol lets anybody make one by asking.
const GROUPS_MAX: usize = 10_000;
/// What the members of all groups may take before nobody else may join: thirty groups of the largest size.
const BYTES_MAX: usize = 256 << 20;

/// How far a group has come in a partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Committed {
    pub(crate) offset: i64,
    /// Epoch of the record before it, -1 when the client did not say.
    pub(crate) leader_epoch: i32,
    /// The client's note.
    pub(crate) note: String,
    /// When, in milliseconds since 1970.
    pub(crate) at_ms: u64,
}

/// A topic by name and a partition of it.
pub(crate) type Place = (String, i32);

#[derive(Debug)]
struct Entry {
    /// The classic protocol's side; deserted while there are members of the newer.
    group: Group,
    /// The newer protocol's side, since somebody spoke it; empty while there are members of the classic.
    consumer: Option<consumer::Group>,
    offsets: BTreeMap<Place, Committed>,
    /// When a member was last seen to do anything, in milliseconds since 1970.
    active_ms: u64,
}

impl Entry {
    fn new() -> Self {
        Self { group: Group::new(), consumer: None, offsets: BTreeMap::new(), active_ms: now_ms() }
    }

    /// As it stands in the state file.
    fn written(&self) -> GroupEntry {
        let mut written = self.group.entry();
        written.active_ms = Some(self.active_ms);
        written
    }

    fn reads(&self) -> Reads {
        if self.is_deserted() {
            return Reads::Nothing;
        }
        if let Some(consumer) = self.consumer.as_ref().filter(|consumer| !consumer.is_empty()) {
            return Reads::Topics(consumer.subscribed());
        }
        self.group.subscribed().map_or(Reads::Anything, Reads::Topics)
    }

    fn is_deserted(&self) -> bool {
        self.group.is_deserted() && self.consumer.as_ref().is_none_or(consumer::Group::is_empty)
    }

    /// Whether it ever had members, as far as is known.
    fn had_members(&self) -> bool {
        self.consumer.is_some() || !self.group.protocol_type().is_empty()
    }

    fn is_nothing(&self) -> bool {
        self.is_deserted() && self.offsets.is_empty()
    }
}

/// A member as it is described to administrators.
#[derive(Clone, Debug)]
pub(crate) struct MemberInfo {
    pub(crate) id: String,
    pub(crate) instance_id: Option<String>,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    pub(crate) metadata: bytes::Bytes,
    pub(crate) assignment: bytes::Bytes,
}

/// A group as it is described to administrators.
#[derive(Clone, Debug)]
pub(crate) struct GroupInfo {
    pub(crate) name: String,
    /// Of which protocol it is: `classic` or `consumer`.
    pub(crate) kind: &'static str,
    pub(crate) state: &'static str,
    pub(crate) protocol_type: String,
    pub(crate) protocol: String,
    pub(crate) members: Vec<MemberInfo>,
}

/// What is told of groups in the metrics.
#[derive(Clone, Copy, Debug)]
pub(crate) enum GroupLine<'g> {
    Group { name: &'g str, state: &'static str, members: usize },
    Offset { name: &'g str, topic: &'g str, partition: i32, offset: i64 },
}

/// What the members of a group read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reads {
    /// There is none.
    Nothing,
    /// These topics and no others.
    Topics(BTreeSet<String>),
    /// They don't say it in a way that is understood: it may be anything.
    Anything,
}

/// All groups.
#[derive(Debug)]
pub(crate) struct Groups {
    state: StateFile,
    groups: Mutex<HashMap<String, Entry>>,
    /// What all members take, as of the last look.
    bytes: AtomicUsize,
    /// How long what deserted groups committed is kept.
    offsets_kept: Duration,
    /// Something may be due earlier than the timer thinks: after a join, a sync, a leave. What is heard of a member
    /// only makes its end later.
    sooner: Notify,
}

impl Groups {
    /// The groups of the state file; members are alive for another session from now on.
    pub(crate) fn restore(state: StateFile, entries: &Entries, offsets_kept: Duration) -> Self {
        let mut groups: HashMap<String, Entry> = HashMap::new();
        let now = Instant::now();
        for (key, value) in entries {
            match key {
                StateKey::Group(name) => match GroupEntry::deserialize(value) {
                    Ok(entry) => {
                        let known = groups.entry(name.clone()).or_insert_with(Entry::new);
                        known.active_ms = entry.active_ms.unwrap_or(known.active_ms);
                        known.group = Group::restore(entry, now);
                    }
                    Err(error) => tracing::warn!(group = name, %error, "the members of a group are not understood"),
                },
                StateKey::ConsumerGroup(name) => match consumer::GroupEntry::deserialize(value) {
                    Ok(entry) => {
                        let known = groups.entry(name.clone()).or_insert_with(Entry::new);
                        known.active_ms = entry.active_ms;
                        known.consumer = Some(consumer::Group::restore(entry, now));
                    }
                    Err(error) => tracing::warn!(group = name, %error, "the members of a group are not understood"),
                },
                StateKey::Offset(name, topic, partition) => match Committed::deserialize(value) {
                    Ok(committed) => {
                        let entry = groups.entry(name.clone()).or_insert_with(Entry::new);
                        entry.offsets.insert((topic.clone(), *partition), committed);
                    }
                    Err(error) => tracing::warn!(group = name, topic, partition, %error, "an offset is not understood"),
                },
                _ => {}
            }
        }
        Self { state, groups: Mutex::new(groups), bytes: AtomicUsize::new(0), offsets_kept, sooner: Notify::new() }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.groups.lock().len()
    }

    /// What the members of all groups take, as of the last look.
    fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// How long what deserted groups committed is kept.
    pub(crate) const fn offsets_kept(&self) -> Duration {
        self.offsets_kept
    }

    pub(crate) async fn join(&self, name: &str, join: Join) -> Joined {
        let (sender, receiver) = oneshot::channel();
        let member_id = join.member_id.clone();
        let fresh = fresh_id(&join);
        let work = |group: &mut Group, now| group.join(&join, fresh, now, sender);
        // Who is in already may go on: it takes nothing more.
        if self.is_taken_by_consumers(name) {
            return Joined::refused(ResponseError::InconsistentGroupProtocol.code(), member_id);
        }
        let full = join.member_id.is_empty() && self.bytes() > BYTES_MAX;
        let made = if full { None } else { self.with(name, true, work) };
        self.sooner.notify_one();
        if made.is_none() {
            return Joined::refused(ResponseError::GroupMaxSizeReached.code(), member_id);
        }
        let gone = |_| Joined::refused(ResponseError::CoordinatorNotAvailable.code(), member_id);
        receiver.await.unwrap_or_else(gone)
    }

    pub(crate) async fn sync(&self, name: &str, sync: Sync) -> Synced {
        let (sender, receiver) = oneshot::channel();
        let known = self.with(name, false, |group, now| group.sync(sync, now, sender));
        self.sooner.notify_one();
        if known.is_none() {
            return Synced::refused(ResponseError::UnknownMemberId.code());
        }
        receiver.await.unwrap_or_else(|_| Synced::refused(ResponseError::CoordinatorNotAvailable.code()))
    }

    /// 0, or why the heartbeat is refused.
    pub(crate) fn heartbeat(&self, name: &str, who: &Who) -> i16 {
        code(self.with(name, false, |group, now| group.heartbeat(who, now)))
    }

    /// 0, or why the member can't leave.
    pub(crate) fn leave(&self, name: &str, member_id: &str, instance_id: Option<&str>) -> i16 {
        let left = self.with(name, false, |group, now| group.leave(member_id, instance_id, now));
        self.sooner.notify_one();
        code(left)
    }

    /// Does `work` on a group, then sends what is to be sent and keeps what is to be kept. `None`: no such group,
    /// and none was or could be made.
    fn with<T>(&self, name: &str, make: bool, work: impl FnOnce(&mut Group, Instant) -> T) -> Option<T> {
        let mut groups = self.groups.lock();
        if !groups.contains_key(name) {
            if !make || groups.len() >= GROUPS_MAX {
                return None;
            }
            groups.insert(name.to_owned(), Entry::new());
        }
        let entry = groups.get_mut(name)?;
        if entry.consumer.as_ref().is_some_and(|consumer| !consumer.is_empty()) {
            return None;
        }
        let outcome = work(&mut entry.group, Instant::now());
        entry.active_ms = now_ms();
        self.settle(name, entry);
        if entry.is_nothing() {
            groups.remove(name);
        }
        Some(outcome)
    }

    fn settle(&self, name: &str, entry: &mut Entry) {
        let (replies, changed) = entry.group.take_outbox();
        if !changed {
            return replies.into_iter().for_each(messages::Reply::send);
        }
        let key = StateKey::Group(name.to_owned());
        // What the group was before, as one of the newer protocol, is over.
        let consumer = entry.consumer.take().map(|_| Change::remove(StateKey::ConsumerGroup(name.to_owned())));
        let change = match entry.is_nothing() {
            true => Ok(Change::remove(key)),
            false => Change::set(key, &entry.written()),
        };
        match change {
            Ok(change) => {
                let written = self.state.put(consumer.into_iter().chain([change]).collect());
                tokio::spawn(async move {
                    // Unwritten: replies are dropped, and clients hear that the coordinator is not available.
                    if written.await.is_ok() {
                        replies.into_iter().for_each(messages::Reply::send);
                    }
                });
            }
            Err(error) => tracing::error!(group = name, %error, "the members of a group can't be written down"),
        }
    }

    /// Every group as administrators see it.
    pub(crate) fn list(&self) -> Vec<GroupInfo> {
        let groups = self.groups.lock();
        let mut list: Vec<_> = groups.iter().map(|(name, entry)| info(name, entry)).collect();
        list.sort_by(|one, other| one.name.cmp(&other.name));
        list
    }

    /// Looks at each group and each of its commits, for the metrics.
    pub(crate) fn each_line(&self, look: &mut dyn FnMut(GroupLine<'_>)) {
        for (name, entry) in &*self.groups.lock() {
            let consumer = entry.consumer.as_ref();
            let members = consumer.map_or(0, |group| group.members().count()) + entry.group.members().count();
            let state = consumer.map_or_else(|| entry.group.phase().name(), consumer::Group::state);
            look(GroupLine::Group { name, state, members });
            for ((topic, partition), committed) in &entry.offsets {
                look(GroupLine::Offset { name, topic, partition: *partition, offset: committed.offset });
            }
        }
    }

    /// One group of the classic protocol as administrators see it.
    pub(crate) fn describe(&self, name: &str) -> Option<GroupInfo> {
        let groups = self.groups.lock();
        groups.get(name).filter(|entry| entry.consumer.is_none()).map(|entry| info(name, entry))
    }

    /// What the members of a group read.
    pub(crate) fn reads(&self, name: &str) -> Reads {
        self.groups.lock().get(name).map_or(Reads::Nothing, Entry::reads)
    }

    /// Expires members and closes rounds when their time has come, until asked to stop.
    pub(crate) async fn run(&self, shutdown: &Shutdown) {
        // Long enough not to matter, short enough to be a fallback.
        const IDLE: Duration = Duration::from_secs(60);
        loop {
            let due = self.expire(Instant::now()).unwrap_or_else(|| Instant::now() + IDLE);
            let sleep = async {
                tokio::select! {
                    () = tokio::time::sleep_until(due.into()) => {}
                    () = self.sooner.notified() => {}
                }
            };
            if shutdown.unless(sleep).await.is_none() {
                return;
            }
        }
    }

    fn expire(&self, now: Instant) -> Option<Instant> {
        let mut groups = self.groups.lock();
        let mut next: Option<Instant> = None;
        let mut nothing = Vec::new();
        let mut bytes = 0;
        for (name, entry) in groups.iter_mut() {
            if entry.group.next_deadline().is_some_and(|due| due <= now) {
                entry.group.expire(now);
                entry.active_ms = now_ms();
                self.settle(name, entry);
            }
            if let Some(consumer) = &mut entry.consumer
                && consumer.next_deadline().is_some_and(|due| due <= now)
            {
                consumer.expire(now);
                entry.active_ms = now_ms();
                drop(self.keep_consumer(name, entry));
            }
            bytes += entry.group.bytes() + entry.consumer.as_ref().map_or(0, consumer::Group::bytes);
            if entry.is_nothing() {
                nothing.push(name.clone());
            }
            // What is overdue is tried again a little later, never in a spin.
            let due = [entry.group.next_deadline(), entry.consumer.as_ref().and_then(consumer::Group::next_deadline)];
            let due = due.into_iter().flatten().min().map(|due| due.max(now + Duration::from_millis(10)));
            next = [next, due].into_iter().flatten().min();
        }
        for name in nothing {
            groups.remove(&name);
        }
        self.bytes.store(bytes, Ordering::Relaxed);
        next
    }
}

/// 0 or the code of the refusal; of a group that is not there nobody is a member.
fn code(outcome: Option<Result<(), i16>>) -> i16 {
    match outcome {
        None => ResponseError::UnknownMemberId.code(),
        Some(Ok(())) => 0,
        Some(Err(code)) => code,
    }
}

fn info(name: &str, entry: &Entry) -> GroupInfo {
    let group = &entry.group;
    if let Some(consumer) = &entry.consumer {
        return GroupInfo {
            name: name.to_owned(),
            kind: "consumer",
            state: consumer.state(),
            protocol_type: "consumer".to_owned(),
            protocol: consumer.assignor().name().to_owned(),
            members: Vec::new(),
        };
    }
    let member = |member: &member::Member| MemberInfo {
        id: member.id.clone(),
        instance_id: member.instance_id.clone(),
        client_id: member.client_id.clone(),
        client_host: member.client_host.clone(),
        metadata: member.metadata(group.protocol()),
        assignment: member.assignment.clone(),
    };
    GroupInfo {
        name: name.to_owned(),
        kind: "classic",
        state: group.phase().name(),
        protocol_type: group.protocol_type().to_owned(),
        protocol: group.protocol().to_owned(),
        members: group.members().map(member).collect(),
    }
}

fn fresh_id(join: &Join) -> String {
    let name = join.instance_id.as_deref().unwrap_or(&join.client_id);
    format!("{name}-{}", uuid::Uuid::new_v4())
}

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
