//! What a search answers, in the shape of Elasticsearch.

use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::sort::SortValue;

/// An answer of `_search`.
#[derive(Debug, Default, Serialize)]
pub(crate) struct SearchResponse {
    #[serde(rename = "_scroll_id", skip_serializing_if = "Option::is_none")]
    pub(crate) scroll_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pit_id: Option<String>,
    pub(crate) took: u64,
    pub(crate) timed_out: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) terminated_early: Option<bool>,
    #[serde(rename = "_shards")]
    pub(crate) shards: Shards,
    pub(crate) hits: Hits,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) aggregations: Option<Value>,
    /// Where the next page of a scroll goes on.
    #[serde(skip)]
    pub(crate) next: Option<Continuation>,
}

/// Where a scroll goes on: after this hit, with what the first page has counted.
#[derive(Clone, Debug)]
pub(crate) struct Continuation {
    /// The whole order of the last hit, the hidden key included.
    pub(crate) after: Vec<SortValue>,
    pub(crate) total: u64,
    pub(crate) max_score: Option<f64>,
}

/// One index is one shard.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Shards {
    pub(crate) total: usize,
    pub(crate) successful: usize,
    pub(crate) skipped: usize,
    pub(crate) failed: usize,
    /// Why they did.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) failures: Vec<ShardFailure>,
}

/// Why something of an index could not be read.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ShardFailure {
    shard: u32,
    pub(crate) index: String,
    node: &'static str,
    pub(crate) reason: FailureReason,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct FailureReason {
    #[serde(rename = "type")]
    kind: &'static str,
    pub(crate) reason: String,
}

impl ShardFailure {
    pub(crate) fn new(index: &str, reason: &str) -> Self {
        let reason = FailureReason { kind: NO_SHARD, reason: reason.to_owned() };
        Self { shard: 0, index: index.to_owned(), node: "logmill", reason }
    }
}

/// The type of an error where something could not be read.
pub(crate) const NO_SHARD: &str = "no_shard_available_action_exception";

impl Shards {
    pub(crate) const fn of(total: usize) -> Self {
        Self { total, successful: total, skipped: 0, failed: 0, failures: Vec::new() }
    }
}

#[derive(Debug, Default, Serialize)]
pub(crate) struct Hits {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) total: Option<Total>,
    pub(crate) max_score: Option<f64>,
    pub(crate) hits: Vec<Hit>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Total {
    pub(crate) value: u64,
    pub(crate) relation: &'static str,
}

#[derive(Debug, Serialize)]
pub(crate) struct Hit {
    #[serde(rename = "_index")]
    pub(crate) index: String,
    #[serde(rename = "_id")]
    pub(crate) id: String,
    /// Fields with values that do not fit them.
    #[serde(rename = "_ignored", skip_serializing_if = "Vec::is_empty")]
    pub(crate) ignored: Vec<String>,
    #[serde(rename = "_version", skip_serializing_if = "Option::is_none")]
    pub(crate) version: Option<u64>,
    #[serde(rename = "_seq_no", skip_serializing_if = "Option::is_none")]
    pub(crate) seq_no: Option<u64>,
    #[serde(rename = "_primary_term", skip_serializing_if = "Option::is_none")]
    pub(crate) primary_term: Option<u64>,
    #[serde(rename = "_score")]
    pub(crate) score: Option<f64>,
    #[serde(rename = "_source", skip_serializing_if = "Option::is_none")]
    pub(crate) source: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fields: Option<Map<String, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) highlight: Option<Map<String, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sort: Option<Vec<Value>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) matched_queries: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) inner_hits: Option<Map<String, Value>>,
}
