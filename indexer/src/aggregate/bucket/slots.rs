//! Buckets that are known beforehand: as many as a request asks for, in its order.

use crate::aggregate::buckets::Buckets;
use crate::aggregate::partial::{Bucket, Partial};
use crate::query::error::EsError;

/// Turns rows of numbered buckets into as many slots for each owner.
pub(super) fn slots(buckets: Buckets<'_>, owners: usize, number: usize) -> Result<Vec<Partial>, EsError> {
    let rows = buckets.finish(owners)?;
    let row = |row: Vec<(u64, Bucket)>| {
        let mut slots: Vec<Bucket> = (0..number).map(|_| Bucket::default()).collect();
        for (key, bucket) in row {
            if let Some(slot) = usize::try_from(key).ok().and_then(|key| slots.get_mut(key)) {
                *slot = bucket;
            }
        }
        Partial::Slots(slots)
    };
    Ok(rows.into_iter().map(row).collect())
}

/// Empty slots.
pub(super) fn no_slots(number: usize) -> Partial {
    Partial::Slots((0..number).map(|_| Bucket::default()).collect())
}
