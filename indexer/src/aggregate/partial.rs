//! Results on their way: of one part, then of all parts seen so far.

use std::collections::BTreeMap;
use std::collections::HashMap;

use serde_json::Value;

use super::distinct::Distinct;
use super::quantiles::Quantiles;
use crate::query::columns;
use crate::query::error::EsError;
use crate::query::limits::Allowance;

/// The result of one aggregation.
#[derive(Clone, Debug)]
pub(crate) enum Partial {
    Terms(HashMap<Key, Bucket>),
    /// By the bucket's start in milliseconds.
    Times(BTreeMap<i64, Bucket>),
    /// By the bucket's number: start = number × interval + offset.
    Numbers(BTreeMap<i64, Bucket>),
    /// Filters and ranges: as many as were asked for, in that order.
    Slots(Vec<Bucket>),
    Stats(Stats),
    Distinct(Distinct),
    Quantiles(Quantiles),
}

/// A bucket.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bucket {
    pub(super) count: u64,
    pub(super) children: Vec<Partial>,
}

/// The key of a `terms` bucket.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Key {
    Boolean(bool),
    Long(i64),
    Unsigned(u64),
    /// The bits of a float in an order that is the floats' own.
    Double(u64),
    /// Nanoseconds.
    Date(i64),
    Text(String),
}

impl Key {
    pub(super) fn to_json(&self) -> Value {
        use tantivy::columnar::MonotonicallyMappableToU64 as _;
        match self {
            Self::Boolean(flag) => i64::from(*flag).into(),
            Self::Long(number) => (*number).into(),
            Self::Unsigned(number) => (*number).into(),
            Self::Double(bits) => columns::json_f64(f64::from_u64(*bits)),
            Self::Date(nanos) => nanos.div_euclid(1_000_000).into(),
            Self::Text(text) => text.as_str().into(),
        }
    }

    pub(super) fn as_string(&self, format: Option<&str>) -> Option<String> {
        match self {
            Self::Boolean(flag) => Some(flag.to_string()),
            Self::Date(nanos) => Some(columns::format_date(*nanos, format)),
            _ => None,
        }
    }
}

/// Running statistics.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Stats {
    pub(super) count: u64,
    pub(super) sum: f64,
    pub(super) sum_of_squares: f64,
    pub(super) min: f64,
    pub(super) max: f64,
    /// The values are dates in milliseconds.
    pub(super) is_date: bool,
    /// What rounding took from the sum (Kahan).
    pub(super) carry: f64,
}

impl Default for Stats {
    fn default() -> Self {
        Self {
            count: 0,
            sum: 0.0,
            sum_of_squares: 0.0,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
            is_date: false,
            carry: 0.0,
        }
    }
}

impl Stats {
    #[inline]
    pub(super) fn add(&mut self, value: f64) {
        self.count += 1;
        self.add_to_sum(value);
        self.sum_of_squares += value * value;
        self.min = self.min.min(value);
        self.max = self.max.max(value);
    }

    fn add_to_sum(&mut self, value: f64) {
        let corrected = value - self.carry;
        let sum = self.sum + corrected;
        self.carry = (sum - self.sum) - corrected;
        self.sum = sum;
    }

    fn merge(&mut self, other: Self) {
        self.count += other.count;
        self.add_to_sum(other.sum);
        self.sum_of_squares += other.sum_of_squares;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        self.is_date |= other.is_date;
    }
}

/// Adds the results of another part. Both come from the same request, so their shapes agree.
pub(crate) fn merge(known: &mut [Partial], added: Vec<Partial>, allowance: &Allowance) -> Result<(), EsError> {
    for (known, added) in known.iter_mut().zip(added) {
        known.merge(added, allowance)?;
    }
    Ok(())
}

impl Partial {
    fn merge(&mut self, other: Self, allowance: &Allowance) -> Result<(), EsError> {
        match (self, other) {
            (Self::Terms(known), Self::Terms(added)) => {
                for (key, bucket) in added {
                    match known.entry(key) {
                        std::collections::hash_map::Entry::Occupied(mut same) => {
                            same.get_mut().merge(bucket, allowance)?;
                        }
                        std::collections::hash_map::Entry::Vacant(new) => {
                            new.insert(bucket);
                        }
                    }
                }
            }
            (Self::Times(known), Self::Times(added)) | (Self::Numbers(known), Self::Numbers(added)) => {
                for (key, bucket) in added {
                    match known.entry(key) {
                        std::collections::btree_map::Entry::Occupied(mut same) => {
                            same.get_mut().merge(bucket, allowance)?;
                        }
                        std::collections::btree_map::Entry::Vacant(new) => {
                            new.insert(bucket);
                        }
                    }
                }
            }
            (Self::Slots(known), Self::Slots(added)) => {
                for (known, added) in known.iter_mut().zip(added) {
                    known.merge(added, allowance)?;
                }
            }
            (Self::Stats(known), Self::Stats(added)) => known.merge(added),
            (Self::Distinct(known), Self::Distinct(added)) => known.merge(added),
            (Self::Quantiles(known), Self::Quantiles(added)) => known.merge(added),
            _ => return Err(EsError::internal("results of different kinds can't be merged")),
        }
        Ok(())
    }
}

impl Bucket {
    pub(super) fn merge(&mut self, other: Self, allowance: &Allowance) -> Result<(), EsError> {
        // Two have become one.
        allowance.give_back_buckets(1);
        self.count += other.count;
        if self.children.is_empty() {
            self.children = other.children;
            return Ok(());
        }
        merge(&mut self.children, other.children, allowance)
    }
}
