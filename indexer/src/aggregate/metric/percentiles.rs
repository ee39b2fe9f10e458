//! `percentiles`, and `percentile_ranks`, which asks the other way round.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::sketch::Told;
use super::values::as_string;
use crate::aggregate::aggregator::Aggregator;
use crate::aggregate::format::Format;
use crate::aggregate::quantiles::Quantiles;
use crate::query::columns::json_f64;
use crate::query::error::EsError;
use crate::query::strict::Members;

#[derive(Debug)]
pub(super) struct Percentiles {
    percents: Vec<f64>,
    keyed: bool,
}

#[derive(Debug)]
pub(super) struct PercentileRanks {
    values: Vec<f64>,
    keyed: bool,
}

/// More can't be asked for at once.
const NUMBERS_MAX: usize = 1000;

pub(in crate::aggregate) fn read_numbers(
    members: &mut Members,
    key: &str,
    within: std::ops::RangeInclusive<f64>,
) -> Result<Option<Vec<f64>>, EsError> {
    let items = match members.take(key) {
        None => return Ok(None),
        Some(Value::Array(items)) => items,
        Some(other) => return Err(members.wrong(key, "an array", &other)),
    };
    let number = |item: &Value| item.as_f64().or_else(|| item.as_str().and_then(|text| text.parse().ok()));
    let found: Option<Vec<f64>> = items.iter().map(number).collect();
    let fits = |found: &Vec<f64>| {
        !found.is_empty() && found.len() <= NUMBERS_MAX && found.iter().all(|number| within.contains(number))
    };
    match found.filter(fits) {
        Some(mut found) => {
            found.sort_by(f64::total_cmp);
            Ok(Some(found))
        }
        None => Err(EsError::argument(format!(
            "[{key}] must be between 1 and {NUMBERS_MAX} numbers from {} to {}",
            within.start(),
            within.end()
        ))),
    }
}

/// Percentiles when none are named.
pub(in crate::aggregate) const PERCENTS: [f64; 7] = [1.0, 5.0, 25.0, 50.0, 75.0, 95.0, 99.0];

/// `values`, as an object by number or as a list.
pub(in crate::aggregate) fn shown(
    numbers: &[f64],
    value: impl Fn(f64) -> Option<f64>,
    keyed: bool,
    text: impl Fn(f64) -> Option<String>,
) -> Map<String, Value> {
    let mut object = Map::new();
    let mut list = Vec::new();
    for number in numbers {
        let found = value(*number);
        let shown = found.map_or(Value::Null, json_f64);
        let text = found.and_then(&text);
        if keyed {
            let name = json_f64(*number).to_string();
            object.insert(name.clone(), shown);
            if let Some(text) = text {
                object.insert(format!("{name}_as_string"), text.into());
            }
        } else {
            let mut item = json!({ "key": number, "value": shown });
            if let (Some(text), Some(item)) = (text, item.as_object_mut()) {
                item.insert("value_as_string".to_owned(), text.into());
            }
            list.push(item);
        }
    }
    let mut members = Map::new();
    members.insert("values".to_owned(), if keyed { Value::Object(object) } else { Value::Array(list) });
    members
}

impl Percentiles {
    pub(super) fn read(mut members: Members) -> Result<Arc<dyn Aggregator>, EsError> {
        let percents = read_numbers(&mut members, "percents", 0.0..=100.0)?.unwrap_or_else(|| PERCENTS.to_vec());
        let keyed = members.boolean("keyed")?.unwrap_or(true);
        Self { percents, keyed }.of_field(members)
    }
}

impl Told for Percentiles {
    const NAME: &'static str = "percentiles";
    const TYPED: &'static str = "tdigest_percentiles";

    fn show(&self, quantiles: &Quantiles, format: Option<&Format>) -> Map<String, Value> {
        let sorted = quantiles.sorted();
        let text = |number| as_string(number, quantiles.kind, format);
        shown(&self.percents, |percent| sorted.percentile(percent), self.keyed, text)
    }

    fn number(&self, quantiles: &Quantiles, property: Option<&str>) -> Option<f64> {
        quantiles.percentile(property?.parse().ok()?)
    }

    fn has_number(&self, property: Option<&str>) -> bool {
        property.and_then(|text| text.parse::<f64>().ok()).is_some_and(|percent| (0.0..=100.0).contains(&percent))
    }
}

impl PercentileRanks {
    pub(super) fn read(mut members: Members) -> Result<Arc<dyn Aggregator>, EsError> {
        let values = read_numbers(&mut members, "values", f64::MIN..=f64::MAX)?;
        let values = values.ok_or_else(|| EsError::argument("[values] must not be null: [percentile_ranks]"))?;
        let keyed = members.boolean("keyed")?.unwrap_or(true);
        Self { values, keyed }.of_field(members)
    }
}

impl Told for PercentileRanks {
    const NAME: &'static str = "percentile_ranks";
    const TYPED: &'static str = "tdigest_percentile_ranks";

    fn show(&self, quantiles: &Quantiles, format: Option<&Format>) -> Map<String, Value> {
        let sorted = quantiles.sorted();
        let text = |number| format.map(|format| format.number(number));
        shown(&self.values, |value| sorted.rank(value), self.keyed, text)
    }

    fn number(&self, quantiles: &Quantiles, property: Option<&str>) -> Option<f64> {
        quantiles.sorted().rank(property?.parse().ok()?)
    }

    fn has_number(&self, property: Option<&str>) -> bool {
        property.is_some_and(|text| text.parse::<f64>().is_ok())
    }
}
