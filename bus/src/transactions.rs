//! The coordinator of transactions: every transactional id with its state on disk, each changed by one request at a
//! time. What is decided is carried out whatever happens: at once, again after a failure, and after a restart.

mod carry_out;
mod machine;
mod pending;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use logmill_bus_protocol::ResponseError;
use parking_lot::{Mutex, MutexGuard};
use serde::Deserialize;
use tokio::sync::Notify;

use crate::broker::Broker;
use crate::groups::{Committed, Place, now_ms};
use crate::state_file::{Entries, NotWritten, StateFile};
use crate::state_key::{Change, StateKey};

use machine::Verdict;
pub(crate) use machine::{Producer, Refusal, State, Transaction};
use pending::Pending;

/// Transactional ids at a time; beyond it the one that was idle for longest is forgotten.
const IDS_MAX: usize = 10_000;
/// Kafka has no bound; names are a few dozen letters long.
const ID_BYTES_MAX: usize = 1024;

/// An offset that was handed in: of which group, and where.
type GroupPlace = (String, Place);

/// Why a request about a transaction was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    Refused(Refusal),
    Code(ResponseError),
}

impl Failure {
    /// The protocol's code; `knows_fenced` says whether the client's version has one for that.
    pub(crate) fn code(self, knows_fenced: bool) -> i16 {
        match self {
            Self::Refused(refusal) => refusal.code(knows_fenced),
            Self::Code(error) => error.code(),
        }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<NotWritten> for Failure {
    fn from(_: NotWritten) -> Self {
        Self::Code(ResponseError::CoordinatorNotAvailable)
    }
}

impl From<serde_json::Error> for Failure {
    fn from(_: serde_json::Error) -> Self {
        Self::Code(ResponseError::UnknownServerError)
    }
}

/// One transactional id.
#[derive(Debug)]
pub(crate) struct Slot {
    id: String,
    /// Held by whoever changes it, over everything that waits for the disk.
    turn: Arc<tokio::sync::Mutex<()>>,
    /// As it is on disk. Held over an append, so that no record slips behind its transaction's marker.
    now: Mutex<Transaction>,
    /// Handed in with the open transaction.
    offsets: Mutex<BTreeMap<GroupPlace, Committed>>,
}

impl Slot {
    fn new(id: String, transaction: Transaction) -> Arc<Self> {
        Arc::new(Self { id, turn: Arc::default(), now: Mutex::new(transaction), offsets: Mutex::default() })
    }

    /// Lets the producer write into a partition for as long as the answer is held.
    pub(crate) fn hold(
        &self,
        producer: Producer,
        topic: &str,
        partition: i32,
    ) -> Result<MutexGuard<'_, Transaction>, Refusal> {
        let now = self.now.lock();
        now.may_write(producer, topic, partition)?;
        Ok(now)
    }

    fn current(&self) -> Transaction {
        self.now.lock().clone()
    }
}

/// All transactional ids.
#[derive(Debug)]
pub(crate) struct Transactions {
    state: StateFile,
    timeout_max: Duration,
    kept: Duration,
    /// Written into markers: raised by every start that was not clean.
    epoch: i32,
    known: Mutex<HashMap<String, Arc<Slot>>>,
    pending: Mutex<Pending>,
    /// When the timer looks next, in milliseconds since 1970, and what wakes it before.
    looks_at_ms: AtomicU64,
    sooner: Notify,
}

impl Transactions {
    /// The ids of the state file. Blocks.
    pub(crate) fn restore(
        state: StateFile,
        entries: &Entries,
        epoch: i32,
        timeout_max: Duration,
        kept: Duration,
    ) -> (Self, Vec<Change>) {
        let mut known: HashMap<String, Arc<Slot>> = HashMap::new();
        for (key, value) in entries {
            let StateKey::Transaction(id) = key else { continue };
            match Transaction::deserialize(value) {
                Ok(transaction) => drop(known.insert(id.clone(), Slot::new(id.clone(), transaction))),
                Err(error) => tracing::error!(id, %error, "a transactional id is not understood and is left out"),
            }
        }
        let (mut pending, mut changes) = (Pending::default(), Vec::new());
        for (key, value) in entries {
            let StateKey::TransactionOffset(id, group, topic, partition) = key else { continue };
            let slot = known.get(id).filter(|slot| slot.now.lock().state.is_open());
            match (slot, Committed::deserialize(value)) {
                (Some(slot), Ok(committed)) => {
                    let place = (group.clone(), (topic.clone(), *partition));
                    pending.add(&place);
                    slot.offsets.lock().insert(place, committed);
                }
                // A crash came between its end and this.
                _ => changes.push(Change::remove(key.clone())),
            }
        }
        let restored = Self {
            state,
            timeout_max,
            kept,
            epoch,
            known: Mutex::new(known),
            pending: Mutex::new(pending),
            looks_at_ms: AtomicU64::new(0),
            sooner: Notify::new(),
        };
        (restored, changes)
    }

    /// The id, if it is known.
    pub(crate) fn get(&self, id: &str) -> Option<Arc<Slot>> {
        self.known.lock().get(id).cloned()
    }

    /// The id as it is now.
    pub(crate) fn describe(&self, id: &str) -> Option<Transaction> {
        self.get(id).map(|slot| slot.current())
    }

    /// All of them, by id.
    pub(crate) fn list(&self) -> Vec<(String, Transaction)> {
        let slots: Vec<_> = self.known.lock().values().cloned().collect();
        let mut all: Vec<_> = slots.into_iter().map(|slot| (slot.id.clone(), slot.current())).collect();
        all.sort_unstable_by(|one, other| one.0.cmp(&other.0));
        all
    }

    /// Whether an offset of the group there hangs on a transaction.
    pub(crate) fn is_pending(&self, group: &str, place: &Place) -> bool {
        self.pending.lock().has(group, place)
    }

    /// Notes a change; once it is on disk it counts.
    async fn write(&self, slot: &Slot, next: Transaction) -> Result<(), Failure> {
        self.state.put(vec![Change::set(StateKey::Transaction(slot.id.clone()), &next)?]).await?;
        let deadline_ms = next.deadline_ms();
        *slot.now.lock() = next;
        if deadline_ms.is_some_and(|deadline| deadline < self.looks_at_ms.load(Ordering::Relaxed)) {
            self.sooner.notify_one();
        }
        Ok(())
    }
}

/// Does what must not be left half done because a client hangs up.
async fn to_its_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, Failure>> + Send + 'static,
) -> Result<T, Failure> {
    tokio::spawn(work).await.unwrap_or(Err(Failure::Code(ResponseError::CoordinatorNotAvailable)))
}

impl Transactions {
    /// A producer begins: those before it are fenced, and their transaction is ended.
    pub(crate) async fn init(
        broker: &Arc<Broker>,
        id: &str,
        given: Option<Producer>,
        timeout_ms: i32,
    ) -> Result<Producer, Failure> {
        if id.is_empty() || id.len() > ID_BYTES_MAX {
            return Err(Failure::Code(ResponseError::InvalidRequest));
        }
        let timeout_ms = u64::try_from(timeout_ms).unwrap_or(0);
        if timeout_ms == 0 || u128::from(timeout_ms) > broker.transactions.timeout_max.as_millis() {
            return Err(Failure::Code(ResponseError::InvalidTransactionTimeout));
        }
        let (broker, id) = (Arc::clone(broker), id.to_owned());
        to_its_end(async move {
            loop {
                let Some(slot) = broker.transactions.get(&id) else {
                    match Self::make(&broker, &id, timeout_ms).await? {
                        Some(made) => return Ok(made),
                        None => continue,
                    }
                };
                if let Some(begun) = Self::begin(&broker, &slot, given, timeout_ms).await? {
                    return Ok(begun);
                }
            }
        })
        .await
    }

    /// Makes an id that was not known; `None` when another request was faster.
    async fn make(broker: &Arc<Broker>, id: &str, timeout_ms: u64) -> Result<Option<Producer>, Failure> {
        let these = &broker.transactions;
        if these.known.lock().len() >= IDS_MAX && !these.forget_idlest().await {
            tracing::error!(transactions = IDS_MAX, "too many transactions are open at a time; a new one must wait");
            return Err(Failure::Code(ResponseError::CoordinatorLoadInProgress));
        }
        let producer_id = broker.producer_ids.next().await?;
        let first = Transaction::new(producer_id, timeout_ms, now_ms());
        let begun = Producer { id: producer_id, epoch: first.epoch };
        let slot = Slot::new(id.to_owned(), first.clone());
        slot.now.lock().state = State::Dead;
        let _turn = slot.turn.lock().await;
        {
            let mut known = these.known.lock();
            if known.contains_key(id) {
                return Ok(None);
            }
            known.insert(id.to_owned(), Arc::clone(&slot));
        }
        let written = these.write(&slot, first).await;
        if written.is_err() {
            these.known.lock().remove(id);
        }
        written.map(|()| Some(begun))
    }

    /// `None`: to be tried again.
    async fn begin(
        broker: &Arc<Broker>,
        slot: &Arc<Slot>,
        given: Option<Producer>,
        timeout_ms: u64,
    ) -> Result<Option<Producer>, Failure> {
        let _turn = slot.turn.lock().await;
        let current = slot.current();
        if current.state == State::Dead {
            return Ok(None);
        }
        // What an earlier failure left.
        if current.state.is_prepared() && !carry_out::finish(broker, slot).await {
            return Err(Refusal::Busy.into());
        }
        let current = slot.current();
        let fresh = if current.needs_id(given) { Some(broker.producer_ids.next().await?) } else { None };
        match current.init(given, timeout_ms, fresh, now_ms())? {
            Verdict::Already => Ok(Some(Producer { id: current.producer_id, epoch: current.epoch })),
            Verdict::Write(next) => {
                let begun = Producer { id: next.producer_id, epoch: next.epoch };
                broker.transactions.write(slot, next).await?;
                Ok(Some(begun))
            }
            Verdict::EndFirst(next) => {
                tracing::info!(
                    id = slot.id,
                    epoch = next.epoch,
                    "a new producer ends the transaction of the one before"
                );
                broker.transactions.write(slot, next).await?;
                if carry_out::finish(broker, slot).await { Ok(None) } else { Err(Refusal::Busy.into()) }
            }
        }
    }

    /// Partitions and a group join the transaction.
    pub(crate) async fn add(
        broker: &Arc<Broker>,
        id: &str,
        producer: Producer,
        partitions: Vec<(String, i32)>,
        group: Option<String>,
    ) -> Result<(), Failure> {
        let slot = broker.transactions.get(id).ok_or(Refusal::UnknownProducer)?;
        let broker = Arc::clone(broker);
        to_its_end(async move {
            let _turn = slot.turn.lock().await;
            match slot.current().add(producer, &partitions, group.as_deref(), now_ms())? {
                Verdict::Already => Ok(()),
                Verdict::Write(next) | Verdict::EndFirst(next) => broker.transactions.write(&slot, next).await,
            }
        })
        .await
    }

    /// Takes offsets of a group that are to count with the transaction.
    pub(crate) async fn hand_in(
        broker: &Arc<Broker>,
        id: &str,
        producer: Producer,
        group: String,
        offsets: Vec<(Place, Committed)>,
    ) -> Result<(), Failure> {
        let slot = broker.transactions.get(id).ok_or(Refusal::UnknownProducer)?;
        let broker = Arc::clone(broker);
        to_its_end(async move {
            let these = &broker.transactions;
            let _turn = slot.turn.lock().await;
            slot.now.lock().may_commit(producer, &group)?;
            let change = |((topic, partition), committed): &(Place, Committed)| {
                let key = StateKey::TransactionOffset(slot.id.clone(), group.clone(), topic.clone(), *partition);
                Change::set(key, committed)
            };
            these.state.put(offsets.iter().map(change).collect::<Result<_, _>>()?).await?;
            let mut held = slot.offsets.lock();
            let mut pending = these.pending.lock();
            for (place, committed) in offsets {
                let place = (group.clone(), place);
                pending.add_if(held.insert(place.clone(), committed).is_none(), &place);
            }
            Ok(())
        })
        .await
    }

    /// The producer ends its transaction: when this returns well it is decided, and almost always carried out.
    pub(crate) async fn end(broker: &Arc<Broker>, id: &str, producer: Producer, commit: bool) -> Result<(), Failure> {
        let slot = broker.transactions.get(id).ok_or(Refusal::UnknownProducer)?;
        let broker = Arc::clone(broker);
        to_its_end(async move {
            let _turn = slot.turn.lock().await;
            match slot.current().end(producer, commit, now_ms())? {
                Verdict::Already => Ok(()),
                Verdict::Write(next) | Verdict::EndFirst(next) => {
                    broker.transactions.write(&slot, next).await?;
                    if !carry_out::finish(&broker, &slot).await {
                        // The decision stands; the timer sees to it.
                        broker.transactions.sooner.notify_one();
                    }
                    Ok(())
                }
            }
        })
        .await
    }
}
