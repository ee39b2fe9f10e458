//! The aborted transactions of a segment: those whose marker lies in it, in a file beside it that is there only if
//! there are any. What is lost of it is made anew from the log, never guessed: readers would see aborted records.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bytes::{Buf, BufMut};

use crate::disk::{Disk, replace};

const MAGIC: &[u8; 8] = b"LMBUSABT";
const VERSION: u32 = 1;
const ENTRY_BYTES: usize = 32;
/// So many are kept in memory for the segment that is written, 256 KiB, and are read to answer a fetch; a
/// segment that has more is closed.
pub(crate) const ABORTED_MAX: usize = 8192;

/// A transaction whose records don't count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Aborted {
    pub(crate) producer_id: i64,
    /// Of its first record in the partition.
    pub(crate) first_offset: i64,
    /// Of its marker.
    pub(crate) last_offset: i64,
    /// Before this every transaction had ended by then: a search for those that begin before it can stop.
    pub(crate) decided_end: i64,
}

pub(crate) fn path(dir: &Path, base_offset: i64) -> PathBuf {
    dir.join(format!("{base_offset:020}.aborted"))
}

pub(crate) fn put(out: &mut Vec<u8>, list: &[Aborted]) {
    out.put_u32(list.len() as u32);
    for aborted in list {
        out.put_i64(aborted.producer_id);
        out.put_i64(aborted.first_offset);
        out.put_i64(aborted.last_offset);
        out.put_i64(aborted.decided_end);
    }
}

pub(crate) fn take(bytes: &mut &[u8]) -> Option<Vec<Aborted>> {
    let count = bytes.try_get_u32().ok()? as usize;
    if count > bytes.len() / ENTRY_BYTES {
        return None;
    }
    let mut list = Vec::with_capacity(count);
    for _ in 0..count {
        list.push(Aborted {
            producer_id: bytes.try_get_i64().ok()?,
            first_offset: bytes.try_get_i64().ok()?,
            last_offset: bytes.try_get_i64().ok()?,
            decided_end: bytes.try_get_i64().ok()?,
        });
    }
    Some(list)
}

fn encode(base_offset: i64, list: &[Aborted]) -> Vec<u8> {
    let mut out = Vec::with_capacity(28 + list.len() * ENTRY_BYTES);
    out.put_slice(MAGIC);
    out.put_u32(VERSION);
    out.put_i64(base_offset);
    put(&mut out, list);
    out.put_u32(crc32c::crc32c(&out));
    out
}

fn decode(bytes: &[u8], base_offset: i64) -> Option<Vec<Aborted>> {
    let (covered, mut crc) = bytes.split_at_checked(bytes.len().checked_sub(4)?)?;
    if crc.try_get_u32().ok()? != crc32c::crc32c(covered) {
        return None;
    }
    let mut fields = covered.strip_prefix(MAGIC)?;
    if fields.try_get_u32().ok()? != VERSION || fields.try_get_i64().ok()? != base_offset {
        return None;
    }
    take(&mut fields).filter(|_| fields.is_empty())
}

/// Writes the file of a segment that is closed; without any there is none. Durable on return.
pub(crate) fn write(disk: &dyn Disk, dir: &Path, base_offset: i64, list: &[Aborted]) -> io::Result<()> {
    let path = path(dir, base_offset);
    if list.is_empty() {
        return match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        };
    }
    replace(disk, &path, &encode(base_offset, list))
}

/// Hands the list of a segment that is cut to the last of its pieces: whoever reads from an earlier one comes by it.
pub(crate) fn hand_over(disk: &dyn Disk, dir: &Path, base_offset: i64, to: Option<i64>) -> io::Result<()> {
    let list = match read(dir, base_offset) {
        Ok(list) => list,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    match to {
        Some(to) if to == base_offset => Ok(()),
        Some(to) => write(disk, dir, to, &list).and_then(|()| write(disk, dir, base_offset, &[])),
        None => write(disk, dir, base_offset, &[]),
    }
}

/// Reads the file of a segment that has one.
pub(crate) fn read(dir: &Path, base_offset: i64) -> io::Result<Vec<Aborted>> {
    let damaged = || io::Error::new(io::ErrorKind::InvalidData, "the list of aborted transactions is damaged");
    decode(&fs::read(path(dir, base_offset))?, base_offset).ok_or_else(damaged)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn round_trips_and_refuses_damage(ids in prop::collection::vec(any::<i64>(), 0..4), base: i64) {
            let list: Vec<Aborted> = ids.into_iter().map(|id| Aborted {
                producer_id: id, first_offset: id ^ 1, last_offset: id ^ 2, decided_end: id ^ 3,
            }).collect();
            let bytes = encode(base, &list);
            prop_assert_eq!(decode(&bytes, base), Some(list));
            prop_assert_eq!(decode(&bytes, base ^ 1), None);
            for cut in 0..bytes.len() {
                prop_assert_eq!(decode(&bytes[..cut], base), None);
            }
            for bit in 0..bytes.len() * 8 {
                let mut damaged = bytes.clone();
                damaged[bit / 8] ^= 1 << (bit % 8);
                prop_assert_eq!(decode(&damaged, base), None);
            }
        }
    }
}
