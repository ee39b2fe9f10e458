//! Percentiles: exact up to a bound, by a sketch with a relative error of 0.5 % beyond it
//! (DDSketch: Masson, Rim, Lee, VLDB 2019).

use std::collections::BTreeMap;

use super::stats::ValueKind;

/// So many values are kept as they are: 64 KB.
const EXACT_MAX: usize = 8192;
/// (1 + e) / (1 - e) for a relative error e of 0.005.
const GAMMA: f64 = 1.005 / 0.995;
/// Absolute values below this are zero to the sketch.
const LEAST: f64 = 1e-9;

/// A set of numbers that can be asked for its percentiles.
#[derive(Clone, Debug)]
pub(crate) struct Quantiles {
    kept: Kept,
    min: f64,
    max: f64,
    /// What the numbers stand for.
    pub(super) kind: ValueKind,
}

#[derive(Clone, Debug)]
enum Kept {
    Exact(Vec<f64>),
    /// Numbers by the sign and logarithm of their size.
    Sketch(BTreeMap<i32, u64>),
}

impl Default for Quantiles {
    fn default() -> Self {
        Self { kept: Kept::Exact(Vec::new()), min: f64::INFINITY, max: f64::NEG_INFINITY, kind: ValueKind::Number }
    }
}

/// Numbers in order with how often each is there.
pub(super) struct Sorted {
    values: Vec<(f64, u64)>,
    count: u64,
}

impl Quantiles {
    /// Adds a number; whether it takes memory that it did not take before.
    pub(super) fn add(&mut self, value: f64) -> bool {
        self.min = self.min.min(value);
        self.max = self.max.max(value);
        match &mut self.kept {
            Kept::Exact(values) => {
                values.push(value);
                if values.len() > EXACT_MAX {
                    self.sketch();
                }
                true
            }
            Kept::Sketch(bins) => {
                let known = bins.len();
                *bins.entry(bin(value)).or_default() += 1;
                bins.len() > known
            }
        }
    }

    fn sketch(&mut self) {
        if let Kept::Exact(values) = &self.kept {
            let mut bins = BTreeMap::new();
            for value in values {
                *bins.entry(bin(*value)).or_default() += 1;
            }
            self.kept = Kept::Sketch(bins);
        }
    }

    pub(super) fn merge(&mut self, other: Self) {
        if self.kind == ValueKind::Number {
            self.kind = other.kind;
        }
        match other.kept {
            Kept::Exact(values) => values.into_iter().for_each(|value| _ = self.add(value)),
            Kept::Sketch(added) => {
                self.sketch();
                self.min = self.min.min(other.min);
                self.max = self.max.max(other.max);
                if let Kept::Sketch(bins) = &mut self.kept {
                    for (bin, number) in added {
                        *bins.entry(bin).or_default() += number;
                    }
                }
            }
        }
    }

    /// The numbers in order.
    pub(super) fn sorted(&self) -> Sorted {
        let values: Vec<(f64, u64)> = match &self.kept {
            Kept::Exact(values) => {
                let mut values = values.clone();
                values.sort_by(f64::total_cmp);
                values.into_iter().map(|value| (value, 1)).collect()
            }
            // The least and the greatest are known.
            Kept::Sketch(bins) => {
                bins.iter().map(|(bin, number)| (middle(*bin).clamp(self.min, self.max), *number)).collect()
            }
        };
        Sorted { count: values.iter().map(|(_, number)| number).sum(), values }
    }

    /// The value below which so many percent of the values lie; `None` without values.
    pub(super) fn percentile(&self, percent: f64) -> Option<f64> {
        self.sorted().percentile(percent)
    }

    pub(super) fn min(&self) -> f64 {
        self.min
    }

    pub(super) fn max(&self) -> f64 {
        self.max
    }

    /// The median of the distances from the median.
    pub(super) fn median_absolute_deviation(&self) -> Option<f64> {
        let sorted = self.sorted();
        let median = sorted.percentile(50.0)?;
        let mut values: Vec<(f64, u64)> =
            sorted.values.into_iter().map(|(value, number)| ((value - median).abs(), number)).collect();
        values.sort_by(|a, b| a.0.total_cmp(&b.0));
        Sorted { values, count: sorted.count }.percentile(50.0)
    }
}

impl Sorted {
    /// The value below which so many percent of the values lie, interpolated between neighbours.
    pub(super) fn percentile(&self, percent: f64) -> Option<f64> {
        let place = percent / 100.0 * (self.count.checked_sub(1)? as f64);
        let (below, above) = (self.at(place.floor() as u64)?, self.at(place.ceil() as u64)?);
        Some(below + (above - below) * place.fract())
    }

    fn at(&self, place: u64) -> Option<f64> {
        if self.count == self.values.len() as u64 {
            return self.values.get(usize::try_from(place).ok()?).map(|(value, _)| *value);
        }
        let mut seen = 0;
        let found = self.values.iter().find(|(_, number)| {
            seen += number;
            seen > place
        });
        found.map(|(value, _)| *value)
    }

    /// How many percent of the values lie at or below a value: half of what equals it counts, and between two values
    /// the share rises evenly.
    pub(super) fn rank(&self, value: f64) -> Option<f64> {
        let (first, last) = (self.values.first()?.0, self.values.last()?.0);
        if value < first {
            return Some(0.0);
        }
        let below = self.values.partition_point(|(known, _)| *known < value);
        let above = self.values.partition_point(|(known, _)| *known <= value);
        let number = |from: usize, to: usize| -> f64 {
            self.values.get(from..to).unwrap_or_default().iter().map(|(_, number)| *number as f64).sum()
        };
        // The first value counts half wherever the others lie.
        let (less, equal) = match value == first {
            true => (0.5, number(below, above) - 1.0),
            false => (number(0, below) - 0.5, number(below, above)),
        };
        let count = self.count as f64;
        let share = if value >= last {
            count - 0.5 * equal
        } else if equal > 0.0 {
            less + 0.5 * equal
        } else {
            let (before, after) = (self.values.get(above.checked_sub(1)?)?.0, self.values.get(above)?.0);
            less + (value - before) / (after - before)
        };
        Some(share / count * 100.0)
    }

    /// The first value that is at least this, and the last that is at most that.
    pub(super) fn within(&self, least: f64, most: f64) -> Option<(f64, f64)> {
        let first = self.values.iter().find(|(value, _)| *value >= least)?;
        let last = self.values.iter().rev().find(|(value, _)| *value <= most)?;
        Some((first.0, last.0))
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

    fn of(values: &[f64]) -> Quantiles {
        let mut all = Quantiles::default();
        values.iter().for_each(|value| _ = all.add(*value));
        all
    }

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

    #[test]
    fn ranks_and_deviations() {
        let four = of(&[1.0, 2.0, 2.0, 4.0]).sorted();
        for (value, rank) in [(0.0, 0.0), (1.0, 12.5), (1.5, 25.0), (2.0, 37.5), (3.0, 75.0), (4.0, 87.5), (9.0, 100.0)]
        {
            assert_eq!(four.rank(value), Some(rank), "{value}");
        }
        assert_eq!(of(&[]).sorted().rank(1.0), None);
        assert_eq!(of(&[1.0, 1.0, 2.0, 2.0, 4.0, 6.0, 9.0]).median_absolute_deviation(), Some(1.0));
    }
}
