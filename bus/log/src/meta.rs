//! The small files that say what a directory is and of which format version: `store` at the top,
//! `meta` in each partition (segments themselves are bare batches, with no room for a version).

use std::fs;
use std::path::Path;

use bytes::{Buf, BufMut};

use crate::disk::{Disk, replace};
use crate::error::LogError;

/// Version of the layout of directories and segments.
const VERSION: u32 = 1;

/// Which of our files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Store,
    Partition,
}

impl Kind {
    fn magic(self) -> &'static [u8; 8] {
        match self {
            Self::Store => b"LMBUSLOG",
            Self::Partition => b"LMBUSPRT",
        }
    }

    pub(crate) fn file(self) -> &'static str {
        match self {
            Self::Store => "store",
            Self::Partition => "meta",
        }
    }
}

/// The file's bytes.
pub(crate) fn encode(kind: Kind) -> Vec<u8> {
    let mut out = Vec::with_capacity(16);
    out.put_slice(kind.magic());
    out.put_u32(VERSION);
    out.put_u32(crc32c::crc32c(&out));
    out
}

fn decode(kind: Kind, bytes: &[u8]) -> Option<u32> {
    let mut fields = bytes.strip_prefix(kind.magic())?;
    let version = fields.try_get_u32().ok()?;
    let crc = crc32c::crc32c(bytes.get(..12)?);
    (fields.try_get_u32() == Ok(crc) && fields.is_empty()).then_some(version)
}

/// Writes the file into `dir`.
pub(crate) fn write(disk: &dyn Disk, dir: &Path, kind: Kind) -> Result<(), LogError> {
    let path = dir.join(kind.file());
    replace(disk, &path, &encode(kind)).map_err(|source| LogError::Io { action: "write", path, source })
}

/// Checks the version of `dir`; false when the file is missing or damaged (the caller then writes it anew,
/// since a directory that holds our segments is ours, and version 1 is the only one so far).
pub(crate) fn check(dir: &Path, kind: Kind) -> Result<bool, LogError> {
    let path = dir.join(kind.file());
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(source) => return Err(LogError::Io { action: "read", path, source }),
    };
    match decode(kind, &bytes) {
        Some(VERSION) => Ok(true),
        Some(found) if found > VERSION => Err(LogError::Version { path, found, known: VERSION }),
        _ => Ok(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::System;

    #[test]
    fn a_newer_version_is_refused_and_damage_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!check(dir.path(), Kind::Store).unwrap());
        write(&System, dir.path(), Kind::Store).unwrap();
        assert!(check(dir.path(), Kind::Store).unwrap());

        let path = dir.path().join(Kind::Store.file());
        let good = fs::read(&path).unwrap();
        for cut in 0..good.len() {
            fs::write(&path, &good[..cut]).unwrap();
            assert!(!check(dir.path(), Kind::Store).unwrap());
        }
        let mut newer = good[..8].to_vec();
        newer.put_u32(VERSION + 1);
        newer.put_u32(crc32c::crc32c(&newer));
        fs::write(&path, &newer).unwrap();
        assert!(matches!(check(dir.path(), Kind::Store), Err(LogError::Version { found: 2, .. })));
    }
}
