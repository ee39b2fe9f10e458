//! `top_metrics`: values of the documents that come first in an order.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use tantivy::DocId;

use super::best::{self, Best};
use crate::aggregate::aggregator::{Aggregation, Aggregator};
use crate::aggregate::collect::{Collect, Opened, Place, Siblings};
use crate::aggregate::format::Format;
use crate::aggregate::partial::{Partial, State, own};
use crate::aggregate::read;
use crate::aggregate::shown::{Answer, Shown};
use crate::query::columns::{Values, each_value, json_f64};
use crate::query::error::EsError;
use crate::query::limits::Allowance;
use crate::query::sort::{SortField, SortValue};
use crate::query::strict::Members;

/// Elasticsearch's `index.top_metrics_max_size` bounds this at 10; we can do more.
const SIZE_MAX: usize = 1000;
const METRICS_MAX: usize = 100;

#[derive(Debug)]
pub(super) struct TopMetrics {
    metrics: Vec<String>,
    sort: Vec<SortField>,
    size: usize,
}

impl TopMetrics {
    pub(super) fn read(mut members: Members) -> Result<Arc<dyn Aggregator>, EsError> {
        let items = match members.required("metrics")? {
            Value::Array(items) => items,
            single => vec![single],
        };
        let mut metrics = Vec::new();
        for item in items {
            let mut metric = Members::new(item, "[metrics] of a [top_metrics] aggregation")?;
            metrics.push(read::field(&mut metric)?);
            metric.end()?;
        }
        if metrics.is_empty() || metrics.len() > METRICS_MAX {
            let reason = format!("[top_metrics] takes between 1 and {METRICS_MAX} [metrics], not {}", metrics.len());
            return Err(EsError::argument(reason));
        }
        let sort = SortField::read_all(members.required("sort")?)?;
        if sort.len() != 1 {
            return Err(EsError::argument(format!("[top_metrics] must have exactly one sort, not {}", sort.len())));
        }
        if sort.iter().any(|sort| sort.field == "_score") {
            return Err(EsError::argument("[top_metrics] by [_score] is not supported: sort by a field"));
        }
        let size = read::size(&mut members, "size", 1, SIZE_MAX)?;
        members.end()?;
        Ok(Arc::new(Self { metrics, sort, size }))
    }
}

#[derive(Clone, Debug, Default)]
struct Top {
    /// The values of the order, and those that are asked for.
    found: Vec<(Vec<SortValue>, Vec<SortValue>)>,
    sort: Vec<SortField>,
    size: usize,
}

impl State for Top {
    fn merge(&mut self, other: Box<dyn State>, _: &Allowance) -> Result<(), EsError> {
        let other: Self = own(other);
        best::merge(&mut self.found, other.found, &self.sort, self.size);
        Ok(())
    }

    fn copy(&self) -> Box<dyn State> {
        Box::new(self.clone())
    }

    fn into_any(self: Box<Self>) -> Box<dyn std::any::Any> {
        self
    }
}

/// Dates as text, all else as it is.
fn json(value: &SortValue) -> Value {
    match value {
        SortValue::First | SortValue::Last => Value::Null,
        SortValue::Long(number) => (*number).into(),
        SortValue::Unsigned(number) => (*number).into(),
        SortValue::Double(number) => json_f64(*number),
        SortValue::Boolean(flag) => i64::from(*flag).into(),
        SortValue::Date(nanos) => Format::date(None, *nanos).into(),
        SortValue::Text(text) => text.as_str().into(),
    }
}

impl TopMetrics {
    fn number_in(&self, top: &Top, property: Option<&str>) -> Option<f64> {
        let place = match property {
            None if self.metrics.len() == 1 => 0,
            property => self.metrics.iter().position(|metric| Some(metric.as_str()) == property)?,
        };
        match top.found.first()?.1.get(place)? {
            SortValue::Date(nanos) => Some(nanos.div_euclid(1_000_000) as f64),
            other => json(other).as_f64(),
        }
    }
}

impl Aggregator for TopMetrics {
    fn name(&self) -> &'static str {
        "top_metrics"
    }

    fn open<'a>(&'a self, place: Place<'a>, _: Siblings<'a>) -> Opened<'a> {
        let open = |field: &String| Values::open(place.part, place.target.mapping, field);
        let metrics = self.metrics.iter().map(open).collect::<Result<_, _>>()?;
        Ok(Box::new(TopCollector { request: self, best: Best::new(place, &self.sort, self.size)?, metrics }))
    }

    fn empty(&self) -> Partial {
        Partial::Other(Box::new(Top { found: Vec::new(), sort: self.sort.clone(), size: self.size }))
    }

    fn show(&self, _: &[Aggregation], partial: Partial, _: &mut Shown) -> Result<Answer, EsError> {
        let Partial::Other(state) = partial else { return Err(EsError::internal("a metric without a state")) };
        let mut top = Vec::new();
        for (order, values) in own::<Top>(state).found {
            let metrics: Map<String, Value> = self.metrics.iter().cloned().zip(values.iter().map(json)).collect();
            let sort: Vec<Value> = order.iter().take(1).map(json).collect();
            top.push(json!({ "sort": sort, "metrics": metrics }));
        }
        let mut members = Map::new();
        members.insert("top".to_owned(), top.into());
        Ok(Answer::Members(members))
    }

    fn number(&self, partial: &Partial, property: Option<&str>) -> Option<f64> {
        let Partial::Other(state) = partial else { return None };
        self.number_in(&own(state.clone()), property)
    }

    fn has_number(&self, property: Option<&str>) -> bool {
        self.size == 1
            && match property {
                None => self.metrics.len() == 1,
                Some(name) => self.metrics.iter().any(|metric| metric == name),
            }
    }
}

struct TopCollector<'a> {
    request: &'a TopMetrics,
    best: Best<'a>,
    metrics: Vec<Values>,
}

/// The first value of a document: the least one.
fn value(values: &Values, doc: DocId) -> Result<SortValue, EsError> {
    let mut least: Option<u64> = None;
    let mut note = |bits: u64| least = Some(least.map_or(bits, |known| known.min(bits)));
    match values {
        Values::Numbers(column, _) => each_value(column, doc, &mut note),
        Values::Strings(column) => each_value(column.ords(), doc, &mut note),
        Values::Constant(text) => return Ok(SortValue::Text(text.to_string())),
        Values::Nothing => {}
    }
    let Some(bits) = least else { return Ok(SortValue::Last) };
    Ok(match values {
        Values::Strings(column) => {
            let mut text = String::new();
            column.ord_to_str(bits, &mut text)?;
            SortValue::Text(text)
        }
        Values::Numbers(_, kind) => SortValue::of_bits(*kind, bits),
        Values::Constant(_) | Values::Nothing => SortValue::Last,
    })
}

impl Collect for TopCollector<'_> {
    fn collect(&mut self, docs: &[DocId], owners: &[u32]) -> Result<(), EsError> {
        self.best.collect(docs, owners)
    }

    fn finish(self: Box<Self>, owners: usize) -> Result<Vec<Partial>, EsError> {
        let Self { request, best, metrics } = *self;
        let mut partials = Vec::with_capacity(owners);
        for ranked in best.finish(owners)? {
            let mut found = Vec::with_capacity(ranked.len());
            for (order, doc) in ranked {
                found.push((order, metrics.iter().map(|values| value(values, doc)).collect::<Result<_, _>>()?));
            }
            partials.push(Partial::Other(Box::new(Top { found, sort: request.sort.clone(), size: request.size })));
        }
        Ok(partials)
    }
}
