//! Blocks of cold splits on the disk: one file of slots, of which the least recently used is overwritten. It is only a
//! cache: nothing is synced, every block is compared with its checksum when it is read, and what is torn, missing or of
//! another size is fetched again.
//!
//! `cache` = slots of a header (file u64, block u32, bytes u32, crc32c of these, zeros to 32 bytes) and a block, all
//! little-endian.

use std::collections::{BTreeMap, HashMap};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;

/// A quarter of a MiB takes an object store a few milliseconds to send, less than it takes to begin; it is also what a
/// sealed split compresses together. Neighbours are fetched in one request.
pub(crate) const BLOCK_BYTES: u64 = 256 << 10;
const HEADER_BYTES: u64 = 32;
const SLOT_BYTES: u64 = HEADER_BYTES + BLOCK_BYTES;

/// Names a block: the file by a digest of its key, which no other file ever has, and the place in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct BlockKey {
    pub(super) file: u64,
    pub(super) block: u32,
}

/// The open cache.
#[derive(Debug)]
pub(crate) struct BlockCache {
    file: File,
    slots: Mutex<Slots>,
    hits: AtomicU64,
    misses: AtomicU64,
    fetched_bytes: AtomicU64,
    /// It was told that the disk refuses.
    refused: AtomicBool,
}

/// What the cache holds and what was asked of it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CacheTally {
    /// On the disk.
    pub(crate) bytes: u64,
    /// Blocks that were there when they were wanted.
    pub(crate) hits: u64,
    pub(crate) misses: u64,
    /// Read from the object store.
    pub(crate) fetched_bytes: u64,
}

/// Which block is in which slot.
#[derive(Debug, Default)]
struct Slots {
    by_key: HashMap<BlockKey, u32>,
    /// Of each slot that holds a block, the block and when it was used last.
    held: HashMap<u32, (BlockKey, u64)>,
    by_use: BTreeMap<u64, u32>,
    free: Vec<u32>,
    /// Slots from here on were never written.
    end: u32,
    max: u32,
    clock: u64,
}

impl Slots {
    fn used(&mut self, slot: u32) {
        self.clock += 1;
        if let Some((_, when)) = self.held.get_mut(&slot) {
            self.by_use.remove(when);
            *when = self.clock;
            self.by_use.insert(self.clock, slot);
        }
    }

    fn hold(&mut self, slot: u32, key: BlockKey) {
        if let Some(other) = self.by_key.get(&key).copied() {
            // Somebody else was quicker.
            self.release(other);
        }
        self.by_key.insert(key, slot);
        self.held.insert(slot, (key, 0));
        self.used(slot);
    }

    fn release(&mut self, slot: u32) {
        if self.let_go(slot) {
            self.free.push(slot);
        }
    }

    fn let_go(&mut self, slot: u32) -> bool {
        let Some((key, when)) = self.held.remove(&slot) else { return false };
        self.by_use.remove(&when);
        self.by_key.remove(&key);
        true
    }

    /// A slot to write to, which holds nothing.
    fn take(&mut self) -> Option<u32> {
        if let Some(slot) = self.free.pop() {
            return Some(slot);
        }
        if self.end < self.max {
            self.end += 1;
            return Some(self.end - 1);
        }
        let oldest = self.by_use.values().next().copied()?;
        self.let_go(oldest);
        Some(oldest)
    }
}

impl BlockCache {
    /// Opens the cache in a file, or begins one, of at most `bytes_max` on the disk.
    ///
    /// # Errors
    /// When the file can't be opened.
    pub(super) fn open(path: &Path, bytes_max: u64) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        let max = u32::try_from(bytes_max / SLOT_BYTES).unwrap_or(u32::MAX).max(1);
        let written = file.metadata()?.len();
        if written > u64::from(max) * SLOT_BYTES {
            file.set_len(u64::from(max) * SLOT_BYTES)?;
        }
        let end = u32::try_from(written.div_ceil(SLOT_BYTES)).unwrap_or(u32::MAX).min(max);
        let mut slots = Slots { end, max, ..Slots::default() };
        for slot in 0..end {
            let mut header = [0; HEADER_BYTES as usize];
            let read = file.read_exact_at(&mut header, u64::from(slot) * SLOT_BYTES);
            match read.ok().and_then(|()| decode(&header)) {
                Some(key) if !slots.by_key.contains_key(&key) => slots.hold(slot, key),
                _ => slots.free.push(slot),
            }
        }
        Ok(Self {
            file,
            slots: Mutex::new(slots),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
            fetched_bytes: AtomicU64::new(0),
            refused: AtomicBool::new(false),
        })
    }

    /// A block of so many bytes with this checksum, if it is there and whole.
    pub(super) fn get(&self, key: BlockKey, bytes: usize, crc32c: u32) -> Option<Vec<u8>> {
        let slot = {
            let mut slots = self.slots.lock();
            let slot = slots.by_key.get(&key).copied();
            if let Some(slot) = slot {
                slots.used(slot);
            }
            slot
        };
        let read = slot.and_then(|slot| {
            let mut block = vec![0; bytes];
            let at = u64::from(slot) * SLOT_BYTES + HEADER_BYTES;
            // What took the slot meanwhile has another checksum.
            let whole = self.file.read_exact_at(&mut block, at).is_ok() && crc32c::crc32c(&block) == crc32c;
            if !whole {
                let mut slots = self.slots.lock();
                if slots.by_key.get(&key) == Some(&slot) {
                    slots.release(slot);
                }
            }
            whole.then_some(block)
        });
        let counter = if read.is_some() { &self.hits } else { &self.misses };
        counter.fetch_add(1, Ordering::Relaxed);
        read
    }

    /// Keeps a block. That the disk refuses is no matter: it is fetched again then.
    pub(super) fn put(&self, key: BlockKey, block: &[u8]) {
        let Some(slot) = self.slots.lock().take() else { return };
        let mut bytes = encode(key, block.len());
        bytes.extend_from_slice(block);
        let written = self.file.write_all_at(&bytes, u64::from(slot) * SLOT_BYTES);
        let mut slots = self.slots.lock();
        match written {
            Ok(()) => slots.hold(slot, key),
            Err(error) => {
                slots.free.push(slot);
                if !self.refused.swap(true, Ordering::Relaxed) {
                    tracing::warn!(%error, "the disk does not take blocks of cold splits; they are fetched every time");
                }
            }
        }
    }

    /// Drops what there is of some files.
    pub(super) fn forget(&self, files: &[u64]) {
        let mut slots = self.slots.lock();
        let gone: Vec<u32> =
            slots.by_key.iter().filter(|(key, _)| files.contains(&key.file)).map(|(_, slot)| *slot).collect();
        gone.into_iter().for_each(|slot| slots.release(slot));
    }

    /// Whether a block is there, as far as is known.
    pub(super) fn holds(&self, key: BlockKey) -> bool {
        self.slots.lock().by_key.contains_key(&key)
    }

    /// Counts what came from the object store.
    pub(super) fn fetched(&self, bytes: u64) {
        self.fetched_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// What there is and what was asked for.
    pub(crate) fn tally(&self) -> CacheTally {
        let held = self.slots.lock().held.len() as u64;
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        CacheTally {
            bytes: held * SLOT_BYTES,
            hits: count(&self.hits),
            misses: count(&self.misses),
            fetched_bytes: count(&self.fetched_bytes),
        }
    }
}

fn encode(key: BlockKey, bytes: usize) -> Vec<u8> {
    let mut header = Vec::with_capacity(SLOT_BYTES as usize);
    header.extend_from_slice(&key.file.to_le_bytes());
    header.extend_from_slice(&key.block.to_le_bytes());
    header.extend_from_slice(&u32::try_from(bytes).unwrap_or(u32::MAX).to_le_bytes());
    header.extend_from_slice(&crc32c::crc32c(&header).to_le_bytes());
    header.resize(HEADER_BYTES as usize, 0);
    header
}

fn decode(header: &[u8]) -> Option<BlockKey> {
    let (body, rest) = header.split_at_checked(16)?;
    let (crc, _) = rest.split_first_chunk::<4>()?;
    if crc32c::crc32c(body) != u32::from_le_bytes(*crc) {
        return None;
    }
    let (file, rest) = body.split_first_chunk::<8>()?;
    let (block, _) = rest.split_first_chunk::<4>()?;
    Some(BlockKey { file: u64::from_le_bytes(*file), block: u32::from_le_bytes(*block) })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn block(number: u32) -> Vec<u8> {
        (0..1000 + number).map(|place| (place * 7 + number * 13) as u8).collect()
    }

    fn key(number: u32) -> BlockKey {
        BlockKey { file: u64::from(number / 3), block: number % 3 }
    }

    fn get(cache: &BlockCache, number: u32) -> Option<Vec<u8>> {
        let expected = block(number);
        cache.get(key(number), expected.len(), crc32c::crc32c(&expected))
    }

    #[test]
    fn the_least_recently_used_goes_and_a_restart_keeps_the_rest() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cache");
        let cache = BlockCache::open(&path, 4 * SLOT_BYTES).unwrap();
        for number in 0..4 {
            cache.put(key(number), &block(number));
        }
        assert_eq!(get(&cache, 0), Some(block(0)));
        cache.put(key(4), &block(4));
        assert_eq!(get(&cache, 1), None);
        drop(cache);
        assert!(std::fs::metadata(&path).unwrap().len() <= 4 * SLOT_BYTES);
        let cache = BlockCache::open(&path, 4 * SLOT_BYTES).unwrap();
        for number in [0, 2, 3, 4] {
            assert_eq!(get(&cache, number), Some(block(number)), "{number}");
        }
        cache.forget(&[0]);
        assert_eq!((get(&cache, 0), get(&cache, 2), get(&cache, 4)), (None, None, Some(block(4))));
        drop(cache);
        let cache = BlockCache::open(&path, SLOT_BYTES).unwrap();
        assert!(cache.tally().bytes <= SLOT_BYTES);
        assert!(std::fs::metadata(&path).unwrap().len() <= SLOT_BYTES);
    }

    proptest! {
        /// Whatever happens to the file, a block is given out as it was put or not at all.
        #[test]
        fn what_is_damaged_is_never_given_out(
            puts in prop::collection::vec(0u32..12, 1..30),
            harm in prop::collection::vec((0usize..6 * SLOT_BYTES as usize, any::<u8>()), 0..200),
            cut in prop::option::of(0..6 * SLOT_BYTES),
        ) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("cache");
            let cache = BlockCache::open(&path, 6 * SLOT_BYTES).unwrap();
            for number in &puts {
                cache.put(key(*number), &block(*number));
                prop_assert_eq!(get(&cache, *number), Some(block(*number)));
            }
            let file = OpenOptions::new().write(true).open(&path).unwrap();
            for (at, byte) in &harm {
                file.write_all_at(&[*byte], *at as u64).unwrap();
            }
            if let Some(cut) = cut {
                file.set_len(cut).unwrap();
            }
            for cache in [&cache, &BlockCache::open(&path, 6 * SLOT_BYTES).unwrap()] {
                for number in 0..12 {
                    let found = get(cache, number);
                    prop_assert!(found.is_none() || found == Some(block(number)));
                    cache.put(key(number), &block(number));
                    prop_assert_eq!(get(cache, number), Some(block(number)));
                }
            }
        }
    }
}
