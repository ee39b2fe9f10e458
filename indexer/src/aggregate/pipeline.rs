//! Aggregations over the results of others: what stands in each bucket of the aggregation around (`derivative`,
//! `bucket_script`), and what sums up all buckets of the one beside (`avg_bucket`).

mod bucket_sort;
mod common;
mod expression;
mod moving;
mod path;
pub(super) mod run;
mod scripts;
mod series;
mod siblings;
mod sketches;
pub(super) mod stage;
mod windows;

use std::sync::Arc;

use serde_json::Value;

use crate::query::error::EsError;
use crate::query::strict::Members;
use stage::Pipeline;

/// An aggregation of this file's kind, read; `None` when it is not one.
pub(super) fn read(name: &str, body: Value) -> Option<Result<Arc<dyn Pipeline>, EsError>> {
    let members = |body| Members::new(body, format!("[{name}] aggregation"));
    if let Some(kind) = siblings::Kind::of(name) {
        return Some(members(body).and_then(|members| siblings::OverBuckets::read(kind, members)));
    }
    Some(match name {
        "derivative" => members(body).and_then(series::Derivative::read),
        "cumulative_sum" => members(body).and_then(series::CumulativeSum::read),
        "serial_diff" => members(body).and_then(series::SerialDiff::read),
        "normalize" => members(body).and_then(series::Normalize::read),
        "moving_fn" => members(body).and_then(moving::MovingFn::read),
        "cumulative_cardinality" => members(body).and_then(sketches::CumulativeCardinality::read),
        "moving_percentiles" => members(body).and_then(sketches::MovingPercentiles::read),
        "bucket_script" => members(body).and_then(scripts::BucketScript::read),
        "bucket_selector" => members(body).and_then(scripts::BucketSelector::read),
        "bucket_sort" => members(body).and_then(bucket_sort::BucketSort::read),
        _ => return None,
    })
}
