//! Writing one segment from several, with what stays of them, beside the old ones.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::batch::{self, BatchHeader};
use crate::compact::sift::{Sieve, Sifted, begin_at, filler, has_place};
use crate::disk::Disk;
use crate::index::Index;
use crate::records::cover_up_to;
use crate::scan::{Step, Walk};
use crate::segment::Sealed;

/// Writes are gathered to about this size.
const WRITE_BYTES: usize = 1 << 20;

/// A segment under another name, complete and durable.
pub(crate) struct Fresh {
    pub(crate) path: PathBuf,
    pub(crate) index: Index,
    /// Whether anything is gone.
    pub(crate) changed: bool,
}

/// The segment that comes to be.
struct Output<'a> {
    disk: &'a dyn Disk,
    file: File,
    index: Index,
    /// The last batch, which may have to cover a gap behind it.
    pending: Vec<u8>,
    gathered: Vec<u8>,
    written: u64,
}

impl Output<'_> {
    /// Adds a batch; offsets between it and the one before count as that one's.
    fn add(&mut self, header: &BatchHeader, mut bytes: Vec<u8>) -> io::Result<()> {
        let base_offset = self.index.base_offset();
        if self.pending.is_empty() && header.base_offset > base_offset {
            match begin_at(&bytes, base_offset) {
                Some(moved) => bytes = moved,
                None => self.pending = filler(header, base_offset, header.base_offset - 1)?,
            }
        }
        self.flush_pending(header.base_offset)?;
        self.pending = bytes;
        Ok(())
    }

    /// Hands the last batch on, so that it ends where `next_offset` begins.
    fn flush_pending(&mut self, next_offset: i64) -> io::Result<()> {
        let mut batch = std::mem::take(&mut self.pending);
        if batch.is_empty() {
            return Ok(());
        }
        let broken = || io::Error::new(io::ErrorKind::InvalidData, "a compacted batch is not as it should be");
        let header = BatchHeader::parse_stored(&batch).ok_or_else(broken)?;
        let gap = header.next_offset() < next_offset;
        if gap && has_place(&header) {
            // Readers hold its offsets against those of transactions: it can't be made longer.
            self.hand_on(batch)?;
            batch = filler(&header, header.next_offset(), next_offset - 1)?;
        } else if gap && !cover_up_to(&mut batch, next_offset - 1) {
            return Err(broken());
        }
        self.hand_on(batch)
    }

    fn hand_on(&mut self, mut batch: Vec<u8>) -> io::Result<()> {
        let broken = || io::Error::new(io::ErrorKind::InvalidData, "a compacted batch is not as it should be");
        let header = BatchHeader::parse_stored(&batch).ok_or_else(broken)?;
        self.index.note(&header, self.written + self.gathered.len() as u64);
        self.gathered.append(&mut batch);
        if self.gathered.len() >= WRITE_BYTES { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> io::Result<()> {
        self.disk.write_all_at(&self.file, &self.gathered, self.written)?;
        self.written += self.gathered.len() as u64;
        self.gathered.clear();
        Ok(())
    }
}

/// Puts what stays of `group` into a new file at `path`.
pub(crate) fn rewrite(
    disk: &dyn Disk,
    path: &Path,
    group: &[std::sync::Arc<Sealed>],
    interval_bytes: u32,
    sieve: &Sieve,
) -> io::Result<Fresh> {
    let empty = || io::Error::from(io::ErrorKind::InvalidInput);
    let (first, last) = (group.first().ok_or_else(empty)?, group.last().ok_or_else(empty)?);
    let mut output = Output {
        disk,
        file: File::create(path)?,
        index: Index::new(first.base_offset, interval_bytes),
        pending: Vec::new(),
        gathered: Vec::with_capacity(WRITE_BYTES),
        written: 0,
    };
    let mut changed = group.len() > 1;
    let mut seen = None;
    for segment in group {
        each_batch(segment, |header, bytes| {
            seen.get_or_insert(*header);
            match sieve.sift(header, &bytes)? {
                Sifted::Whole => return output.add(header, bytes),
                Sifted::Less(less) => output.add(header, less)?,
                Sifted::Nothing => {}
            }
            changed = true;
            Ok(())
        })?;
    }
    let nothing_stays = output.pending.is_empty() && output.gathered.is_empty() && output.written == 0;
    if let (true, Some(header)) = (nothing_stays, &seen) {
        // The log must not seem to begin later: who has yet to read these offsets would be told that they are gone.
        output.pending = filler(header, first.base_offset, last.summary.next_offset - 1)?;
    }
    output.flush_pending(last.summary.next_offset)?;
    output.write()?;
    disk.sync(&output.file)?;
    Ok(Fresh { path: path.to_owned(), index: output.index, changed })
}

/// Reads a closed segment batch by batch, checksums and all.
pub(crate) fn each_batch(
    segment: &Sealed,
    mut work: impl FnMut(&BatchHeader, Vec<u8>) -> io::Result<()>,
) -> io::Result<()> {
    let damaged = || io::Error::new(io::ErrorKind::InvalidData, "the segment is damaged");
    let file = File::open(&segment.path)?;
    let mut walk = Walk::new(&file, 0, segment.summary.bytes, Some(segment.base_offset));
    loop {
        match walk.step()? {
            Step::Batch { position, header } => {
                let mut bytes = vec![0; header.size()];
                file.read_exact_at(&mut bytes, position)?;
                if !batch::intact(&header, &bytes) {
                    return Err(damaged());
                }
                work(&header, bytes)?;
            }
            Step::End => return Ok(()),
            Step::Corrupt { .. } => return Err(damaged()),
        }
    }
}
