//! Committed offsets: kept on disk before they are acknowledged, forgotten on request or when nobody needs them.

use std::time::Instant;

use logmill_bus_protocol::ResponseError;

use super::{Committed, Entry, GROUPS_MAX, Groups, Place, Reads, Who, now_ms};
use crate::state_file::NotWritten;
use crate::state_key::{Change, StateKey};

/// A commit's note, as Kafka's `offset.metadata.max.bytes`.
pub(crate) const NOTE_BYTES_MAX: usize = 4096;

impl Groups {
    /// Takes commits of a group. The first says for each place whether it was taken (its note may be too long), once
    /// all that were are on disk; the second why none was.
    pub(crate) async fn commit(
        &self,
        name: &str,
        who: &Who,
        commits: Vec<(Place, Committed)>,
    ) -> Result<Vec<(Place, i16)>, i16> {
        let storage = |_: NotWritten| ResponseError::CoordinatorNotAvailable.code();
        let (outcome, written) = self.take_commits(name, who, commits)?;
        written.await.map_err(storage)?;
        Ok(outcome)
    }

    #[allow(clippy::type_complexity)] // a pair of what is told now and what is waited for; used once
    fn take_commits(
        &self,
        name: &str,
        who: &Who,
        commits: Vec<(Place, Committed)>,
    ) -> Result<(Vec<(Place, i16)>, impl Future<Output = Result<(), NotWritten>> + Send + use<>), i16> {
        let mut groups = self.groups.lock();
        let fresh = !groups.contains_key(name);
        if fresh {
            if who.generation >= 0 || !who.member_id.is_empty() {
                return Err(ResponseError::UnknownMemberId.code());
            }
            if groups.len() >= GROUPS_MAX {
                return Err(ResponseError::GroupMaxSizeReached.code());
            }
        }
        let entry = groups.entry(name.to_owned()).or_insert_with(Entry::new);
        match &entry.consumer {
            Some(consumer) => consumer.may_commit(&who.member_id, who.generation)?,
            None => entry.group.may_commit(who, Instant::now())?,
        }
        entry.active_ms = now_ms();
        let mut changes = Vec::with_capacity(commits.len());
        let mut outcome = Vec::with_capacity(commits.len());
        for ((topic, partition), committed) in commits {
            let error = if committed.note.len() > NOTE_BYTES_MAX {
                ResponseError::OffsetMetadataTooLarge.code()
            } else if let Ok(change) =
                Change::set(StateKey::Offset(name.to_owned(), topic.clone(), partition), &committed)
            {
                changes.push(change);
                entry.offsets.insert((topic.clone(), partition), committed);
                0
            } else {
                ResponseError::UnknownServerError.code()
            };
            outcome.push(((topic, partition), error));
        }
        // Handed over under the lock, so that two commits of a place reach the disk in their order.
        Ok((outcome, self.state.put(changes)))
    }

    /// Whether a member may hand in offsets with a transaction; a producer that does not say whose they are may.
    pub(crate) fn may_commit_with_transaction(&self, name: &str, who: &Who) -> Result<(), i16> {
        if who.generation < 0 && who.member_id.is_empty() && who.instance_id.is_none() {
            return Ok(());
        }
        let mut groups = self.groups.lock();
        let entry = groups.get_mut(name).ok_or(ResponseError::UnknownMemberId.code())?;
        match &entry.consumer {
            Some(consumer) => consumer.may_commit(&who.member_id, who.generation),
            None => entry.group.may_commit(who, Instant::now()),
        }
    }

    /// Commits what was handed in with a transaction, together with `changes` that must reach the disk after it: a
    /// crash between finds the transaction prepared, and does the same again.
    pub(crate) fn commit_with_transaction(
        &self,
        commits: Vec<((String, Place), Committed)>,
        changes: Vec<Change>,
    ) -> impl Future<Output = Result<(), NotWritten>> + Send + use<> {
        let mut groups = self.groups.lock();
        let mut all = Vec::new();
        for ((name, place), committed) in commits {
            all.extend(Change::set(StateKey::Offset(name.clone(), place.0.clone(), place.1), &committed));
            let entry = groups.entry(name).or_insert_with(Entry::new);
            entry.active_ms = now_ms();
            entry.offsets.insert(place, committed);
        }
        all.extend(changes);
        self.state.put(all)
    }

    /// What a group has committed: in these places, or wherever it has.
    pub(crate) fn committed(&self, name: &str, places: Option<&[Place]>) -> Vec<(Place, Option<Committed>)> {
        let groups = self.groups.lock();
        let offsets = groups.get(name).map(|entry| &entry.offsets);
        match places {
            Some(places) => places
                .iter()
                .map(|place| (place.clone(), offsets.and_then(|offsets| offsets.get(place)).cloned()))
                .collect(),
            None => offsets
                .into_iter()
                .flatten()
                .map(|(place, committed)| (place.clone(), Some(committed.clone())))
                .collect(),
        }
    }

    /// Forgets offsets: in these places, or in all of a group that must have no members; and the group if nothing
    /// is left.
    pub(crate) async fn forget(&self, name: &str, places: Option<&[Place]>) -> Result<(), i16> {
        let written = {
            let mut groups = self.groups.lock();
            let entry = groups.get_mut(name).ok_or(ResponseError::GroupIdNotFound.code())?;
            if places.is_none() && !entry.is_deserted() {
                return Err(ResponseError::NonEmptyGroup.code());
            }
            let going: Vec<Place> = match places {
                Some(places) => places.to_vec(),
                None => entry.offsets.keys().cloned().collect(),
            };
            let mut changes = Vec::with_capacity(going.len() + 1);
            for place in going {
                entry.offsets.remove(&place);
                changes.push(Change::remove(StateKey::Offset(name.to_owned(), place.0, place.1)));
            }
            if places.is_none() || entry.is_nothing() {
                changes.push(Change::remove(StateKey::Group(name.to_owned())));
                changes.push(Change::remove(StateKey::ConsumerGroup(name.to_owned())));
                groups.remove(name);
            }
            self.state.put(changes)
        };
        written.await.map_err(|_| ResponseError::CoordinatorNotAvailable.code())
    }

    /// Forgets what groups committed in a topic that is gone.
    pub(crate) async fn forget_topic(&self, topic: &str) {
        let of_topic = |entry: &Entry| entry.offsets.keys().filter(|(known, _)| known == topic).cloned().collect();
        if let Err(error) = self.forget_where(&of_topic).await {
            tracing::warn!(topic, %error, "commits in a removed topic are forgotten in memory only");
        }
    }

    /// Forgets what is kept no longer, and groups of which nothing is left. Called now and then.
    pub(crate) async fn forget_expired(&self, now_ms: u64) {
        let oldest_ms = now_ms.saturating_sub(u64::try_from(self.offsets_kept.as_millis()).unwrap_or(u64::MAX));
        if let Err(error) = self.forget_where(&|entry| expired(entry, oldest_ms)).await {
            tracing::warn!(%error, "commits that are too old are forgotten in memory only");
        }
    }

    /// Forgets of every group the places that are chosen, and the groups of which nothing is left.
    fn forget_where(
        &self,
        choose: &dyn Fn(&Entry) -> Vec<Place>,
    ) -> impl Future<Output = Result<(), NotWritten>> + Send + use<> {
        let mut changes = Vec::new();
        // Held until the changes are handed over, so that no later commit is overtaken by them.
        let mut groups = self.groups.lock();
        groups.retain(|name, entry| {
            let going = choose(entry);
            if going.is_empty() {
                return true;
            }
            tracing::info!(group = name, commits = going.len(), "forgets commits that nobody needs any more");
            for (topic, partition) in going {
                entry.offsets.remove(&(topic.clone(), partition));
                changes.push(Change::remove(StateKey::Offset(name.clone(), topic, partition)));
            }
            let stays = !entry.is_nothing();
            if !stays {
                changes.push(Change::remove(StateKey::Group(name.clone())));
                changes.push(Change::remove(StateKey::ConsumerGroup(name.clone())));
            }
            stays
        });
        self.state.put(changes)
    }
}

/// What a group has committed and may be forgotten (after KIP-211): all of it once the group has been without members
/// for long enough; of a live group only what it does not read any more; where nobody ever joined, each commit by its
/// own age.
fn expired(entry: &Entry, oldest_ms: u64) -> Vec<Place> {
    let reads = entry.reads();
    let is_old = |((topic, _), committed): &(&Place, &Committed)| {
        let last_ms = match &reads {
            Reads::Anything => return false,
            Reads::Topics(topics) if topics.contains(topic) => return false,
            Reads::Nothing if entry.had_members() => committed.at_ms.max(entry.active_ms),
            Reads::Nothing | Reads::Topics(_) => committed.at_ms,
        };
        last_ms < oldest_ms
    };
    entry.offsets.iter().filter(is_old).map(|(place, _)| place.clone()).collect()
}
