//! `rare_terms`: the values that few documents have, the rarest first. Counted exactly, where Elasticsearch estimates.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::terms::{Choices, TermsCollector, row, typed, unified};
use crate::aggregate::aggregator::{Aggregation, Aggregator, Holds};
use crate::aggregate::collect::{Opened, Place, Siblings};
use crate::aggregate::format::Format;
use crate::aggregate::key::Key;
use crate::aggregate::keys::KeyColumn;
use crate::aggregate::partial::{Bucket, Partial};
use crate::aggregate::read;
use crate::aggregate::shown::{Answer, Shown};
use crate::query::error::EsError;
use crate::query::strict::Members;

/// Elasticsearch's own bound.
const MAX_DOC_COUNT_MAX: usize = 100;

#[derive(Debug)]
pub(super) struct RareTerms {
    field: String,
    max_doc_count: u64,
    choice: Choices,
    missing: Option<Value>,
    format: Option<Format>,
}

impl RareTerms {
    pub(super) fn read(mut members: Members) -> Result<Arc<dyn Aggregator>, EsError> {
        // How well to estimate.
        members.ignore(&["precision", "value_type"]);
        let terms = Self {
            field: read::field(&mut members)?,
            max_doc_count: read::size(&mut members, "max_doc_count", 1, MAX_DOC_COUNT_MAX)? as u64,
            choice: Choices::read(&mut members)?,
            missing: members.take("missing"),
            format: read::format(&mut members)?,
        };
        members.end()?;
        Ok(Arc::new(terms))
    }
}

impl Aggregator for RareTerms {
    fn name(&self) -> &'static str {
        "rare_terms"
    }

    fn holds(&self) -> Holds {
        Holds::Many
    }

    fn open<'a>(&'a self, place: Place<'a>, children: Siblings<'a>) -> Opened<'a> {
        let column = KeyColumn::open(place, &self.field, self.missing.as_ref())?;
        column.check_format(self.format.as_ref(), &self.field)?;
        self.choice.check(self.name(), &column)?;
        Ok(Box::new(TermsCollector::new(&self.choice, false, column, place, children)))
    }

    fn empty(&self) -> Partial {
        Partial::Keyed(HashMap::new())
    }

    fn show(&self, children: &[Aggregation], partial: Partial, shown: &mut Shown) -> Result<Answer, EsError> {
        let Partial::Keyed(buckets) = partial else { return Err(EsError::internal("terms without keys")) };
        let mut sorted: Vec<(Key, Bucket)> =
            unified(buckets).into_iter().filter(|(_, bucket)| bucket.count <= self.max_doc_count).collect();
        sorted.sort_by(|a, b| a.1.count.cmp(&b.1.count).then_with(|| a.0.cmp(&b.0)));
        let mut rows = Vec::with_capacity(sorted.len());
        for (key, bucket) in sorted {
            rows.push(row(&key, bucket, self.format.as_ref(), children, shown)?);
        }
        Ok(Answer::Buckets { members: Map::new(), rows, keyed: false })
    }

    fn typed(&self, shown: &Value) -> &'static str {
        typed(shown, ["srareterms", "lrareterms", "lrareterms"])
    }
}
