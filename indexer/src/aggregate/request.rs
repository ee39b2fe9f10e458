//! The `aggs` of a search, read strictly.

use serde_json::{Map, Value};

use super::aggregator::{Aggregation, Holds, Kind};
use super::pipeline::{self, run};
use super::{bucket, metric};
use crate::query::error::EsError;
use crate::query::limits::DEPTH_MAX;
use crate::query::strict::Members;

/// Aggregations of one request, at all depths.
const AGGREGATIONS_MAX: usize = 1000;

/// What reading goes along with.
struct Reading {
    /// The names of the aggregations around, outermost first.
    around: Vec<&'static str>,
    count: usize,
}

/// Reads `aggs`.
pub(crate) fn read_all(value: Value) -> Result<Vec<Aggregation>, EsError> {
    let all = read_level(value, &mut Reading { around: Vec::new(), count: 0 })?;
    run::check(&all, None)?;
    Ok(all)
}

fn read_level(value: Value, reading: &mut Reading) -> Result<Vec<Aggregation>, EsError> {
    if reading.around.len() > DEPTH_MAX {
        return Err(EsError::parsing(format!("aggregations are nested more than {DEPTH_MAX} levels deep")));
    }
    let mut members = Members::new(value, "[aggs]")?;
    let mut all = Vec::new();
    while let Some((name, body)) = members.take_one() {
        if name.contains(['[', ']', '>']) || name.is_empty() {
            return Err(EsError::parsing(format!(
                "Invalid aggregation name [{name}]. Aggregation names can contain any character except '[', ']', and '>'"
            )));
        }
        reading.count += 1;
        if reading.count > AGGREGATIONS_MAX {
            return Err(EsError::parsing(format!("a search takes at most {AGGREGATIONS_MAX} aggregations")));
        }
        all.push(read(name, body, reading)?);
    }
    Ok(all)
}

fn read(name: String, body: Value, reading: &mut Reading) -> Result<Aggregation, EsError> {
    let mut members = Members::new(body, format!("the aggregation [{name}]"))?;
    let meta = members.take("meta");
    let nested = members.take("aggs").or_else(|| members.take("aggregations"));
    let Some((kind_name, body)) = members.take_one() else {
        return Err(EsError::parsing(format!("Missing definition for aggregation [{name}]")));
    };
    if let Some((second, _)) = members.take_one() {
        let reason = format!("Found two aggregation type definitions in [{name}]: [{kind_name}] and [{second}]");
        return Err(EsError::parsing(reason));
    }
    let kind = kind(&kind_name, body)?;
    let holds = match &kind {
        Kind::Collected(collected) => collected.holds(),
        Kind::Pipeline(_) => Holds::Nothing,
    };
    let children = match (nested, &kind) {
        (None, _) => Vec::new(),
        (Some(nested), Kind::Collected(collected)) if holds != Holds::Nothing => {
            reading.around.push(collected.name());
            let children = read_level(nested, reading)?;
            reading.around.pop();
            children
        }
        (Some(nested), _) if nested.as_object().is_some_and(Map::is_empty) => Vec::new(),
        _ => {
            let reason = format!("Aggregator [{name}] of type [{kind_name}] cannot accept sub-aggregations");
            return Err(EsError::new(400, "aggregation_initialization_exception", reason));
        }
    };
    if let Kind::Collected(collected) = &kind {
        collected.check(&name, &reading.around, &children)?;
        run::check(&children, Some(holds))?;
    }
    Ok(Aggregation { name, kind, children, meta })
}

fn kind(name: &str, body: Value) -> Result<Kind, EsError> {
    if let Some(read) = bucket::read(name, body.clone()).or_else(|| metric::read(name, body.clone())) {
        return read.map(Kind::Collected);
    }
    if let Some(read) = pipeline::read(name, body) {
        return read.map(Kind::Pipeline);
    }
    Err(EsError::parsing(match refused(name) {
        Some(why) => format!("the aggregation type [{name}] is not supported: {why}"),
        None => format!("Unknown aggregation type [{name}]"),
    }))
}

/// What Elasticsearch has and we have not.
fn refused(name: &str) -> Option<&'static str> {
    Some(match name {
        "nested" | "reverse_nested" | "children" | "parent" => "documents have no inner documents here",
        "geo_bounds" | "geo_centroid" | "geo_distance" | "geo_line" | "geohash_grid" | "geohex_grid"
        | "geotile_grid" | "cartesian_bounds" | "cartesian_centroid" => "there are no geographic fields",
        "scripted_metric" => "scripts are not run",
        "inference" => "there are no trained models",
        "significant_text" | "categorize_text" => "use significant_terms or terms on a keyword field",
        "sampler" | "diversified_sampler" | "random_sampler" => "every document counts; narrow the query instead",
        "variable_width_histogram" => "use histogram or percentiles",
        "ip_range" | "ip_prefix" => "use terms or filters with the addresses",
        "matrix_stats" | "t_test" | "bucket_correlation" | "bucket_count_ks_test" | "change_point" => {
            "it was not written"
        }
        "frequent_item_sets" | "time_series" => "it was not written",
        _ => return None,
    })
}
