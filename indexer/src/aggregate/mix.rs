//! A cheap hash for integers that are spread well already: a column's values, or other hashes.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// Mixes well-spread integers; what is hashed is a column's values, and memory is bounded by the allowance.
#[derive(Default)]
pub(crate) struct Mix(u64);

impl Hasher for Mix {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(u64::from(number));
    }

    fn write_u64(&mut self, number: u64) {
        // Multiplication by an odd number with well-mixed bits, then folding the high half down.
        let mixed = (self.0.rotate_left(5) ^ number).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.0 = mixed ^ (mixed >> 32);
    }
}

/// A map with the cheap hash.
pub(super) type MixMap<K, V> = HashMap<K, V, BuildHasherDefault<Mix>>;
