//! Numbers the buckets of one part and counts into them: (owner, key) to a number counted from 0, which is the owner
//! of the aggregations below.

use tantivy::DocId;

use super::collect::Siblings;
use super::mix::MixMap;
use super::partial::{Bucket, Partial};
use crate::query::error::EsError;
use crate::query::limits::Allowance;

/// The keys of the only owner below this are looked up in a table instead of a map: 4 MB at most.
const TABLE_MAX: u64 = 1 << 20;
const NONE: u32 = u32::MAX;

/// The buckets of one aggregation in one part.
pub(super) struct Buckets<'a> {
    table: Vec<u32>,
    map: MixMap<(u32, u64), u32>,
    last: Option<((u32, u64), u32)>,
    /// Owner, key and count of each bucket.
    found: Vec<(u32, u64, u64)>,
    children: Siblings<'a>,
    /// What the children are still to be told.
    docs: Vec<DocId>,
    owners: Vec<u32>,
    allowance: &'a Allowance,
}

impl<'a> Buckets<'a> {
    pub(super) fn new(children: Siblings<'a>, allowance: &'a Allowance) -> Self {
        Self {
            table: Vec::new(),
            map: MixMap::default(),
            last: None,
            found: Vec::new(),
            children,
            docs: Vec::new(),
            owners: Vec::new(),
            allowance,
        }
    }

    /// Counts a document into a bucket.
    #[inline]
    pub(super) fn add(&mut self, doc: DocId, owner: u32, key: u64) -> Result<(), EsError> {
        let bucket = match self.last {
            Some((known, bucket)) if known == (owner, key) => bucket,
            _ => {
                let bucket = self.number(owner, key)?;
                self.last = Some(((owner, key), bucket));
                bucket
            }
        };
        if let Some((_, _, count)) = self.found.get_mut(bucket as usize) {
            *count += 1;
        }
        if !self.children.is_empty() {
            self.docs.push(doc);
            self.owners.push(bucket);
        }
        Ok(())
    }

    /// As [`add`](Self::add), for keys that may be negative and keep their order.
    #[inline]
    pub(super) fn add_signed(&mut self, doc: DocId, owner: u32, key: i64) -> Result<(), EsError> {
        self.add(doc, owner, key.wrapping_sub(i64::MIN) as u64)
    }

    /// Tells the children what was counted since the last time. To be called at the end of each block.
    pub(super) fn flush(&mut self) -> Result<(), EsError> {
        self.children.collect(&self.docs, &self.owners)?;
        self.docs.clear();
        self.owners.clear();
        Ok(())
    }

    fn number(&mut self, owner: u32, key: u64) -> Result<u32, EsError> {
        let new = u32::try_from(self.found.len()).unwrap_or(NONE);
        let slot = if owner == 0 && key < TABLE_MAX {
            let at = key as usize;
            if at >= self.table.len() {
                self.table.resize((at + 1).next_power_of_two(), NONE);
            }
            self.table.get_mut(at)
        } else {
            Some(self.map.entry((owner, key)).or_insert(NONE))
        };
        let Some(slot) = slot else { return Ok(NONE) };
        if *slot == NONE {
            self.allowance.take_buckets(1)?;
            *slot = new;
            self.found.push((owner, key, 0));
        }
        Ok(*slot)
    }

    /// As [`finish`](Self::finish), where keys were signed.
    pub(super) fn finish_signed(self, owners: usize) -> Result<Vec<Vec<(i64, Bucket)>>, EsError> {
        let signed = |(key, bucket): (u64, Bucket)| ((key as i64).wrapping_add(i64::MIN), bucket);
        Ok(self.finish(owners)?.into_iter().map(|row| row.into_iter().map(signed).collect()).collect())
    }

    /// The buckets of each owner as series, where keys were signed.
    pub(super) fn finish_series(self, owners: usize) -> Result<Vec<Partial>, EsError> {
        let rows = self.finish_signed(owners)?;
        Ok(rows.into_iter().map(|row| Partial::Series(row.into_iter().collect())).collect())
    }

    /// The buckets of each owner with their keys.
    pub(super) fn finish(self, owners: usize) -> Result<Vec<Vec<(u64, Bucket)>>, EsError> {
        let mut rows: Vec<Vec<(u64, Bucket)>> = (0..owners).map(|_| Vec::new()).collect();
        let mut below: Vec<Vec<Partial>> = self.children.finish(self.found.len())?;
        for (number, (owner, key, count)) in self.found.into_iter().enumerate().rev() {
            let children = if number < below.len() { below.pop().unwrap_or_default() } else { Vec::new() };
            if let Some(row) = rows.get_mut(owner as usize) {
                row.push((key, Bucket { count, children }));
            }
        }
        Ok(rows)
    }
}
