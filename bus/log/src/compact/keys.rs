//! The last offset of each key, bounded in memory: keys themselves are not kept, only 128 bits that stand for them.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};

/// An entry with its share of the table's slack, at the worst moment (just grown).
const ENTRY_BYTES: usize = 80;

/// Takes a key's hash for its own hash: it is one.
#[derive(Default)]
struct Folded(u64);

impl Hasher for Folded {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u128(&mut self, value: u128) {
        self.0 = value as u64;
    }
}

/// Offsets by key.
pub(crate) struct Keys {
    /// Secret and made anew for each round, so that nobody can make two keys look the same on purpose.
    seeds: [RandomState; 2],
    latest: HashMap<u128, i64, BuildHasherDefault<Folded>>,
    most: usize,
}

impl Keys {
    pub(crate) fn new(bytes_max: usize) -> Self {
        let seeds = [RandomState::new(), RandomState::new()];
        Self { seeds, latest: HashMap::default(), most: (bytes_max / ENTRY_BYTES).max(1) }
    }

    fn hash(&self, key: &[u8]) -> u128 {
        let [one, other] = &self.seeds;
        u128::from(one.hash_one(key)) << 64 | u128::from(other.hash_one(key))
    }

    /// Notes that `key` stands at `offset`, later than all before.
    pub(crate) fn note(&mut self, key: &[u8], offset: i64) {
        self.latest.insert(self.hash(key), offset);
    }

    /// Where the key stood last, as far as it was noted.
    pub(crate) fn latest(&self, key: &[u8]) -> Option<i64> {
        self.latest.get(&self.hash(key)).copied()
    }

    /// Whether no further batch should be noted.
    pub(crate) fn is_full(&self) -> bool {
        self.latest.len() >= self.most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_offset_counts_and_the_size_is_bounded() {
        let mut keys = Keys::new(10 * ENTRY_BYTES);
        for offset in 0..9 {
            keys.note(format!("k{}", offset % 4).as_bytes(), offset);
        }
        assert_eq!((keys.latest(b"k0"), keys.latest(b"k3"), keys.latest(b"k4")), (Some(8), Some(7), None));
        assert!(!keys.is_full());
        (0..10_i64).for_each(|number| keys.note(&number.to_be_bytes(), number));
        assert!(keys.is_full());
    }
}
