//! Collecting over one part: what an aggregation is while documents are shown to it.

use std::sync::Arc;

use tantivy::DocId;

use super::partial::Partial;
use crate::query::compile::Target;
use crate::query::error::EsError;
use crate::query::limits::Allowance;
use crate::store::Part;

/// Collects one aggregation over one part. A document is collected into an owner: the bucket of the aggregation
/// around it, counted from 0.
pub(super) trait Collect {
    fn collect(&mut self, docs: &[DocId], owners: &[u32]) -> Result<(), EsError>;

    /// The result of each of the owners 0 to `owners`.
    fn finish(self: Box<Self>, owners: usize) -> Result<Vec<Partial>, EsError>;
}

/// A collector, or why there is none.
pub(super) type Opened<'a> = Result<Box<dyn Collect + 'a>, EsError>;

/// Where aggregations are collected.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) part: &'a Arc<Part>,
    pub(super) target: Target<'a>,
    pub(super) allowance: &'a Allowance,
}

/// Aggregations side by side.
pub(super) struct Siblings<'a>(pub(super) Vec<Box<dyn Collect + 'a>>);

impl Siblings<'_> {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn collect(&mut self, docs: &[DocId], owners: &[u32]) -> Result<(), EsError> {
        if docs.is_empty() {
            return Ok(());
        }
        self.0.iter_mut().try_for_each(|aggregation| aggregation.collect(docs, owners))
    }

    /// For each owner the results of all siblings.
    pub(super) fn finish(self, owners: usize) -> Result<Vec<Vec<Partial>>, EsError> {
        let mut rows: Vec<Vec<Partial>> = (0..owners).map(|_| Vec::with_capacity(self.0.len())).collect();
        for aggregation in self.0 {
            for (row, partial) in rows.iter_mut().zip(aggregation.finish(owners)?) {
                row.push(partial);
            }
        }
        Ok(rows)
    }
}
