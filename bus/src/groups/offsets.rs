//! Committed offsets: kept on disk before they are acknowledged, forgotten on request or after a week of silence.

use std::time::{Duration, Instant};

use logmill_bus_protocol::ResponseError;

use super::{Committed, Entry, GROUPS_MAX, Groups, Place, Who, now_ms};
use crate::state_file::NotWritten;
use crate::state_key::{Change, StateKey};

/// A commit's note, as Kafka's `offset.metadata.max.bytes`.
pub(super) const NOTE_BYTES_MAX: usize = 4096;
/// Offsets of a group go when it had no members and no commit for so long, as Kafka's `offsets.retention.minutes`.
const FORGET_AFTER: Duration = Duration::from_secs(7 * 86_400);

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
        entry.group.may_commit(who, Instant::now())?;
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
            if places.is_none() && !entry.group.is_deserted() {
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
                groups.remove(name);
            }
            self.state.put(changes)
        };
        written.await.map_err(|_| ResponseError::CoordinatorNotAvailable.code())
    }

    /// Forgets what groups committed in a topic that is gone.
    pub(crate) async fn forget_topic(&self, topic: &str) {
        let changes: Vec<_> = {
            let mut groups = self.groups.lock();
            let of_group = |(name, entry): (&String, &mut Entry)| {
                let gone: Vec<_> = entry.offsets.keys().filter(|(known, _)| known == topic).cloned().collect();
                gone.into_iter()
                    .map(|place| {
                        entry.offsets.remove(&place);
                        Change::remove(StateKey::Offset(name.clone(), place.0, place.1))
                    })
                    .collect::<Vec<_>>()
            };
            let changes = groups.iter_mut().flat_map(of_group).collect();
            groups.retain(|_, entry| !entry.is_nothing());
            changes
        };
        if let Err(error) = self.state.put(changes).await {
            tracing::warn!(topic, %error, "commits in a removed topic are forgotten in memory only");
        }
    }

    /// Forgets groups that nobody has used for a week. Called now and then.
    pub(crate) async fn forget_unused(&self) {
        let oldest_ms = now_ms().saturating_sub(u64::try_from(FORGET_AFTER.as_millis()).unwrap_or(u64::MAX));
        let is_unused = |entry: &Entry| {
            entry.group.is_deserted()
                && entry.active_ms < oldest_ms
                && entry.offsets.values().all(|committed| committed.at_ms < oldest_ms)
        };
        let unused: Vec<_> = {
            let groups = self.groups.lock();
            groups.iter().filter(|(_, entry)| is_unused(entry)).map(|(name, _)| name.clone()).collect()
        };
        for name in unused {
            tracing::info!(group = name, "forgets a group that nobody used for a week");
            if let Err(code) = self.forget(&name, None).await {
                tracing::debug!(group = name, code, "not forgotten after all");
            }
        }
    }
}
