//! Results on their way: of one part, then of all parts seen so far.

use std::any::Any;
use std::collections::{BTreeMap, HashMap, btree_map, hash_map};
use std::fmt;

use super::distinct::Distinct;
use super::key::Key;
use super::quantiles::Quantiles;
use super::stats::Stats;
use crate::query::error::EsError;
use crate::query::limits::Allowance;

/// The result of one aggregation.
#[derive(Clone, Debug)]
pub(crate) enum Partial {
    /// By the value.
    Keyed(HashMap<Key, Bucket>),
    /// By the bucket's start in milliseconds, or by its number: start = number × interval + offset.
    Series(BTreeMap<i64, Bucket>),
    /// Filters and ranges: as many as were asked for, in that order.
    Slots(Vec<Bucket>),
    Stats(Stats),
    Distinct(Distinct),
    Quantiles(Quantiles),
    /// What only one aggregation has.
    Other(Box<dyn State>),
}

/// A result of a form that only one aggregation has.
pub(crate) trait State: fmt::Debug + Send + Sync {
    fn merge(&mut self, other: Box<dyn State>, allowance: &Allowance) -> Result<(), EsError>;

    fn copy(&self) -> Box<dyn State>;

    fn into_any(self: Box<Self>) -> Box<dyn Any>;
}

impl Clone for Box<dyn State> {
    fn clone(&self) -> Self {
        self.as_ref().copy()
    }
}

/// Takes a state back as what it is; another state, which can't be, counts as none.
pub(super) fn own<T: Default + 'static>(state: Box<dyn State>) -> T {
    state.into_any().downcast::<T>().map(|state| *state).unwrap_or_default()
}

/// A bucket.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bucket {
    pub(super) count: u64,
    pub(super) children: Vec<Partial>,
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
            (Self::Keyed(known), Self::Keyed(added)) => {
                for (key, bucket) in added {
                    add_keyed(known, key, bucket, allowance)?;
                }
            }
            (Self::Series(known), Self::Series(added)) => {
                for (key, bucket) in added {
                    add_to_series(known, key, bucket, allowance)?;
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
            (Self::Other(known), Self::Other(added)) => known.merge(added, allowance)?,
            _ => return Err(EsError::internal("results of different kinds can't be merged")),
        }
        Ok(())
    }
}

/// Adds a bucket to those that are known.
pub(super) fn add_keyed(
    known: &mut HashMap<Key, Bucket>,
    key: Key,
    bucket: Bucket,
    allowance: &Allowance,
) -> Result<(), EsError> {
    match known.entry(key) {
        hash_map::Entry::Occupied(mut same) => same.get_mut().merge(bucket, allowance),
        hash_map::Entry::Vacant(new) => {
            new.insert(bucket);
            Ok(())
        }
    }
}

/// Adds a bucket to those that are known.
pub(super) fn add_to_series(
    known: &mut BTreeMap<i64, Bucket>,
    key: i64,
    bucket: Bucket,
    allowance: &Allowance,
) -> Result<(), EsError> {
    match known.entry(key) {
        btree_map::Entry::Occupied(mut same) => same.get_mut().merge(bucket, allowance),
        btree_map::Entry::Vacant(new) => {
            new.insert(bucket);
            Ok(())
        }
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
