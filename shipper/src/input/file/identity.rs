//! Who a file is: the kernel's name for it, and what its content says.
//!
//! Neither alone proves anything: inode numbers are used again, and headers are alike. A file keeps its identity only
//! where the content before the reading position still is what was read.

use std::fmt;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::time::UNIX_EPOCH;

/// So much of a file's beginning is hashed: enough for a few lines with their times.
pub(crate) const HEAD_BYTES: usize = 1024;
/// So much of the beginning is kept as it is, to look files up by it.
pub(crate) const PREFIX_BYTES: usize = 64;
/// So many bytes before a position are compared: at least one line with its time in nearly every log.
pub(crate) const TAIL_BYTES: usize = 256;

/// A file's identity in the pipeline: random, given once, and the key of its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct FileId(pub(crate) u128);

impl FileId {
    pub(crate) fn random() -> Self {
        Self(rand::random())
    }
}

impl fmt::Display for FileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// What the kernel calls a file: inode and the time of birth, which tells two lives of one inode number apart;
/// device and inode where the filesystem keeps no time of birth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub(crate) struct FileKey {
    /// 0 where the time of birth is known.
    pub(crate) device: u64,
    pub(crate) inode: u64,
    /// Nanoseconds since 1970; 0 where the filesystem does not say.
    pub(crate) born_ns: u64,
}

impl FileKey {
    pub(crate) fn of(meta: &Metadata) -> Self {
        let born = meta.created().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let born_ns = born.and_then(|age| u64::try_from(age.as_nanos()).ok()).unwrap_or(0);
        // Device numbers may change with a reboot; the time of birth tells files apart as well.
        let device = if born_ns == 0 { meta.dev() } else { 0 };
        Self { device, inode: meta.ino(), born_ns }
    }
}

/// Size and time of change: when both are as before, nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Stamp {
    pub(crate) size: u64,
    pub(crate) mtime_ns: i128,
}

impl Stamp {
    pub(crate) fn of(meta: &Metadata) -> Self {
        Self { size: meta.len(), mtime_ns: i128::from(meta.mtime()) * 1_000_000_000 + i128::from(meta.mtime_nsec()) }
    }
}

/// FNV-1a, 64 bits: stable for ever, and fast enough for a kilobyte.
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The beginning of a file: its first bytes, and a hash over up to a kilobyte.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct Head {
    pub(crate) prefix: Box<[u8]>,
    pub(crate) length: u16,
    pub(crate) hash: u64,
}

impl Head {
    pub(crate) fn of(start: &[u8]) -> Self {
        let start = start.get(..HEAD_BYTES).unwrap_or(start);
        let prefix = start.get(..PREFIX_BYTES).unwrap_or(start).into();
        Self { prefix, length: u16::try_from(start.len()).unwrap_or(u16::MAX), hash: hash(start) }
    }

    /// Whether a file that begins with `start` begins with this head.
    pub(crate) fn begins(&self, start: &[u8]) -> bool {
        start.get(..usize::from(self.length)).is_some_and(|same| hash(same) == self.hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inode_number_used_again_is_another_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let mut keys = std::collections::HashSet::new();
        let mut inodes = std::collections::HashSet::new();
        for _ in 0..20 {
            std::fs::write(&path, "x").unwrap();
            let key = FileKey::of(&std::fs::metadata(&path).unwrap());
            inodes.insert(key.inode);
            if key.born_ns == 0 {
                return;
            }
            keys.insert(key);
            std::fs::remove_file(&path).unwrap();
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        assert_eq!(keys.len(), 20, "{inodes:?}");
    }

    #[test]
    fn a_head_needs_all_its_bytes() {
        let head = Head::of(b"some lines\n");
        assert!(head.begins(b"some lines\nmore"));
        assert!(!head.begins(b"some line"));
        assert!(!head.begins(b"some linez\n"));
        assert!(Head::of(b"").begins(b"any"));
    }

    #[test]
    fn the_hash_is_the_published_one() {
        assert_eq!(hash(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(hash(b"foobar"), 0x8594_4171_f739_67e8);
    }
}
