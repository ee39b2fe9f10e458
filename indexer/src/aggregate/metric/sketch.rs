//! Metrics over a sketch of a field's values: how they are collected, and what those metrics have in common.

use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value};
use tantivy::DocId;

use super::values::{kind_of, numbers_of, slot, stand_in};
use crate::aggregate::aggregator::{Aggregation, Aggregator};
use crate::aggregate::collect::{Collect, Opened, Place, Siblings};
use crate::aggregate::format::Format;
use crate::aggregate::partial::Partial;
use crate::aggregate::quantiles::Quantiles;
use crate::aggregate::read;
use crate::aggregate::shown::{Answer, Shown};
use crate::aggregate::stats::ValueKind;
use crate::query::columns::{Values, each_value};
use crate::query::error::EsError;
use crate::query::limits::Allowance;
use crate::query::strict::Members;

/// What is told of the values.
pub(super) trait Told: fmt::Debug + Send + Sync + Sized + 'static {
    /// Its name in requests.
    const NAME: &'static str;
    /// What stands before its name when `typed_keys` are asked for.
    const TYPED: &'static str = Self::NAME;

    fn show(&self, quantiles: &Quantiles, format: Option<&Format>) -> Map<String, Value>;

    /// One of its numbers, for the order of the buckets that it is in; `None` without values.
    fn number(&self, quantiles: &Quantiles, property: Option<&str>) -> Option<f64>;

    /// Whether buckets can be ordered by the property.
    fn has_number(&self, property: Option<&str>) -> bool;

    /// The metric over the field that the rest of the body names.
    fn of_field(self, mut members: Members) -> Result<Arc<dyn Aggregator>, EsError> {
        let input = Input::read(&mut members)?;
        members.end()?;
        Ok(Arc::new(OverSketch { input, told: self }))
    }
}

#[derive(Debug)]
struct OverSketch<T> {
    input: Input,
    told: T,
}

/// What goes into the sketch.
#[derive(Debug)]
struct Input {
    field: String,
    missing: Option<Value>,
    format: Option<Format>,
}

impl Input {
    fn read(members: &mut Members) -> Result<Self, EsError> {
        // How well to estimate: exact up to 8192 values, within half a percent beyond.
        members.ignore(&["tdigest", "hdr", "compression", "execution_hint", "value_type"]);
        Ok(Self { field: read::field(members)?, missing: members.take("missing"), format: read::format(members)? })
    }

    fn open<'a>(&'a self, place: Place<'a>, aggregation: &str) -> Opened<'a> {
        let values = numbers_of(place, &self.field, aggregation)?;
        let missing = stand_in(self.missing.as_ref(), place)?;
        if matches!(values, Values::Numbers(..)) {
            Format::check(self.format.as_ref(), kind_of(&values) == ValueKind::Date, &self.field)?;
        }
        Ok(Box::new(QuantilesCollector { values, missing, found: Vec::new(), new: 0, allowance: place.allowance }))
    }
}

impl<T: Told> Aggregator for OverSketch<T> {
    fn name(&self) -> &'static str {
        T::NAME
    }

    fn open<'a>(&'a self, place: Place<'a>, _: Siblings<'a>) -> Opened<'a> {
        self.input.open(place, T::NAME)
    }

    fn empty(&self) -> Partial {
        Partial::Quantiles(Quantiles::default())
    }

    fn show(&self, _: &[Aggregation], partial: Partial, _: &mut Shown) -> Result<Answer, EsError> {
        let Partial::Quantiles(quantiles) = partial else { return Err(EsError::internal("a metric without values")) };
        Ok(Answer::Members(self.told.show(&quantiles, self.input.format.as_ref())))
    }

    fn typed(&self, _: &Value) -> &'static str {
        T::TYPED
    }

    fn number(&self, partial: &Partial, property: Option<&str>) -> Option<f64> {
        let Partial::Quantiles(quantiles) = partial else { return None };
        self.told.number(quantiles, property)
    }

    fn has_number(&self, property: Option<&str>) -> bool {
        self.told.has_number(property)
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
