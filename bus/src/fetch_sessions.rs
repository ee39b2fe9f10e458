//! Fetch sessions (KIP-227): what a consumer of many partitions asked for is remembered, so that it says only what
//! has changed, and is told only what is new. Sessions belong to no connection; they live in memory alone.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use logmill_bus_protocol::messages::FetchRequest;
use logmill_bus_protocol::messages::fetch_request::FetchPartition;
use logmill_bus_protocol::{PartitionAnswer, ResponseError};
use parking_lot::Mutex;
use uuid::Uuid;

/// Sessions at a time, as Kafka's `max.incremental.fetch.session.cache.slots`. Who finds no room asks in full.
const SESSIONS_MAX: usize = 1000;
/// Partitions of all sessions together: some 200 bytes each.
const PARTITIONS_MAX: usize = 200_000;
/// A session gives way to a new one when it was not used for so long, as Kafka's
/// `min.incremental.fetch.session.eviction.ms`.
const UNUSED: Duration = Duration::from_secs(120);
/// From here on a topic is named by its id.
pub(crate) const IDS_SINCE: i16 = 13;
/// Epochs that stand for something else: begin a session, and keep none.
const INITIAL: i32 = 0;
const FINAL: i32 = -1;

/// One partition that is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// Empty where topics are named by their ids.
    pub(crate) topic: Arc<str>,
    pub(crate) id: Uuid,
    pub(crate) partition: i32,
    pub(crate) leader_epoch: i32,
    pub(crate) from: i64,
    pub(crate) bytes_max: usize,
    /// High watermark and first offset as they were last told; neither is ever -2.
    told: (i64, i64),
    /// Its turn in the session.
    turn: u64,
}

impl Asked {
    fn new(topic: &Arc<str>, id: Uuid, asked: &FetchPartition) -> Self {
        Self {
            topic: Arc::clone(topic),
            id,
            partition: asked.partition,
            leader_epoch: asked.current_leader_epoch,
            from: asked.fetch_offset,
            bytes_max: usize::try_from(asked.partition_max_bytes).unwrap_or(0),
            told: (-2, -2),
            turn: 0,
        }
    }

    fn key(&self) -> Key {
        (Arc::clone(&self.topic), self.id, self.partition)
    }
}

/// What one request amounts to.
#[derive(Debug)]
pub(crate) struct Context {
    /// The session it belongs to; 0 is none.
    pub(crate) session: i32,
    epoch: i32,
    /// Whether it names everything itself, and is to be told everything.
    in_full: bool,
    /// All that is to be read, whose turn it is first.
    pub(crate) asked: Vec<Asked>,
}

impl Context {
    /// Whether this is worth telling: all of it in a full answer, otherwise what differs from what was last told.
    pub(crate) fn is_news<R>(&self, asked: &Asked, answer: &PartitionAnswer<R>) -> bool {
        self.in_full
            || answer.error_code != 0
            || answer.records.is_some()
            || asked.told != (answer.high_watermark, answer.log_start)
    }
}

type Key = (Arc<str>, Uuid, i32);

#[derive(Debug)]
struct Session {
    /// The epoch that the next request must have.
    next_epoch: i32,
    by_id: bool,
    used: Instant,
    /// By turn: whoever was given records goes to the end, so that no busy partition starves the others.
    parts: BTreeMap<u64, Asked>,
    turns: HashMap<Key, u64>,
    next_turn: u64,
}

impl Session {
    fn set(&mut self, mut asked: Asked) {
        let next = self.next_turn;
        let turn = *self.turns.entry(asked.key()).or_insert(next);
        self.next_turn += u64::from(turn == next);
        asked.turn = turn;
        if let Some(before) = self.parts.get(&turn) {
            asked.told = before.told;
        }
        self.parts.insert(turn, asked);
    }

    fn forget(&mut self, key: &Key) {
        if let Some(turn) = self.turns.remove(key) {
            self.parts.remove(&turn);
        }
    }

    fn told<R>(&mut self, turn: u64, answer: &PartitionAnswer<R>) {
        let Some(part) = self.parts.get_mut(&turn) else { return };
        // An error is told again for as long as it lasts, and what comes after it is news.
        part.told = if answer.error_code == 0 { (answer.high_watermark, answer.log_start) } else { (-2, -2) };
        if answer.records.is_none() {
            return;
        }
        if let Some(mut part) = self.parts.remove(&turn) {
            part.turn = self.next_turn;
            self.turns.insert(part.key(), part.turn);
            self.parts.insert(part.turn, part);
            self.next_turn += 1;
        }
    }
}

/// All sessions.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    sessions: HashMap<i32, Session>,
    partitions: usize,
    evicted: u64,
}

impl Sessions {
    /// What a request asks for, with what its session remembers.
    ///
    /// # Errors
    /// The protocol's code when there is no such session, or the request is not its next one.
    pub(crate) fn begin(&self, request: &FetchRequest, version: i16, now: Instant) -> Result<Context, i16> {
        let mut known = self.known.lock();
        let by_id = version >= IDS_SINCE;
        if matches!(request.session_epoch, INITIAL | FINAL) {
            known.remove(request.session_id);
            let asked: Vec<_> = named(request).collect();
            let session = match request.session_epoch {
                INITIAL => known.make(&asked, by_id, now),
                _ => None,
            };
            return Ok(match session.and_then(|id| known.sessions.get(&id).map(|session| (id, session))) {
                Some((id, session)) => {
                    Context { session: id, epoch: 1, in_full: true, asked: session.parts.values().cloned().collect() }
                }
                None => Context { session: 0, epoch: 0, in_full: true, asked },
            });
        }
        let session =
            known.sessions.get_mut(&request.session_id).ok_or(ResponseError::FetchSessionIdNotFound.code())?;
        if session.next_epoch != request.session_epoch {
            return Err(ResponseError::InvalidFetchSessionEpoch.code());
        }
        if session.by_id != by_id {
            return Err(ResponseError::FetchSessionTopicIdError.code());
        }
        let before = session.parts.len();
        for topic in &request.forgotten_topics_data {
            let name: Arc<str> = topic.topic.as_str().into();
            topic.partitions.iter().for_each(|index| session.forget(&(Arc::clone(&name), topic.topic_id, *index)));
        }
        named(request).for_each(|asked| session.set(asked));
        session.used = now;
        session.next_epoch = session.next_epoch.checked_add(1).unwrap_or(1);
        let epoch = session.next_epoch;
        let asked: Vec<_> = session.parts.values().cloned().collect();
        let after = session.parts.len();
        known.partitions = (known.partitions + after).saturating_sub(before);
        // A session that reads nothing, or too much to be remembered, ends; the answer says so by session 0.
        if after == 0 || known.partitions > PARTITIONS_MAX {
            known.remove(request.session_id);
            return Ok(Context { session: 0, epoch: 0, in_full: true, asked });
        }
        Ok(Context { session: request.session_id, epoch, in_full: false, asked })
    }

    /// Remembers what was answered.
    pub(crate) fn answered<'a, R: 'a>(
        &self,
        context: &Context,
        answers: impl Iterator<Item = (&'a Asked, &'a PartitionAnswer<R>)>,
    ) {
        let mut known = self.known.lock();
        let current = known.sessions.get_mut(&context.session).filter(|session| session.next_epoch == context.epoch);
        if let Some(session) = current {
            answers.for_each(|(asked, answer)| session.told(asked.turn, answer));
        }
    }

    /// How many there are, the partitions that they hold, and how many had to give way.
    pub(crate) fn counts(&self) -> (usize, usize, u64) {
        let known = self.known.lock();
        (known.sessions.len(), known.partitions, known.evicted)
    }
}

impl Known {
    fn remove(&mut self, id: i32) {
        if let Some(session) = self.sessions.remove(&id) {
            self.partitions = self.partitions.saturating_sub(session.parts.len());
        }
    }

    /// A new session where there is room for it, or one that nobody used for long gives way.
    fn make(&mut self, asked: &[Asked], by_id: bool, now: Instant) -> Option<i32> {
        if asked.is_empty() || asked.len() > PARTITIONS_MAX {
            return None;
        }
        while self.sessions.len() >= SESSIONS_MAX || self.partitions + asked.len() > PARTITIONS_MAX {
            let oldest = self.sessions.iter().min_by_key(|(_, session)| session.used);
            let (id, _) = oldest.filter(|(_, session)| now.saturating_duration_since(session.used) >= UNUSED)?;
            let id = *id;
            self.remove(id);
            self.evicted += 1;
        }
        let mut session =
            Session { next_epoch: 1, by_id, used: now, parts: BTreeMap::new(), turns: HashMap::new(), next_turn: 0 };
        asked.iter().for_each(|asked| session.set(asked.clone()));
        // Not to be guessed by a client that has forgotten its own.
        let fresh = || i32::try_from(Uuid::new_v4().as_u128() & 0x7fff_ffff).unwrap_or(1).max(1);
        let id = std::iter::repeat_with(fresh).find(|id| !self.sessions.contains_key(id))?;
        self.partitions += session.parts.len();
        self.sessions.insert(id, session);
        Some(id)
    }
}

/// What a request itself names.
fn named(request: &FetchRequest) -> impl Iterator<Item = Asked> {
    request.topics.iter().flat_map(|topic| {
        let name: Arc<str> = topic.topic.as_str().into();
        topic.partitions.iter().map(move |partition| Asked::new(&name, topic.topic_id, partition))
    })
}

#[cfg(test)]
mod tests;
