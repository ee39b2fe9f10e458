//! `avg_bucket`, `sum_bucket`, `min_bucket`, `max_bucket`, `stats_bucket`, `extended_stats_bucket`,
//! `percentiles_bucket`: what sums up a number over all buckets of the aggregation beside.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::common::{Common, simple};
use super::path::{Path, bucket_of};
use super::stage::{Pipeline, Stands};
use crate::aggregate::metric::numbers::{extended, shown as shown_stats};
use crate::aggregate::metric::percentiles::{PERCENTS, read_numbers, shown as percentile_values};
use crate::aggregate::stats::Stats;
use crate::query::error::EsError;
use crate::query::strict::Members;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Avg,
    Sum,
    Min,
    Max,
    Stats,
    ExtendedStats,
    Percentiles,
}

impl Kind {
    pub(super) fn of(name: &str) -> Option<Self> {
        Some(match name {
            "avg_bucket" => Self::Avg,
            "sum_bucket" => Self::Sum,
            "min_bucket" => Self::Min,
            "max_bucket" => Self::Max,
            "stats_bucket" => Self::Stats,
            "extended_stats_bucket" => Self::ExtendedStats,
            "percentiles_bucket" => Self::Percentiles,
            _ => return None,
        })
    }
}

#[derive(Debug)]
pub(super) struct OverBuckets {
    kind: Kind,
    common: Common,
    sigma: f64,
    percents: Vec<f64>,
    keyed: bool,
}

impl OverBuckets {
    pub(super) fn read(kind: Kind, mut members: Members) -> Result<Arc<dyn Pipeline>, EsError> {
        let common = Common::read(&mut members)?;
        if common.path.split().is_none() {
            return Err(EsError::argument(format!(
                "Validation Failed: 1: [{}] must lead from an aggregation with many buckets to a number in each: write levels>took or levels>_count;",
                common.path
            )));
        }
        let (mut sigma, mut percents, mut keyed) = (2.0, PERCENTS.to_vec(), true);
        if kind == Kind::ExtendedStats {
            sigma = members.float("sigma")?.unwrap_or(sigma);
        }
        if kind == Kind::Percentiles {
            percents = read_numbers(&mut members, "percents", 0.0..=100.0)?.unwrap_or(percents);
            keyed = members.boolean("keyed")?.unwrap_or(keyed);
        }
        members.end()?;
        Ok(Arc::new(Self { kind, common, sigma, percents, keyed }))
    }

    /// The numbers of the buckets with the names of these; those without a number are passed over.
    fn numbers(&self, siblings: &Map<String, Value>) -> Result<Vec<(String, f64)>, EsError> {
        let mut numbers = Vec::new();
        self.collect(siblings, &self.common.path, &mut numbers)?;
        Ok(numbers)
    }

    fn collect(&self, here: &Map<String, Value>, path: &Path, numbers: &mut Vec<(String, f64)>) -> Result<(), EsError> {
        let Some((first, key, rest)) = path.split() else { return Ok(()) };
        let Some(found) = here.get(first).and_then(Value::as_object) else { return Ok(()) };
        let Some(buckets) = found.get("buckets") else {
            // A single bucket on the way.
            return self.collect(found, &rest, numbers);
        };
        if let Some(key) = key {
            return bucket_of(buckets, key).map_or(Ok(()), |bucket| self.collect(bucket, &rest, numbers));
        }
        let mut note = |name: String, bucket: &Value| -> Result<(), EsError> {
            let Some(bucket) = bucket.as_object() else { return Ok(()) };
            let number = self.common.gap.number(&rest, bucket)?;
            numbers.extend(number.filter(|number| !number.is_nan()).map(|number| (name, number)));
            Ok(())
        };
        match buckets {
            Value::Array(buckets) => buckets.iter().try_for_each(|bucket| note(name_of(bucket), bucket)),
            Value::Object(buckets) => buckets.iter().try_for_each(|(name, bucket)| note(name.clone(), bucket)),
            _ => Ok(()),
        }
    }
}

fn name_of(bucket: &Value) -> String {
    let named = bucket.get("key_as_string").or_else(|| bucket.get("key"));
    named.map(|key| key.as_str().map_or_else(|| key.to_string(), str::to_owned)).unwrap_or_default()
}

impl Pipeline for OverBuckets {
    fn name(&self) -> &'static str {
        match self.kind {
            Kind::Avg => "avg_bucket",
            Kind::Sum => "sum_bucket",
            Kind::Min => "min_bucket",
            Kind::Max => "max_bucket",
            Kind::Stats => "stats_bucket",
            Kind::ExtendedStats => "extended_stats_bucket",
            Kind::Percentiles => "percentiles_bucket",
        }
    }

    fn typed(&self) -> &'static str {
        match self.kind {
            Kind::Avg | Kind::Sum => "simple_value",
            Kind::Min | Kind::Max => "bucket_metric_value",
            _ => self.name(),
        }
    }

    fn stands(&self) -> Stands {
        Stands::Beside
    }

    fn path(&self) -> Option<&Path> {
        Some(&self.common.path)
    }

    fn beside(&self, siblings: &Map<String, Value>) -> Result<Map<String, Value>, EsError> {
        let numbers = self.numbers(siblings)?;
        let format = self.common.format.as_ref();
        let mut stats = Stats::default();
        numbers.iter().for_each(|(_, number)| stats.add(*number));
        Ok(match self.kind {
            Kind::Avg => simple(if stats.count == 0 { f64::NAN } else { stats.avg() }, format),
            Kind::Sum => simple(stats.sum, format),
            Kind::Min | Kind::Max => {
                let chosen = if self.kind == Kind::Min { stats.min } else { stats.max };
                let keys = numbers.iter().filter(|(_, number)| *number == chosen).map(|(name, _)| name.as_str());
                let keys: Value = keys.collect();
                let mut members = simple(chosen, format);
                members.insert("keys".to_owned(), keys);
                members
            }
            Kind::Stats => shown_stats(&stats, format),
            Kind::ExtendedStats => extended(&stats, self.sigma, format),
            Kind::Percentiles => {
                let mut sorted: Vec<f64> = numbers.into_iter().map(|(_, number)| number).collect();
                sorted.sort_by(f64::total_cmp);
                // A number that is there, never one in between.
                let nearest = |percent: f64| {
                    let place = percent / 100.0 * (sorted.len().checked_sub(1)? as f64);
                    sorted.get((place + 0.5).floor() as usize).copied()
                };
                let text = |number| format.map(|format| format.number(number));
                percentile_values(&self.percents, nearest, self.keyed, text)
            }
        })
    }
}
