//! Counts distinct values: exactly up to a bound, by a sketch of 16 KB beyond it (relative error about 0.8 %).
//! The estimator is LogLog-Beta (Qin, Kim, Tung: "LogLog-Beta and More", 2016), with its coefficients for 2^14 registers.

use std::collections::HashSet;
use std::hash::BuildHasherDefault;

use super::mix::Mix;

/// So many hashes are kept as they are: as many as Elasticsearch can be told to count exactly (`precision_threshold`).
const EXACT_MAX: usize = 40_000;
const REGISTER_BITS: u32 = 14;
const REGISTERS: usize = 1 << REGISTER_BITS;

/// A set of hashed values.
#[derive(Clone, Debug)]
pub(crate) enum Distinct {
    Exact(HashSet<u64, BuildHasherDefault<Mix>>),
    Sketch(Box<[u8]>),
}

impl Default for Distinct {
    fn default() -> Self {
        Self::Exact(HashSet::default())
    }
}

impl Distinct {
    /// Adds a well-mixed hash; whether it takes memory that it did not take before.
    pub(super) fn insert(&mut self, hash: u64) -> bool {
        match self {
            Self::Exact(hashes) => {
                let is_new = hashes.insert(hash);
                if hashes.len() > EXACT_MAX {
                    let mut registers = vec![0; REGISTERS].into_boxed_slice();
                    hashes.iter().for_each(|hash| note(&mut registers, *hash));
                    *self = Self::Sketch(registers);
                }
                is_new
            }
            Self::Sketch(registers) => {
                note(registers, hash);
                false
            }
        }
    }

    pub(super) fn merge(&mut self, other: Self) {
        match (&mut *self, other) {
            (_, Self::Exact(hashes)) => hashes.into_iter().for_each(|hash| _ = self.insert(hash)),
            (Self::Sketch(known), Self::Sketch(added)) => {
                for (known, added) in known.iter_mut().zip(added) {
                    *known = (*known).max(added);
                }
            }
            (Self::Exact(hashes), sketch @ Self::Sketch(_)) => {
                let hashes = std::mem::take(hashes);
                *self = sketch;
                hashes.into_iter().for_each(|hash| _ = self.insert(hash));
            }
        }
    }

    pub(super) fn count(&self) -> u64 {
        match self {
            Self::Exact(hashes) => hashes.len() as u64,
            Self::Sketch(registers) => estimate(registers),
        }
    }
}

/// Hashes the bytes of a value; `kind` keeps values of different kinds apart.
pub(super) fn hash_of(kind: u8, bytes: &[u8]) -> u64 {
    use std::hash::Hasher as _;
    // SipHash with fixed keys: the same in every part of one search.
    let mut hasher = std::collections::hash_map::DefaultHasher::new();
    hasher.write_u8(kind);
    hasher.write(bytes);
    hasher.finish()
}

fn note(registers: &mut [u8], hash: u64) {
    let index = (hash >> (64 - REGISTER_BITS)) as usize;
    let rest = hash << REGISTER_BITS | 1 << (REGISTER_BITS - 1);
    let rank = u8::try_from(rest.leading_zeros() + 1).unwrap_or(u8::MAX);
    if let Some(register) = registers.get_mut(index) {
        *register = (*register).max(rank);
    }
}

fn estimate(registers: &[u8]) -> u64 {
    const BETA: [f64; 7] =
        [0.070_471_823, 0.173_936_86, 0.163_398_39, -0.092_377_45, 0.037_380_27, -0.005_384_159, 0.000_424_19];
    let count = REGISTERS as f64;
    let zeros = registers.iter().filter(|register| **register == 0).count() as f64;
    let sum: f64 = registers.iter().map(|register| 0.5_f64.powi(i32::from(*register))).sum();
    let log = (zeros + 1.0).ln();
    let beta = BETA.iter().rev().fold(0.0, |power, factor| (power + factor) * log) - 0.370_393_911 * zeros;
    let alpha = 0.7213 / (1.0 + 1.079 / count);
    (alpha * count * (count - zeros) / (beta + sum)).round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_when_few_and_close_when_many() {
        for number in [0u64, 1, 1000, 40_000, 50_000, 100_000, 1_000_000] {
            let (mut even, mut odd) = (Distinct::default(), Distinct::default());
            for value in 0..number {
                let half = if value % 2 == 0 { &mut even } else { &mut odd };
                half.insert(hash_of(0, &value.to_le_bytes()));
                half.insert(hash_of(0, &(value / 2).to_le_bytes()));
            }
            even.merge(odd);
            let found = even.count();
            let bound = if number <= EXACT_MAX as u64 { 0 } else { number / 40 };
            assert!(found.abs_diff(number) <= bound, "{number}: {found}");
        }
    }
}
