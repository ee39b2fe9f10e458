//! How far the engine is behind the bus: looked at from time to time on a thread of its own, because the look blocks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use logmill_bus_client::{Admin, Consumer, TopicPartition};
use logmill_core::StatusBoard;
use parking_lot::Mutex;

/// Often enough for a person who looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);
const BUS_TIMEOUT: Duration = Duration::from_secs(10);

/// Looks until it is dropped.
pub(super) struct Lag {
    known: Arc<Mutex<Known>>,
    stop: Arc<AtomicBool>,
}

#[derive(Default)]
struct Known {
    partitions: Vec<TopicPartition>,
    /// The offset of the next record to be accepted, by partition.
    next: BTreeMap<i32, i64>,
}

impl Lag {
    pub(super) fn start(consumer: Arc<Consumer>, admin: Arc<Admin>, group: String, board: Arc<StatusBoard>) -> Self {
        let lag = Self { known: Arc::default(), stop: Arc::default() };
        let (known, stop) = (lag.known.clone(), lag.stop.clone());
        let look = move || {
            while !stop.load(Ordering::Relaxed) {
                if let Some(behind) = look(&consumer, &admin, &group, &known) {
                    board.set_gauge("lag_events", behind as f64);
                }
                std::thread::sleep(LOOK_EVERY);
            }
        };
        if let Err(error) = std::thread::Builder::new().name("bus-ends".to_owned()).spawn(look) {
            tracing::warn!(%error, "the lag behind the bus will not be known");
        }
        lag
    }

    pub(super) fn assigned(&self, partitions: Vec<TopicPartition>) {
        *self.known.lock() = Known { partitions, next: BTreeMap::new() };
    }

    pub(super) fn revoked(&self, partitions: &[TopicPartition]) {
        let mut known = self.known.lock();
        known.partitions.retain(|partition| !partitions.contains(partition));
        known.next.retain(|number, _| !partitions.iter().any(|revoked| revoked.partition == *number));
    }

    pub(super) fn accepted(&self, next: &BTreeMap<i32, i64>) {
        self.known.lock().next.extend(next);
    }
}

impl Drop for Lag {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Records between what was accepted and the ends.
fn look(consumer: &Consumer, admin: &Admin, group: &str, known: &Mutex<Known>) -> Option<i64> {
    let partitions = known.lock().partitions.clone();
    if partitions.is_empty() {
        return None;
    }
    let ends = consumer.ends(&partitions, BUS_TIMEOUT).ok()?;
    let is_new = {
        let known = known.lock();
        partitions.iter().any(|at| !known.next.contains_key(&at.partition))
    };
    // Only until the first batch of each partition is accepted.
    let committed = if is_new { admin.committed(group).ok()? } else { Vec::new() };
    let known = known.lock();
    let behind = partitions.iter().zip(ends).map(|(at, (low, high))| {
        let from_group = || committed.iter().find(|(committed, _)| committed == at).map(|(_, offset)| *offset);
        let next = known.next.get(&at.partition).copied().or_else(from_group);
        high - next.unwrap_or(low).clamp(low, high)
    });
    Some(behind.sum())
}
