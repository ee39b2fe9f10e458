//! A small durable map: every change is appended to one file and is on disk before it is acknowledged.
//!
//! One thread writes what has gathered and syncs once for all of it (group commit). When the file is mostly old
//! values it is written anew beside itself and renamed. A torn tail is cut off and kept aside. It never retries
//! a failed sync: from then on every change is refused.

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

/// A change was not made durable, and none will be until a restart.
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
        let shared = Arc::new(Shared { queue: Mutex::default(), filled: Condvar::new(), writer: Mutex::new(None) });
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
        let mut writer = Self { path: path.to_owned(), file: open_for_append(path)?, live, live_bytes, file_bytes: 0 };
        if end == 0 || !cut.is_empty() {
            // A new file, or one without its torn end: whole under its name, or not at all.
            writer.write_anew().map_err(failed("write"))?;
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
            let outcome = self.write(&changes).map_err(|error| NotWritten(error.to_string().into()));
            if let Err(failed) = &outcome {
                tracing::error!(file = %self.path.display(), %failed, "the bus refuses changes until it is restarted");
                shared.queue.lock().failed = Some(failed.clone());
            }
            for waiter in waiting {
                // Whoever has gone does not need the answer.
                drop(waiter.send(outcome.clone()));
            }
            if outcome.is_err() {
                let mut queue = shared.queue.lock();
                for waiter in std::mem::take(&mut queue.waiting) {
                    drop(waiter.send(outcome.clone()));
                }
                return;
            }
        }
    }

    fn write(&mut self, changes: &[Change]) -> io::Result<()> {
        let mut out = Vec::new();
        for change in changes {
            let key = serde_json::to_vec(&change.key)?;
            let value = change.value.as_ref().map(serde_json::to_vec).transpose()?;
            encode(&mut out, &key, value.as_deref());
            let old = match value {
                Some(value) => {
                    self.live_bytes += entry_bytes(&key, &value);
                    self.live.insert(key.clone(), value)
                }
                None => self.live.remove(&key),
            };
            self.live_bytes -= old.map_or(0, |old| entry_bytes(&key, &old));
        }
        self.file.write_all(&out)?;
        self.file.sync_data()?;
        self.file_bytes += out.len() as u64;
        if self.file_bytes > REWRITE_BYTES_LEAST.max(self.live_bytes * REWRITE_FACTOR) {
            self.write_anew()?;
        }
        Ok(())
    }

    fn write_anew(&mut self) -> io::Result<()> {
        let beside = self.path.with_extension("new");
        let mut out = Vec::with_capacity(usize::try_from(self.live_bytes).unwrap_or(0) + HEADER_BYTES);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        for (key, value) in &self.live {
            encode(&mut out, key, Some(value));
        }
        let mut file = File::create(&beside)?;
        file.write_all(&out)?;
        file.sync_all()?;
        std::fs::rename(&beside, &self.path)?;
        if let Some(folder) = self.path.parent() {
            File::open(folder)?.sync_all()?;
        }
        self.file = OpenOptions::new().append(true).open(&self.path)?;
        self.file_bytes = out.len() as u64;
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
