//! `weighted_avg`: Σ value × weight / Σ weight.

use std::sync::Arc;

use serde_json::Value;
use tantivy::DocId;

use super::values::{numbers_of, single, slot, stand_in};
use crate::aggregate::aggregator::{Aggregation, Aggregator};
use crate::aggregate::collect::{Collect, Opened, Place, Siblings};
use crate::aggregate::format::Format;
use crate::aggregate::partial::{Partial, State, own};
use crate::aggregate::read;
use crate::aggregate::shown::{Answer, Shown};
use crate::aggregate::stats::{Stats, ValueKind};
use crate::query::columns::{Values, each_value};
use crate::query::error::EsError;
use crate::query::limits::Allowance;
use crate::query::strict::Members;

#[derive(Debug)]
pub(super) struct WeightedAvg {
    value: (String, Option<Value>),
    weight: (String, Option<Value>),
    format: Option<Format>,
}

impl WeightedAvg {
    pub(super) fn read(mut members: Members) -> Result<Arc<dyn Aggregator>, EsError> {
        members.ignore(&["value_type"]);
        let format = read::format(&mut members)?;
        let mut side = |key: &str| -> Result<(String, Option<Value>), EsError> {
            let mut side = Members::new(members.required(key)?, format!("[{key}] of a [weighted_avg] aggregation"))?;
            let found = (read::field(&mut side)?, side.take("missing"));
            side.end().map(|()| found)
        };
        let found = Self { value: side("value")?, weight: side("weight")?, format };
        members.end()?;
        Ok(Arc::new(found))
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    weighted: Stats,
    weights: Stats,
}

impl Sums {
    fn average(&self) -> Option<f64> {
        (self.weights.count > 0 && self.weights.sum != 0.0).then(|| self.weighted.sum / self.weights.sum)
    }
}

impl State for Sums {
    fn merge(&mut self, other: Box<dyn State>, _: &Allowance) -> Result<(), EsError> {
        let other: Self = own(other);
        self.weighted.merge(other.weighted);
        self.weights.merge(other.weights);
        Ok(())
    }

    fn copy(&self) -> Box<dyn State> {
        Box::new(*self)
    }

    fn into_any(self: Box<Self>) -> Box<dyn std::any::Any> {
        self
    }
}

impl Aggregator for WeightedAvg {
    fn name(&self) -> &'static str {
        "weighted_avg"
    }

    fn open<'a>(&'a self, place: Place<'a>, _: Siblings<'a>) -> Opened<'a> {
        let open = |(field, missing): &(String, Option<Value>)| -> Result<Side, EsError> {
            let values = numbers_of(place, field, self.name())?;
            Ok(Side { values, missing: stand_in(missing.as_ref(), place)?, found: Vec::new() })
        };
        let (value, weight) = (open(&self.value)?, open(&self.weight)?);
        Ok(Box::new(WeightedCollector { value, weight, found: Vec::new() }))
    }

    fn empty(&self) -> Partial {
        Partial::Other(Box::new(Sums::default()))
    }

    fn show(&self, _: &[Aggregation], partial: Partial, _: &mut Shown) -> Result<Answer, EsError> {
        let Partial::Other(state) = partial else { return Err(EsError::internal("a metric without a state")) };
        Ok(Answer::Members(single(own::<Sums>(state).average(), ValueKind::Number, self.format.as_ref())))
    }

    fn number(&self, partial: &Partial, _: Option<&str>) -> Option<f64> {
        let Partial::Other(state) = partial else { return None };
        own::<Sums>(state.clone()).average()
    }

    fn has_number(&self, property: Option<&str>) -> bool {
        property.is_none_or(|name| name == "value")
    }
}

struct Side {
    values: Values,
    missing: Option<f64>,
    found: Vec<f64>,
}

impl Side {
    fn read(&mut self, doc: DocId) -> &[f64] {
        self.found.clear();
        if let Values::Numbers(column, kind) = &self.values {
            each_value(column, doc, |bits| self.found.push(kind.as_f64(bits)));
        }
        if self.found.is_empty() {
            self.found.extend(self.missing);
        }
        &self.found
    }
}

struct WeightedCollector {
    value: Side,
    weight: Side,
    found: Vec<Sums>,
}

impl Collect for WeightedCollector {
    fn collect(&mut self, docs: &[DocId], owners: &[u32]) -> Result<(), EsError> {
        for (doc, owner) in docs.iter().zip(owners) {
            let weight = match self.weight.read(*doc) {
                [] => continue,
                [only] => *only,
                _ => {
                    return Err(EsError::new(
                        400,
                        "aggregation_execution_exception",
                        "Encountered more than one weight for a single document. Use a script to combine multiple weights-per-doc into a single value.",
                    ));
                }
            };
            let Some(sums) = slot(&mut self.found, *owner) else { continue };
            for value in self.value.read(*doc) {
                sums.weighted.add(value * weight);
                sums.weights.add(weight);
            }
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>, owners: usize) -> Result<Vec<Partial>, EsError> {
        self.found.resize_with(owners, Sums::default);
        Ok(self.found.into_iter().map(|sums| Partial::Other(Box::new(sums))).collect())
    }
}
