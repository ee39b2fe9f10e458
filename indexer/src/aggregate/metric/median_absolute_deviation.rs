//! `median_absolute_deviation`: how far values lie from their middle.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::sketch::Told;
use super::values::single;
use crate::aggregate::aggregator::Aggregator;
use crate::aggregate::format::Format;
use crate::aggregate::quantiles::Quantiles;
use crate::aggregate::stats::ValueKind;
use crate::query::error::EsError;
use crate::query::strict::Members;

#[derive(Debug)]
pub(super) struct MedianAbsoluteDeviation;

impl MedianAbsoluteDeviation {
    pub(super) fn read(members: Members) -> Result<Arc<dyn Aggregator>, EsError> {
        Self.of_field(members)
    }
}

impl Told for MedianAbsoluteDeviation {
    const NAME: &'static str = "median_absolute_deviation";

    fn show(&self, quantiles: &Quantiles, format: Option<&Format>) -> Map<String, Value> {
        single(quantiles.median_absolute_deviation(), ValueKind::Number, format)
    }

    fn number(&self, quantiles: &Quantiles, _: Option<&str>) -> Option<f64> {
        quantiles.median_absolute_deviation()
    }

    fn has_number(&self, property: Option<&str>) -> bool {
        property.is_none_or(|name| name == "value")
    }
}
