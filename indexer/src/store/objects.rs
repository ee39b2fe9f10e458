//! Object stores, a bucket or a folder, for threads that may block: every request has an end, and what is read and
//! written is compared with its checksum in `files`. Nothing else names the library that speaks to them.

mod bucket;
mod files;

use std::future::Future;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

pub(crate) use bucket::Bucket;
use bytes::Bytes;
pub(crate) use files::{
    PIECE_BYTES, delete_split, fetch_file, fetch_split, holds_split, piece_of, upload_split, verify_file,
};
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::local::LocalFileSystem;
use object_store::path::Path as Key;
use object_store::{ObjectStore, ObjectStoreExt as _};
use parking_lot::Mutex;
use tokio::runtime::Runtime;

use crate::config::S3;

/// Whoever waits for an answer looks this often whether it is still wanted.
const TICK: Duration = Duration::from_millis(50);
/// A request that writes, and a step of one that lists, that is not done by then, with all its repetitions, will not be.
const CALL_MAX: Duration = Duration::from_secs(120);
/// A read for a search, which somebody waits for.
const READ_MAX: Duration = Duration::from_secs(20);
/// Reads fail at once for this long after one did: a search over fifty splits must not wait fifty times.
const AWAY_FOR: Duration = Duration::from_secs(3);
/// Requests spend their time waiting.
const RUNTIME_THREADS: usize = 2;

/// An object store did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ObjectError {
    /// It is away, or refuses.
    #[error("the object store {place} can't be used: {reason}")]
    Away { place: String, reason: String },
    /// There is no such object.
    #[error("{0} is not there")]
    Missing(String),
    /// An object, or what was to become one, has changed since it was written.
    #[error("{0} is not as it was written")]
    Damaged(String),
    /// Nobody wants it any more.
    #[error("it was cancelled")]
    Cancelled,
    /// A file on this machine can't be read or written.
    #[error("{}: {source}", path.display())]
    Disk { path: PathBuf, source: io::Error },
    /// The settings name no place.
    #[error("{0}")]
    Refused(String),
}

impl From<ObjectError> for io::Error {
    fn from(error: ObjectError) -> Self {
        let kind = match &error {
            ObjectError::Missing(_) => io::ErrorKind::NotFound,
            ObjectError::Damaged(_) => io::ErrorKind::InvalidData,
            ObjectError::Cancelled => io::ErrorKind::Interrupted,
            ObjectError::Disk { source, .. } => source.kind(),
            ObjectError::Away { .. } | ObjectError::Refused(_) => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}

/// An object store, and the prefix in it that is ours.
pub(crate) struct Objects {
    inner: Arc<dyn ObjectStore>,
    root: Key,
    /// As it is shown.
    place: String,
    runtime: &'static Runtime,
    /// Set when nobody is to wait any more.
    stop: Arc<AtomicBool>,
    /// When a read failed last, and why.
    failed: Mutex<Option<(Instant, String)>>,
}

impl std::fmt::Debug for Objects {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Objects({})", self.place)
    }
}

fn runtime() -> Result<&'static Runtime, ObjectError> {
    static RUNTIME: OnceLock<Result<Runtime, String>> = OnceLock::new();
    let begin = || {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let builder = builder.worker_threads(RUNTIME_THREADS).thread_name("objects").enable_all();
        builder.build().map_err(|error| error.to_string())
    };
    RUNTIME.get_or_init(begin).as_ref().map_err(|error| ObjectError::Refused(error.clone()))
}

impl Objects {
    /// The place that a URL names, `s3://bucket/prefix` or `file:///folder`; a folder is made.
    ///
    /// # Errors
    /// When it names none, or the folder can't be made. Whether a bucket is there is not asked.
    pub(crate) fn at_url(url: &str, access: &S3) -> Result<Self, ObjectError> {
        if let Some(folder) = url.strip_prefix("file://") {
            return Self::folder(Path::new(folder));
        }
        let refused = || ObjectError::Refused(format!("[{url}] is no place: s3://bucket/prefix or file:///folder"));
        let (name, prefix) =
            url.strip_prefix("s3://").map(|rest| rest.split_once('/').unwrap_or((rest, ""))).ok_or_else(refused)?;
        Self::bucket(&Bucket { bucket: name.to_owned(), base_path: prefix.to_owned(), ..Bucket::default() }, access)
    }

    /// A folder on this machine.
    fn folder(path: &Path) -> Result<Self, ObjectError> {
        let disk = |source| ObjectError::Disk { path: path.to_owned(), source };
        std::fs::create_dir_all(path).map_err(disk)?;
        let inner = LocalFileSystem::new_with_prefix(path).map_err(|error| ObjectError::Refused(error.to_string()))?;
        let inner = inner.with_automatic_cleanup(true).with_fsync(true);
        Self::over(Arc::new(inner), "", path.display().to_string())
    }

    /// A prefix in a bucket.
    ///
    /// # Errors
    /// When the settings make no sense.
    pub(crate) fn bucket(bucket: &Bucket, access: &S3) -> Result<Self, ObjectError> {
        Self::over(bucket.connect(access)?, &bucket.base_path, bucket.shown())
    }

    /// Any object store.
    pub(crate) fn over(inner: Arc<dyn ObjectStore>, root: &str, place: String) -> Result<Self, ObjectError> {
        let (stop, failed) = (Arc::default(), Mutex::default());
        Ok(Self { inner, root: Key::from(root), place, runtime: runtime()?, stop, failed })
    }

    /// Whoever waits goes away once this is set.
    pub(crate) fn until(mut self, stop: Arc<AtomicBool>) -> Self {
        self.stop = stop;
        self
    }

    fn key(&self, name: &str) -> Key {
        name.split('/').filter(|part| !part.is_empty()).fold(self.root.clone(), Key::join)
    }

    /// Where an object is, for whoever reads a message.
    pub(crate) fn shown(&self, name: &str) -> String {
        format!("{}/{name}", self.place)
    }

    /// Writes an object whole.
    ///
    /// # Errors
    /// When it can't be written: there is none then, or the one from before.
    pub(crate) fn put(&self, name: &str, bytes: Bytes, go_on: &dyn Fn() -> bool) -> Result<(), ObjectError> {
        let (inner, key) = (self.inner.clone(), self.key(name));
        self.wait(name, CALL_MAX, go_on, async move { inner.put(&key, bytes.into()).await }).map(drop)
    }

    /// Reads an object of at most `bytes_max`.
    ///
    /// # Errors
    /// When it is not there, is larger, or can't be read.
    pub(crate) fn get(&self, name: &str, bytes_max: u64) -> Result<Bytes, ObjectError> {
        let (inner, key) = (self.inner.clone(), self.key(name));
        let read = self.wait(name, CALL_MAX, &|| true, async move {
            let found = inner.get(&key).await?;
            if found.meta.size > bytes_max { Ok(None) } else { found.bytes().await.map(Some) }
        });
        read?.ok_or_else(|| ObjectError::Damaged(self.shown(name)))
    }

    /// Reads some bytes of an object, for a search: fails at once where a read has just failed.
    ///
    /// # Errors
    /// When it is not there or can't be read.
    pub(crate) fn read(&self, name: &str, range: Range<u64>, go_on: &dyn Fn() -> bool) -> Result<Bytes, ObjectError> {
        if let Some((when, reason)) = self.failed.lock().as_ref()
            && when.elapsed() < AWAY_FOR
        {
            return Err(self.away(reason));
        }
        let (inner, key) = (self.inner.clone(), self.key(name));
        let read = self.wait(name, READ_MAX, go_on, async move { inner.get_range(&key, range).await });
        match &read {
            Err(ObjectError::Away { reason, .. }) => *self.failed.lock() = Some((Instant::now(), reason.clone())),
            // Whoever did not wait for the answer knows nothing.
            Err(ObjectError::Cancelled) => {}
            _ => *self.failed.lock() = None,
        }
        read
    }

    /// The objects whose names begin with a folder's: their names, and bytes.
    ///
    /// # Errors
    /// When they can't be listed.
    pub(crate) fn list(&self, folder: &str) -> Result<Vec<(String, u64)>, ObjectError> {
        let (inner, key, root) = (self.inner.clone(), self.key(folder), self.root.clone());
        let alive: Arc<AtomicBool> = Arc::default();
        self.wait_alive(folder, CALL_MAX, &|| true, &alive.clone(), async move {
            let name = |meta: object_store::ObjectMeta| {
                alive.store(true, Ordering::Release);
                let rest = meta
                    .location
                    .prefix_match(&root)
                    .map(|parts| parts.map(|part| part.as_ref().to_owned()).collect::<Vec<_>>().join("/"));
                std::future::ready(Ok(rest.map(|name| (name, meta.size))))
            };
            inner.list(Some(&key)).try_filter_map(name).try_collect().await
        })
    }

    /// Removes objects, as far as they are there.
    ///
    /// # Errors
    /// When one can't be removed.
    pub(crate) fn delete(&self, names: &[String]) -> Result<(), ObjectError> {
        let Some(first) = names.first() else { return Ok(()) };
        let keys: Vec<object_store::Result<Key>> = names.iter().map(|name| Ok(self.key(name))).collect();
        let inner = self.inner.clone();
        let alive: Arc<AtomicBool> = Arc::default();
        self.wait_alive(first, CALL_MAX, &|| true, &alive.clone(), async move {
            let mut done = inner.delete_stream(futures::stream::iter(keys).boxed());
            while let Some(one) = done.next().await {
                alive.store(true, Ordering::Release);
                match one {
                    Ok(_) | Err(object_store::Error::NotFound { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(())
        })
    }

    #[cfg(test)]
    pub(crate) fn away_since(&self) -> parking_lot::MutexGuard<'_, Option<(Instant, String)>> {
        self.failed.lock()
    }

    /// The error of a store that is away.
    pub(crate) fn away(&self, reason: &str) -> ObjectError {
        ObjectError::Away { place: self.place.clone(), reason: reason.to_owned() }
    }

    /// Runs a request on threads of its own: whoever waits may be anywhere, also inside another runtime.
    fn wait<T: Send + 'static>(
        &self,
        name: &str,
        longest: Duration,
        go_on: &dyn Fn() -> bool,
        request: impl Future<Output = object_store::Result<T>> + Send + 'static,
    ) -> Result<T, ObjectError> {
        self.wait_alive(name, longest, go_on, &AtomicBool::new(false), request)
    }

    /// The same for a request of many steps: the time counts from the last one, at which it sets `alive`.
    fn wait_alive<T: Send + 'static>(
        &self,
        name: &str,
        longest: Duration,
        go_on: &dyn Fn() -> bool,
        alive: &AtomicBool,
        request: impl Future<Output = object_store::Result<T>> + Send + 'static,
    ) -> Result<T, ObjectError> {
        let (answer, answered) = sync_channel(1);
        let task = self.runtime.spawn(async move {
            let _ = answer.send(request.await);
        });
        let mut began = Instant::now();
        loop {
            if alive.swap(false, Ordering::AcqRel) {
                began = Instant::now();
            }
            match answered.recv_timeout(TICK) {
                Ok(Ok(done)) => return Ok(done),
                Ok(Err(object_store::Error::NotFound { .. })) => return Err(ObjectError::Missing(self.shown(name))),
                Ok(Err(error)) => return Err(self.away(&in_words(&error))),
                Err(RecvTimeoutError::Disconnected) => return Err(self.away("the request broke off")),
                Err(RecvTimeoutError::Timeout) if !go_on() || self.stop.load(Ordering::Acquire) => {
                    task.abort();
                    return Err(ObjectError::Cancelled);
                }
                Err(RecvTimeoutError::Timeout) if began.elapsed() >= longest => {
                    task.abort();
                    return Err(self.away(&format!("no answer within {} s", longest.as_secs())));
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }
}

/// An error with its causes, which the library shows only one by one.
fn in_words(error: &object_store::Error) -> String {
    let mut words = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        let more = inner.to_string();
        if !words.contains(&more) {
            words = format!("{words}: {more}");
        }
        cause = inner.source();
    }
    words
}

#[cfg(test)]
pub(crate) mod tests;
