//! A cold split as tantivy reads it: files on the object store, of which byte ranges come from the head, from the cache
//! or from there, in this order. Reads block; searches run where they may.

use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use tantivy::HasLen;
use tantivy::directory::error::{DeleteError, OpenReadError, OpenWriteError};
use tantivy::directory::{Directory, FileHandle, OwnedBytes, WatchCallback, WatchHandle, WritePtr};

use super::cache::{BLOCK_BYTES, BlockCache, BlockKey};
use super::head::{Head, HeadFile, read_only};
use crate::interrupt::interrupted;
use crate::store::objects::{ObjectError, Objects, PIECE_BYTES, piece_of};

/// Neighbouring blocks that are missing are fetched together up to this size: the request's latency is paid once, and
/// what a search holds of it stays small.
const FETCH_BYTES_MAX: u64 = 4 << 20;

/// A split on the object store. It stays there for as long as somebody holds this.
#[derive(Debug)]
pub(crate) struct ColdSplit {
    pub(super) key: String,
    pub(super) head: Head,
    pub(super) objects: Arc<Objects>,
    pub(super) cache: Arc<BlockCache>,
}

/// The number by which the cache knows a file.
pub(super) fn file_number(key: &str, name: &str) -> u64 {
    let digest = ring::digest::digest(&ring::digest::SHA256, format!("{key}/{name}").as_bytes());
    digest.as_ref().first_chunk().map(|first| u64::from_le_bytes(*first)).unwrap_or_default()
}

impl ColdSplit {
    fn read(&self, file: &HeadFile, number: u64, range: Range<u64>) -> io::Result<OwnedBytes> {
        if range.is_empty() {
            return Ok(OwnedBytes::empty());
        }
        if range.end > file.bytes {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                format!("{} ends before {}", file.name, range.end),
            ));
        }
        if let Some(known) = file.slice(&range) {
            return Ok(known);
        }
        let length = usize::try_from(range.end - range.start).map_err(io::Error::other)?;
        let mut bytes = Vec::with_capacity(length);
        let mut blocks = range.start / BLOCK_BYTES..range.end.div_ceil(BLOCK_BYTES);
        while let Some(block) = blocks.next() {
            match self.cached(file, number, block) {
                Some(found) => append(&mut bytes, block, &found, &range),
                None => {
                    let run = self.missing_from(file, number, block, blocks.end);
                    for (block, fetched) in self.fetch(file, number, run.clone())? {
                        append(&mut bytes, block, &fetched, &range);
                    }
                    blocks.start = run.end;
                }
            }
        }
        match bytes.len() == length {
            true => Ok(OwnedBytes::new(bytes)),
            false => Err(ObjectError::Damaged(self.objects.shown(&self.key)).into()),
        }
    }

    fn cached(&self, file: &HeadFile, number: u64, block: u64) -> Option<Vec<u8>> {
        let (key, crc) = block_of(file, number, block)?;
        self.cache.get(key, usize::try_from(length_of(file, block)).ok()?, crc)
    }

    /// The blocks from this one on that are fetched together: not in the cache, of one piece.
    fn missing_from(&self, file: &HeadFile, number: u64, first: u64, end: u64) -> Range<u64> {
        let per_piece = PIECE_BYTES / BLOCK_BYTES;
        let end = end.min((first / per_piece + 1) * per_piece).min(first + FETCH_BYTES_MAX / BLOCK_BYTES);
        let is_missing = |block: &u64| block_of(file, number, *block).is_some_and(|(key, _)| !self.cache.holds(key));
        let missing = (first + 1..end).take_while(is_missing).count() as u64;
        first..first + 1 + missing
    }

    /// Fetches blocks of one piece, compares each with its checksum and keeps it.
    fn fetch(&self, file: &HeadFile, number: u64, run: Range<u64>) -> io::Result<Vec<(u64, Vec<u8>)>> {
        let (start, end) = (run.start * BLOCK_BYTES, (run.end * BLOCK_BYTES).min(file.bytes));
        let piece = start / PIECE_BYTES;
        let name = format!("{}/{}", self.key, piece_of(&file.name, piece));
        let within = start - piece * PIECE_BYTES..end - piece * PIECE_BYTES;
        let read = self.objects.read(&name, within, &|| !interrupted())?;
        self.cache.fetched(read.len() as u64);
        let mut blocks = Vec::new();
        let stride = usize::try_from(BLOCK_BYTES).unwrap_or(usize::MAX);
        for (block, bytes) in run.clone().zip(read.chunks(stride)) {
            let known = block_of(file, number, block).filter(|(_, crc)| *crc == crc32c::crc32c(bytes));
            let Some((key, _)) = known else {
                return Err(ObjectError::Damaged(self.objects.shown(&name)).into());
            };
            self.cache.put(key, bytes);
            blocks.push((block, bytes.to_vec()));
        }
        Ok(blocks)
    }
}

fn block_of(file: &HeadFile, number: u64, block: u64) -> Option<(BlockKey, u32)> {
    let crc = file.blocks.get(usize::try_from(block).ok()?)?;
    Some((BlockKey { file: number, block: u32::try_from(block).ok()? }, *crc))
}

fn length_of(file: &HeadFile, block: u64) -> u64 {
    file.bytes.saturating_sub(block * BLOCK_BYTES).min(BLOCK_BYTES)
}

/// Adds what a block has of a range.
fn append(bytes: &mut Vec<u8>, block: u64, found: &[u8], range: &Range<u64>) {
    let at = block * BLOCK_BYTES;
    let within = |place: u64| usize::try_from(place.saturating_sub(at)).unwrap_or(usize::MAX).min(found.len());
    bytes.extend_from_slice(found.get(within(range.start)..within(range.end)).unwrap_or_default());
}

/// The split, for tantivy.
#[derive(Clone, Debug)]
pub(super) struct ColdDirectory(pub(super) Arc<ColdSplit>);

#[derive(Debug)]
struct ColdFile {
    split: Arc<ColdSplit>,
    place: usize,
    number: u64,
    bytes: usize,
}

impl HasLen for ColdFile {
    fn len(&self) -> usize {
        self.bytes
    }
}

impl FileHandle for ColdFile {
    fn read_bytes(&self, range: Range<usize>) -> io::Result<OwnedBytes> {
        let file = self.split.head.at(self.place).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        self.split.read(file, self.number, range.start as u64..range.end as u64)
    }
}

impl Directory for ColdDirectory {
    fn get_file_handle(&self, path: &Path) -> Result<Arc<dyn FileHandle>, OpenReadError> {
        let (place, file) = self.0.head.file(path).ok_or_else(|| OpenReadError::FileDoesNotExist(path.to_owned()))?;
        let bytes = usize::try_from(file.bytes).unwrap_or(usize::MAX);
        let number = file_number(&self.0.key, &file.name);
        Ok(Arc::new(ColdFile { split: self.0.clone(), place, number, bytes }))
    }

    fn atomic_read(&self, path: &Path) -> Result<Vec<u8>, OpenReadError> {
        let file = self.get_file_handle(path)?;
        let read = file.read_bytes(0..file.len());
        read.map(|bytes| bytes.to_vec()).map_err(|error| OpenReadError::wrap_io_error(error, path.to_owned()))
    }

    fn exists(&self, path: &Path) -> Result<bool, OpenReadError> {
        Ok(self.0.head.file(path).is_some())
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
