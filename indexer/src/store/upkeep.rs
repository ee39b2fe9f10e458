//! The threads that keep the store in shape: merging in memory, flushing, merging on disk, sealing and moving to the object store, one each,
//! because a long merge must delay neither searches nor what makes documents durable.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use logmill_core::StatusBoard;
use logmill_core::retry::Backoff;

use super::Store;
use super::inventory::Found;
use super::retention::REMEMBERED_DAYS;
use crate::config::DiskPolicy;
use crate::dates::instant::day_of;

/// Memory parts become ten a second: nothing is gained by looking more often.
const MEMORY_TICK: Duration = Duration::from_millis(100);
/// How late a flush by size may be.
const FLUSH_TICK: Duration = Duration::from_millis(50);
/// Parts that only have to be copied to the disk gain nothing by waiting, once they are so large a share of what
/// starts a flush that splits do not become too many.
const READY_MADE_SHARE: u64 = 8;
/// The first flush after the start comes this soon, each later one after twice the time: a process that is killed
/// again and again must not read the same events again and again.
const FIRST_FLUSH: Duration = Duration::from_secs(1);
/// Splits come every few seconds at most.
const SPLITS_TICK: Duration = Duration::from_secs(1);
/// As with `nice -n 10`: about a tenth of a processor that others want too.
const SEAL_NICENESS: i32 = 10;
/// Deleting by age or size may be this late.
const RETENTION_EVERY: Duration = Duration::from_secs(10);
/// Going cold is never urgent.
const COLD_TICK: Duration = Duration::from_secs(1);
/// What a killed process left on the object store, and what another fault may leave, is looked for this often.
const SWEEP_EVERY: Duration = Duration::from_secs(3600);
/// After the start, one split is read and compared every so often, until all were: damage is found within a day
/// without a noticeable load.
const VERIFY_EVERY: Duration = Duration::from_secs(5);

/// The threads, until [`Upkeep::stop`].
pub(crate) struct Upkeep {
    stop: Arc<AtomicBool>,
    /// Set when a thread ended without being asked to.
    failed: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    merges_stop: Arc<AtomicBool>,
}

/// Raises the flag when its thread ends by a panic.
struct Alarm(Arc<AtomicBool>);

impl Drop for Alarm {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.store(true, Ordering::Release);
        }
    }
}

impl Upkeep {
    /// Starts the threads. A store has them once.
    ///
    /// # Errors
    /// When the system has no threads to give.
    pub(crate) fn start(store: &Arc<Store>, board: &Arc<StatusBoard>) -> std::io::Result<Self> {
        let mut upkeep = Self {
            stop: Arc::default(),
            failed: Arc::default(),
            threads: Vec::new(),
            merges_stop: store.stopping.clone(),
        };
        store.stopping.store(false, Ordering::Release);
        type Work = fn(&Store, &StatusBoard, &AtomicBool);
        let works: [(&str, Work); 5] = [
            ("memory-merge", merge_memory),
            ("flush", flush),
            ("split-merge", keep_splits),
            ("seal", seal),
            ("cold", keep_cold),
        ];
        for (name, work) in works {
            let (store, board) = (store.clone(), board.clone());
            let (stop, alarm) = (upkeep.stop.clone(), Alarm(upkeep.failed.clone()));
            let body = move || {
                let _alarm = alarm;
                work(&store, &board, &stop);
            };
            upkeep.threads.push(std::thread::Builder::new().name(name.to_owned()).spawn(body)?);
        }
        Ok(upkeep)
    }

    /// Whether a thread has panicked: the store must not go on as if nothing had happened.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// Asks the threads to end and waits for them. A merge on disk ends without a result and is done after the next
    /// start; what is in memory is merged to its end.
    pub(crate) fn stop(self) {
        self.stop.store(true, Ordering::Release);
        self.merges_stop.store(true, Ordering::Release);
        for thread in self.threads {
            // A panic was told by the alarm.
            let _ = thread.join();
        }
    }
}

fn merge_memory(store: &Store, board: &StatusBoard, stop: &AtomicBool) {
    while !stop.load(Ordering::Acquire) {
        match store.merge_memory() {
            Ok(true) => {}
            Ok(false) => {
                board.set_problem("memory-merge", None);
                std::thread::sleep(MEMORY_TICK);
            }
            Err(error) => {
                board.set_problem("memory-merge", Some(format!("can't merge segments in memory: {error}")));
                std::thread::sleep(Duration::from_secs(1));
            }
        }
    }
}

fn flush(store: &Store, board: &StatusBoard, stop: &AtomicBool) {
    let (interval, size) = (store.config.flush_interval.0, store.config.flush_bytes.0);
    let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));
    let flushes = board.counter("flushes");
    let mut last = Instant::now();
    let mut due = interval.min(FIRST_FLUSH);
    while !stop.load(Ordering::Acquire) {
        if last.elapsed() < due && store.hot_bytes() < size && store.ready_made_bytes() < size / READY_MADE_SHARE {
            std::thread::sleep(FLUSH_TICK);
            continue;
        }
        match store.flush() {
            Ok(()) => {
                last = Instant::now();
                due = interval.min(due * 2);
                flushes.add(1);
                backoff.reset();
                board.set_problem("disk", None);
            }
            Err(error) => {
                tracing::error!(%error, "documents stay in memory until the disk takes them");
                board.set_problem("disk", Some(error.to_string()));
                std::thread::sleep(backoff.next_delay());
            }
        }
    }
}

fn seal(store: &Store, board: &StatusBoard, stop: &AtomicBool) {
    // Sealing is never urgent: whoever else wants the processor goes first.
    if let Err(error) = rustix::process::nice(SEAL_NICENESS) {
        tracing::debug!(%error, "the thread that seals runs with the priority of all others");
    }
    let (seals, docs) = (board.counter("splits_sealed"), board.counter("sealed_docs"));
    let (before, after) = (board.counter("sealed_bytes_before"), board.counter("sealed_bytes"));
    while !stop.load(Ordering::Acquire) {
        let now_ns = i64::try_from(Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX);
        match store.seal_splits(now_ns) {
            Ok(Some(sealed)) => {
                seals.add(1);
                docs.add(sealed.docs);
                before.add(sealed.bytes_before);
                after.add(sealed.bytes_after);
            }
            Ok(None) => {
                board.set_problem("seal", None);
                std::thread::sleep(SPLITS_TICK);
            }
            Err(_) if stop.load(Ordering::Acquire) => return,
            Err(error) => {
                board.set_problem("seal", Some(format!("splits are not sealed: {error}")));
                std::thread::sleep(Duration::from_secs(5));
            }
        }
    }
}

fn keep_cold(store: &Store, board: &StatusBoard, stop: &AtomicBool) {
    if !store.has_cold() {
        return;
    }
    let (frozen, removed) = (board.counter("splits_frozen"), board.counter("cold_splits_removed"));
    let rewrites = board.counter("splits_rewritten");
    let mut backoff = Backoff::new(COLD_TICK, Duration::from_secs(30));
    let mut swept: Option<Instant> = None;
    while !stop.load(Ordering::Acquire) {
        let sweep = swept.is_none_or(|at| at.elapsed() > SWEEP_EVERY);
        let round = store.cold_round(Timestamp::now(), sweep);
        removed.add(round.removed);
        rewrites.add(round.rewritten);
        frozen.add(round.frozen);
        if round.swept {
            swept = Some(Instant::now());
        }
        let has_moved = round.rewritten + round.frozen > 0;
        if has_moved || round.failed.is_none() {
            backoff.reset();
        }
        match round.failed {
            None if has_moved => {}
            None => {
                board.set_problem("cold", None);
                std::thread::sleep(COLD_TICK);
            }
            Some(_) if stop.load(Ordering::Acquire) => return,
            Some(error) => {
                tracing::warn!(%error, "cold splits wait for the object store");
                board.set_problem("cold", Some(format!("cold splits wait: {error}")));
                pause(backoff.next_delay(), stop);
            }
        }
    }
}

/// Sleeps, but not beyond the stop.
fn pause(delay: Duration, stop: &AtomicBool) {
    let until = Instant::now() + delay;
    while Instant::now() < until && !stop.load(Ordering::Acquire) {
        std::thread::sleep(FLUSH_TICK);
    }
}

fn keep_splits(store: &Store, board: &StatusBoard, stop: &AtomicBool) {
    let merges = board.counter("split_merges");
    let deleted = board.counter("splits_deleted");
    let rewrites = board.counter("splits_rewritten");
    let drops = store.config.disk_policy == DiskPolicy::DropOldest;
    let mut retained: Option<Instant> = None;
    let mut verified = Instant::now();
    // Cold ones are compared block by block whenever they are read; to read all of them takes its price.
    let mut to_verify = store.local_split_ids();
    while !stop.load(Ordering::Acquire) {
        let now = Timestamp::now();
        let now_ns = i64::try_from(now.as_nanosecond()).unwrap_or(i64::MAX);
        match store.merge_splits(now_ns) {
            Ok(true) => merges.add(1),
            Ok(false) => {
                board.set_problem("split-merge", None);
                std::thread::sleep(SPLITS_TICK);
            }
            Err(_) if stop.load(Ordering::Acquire) => return,
            Err(error) => {
                board.set_problem("split-merge", Some(format!("splits are not merged: {error}")));
                std::thread::sleep(Duration::from_secs(5));
            }
        }
        match store.rewrite_erased(now.as_millisecond()) {
            Ok(rewritten) => {
                rewrites.add(u64::from(rewritten));
                board.set_problem("erasing", None);
            }
            Err(error) => {
                board.set_problem("erasing", Some(format!("erased documents are still on the disk: {error}")));
            }
        }
        let low = drops && store.is_disk_low().unwrap_or(false);
        if low || retained.is_none_or(|at| at.elapsed() > RETENTION_EVERY) {
            retained = Some(Instant::now());
            let forgotten = store.forget_marks(day_of(now).saturating_sub(REMEMBERED_DAYS));
            match store.retain(now_ns).and_then(|splits| forgotten.map(|()| splits)) {
                Ok(splits) => {
                    deleted.add(splits as u64);
                    board.set_problem("retention", None);
                }
                Err(error) => board.set_problem("retention", Some(format!("nothing can be deleted: {error}"))),
            }
        }
        if verified.elapsed() > VERIFY_EVERY {
            verified = Instant::now();
            if let Some(Found::Damaged(damage)) = to_verify.pop().and_then(|id| store.verify_split(id)) {
                tracing::error!(damage, "a split is damaged");
                board.set_problem("damage", Some(damage));
            }
        }
    }
}
