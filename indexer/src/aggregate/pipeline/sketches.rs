//! `cumulative_cardinality` and `moving_percentiles`: they go on with the sketches of a metric, not with its number.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::path::Path;
use super::stage::Pipeline;
use crate::aggregate::distinct::Distinct;
use crate::aggregate::format::Format;
use crate::aggregate::metric::percentiles::shown as percentile_values;
use crate::aggregate::partial::Partial;
use crate::aggregate::quantiles::Quantiles;
use crate::aggregate::read;
use crate::aggregate::shown::Row;
use crate::query::error::EsError;
use crate::query::limits::BUCKETS_MAX;
use crate::query::strict::Members;

/// The metric of the bucket itself that is read.
fn metric_path(members: &mut Members) -> Result<Path, EsError> {
    let text = members.string("buckets_path")?;
    let path = Path::read(&text.ok_or_else(|| EsError::parsing(format!("{} needs [buckets_path]", members.what())))?)?;
    if path.only_name().is_none() {
        let reason = format!("{} needs the name of a metric beside it in [buckets_path], not [{path}]", members.what());
        return Err(EsError::argument(reason));
    }
    Ok(path)
}

fn kept<'a>(row: &'a Row, path: &Path) -> Option<&'a Partial> {
    row.kept.iter().find(|(name, _)| Some(name.as_str()) == path.only_name()).map(|(_, partial)| partial)
}

fn wrong_metric(path: &Path, needed: &str) -> EsError {
    let reason = format!("buckets_path must reference a {needed} aggregation, got something else at [{path}]");
    EsError::new(400, "aggregation_execution_exception", reason)
}

#[derive(Debug)]
pub(super) struct CumulativeCardinality {
    path: Path,
    format: Option<Format>,
}

impl CumulativeCardinality {
    pub(super) fn read(mut members: Members) -> Result<Arc<dyn Pipeline>, EsError> {
        let found = Self { path: metric_path(&mut members)?, format: read::format(&mut members)? };
        members.end()?;
        Ok(Arc::new(found))
    }
}

impl Pipeline for CumulativeCardinality {
    fn name(&self) -> &'static str {
        "cumulative_cardinality"
    }

    fn typed(&self) -> &'static str {
        "simple_long_value"
    }

    fn path(&self) -> Option<&Path> {
        Some(&self.path)
    }

    fn keeps(&self) -> Option<&str> {
        self.path.only_name()
    }

    fn over(&self, name: &str, rows: &mut Vec<Row>) -> Result<(), EsError> {
        let mut all = Distinct::default();
        for row in rows {
            match kept(row, &self.path) {
                Some(Partial::Distinct(distinct)) => all.merge(distinct.clone()),
                Some(_) => return Err(wrong_metric(&self.path, "cardinality")),
                // An empty bucket.
                None => {}
            }
            let count = all.count();
            let mut members = Map::new();
            members.insert("value".to_owned(), count.into());
            if let Some(format) = &self.format {
                members.insert("value_as_string".to_owned(), format.number(count as f64).into());
            }
            row.members.insert(name.to_owned(), members.into());
        }
        Ok(())
    }
}

#[derive(Debug)]
pub(super) struct MovingPercentiles {
    path: Path,
    window: usize,
    shift: i64,
}

impl MovingPercentiles {
    pub(super) fn read(mut members: Members) -> Result<Arc<dyn Pipeline>, EsError> {
        let window = read::size(&mut members, "window", 0, BUCKETS_MAX)?;
        if window == 0 {
            return Err(EsError::argument("[moving_percentiles] needs [window]: a positive, non-zero integer"));
        }
        let found =
            Self { path: metric_path(&mut members)?, window, shift: members.whole("shift")?.unwrap_or_default() };
        members.end()?;
        Ok(Arc::new(found))
    }
}

/// The places of a window that ends before a bucket, moved by `shift`.
pub(super) fn window(place: usize, width: usize, shift: i64, length: usize) -> std::ops::Range<usize> {
    let clamp = |at: i64| usize::try_from(at).unwrap_or(0).min(length);
    let (place, width) = (i64::try_from(place).unwrap_or(i64::MAX), i64::try_from(width).unwrap_or(i64::MAX));
    let end = place.saturating_add(shift);
    clamp(end.saturating_sub(width))..clamp(end)
}

impl Pipeline for MovingPercentiles {
    fn name(&self) -> &'static str {
        "moving_percentiles"
    }

    fn typed(&self) -> &'static str {
        "tdigest_percentiles"
    }

    fn path(&self) -> Option<&Path> {
        Some(&self.path)
    }

    fn keeps(&self) -> Option<&str> {
        self.path.only_name()
    }

    fn over(&self, name: &str, rows: &mut Vec<Row>) -> Result<(), EsError> {
        let mut sketches = Vec::with_capacity(rows.len());
        for row in rows.iter() {
            sketches.push(match kept(row, &self.path) {
                Some(Partial::Quantiles(quantiles)) => quantiles.clone(),
                Some(_) => return Err(wrong_metric(&self.path, "percentiles")),
                None => Quantiles::default(),
            });
        }
        let length = sketches.len();
        for (place, row) in rows.iter_mut().enumerate() {
            let within = window(place, self.window, self.shift, length);
            if within.is_empty() {
                continue;
            }
            let mut merged = Quantiles::default();
            sketches.get(within).unwrap_or_default().iter().for_each(|sketch| merged.merge(sketch.clone()));
            // The percentiles, and how they are listed, are those of the metric.
            let shown = self.path.only_name().and_then(|metric| row.members.get(metric)?.get("values"));
            let keyed = matches!(shown, Some(Value::Object(_)));
            let percents = percents_of(shown);
            let sorted = merged.sorted();
            let members = percentile_values(&percents, |percent| sorted.percentile(percent), keyed, |_| None);
            row.members.insert(name.to_owned(), members.into());
        }
        Ok(())
    }
}

fn percents_of(values: Option<&Value>) -> Vec<f64> {
    match values {
        Some(Value::Object(values)) => values.keys().filter_map(|key| key.parse().ok()).collect(),
        Some(Value::Array(values)) => values.iter().filter_map(|item| item.get("key")?.as_f64()).collect(),
        _ => Vec::new(),
    }
}
