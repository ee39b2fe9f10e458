//! `filter` and `filters`: a bucket for what matches a query.

use std::sync::Arc;

use serde_json::{Map, Value};
use tantivy::DocId;
use tantivy::query::EnableScoring;

use super::slots::{no_slots, slots};
use crate::aggregate::aggregator::{Aggregation, Aggregator, Holds};
use crate::aggregate::buckets::Buckets;
use crate::aggregate::collect::{Collect, Opened, Place, Siblings};
use crate::aggregate::partial::Partial;
use crate::aggregate::shown::{self, Answer, Shown};
use crate::query::clause::Clause;
use crate::query::compile;
use crate::query::error::EsError;
use crate::query::pattern::Bits;
use crate::query::strict::Members;
use crate::schema::schema;

/// Each filter is run over each part.
const FILTERS_MAX: usize = 1024;

#[derive(Debug)]
pub(super) struct Filter(Clause);

#[derive(Debug)]
pub(super) struct Filters {
    filters: Vec<(String, Clause)>,
    /// Named filters have a name, others a place.
    named: bool,
    keyed: bool,
    /// The name of the bucket for what matches none.
    other: Option<String>,
}

impl Filter {
    pub(super) fn read(body: Value) -> Result<Arc<dyn Aggregator>, EsError> {
        Ok(Arc::new(Self(Clause::from_dsl(body)?)))
    }
}

impl Filters {
    pub(super) fn read(mut members: Members) -> Result<Arc<dyn Aggregator>, EsError> {
        let (filters, named) = match members.required("filters")? {
            Value::Array(items) => {
                let read =
                    |(place, item): (usize, Value)| Clause::from_dsl(item).map(|clause| (place.to_string(), clause));
                (items.into_iter().enumerate().map(read).collect::<Result<Vec<_>, _>>()?, false)
            }
            object => (named_filters(object, "[filters]")?, true),
        };
        if filters.is_empty() || filters.len() > FILTERS_MAX {
            let reason =
                format!("[filters] aggregation takes between 1 and {FILTERS_MAX} filters, not {}", filters.len());
            return Err(EsError::argument(reason));
        }
        let wants_other = members.boolean("other_bucket")?;
        let other_key = members.string("other_bucket_key")?;
        let other = match (wants_other, other_key) {
            (Some(false), _) | (None, None) => None,
            (_, key) => Some(key.unwrap_or_else(|| "_other_".to_owned())),
        };
        let keyed = members.boolean("keyed")?.unwrap_or(true) && named;
        members.end()?;
        Ok(Arc::new(Self { filters, named, keyed, other }))
    }
}

/// Filters by their names, in the order of these.
pub(super) fn named_filters(value: Value, what: &str) -> Result<Vec<(String, Clause)>, EsError> {
    let mut named = Members::new(value, what)?;
    let mut filters = Vec::new();
    while let Some((name, item)) = named.take_one() {
        filters.push((name, Clause::from_dsl(item)?));
    }
    filters.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(filters)
}

/// The documents of a part that match.
pub(super) fn matching(clause: &Clause, place: Place<'_>) -> Result<Bits, EsError> {
    let reader = &place.part.reader;
    let query = compile::compile(clause, place.target)?;
    let weight = query.weight(EnableScoring::disabled_from_schema(&schema().0))?;
    let mut bits = Bits::new(reader.max_doc());
    weight.for_each_no_score(reader, &mut |docs| docs.iter().for_each(|doc| bits.insert(*doc)))?;
    Ok(bits)
}

impl Aggregator for Filter {
    fn name(&self) -> &'static str {
        "filter"
    }

    fn holds(&self) -> Holds {
        Holds::One
    }

    fn open<'a>(&'a self, place: Place<'a>, children: Siblings<'a>) -> Opened<'a> {
        let matching = vec![matching(&self.0, place)?];
        Ok(Box::new(FiltersCollector { matching, other: false, buckets: Buckets::new(children, place.allowance) }))
    }

    fn empty(&self) -> Partial {
        no_slots(1)
    }

    fn show(&self, children: &[Aggregation], partial: Partial, shown: &mut Shown) -> Result<Answer, EsError> {
        shown.only(children, shown::slots(partial, 1).pop().unwrap_or_default())
    }
}

impl Aggregator for Filters {
    fn name(&self) -> &'static str {
        "filters"
    }

    fn holds(&self) -> Holds {
        Holds::Many
    }

    fn open<'a>(&'a self, place: Place<'a>, children: Siblings<'a>) -> Opened<'a> {
        let matching = self.filters.iter().map(|(_, clause)| matching(clause, place)).collect::<Result<_, _>>()?;
        let buckets = Buckets::new(children, place.allowance);
        Ok(Box::new(FiltersCollector { matching, other: self.other.is_some(), buckets }))
    }

    fn empty(&self) -> Partial {
        no_slots(self.filters.len() + usize::from(self.other.is_some()))
    }

    fn show(&self, children: &[Aggregation], partial: Partial, shown: &mut Shown) -> Result<Answer, EsError> {
        let names = self.filters.iter().map(|(name, _)| name.clone()).chain(self.other.clone());
        let buckets = shown::slots(partial, self.filters.len() + usize::from(self.other.is_some()));
        let mut rows = Vec::with_capacity(buckets.len());
        for (name, bucket) in names.zip(buckets) {
            let key = (self.named && !self.keyed).then(|| name.clone().into());
            rows.push(shown.row(children, bucket, name, [("key", key)])?);
        }
        Ok(Answer::Buckets { members: Map::new(), rows, keyed: self.keyed })
    }
}

struct FiltersCollector<'a> {
    /// For each filter the documents that match.
    matching: Vec<Bits>,
    /// A last bucket for what matches none.
    other: bool,
    buckets: Buckets<'a>,
}

impl Collect for FiltersCollector<'_> {
    fn collect(&mut self, docs: &[DocId], owners: &[u32]) -> Result<(), EsError> {
        for (doc, owner) in docs.iter().zip(owners) {
            let mut matched = false;
            for (slot, bits) in self.matching.iter().enumerate() {
                if bits.contains(*doc) {
                    matched = true;
                    self.buckets.add(*doc, *owner, slot as u64)?;
                }
            }
            if self.other && !matched {
                self.buckets.add(*doc, *owner, self.matching.len() as u64)?;
            }
        }
        self.buckets.flush()
    }

    fn finish(self: Box<Self>, owners: usize) -> Result<Vec<Partial>, EsError> {
        let number = self.matching.len() + usize::from(self.other);
        slots(self.buckets, owners, number)
    }
}
