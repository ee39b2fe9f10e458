//! The folder that splits are merged into. Writing to it rests now and then, so that ingest and searches get their
//! share of processor and disk, and ends with an error once the store is being stopped, for a merge of minutes must not
//! hold up the end of the process, or once what is written is no longer wanted. It can swallow the docstore, for whoever
//! writes that one himself.

use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tantivy::directory::error::{DeleteError, LockError, OpenReadError, OpenWriteError};
use tantivy::directory::{
    AntiCallToken, Directory, DirectoryLock, FileHandle, Lock, MmapDirectory, TerminatingWrite, WatchCallback,
    WatchHandle, WritePtr,
};

/// The pace is looked at after so many bytes: some milliseconds of work.
const STRIDE_BYTES: usize = 128 << 10;
/// Rests are one part of this many of the work before them.
const REST_SHARE: u32 = 8;
/// Longer work between two strides (a large dictionary is being merged) is not paid for at once.
const REST_MAX: Duration = Duration::from_millis(20);

/// Says when to end without a result.
#[derive(Clone, Debug, Default)]
pub(super) struct Stop {
    /// The store is being stopped.
    pub(super) store: Arc<AtomicBool>,
    /// What is being written is no longer wanted.
    pub(super) work: Arc<AtomicBool>,
}

impl Stop {
    fn check(&self) -> io::Result<()> {
        if self.store.load(Ordering::Acquire) {
            return Err(io::Error::other("the store is being stopped; the merge is done after the next start"));
        }
        match self.work.load(Ordering::Acquire) {
            true => Err(io::Error::other("what was being merged is deleted")),
            false => Ok(()),
        }
    }
}

/// A folder on disk, written to at a pace.
#[derive(Clone, Debug)]
pub(super) struct PacedDirectory {
    inner: MmapDirectory,
    stop: Stop,
    rested: Arc<Mutex<Instant>>,
    no_store: Arc<AtomicBool>,
}

impl PacedDirectory {
    /// Opens a folder. Writing fails once `stop` says so.
    ///
    /// # Errors
    /// When it is not there.
    pub(super) fn open(folder: &Path, stop: Stop) -> tantivy::Result<Self> {
        Ok(Self {
            inner: MmapDirectory::open(folder)?,
            stop,
            rested: Arc::new(Mutex::new(Instant::now())),
            no_store: Arc::default(),
        })
    }

    fn at_pace<W>(&self, file: W) -> PacedWriter<W> {
        PacedWriter { file, stop: self.stop.clone(), rested: self.rested.clone(), stride: 0 }
    }

    /// From now on, or no longer, what is written to a docstore is dropped.
    pub(super) fn drop_store(&self, dropped: bool) {
        self.no_store.store(dropped, Ordering::Release);
    }
}

impl Directory for PacedDirectory {
    fn get_file_handle(&self, path: &Path) -> Result<Arc<dyn FileHandle>, OpenReadError> {
        self.inner.get_file_handle(path)
    }

    fn delete(&self, path: &Path) -> Result<(), DeleteError> {
        self.inner.delete(path)
    }

    fn exists(&self, path: &Path) -> Result<bool, OpenReadError> {
        self.inner.exists(path)
    }

    fn open_write(&self, path: &Path) -> Result<WritePtr, OpenWriteError> {
        let is_store = path.extension().is_some_and(|extension| extension == "store");
        if is_store && self.no_store.load(Ordering::Acquire) {
            return Ok(BufWriter::new(Box::new(self.at_pace(Nowhere))));
        }
        let file = self.inner.open_write(path)?;
        Ok(BufWriter::new(Box::new(self.at_pace(file))))
    }

    fn atomic_read(&self, path: &Path) -> Result<Vec<u8>, OpenReadError> {
        self.inner.atomic_read(path)
    }

    fn atomic_write(&self, path: &Path, data: &[u8]) -> io::Result<()> {
        self.inner.atomic_write(path, data)
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.inner.sync_directory()
    }

    fn acquire_lock(&self, lock: &Lock) -> Result<DirectoryLock, LockError> {
        self.inner.acquire_lock(lock)
    }

    fn watch(&self, callback: WatchCallback) -> tantivy::Result<WatchHandle> {
        self.inner.watch(callback)
    }
}

struct PacedWriter<W> {
    file: W,
    stop: Stop,
    rested: Arc<Mutex<Instant>>,
    stride: usize,
}

impl<W: Write> Write for PacedWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.stride += written;
        if self.stride >= STRIDE_BYTES {
            self.stride = 0;
            self.stop.check()?;
            let mut rested = self.rested.lock();
            std::thread::sleep((rested.elapsed() / REST_SHARE).min(REST_MAX));
            *rested = Instant::now();
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl<W: TerminatingWrite> TerminatingWrite for PacedWriter<W> {
    fn terminate_ref(&mut self, token: AntiCallToken) -> io::Result<()> {
        self.file.terminate_ref(token)
    }
}

struct Nowhere;

impl Write for Nowhere {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl TerminatingWrite for Nowhere {
    fn terminate_ref(&mut self, _: AntiCallToken) -> io::Result<()> {
        Ok(())
    }
}
