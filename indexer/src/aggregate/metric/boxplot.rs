//! `boxplot`: quartiles, and where the whiskers end.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::sketch::Told;
use super::values::as_string;
use crate::aggregate::aggregator::Aggregator;
use crate::aggregate::format::Format;
use crate::aggregate::quantiles::Quantiles;
use crate::query::columns::json_f64;
use crate::query::error::EsError;
use crate::query::strict::Members;

/// Whiskers reach so many times the middle half's width beyond it, to the last value there.
const WHISKERS: f64 = 1.5;
const NAMES: [&str; 7] = ["min", "max", "q1", "q2", "q3", "lower", "upper"];

#[derive(Debug)]
pub(super) struct Boxplot;

impl Boxplot {
    pub(super) fn read(members: Members) -> Result<Arc<dyn Aggregator>, EsError> {
        Self.of_field(members)
    }
}

/// In the order of the names; `None` without values.
fn numbers(quantiles: &Quantiles) -> Option<[f64; 7]> {
    let sorted = quantiles.sorted();
    let (q1, q2, q3) = (sorted.percentile(25.0)?, sorted.percentile(50.0)?, sorted.percentile(75.0)?);
    let reach = (q3 - q1) * WHISKERS;
    let (lower, upper) = sorted.within(q1 - reach, q3 + reach)?;
    Some([quantiles.min(), quantiles.max(), q1, q2, q3, lower, upper])
}

impl Told for Boxplot {
    const NAME: &'static str = "boxplot";

    fn show(&self, quantiles: &Quantiles, format: Option<&Format>) -> Map<String, Value> {
        let mut members = Map::new();
        let Some(numbers) = numbers(quantiles) else {
            // As Java writes what has no least, no greatest and no middle.
            for (name, text) in NAMES.iter().zip(["Infinity", "-Infinity", "NaN", "NaN", "NaN", "NaN", "NaN"]) {
                members.insert((*name).to_owned(), text.into());
            }
            return members;
        };
        for (name, number) in NAMES.iter().zip(numbers) {
            members.insert((*name).to_owned(), json_f64(number));
        }
        for (name, number) in NAMES.iter().zip(numbers) {
            if let Some(text) = as_string(number, quantiles.kind, format) {
                members.insert(format!("{name}_as_string"), text.into());
            }
        }
        members
    }

    fn number(&self, quantiles: &Quantiles, property: Option<&str>) -> Option<f64> {
        let place = NAMES.iter().position(|name| Some(*name) == property)?;
        numbers(quantiles)?.get(place).copied()
    }

    fn has_number(&self, property: Option<&str>) -> bool {
        property.is_some_and(|name| NAMES.contains(&name))
    }
}
