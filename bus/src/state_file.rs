//! A small durable map: every change is appended to one file and is on disk before it is acknowledged.
//!
//! One thread writes what has gathered and syncs once for all of it (group commit). When the file is mostly old
//! values it is written anew beside itself and renamed. A torn tail is cut off and kept aside. On a full disk changes
//! are refused, and taken again once there is room. It never retries a failed sync: from then on every change is
//! refused.

mod format;

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use crate::state_key::{Change, StateKey};
use format::{HEADER_BYTES, MAGIC, VERSION, encode, entry_bytes, read_all};

/// A file below this is not worth writing anew.
const REWRITE_BYTES_LEAST: u64 = 4 << 20;
/// It is written anew when it is so many times what it holds.
const REWRITE_FACTOR: u64 = 4;

/// The state file can't be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StateError {
    /// The system refused.
    #[error("can't {action} {}: {source}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    /// It is something else.
    #[error("{} is not a state file of the bus: move it away, or choose another data directory", .0.display())]
    Foreign(PathBuf),
    /// A newer program wrote it.
    #[error("{} has format version {found}, this program knows up to {VERSION}: use a newer logmill", path.display())]
    Newer { path: PathBuf, found: u32 },
}

/// A change was not made durable: there is no room, or none will be until a restart.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the state of the bus can't be written: {0}")]
pub(crate) struct NotWritten(Arc<str>);

impl NotWritten {
    /// For what could not even be put into words.
    pub(crate) fn because(reason: &str) -> Self {
        Self(reason.into())
    }
}

/// The map; clones share it.
#[derive(Clone, Debug)]
pub(crate) struct StateFile {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    queue: Mutex<Queue>,
    filled: Condvar,
    /// Makes the next writes fail as on a full disk.
    #[cfg(test)]
    full: std::sync::atomic::AtomicBool,
    writer: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug, Default)]
struct Queue {
    changes: Vec<Change>,
    waiting: Vec<oneshot::Sender<Result<(), NotWritten>>>,
    failed: Option<NotWritten>,
    closed: bool,
}

/// What was in the file.
pub(crate) type Entries = BTreeMap<StateKey, serde_json::Value>;

impl StateFile {
    /// Opens the file, making it if it is missing, and reads all of it. Blocks.
    pub(crate) fn open(path: &Path) -> Result<(Self, Entries), StateError> {
        let (writer, entries) = Writer::open(path)?;
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            filled: Condvar::new(),
            #[cfg(test)]
            full: false.into(),
            writer: Mutex::new(None),
        });
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("bus-state".to_owned())
            .spawn(move || writer.run(&theirs))
            .map_err(|source| StateError::Io { action: "start the writer of", path: path.to_owned(), source })?;
        *shared.writer.lock() = Some(thread);
        Ok((Self { shared }, entries))
    }

    /// Takes the changes in the order of the calls; resolves once they are on disk. They are written even if
    /// nobody waits.
    pub(crate) fn put(&self, changes: Vec<Change>) -> impl Future<Output = Result<(), NotWritten>> + Send + use<> {
        let (sender, receiver) = oneshot::channel();
        let mut queue = self.shared.queue.lock();
        match &queue.failed {
            Some(failed) => drop(sender.send(Err(failed.clone()))),
            None => {
                queue.changes.extend(changes);
                queue.waiting.push(sender);
                self.shared.filled.notify_one();
            }
        }
        drop(queue);
        async move { receiver.await.unwrap_or_else(|_| Err(NotWritten("the writer has ended".into()))) }
    }

    /// Writes what is left and ends the writer. Blocks.
    pub(crate) fn close(&self) {
        self.shared.queue.lock().closed = true;
        self.shared.filled.notify_one();
        if let Some(thread) = self.shared.writer.lock().take() {
            // A writer that panicked has nothing more to write; waiters were told by their dropped senders.
            drop(thread.join());
        }
    }
}

/// What the writing thread owns.
struct Writer {
    path: PathBuf,
    file: File,
    /// Live entries as they stand in the file, for writing it anew.
    live: BTreeMap<Vec<u8>, Vec<u8>>,
    live_bytes: u64,
    file_bytes: u64,
    /// Below this it is not written anew: the last try found no room.
    rewrite_from: u64,
    /// Whether the last write found no room.
    full: bool,
}

/// A write failed.
enum Failure {
    /// The file is as it was before.
    Unchanged(io::Error),
    /// It is not known what is in the file.
    Broken(io::Error),
}

impl Writer {
    fn open(path: &Path) -> Result<(Self, Entries), StateError> {
        let failed = |action| move |source| StateError::Io { action, path: path.to_owned(), source };
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(failed("read")(error)),
        };
        let mut live = BTreeMap::new();
        let mut entries = Entries::new();
        let end = read_all(path, &bytes, &mut live, &mut entries)?;
        let cut = bytes.get(end..).unwrap_or_default();
        if !cut.is_empty() {
            let aside = path.with_extension("cut");
            tracing::warn!(
                file = %path.display(), bytes = cut.len(), kept_as = %aside.display(),
                "the end of the state file was torn or damaged and is cut off"
            );
            std::fs::write(&aside, cut).map_err(failed("keep aside the torn end of"))?;
        }
        let live_bytes = live.iter().map(|(key, value)| entry_bytes(key, value)).sum();
        let mut writer = Self {
            path: path.to_owned(),
            file: open_for_append(path)?,
            live,
            live_bytes,
            file_bytes: 0,
            rewrite_from: 0,
            full: false,
        };
        if end == 0 || !cut.is_empty() {
            // A new file, or one without its torn end: whole under its name, or not at all.
            writer
                .write_anew()
                .map_err(|(Failure::Unchanged(error) | Failure::Broken(error))| failed("write")(error))?;
        } else {
            writer.file_bytes = end as u64;
        }
        Ok((writer, entries))
    }

    fn run(mut self, shared: &Shared) {
        loop {
            let (changes, waiting) = {
                let mut queue = shared.queue.lock();
                while queue.waiting.is_empty() && !queue.closed {
                    shared.filled.wait(&mut queue);
                }
                if queue.waiting.is_empty() {
                    return;
                }
                (std::mem::take(&mut queue.changes), std::mem::take(&mut queue.waiting))
            };
            let outcome = match self.write(&changes, shared) {
                Ok(()) => {
                    self.note_room(true);
                    Ok(())
                }
                Err(Failure::Unchanged(error)) => {
                    self.note_room(false);
                    Err(NotWritten(error.to_string().into()))
                }
                Err(Failure::Broken(error)) => return self.give_up(shared, waiting, &error),
            };
            for waiter in waiting {
                // Whoever has gone does not need the answer.
                drop(waiter.send(outcome.clone()));
            }
        }
    }

    /// Refuses these changes and all that come.
    fn give_up(&self, shared: &Shared, waiting: Vec<oneshot::Sender<Result<(), NotWritten>>>, error: &io::Error) {
        let failed = NotWritten(error.to_string().into());
        tracing::error!(file = %self.path.display(), %failed, "the bus refuses changes until it is restarted");
        let mut queue = shared.queue.lock();
        queue.failed = Some(failed.clone());
        for waiter in waiting.into_iter().chain(std::mem::take(&mut queue.waiting)) {
            drop(waiter.send(Err(failed.clone())));
        }
    }

    /// Says once that there is no room, and once that there is again.
    fn note_room(&mut self, room: bool) {
        if room == self.full {
            self.full = !room;
            match room {
                true => tracing::info!(file = %self.path.display(), "the bus takes changes again"),
                false => tracing::error!(file = %self.path.display(), "no room on the disk: the bus refuses changes"),
            }
        }
    }

    fn write(&mut self, changes: &[Change], shared: &Shared) -> Result<(), Failure> {
        let mut entries = Vec::with_capacity(changes.len());
        let mut out = Vec::new();
        for change in changes {
            let encoded = serde_json::to_vec(&change.key)
                .and_then(|key| Ok((key, change.value.as_ref().map(serde_json::to_vec).transpose()?)));
            let (key, value) = encoded.map_err(|error| Failure::Broken(error.into()))?;
            encode(&mut out, &key, value.as_deref());
            entries.push((key, value));
        }
        if let Err(error) = self.append(&out, shared) {
            // Half an entry must not stay in the way of the next.
            self.file.set_len(self.file_bytes).map_err(Failure::Broken)?;
            let full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
            return Err(if full { Failure::Unchanged(error) } else { Failure::Broken(error) });
        }
        self.file.sync_data().map_err(Failure::Broken)?;
        self.file_bytes += out.len() as u64;
        for (key, value) in entries {
            self.live_bytes += value.as_ref().map_or(0, |value| entry_bytes(&key, value));
            let old = match value {
                Some(value) => self.live.insert(key.clone(), value),
                None => self.live.remove(&key),
            };
            self.live_bytes -= old.map_or(0, |old| entry_bytes(&key, &old));
        }
        let due = REWRITE_BYTES_LEAST.max(self.live_bytes * REWRITE_FACTOR).max(self.rewrite_from);
        if self.file_bytes <= due {
            return Ok(());
        }
        match self.write_anew() {
            Err(Failure::Unchanged(error)) => {
                // What was asked for is written; the old file goes on.
                tracing::warn!(file = %self.path.display(), %error, "the state file can't be made smaller now");
                self.rewrite_from = self.file_bytes + REWRITE_BYTES_LEAST;
                Ok(())
            }
            done => done,
        }
    }

    #[cfg_attr(not(test), allow(unused_variables))]
    fn append(&mut self, bytes: &[u8], shared: &Shared) -> io::Result<()> {
        #[cfg(test)]
        if shared.full.load(std::sync::atomic::Ordering::SeqCst) {
            // As the kernel does: what fits is written, then the call fails.
            self.file.write_all(bytes.get(..bytes.len() / 2).unwrap_or_default())?;
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.file.write_all(bytes)
    }

    /// Writes what is live beside the file, then puts it in its place.
    fn write_anew(&mut self) -> Result<(), Failure> {
        let beside = self.path.with_extension("new");
        let mut out = Vec::with_capacity(usize::try_from(self.live_bytes).unwrap_or(0) + HEADER_BYTES);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        for (key, value) in &self.live {
            encode(&mut out, key, Some(value));
        }
        let written = File::create(&beside).and_then(|mut file| {
            file.write_all(&out)?;
            file.sync_all()?;
            // Opened before it is renamed: from then on there must be no way to fail.
            OpenOptions::new().append(true).open(&beside)
        });
        let moved = written.and_then(|file| std::fs::rename(&beside, &self.path).map(|()| file));
        self.file = moved.map_err(|error| {
            // A full disk must not be kept full by what never came to be.
            let _ = std::fs::remove_file(&beside);
            Failure::Unchanged(error)
        })?;
        self.file_bytes = out.len() as u64;
        if let Some(folder) = self.path.parent() {
            // Unsynced, a crash could bring the old file back, without what is written from here on.
            File::open(folder).and_then(|folder| folder.sync_all()).map_err(Failure::Broken)?;
        }
        Ok(())
    }
}

fn open_for_append(path: &Path) -> Result<File, StateError> {
    let failed = |source| StateError::Io { action: "open", path: path.to_owned(), source };
    OpenOptions::new().create(true).append(true).open(path).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offset(partition: i32, value: i64) -> Change {
        Change::set(StateKey::Offset("g".into(), "t".into(), partition), &value).unwrap()
    }

    async fn reopened(path: &Path) -> Entries {
        let (file, entries) = StateFile::open(path).unwrap();
        file.close();
        entries
    }

    #[tokio::test]
    async fn what_was_acknowledged_is_there_again_without_a_clean_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        let (file, entries) = StateFile::open(&path).unwrap();
        assert!(entries.is_empty());
        file.put(vec![offset(0, 1), offset(1, 5)]).await.unwrap();
        file.put(vec![offset(0, 2), Change::remove(StateKey::Offset("g".into(), "t".into(), 1))]).await.unwrap();
        let entries = reopened(&path).await;
        assert_eq!(entries.into_values().collect::<Vec<_>>(), [serde_json::json!(2)]);
    }

    #[tokio::test]
    async fn many_writers_share_syncs_and_the_file_stays_small() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        let (file, _) = StateFile::open(&path).unwrap();
        let note = "x".repeat(1000);
        for round in 0..12i64 {
            let puts: Vec<_> = (0..500)
                .map(|partition| {
                    let key = StateKey::Offset("g".into(), "t".into(), partition);
                    file.put(vec![Change::set(key, &(round, &note)).unwrap()])
                })
                .collect();
            for put in puts {
                put.await.unwrap();
            }
        }
        file.close();
        assert!(std::fs::metadata(&path).unwrap().len() < 5 << 20, "written anew on the way");
        let entries = reopened(&path).await;
        assert_eq!(entries.len(), 500);
        assert!(entries.into_values().all(|value| value[0] == 11));
    }

    #[tokio::test]
    async fn a_full_disk_refuses_changes_until_there_is_room() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        let (file, _) = StateFile::open(&path).unwrap();
        file.put(vec![offset(0, 1)]).await.unwrap();
        file.shared.full.store(true, std::sync::atomic::Ordering::SeqCst);
        for _ in 0..3 {
            let refused = file.put(vec![offset(0, 2), offset(1, 2)]).await.unwrap_err().to_string();
            assert!(refused.contains("no storage space"), "{refused}");
        }
        file.shared.full.store(false, std::sync::atomic::Ordering::SeqCst);
        file.put(vec![offset(2, 3)]).await.unwrap();
        file.close();
        let entries = reopened(&path).await;
        assert_eq!(entries.into_values().collect::<Vec<_>>(), [serde_json::json!(1), serde_json::json!(3)]);
        assert!(!path.with_extension("cut").exists(), "nothing half written was left");
    }

    #[tokio::test]
    async fn a_torn_end_is_cut_off_and_kept_aside_and_writing_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        let (file, _) = StateFile::open(&path).unwrap();
        file.put(vec![offset(0, 1)]).await.unwrap();
        file.put(vec![offset(1, 2)]).await.unwrap();
        file.close();
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() - 1]).unwrap();
        let (file, entries) = StateFile::open(&path).unwrap();
        assert_eq!(entries.len(), 1);
        assert!(path.with_extension("cut").exists());
        file.put(vec![offset(2, 3)]).await.unwrap();
        file.close();
        assert_eq!(reopened(&path).await.len(), 2);
    }

    #[test]
    fn other_files_and_newer_versions_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        std::fs::write(&path, "something of somebody else").unwrap();
        assert!(matches!(StateFile::open(&path), Err(StateError::Foreign(_))));
        std::fs::write(&path, b"LMBUSST\n\x63\0\0\0").unwrap();
        let refused = StateFile::open(&path).unwrap_err().to_string();
        assert!(refused.contains("version 99"), "{refused}");
    }
}
