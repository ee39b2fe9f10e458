//! One data directory with all its partitions, and the threads that make their appends durable.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::{Mutex, RwLock};
use rustix::fs::FlockOperation;

use crate::commit::Committer;
use crate::disk::{Disk, System};
use crate::error::LogError;
use crate::meta::{self, Kind};
use crate::options::LogOptions;
use crate::partition::{Home, Partition};
use crate::recovery::{self, recover};
use crate::report::RecoveryReport;
use crate::tuning::SEGMENT_BYTES_MAX;

const LOCK_FILE: &str = "lock";
/// There from a clean shutdown to the next start.
const CLEAN_FILE: &str = "clean";
/// Directories with this prefix are being made or removed; a crash may leave them.
const UNFINISHED: char = '.';
const TOPIC_ID_BYTES_MAX: usize = 128;
/// Recovery waits for the disk more than it computes.
const RECOVERY_THREADS: usize = 4;

type Partitions = HashMap<Arc<str>, BTreeMap<i32, Arc<Partition>>>;

/// All logs below one directory, `<dir>/<topic id>/<partition>/`. One process at a time may have it open.
pub struct LogStore {
    dir: PathBuf,
    options: LogOptions,
    disk: Arc<dyn Disk>,
    committer: Arc<Committer>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    partitions: RwLock<Partitions>,
    clean_start: bool,
    /// Makes the names of unfinished directories unique.
    unfinished: AtomicU64,
    /// Held for as long as the store is open.
    _lock: File,
}

impl LogStore {
    /// Opens the store, creating it if need be, and recovers every partition: quickly after a clean shutdown,
    /// by checking what lies past the last checkpoint otherwise. A partition that can't be opened is
    /// reported, not fatal. Blocks; call it before serving.
    ///
    /// # Errors
    /// When the directory can't be used, is in use, or was written by a newer version.
    pub fn open(dir: &Path, options: LogOptions) -> Result<(Self, RecoveryReport), LogError> {
        Self::open_on(dir, options, Arc::new(System))
    }

    pub(crate) fn open_on(
        dir: &Path,
        mut options: LogOptions,
        disk: Arc<dyn Disk>,
    ) -> Result<(Self, RecoveryReport), LogError> {
        options.segment_bytes = options.segment_bytes.clamp(1, SEGMENT_BYTES_MAX);
        let failed = |action, path: &Path| {
            let path = path.to_owned();
            move |source| LogError::Io { action, path, source }
        };
        fs::create_dir_all(dir).map_err(failed("create", dir))?;
        let lock = lock(dir)?;
        let (topics, is_new) = (list_partitions(dir)?, !dir.join(Kind::Store.file()).exists());
        if !meta::check(dir, Kind::Store)? {
            meta::write(&*disk, dir, Kind::Store)?;
        }
        let clean = dir.join(CLEAN_FILE);
        let clean_start = clean.exists() || (is_new && topics.is_empty());
        if clean.exists() {
            // Durable before anything is written: a crash from here on must be seen as one.
            fs::remove_file(&clean).map_err(failed("remove", &clean))?;
            disk.sync_dir(dir).map_err(failed("sync", dir))?;
        }
        let committer = Committer::new(options.sync_window, options.sync_bytes, options.cached_sync);
        let (partitions, report) = recover_all(topics, &options, &disk, &committer);
        let threads = committer.start().map_err(failed("start threads for", dir))?;
        let store = Self {
            dir: dir.to_owned(),
            options,
            disk,
            committer,
            threads: Mutex::new(threads),
            partitions: RwLock::new(partitions),
            clean_start,
            unfinished: AtomicU64::new(0),
            _lock: lock,
        };
        Ok((store, report))
    }

    /// Creates the partition, or returns it if it is there. `topic_id` becomes a directory name:
    /// letters, digits, `-` and `_`, at most 128 (a UUID). Durable on return.
    ///
    /// # Errors
    /// When the name is unfit or the files can't be created.
    pub fn create(&self, topic_id: &str, partition: i32) -> Result<Arc<Partition>, LogError> {
        if !is_topic_id(topic_id) {
            return Err(LogError::TopicId(topic_id.chars().take(TOPIC_ID_BYTES_MAX).collect()));
        }
        if partition < 0 {
            return Err(LogError::PartitionNumber(partition));
        }
        let mut partitions = self.partitions.write();
        if let Some(known) = partitions.get(topic_id).and_then(|topic| topic.get(&partition)) {
            return Ok(Arc::clone(known));
        }
        let topic_dir = self.dir.join(topic_id);
        let dir = topic_dir.join(partition.to_string());
        if !dir.exists() {
            self.make(&topic_dir, &dir)?;
        }
        // A directory that is there but not known could not be recovered at the start: try again, never overwrite.
        let home = Home { topic_id: topic_id.into(), number: partition, dir };
        let mut report = RecoveryReport::default();
        let made = open_partition(home, &self.options, &self.disk, &self.committer, &mut report)?;
        partitions.entry(topic_id.into()).or_default().insert(partition, Arc::clone(&made));
        Ok(made)
    }

    /// Makes the files aside and moves them into place, so that a crash leaves a whole partition or none.
    fn make(&self, topic_dir: &Path, dir: &Path) -> Result<(), LogError> {
        let failed = |source| LogError::Io { action: "create", path: dir.to_owned(), source };
        if !topic_dir.exists() {
            fs::create_dir(topic_dir).and_then(|()| self.disk.sync_dir(&self.dir)).map_err(failed)?;
        }
        let aside = topic_dir.join(self.unfinished_name());
        fs::create_dir(&aside).map_err(failed)?;
        if let Err(error) = recovery::create(&*self.disk, &aside) {
            // Most likely the disk is full, and this shall not be what fills it.
            let _ = fs::remove_dir_all(&aside);
            return Err(error);
        }
        fs::rename(&aside, dir).and_then(|()| self.disk.sync_dir(topic_dir)).map_err(failed)
    }

    fn unfinished_name(&self) -> String {
        format!("{UNFINISHED}{}", self.unfinished.fetch_add(1, Ordering::Relaxed))
    }

    /// The partition, if it is there.
    #[must_use]
    pub fn get(&self, topic_id: &str, partition: i32) -> Option<Arc<Partition>> {
        self.partitions.read().get(topic_id)?.get(&partition).cloned()
    }

    /// Every partition, in no order; its names are [`Partition::topic_id`] and [`Partition::partition`].
    #[must_use]
    pub fn partitions(&self) -> Vec<Arc<Partition>> {
        self.partitions.read().values().flat_map(BTreeMap::values).cloned().collect()
    }

    /// Removes all partitions of a topic; absent ones are no error. Whoever still holds a partition gets
    /// [`Poisoned`](crate::Poisoned) from appends.
    ///
    /// # Errors
    /// When the directory can't be moved out of the way.
    pub fn delete_topic(&self, topic_id: &str) -> Result<(), LogError> {
        if !is_topic_id(topic_id) {
            return Err(LogError::TopicId(topic_id.chars().take(TOPIC_ID_BYTES_MAX).collect()));
        }
        let mut partitions = self.partitions.write();
        let topic_dir = self.dir.join(topic_id);
        let aside = self.dir.join(self.unfinished_name());
        let failed = |source| LogError::Io { action: "delete", path: topic_dir.clone(), source };
        if topic_dir.exists() {
            fs::rename(&topic_dir, &aside).and_then(|()| self.disk.sync_dir(&self.dir)).map_err(failed)?;
        }
        for partition in partitions.remove(topic_id).unwrap_or_default().into_values() {
            partition.poison("the topic was deleted");
        }
        drop(partitions);
        if let Err(error) = fs::remove_dir_all(&aside)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(dir = %aside.display(), %error, "can't remove a deleted topic; the next start tries again");
        }
        Ok(())
    }

    /// Makes everything durable, writes checkpoints and the mark of a clean shutdown. Appends are refused
    /// from here on, reads still work. Blocks. Calling it twice is the same as once; dropping the store
    /// without it is like a crash of the process.
    ///
    /// # Errors
    /// The first thing that failed; the rest was still attempted.
    pub fn shutdown(&self) -> Result<(), LogError> {
        if !self.stop_threads() {
            return Ok(());
        }
        let mut outcome = Ok(());
        for partition in self.partitions() {
            let closed = partition.close();
            partition.poison("the log is closed");
            outcome = outcome.and(closed);
        }
        outcome?;
        let path = self.dir.join(CLEAN_FILE);
        File::create(&path).and_then(|_| self.disk.sync_dir(&self.dir)).map_err(|source| LogError::Io {
            action: "create",
            path,
            source,
        })
    }

    /// [`shutdown`](Self::shutdown) for whoever owns the store.
    ///
    /// # Errors
    /// As `shutdown`.
    pub fn close(self) -> Result<(), LogError> {
        self.shutdown()
    }

    /// False when the last process ended without [`shutdown`](Self::shutdown): the broker then raises the
    /// leader epoch, so that clients notice a lost tail.
    #[must_use]
    pub fn clean_start(&self) -> bool {
        self.clean_start
    }

    /// Says whether they were still running.
    fn stop_threads(&self) -> bool {
        let threads = std::mem::take(&mut *self.threads.lock());
        self.committer.stop();
        let running = !threads.is_empty();
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("a sync thread has panicked");
            }
        }
        running
    }
}

impl Drop for LogStore {
    fn drop(&mut self) {
        self.stop_threads();
        for partition in self.partitions() {
            partition.poison("the log is closed");
        }
    }
}

fn lock(dir: &Path) -> Result<File, LogError> {
    let path = dir.join(LOCK_FILE);
    let file = File::options().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(|source| LogError::Io { action: "open", path: path.clone(), source })?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(LogError::Locked(dir.to_owned())),
        Err(error) => Err(LogError::Io { action: "lock", path, source: error.into() }),
    }
}

fn is_topic_id(name: &str) -> bool {
    let fit = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    // Names of our own files and of directories to come must stay free: a topic id is never that short a word.
    !name.is_empty()
        && name.len() <= TOPIC_ID_BYTES_MAX
        && name.bytes().all(fit)
        && ![LOCK_FILE, CLEAN_FILE, Kind::Store.file()].contains(&name)
}

/// The partitions on disk. What a crash left half made or half removed is removed.
fn list_partitions(dir: &Path) -> Result<Vec<Home>, LogError> {
    let mut homes = Vec::new();
    for (topic_id, topic_dir) in directories(dir)? {
        if !is_topic_id(&topic_id) {
            continue;
        }
        let topic_id: Arc<str> = topic_id.into();
        for (name, dir) in directories(&topic_dir)? {
            let number = name.parse::<i32>().ok().filter(|number| *number >= 0 && number.to_string() == name);
            homes.extend(number.map(|number| Home { topic_id: Arc::clone(&topic_id), number, dir }));
        }
    }
    Ok(homes)
}

fn directories(dir: &Path) -> Result<Vec<(String, PathBuf)>, LogError> {
    let failed = |source| LogError::Io { action: "list", path: dir.to_owned(), source };
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let (name, path) = (entry.file_name(), entry.path());
        let (Some(name), true) = (name.to_str(), path.is_dir()) else { continue };
        if name.starts_with(UNFINISHED) {
            fs::remove_dir_all(&path).map_err(|source| LogError::Io { action: "remove", path, source })?;
        } else {
            found.push((name.to_owned(), path));
        }
    }
    Ok(found)
}

fn open_partition(
    home: Home,
    options: &LogOptions,
    disk: &Arc<dyn Disk>,
    committer: &Arc<Committer>,
    report: &mut RecoveryReport,
) -> Result<Arc<Partition>, LogError> {
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
    let recovered = recover(&**disk, &home.dir, options.index_interval_bytes, now_ms, report)?;
    let checkpoint_due = recovered.checkpoint_due;
    let partition = Partition::new(home, options.clone(), Arc::clone(disk), Arc::clone(committer), recovered);
    if checkpoint_due && let Err(error) = partition.checkpoint() {
        // Nothing is lost, the next start has more to check.
        tracing::warn!(partition = %partition.name, %error, "can't write a checkpoint");
    }
    report.partitions += 1;
    Ok(partition)
}

fn recover_all(
    homes: Vec<Home>,
    options: &LogOptions,
    disk: &Arc<dyn Disk>,
    committer: &Arc<Committer>,
) -> (Partitions, RecoveryReport) {
    let homes = Mutex::new(homes);
    let done: Mutex<(Partitions, RecoveryReport)> = Mutex::default();
    let work = || {
        loop {
            let Some(home) = homes.lock().pop() else { return };
            let (dir, topic_id, number) = (home.dir.clone(), Arc::clone(&home.topic_id), home.number);
            let mut report = RecoveryReport::default();
            let opened = open_partition(home, options, disk, committer, &mut report);
            let mut done = done.lock();
            match opened {
                Ok(partition) => {
                    done.0.entry(topic_id).or_default().insert(number, partition);
                }
                Err(error) => report.failed.push((dir, error.to_string())),
            }
            done.1.merge(report);
        }
    };
    thread::scope(|scope| {
        for _ in 0..RECOVERY_THREADS {
            scope.spawn(work);
        }
    });
    done.into_inner()
}
