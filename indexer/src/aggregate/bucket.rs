//! Aggregations that sort documents into buckets.

mod adjacency_matrix;
mod auto_date_histogram;
mod composite;
mod date_histogram;
mod filters;
mod global;
mod histogram;
mod missing;
mod multi_terms;
mod range;
mod rare_terms;
mod significant_terms;
mod slots;
mod terms;

use std::sync::Arc;

use serde_json::Value;

use super::aggregator::Aggregator;
use crate::query::error::EsError;
use crate::query::strict::Members;

/// An aggregation of this file's kind, read; `None` when it is not one.
pub(super) fn read(name: &str, body: Value) -> Option<Result<Arc<dyn Aggregator>, EsError>> {
    let members = |body| Members::new(body, format!("[{name}] aggregation"));
    Some(match name {
        // Their bodies are a query, or nothing.
        "filter" => filters::Filter::read(body),
        "terms" => members(body).and_then(terms::Terms::read),
        "rare_terms" => members(body).and_then(rare_terms::RareTerms::read),
        "multi_terms" => members(body).and_then(multi_terms::MultiTerms::read),
        "significant_terms" => members(body).and_then(significant_terms::SignificantTerms::read),
        "date_histogram" => members(body).and_then(date_histogram::DateHistogram::read),
        "auto_date_histogram" => members(body).and_then(auto_date_histogram::AutoDateHistogram::read),
        "histogram" => members(body).and_then(histogram::Histogram::read),
        "range" => members(body).and_then(|members| range::Ranges::read(members, false)),
        "date_range" => members(body).and_then(|members| range::Ranges::read(members, true)),
        "filters" => members(body).and_then(filters::Filters::read),
        "adjacency_matrix" => members(body).and_then(adjacency_matrix::AdjacencyMatrix::read),
        "missing" => members(body).and_then(missing::Missing::read),
        "global" => members(body).and_then(global::Global::read),
        "composite" => members(body).and_then(composite::Composite::read),
        _ => return None,
    })
}
