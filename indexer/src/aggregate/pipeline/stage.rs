//! What an aggregation over the results of others is, whichever it is.

use std::fmt;

use serde_json::{Map, Value};

use super::path::Path;
use crate::aggregate::shown::Row;
use crate::query::error::EsError;

/// Where a pipeline aggregation may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::aggregate) enum Stands {
    /// In an aggregation with many buckets, each of which it adds to.
    InBuckets,
    /// As `InBuckets`, and the buckets must follow each other.
    InSeries,
    /// Beside the aggregation that it reads.
    Beside,
}

/// A pipeline aggregation as a request asks for it.
pub(in crate::aggregate) trait Pipeline: fmt::Debug + Send + Sync {
    /// Its name in requests.
    fn name(&self) -> &'static str;

    /// What stands before its name when `typed_keys` are asked for.
    fn typed(&self) -> &'static str {
        "simple_value"
    }

    fn stands(&self) -> Stands {
        Stands::InSeries
    }

    /// What it reads, where that is one thing.
    fn path(&self) -> Option<&Path> {
        None
    }

    /// All that it reads.
    fn paths(&self) -> Vec<&Path> {
        self.path().into_iter().collect()
    }

    /// The metric whose whole result it needs, not only the number that is shown.
    fn keeps(&self) -> Option<&str> {
        None
    }

    /// Adds to the buckets that it is in, or takes some away.
    fn over(&self, _name: &str, _rows: &mut Vec<Row>) -> Result<(), EsError> {
        Ok(())
    }

    /// The answer of one that stands beside.
    fn beside(&self, _siblings: &Map<String, Value>) -> Result<Map<String, Value>, EsError> {
        Ok(Map::new())
    }
}
