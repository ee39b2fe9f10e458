//! Aggregations: each is collected part by part into plain partial results, which are merged by their keys and shown
//! in Elasticsearch's shapes. Exact, except where a comment says otherwise.

mod buckets;
mod distinct;
mod metric;
mod order;
mod partial;
mod quantiles;
mod render;
pub(crate) mod request;
mod slots;
mod terms;
mod times;

use tantivy::DocId;

pub(crate) use partial::{Partial, merge};
pub(crate) use render::{add_types, render};

use crate::query::compile::Target;
use crate::query::error::EsError;
use crate::query::limits::Allowance;
use crate::store::Part;
use request::{Aggregation, Kind};

/// Collects one aggregation over one part. A document is collected into an owner: the bucket of the aggregation
/// around it, counted from 0.
trait Collect {
    fn collect(&mut self, docs: &[DocId], owners: &[u32]) -> Result<(), EsError>;

    /// The result of each of the owners 0 to `owners`.
    fn finish(self: Box<Self>, owners: usize) -> Result<Vec<Partial>, EsError>;
}

/// Where aggregations are collected.
#[derive(Clone, Copy)]
struct Place<'a> {
    part: &'a Part,
    target: Target<'a>,
    allowance: &'a Allowance,
}

/// Aggregations side by side.
struct Siblings<'a>(Vec<Box<dyn Collect + 'a>>);

impl<'a> Siblings<'a> {
    fn open(aggregations: &'a [Aggregation], place: Place<'a>) -> Result<Self, EsError> {
        aggregations.iter().map(|aggregation| open(aggregation, place)).collect::<Result<_, _>>().map(Self)
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

fn open<'a>(aggregation: &'a Aggregation, place: Place<'a>) -> Result<Box<dyn Collect + 'a>, EsError> {
    let children = Siblings::open(&aggregation.children, place)?;
    Ok(match &aggregation.kind {
        Kind::Terms(terms) => Box::new(terms::TermsCollector::open(terms, place, children)?),
        Kind::DateHistogram(histogram) => Box::new(times::TimesCollector::open(histogram, place, children)?),
        Kind::Histogram(histogram) => Box::new(slots::HistogramCollector::open(histogram, place, children)?),
        Kind::Ranges(ranges) => Box::new(slots::RangesCollector::open(ranges, place, children)?),
        Kind::Filter(filter) => {
            Box::new(slots::FiltersCollector::open(std::iter::once(filter), None, place, children)?)
        }
        Kind::Filters(filters) => {
            let clauses = filters.filters.iter().map(|(_, clause)| clause);
            Box::new(slots::FiltersCollector::open(clauses, filters.other.as_deref(), place, children)?)
        }
        Kind::Missing(field) => Box::new(slots::MissingCollector::open(field, place, children)?),
        Kind::Metric(metric) => metric::open(metric, place)?,
    })
}

/// The aggregations of a request over one part.
pub(crate) struct Collector<'a> {
    siblings: Siblings<'a>,
    owners: Vec<u32>,
}

impl<'a> Collector<'a> {
    pub(crate) fn open(
        aggregations: &'a [Aggregation],
        part: &'a Part,
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

#[cfg(test)]
mod tests;
