//! `derivative`, `cumulative_sum`, `serial_diff`, `normalize`: a number for each bucket from those of its neighbours.

use std::sync::Arc;

use serde_json::Value;

use super::common::{Common, simple};
use super::path::Path;
use super::stage::{Pipeline, Stands};
use crate::aggregate::read;
use crate::aggregate::rounding::Interval;
use crate::aggregate::shown::Row;
use crate::query::columns::json_f64;
use crate::query::error::EsError;
use crate::query::strict::Members;

/// The numbers of all buckets.
fn numbers(common: &Common, rows: &[Row]) -> Result<Vec<Option<f64>>, EsError> {
    rows.iter().map(|row| common.number(&row.members)).collect()
}

#[derive(Debug)]
pub(super) struct Derivative {
    common: Common,
    /// Milliseconds of the unit that the slope is also shown for.
    unit_ms: Option<f64>,
}

impl Derivative {
    pub(super) fn read(mut members: Members) -> Result<Arc<dyn Pipeline>, EsError> {
        let unit_ms = match members.string("unit")? {
            None => None,
            Some(text) => Some(match read::calendar_interval(&text) {
                // As Elasticsearch takes them for this.
                Some(Interval::Calendar('y')) => 31_556_952_000.0,
                Some(Interval::Calendar('Q')) => 7_889_238_000.0,
                Some(Interval::Calendar('M')) => 2_629_746_000.0,
                Some(Interval::Calendar('w')) => 604_800_000.0,
                Some(Interval::Calendar('d')) => 86_400_000.0,
                Some(Interval::Calendar('h')) => 3_600_000.0,
                Some(Interval::Calendar('m')) => 60_000.0,
                Some(_) => 1_000.0,
                None => read::fixed_interval(&text)? as f64,
            }),
        };
        let found = Self { common: Common::read(&mut members)?, unit_ms };
        members.end()?;
        Ok(Arc::new(found))
    }
}

impl Pipeline for Derivative {
    fn name(&self) -> &'static str {
        "derivative"
    }

    fn typed(&self) -> &'static str {
        "derivative"
    }

    fn path(&self) -> Option<&Path> {
        Some(&self.common.path)
    }

    fn over(&self, name: &str, rows: &mut Vec<Row>) -> Result<(), EsError> {
        let mut before: Option<(f64, Option<f64>)> = None;
        for row in rows {
            let number = self.common.number(&row.members)?;
            let key = row.members.get("key").and_then(Value::as_f64);
            if let (Some((last, last_key)), Some(number)) = (before, number) {
                let slope = number - last;
                let mut members = simple(slope, self.common.format.as_ref());
                if let (Some(unit), Some(key), Some(last_key)) = (self.unit_ms, key, last_key) {
                    members.insert("normalized_value".to_owned(), json_f64(slope / ((key - last_key) / unit)));
                }
                row.members.insert(name.to_owned(), members.into());
            }
            before = number.map(|number| (number, key));
        }
        Ok(())
    }
}

#[derive(Debug)]
pub(super) struct CumulativeSum(Common);

impl CumulativeSum {
    pub(super) fn read(mut members: Members) -> Result<Arc<dyn Pipeline>, EsError> {
        let found = Self(Common::read(&mut members)?);
        members.end()?;
        Ok(Arc::new(found))
    }
}

impl Pipeline for CumulativeSum {
    fn name(&self) -> &'static str {
        "cumulative_sum"
    }

    fn path(&self) -> Option<&Path> {
        Some(&self.0.path)
    }

    fn over(&self, name: &str, rows: &mut Vec<Row>) -> Result<(), EsError> {
        let mut sum = 0.0;
        for row in rows {
            sum += self.0.number(&row.members)?.filter(|number| number.is_finite()).unwrap_or(0.0);
            row.members.insert(name.to_owned(), simple(sum, self.0.format.as_ref()).into());
        }
        Ok(())
    }
}

#[derive(Debug)]
pub(super) struct SerialDiff {
    common: Common,
    lag: usize,
}

/// A bucket this far back is in no answer.
const LAG_MAX: usize = crate::query::limits::BUCKETS_MAX;

impl SerialDiff {
    pub(super) fn read(mut members: Members) -> Result<Arc<dyn Pipeline>, EsError> {
        let lag = read::size(&mut members, "lag", 1, LAG_MAX)?;
        let found = Self { common: Common::read(&mut members)?, lag };
        members.end()?;
        Ok(Arc::new(found))
    }
}

impl Pipeline for SerialDiff {
    fn name(&self) -> &'static str {
        "serial_diff"
    }

    fn path(&self) -> Option<&Path> {
        Some(&self.common.path)
    }

    fn over(&self, name: &str, rows: &mut Vec<Row>) -> Result<(), EsError> {
        let numbers = numbers(&self.common, rows)?;
        for (row, (number, before)) in rows.iter_mut().skip(self.lag).zip(numbers.iter().skip(self.lag).zip(&numbers)) {
            if let (Some(number), Some(before)) = (number, before)
                && !number.is_nan()
                && !before.is_nan()
            {
                let members = simple(number - before, self.common.format.as_ref());
                row.members.insert(name.to_owned(), members.into());
            }
        }
        Ok(())
    }
}

#[derive(Debug)]
pub(super) struct Normalize {
    common: Common,
    method: Method,
}

#[derive(Clone, Copy, Debug)]
enum Method {
    Rescale(f64),
    PercentOfSum,
    Mean,
    ZScore,
    Softmax,
}

impl Normalize {
    pub(super) fn read(mut members: Members) -> Result<Arc<dyn Pipeline>, EsError> {
        let method = match members.string("method")?.as_deref() {
            Some("rescale_0_1") => Method::Rescale(1.0),
            Some("rescale_0_100") => Method::Rescale(100.0),
            Some("percent_of_sum") => Method::PercentOfSum,
            Some("mean") => Method::Mean,
            Some("z-score") => Method::ZScore,
            Some("softmax") => Method::Softmax,
            other => {
                let reason = format!(
                    "invalid method [{}]: use rescale_0_1, rescale_0_100, percent_of_sum, mean, z-score or softmax",
                    other.unwrap_or_default()
                );
                return Err(EsError::argument(reason));
            }
        };
        let found = Self { common: Common::read(&mut members)?, method };
        members.end()?;
        Ok(Arc::new(found))
    }
}

impl Method {
    fn apply(self, values: &[f64]) -> Vec<f64> {
        let known = || values.iter().copied().filter(|value| !value.is_nan());
        let count = known().count() as f64;
        let sum: f64 = known().sum();
        let (min, max) = (known().fold(f64::INFINITY, f64::min), known().fold(f64::NEG_INFINITY, f64::max));
        let mean = sum / count;
        let deviation = (known().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt();
        let exponents: f64 = known().map(f64::exp).sum();
        let one = |value: f64| match self {
            Self::Rescale(width) => width * (value - min) / (max - min),
            Self::PercentOfSum => value / sum,
            Self::Mean => (value - mean) / (max - min),
            Self::ZScore => (value - mean) / deviation,
            Self::Softmax => value.exp() / exponents,
        };
        values.iter().map(|value| one(*value)).collect()
    }
}

impl Pipeline for Normalize {
    fn name(&self) -> &'static str {
        "normalize"
    }

    fn stands(&self) -> Stands {
        Stands::InBuckets
    }

    fn path(&self) -> Option<&Path> {
        Some(&self.common.path)
    }

    fn over(&self, name: &str, rows: &mut Vec<Row>) -> Result<(), EsError> {
        let numbers: Vec<f64> =
            numbers(&self.common, rows)?.into_iter().map(|number| number.unwrap_or(f64::NAN)).collect();
        for (row, number) in rows.iter_mut().zip(self.method.apply(&numbers)) {
            row.members.insert(name.to_owned(), simple(number, self.common.format.as_ref()).into());
        }
        Ok(())
    }
}
