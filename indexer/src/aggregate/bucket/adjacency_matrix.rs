//! `adjacency_matrix`: a bucket for each filter and for each two of them together.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Map;
use tantivy::DocId;

use super::filters::{matching, named_filters};
use super::terms::row;
use crate::aggregate::aggregator::{Aggregation, Aggregator, Holds};
use crate::aggregate::buckets::Buckets;
use crate::aggregate::collect::{Collect, Opened, Place, Siblings};
use crate::aggregate::key::Key;
use crate::aggregate::partial::{Bucket, Partial};
use crate::aggregate::shown::{Answer, Shown};
use crate::query::clause::Clause;
use crate::query::error::EsError;
use crate::query::pattern::Bits;
use crate::query::strict::Members;

/// Elasticsearch's own bound: there are about half as many buckets as its square.
const FILTERS_MAX: usize = 100;

#[derive(Debug)]
pub(super) struct AdjacencyMatrix {
    filters: Vec<(String, Clause)>,
    separator: String,
}

impl AdjacencyMatrix {
    pub(super) fn read(mut members: Members) -> Result<Arc<dyn Aggregator>, EsError> {
        let filters = named_filters(members.required("filters")?, "[filters] of an [adjacency_matrix] aggregation")?;
        if filters.len() > FILTERS_MAX {
            let reason = format!(
                "Number of filters is too large, must be less than or equal to: [{FILTERS_MAX}] but was [{}]",
                filters.len()
            );
            return Err(EsError::argument(reason));
        }
        let separator = members.string("separator")?.unwrap_or_else(|| "&".to_owned());
        members.end()?;
        Ok(Arc::new(Self { filters, separator }))
    }

    /// The key of a filter, or of two.
    fn key(&self, bits: u64) -> Key {
        let name = |at: u64| usize::try_from(at).ok().and_then(|at| self.filters.get(at)).map_or("", |(name, _)| name);
        let (one, other) = (bits >> 32, bits & u64::from(u32::MAX));
        if one == other {
            return Key::Text(name(one).to_owned());
        }
        Key::Text(format!("{}{}{}", name(one), self.separator, name(other)))
    }
}

impl Aggregator for AdjacencyMatrix {
    fn name(&self) -> &'static str {
        "adjacency_matrix"
    }

    fn holds(&self) -> Holds {
        Holds::Many
    }

    fn open<'a>(&'a self, place: Place<'a>, children: Siblings<'a>) -> Opened<'a> {
        let matching = self.filters.iter().map(|(_, clause)| matching(clause, place)).collect::<Result<_, _>>()?;
        Ok(Box::new(MatrixCollector { request: self, matching, buckets: Buckets::new(children, place.allowance) }))
    }

    fn empty(&self) -> Partial {
        Partial::Keyed(HashMap::new())
    }

    fn show(&self, children: &[Aggregation], partial: Partial, shown: &mut Shown) -> Result<Answer, EsError> {
        let Partial::Keyed(buckets) = partial else { return Err(EsError::internal("a matrix without keys")) };
        let mut sorted: Vec<(Key, Bucket)> = buckets.into_iter().collect();
        sorted.sort_by(|a, b| a.0.cmp(&b.0));
        let rows = sorted.into_iter().map(|(key, bucket)| row(&key, bucket, None, children, shown));
        Ok(Answer::Buckets { members: Map::new(), rows: rows.collect::<Result<_, _>>()?, keyed: false })
    }
}

struct MatrixCollector<'a> {
    request: &'a AdjacencyMatrix,
    matching: Vec<Bits>,
    buckets: Buckets<'a>,
}

impl Collect for MatrixCollector<'_> {
    fn collect(&mut self, docs: &[DocId], owners: &[u32]) -> Result<(), EsError> {
        let mut matched = Vec::new();
        for (doc, owner) in docs.iter().zip(owners) {
            matched.clear();
            let filters = self.matching.iter().enumerate().filter(|(_, bits)| bits.contains(*doc));
            matched.extend(filters.map(|(place, _)| place as u64));
            for (at, one) in matched.iter().enumerate() {
                for other in matched.iter().skip(at) {
                    self.buckets.add(*doc, *owner, one << 32 | other)?;
                }
            }
        }
        self.buckets.flush()
    }

    fn finish(self: Box<Self>, owners: usize) -> Result<Vec<Partial>, EsError> {
        let rows = self.buckets.finish(owners)?;
        let keyed = |row: Vec<(u64, Bucket)>| {
            Partial::Keyed(row.into_iter().map(|(bits, bucket)| (self.request.key(bits), bucket)).collect())
        };
        Ok(rows.into_iter().map(keyed).collect())
    }
}
