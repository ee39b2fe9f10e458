//! Aggregations: each is collected part by part into plain partial results, which are merged by their keys and shown
//! in Elasticsearch's shapes. Exact, except where a comment says otherwise. One aggregation is one file, from the
//! request's words to the answer.

mod aggregator;
mod bucket;
mod buckets;
mod distinct;
mod format;
mod key;
mod keys;
mod metric;
mod mix;
mod order;
mod partial;
mod pipeline;
mod quantiles;
mod read;
pub(crate) mod request;
mod rounding;
mod shown;
mod stats;

use std::sync::Arc;

use tantivy::DocId;

pub(crate) use partial::{Partial, merge};
pub(crate) use shown::{add_types, render};

use crate::query::compile::Target;
use crate::query::error::EsError;
use crate::query::limits::Allowance;
use crate::store::Part;
use request::Aggregation;

/// Collects one aggregation over one part. A document is collected into an owner: the bucket of the aggregation
/// around it, counted from 0.
trait Collect {
    fn collect(&mut self, docs: &[DocId], owners: &[u32]) -> Result<(), EsError>;

    /// The result of each of the owners 0 to `owners`.
    fn finish(self: Box<Self>, owners: usize) -> Result<Vec<Partial>, EsError>;
}

/// A collector, or why there is none.
type Opened<'a> = Result<Box<dyn Collect + 'a>, EsError>;

/// Where aggregations are collected.
#[derive(Clone, Copy)]
struct Place<'a> {
    part: &'a Arc<Part>,
    target: Target<'a>,
    allowance: &'a Allowance,
}

/// Aggregations side by side.
struct Siblings<'a>(Vec<Box<dyn Collect + 'a>>);

impl<'a> Siblings<'a> {
    fn open(aggregations: &'a [Aggregation], place: Place<'a>) -> Result<Self, EsError> {
        let mut collectors = Vec::new();
        for aggregation in aggregations {
            if let Some(collected) = aggregation.collected() {
                let children = Self::open(&aggregation.children, place)?;
                collectors.push(collected.open(place, children)?);
            }
        }
        Ok(Self(collectors))
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn collect(&mut self, docs: &[DocId], owners: &[u32]) -> Result<(), EsError> {
        if docs.is_empty() {
            return Ok(());
        }
        self.0.iter_mut().try_for_each(|aggregation| aggregation.collect(docs, owners))
    }

    /// For each owner the results of all siblings.
    fn finish(self, owners: usize) -> Result<Vec<Vec<Partial>>, EsError> {
        let mut rows: Vec<Vec<Partial>> = (0..owners).map(|_| Vec::with_capacity(self.0.len())).collect();
        for aggregation in self.0 {
            for (row, partial) in rows.iter_mut().zip(aggregation.finish(owners)?) {
                row.push(partial);
            }
        }
        Ok(rows)
    }
}

/// The aggregations of a request over one part.
pub(crate) struct Collector<'a> {
    siblings: Siblings<'a>,
    owners: Vec<u32>,
}

impl<'a> Collector<'a> {
    pub(crate) fn open(
        aggregations: &'a [Aggregation],
        part: &'a Arc<Part>,
        target: Target<'a>,
        allowance: &'a Allowance,
    ) -> Result<Self, EsError> {
        let siblings = Siblings::open(aggregations, Place { part, target, allowance })?;
        Ok(Self { siblings, owners: Vec::new() })
    }

    pub(crate) fn collect(&mut self, docs: &[DocId]) -> Result<(), EsError> {
        self.owners.resize(docs.len(), 0);
        self.siblings.collect(docs, &self.owners)
    }

    pub(crate) fn finish(self) -> Result<Vec<Partial>, EsError> {
        Ok(self.siblings.finish(1)?.pop().unwrap_or_default())
    }
}

/// Whether an aggregation looks at more than the documents that match, so that no part may be left out.
pub(crate) fn needs_all_parts(aggregations: &[Aggregation]) -> bool {
    aggregations.iter().any(|aggregation| {
        aggregation.collected().is_some_and(aggregator::Aggregator::needs_all_parts)
            || needs_all_parts(&aggregation.children)
    })
}

#[cfg(test)]
mod property;
#[cfg(test)]
mod tests;
