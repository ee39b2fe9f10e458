//! `percentiles`, `percentile_ranks`, `median_absolute_deviation`.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use tantivy::DocId;

use super::values::{as_string, kind_of, numbers_of, single, slot, stand_in};
use crate::aggregate::aggregator::{Aggregation, Aggregator};
use crate::aggregate::collect::{Collect, Opened, Place, Siblings};
use crate::aggregate::format::Format;
use crate::aggregate::partial::Partial;
use crate::aggregate::quantiles::Quantiles;
use crate::aggregate::read;
use crate::aggregate::shown::{Answer, Shown};
use crate::aggregate::stats::ValueKind;
use crate::query::columns::{Values, each_value, json_f64};
use crate::query::error::EsError;
use crate::query::limits::Allowance;
use crate::query::strict::Members;

#[derive(Debug)]
pub(super) struct Percentiles {
    input: Input,
    percents: Vec<f64>,
    keyed: bool,
}

#[derive(Debug)]
pub(super) struct PercentileRanks {
    input: Input,
    values: Vec<f64>,
    keyed: bool,
}

#[derive(Debug)]
pub(super) struct MedianAbsoluteDeviation {
    input: Input,
}

/// What goes into the sketch.
#[derive(Debug)]
pub(super) struct Input {
    field: String,
    missing: Option<Value>,
    pub(super) format: Option<Format>,
}

/// More can't be asked for at once.
const NUMBERS_MAX: usize = 1000;

impl Input {
    pub(super) fn read(members: &mut Members) -> Result<Self, EsError> {
        // How well to estimate: exact up to 8192 values, within half a percent beyond.
        members.ignore(&["tdigest", "hdr", "compression", "execution_hint", "value_type"]);
        Ok(Self { field: read::field(members)?, missing: members.take("missing"), format: read::format(members)? })
    }

    pub(super) fn open<'a>(&'a self, place: Place<'a>, aggregation: &str) -> Opened<'a> {
        let values = numbers_of(place, &self.field, aggregation)?;
        let missing = stand_in(self.missing.as_ref(), place)?;
        if matches!(values, Values::Numbers(..)) {
            Format::check(self.format.as_ref(), kind_of(&values) == ValueKind::Date, &self.field)?;
        }
        Ok(Box::new(QuantilesCollector { values, missing, found: Vec::new(), new: 0, allowance: place.allowance }))
    }
}

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
pub(super) const PERCENTS: [f64; 7] = [1.0, 5.0, 25.0, 50.0, 75.0, 95.0, 99.0];

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
        let found = Self {
            percents: read_numbers(&mut members, "percents", 0.0..=100.0)?.unwrap_or_else(|| PERCENTS.to_vec()),
            keyed: members.boolean("keyed")?.unwrap_or(true),
            input: Input::read(&mut members)?,
        };
        members.end()?;
        Ok(Arc::new(found))
    }
}

impl Aggregator for Percentiles {
    fn name(&self) -> &'static str {
        "percentiles"
    }

    fn open<'a>(&'a self, place: Place<'a>, _: Siblings<'a>) -> Opened<'a> {
        self.input.open(place, self.name())
    }

    fn empty(&self) -> Partial {
        Partial::Quantiles(Quantiles::default())
    }

    fn show(&self, _: &[Aggregation], partial: Partial, _: &mut Shown) -> Result<Answer, EsError> {
        let Partial::Quantiles(quantiles) = partial else { return Err(EsError::internal("a metric without values")) };
        let (sorted, format) = (quantiles.sorted(), self.input.format.as_ref());
        let text = |number| as_string(number, quantiles.kind, format);
        Ok(Answer::Members(shown(&self.percents, |percent| sorted.percentile(percent), self.keyed, text)))
    }

    fn typed(&self, _: &Value) -> &'static str {
        "tdigest_percentiles"
    }

    fn number(&self, partial: &Partial, property: Option<&str>) -> Option<f64> {
        let Partial::Quantiles(quantiles) = partial else { return None };
        quantiles.percentile(property?.parse().ok()?)
    }

    fn has_number(&self, property: Option<&str>) -> bool {
        property.and_then(|text| text.parse::<f64>().ok()).is_some_and(|percent| (0.0..=100.0).contains(&percent))
    }
}

impl PercentileRanks {
    pub(super) fn read(mut members: Members) -> Result<Arc<dyn Aggregator>, EsError> {
        let values = read_numbers(&mut members, "values", f64::MIN..=f64::MAX)?;
        let found = Self {
            values: values.ok_or_else(|| EsError::argument("[values] must not be null: [percentile_ranks]"))?,
            keyed: members.boolean("keyed")?.unwrap_or(true),
            input: Input::read(&mut members)?,
        };
        members.end()?;
        Ok(Arc::new(found))
    }
}

impl Aggregator for PercentileRanks {
    fn name(&self) -> &'static str {
        "percentile_ranks"
    }

    fn open<'a>(&'a self, place: Place<'a>, _: Siblings<'a>) -> Opened<'a> {
        self.input.open(place, self.name())
    }

    fn empty(&self) -> Partial {
        Partial::Quantiles(Quantiles::default())
    }

    fn show(&self, _: &[Aggregation], partial: Partial, _: &mut Shown) -> Result<Answer, EsError> {
        let Partial::Quantiles(quantiles) = partial else { return Err(EsError::internal("a metric without values")) };
        let (sorted, format) = (quantiles.sorted(), self.input.format.as_ref());
        let text = |number| format.map(|format| format.number(number));
        Ok(Answer::Members(shown(&self.values, |value| sorted.rank(value), self.keyed, text)))
    }

    fn typed(&self, _: &Value) -> &'static str {
        "tdigest_percentile_ranks"
    }

    fn number(&self, partial: &Partial, property: Option<&str>) -> Option<f64> {
        let Partial::Quantiles(quantiles) = partial else { return None };
        quantiles.sorted().rank(property?.parse().ok()?)
    }

    fn has_number(&self, property: Option<&str>) -> bool {
        property.is_some_and(|text| text.parse::<f64>().is_ok())
    }
}

impl MedianAbsoluteDeviation {
    pub(super) fn read(mut members: Members) -> Result<Arc<dyn Aggregator>, EsError> {
        let found = Self { input: Input::read(&mut members)? };
        members.end()?;
        Ok(Arc::new(found))
    }
}

impl Aggregator for MedianAbsoluteDeviation {
    fn name(&self) -> &'static str {
        "median_absolute_deviation"
    }

    fn open<'a>(&'a self, place: Place<'a>, _: Siblings<'a>) -> Opened<'a> {
        self.input.open(place, self.name())
    }

    fn empty(&self) -> Partial {
        Partial::Quantiles(Quantiles::default())
    }

    fn show(&self, _: &[Aggregation], partial: Partial, _: &mut Shown) -> Result<Answer, EsError> {
        let Partial::Quantiles(quantiles) = partial else { return Err(EsError::internal("a metric without values")) };
        let number = quantiles.median_absolute_deviation();
        Ok(Answer::Members(single(number, ValueKind::Number, self.input.format.as_ref())))
    }

    fn number(&self, partial: &Partial, _: Option<&str>) -> Option<f64> {
        let Partial::Quantiles(quantiles) = partial else { return None };
        quantiles.median_absolute_deviation()
    }

    fn has_number(&self, property: Option<&str>) -> bool {
        property.is_none_or(|name| name == "value")
    }
}

struct QuantilesCollector<'a> {
    values: Values,
    missing: Option<f64>,
    found: Vec<Quantiles>,
    /// Values that were not counted against the allowance yet.
    new: usize,
    allowance: &'a Allowance,
}

/// So many kept values take the memory of one bucket.
const VALUES_A_BUCKET: usize = 8;

impl Collect for QuantilesCollector<'_> {
    fn collect(&mut self, docs: &[DocId], owners: &[u32]) -> Result<(), EsError> {
        for (doc, owner) in docs.iter().zip(owners) {
            let Some(quantiles) = slot(&mut self.found, *owner) else { continue };
            let mut any = false;
            if let Values::Numbers(column, kind) = &self.values {
                each_value(column, *doc, |bits| {
                    any = true;
                    self.new += usize::from(quantiles.add(kind.as_f64(bits)));
                });
            }
            if let (Some(missing), false) = (self.missing, any) {
                self.new += usize::from(quantiles.add(missing));
            }
        }
        self.allowance.take_buckets(self.new / VALUES_A_BUCKET)?;
        self.new %= VALUES_A_BUCKET;
        Ok(())
    }

    fn finish(mut self: Box<Self>, owners: usize) -> Result<Vec<Partial>, EsError> {
        let kind = kind_of(&self.values);
        self.found.resize_with(owners, Quantiles::default);
        self.found.iter_mut().for_each(|quantiles| quantiles.kind = kind);
        Ok(self.found.into_iter().map(Partial::Quantiles).collect())
    }
}
