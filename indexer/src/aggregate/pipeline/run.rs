//! Running pipeline aggregations, each after those that it reads.

use serde_json::{Map, Value};

use super::stage::{Pipeline, Stands};
use crate::aggregate::aggregator::{Aggregation, Holds, Kind};
use crate::aggregate::partial::Partial;
use crate::aggregate::shown::Row;
use crate::query::error::EsError;

/// Refuses pipeline aggregations that stand where they make no sense or read what is not there. `around` is what the
/// aggregation around holds; there is none at the top.
pub(in crate::aggregate) fn check(aggregations: &[Aggregation], around: Option<Holds>) -> Result<(), EsError> {
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
pub(in crate::aggregate) fn over_rows(children: &[Aggregation], rows: &mut Vec<Row>) -> Result<(), EsError> {
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
pub(in crate::aggregate) fn beside(
    aggregations: &[Aggregation],
    shown: &mut Map<String, Value>,
) -> Result<(), EsError> {
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
pub(in crate::aggregate) fn kept(children: &[Aggregation], found: &[Partial]) -> Vec<(String, Partial)> {
    let mut kept = Vec::new();
    for wanted in pipelines(children).filter_map(|(_, pipeline)| pipeline.keeps()) {
        let collected = children.iter().filter(|child| child.collected().is_some());
        let partial = collected.zip(found).find(|(child, _)| child.name == wanted).map(|(_, partial)| partial.clone());
        kept.extend(partial.map(|partial| (wanted.to_owned(), partial)));
    }
    kept
}
