//! The shipper's checkpoint: which files there are, and up to where each was acknowledged. Survives a kill at any instant.
//!
//! A snapshot and a log after it. Behind is harmless (records are sent again, and recognised); it must never be
//! ahead of what the bus acknowledged.

mod record;

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

pub(crate) use record::{CUTS_MAX, Entry, Record};

use crate::input::file::identity::FileId;

const SNAPSHOT_MAGIC: [u8; 12] = *b"LMSHIPSN\x01\0\0\0";
const LOG_MAGIC: [u8; 12] = *b"LMSHIPWL\x01\0\0\0";
/// The log is folded into a snapshot beyond this: a restart reads it in a few milliseconds.
const LOG_BYTES_MAX: u64 = 4 << 20;
/// No record is larger: a path, a head and a few boundaries.
const RECORD_BYTES_MAX: usize = 1 << 18;

/// The checkpoint can't be opened or written.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// Another shipper uses the folder.
    #[error("{} is in use by another shipper: give each its own data folder", .0.display())]
    InUse(PathBuf),
    /// The system said no.
    #[error("the checkpoint {}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Every snapshot is damaged.
    #[error(
        "no snapshot in {} can be read: restore the folder, or remove it to read every file from its beginning",
        .0.display()
    )]
    Damaged(PathBuf),
    /// Written by a later version.
    #[error("{} was written by a later version of this program", .0.display())]
    TooNew(PathBuf),
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> CheckpointError {
    let path = path.to_owned();
    move |source| CheckpointError::Io { path, source }
}

/// What is on disk, and what is being added to it.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    folder: PathBuf,
    _lock: File,
    number: u64,
    log: File,
    /// Bytes of the log that are whole records.
    log_bytes: u64,
    unsynced: bool,
    /// The log may end in a half-written record that could not be cut off: nothing may follow it.
    broken: bool,
    scratch: Vec<u8>,
}

/// What a start found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) entries: HashMap<FileId, Entry>,
    /// There was no checkpoint at all: the first start in this folder.
    pub(crate) fresh: bool,
    /// Bytes of torn or damaged records that were cut off.
    pub(crate) cut_bytes: u64,
}

impl Checkpoint {
    /// Opens the checkpoint in `folder`, recovers what is there, and begins a new snapshot with it.
    pub(crate) fn open(folder: &Path) -> Result<(Self, Found), CheckpointError> {
        std::fs::create_dir_all(folder).map_err(at(folder))?;
        let lock_path = folder.join("lock");
        let lock = File::create(&lock_path).map_err(at(&lock_path))?;
        match rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(CheckpointError::InUse(folder.to_owned())),
            Err(error) => return Err(at(&lock_path)(error.into())),
        }
        let (last, mut found) = recover(folder)?;
        let number = last + 1;
        write_snapshot(folder, number, found.entries.values())?;
        let log = new_log(folder, number)?;
        remove_older(folder, last);
        found.fresh = last == 0;
        let log_bytes = LOG_MAGIC.len() as u64;
        let folder = folder.to_owned();
        let scratch = Vec::new();
        Ok((Self { folder, _lock: lock, number, log, log_bytes, unsynced: false, broken: false, scratch }, found))
    }

    /// Adds records; they survive a kill from here on, and a loss of power after [`Self::sync`].
    pub(crate) fn append<'r>(&mut self, records: impl IntoIterator<Item = &'r Record>) -> Result<(), CheckpointError> {
        let path = log_path(&self.folder, self.number);
        if self.broken {
            return Err(at(&path)(io::Error::other("an earlier write failed half-way")));
        }
        self.scratch.clear();
        for record in records {
            frame(record, &mut self.scratch);
        }
        if self.scratch.is_empty() {
            return Ok(());
        }
        if let Err(error) = self.log.write_all(&self.scratch) {
            // What was written of it must not stand before later records.
            self.broken = self.log.set_len(self.log_bytes).is_err()
                || io::Seek::seek(&mut self.log, io::SeekFrom::Start(self.log_bytes)).is_err();
            return Err(at(&path)(error));
        }
        self.log_bytes += self.scratch.len() as u64;
        self.unsynced = true;
        Ok(())
    }

    /// Makes everything added so far survive a loss of power.
    pub(crate) fn sync(&mut self) -> Result<(), CheckpointError> {
        if self.unsynced {
            self.log.sync_data().map_err(at(&log_path(&self.folder, self.number)))?;
            self.unsynced = false;
        }
        Ok(())
    }

    /// Whether the log should be folded into a snapshot.
    pub(crate) const fn wants_snapshot(&self) -> bool {
        self.broken || self.log_bytes > LOG_BYTES_MAX
    }

    /// Replaces snapshot and log by a snapshot of `entries`; the pair before it is kept as a second copy.
    pub(crate) fn snapshot<'e>(&mut self, entries: impl Iterator<Item = &'e Entry>) -> Result<(), CheckpointError> {
        let number = self.number + 1;
        write_snapshot(&self.folder, number, entries)?;
        self.log = new_log(&self.folder, number)?;
        remove_older(&self.folder, self.number);
        self.number = number;
        self.log_bytes = LOG_MAGIC.len() as u64;
        self.unsynced = false;
        self.broken = false;
        Ok(())
    }
}

fn snapshot_path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("snapshot.{number:010}"))
}

fn log_path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("log.{number:010}"))
}

/// Length and CRC32C of the record, then the record.
fn frame(record: &Record, out: &mut Vec<u8>) {
    let begin = out.len();
    out.extend([0; 8]);
    record.encode(out);
    let (header, body) = out.split_at_mut(begin + 8);
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
    if let Some(header) = header.get_mut(begin..) {
        header[..4].copy_from_slice(&length.to_le_bytes());
        header[4..].copy_from_slice(&crc32c::crc32c(body).to_le_bytes());
    }
}

/// The first record of `bytes`, and what follows it; `None` when it is torn or damaged.
fn unframe(bytes: &[u8]) -> Option<(Record, &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    let (crc, rest) = rest.split_first_chunk()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok().filter(|length| *length <= RECORD_BYTES_MAX)?;
    let (body, rest) = rest.split_at_checked(length)?;
    let whole = crc32c::crc32c(body) == u32::from_le_bytes(*crc);
    Some((Record::decode(body).filter(|_| whole)?, rest))
}

fn write_snapshot<'e>(
    folder: &Path,
    number: u64,
    entries: impl Iterator<Item = &'e Entry>,
) -> Result<(), CheckpointError> {
    let mut bytes = SNAPSHOT_MAGIC.to_vec();
    let mut records = 0;
    for entry in entries {
        frame(&Record::Entry(Box::new(entry.clone())), &mut bytes);
        records += 1;
    }
    frame(&Record::End { records }, &mut bytes);
    let path = snapshot_path(folder, number);
    let draft = folder.join("snapshot.draft");
    let mut file = File::create(&draft).map_err(at(&draft))?;
    file.write_all(&bytes).and_then(|()| file.sync_all()).map_err(at(&draft))?;
    std::fs::rename(&draft, &path).map_err(at(&path))?;
    sync_folder(folder)
}

fn new_log(folder: &Path, number: u64) -> Result<File, CheckpointError> {
    let path = log_path(folder, number);
    let mut log = OpenOptions::new().write(true).create(true).truncate(true).open(&path).map_err(at(&path))?;
    log.write_all(&LOG_MAGIC).and_then(|()| log.sync_all()).map_err(at(&path))?;
    sync_folder(folder)?;
    Ok(log)
}

fn sync_folder(folder: &Path) -> Result<(), CheckpointError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(at(folder))
}

/// The numbers of the snapshots in `folder`, newest first.
fn numbers(folder: &Path) -> Result<Vec<u64>, CheckpointError> {
    let mut numbers = Vec::<u64>::new();
    for file in std::fs::read_dir(folder).map_err(at(folder))? {
        let name = file.map_err(at(folder))?.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix("snapshot."));
        numbers.extend(number.and_then(|text| text.parse::<u64>().ok()));
    }
    numbers.sort_unstable_by_key(|number: &u64| std::cmp::Reverse(*number));
    Ok(numbers)
}

/// Removes all pairs before `keep`; what can't be removed now is removed the next time.
fn remove_older(folder: &Path, keep: u64) {
    for number in numbers(folder).unwrap_or_default().into_iter().filter(|number| *number < keep) {
        let _ = std::fs::remove_file(log_path(folder, number));
        let _ = std::fs::remove_file(snapshot_path(folder, number));
    }
}

/// The newest snapshot that is whole, with all logs from its own on laid over it; and the newest number in use.
fn recover(folder: &Path) -> Result<(u64, Found), CheckpointError> {
    let numbers = numbers(folder)?;
    let Some(last) = numbers.first().copied() else { return Ok((0, Found::default())) };
    let mut found = Found::default();
    for number in &numbers {
        let path = snapshot_path(folder, *number);
        let bytes = std::fs::read(&path).map_err(at(&path))?;
        refuse_newer(&path, &bytes, &SNAPSHOT_MAGIC)?;
        let Some(entries) = read_snapshot(&bytes) else {
            tracing::warn!(path = %path.display(), "a damaged snapshot is passed over");
            found.cut_bytes += bytes.len() as u64;
            continue;
        };
        found.entries = entries;
        for log in *number..=last {
            let path = log_path(folder, log);
            let bytes = match std::fs::read(&path) {
                Ok(bytes) => bytes,
                // A kill between snapshot and log, which then has nothing to say.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(at(&path)(error)),
            };
            refuse_newer(&path, &bytes, &LOG_MAGIC)?;
            let cut = replay(&bytes, &mut found.entries);
            if cut > 0 {
                tracing::warn!(path = %path.display(), bytes = cut, "a torn end of the checkpoint's log is cut off");
                found.cut_bytes += cut;
                // For whoever wants to know; should it fail, nothing depends on it.
                let _ = std::fs::write(folder.join("last.cut"), bytes.get(bytes.len() - cut as usize..).unwrap_or(&[]));
            }
        }
        return Ok((last, found));
    }
    Err(CheckpointError::Damaged(folder.to_owned()))
}

/// The same file kind in a version that this program doesn't know.
fn refuse_newer(path: &Path, bytes: &[u8], magic: &[u8; 12]) -> Result<(), CheckpointError> {
    let version = bytes.get(8..12).and_then(|version| version.try_into().ok()).map(u32::from_le_bytes);
    match version {
        Some(version) if bytes.starts_with(&magic[..8]) && version > 1 => Err(CheckpointError::TooNew(path.to_owned())),
        _ => Ok(()),
    }
}

fn read_snapshot(bytes: &[u8]) -> Option<HashMap<FileId, Entry>> {
    let mut rest = bytes.strip_prefix(&SNAPSHOT_MAGIC)?;
    let mut entries = HashMap::new();
    let mut count = 0;
    loop {
        let (record, after) = unframe(rest)?;
        rest = after;
        match record {
            Record::Entry(entry) => {
                entries.insert(entry.id, *entry);
                count += 1;
            }
            Record::End { records } => return (records == count && rest.is_empty()).then_some(entries),
            _ => return None,
        }
    }
}

/// Lays a log over `entries`; says how many bytes at its end are no whole records.
fn replay(bytes: &[u8], entries: &mut HashMap<FileId, Entry>) -> u64 {
    let Some(mut rest) = bytes.strip_prefix(&LOG_MAGIC) else { return bytes.len() as u64 };
    while let Some((record, after)) = unframe(rest) {
        rest = after;
        apply(record, entries);
    }
    rest.len() as u64
}

fn apply(record: Record, entries: &mut HashMap<FileId, Entry>) {
    match record {
        Record::Entry(entry) => drop(entries.insert(entry.id, *entry)),
        Record::Acked { id, offset, tail } => {
            if let Some(entry) = entries.get_mut(&id) {
                entry.acked = offset;
                entry.tail = tail;
                entry.cuts.retain(|at| *at > offset);
            }
        }
        Record::Cut { id, at } => {
            if let Some(entry) = entries.get_mut(&id) {
                entry.cuts.push(at);
            }
        }
        Record::Forget { id } => drop(entries.remove(&id)),
        Record::End { .. } => {}
    }
}

#[cfg(test)]
mod tests;
