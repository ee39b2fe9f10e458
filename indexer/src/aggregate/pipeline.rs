//! Aggregations over the results of others: what stands in each bucket of the aggregation around (`derivative`,
//! `bucket_script`), and what sums up all buckets of the one beside (`avg_bucket`).

mod bucket_sort;
mod expression;
mod moving;
mod path;
mod scripts;
mod series;
mod siblings;
mod sketches;

use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::aggregator::Holds;
use super::format::Format;
use super::partial::Partial;
use super::request::{Aggregation, Kind};
use super::shown::Row;
use crate::query::columns::json_f64;
use crate::query::error::EsError;
use crate::query::strict::Members;
use path::Path;

/// Where a pipeline aggregation may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stands {
    /// In an aggregation with many buckets, each of which it adds to.
    InBuckets,
    /// As `InBuckets`, and the buckets must follow each other.
    InSeries,
    /// Beside the aggregation that it reads.
    Beside,
}

/// A pipeline aggregation as a request asks for it.
pub(super) trait Pipeline: fmt::Debug + Send + Sync {
    /// Its name in requests.
    fn name(&self) -> &'static str;

    /// What stands before its name when `typed_keys` are asked for.
    fn typed(&self) -> &'static str {
        "simple_value"
    }

    fn stands(&self) -> Stands;

    /// What it reads.
    fn paths(&self) -> Vec<&Path>;

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

/// What happens where a bucket has no number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gap {
    Skip,
    Zeros,
    Keep,
}

/// What most of them have.
#[derive(Debug)]
struct Common {
    path: Path,
    gap: Gap,
    format: Option<Format>,
}

impl Common {
    fn read(members: &mut Members) -> Result<Self, EsError> {
        let text = match members.required("buckets_path")? {
            Value::String(text) => text,
            Value::Array(mut items) if items.len() == 1 => match items.pop() {
                Some(Value::String(text)) => text,
                _ => return Err(EsError::parsing(format!("{} needs a path in [buckets_path]", members.what()))),
            },
            other => return Err(members.wrong("buckets_path", "one path", &other)),
        };
        Ok(Self { path: Path::read(&text)?, gap: Gap::read(members)?, format: super::read::format(members)? })
    }

    /// The number of a bucket: `None` where there is nothing at the path, no number where the gap is to be skipped.
    fn number(&self, row: &Map<String, Value>) -> Result<Option<f64>, EsError> {
        self.gap.number(&self.path, row)
    }

    fn paths(&self) -> Vec<&Path> {
        vec![&self.path]
    }
}

impl Gap {
    fn read(members: &mut Members) -> Result<Self, EsError> {
        match members.string("gap_policy")?.as_deref() {
            None | Some("skip") => Ok(Self::Skip),
            Some("insert_zeros") => Ok(Self::Zeros),
            Some("keep_values") => Ok(Self::Keep),
            Some(other) => Err(EsError::argument(format!(
                "Invalid gap policy: [{other}], accepted values: [insert_zeros, skip, keep_values]"
            ))),
        }
    }

    fn number(self, path: &Path, row: &Map<String, Value>) -> Result<Option<f64>, EsError> {
        let Some(number) = path.number(row)? else { return Ok(None) };
        // A count is never missing.
        let is_empty = row.get("doc_count").and_then(Value::as_u64) == Some(0) && !path.is_count();
        if number.is_finite() && !is_empty {
            return Ok(Some(number));
        }
        Ok(Some(match self {
            Self::Skip => f64::NAN,
            Self::Zeros => 0.0,
            Self::Keep if number.is_finite() => number,
            Self::Keep => f64::NAN,
        }))
    }
}

/// `value`, null when it is no number.
fn simple(number: f64, format: Option<&Format>) -> Map<String, Value> {
    let mut members = Map::new();
    members.insert("value".to_owned(), json_f64(number));
    if let Some(format) = format.filter(|_| number.is_finite()) {
        members.insert("value_as_string".to_owned(), format.number(number).into());
    }
    members
}

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

/// Refuses pipeline aggregations that stand where they make no sense or read what is not there. `around` is what the
/// aggregation around holds; there is none at the top.
pub(super) fn check(aggregations: &[Aggregation], around: Option<Holds>) -> Result<(), EsError> {
    let invalid = |reason: String| {
        Err(EsError::new(400, "action_request_validation_exception", format!("Validation Failed: 1: {reason};")))
    };
    for (name, pipeline) in pipelines(aggregations) {
        let kind = pipeline.name();
        let fits = match pipeline.stands() {
            Stands::Beside => true,
            Stands::InBuckets => matches!(around, Some(Holds::Many | Holds::Series)),
            Stands::InSeries => around == Some(Holds::Series),
        };
        if !fits && around.is_none() {
            return invalid(format!("{kind} aggregation [{name}] must be declared inside of another aggregation"));
        }
        if !fits {
            return invalid(format!(
                "{kind} aggregation [{name}] must have a histogram, date_histogram or auto_date_histogram as parent"
            ));
        }
        for path in pipeline.paths() {
            let is_own = pipeline.stands() != Stands::Beside && path.is_of_bucket();
            if !is_own && !aggregations.iter().any(|other| other.name != name && path.starts_with(&other.name)) {
                return invalid(format!("No aggregation found for path [{path}]"));
            }
        }
    }
    in_order(aggregations).map(|_| ())
}

fn pipelines(aggregations: &[Aggregation]) -> impl Iterator<Item = (&str, &dyn Pipeline)> {
    aggregations.iter().filter_map(|aggregation| match &aggregation.kind {
        Kind::Pipeline(pipeline) => Some((aggregation.name.as_str(), pipeline.as_ref())),
        Kind::Collected(_) => None,
    })
}

/// So that each comes after those that it reads.
fn in_order(aggregations: &[Aggregation]) -> Result<Vec<&Aggregation>, EsError> {
    let mut waiting: Vec<&Aggregation> =
        aggregations.iter().filter(|aggregation| matches!(aggregation.kind, Kind::Pipeline(_))).collect();
    let mut ordered = Vec::new();
    while !waiting.is_empty() {
        let names: Vec<&str> = waiting.iter().map(|aggregation| aggregation.name.as_str()).collect();
        let is_ready = |aggregation: &&Aggregation| match &aggregation.kind {
            Kind::Pipeline(pipeline) => {
                !pipeline.paths().iter().any(|path| names.iter().any(|name| path.starts_with(name)))
            }
            Kind::Collected(_) => true,
        };
        let (ready, rest): (Vec<_>, Vec<_>) = waiting.iter().copied().partition(is_ready);
        if ready.is_empty() {
            return Err(EsError::argument(format!("Cyclical dependency found with pipeline aggregator {names:?}")));
        }
        ordered.extend(ready);
        waiting = rest;
    }
    Ok(ordered)
}

/// Runs those that stand in buckets.
pub(super) fn over_rows(children: &[Aggregation], rows: &mut Vec<Row>) -> Result<(), EsError> {
    for aggregation in in_order(children)? {
        let Kind::Pipeline(pipeline) = &aggregation.kind else { continue };
        if pipeline.stands() == Stands::Beside {
            continue;
        }
        pipeline.over(&aggregation.name, rows)?;
        for row in rows.iter_mut() {
            if let Some(Value::Object(members)) = row.members.get_mut(&aggregation.name) {
                *members = aggregation.with_meta(std::mem::take(members));
            }
        }
    }
    Ok(())
}

/// Runs those that stand beside what they read.
pub(super) fn beside(aggregations: &[Aggregation], shown: &mut Map<String, Value>) -> Result<(), EsError> {
    for aggregation in aggregations {
        let Kind::Pipeline(pipeline) = &aggregation.kind else { continue };
        if pipeline.stands() == Stands::Beside {
            let members = aggregation.with_meta(pipeline.beside(shown)?);
            shown.insert(aggregation.name.clone(), Value::Object(members));
        }
    }
    Ok(())
}

/// The results below a bucket that pipeline aggregations need whole.
pub(super) fn kept(children: &[Aggregation], found: &[Partial]) -> Vec<(String, Partial)> {
    let mut kept = Vec::new();
    for wanted in pipelines(children).filter_map(|(_, pipeline)| pipeline.keeps()) {
        let collected = children.iter().filter(|child| child.collected().is_some());
        let partial = collected.zip(found).find(|(child, _)| child.name == wanted).map(|(_, partial)| partial.clone());
        kept.extend(partial.map(|partial| (wanted.to_owned(), partial)));
    }
    kept
}
