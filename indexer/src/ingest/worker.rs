//! The thread that builds segments: it takes batches from the reader, publishes at every tick, and stands still
//! while memory is full, so that the reader stops and the bus keeps what is to come.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use logmill_bus_client::Message;
use logmill_core::stage::Counter;
use logmill_core::{Shutdown, StatusBoard};

use super::indexing::{Indexing, Tally};
use crate::dates::instant::day_of;
use crate::store::REMEMBERED_DAYS;
use crate::store::Store;

/// Batches between the reader and this thread: one is built while the next is read.
pub(crate) const QUEUE_BATCHES: usize = 2;
/// While memory is full, room is looked for this often: a flush takes tens of milliseconds and more.
const ROOM_TICK: Duration = Duration::from_millis(5);
/// Without records the thread wakes this often, for the day's change alone.
const IDLE_TICK: Duration = Duration::from_secs(1);

/// What the reader says.
#[derive(Debug)]
pub(crate) enum Order {
    /// Records, in order within each partition.
    Take(Vec<Message>),
    /// The bus was replaced: this partition begins here.
    Restart { partition: i32, offset: i64 },
}

/// The running totals on the board.
struct Counters {
    events: Counter,
    bytes: Counter,
    duplicates: Counter,
    id_conflicts: Counter,
    not_json: Counter,
    paths_refused: Counter,
    deletes: Counter,
    empty: Counter,
}

impl Counters {
    fn new(board: &StatusBoard) -> Self {
        Self {
            events: board.counter("events"),
            bytes: board.counter("bytes"),
            duplicates: board.counter("dropped_duplicates"),
            id_conflicts: board.counter("dropped_id_conflicts"),
            not_json: board.counter("not_json"),
            paths_refused: board.counter("fields_refused"),
            deletes: board.counter("deleted_by_id"),
            empty: board.counter("dropped_empty"),
        }
    }

    fn add(&self, tally: Tally) {
        self.events.add(tally.events);
        self.bytes.add(tally.bytes);
        self.duplicates.add(tally.duplicates);
        self.id_conflicts.add(tally.id_conflicts);
        self.not_json.add(tally.not_json);
        self.paths_refused.add(tally.paths_refused);
        self.deletes.add(tally.deletes);
        self.empty.add(tally.empty);
    }
}

/// Works until the reader hangs up; then what was taken up is published.
///
/// # Errors
/// When the store can't take a document: going on would lose it.
pub(crate) fn run(
    mut indexing: Indexing,
    store: &Arc<Store>,
    board: &StatusBoard,
    orders: &Receiver<Order>,
    tick: Duration,
    shutdown: &Shutdown,
) -> tantivy::Result<()> {
    let counters = Counters::new(board);
    let mut today = day_of(Timestamp::now());
    loop {
        // Soon again also where the tick is a long one: whether there is something to wait for shows in pauses.
        let patience = indexing.rest(tick).map_or(IDLE_TICK, |rest| rest.min(tick));
        let asked = Instant::now();
        let order = orders.recv_timeout(patience);
        indexing.idled(asked.elapsed());
        match order {
            Ok(Order::Take(messages)) => {
                indexing.take(&messages, Instant::now(), today)?;
            }
            Ok(Order::Restart { partition, offset }) => indexing.restart(partition, offset),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                counters.add(indexing.tick()?);
                return Ok(());
            }
        }
        if indexing.is_due(tick) {
            counters.add(indexing.tick()?);
            // A full disk must not keep the process from ending: what is not on disk is still on the bus.
            while !store.has_room() && !shutdown.requested() {
                std::thread::sleep(ROOM_TICK);
            }
        }
        let day = day_of(Timestamp::now());
        if day != today {
            today = day;
            indexing.forget_before(day.saturating_sub(REMEMBERED_DAYS));
            tracing::debug!(watermarks = indexing.marks(), "forgot sources without news");
        }
    }
}
