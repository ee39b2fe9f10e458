//! The coordinator's side of consumer groups of the newer protocol: finds the group, keeps what a heartbeat changed.

use std::time::Instant;

use logmill_bus_protocol::ResponseError;

use super::consumer::{self, Assignor, Beat, Catalogue, JOINS, Member, Part, Refusal, Told};
use super::{BYTES_MAX, Entry, GROUPS_MAX, Groups, now_ms};
use crate::state_file::NotWritten;
use crate::state_key::{Change, StateKey};

/// A consumer group as it is described to administrators.
#[derive(Clone, Debug)]
pub(crate) struct ConsumerInfo {
    pub(crate) state: &'static str,
    pub(crate) epoch: i32,
    pub(crate) target_epoch: i32,
    pub(crate) assignor: Assignor,
    /// Each with its target.
    pub(crate) members: Vec<(Member, Vec<Part>)>,
}

impl Groups {
    /// A member of a group beats. The answer may go when what it rests on is written.
    pub(crate) fn beat(
        &self,
        name: &str,
        beat: &Beat,
        topics: &Catalogue,
        may_see: &dyn Fn(&str) -> bool,
    ) -> Result<(Told, impl Future<Output = Result<(), NotWritten>> + Send + use<>), Refusal> {
        let mut groups = self.groups.lock();
        if !groups.contains_key(name) {
            if beat.epoch != JOINS {
                return Err((ResponseError::UnknownMemberId, "there is no such group: join with epoch 0".to_owned()));
            }
            if groups.len() >= GROUPS_MAX || self.bytes() > BYTES_MAX {
                return Err((ResponseError::GroupMaxSizeReached, "there are too many groups".to_owned()));
            }
        }
        let entry = groups.entry(name.to_owned()).or_insert_with(Entry::new);
        if !entry.group.is_deserted() {
            let why = "the group has members of the classic protocol: it changes its kind only when it is empty";
            return Err((ResponseError::GroupIdNotFound, why.to_owned()));
        }
        let group = entry.consumer.get_or_insert_default();
        let outcome = group.beat(beat, topics, may_see, Instant::now());
        entry.active_ms = now_ms();
        let written = self.keep_consumer(name, entry);
        let nothing = entry.is_nothing();
        if nothing {
            groups.remove(name);
        }
        drop(groups);
        self.sooner.notify_one();
        let written = async move {
            match written {
                Some(written) => written.await,
                None => Ok(()),
            }
        };
        outcome.map(|told| (told, written))
    }

    /// Hands over what has changed; resolves when it is on disk.
    pub(super) fn keep_consumer(
        &self,
        name: &str,
        entry: &mut Entry,
    ) -> Option<impl Future<Output = Result<(), NotWritten>> + Send + use<>> {
        if !entry.consumer.as_mut()?.take_changed() {
            return None;
        }
        let key = StateKey::ConsumerGroup(name.to_owned());
        let nothing = entry.is_nothing();
        let mut written = entry.consumer.as_ref()?.entry();
        written.active_ms = entry.active_ms;
        let change = if nothing { Ok(Change::remove(key)) } else { Change::set(key, &written) };
        // What the group was before, as one of the classic protocol, is over.
        let classic = Change::remove(StateKey::Group(name.to_owned()));
        match change {
            Ok(change) => Some(self.state.put(vec![change, classic])),
            Err(error) => {
                tracing::error!(group = name, %error, "the members of a group can't be written down");
                None
            }
        }
    }

    /// Whether the group has members that speak the newer protocol.
    pub(super) fn is_taken_by_consumers(&self, name: &str) -> bool {
        self.groups.lock().get(name).and_then(|entry| entry.consumer.as_ref()).is_some_and(|group| !group.is_empty())
    }

    /// Whether a member of a consumer group may fetch offsets, as it names itself. Whoever names nobody may.
    pub(crate) fn may_fetch(&self, name: &str, member_id: &str, epoch: i32) -> Result<(), i16> {
        if member_id.is_empty() && epoch < 0 {
            return Ok(());
        }
        let groups = self.groups.lock();
        match groups.get(name).and_then(|entry| entry.consumer.as_ref()) {
            Some(group) => group.may_commit(member_id, epoch),
            None => Ok(()),
        }
    }

    /// One consumer group as administrators see it.
    pub(crate) fn describe_consumer(&self, name: &str) -> Option<ConsumerInfo> {
        let groups = self.groups.lock();
        let group: &consumer::Group = groups.get(name)?.consumer.as_ref()?;
        let (epoch, target_epoch) = group.epochs();
        let with_target = |member: &Member| (member.clone(), group.target_of(&member.id).copied().collect());
        Some(ConsumerInfo {
            state: group.state(),
            epoch,
            target_epoch,
            assignor: group.assignor(),
            members: group.members().map(with_target).collect(),
        })
    }
}
