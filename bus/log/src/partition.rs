//! One partition: its state and its durability. The verbs live beside it: append, read, lookup by time,
//! trim, settle. Locks are taken in the order checkpoint, writer, shared; no disk is touched
//! under `shared` (but for the renaming of a compacted segment), so readers never wait for a write.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

use crate::commit::{Committer, Place, Urgency};
use crate::disk::Disk;
use crate::error::Poisoned;
use crate::index::{Index, NO_TIME};
use crate::options::LogOptions;
use crate::producers::{ActiveProducer, Producers};
use crate::proven::Proven;
use crate::recovery::{Recovered, SUSPECT_FILE};
use crate::segment::Sealed;
use crate::settle::CHECKPOINT_BYTES;
use crate::stability::Stability;
use crate::tuning::Tuning;

/// The log of one partition. All methods may be called from any thread; those that touch the disk block
/// (an append writes to the page cache, and syncs only when a segment is full).
pub struct Partition {
    pub(crate) name: Arc<str>,
    topic_id: Arc<str>,
    number: i32,
    pub(crate) dir: PathBuf,
    pub(crate) options: LogOptions,
    /// What the topic's settings make of the options.
    pub(crate) tuning: Mutex<Tuning>,
    pub(crate) disk: Arc<dyn Disk>,
    committer: Arc<Committer>,
    /// Where the committer stands with this partition.
    pub(crate) place: Place,
    me: Weak<Self>,
    pub(crate) checkpointing: Mutex<()>,
    pub(crate) compacting: Mutex<()>,
    /// One sync at a time: of two, the second could be told success after the first was told the error.
    syncing: Mutex<()>,
    /// Keeps a checkpoint from putting an older index in place of a closed segment's.
    pub(crate) index_file: Mutex<()>,
    pub(crate) writer: Mutex<Writer>,
    pub(crate) shared: RwLock<Shared>,
    durable: Arc<Durable>,
    /// Appends that have begun and not ended: a commit waits a moment for them.
    pub(crate) appending: AtomicUsize,
}

/// What only appends (and what must exclude them) touch.
pub(crate) struct Writer {
    pub(crate) producers: Producers,
    /// How long the active file is; space beyond its batches is reserved.
    pub(crate) reserved_bytes: u64,
    /// When the active segment got its first batch, if that is known.
    pub(crate) begun_ms: Option<i64>,
    /// Bytes since the last checkpoint.
    pub(crate) unchecked_bytes: u64,
}

/// What readers see.
pub(crate) struct Shared {
    pub(crate) log_start: i64,
    pub(crate) sealed: VecDeque<Arc<Sealed>>,
    pub(crate) active: Active,
    pub(crate) stability: Stability,
}

/// The segment that is written.
pub(crate) struct Active {
    pub(crate) path: PathBuf,
    pub(crate) file: Arc<File>,
    pub(crate) index: Index,
    /// Bytes that are durable.
    pub(crate) durable_bytes: u64,
    pub(crate) proven: Arc<Proven>,
}

impl Shared {
    pub(crate) fn log_end(&self) -> i64 {
        self.active.index.summary().next_offset
    }
}

/// The durable end, and whether it can still rise.
struct Durable {
    end: watch::Sender<i64>,
    /// The last stable offset. It moves only when the end does: what begins lies past the end, and what ends has its
    /// marker there.
    stable: watch::Sender<i64>,
    poisoned: OnceLock<Poisoned>,
}

/// What to call a partition and where it is.
pub(crate) struct Home {
    pub(crate) topic_id: Arc<str>,
    pub(crate) number: i32,
    pub(crate) dir: PathBuf,
}

impl Partition {
    pub(crate) fn new(
        home: Home,
        options: LogOptions,
        disk: Arc<dyn Disk>,
        committer: Arc<Committer>,
        found: Recovered,
    ) -> Arc<Self> {
        let durable_bytes = found.index.summary().bytes;
        let durable_end = found.index.summary().next_offset;
        let mut stability = found.stability;
        let stable_end = stability.stable_end(durable_end);
        let unchecked_bytes = if found.checkpoint_due { CHECKPOINT_BYTES } else { 0 };
        let active = Active {
            path: found.active_path,
            file: Arc::new(found.active_file),
            index: found.index,
            durable_bytes,
            proven: Arc::new(Proven::written_from(durable_bytes)),
        };
        let writer =
            Writer { producers: found.producers, reserved_bytes: durable_bytes, begun_ms: None, unchecked_bytes };
        Arc::new_cyclic(|me| Self {
            name: format!("{}/{}", home.topic_id, home.number).into(),
            topic_id: home.topic_id,
            number: home.number,
            dir: home.dir,
            tuning: Mutex::new(Tuning::new(&options)),
            options,
            disk,
            committer,
            place: Place::default(),
            me: me.clone(),
            checkpointing: Mutex::new(()),
            compacting: Mutex::new(()),
            syncing: Mutex::new(()),
            index_file: Mutex::new(()),
            writer: Mutex::new(writer),
            shared: RwLock::new(Shared { log_start: found.log_start, sealed: found.sealed, active, stability }),
            durable: Arc::new(Durable {
                end: watch::Sender::new(durable_end),
                stable: watch::Sender::new(stable_end),
                poisoned: OnceLock::new(),
            }),
            appending: AtomicUsize::new(0),
        })
    }

    /// The topic's directory name.
    #[must_use]
    pub fn topic_id(&self) -> &str {
        &self.topic_id
    }

    /// The partition number.
    #[must_use]
    pub fn partition(&self) -> i32 {
        self.number
    }

    /// Resolves once everything below `end_offset` is durable, and asks the committer to see to it now.
    /// The future may be dropped at any time, and borrows nothing. An offset past the log's end is waited for
    /// until somebody appends it.
    pub fn wait_durable(&self, end_offset: i64) -> impl Future<Output = Result<(), Poisoned>> + Send + 'static {
        let durable = Arc::clone(&self.durable);
        let mut changes = durable.end.subscribe();
        if *changes.borrow() < end_offset {
            self.request_sync(Urgency::Now);
        }
        async move {
            let reached =
                changes.wait_for(|end| *end >= end_offset || durable.poisoned.get().is_some()).await.map(|end| *end);
            match (reached, durable.poisoned.get()) {
                (Ok(end), _) if end >= end_offset => Ok(()),
                (_, Some(poisoned)) => Err(poisoned.clone()),
                // The sender lives in `durable`, which this future holds.
                (_, None) => Ok(()),
            }
        }
    }

    /// The first offset that can be read.
    #[must_use]
    pub fn log_start(&self) -> i64 {
        self.shared.read().log_start
    }

    /// The offset that the next record gets.
    #[must_use]
    pub fn log_end(&self) -> i64 {
        self.shared.read().log_end()
    }

    /// One past the last offset that survives a power failure: the high watermark.
    #[must_use]
    pub fn durable_end(&self) -> i64 {
        *self.durable.end.borrow()
    }

    /// Changes whenever [`durable_end`](Self::durable_end) does: for long-polling fetches.
    #[must_use]
    pub fn durable_changes(&self) -> watch::Receiver<i64> {
        self.durable.end.subscribe()
    }

    /// The last stable offset: one past the last record that belongs to no transaction which is still open, or which
    /// has ended by a marker that could be lost. All before it is durable.
    #[must_use]
    pub fn stable_end(&self) -> i64 {
        // Records of an open transaction may have been deleted, so the start can lie beyond it.
        let log_start = self.log_start();
        log_start.max(*self.durable.stable.borrow())
    }

    /// Changes whenever [`stable_end`](Self::stable_end) does, except by deletion.
    #[must_use]
    pub fn stable_changes(&self) -> watch::Receiver<i64> {
        self.durable.stable.subscribe()
    }

    /// The producers that wrote here of late, by id.
    #[must_use]
    pub fn producers(&self) -> Vec<ActiveProducer> {
        self.writer.lock().producers.active()
    }

    /// Offset and timestamp of the latest record by timestamp: the last offset of the first batch that
    /// reaches the highest timestamp.
    #[must_use]
    pub fn max_timestamp(&self) -> Option<(i64, i64)> {
        let shared = self.shared.read();
        let closed = shared.sealed.iter().map(|segment| &segment.summary);
        let latest = closed.chain([shared.active.index.summary()]).fold(None, |best: Option<(i64, i64)>, next| {
            let later = next.max_time != NO_TIME && best.is_none_or(|(_, time)| next.max_time > time);
            if later { Some((next.max_time_offset, next.max_time)) } else { best }
        });
        latest.filter(|(offset, _)| *offset >= shared.log_start)
    }

    /// Bytes of the batches in the log.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        let shared = self.shared.read();
        let closed: u64 = shared.sealed.iter().map(|segment| segment.summary.bytes).sum();
        closed + shared.active.index.summary().bytes
    }

    /// Why the partition takes no more writes, if so.
    #[must_use]
    pub fn poisoned(&self) -> Option<Poisoned> {
        self.durable.poisoned.get().cloned()
    }

    /// Refuses all appends and waits from here on. Only the first reason is kept.
    pub(crate) fn poison(&self, reason: &str) -> Poisoned {
        let poisoned = Poisoned { partition: Arc::clone(&self.name), reason: reason.into() };
        let kept = self.durable.poisoned.get_or_init(|| poisoned).clone();
        self.durable.end.send_modify(|_| {});
        kept
    }

    /// As `poison`, for a disk that can't be trusted: the next start has to doubt the page cache too.
    pub(crate) fn poison_by_disk(&self, what: &str, error: &io::Error) -> Poisoned {
        tracing::error!(
            partition = %self.name, %error,
            "{what} failed: it is not known what is on disk; the partition refuses writes until a restart"
        );
        if let Err(error) = File::create(self.dir.join(SUSPECT_FILE)) {
            tracing::warn!(partition = %self.name, %error, "can't leave a mark for the next start");
        }
        self.poison(&format!("{what} failed ({error}); restart after checking the disk"))
    }

    pub(crate) fn check_poison(&self) -> Result<(), Poisoned> {
        self.durable.poisoned.get().map_or(Ok(()), |poisoned| Err(poisoned.clone()))
    }

    pub(crate) fn request_sync(&self, urgency: Urgency) {
        if let Some(me) = self.me.upgrade() {
            self.committer.request(&me, urgency);
        }
    }

    pub(crate) fn unsynced_bytes(&self) -> u64 {
        let shared = self.shared.read();
        shared.active.index.summary().bytes - shared.active.durable_bytes
    }

    /// Makes durable what was appended before the call, and publishes it.
    pub(crate) fn sync(&self) -> Result<(), Poisoned> {
        let _one_at_a_time = self.syncing.lock();
        self.check_poison()?;
        let (file, base, summary) = {
            let shared = self.shared.read();
            let active = &shared.active;
            if active.durable_bytes == active.index.summary().bytes {
                return Ok(());
            }
            (Arc::clone(&active.file), active.index.base_offset(), *active.index.summary())
        };
        self.disk.sync(&file).map_err(|error| self.poison_by_disk("fsync", &error))?;
        let mut shared = self.shared.write();
        if shared.active.index.base_offset() == base {
            shared.active.durable_bytes = summary.bytes;
        }
        // The end last: who waited for a marker to be durable finds that its transaction is decided.
        let durable_end = summary.next_offset.max(self.durable_end());
        let stable_end = shared.stability.stable_end(durable_end);
        self.durable.stable.send_if_modified(|stable| std::mem::replace(stable, stable_end) != stable_end);
        self.durable.end.send_if_modified(|durable| std::mem::replace(durable, durable_end) != durable_end);
        Ok(())
    }

    /// Counts an append as begun until the guard is dropped.
    pub(crate) fn begin_append(&self) -> AppendingGuard<'_> {
        self.appending.fetch_add(1, Ordering::Relaxed);
        AppendingGuard(&self.appending)
    }
}

pub(crate) struct AppendingGuard<'a>(&'a AtomicUsize);

impl Drop for AppendingGuard<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
