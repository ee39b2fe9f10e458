//! `missing`: documents without a value in a field.

use std::sync::Arc;

use tantivy::DocId;

use super::slots::{no_slots, slots};
use crate::aggregate::aggregator::{Aggregation, Aggregator, Holds};
use crate::aggregate::buckets::Buckets;
use crate::aggregate::collect::{Collect, Opened, Place, Siblings};
use crate::aggregate::partial::Partial;
use crate::aggregate::read;
use crate::aggregate::shown::{self, Answer, Shown};
use crate::query::columns::Values;
use crate::query::error::EsError;
use crate::query::strict::Members;

#[derive(Debug)]
pub(super) struct Missing {
    field: String,
    /// A stand-in leaves no document without a value.
    has_stand_in: bool,
}

impl Missing {
    pub(super) fn read(mut members: Members) -> Result<Arc<dyn Aggregator>, EsError> {
        let found = Self { field: read::field(&mut members)?, has_stand_in: members.take("missing").is_some() };
        members.end()?;
        Ok(Arc::new(found))
    }
}

impl Aggregator for Missing {
    fn name(&self) -> &'static str {
        "missing"
    }

    fn holds(&self) -> Holds {
        Holds::One
    }

    fn open<'a>(&'a self, place: Place<'a>, children: Siblings<'a>) -> Opened<'a> {
        let values = Values::open(place.part, place.target.mapping, &self.field)?;
        let buckets = Buckets::new(children, place.allowance);
        Ok(Box::new(MissingCollector { values, has_stand_in: self.has_stand_in, buckets }))
    }

    fn empty(&self) -> Partial {
        no_slots(1)
    }

    fn show(&self, children: &[Aggregation], partial: Partial, shown: &mut Shown) -> Result<Answer, EsError> {
        shown.only(children, shown::slots(partial, 1).pop().unwrap_or_default())
    }
}

struct MissingCollector<'a> {
    values: Values,
    has_stand_in: bool,
    buckets: Buckets<'a>,
}

impl Collect for MissingCollector<'_> {
    fn collect(&mut self, docs: &[DocId], owners: &[u32]) -> Result<(), EsError> {
        for (doc, owner) in docs.iter().zip(owners) {
            let has_value = self.has_stand_in
                || match &self.values {
                    Values::Numbers(column, _) => column.first(*doc).is_some(),
                    Values::Strings(column) => column.ords().first(*doc).is_some(),
                    Values::Constant(_) => true,
                    Values::Nothing => false,
                };
            if !has_value {
                self.buckets.add(*doc, *owner, 0)?;
            }
        }
        self.buckets.flush()
    }

    fn finish(self: Box<Self>, owners: usize) -> Result<Vec<Partial>, EsError> {
        slots(self.buckets, owners, 1)
    }
}
