//! What an aggregation is, whichever it is, and the tree that a request makes of several.

use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::collect::{Opened, Place, Siblings};
use super::partial::Partial;
use super::pipeline::stage::Pipeline;
use super::shown::{Answer, Shown};
use crate::query::error::EsError;

/// What may be below an aggregation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holds {
    /// Nothing: it is a metric.
    Nothing,
    /// Aggregations over its only bucket.
    One,
    /// Aggregations over each of its buckets.
    Many,
    /// As `Many`; its buckets follow each other at equal distances.
    Series,
}

/// An aggregation as a request asks for it.
pub(super) trait Aggregator: fmt::Debug + Send + Sync {
    /// Its name in requests.
    fn name(&self) -> &'static str;

    fn holds(&self) -> Holds {
        Holds::Nothing
    }

    /// Collects it over a part.
    fn open<'a>(&'a self, place: Place<'a>, children: Siblings<'a>) -> Opened<'a>;

    /// Its result where no part was searched.
    fn empty(&self) -> Partial;

    /// The answer.
    fn show(&self, children: &[Aggregation], partial: Partial, shown: &mut Shown) -> Result<Answer, EsError>;

    /// What stands before its name when `typed_keys` are asked for.
    fn typed(&self, _shown: &Value) -> &'static str {
        self.name()
    }

    /// One of its numbers, for the order of the buckets that it is in; `None` without values.
    fn number(&self, _partial: &Partial, _property: Option<&str>) -> Option<f64> {
        None
    }

    /// Whether buckets can be ordered by the property.
    fn has_number(&self, _property: Option<&str>) -> bool {
        false
    }

    /// Whether it makes sense below these, outermost first, and above its children.
    fn check(&self, _name: &str, _around: &[&'static str], _children: &[Aggregation]) -> Result<(), EsError> {
        Ok(())
    }

    /// Whether it looks at documents that do not match.
    fn needs_all_parts(&self) -> bool {
        false
    }
}

/// One aggregation.
#[derive(Clone, Debug)]
pub(crate) struct Aggregation {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) children: Vec<Aggregation>,
    pub(super) meta: Option<Value>,
}

/// What is aggregated: documents, or the results of other aggregations.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    Collected(Arc<dyn Aggregator>),
    Pipeline(Arc<dyn Pipeline>),
}

impl Aggregation {
    pub(super) fn collected(&self) -> Option<&dyn Aggregator> {
        match &self.kind {
            Kind::Collected(collected) => Some(collected.as_ref()),
            Kind::Pipeline(_) => None,
        }
    }

    pub(super) fn with_meta(&self, mut members: Map<String, Value>) -> Map<String, Value> {
        if let Some(meta) = &self.meta {
            members.insert("meta".to_owned(), meta.clone());
        }
        members
    }
}
