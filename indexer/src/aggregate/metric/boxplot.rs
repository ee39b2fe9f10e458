//! `boxplot`: quartiles, and where the whiskers end.

use std::sync::Arc;

use serde_json::Map;

use super::percentiles::Input;
use super::values::as_string;
use crate::aggregate::aggregator::{Aggregation, Aggregator};
use crate::aggregate::collect::{Opened, Place, Siblings};
use crate::aggregate::partial::Partial;
use crate::aggregate::quantiles::Quantiles;
use crate::aggregate::shown::{Answer, Shown};
use crate::query::columns::json_f64;
use crate::query::error::EsError;
use crate::query::strict::Members;

/// Whiskers reach so many times the middle half's width beyond it, to the last value there.
const WHISKERS: f64 = 1.5;
const NAMES: [&str; 7] = ["min", "max", "q1", "q2", "q3", "lower", "upper"];

#[derive(Debug)]
pub(super) struct Boxplot {
    input: Input,
}

impl Boxplot {
    pub(super) fn read(mut members: Members) -> Result<Arc<dyn Aggregator>, EsError> {
        let found = Self { input: Input::read(&mut members)? };
        members.end()?;
        Ok(Arc::new(found))
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

impl Aggregator for Boxplot {
    fn name(&self) -> &'static str {
        "boxplot"
    }

    fn open<'a>(&'a self, place: Place<'a>, _: Siblings<'a>) -> Opened<'a> {
        self.input.open(place, self.name())
    }

    fn empty(&self) -> Partial {
        Partial::Quantiles(Quantiles::default())
    }

    fn show(&self, _: &[Aggregation], partial: Partial, _: &mut Shown) -> Result<Answer, EsError> {
        let Partial::Quantiles(quantiles) = partial else { return Err(EsError::internal("a metric without values")) };
        let mut members = Map::new();
        let Some(numbers) = numbers(&quantiles) else {
            // As Java writes what has no least, no greatest and no middle.
            for (name, text) in NAMES.iter().zip(["Infinity", "-Infinity", "NaN", "NaN", "NaN", "NaN", "NaN"]) {
                members.insert((*name).to_owned(), text.into());
            }
            return Ok(Answer::Members(members));
        };
        for (name, number) in NAMES.iter().zip(numbers) {
            members.insert((*name).to_owned(), json_f64(number));
        }
        for (name, number) in NAMES.iter().zip(numbers) {
            if let Some(text) = as_string(number, quantiles.kind, self.input.format.as_ref()) {
                members.insert(format!("{name}_as_string"), text.into());
            }
        }
        Ok(Answer::Members(members))
    }

    fn number(&self, partial: &Partial, property: Option<&str>) -> Option<f64> {
        let Partial::Quantiles(quantiles) = partial else { return None };
        let place = NAMES.iter().position(|name| Some(*name) == property)?;
        numbers(quantiles)?.get(place).copied()
    }

    fn has_number(&self, property: Option<&str>) -> bool {
        property.is_some_and(|name| NAMES.contains(&name))
    }
}
