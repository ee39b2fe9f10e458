//! The first documents of each bucket by an order: what `top_hits` and `top_metrics` answer with.

use std::collections::BinaryHeap;

use tantivy::DocId;

use crate::aggregate::Place;
use crate::query::error::EsError;
use crate::query::sort::{self, Key, PartOrder, SortField, SortValue};

/// The first documents of one part, for each owner.
pub(super) struct Best<'a> {
    order: PartOrder,
    keep: usize,
    found: Vec<BinaryHeap<(Key, DocId)>>,
    place: Place<'a>,
}

/// A document with its values in the order, the hidden last one included.
pub(super) type Ranked = (Vec<SortValue>, DocId);

impl<'a> Best<'a> {
    pub(super) fn new(place: Place<'a>, order: &[SortField], keep: usize) -> Result<Self, EsError> {
        let order = PartOrder::open(place.part, place.target.mapping, order)?;
        Ok(Self { order, keep, found: Vec::new(), place })
    }

    pub(super) fn collect(&mut self, docs: &[DocId], owners: &[u32]) -> Result<(), EsError> {
        for (doc, owner) in docs.iter().zip(owners) {
            // No order by score is taken here.
            let key = self.order.key(*doc, 1.0);
            let Some(heap) = super::values::slot(&mut self.found, *owner) else { continue };
            if heap.len() < self.keep {
                self.place.allowance.take_buckets(1)?;
                heap.push((key, *doc));
            } else if let Some(mut last) = heap.peek_mut()
                && key < last.0
            {
                *last = (key, *doc);
            }
        }
        Ok(())
    }

    pub(super) fn finish(mut self, owners: usize) -> Result<Vec<Vec<Ranked>>, EsError> {
        self.found.resize_with(owners, BinaryHeap::new);
        let ranked = |heap: BinaryHeap<(Key, DocId)>| {
            let sorted = heap.into_sorted_vec().into_iter();
            sorted.map(|(key, doc)| Ok((self.order.values(&key)?, doc))).collect::<Result<Vec<Ranked>, EsError>>()
        };
        std::mem::take(&mut self.found).into_iter().map(ranked).collect()
    }
}

/// Merges two lists that are in order, and keeps the first.
pub(super) fn merge<T>(
    known: &mut Vec<(Vec<SortValue>, T)>,
    added: Vec<(Vec<SortValue>, T)>,
    order: &[SortField],
    keep: usize,
) {
    known.extend(added);
    known.sort_by(|a, b| sort::order(&a.0, &b.0, order));
    known.truncate(keep);
}
