//! `global`: every document of the searched indexes, whatever the query says.

use std::sync::Arc;

use tantivy::DocId;

use super::slots::{no_slots, slots};
use crate::aggregate::aggregator::{Aggregation, Aggregator, Holds};
use crate::aggregate::buckets::Buckets;
use crate::aggregate::collect::{Collect, Opened, Place, Siblings};
use crate::aggregate::partial::Partial;
use crate::aggregate::shown::{self, Answer, Shown};
use crate::query::error::EsError;
use crate::query::strict::Members;

/// Documents that are collected at once, and between two looks at the clock.
const BLOCK_DOCS: usize = 4096;

#[derive(Debug)]
pub(super) struct Global;

impl Global {
    pub(super) fn read(members: Members) -> Result<Arc<dyn Aggregator>, EsError> {
        members.end()?;
        Ok(Arc::new(Self))
    }
}

impl Aggregator for Global {
    fn name(&self) -> &'static str {
        "global"
    }

    fn holds(&self) -> Holds {
        Holds::One
    }

    fn open<'a>(&'a self, place: Place<'a>, children: Siblings<'a>) -> Opened<'a> {
        Ok(Box::new(GlobalCollector { place, buckets: Buckets::new(children, place.allowance) }))
    }

    fn empty(&self) -> Partial {
        no_slots(1)
    }

    fn show(&self, children: &[Aggregation], partial: Partial, shown: &mut Shown) -> Result<Answer, EsError> {
        shown.only(children, shown::slots(partial, 1).pop().unwrap_or_default())
    }

    fn check(&self, name: &str, around: &[&'static str], _children: &[Aggregation]) -> Result<(), EsError> {
        if around.is_empty() {
            return Ok(());
        }
        let reason = format!(
            "Aggregation [{name}] cannot have a global aggregation as a sub-aggregation: global aggregations can only be at the top level"
        );
        Err(EsError::new(400, "aggregation_execution_exception", reason))
    }

    fn needs_all_parts(&self) -> bool {
        true
    }
}

struct GlobalCollector<'a> {
    place: Place<'a>,
    buckets: Buckets<'a>,
}

impl Collect for GlobalCollector<'_> {
    /// What matches is of no interest.
    fn collect(&mut self, _: &[DocId], _: &[u32]) -> Result<(), EsError> {
        Ok(())
    }

    fn finish(mut self: Box<Self>, owners: usize) -> Result<Vec<Partial>, EsError> {
        let mut in_block = 0;
        for doc in self.place.part.reader.doc_ids_alive() {
            self.buckets.add(doc, 0, 0)?;
            in_block += 1;
            if in_block == BLOCK_DOCS {
                in_block = 0;
                self.buckets.flush()?;
                if self.place.allowance.stopped().is_some() {
                    break;
                }
            }
        }
        self.buckets.flush()?;
        slots(self.buckets, owners, 1)
    }
}
