//! Aggregations: each is collected part by part into plain partial results, which are merged by their keys and shown
//! in Elasticsearch's shapes. Exact, except where a comment says otherwise. One aggregation is one file, from the
//! request's words to the answer.

pub(crate) mod aggregator;
mod bucket;
mod buckets;
mod collect;
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
mod render;
mod request;
mod rounding;
mod shown;
mod stats;

use std::sync::Arc;

use tantivy::DocId;

pub(crate) use partial::{Partial, merge};
pub(crate) use render::{add_types, render};
pub(crate) use request::read_all;

use crate::query::compile::Target;
use crate::query::error::EsError;
use crate::query::limits::Allowance;
use crate::store::Part;
use aggregator::Aggregation;
use collect::{Place, Siblings};

/// Opens aggregations side by side, those below them first.
fn siblings<'a>(aggregations: &'a [Aggregation], place: Place<'a>) -> Result<Siblings<'a>, EsError> {
    let mut collectors = Vec::new();
    for aggregation in aggregations {
        if let Some(collected) = aggregation.collected() {
            let children = siblings(&aggregation.children, place)?;
            collectors.push(collected.open(place, children)?);
        }
    }
    Ok(Siblings(collectors))
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
        let siblings = siblings(aggregations, Place { part, target, allowance })?;
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
