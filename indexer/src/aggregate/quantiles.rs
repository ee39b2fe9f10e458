//! Percentiles: exact up to a bound, by a sketch with a relative error of 0.5 % beyond it
//! (DDSketch: Masson, Rim, Lee, VLDB 2019).

use std::collections::BTreeMap;

/// So many values are kept as they are: 64 KB.
const EXACT_MAX: usize = 8192;
/// (1 + e) / (1 - e) for a relative error e of 0.005.
const GAMMA: f64 = 1.005 / 0.995;
/// Absolute values below this are zero to the sketch.
const LEAST: f64 = 1e-9;

/// A set of numbers that can be asked for its percentiles.
#[derive(Clone, Debug)]
pub(crate) enum Quantiles {
    Exact(Vec<f64>),
    /// Numbers by the sign and logarithm of their size.
    Sketch {
        bins: BTreeMap<i32, u64>,
        count: u64,
    },
}

impl Default for Quantiles {
    fn default() -> Self {
        Self::Exact(Vec::new())
    }
}

impl Quantiles {
    pub(super) fn add(&mut self, value: f64) {
        match self {
            Self::Exact(values) => {
                values.push(value);
                if values.len() > EXACT_MAX {
                    self.sketch();
                }
            }
            Self::Sketch { bins, count } => {
                *bins.entry(bin(value)).or_default() += 1;
                *count += 1;
            }
        }
    }

    fn sketch(&mut self) {
        if let Self::Exact(values) = self {
            let mut bins = BTreeMap::new();
            for value in values.iter() {
                *bins.entry(bin(*value)).or_default() += 1;
            }
            *self = Self::Sketch { bins, count: values.len() as u64 };
        }
    }

    pub(super) fn merge(&mut self, other: Self) {
        match other {
            Self::Exact(values) => values.into_iter().for_each(|value| self.add(value)),
            Self::Sketch { bins: added, count: more } => {
                self.sketch();
                if let Self::Sketch { bins, count } = self {
                    *count += more;
                    for (bin, number) in added {
                        *bins.entry(bin).or_default() += number;
                    }
                }
            }
        }
    }

    /// The value below which so many percent of the values lie; `None` without values.
    pub(super) fn percentile(&self, percent: f64) -> Option<f64> {
        match self {
            Self::Exact(values) => {
                let mut sorted = values.clone();
                sorted.sort_by(f64::total_cmp);
                let place = percent / 100.0 * (sorted.len().checked_sub(1)? as f64);
                let (below, above) = (sorted.get(place.floor() as usize)?, sorted.get(place.ceil() as usize)?);
                Some(below + (above - below) * place.fract())
            }
            Self::Sketch { bins, count } => {
                let rank = (percent / 100.0 * (count.saturating_sub(1)) as f64).round() as u64;
                let mut seen = 0;
                let found = bins.iter().find(|(_, number)| {
                    seen += **number;
                    seen > rank
                });
                found.map(|(bin, _)| middle(*bin))
            }
        }
    }
}

/// Positive numbers have odd bins above 0 shifted by their logarithm, negative ones the mirror image.
fn bin(value: f64) -> i32 {
    if value.abs() < LEAST {
        return 0;
    }
    // From 1 on, for the least number that is not zero.
    let size = ((value.abs() / LEAST).ln() / GAMMA.ln()).ceil() as i32 + 1;
    if value < 0.0 { -size } else { size }
}

fn middle(bin: i32) -> f64 {
    if bin == 0 {
        return 0.0;
    }
    let upper = LEAST * GAMMA.powi(bin.abs() - 1);
    (2.0 * upper / (1.0 + GAMMA)).copysign(f64::from(bin))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_exact_when_few_and_close_when_many() {
        for number in [1, 100, 100_000] {
            let mut all = Quantiles::default();
            let mut half = Quantiles::default();
            for value in 0..=number {
                if value % 2 == 0 { &mut all } else { &mut half }.add(f64::from(value) - f64::from(number) / 4.0);
            }
            all.merge(half);
            for percent in [0.0, 1.0, 50.0, 99.0, 100.0] {
                let expected = f64::from(number) * (percent / 100.0 - 0.25);
                let found = all.percentile(percent).unwrap();
                let bound = if number < 1000 { 1e-9 } else { expected.abs() * 0.006 + 1.0 };
                assert!((found - expected).abs() <= bound, "{number} {percent}: {found}, not {expected}");
            }
        }
        assert_eq!(Quantiles::default().percentile(50.0), None);
    }
}
