//! The answer of one aggregation, and what an answer as a whole may cost.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::partial::{Bucket, Partial};
use crate::query::error::EsError;
use crate::query::limits::{BUCKETS_MAX, OWN_BYTES_MAX};

/// An aggregation's answer.
pub(super) enum Answer {
    /// A metric, or a bucket without a key.
    Members(Map<String, Value>),
    /// Buckets in order, beside other members.
    Buckets { members: Map<String, Value>, rows: Vec<Row>, keyed: bool },
}

/// A bucket of an answer.
#[derive(Debug, Default)]
pub(super) struct Row {
    /// Its name where buckets are shown as an object.
    pub(super) name: String,
    pub(super) members: Map<String, Value>,
    /// Results that a pipeline aggregation needs as more than the number that is shown, by their names.
    pub(super) kept: Vec<(String, Partial)>,
}

/// What is around a bucket of time: where it starts and ends, and the months that it takes, if it takes whole ones.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) start_ms: i64,
    pub(super) end_ms: i64,
    pub(super) months: Option<u32>,
}

/// An answer on its way.
#[derive(Default)]
pub(super) struct Shown {
    buckets: usize,
    source_bytes: usize,
    /// The buckets of time around what is shown, outermost first.
    pub(super) spans: Vec<Span>,
}

impl Shown {
    /// Counts a bucket against what one answer may have.
    pub(super) fn take_bucket(&mut self) -> Result<(), EsError> {
        self.buckets += 1;
        if self.buckets > BUCKETS_MAX { Err(too_many_buckets()) } else { Ok(()) }
    }

    /// Counts the bytes of an event against what one answer may carry.
    pub(super) fn take_source(&mut self, bytes: usize) -> Result<(), EsError> {
        self.source_bytes += bytes;
        if self.source_bytes <= OWN_BYTES_MAX {
            return Ok(());
        }
        let reason = format!(
            "the events of this answer have more than {OWN_BYTES_MAX} bytes; ask for fewer, or for fewer buckets"
        );
        Err(EsError::new(429, "circuit_breaking_exception", reason))
    }
}

pub(super) fn too_many_buckets() -> EsError {
    let reason = format!(
        "Trying to create too many buckets. Must be less than or equal to: [{BUCKETS_MAX}]; \
         use a larger interval, a smaller [size] or a narrower time range"
    );
    EsError::new(400, "too_many_buckets_exception", reason)
}

/// The slots of an answer that has as many as were asked for.
pub(super) fn slots(partial: Partial, number: usize) -> Vec<Bucket> {
    let mut slots = match partial {
        Partial::Slots(slots) => slots,
        _ => Vec::new(),
    };
    slots.resize_with(number, Bucket::default);
    slots
}

/// Adds the empty buckets between the first and the last, and out to the bounds.
pub(super) fn fill(
    buckets: &mut BTreeMap<i64, Bucket>,
    bounds: (Option<i64>, Option<i64>),
    next: impl Fn(i64) -> i64,
) -> Result<(), EsError> {
    let least = |a: Option<i64>, b: Option<i64>| a.into_iter().chain(b).min();
    let most = |a: Option<i64>, b: Option<i64>| a.into_iter().chain(b).max();
    let first = least(buckets.keys().next().copied(), bounds.0);
    let last = most(buckets.keys().next_back().copied(), bounds.1);
    let (Some(first), Some(last)) = (first, last) else { return Ok(()) };
    let mut at = first;
    let mut steps = 0;
    while at <= last {
        buckets.entry(at).or_default();
        let after = next(at);
        steps += 1;
        if steps > BUCKETS_MAX {
            return Err(too_many_buckets());
        }
        if after <= at {
            break;
        }
        at = after;
    }
    Ok(())
}
