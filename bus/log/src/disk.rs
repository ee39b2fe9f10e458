//! The few system calls on which durability hangs, behind a seam so that tests can make each of them fail.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::FallocateFlags;
use rustix::io::Errno;

/// What the log asks of the disk. Every write and sync of the crate goes through it.
pub(crate) trait Disk: Send + Sync {
    fn write_all_at(&self, file: &File, bytes: &[u8], position: u64) -> io::Result<()>;

    /// Makes the file's bytes (and its length) durable.
    fn sync(&self, file: &File) -> io::Result<()>;

    /// Reserves space and makes the file `bytes` long, the new part reading as zeros.
    /// A file system that can't reserve is no error: the file then stays as it is.
    fn reserve(&self, file: &File, bytes: u64) -> io::Result<()>;

    fn truncate(&self, file: &File, bytes: u64) -> io::Result<()>;

    /// Makes the names in a directory durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
}

/// The real disk.
pub(crate) struct System;

impl Disk for System {
    fn write_all_at(&self, file: &File, bytes: &[u8], position: u64) -> io::Result<()> {
        file.write_all_at(bytes, position)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }

    fn reserve(&self, file: &File, bytes: u64) -> io::Result<()> {
        match rustix::fs::fallocate(file, FallocateFlags::empty(), 0, bytes) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
            done => Ok(done?),
        }
    }

    fn truncate(&self, file: &File, bytes: u64) -> io::Result<()> {
        file.set_len(bytes)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }
}

/// Whether the error says that there is no room, which waiting or deleting can cure.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Puts `bytes` in place of the file at `path`, whole or not at all, durable on return.
pub(crate) fn replace(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    let file = File::create(&temporary)?;
    let written = disk.write_all_at(&file, bytes, 0).and_then(|()| disk.sync(&file));
    if let Err(error) = written {
        // A full disk must not be kept full by what never came to be; the first error is the one to tell.
        let _ = fs::remove_file(&temporary);
        return Err(error);
    }
    fs::rename(&temporary, path)?;
    path.parent().map_or(Ok(()), |dir| disk.sync_dir(dir))
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

    use super::*;

    /// A disk whose calls fail when told to.
    #[derive(Default)]
    pub(crate) struct Faulty {
        pub(crate) sync_fails: AtomicBool,
        /// Bytes that may still be written before the disk is full, when `limited`.
        pub(crate) room_bytes: AtomicI64,
        pub(crate) limited: AtomicBool,
        pub(crate) truncate_fails: AtomicBool,
        pub(crate) syncs: AtomicU64,
    }

    impl Faulty {
        pub(crate) fn new() -> Arc<Self> {
            Arc::default()
        }

        pub(crate) fn leave_room(&self, bytes: i64) {
            self.room_bytes.store(bytes, Ordering::SeqCst);
            self.limited.store(true, Ordering::SeqCst);
        }

        pub(crate) fn free(&self) {
            self.limited.store(false, Ordering::SeqCst);
        }
    }

    impl Disk for Arc<Faulty> {
        fn write_all_at(&self, file: &File, bytes: &[u8], position: u64) -> io::Result<()> {
            if self.limited.load(Ordering::SeqCst) {
                let room = self.room_bytes.fetch_sub(bytes.len() as i64, Ordering::SeqCst);
                if room < bytes.len() as i64 {
                    // As the kernel does: what fits is written, then the call fails.
                    System.write_all_at(file, &bytes[..room.max(0) as usize], position)?;
                    return Err(io::Error::from(io::ErrorKind::StorageFull));
                }
            }
            System.write_all_at(file, bytes, position)
        }

        fn sync(&self, file: &File) -> io::Result<()> {
            self.syncs.fetch_add(1, Ordering::SeqCst);
            if self.sync_fails.load(Ordering::SeqCst) {
                return Err(io::Error::from_raw_os_error(5));
            }
            System.sync(file)
        }

        fn reserve(&self, file: &File, bytes: u64) -> io::Result<()> {
            if self.limited.load(Ordering::SeqCst) {
                return Err(io::Error::from(io::ErrorKind::StorageFull));
            }
            System.reserve(file, bytes)
        }

        fn truncate(&self, file: &File, bytes: u64) -> io::Result<()> {
            if self.truncate_fails.load(Ordering::SeqCst) {
                return Err(io::Error::from_raw_os_error(5));
            }
            System.truncate(file, bytes)
        }

        fn sync_dir(&self, dir: &Path) -> io::Result<()> {
            System.sync_dir(dir)
        }
    }
}
