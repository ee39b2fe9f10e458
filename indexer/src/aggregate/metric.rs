//! Aggregations that answer with numbers, or with documents.

mod best;
mod boxplot;
mod cardinality;
mod median_absolute_deviation;
pub(super) mod numbers;
pub(super) mod percentiles;
mod rate;
mod sketch;
mod string_stats;
mod top_hits;
mod top_metrics;
mod values;
mod weighted_avg;

use std::sync::Arc;

use serde_json::Value;

use super::aggregator::Aggregator;
use crate::query::error::EsError;
use crate::query::strict::Members;

/// An aggregation of this file's kind, read; `None` when it is not one.
pub(super) fn read(name: &str, body: Value) -> Option<Result<Arc<dyn Aggregator>, EsError>> {
    let members = |body| Members::new(body, format!("[{name}] aggregation"));
    if let Some(kind) = numbers::Kind::of(name) {
        return Some(members(body).and_then(|members| numbers::Numbers::read(kind, members)));
    }
    Some(match name {
        "cardinality" => members(body).and_then(cardinality::Cardinality::read),
        "percentiles" => members(body).and_then(percentiles::Percentiles::read),
        "percentile_ranks" => members(body).and_then(percentiles::PercentileRanks::read),
        "median_absolute_deviation" => members(body).and_then(median_absolute_deviation::MedianAbsoluteDeviation::read),
        "boxplot" => members(body).and_then(boxplot::Boxplot::read),
        "weighted_avg" => members(body).and_then(weighted_avg::WeightedAvg::read),
        "string_stats" => members(body).and_then(string_stats::StringStats::read),
        "rate" => members(body).and_then(rate::Rate::read),
        "top_hits" => members(body).and_then(top_hits::TopHits::read),
        "top_metrics" => members(body).and_then(top_metrics::TopMetrics::read),
        _ => return None,
    })
}
