//! The manifest: the one file that says which splits count, which bus offsets they cover and which origins
//! they hold. A change is one record, appended and synced; after a crash the state is exactly that of the last
//! whole record. It is the authority: whatever lies on disk and is not named here is removed at the start.
//!
//! `manifest` = header (`LMMANIF\0`, version u32, crc32c of both) and records (length u32, crc32c u32, JSON),
//! all little-endian. The first record is a snapshot. Rewriting goes through `manifest.new` and a rename.

pub(crate) mod state;

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

pub(crate) use state::{
    Amended, ColdMeta, Edit, IndexMeta, Location, MarkMeta, Quarantined, SplitFile, SplitMeta, State,
};

const MAGIC: &[u8; 8] = b"LMMANIF\0";
/// 2: changes that the first version does not know. 3: cold splits, and repositories on object stores. Files of older
/// versions are still read.
const VERSION: u32 = 3;
const HEADER_BYTES: usize = 16;
/// A record is a change or a snapshot: even a million watermarks stay far below this.
const RECORD_BYTES_MAX: u32 = 1 << 30;
/// The log is rewritten as one snapshot when it has grown by this beyond four snapshots: reading it back then
/// takes milliseconds, and rewriting stays rare.
const GROWTH_BYTES: u64 = 1 << 20;

/// The manifest can't be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ManifestError {
    /// The file can't be read or written.
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    /// The file is of a newer program.
    #[error("{}: written in format {found}, this program reads up to {VERSION}; use a newer program", path.display())]
    Version { path: PathBuf, found: u32 },
    /// The file is none.
    #[error("{}: not a manifest of this program; move it away to start with an empty store", path.display())]
    NotOne { path: PathBuf },
}

/// What reading the manifest found besides its state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Recovery {
    /// Bytes of an unfinished record that were cut off.
    pub(crate) cut_bytes: u64,
    /// A record before the last is damaged: what came after it is unknown.
    pub(crate) damaged: bool,
}

/// The open manifest.
#[derive(Debug)]
pub(crate) struct Manifest {
    folder: PathBuf,
    file: File,
    state: State,
    length: u64,
    snapshot_length: u64,
    /// An append failed and left the file in doubt: it is written anew before the next one.
    in_doubt: bool,
}

impl Manifest {
    /// Reads the manifest of a folder, or begins one.
    ///
    /// # Errors
    /// When it can't be read, is of a newer format, or is none.
    pub(crate) fn open(folder: &Path) -> Result<(Self, Recovery), ManifestError> {
        let path = folder.join("manifest");
        let failed = |source| ManifestError::Io { path: path.clone(), source };
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(failed(error)),
        };
        // A crash while the very first one was written leaves less than a header, or none.
        let begun = bytes.len() >= HEADER_BYTES;
        if begun {
            check_header(&bytes, &path)?;
        }
        let (mut state, good, damaged) = replay(bytes.get(HEADER_BYTES..).unwrap_or_default());
        let good = HEADER_BYTES as u64 + good;
        let recovery =
            Recovery { cut_bytes: if begun { bytes.len() as u64 - good } else { bytes.len() as u64 }, damaged };
        if damaged {
            // Kept for whoever wants to know; the rewritten one takes its place.
            std::fs::copy(&path, folder.join("manifest.damaged")).map_err(failed)?;
            // Cold splits that it has forgotten may count: what is under the old name is left alone from now on.
            state.store_id = None;
        }
        // Written anew at every start: that also cuts off the torn tail.
        let (file, length) = write_snapshot(folder, &state).map_err(failed)?;
        let manifest =
            Self { folder: folder.to_owned(), file, state, length, snapshot_length: length, in_doubt: false };
        Ok((manifest, recovery))
    }

    /// The state after the last record.
    pub(crate) const fn state(&self) -> &State {
        &self.state
    }

    /// Makes a change last: when this returns, a crash no longer undoes it.
    ///
    /// # Errors
    /// When it can't be written; the state is then as before, on disk and here.
    pub(crate) fn append(&mut self, edit: &Edit) -> io::Result<()> {
        if self.in_doubt || self.length > self.snapshot_length * 4 + GROWTH_BYTES {
            self.rewrite()?;
        }
        let record = encode(edit)?;
        let written = self.file.write_all(&record).and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            self.in_doubt = true;
            return Err(error);
        }
        self.length += record.len() as u64;
        self.state.apply(edit);
        Ok(())
    }

    /// Makes the file say what the state says: after an append that failed, a crash may else bring back its change.
    ///
    /// # Errors
    /// When it can't be written; it stays in doubt.
    pub(crate) fn settle(&mut self) -> io::Result<()> {
        if self.in_doubt { self.rewrite() } else { Ok(()) }
    }

    /// An append that reached the file, and failed all the same.
    #[cfg(test)]
    pub(crate) fn append_in_doubt(&mut self, edit: &Edit) {
        self.file.write_all(&encode(edit).unwrap()).unwrap();
        self.in_doubt = true;
    }

    fn rewrite(&mut self) -> io::Result<()> {
        let (file, length) = write_snapshot(&self.folder, &self.state)?;
        self.file = file;
        self.length = length;
        self.snapshot_length = length;
        self.in_doubt = false;
        Ok(())
    }
}

fn check_header(bytes: &[u8], path: &Path) -> Result<(), ManifestError> {
    let not_one = || ManifestError::NotOne { path: path.to_owned() };
    let version = u32_at(bytes, 8).ok_or_else(not_one)?;
    let whole = bytes.get(..12).map(crc32c::crc32c) == u32_at(bytes, 12);
    match bytes.starts_with(MAGIC) && whole {
        false => Err(not_one()),
        true if version > VERSION => Err(ManifestError::Version { path: path.to_owned(), found: version }),
        true => Ok(()),
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes)
}

/// Applies records until one is not whole. Says how many bytes were good, and whether a whole record follows anywhere:
/// then it is no torn tail. None is ever found within another: its length has a zero byte, and JSON has none.
fn replay(records: &[u8]) -> (State, u64, bool) {
    let mut state = State::default();
    let mut at = 0;
    while let Some((edit, next)) = record_at(records, at) {
        state.apply(&edit);
        at = next;
    }
    let damaged = (at + 1..records.len()).any(|later| record_at(records, later).is_some());
    (state, at as u64, damaged)
}

fn record_at(records: &[u8], at: usize) -> Option<(Edit, usize)> {
    let length = u32_at(records, at).filter(|length| *length <= RECORD_BYTES_MAX)?;
    let crc = u32_at(records, at + 4)?;
    let next = at.checked_add(8 + length as usize)?;
    let payload = records.get(at + 8..next)?;
    // Looked at first, so that a search through bytes that are none does not read them again and again.
    if !payload.starts_with(b"{") || crc32c::crc32c(payload) != crc {
        return None;
    }
    Some((serde_json::from_slice(payload).ok()?, next))
}

fn encode(edit: &Edit) -> io::Result<Vec<u8>> {
    let payload = serde_json::to_vec(edit)?;
    let length = u32::try_from(payload.len()).ok().filter(|length| *length <= RECORD_BYTES_MAX);
    let length = length.ok_or_else(|| io::Error::other("a manifest record beyond 1 GiB"))?;
    let mut record = Vec::with_capacity(payload.len() + 8);
    record.extend_from_slice(&length.to_le_bytes());
    record.extend_from_slice(&crc32c::crc32c(&payload).to_le_bytes());
    record.extend_from_slice(&payload);
    Ok(record)
}

fn write_snapshot(folder: &Path, state: &State) -> io::Result<(File, u64)> {
    let new = folder.join("manifest.new");
    let mut file = OpenOptions::new().create(true).write(true).truncate(true).open(&new)?;
    let mut bytes = Vec::with_capacity(4096);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
    bytes.extend_from_slice(&encode(&Edit::Snapshot(Box::new(state.clone())))?);
    file.write_all(&bytes)?;
    file.sync_all()?;
    std::fs::rename(&new, folder.join("manifest"))?;
    sync_folder(folder)?;
    file.seek(SeekFrom::End(0))?;
    Ok((file, bytes.len() as u64))
}

/// Makes the names in a folder last.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// CRC-32C and length of a file.
pub(crate) fn checksum(path: &Path) -> io::Result<(u32, u64)> {
    let mut file = File::open(path)?;
    let (mut crc, mut length) = (0, 0);
    let mut buffer = vec![0; 256 << 10];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok((crc, length));
        }
        crc = crc32c::crc32c_append(crc, buffer.get(..read).unwrap_or_default());
        length += read as u64;
    }
}

#[cfg(test)]
mod tests;
