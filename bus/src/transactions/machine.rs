//! A transactional id as a state machine: what a request makes of it, and what is still to be done. Pure: every change
//! comes out as the transaction that is to be written down, and counts once it is on disk; time is handed in.
//!
//! The rules are Kafka's (KIP-98, KIP-360), with one difference: whoever asks waits its turn, so that a change which is
//! on its way to the disk is never met.

use std::collections::{BTreeMap, BTreeSet};

use logmill_bus_protocol::ResponseError;
use serde::{Deserialize, Serialize};

/// The last epoch that a client is given; the one above it is kept for fencing it.
const EPOCH_LAST: i16 = i16::MAX - 1;
/// No epoch came before.
const NO_EPOCH: i16 = -1;

/// A loop commits for one group, or a few; anybody can make up names.
const GROUPS_MAX: usize = 1000;

/// How far a transaction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    /// Nothing was done with the id since its producer began.
    Empty,
    /// Partitions or groups take part.
    Ongoing,
    /// It will be committed, whatever happens.
    PrepareCommit,
    /// It will be aborted, whatever happens.
    PrepareAbort,
    /// All of it is visible.
    CompleteCommit,
    /// Nothing of it is.
    CompleteAbort,
    /// The id was forgotten; never written down.
    Dead,
}

impl State {
    /// As Kafka calls it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Ongoing => "Ongoing",
            Self::PrepareCommit => "PrepareCommit",
            Self::PrepareAbort => "PrepareAbort",
            Self::CompleteCommit => "CompleteCommit",
            Self::CompleteAbort => "CompleteAbort",
            Self::Dead => "Dead",
        }
    }

    /// Whether Kafka has a state of this name.
    pub(crate) fn is_name(name: &str) -> bool {
        use State::{CompleteAbort, CompleteCommit, Dead, Empty, Ongoing, PrepareAbort, PrepareCommit};
        let ours = [Empty, Ongoing, PrepareCommit, PrepareAbort, CompleteCommit, CompleteAbort, Dead];
        name == "PrepareEpochFence" || ours.iter().any(|state| state.name() == name)
    }

    /// Whether it is decided and not yet carried out.
    pub(crate) const fn is_prepared(self) -> bool {
        matches!(self, Self::PrepareCommit | Self::PrepareAbort)
    }

    /// Whether something hangs on it: partitions that are not decided, or offsets.
    pub(crate) const fn is_open(self) -> bool {
        matches!(self, Self::Ongoing | Self::PrepareCommit | Self::PrepareAbort)
    }
}

/// A producer as it names itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Producer {
    pub(crate) id: i64,
    pub(crate) epoch: i16,
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The producer id is not the transactional id's.
    UnknownProducer,
    /// There is a newer instance of the producer, or the coordinator has given it up.
    Fenced,
    /// What is asked for does not go with the state.
    State,
    /// The transaction before can't be ended yet.
    Busy,
}

impl Refusal {
    /// The protocol's code; older clients know another one for being fenced.
    pub(crate) fn code(self, knows_fenced: bool) -> i16 {
        match self {
            Self::UnknownProducer => ResponseError::InvalidProducerIdMapping,
            Self::Fenced if knows_fenced => ResponseError::ProducerFenced,
            Self::Fenced => ResponseError::InvalidProducerEpoch,
            Self::State => ResponseError::InvalidTxnState,
            Self::Busy => ResponseError::ConcurrentTransactions,
        }
        .code()
    }
}

/// What is to be done about a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is as it was asked to be.
    Already,
    /// To be written down; the answer follows.
    Write(Transaction),
    /// To be written down and carried out; the same is to be asked again then.
    EndFirst(Transaction),
}

/// A transactional id, as it is written down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Transaction {
    pub(crate) producer_id: i64,
    pub(crate) epoch: i16,
    /// The id before the last change of ids.
    previous_id: i64,
    /// The epoch of which the present one is the continuation: a producer that repeats its request has it.
    last_epoch: i16,
    pub(crate) timeout_ms: u64,
    pub(crate) state: State,
    /// What takes part.
    pub(crate) partitions: BTreeMap<String, BTreeSet<i32>>,
    /// Groups whose offsets take part.
    pub(crate) groups: BTreeSet<String>,
    /// When the transaction began, in milliseconds since 1970.
    pub(crate) began_ms: u64,
    /// Of the last change.
    pub(crate) changed_ms: u64,
}

impl Transaction {
    /// Of an id that was not known.
    pub(crate) const fn new(producer_id: i64, timeout_ms: u64, now_ms: u64) -> Self {
        Self {
            producer_id,
            epoch: 0,
            previous_id: -1,
            last_epoch: NO_EPOCH,
            timeout_ms,
            state: State::Empty,
            partitions: BTreeMap::new(),
            groups: BTreeSet::new(),
            began_ms: now_ms,
            changed_ms: now_ms,
        }
    }

    /// Whether the next producer needs an id that is new.
    pub(crate) fn needs_id(&self, given: Option<Producer>) -> bool {
        self.epoch >= EPOCH_LAST && given.is_none_or(|given| given.epoch == self.epoch)
    }

    /// A producer begins (InitProducerId): it fences those before it, or goes on where it was (`given`) after an error.
    /// `fresh_id` is for when [`needs_id`](Self::needs_id).
    pub(crate) fn init(
        &self,
        given: Option<Producer>,
        timeout_ms: u64,
        fresh_id: Option<i64>,
        now_ms: u64,
    ) -> Result<Verdict, Refusal> {
        let known = |given: Producer| {
            // The second is a repeat: the answer with the new id was lost.
            given.id == self.producer_id || (given.id == self.previous_id && given.epoch >= EPOCH_LAST)
        };
        if given.is_some_and(|given| !known(given)) {
            return Err(Refusal::Fenced);
        }
        match self.state {
            State::Dead | State::PrepareCommit | State::PrepareAbort => return Err(Refusal::Busy),
            State::Ongoing => {
                return match given {
                    None => Ok(Verdict::EndFirst(self.fenced(NO_EPOCH, now_ms))),
                    // It gets the epoch with which its own transaction was ended.
                    Some(given) if (given.id, given.epoch) == (self.producer_id, self.epoch) => {
                        Ok(Verdict::EndFirst(self.fenced(self.epoch, now_ms)))
                    }
                    Some(_) => Err(Refusal::Fenced),
                };
            }
            State::Empty | State::CompleteCommit | State::CompleteAbort => {}
        }
        let begun = Self {
            state: State::Empty,
            timeout_ms,
            partitions: BTreeMap::new(),
            groups: BTreeSet::new(),
            changed_ms: now_ms,
            ..self.clone()
        };
        if self.needs_id(given) {
            let producer_id = fresh_id.ok_or(Refusal::Busy)?;
            let last_epoch = given.map_or(NO_EPOCH, |given| given.epoch);
            return Ok(Verdict::Write(Self {
                producer_id,
                epoch: 0,
                previous_id: self.producer_id,
                last_epoch,
                ..begun
            }));
        }
        let (epoch, last_epoch) = match given {
            None => (self.epoch.saturating_add(1), NO_EPOCH),
            Some(given) if given.id == self.producer_id && given.epoch == self.epoch => {
                (self.epoch.saturating_add(1), self.epoch)
            }
            Some(given) if given.epoch == self.last_epoch => return Ok(Verdict::Already),
            Some(_) => return Err(Refusal::Fenced),
        };
        Ok(Verdict::Write(Self { epoch, last_epoch, ..begun }))
    }

    /// The next epoch, and the transaction of the present one on its way to its end.
    fn fenced(&self, last_epoch: i16, now_ms: u64) -> Self {
        let epoch = self.epoch.saturating_add(1);
        Self { epoch, last_epoch, state: State::PrepareAbort, changed_ms: now_ms, ..self.clone() }
    }

    fn check(&self, producer: Producer) -> Result<(), Refusal> {
        if self.state == State::Dead || producer.id != self.producer_id {
            return Err(Refusal::UnknownProducer);
        }
        if producer.epoch != self.epoch {
            return Err(Refusal::Fenced);
        }
        Ok(())
    }

    /// Partitions and groups join, and the transaction begins if none is open.
    pub(crate) fn add(
        &self,
        producer: Producer,
        partitions: &[(String, i32)],
        group: Option<&str>,
        now_ms: u64,
    ) -> Result<Verdict, Refusal> {
        self.check(producer)?;
        if self.state.is_prepared() {
            return Err(Refusal::Busy);
        }
        let mut next = self.clone();
        if self.state != State::Ongoing {
            next = Self { state: State::Ongoing, partitions: BTreeMap::new(), groups: BTreeSet::new(), ..next };
            next.began_ms = now_ms;
        }
        for (topic, partition) in partitions {
            next.partitions.entry(topic.clone()).or_default().insert(*partition);
        }
        next.groups.extend(group.map(ToOwned::to_owned));
        if next.groups.len() > GROUPS_MAX {
            return Err(Refusal::State);
        }
        if next == *self {
            return Ok(Verdict::Already);
        }
        next.changed_ms = now_ms;
        Ok(Verdict::Write(next))
    }

    /// Whether records of the producer may be written into a partition now.
    pub(crate) fn may_write(&self, producer: Producer, topic: &str, partition: i32) -> Result<(), Refusal> {
        self.check(producer)?;
        let joined = self.partitions.get(topic).is_some_and(|numbers| numbers.contains(&partition));
        if self.state == State::Ongoing && joined { Ok(()) } else { Err(Refusal::State) }
    }

    /// Whether the producer may hand in offsets of a group now.
    pub(crate) fn may_commit(&self, producer: Producer, group: &str) -> Result<(), Refusal> {
        self.check(producer)?;
        match self.state {
            State::Ongoing if self.groups.contains(group) => Ok(()),
            State::PrepareCommit | State::PrepareAbort => Err(Refusal::Busy),
            _ => Err(Refusal::State),
        }
    }

    /// The producer ends its transaction (EndTxn). A repeat after the end is no error.
    pub(crate) fn end(&self, producer: Producer, commit: bool, now_ms: u64) -> Result<Verdict, Refusal> {
        self.check(producer)?;
        let state = match (self.state, commit) {
            (State::Ongoing, true) => State::PrepareCommit,
            (State::Ongoing, false) => State::PrepareAbort,
            (State::CompleteCommit, true) | (State::CompleteAbort, false) => return Ok(Verdict::Already),
            // Decided so, and not carried out yet: it will be.
            (State::PrepareCommit, true) | (State::PrepareAbort, false) => return Err(Refusal::Busy),
            _ => return Err(Refusal::State),
        };
        Ok(Verdict::EndFirst(Self { state, changed_ms: now_ms, ..self.clone() }))
    }

    /// When an open transaction is given up, in milliseconds since 1970.
    pub(crate) fn deadline_ms(&self) -> Option<u64> {
        (self.state == State::Ongoing).then(|| self.began_ms.saturating_add(self.timeout_ms))
    }

    /// Gives up a transaction that has been open for too long, and its producer with it.
    pub(crate) fn give_up(&self, now_ms: u64) -> Option<Self> {
        self.deadline_ms().filter(|deadline| *deadline <= now_ms).map(|_| self.fenced(NO_EPOCH, now_ms))
    }

    /// Everything that was prepared has been done.
    pub(crate) fn completed(&self, now_ms: u64) -> Option<Self> {
        let state = match self.state {
            State::PrepareCommit => State::CompleteCommit,
            State::PrepareAbort => State::CompleteAbort,
            _ => return None,
        };
        let nothing = (BTreeMap::new(), BTreeSet::new());
        Some(Self { state, partitions: nothing.0, groups: nothing.1, changed_ms: now_ms, ..self.clone() })
    }

    /// Whether the id may be forgotten when it was last used before `oldest_ms`.
    pub(crate) const fn is_unused(&self, oldest_ms: u64) -> bool {
        !self.state.is_open() && self.changed_ms < oldest_ms
    }
}

#[cfg(test)]
mod tests;
