//! How far a partition was compacted: a small file beside its segments. Without it the next round reads more.

use std::fs;
use std::io;
use std::path::Path;

use bytes::{Buf, BufMut};

use crate::disk::{Disk, replace};

const FILE: &str = "compacted";
const MAGIC: &[u8; 8] = b"LMBUSCPT";
const VERSION: u32 = 1;

fn encode(end: i64) -> Vec<u8> {
    let mut out = Vec::with_capacity(24);
    out.put_slice(MAGIC);
    out.put_u32(VERSION);
    out.put_i64(end);
    out.put_u32(crc32c::crc32c(&out));
    out
}

fn decode(bytes: &[u8]) -> Option<i64> {
    let (covered, mut crc) = bytes.split_at_checked(bytes.len().checked_sub(4)?)?;
    let mut fields = covered.strip_prefix(MAGIC)?;
    let known = crc.try_get_u32() == Ok(crc32c::crc32c(covered)) && fields.try_get_u32() == Ok(VERSION);
    let end = fields.try_get_i64().ok()?;
    (known && fields.is_empty()).then_some(end)
}

/// The offset before which all was compacted once.
pub(crate) fn read(dir: &Path) -> i64 {
    fs::read(dir.join(FILE)).ok().and_then(|bytes| decode(&bytes)).unwrap_or(0)
}

pub(crate) fn write(disk: &dyn Disk, dir: &Path, end: i64) -> io::Result<()> {
    replace(disk, &dir.join(FILE), &encode(end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::System;

    #[test]
    fn round_trips_and_damage_is_nothing() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read(dir.path()), 0);
        write(&System, dir.path(), 1 << 40).unwrap();
        assert_eq!(read(dir.path()), 1 << 40);
        let bytes = encode(77);
        assert!((0..bytes.len()).all(|cut| decode(&bytes[..cut]).is_none()));
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(&damaged), None);
        }
    }
}
