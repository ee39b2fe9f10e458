//! `rate`: documents, or a field's sum, per unit of time in each bucket of a date histogram.

use std::sync::Arc;

use serde_json::Value;

use super::numbers::StatsCollector;
use super::values::{numbers_of, single};
use crate::aggregate::aggregator::{Aggregation, Aggregator};
use crate::aggregate::collect::{Opened, Place, Siblings};
use crate::aggregate::format::Format;
use crate::aggregate::partial::Partial;
use crate::aggregate::read;
use crate::aggregate::shown::{Answer, Shown, Span};
use crate::aggregate::stats::{Stats, ValueKind};
use crate::query::columns::Values;
use crate::query::error::EsError;
use crate::query::strict::Members;

#[derive(Debug)]
pub(super) struct Rate {
    field: Option<String>,
    /// A bucket itself, when none is named.
    unit: Option<Unit>,
    /// Counts values instead of adding them up.
    counts_values: bool,
    format: Option<Format>,
}

#[derive(Clone, Copy, Debug)]
enum Unit {
    Millis(i64),
    Months(u32),
}

impl Rate {
    pub(super) fn read(mut members: Members) -> Result<Arc<dyn Aggregator>, EsError> {
        let unit = match members.string("unit")?.as_deref() {
            None => None,
            Some("second") => Some(Unit::Millis(1_000)),
            Some("minute") => Some(Unit::Millis(60_000)),
            Some("hour") => Some(Unit::Millis(3_600_000)),
            Some("day") => Some(Unit::Millis(86_400_000)),
            Some("week") => Some(Unit::Millis(7 * 86_400_000)),
            Some("month") => Some(Unit::Months(1)),
            Some("quarter") => Some(Unit::Months(3)),
            Some("year") => Some(Unit::Months(12)),
            Some(other) => return Err(EsError::argument(format!("Unsupported unit {other}"))),
        };
        let field = members.string("field")?;
        let counts_values = match members.string("mode")?.as_deref() {
            None => false,
            Some(_) if field.is_none() => {
                return Err(EsError::argument("The mode parameter is only supported with field or script"));
            }
            Some("sum") => false,
            Some("value_count") => true,
            Some(other) => return Err(EsError::argument(format!("Unsupported value in [mode]: [{other}]"))),
        };
        let found = Self { field, unit, counts_values, format: read::format(&mut members)? };
        members.end()?;
        Ok(Arc::new(found))
    }

    fn value(&self, stats: &Stats, span: Option<Span>) -> Result<f64, EsError> {
        let number = if self.counts_values || self.field.is_none() { stats.count as f64 } else { stats.sum };
        let units = match (self.unit, span) {
            (None, _) => 1.0,
            (Some(_), None) => return Err(EsError::internal("a rate outside of a date histogram")),
            (Some(Unit::Millis(unit)), Some(span)) => (span.end_ms - span.start_ms) as f64 / unit as f64,
            (Some(Unit::Months(unit)), Some(Span { months: Some(months), .. })) => f64::from(months) / f64::from(unit),
            (Some(Unit::Months(_)), Some(_)) => {
                return Err(EsError::argument(
                    "Cannot use month-based rate unit with non-month based calendar interval histogram: only week, day, hour, minute and second are supported for it",
                ));
            }
        };
        Ok(number / units)
    }
}

impl Aggregator for Rate {
    fn name(&self) -> &'static str {
        "rate"
    }

    fn open<'a>(&'a self, place: Place<'a>, _: Siblings<'a>) -> Opened<'a> {
        let values = match &self.field {
            None => Values::Nothing,
            Some(field) if self.counts_values => Values::open(place.part, place.target.mapping, field)?,
            Some(field) => numbers_of(place, field, self.name())?,
        };
        // Without a field each document counts one.
        let missing = self.field.is_none().then_some(1.0);
        Ok(Box::new(StatsCollector { values, missing, found: Vec::new() }))
    }

    fn empty(&self) -> Partial {
        Partial::Stats(Stats::default())
    }

    fn show(&self, _: &[Aggregation], partial: Partial, shown: &mut Shown) -> Result<Answer, EsError> {
        let Partial::Stats(stats) = partial else { return Err(EsError::internal("a metric without a number")) };
        let value = self.value(&stats, shown.spans.last().copied())?;
        Ok(Answer::Members(single(Some(value), ValueKind::Number, self.format.as_ref())))
    }

    fn typed(&self, _: &Value) -> &'static str {
        "rate"
    }

    fn check(&self, name: &str, around: &[&'static str], _: &[Aggregation]) -> Result<(), EsError> {
        if around.iter().any(|name| matches!(*name, "date_histogram" | "auto_date_histogram")) {
            return Ok(());
        }
        Err(EsError::argument(format!(
            "The rate aggregation [{name}] can only be used inside a date histogram aggregation"
        )))
    }
}
