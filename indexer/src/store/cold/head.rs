//! The head of a cold split: the checksums of its blocks, and whatever opening it reads, so that a split is opened
//! without asking the object store for anything.
//!
//! A head = `LMHEAD\0\1`, length u32 of the JSON, JSON, the bytes of the slices that it lists, crc32c of all before;
//! little-endian.

use std::fs::File;
use std::io::{self, Read as _};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tantivy::HasLen;
use tantivy::directory::error::{DeleteError, OpenReadError, OpenWriteError};
use tantivy::directory::{Directory, FileHandle, MmapDirectory, OwnedBytes, WatchCallback, WatchHandle, WritePtr};

use super::cache::BLOCK_BYTES;
use crate::schema::schema;
use crate::store::manifest::SplitMeta;
use crate::store::part::{Label, Part, Place};

const MAGIC: &[u8; 8] = b"LMHEAD\0\x01";
/// What is larger is no footer and no index of a dictionary: it stays with the object store.
const SLICE_BYTES_MAX: usize = 1 << 20;
/// Heads stay on the disk for as long as their splits do: a hundredth of a large split.
const SLICES_BYTES_MAX: usize = 4 << 20;

/// A file of the split.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct FileTable {
    name: String,
    bytes: u64,
    /// The checksum of each block.
    blocks: Vec<u32>,
    /// Where the slices begin, and their lengths.
    slices: Vec<(u64, u64)>,
}

/// An opened head.
#[derive(Debug)]
pub(crate) struct Head {
    files: Vec<HeadFile>,
}

/// What is known of a file without asking for it.
#[derive(Debug)]
pub(super) struct HeadFile {
    pub(super) name: String,
    pub(super) bytes: u64,
    pub(super) blocks: Vec<u32>,
    slices: Vec<(Range<u64>, OwnedBytes)>,
}

impl HeadFile {
    /// These bytes, when opening the split has read them too.
    pub(super) fn slice(&self, range: &Range<u64>) -> Option<OwnedBytes> {
        let (known, bytes) =
            self.slices.iter().find(|(known, _)| known.start <= range.start && range.end <= known.end)?;
        let at = |place: u64| usize::try_from(place - known.start).ok();
        Some(bytes.slice(at(range.start)?..at(range.end)?))
    }
}

impl Head {
    /// Reads a head.
    pub(super) fn read(bytes: &OwnedBytes) -> Option<Self> {
        let (body, crc) = bytes.split_last_chunk::<4>()?;
        if crc32c::crc32c(body) != u32::from_le_bytes(*crc) {
            return None;
        }
        let (length, rest) = body.strip_prefix(MAGIC)?.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        let tables: Vec<FileTable> = serde_json::from_slice(rest.get(..length)?).ok()?;
        let mut at = MAGIC.len() + 4 + length;
        let mut files = Vec::with_capacity(tables.len());
        for table in tables {
            let mut slices = Vec::with_capacity(table.slices.len());
            for (start, length) in table.slices {
                let end = at.checked_add(usize::try_from(length).ok()?).filter(|end| *end <= body.len())?;
                slices.push((start..start.checked_add(length)?, bytes.slice(at..end)));
                at = end;
            }
            files.push(HeadFile { name: table.name, bytes: table.bytes, blocks: table.blocks, slices });
        }
        Some(Self { files })
    }

    /// A file by its name, and its place.
    pub(super) fn file(&self, path: &Path) -> Option<(usize, &HeadFile)> {
        let name = path.to_str()?;
        self.files.iter().enumerate().find(|(_, file)| file.name == name)
    }

    /// A file by its place.
    pub(super) fn at(&self, place: usize) -> Option<&HeadFile> {
        self.files.get(place)
    }
}

/// Makes the head of a split from its folder.
///
/// # Errors
/// When it can't be read.
pub(super) fn build(folder: &Path, split: &SplitMeta) -> tantivy::Result<Vec<u8>> {
    let read = reads_of_opening(folder, split)?;
    let mut tables = Vec::with_capacity(split.files.len());
    let mut slices = Vec::new();
    let mut left = SLICES_BYTES_MAX;
    for file in &split.files {
        let path = folder.join(&file.name);
        let mut table =
            FileTable { name: file.name.clone(), bytes: file.bytes, blocks: blocks_of(&path)?, slices: Vec::new() };
        let of_file = read.iter().filter(|(name, _)| name.to_str() == Some(&file.name));
        for range in united(of_file.map(|(_, range)| range.clone()).collect()) {
            if range.len() > SLICE_BYTES_MAX.min(left) {
                continue;
            }
            left -= range.len();
            table.slices.push((range.start as u64, range.len() as u64));
            slices.push((path.clone(), range));
        }
        tables.push(table);
    }
    encode(&tables, &slices).map_err(Into::into)
}

fn encode(tables: &[FileTable], slices: &[(PathBuf, Range<usize>)]) -> io::Result<Vec<u8>> {
    use std::os::unix::fs::FileExt as _;
    let json = serde_json::to_vec(tables)?;
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&u32::try_from(json.len()).map_err(io::Error::other)?.to_le_bytes());
    bytes.extend_from_slice(&json);
    for (path, range) in slices {
        let mut slice = vec![0; range.len()];
        File::open(path)?.read_exact_at(&mut slice, range.start as u64)?;
        bytes.extend_from_slice(&slice);
    }
    bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
    Ok(bytes)
}

fn blocks_of(path: &Path) -> io::Result<Vec<u32>> {
    let mut file = File::open(path)?;
    let mut blocks = Vec::new();
    loop {
        let mut block = Vec::new();
        (&mut file).take(BLOCK_BYTES).read_to_end(&mut block)?;
        if block.is_empty() {
            return Ok(blocks);
        }
        blocks.push(crc32c::crc32c(&block));
    }
}

/// Ranges that touch or overlap become one.
fn united(mut ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
    ranges.retain(|range| !range.is_empty());
    ranges.sort_by_key(|range| range.start);
    let mut united: Vec<Range<usize>> = Vec::new();
    for range in ranges {
        match united.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => united.push(range),
        }
    }
    united
}

/// What is read of which files when a split is opened, its dictionaries and its docstore with it.
fn reads_of_opening(folder: &Path, split: &SplitMeta) -> tantivy::Result<Reads> {
    let directory = Recording { inner: MmapDirectory::open(folder)?, read: Arc::default() };
    let read = directory.read.clone();
    let label = Label::in_memory(split.id, "".into(), split.oldest_ns..=split.newest_ns, 0);
    let part = Part::through(label, directory, Place::Disk, split.bytes, [].into())?;
    for (field, entry) in schema().0.fields() {
        if entry.is_indexed() {
            part.reader.inverted_index(field)?;
        }
        // Which columns there are, not what is in them.
        if entry.is_fast() {
            part.reader.fast_fields().dynamic_column_handles(entry.name())?;
            part.reader.fast_fields().dynamic_subpath_column_handles(entry.name())?;
        }
    }
    part.reader.get_store_reader(1)?;
    drop(part);
    let read = std::mem::take(&mut *read.lock());
    Ok(read)
}

/// Files and the ranges of them that were read.
type Reads = Vec<(PathBuf, Range<usize>)>;

/// What whoever wants to write to a split gets.
pub(super) fn read_only() -> io::Error {
    io::Error::new(io::ErrorKind::ReadOnlyFilesystem, "splits are never changed")
}

/// A folder that notes what is read of it.
#[derive(Clone, Debug)]
struct Recording {
    inner: MmapDirectory,
    read: Arc<Mutex<Reads>>,
}

#[derive(Debug)]
struct RecordedFile {
    inner: Arc<dyn FileHandle>,
    path: PathBuf,
    read: Arc<Mutex<Reads>>,
}

impl HasLen for RecordedFile {
    fn len(&self) -> usize {
        self.inner.len()
    }
}

impl FileHandle for RecordedFile {
    fn read_bytes(&self, range: Range<usize>) -> io::Result<OwnedBytes> {
        self.read.lock().push((self.path.clone(), range.clone()));
        self.inner.read_bytes(range)
    }
}

impl Directory for Recording {
    fn get_file_handle(&self, path: &Path) -> Result<Arc<dyn FileHandle>, OpenReadError> {
        let inner = self.inner.get_file_handle(path)?;
        Ok(Arc::new(RecordedFile { inner, path: path.to_owned(), read: self.read.clone() }))
    }

    fn atomic_read(&self, path: &Path) -> Result<Vec<u8>, OpenReadError> {
        let bytes = self.inner.atomic_read(path)?;
        self.read.lock().push((path.to_owned(), 0..bytes.len()));
        Ok(bytes)
    }

    fn exists(&self, path: &Path) -> Result<bool, OpenReadError> {
        self.inner.exists(path)
    }

    fn delete(&self, path: &Path) -> Result<(), DeleteError> {
        Err(DeleteError::IoError { io_error: Arc::new(read_only()), filepath: path.to_owned() })
    }

    fn open_write(&self, path: &Path) -> Result<WritePtr, OpenWriteError> {
        Err(OpenWriteError::wrap_io_error(read_only(), path.to_owned()))
    }

    fn atomic_write(&self, _: &Path, _: &[u8]) -> io::Result<()> {
        Err(read_only())
    }

    fn sync_directory(&self) -> io::Result<()> {
        Ok(())
    }

    fn watch(&self, _: WatchCallback) -> tantivy::Result<WatchHandle> {
        Ok(WatchHandle::empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cut_and_every_changed_byte_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, b"0123456789").unwrap();
        let slices = vec![(2, 3), (7, 2)];
        let table = FileTable { name: "a".into(), bytes: 10, blocks: blocks_of(&path).unwrap(), slices };
        let bytes = encode(&[table], &[(path.clone(), 2..5), (path, 7..9)]).unwrap();
        let head = Head::read(&OwnedBytes::new(bytes.clone())).unwrap();
        let file = head.at(0).unwrap();
        assert_eq!(file.slice(&(3..5)).unwrap().as_slice(), b"34");
        assert_eq!(file.slice(&(7..9)).unwrap().as_slice(), b"78");
        assert!(file.slice(&(4..8)).is_none() && file.slice(&(0..3)).is_none());
        assert_eq!(file.blocks, [crc32c::crc32c(b"0123456789")]);
        for cut in 0..bytes.len() {
            assert!(Head::read(&OwnedBytes::new(bytes[..cut].to_vec())).is_none());
            let mut changed = bytes.clone();
            changed[cut] ^= 4;
            assert!(Head::read(&OwnedBytes::new(changed)).is_none());
        }
    }

    #[test]
    fn ranges_that_touch_become_one() {
        assert_eq!(united(vec![5..9, 0..2, 2..4, 3..3, 8..10, 6..7]), [0..4, 5..10]);
    }
}
