//! `multi_terms`: a bucket for each combination of several fields' values.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;
use tantivy::DocId;

use super::terms::Sizing;
use crate::aggregate::aggregator::{Aggregation, Aggregator, Holds};
use crate::aggregate::buckets::Buckets;
use crate::aggregate::collect::{Collect, Opened, Place, Siblings};
use crate::aggregate::key::Key;
use crate::aggregate::keys::{KeyColumn, Tuples, each_combination};
use crate::aggregate::partial::{Bucket, Partial, add_keyed};
use crate::aggregate::read;
use crate::aggregate::shown::{Answer, Shown};
use crate::query::error::EsError;
use crate::query::strict::Members;

/// Fields of one aggregation: each multiplies the buckets.
const FIELDS_MAX: usize = 16;

#[derive(Debug)]
pub(super) struct MultiTerms {
    fields: Vec<(String, Option<Value>)>,
    sizing: Sizing,
}

impl MultiTerms {
    pub(super) fn read(mut members: Members) -> Result<Arc<dyn Aggregator>, EsError> {
        members.ignore(&["collect_mode"]);
        let items = match members.required("terms")? {
            Value::Array(items) => items,
            other => return Err(members.wrong("terms", "an array", &other)),
        };
        let mut fields = Vec::new();
        for item in items {
            let mut field = Members::new(item, "[terms] of a [multi_terms] aggregation")?;
            field.ignore(&["value_type"]);
            fields.push((read::field(&mut field)?, field.take("missing")));
            field.end()?;
        }
        if !(2..=FIELDS_MAX).contains(&fields.len()) {
            let reason = format!("[multi_terms] takes between 2 and {FIELDS_MAX} [terms], not {}", fields.len());
            return Err(EsError::argument(reason));
        }
        let mut sizing = Sizing::read(&mut members)?;
        // Combinations that no matching document has are not made up.
        sizing.min_doc_count = sizing.min_doc_count.max(1);
        members.end()?;
        Ok(Arc::new(Self { fields, sizing }))
    }
}

impl Aggregator for MultiTerms {
    fn name(&self) -> &'static str {
        "multi_terms"
    }

    fn holds(&self) -> Holds {
        Holds::Many
    }

    fn open<'a>(&'a self, place: Place<'a>, children: Siblings<'a>) -> Opened<'a> {
        let open = |(field, missing): &(String, Option<Value>)| KeyColumn::open(place, field, missing.as_ref());
        let columns: Vec<KeyColumn> = self.fields.iter().map(open).collect::<Result<_, _>>()?;
        let lists = vec![Vec::new(); columns.len()];
        let buckets = Buckets::new(children, place.allowance);
        Ok(Box::new(TuplesCollector { columns, lists, tuples: Tuples::default(), buckets, place }))
    }

    fn empty(&self) -> Partial {
        Partial::Keyed(HashMap::new())
    }

    fn show(&self, children: &[Aggregation], partial: Partial, shown: &mut Shown) -> Result<Answer, EsError> {
        let Partial::Keyed(buckets) = partial else { return Err(EsError::internal("terms without keys")) };
        self.sizing.show(children, buckets, None, shown)
    }

    fn check(&self, name: &str, _around: &[&'static str], children: &[Aggregation]) -> Result<(), EsError> {
        self.sizing.check(name, children)
    }
}

struct TuplesCollector<'a> {
    columns: Vec<KeyColumn>,
    lists: Vec<Vec<u64>>,
    tuples: Tuples,
    buckets: Buckets<'a>,
    place: Place<'a>,
}

impl Collect for TuplesCollector<'_> {
    fn collect(&mut self, docs: &[DocId], owners: &[u32]) -> Result<(), EsError> {
        for (doc, owner) in docs.iter().zip(owners) {
            for (column, list) in self.columns.iter().zip(&mut self.lists) {
                column.bits(*doc, list);
            }
            let (tuples, buckets) = (&mut self.tuples, &mut self.buckets);
            each_combination(&self.lists, &mut |tuple| buckets.add(*doc, *owner, tuples.number(tuple)))?;
        }
        self.buckets.flush()
    }

    fn finish(self: Box<Self>, owners: usize) -> Result<Vec<Partial>, EsError> {
        let Self { columns, tuples, buckets, place, .. } = *self;
        let rows = buckets.finish(owners)?;
        let at = |at: usize| tuples.all().filter_map(move |tuple| tuple.get(at).copied());
        let lookups: Vec<_> =
            columns.iter().enumerate().map(|(number, column)| column.keys(at(number))).collect::<Result<_, _>>()?;
        let mut partials = Vec::with_capacity(rows.len());
        for row in rows {
            let mut found: HashMap<Key, Bucket> = HashMap::with_capacity(row.len());
            for (number, bucket) in row {
                let tuple = tuples.get(number);
                let keys = lookups.iter().zip(tuple).map(|(lookup, bits)| lookup.key(*bits)).collect();
                add_keyed(&mut found, Key::Many(keys), bucket, place.allowance)?;
            }
            partials.push(Partial::Keyed(found));
        }
        Ok(partials)
    }
}
