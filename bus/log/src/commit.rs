//! Group commit: a few threads sync the partitions that have something to sync, each partition by one thread
//! at a time. Whatever was appended while a sync ran shares the next one; nobody waits for nothing.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::partition::Partition;

/// Syncs of different files overlap well in the kernel: eight at once were measured at some 6,000 a second where
/// one after the other makes 500.
const THREADS: usize = 8;
/// An append writes to memory and takes some ten microseconds; looking less often would waste the window.
const WINDOW_STEP: Duration = Duration::from_micros(50);

/// How soon a partition is to be synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Urgency {
    /// Someone waits, or much has gathered.
    Now,
    /// Within `cached_sync`.
    Later,
}

/// Where the committer stands with a partition. Changed only under the queue's lock.
#[derive(Default)]
pub(crate) struct Place {
    queued: AtomicBool,
    deferred: AtomicBool,
    busy: AtomicBool,
    again: AtomicBool,
}

#[derive(Default)]
struct Queue {
    now: VecDeque<Arc<Partition>>,
    /// In the order of their deadlines, since all wait equally long.
    later: VecDeque<(Instant, Arc<Partition>)>,
    /// One idle thread wakes for the next deadline; the others sleep until called.
    watched: bool,
    stopped: bool,
}

impl Queue {
    fn push_now(&mut self, partition: &Arc<Partition>) {
        if partition.place.busy.load(Relaxed) {
            partition.place.again.store(true, Relaxed);
        } else if !partition.place.queued.swap(true, Relaxed) {
            self.now.push_back(Arc::clone(partition));
        }
    }

    fn promote_due(&mut self, now: Instant) {
        while self.later.front().is_some_and(|(due, _)| *due <= now) {
            if let Some((_, partition)) = self.later.pop_front() {
                partition.place.deferred.store(false, Relaxed);
                self.push_now(&partition);
            }
        }
    }
}

/// The queue of partitions to sync.
pub(crate) struct Committer {
    queue: Mutex<Queue>,
    wake: Condvar,
    window: Duration,
    sync_bytes: u64,
    cached_sync: Duration,
}

impl Committer {
    pub(crate) fn new(window: Duration, sync_bytes: u64, cached_sync: Duration) -> Arc<Self> {
        Arc::new(Self { queue: Mutex::default(), wake: Condvar::new(), window, sync_bytes, cached_sync })
    }

    /// Starts the threads. They end at `stop`.
    pub(crate) fn start(self: &Arc<Self>) -> std::io::Result<Vec<JoinHandle<()>>> {
        let spawn = |number| {
            let committer = Arc::clone(self);
            thread::Builder::new().name(format!("bus-sync-{number}")).spawn(move || committer.work())
        };
        (0..THREADS).map(spawn).collect()
    }

    pub(crate) fn stop(&self) {
        let mut queue = self.queue.lock();
        queue.stopped = true;
        queue.now.clear();
        queue.later.clear();
        drop(queue);
        self.wake.notify_all();
    }

    pub(crate) fn request(&self, partition: &Arc<Partition>, urgency: Urgency) {
        let mut queue = self.queue.lock();
        if queue.stopped {
            return;
        }
        match urgency {
            Urgency::Now => queue.push_now(partition),
            Urgency::Later => {
                if partition.place.queued.load(Relaxed) || partition.place.deferred.swap(true, Relaxed) {
                    return;
                }
                queue.later.push_back((Instant::now() + self.cached_sync, Arc::clone(partition)));
                if queue.watched {
                    return;
                }
            }
        }
        drop(queue);
        self.wake.notify_one();
    }

    fn work(&self) {
        while let Some(partition) = self.next() {
            self.wait_for_siblings(&partition);
            // The error is kept in the partition, and was logged there.
            let _ = partition.sync();
            let mut queue = self.queue.lock();
            partition.place.busy.store(false, Relaxed);
            if partition.place.again.swap(false, Relaxed) && !queue.stopped {
                queue.push_now(&partition);
                drop(queue);
                self.wake.notify_one();
            } else {
                drop(queue);
            }
            partition.checkpoint_if_due();
        }
    }

    fn next(&self) -> Option<Arc<Partition>> {
        let mut queue = self.queue.lock();
        loop {
            if queue.stopped {
                return None;
            }
            queue.promote_due(Instant::now());
            if let Some(partition) = queue.now.pop_front() {
                partition.place.queued.store(false, Relaxed);
                partition.place.busy.store(true, Relaxed);
                let more = !queue.now.is_empty() || (!queue.later.is_empty() && !queue.watched);
                drop(queue);
                if more {
                    self.wake.notify_one();
                }
                return Some(partition);
            }
            match queue.later.front().map(|(due, _)| *due) {
                Some(due) if !queue.watched => {
                    queue.watched = true;
                    self.wake.wait_until(&mut queue, due);
                    queue.watched = false;
                }
                _ => self.wake.wait(&mut queue),
            }
        }
    }

    /// Gives appends that are being written this moment the chance to share the sync.
    fn wait_for_siblings(&self, partition: &Partition) {
        let until = Instant::now() + self.window;
        while partition.appending.load(Relaxed) > 0
            && partition.unsynced_bytes() < self.sync_bytes
            && Instant::now() < until
        {
            thread::sleep(WINDOW_STEP);
        }
    }
}
