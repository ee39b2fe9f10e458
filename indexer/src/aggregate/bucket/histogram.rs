//! `histogram`: buckets of equal width.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Map;
use tantivy::DocId;

use crate::aggregate::aggregator::{Aggregation, Aggregator, Holds};
use crate::aggregate::buckets::Buckets;
use crate::aggregate::collect::{Collect, Opened, Place, Siblings};
use crate::aggregate::format::Format;
use crate::aggregate::order::{self, Order};
use crate::aggregate::partial::Partial;
use crate::aggregate::read;
use crate::aggregate::shown::{Answer, Shown, fill};
use crate::query::columns::{NumberKind, Values, each_value, json_f64};
use crate::query::error::EsError;
use crate::query::strict::Members;

#[derive(Debug)]
pub(super) struct Histogram {
    field: String,
    interval: f64,
    offset: f64,
    min_doc_count: u64,
    extended_bounds: read::Bounds<f64>,
    hard_bounds: read::Bounds<f64>,
    keyed: bool,
    missing: Option<f64>,
    format: Option<Format>,
    order: Order,
}

impl Histogram {
    pub(super) fn read(mut members: Members) -> Result<Arc<dyn Aggregator>, EsError> {
        let interval = members.float("interval")?.filter(|interval| *interval > 0.0);
        let histogram = Self {
            field: read::field(&mut members)?,
            interval: interval.ok_or_else(|| EsError::argument("[interval] must be >0 for histogram aggregation"))?,
            offset: members.float("offset")?.unwrap_or(0.0),
            min_doc_count: read::least_count(&mut members, 0)?,
            extended_bounds: read::number_bounds(&mut members, "extended_bounds")?.unwrap_or_default(),
            hard_bounds: read::number_bounds(&mut members, "hard_bounds")?.unwrap_or_default(),
            keyed: members.boolean("keyed")?.unwrap_or(false),
            missing: members.float("missing")?,
            format: read::format(&mut members)?,
            order: order::read(members.take("order"))?.unwrap_or_default(),
        };
        read::check_bounds(&histogram.extended_bounds, &histogram.hard_bounds)?;
        members.end()?;
        Ok(Arc::new(histogram))
    }

    fn number(&self, value: f64) -> i64 {
        ((value - self.offset) / self.interval).floor() as i64
    }
}

impl Aggregator for Histogram {
    fn name(&self) -> &'static str {
        "histogram"
    }

    fn holds(&self) -> Holds {
        Holds::Series
    }

    fn open<'a>(&'a self, place: Place<'a>, children: Siblings<'a>) -> Opened<'a> {
        let values = match Values::open(place.part, place.target.mapping, &self.field)? {
            Values::Strings(_) | Values::Constant(_) => {
                return Err(read::wrong_type(&self.field, "keyword", self.name()));
            }
            values => values,
        };
        if let Values::Numbers(_, kind) = &values {
            Format::check(self.format.as_ref(), *kind == NumberKind::Date, &self.field)?;
        }
        let buckets = Buckets::new(children, place.allowance);
        Ok(Box::new(HistogramCollector { request: self, values, buckets, numbers: Vec::new() }))
    }

    fn empty(&self) -> Partial {
        Partial::Series(BTreeMap::new())
    }

    fn show(&self, children: &[Aggregation], partial: Partial, shown: &mut Shown) -> Result<Answer, EsError> {
        let Partial::Series(mut buckets) = partial else {
            return Err(EsError::internal("a histogram without buckets"));
        };
        if self.min_doc_count == 0 {
            let bounds = (
                self.extended_bounds.0.map(|min| self.number(min)),
                self.extended_bounds.1.map(|max| self.number(max)),
            );
            fill(&mut buckets, bounds, |number| number.saturating_add(1))?;
        } else {
            buckets.retain(|_, bucket| bucket.count >= self.min_doc_count);
        }
        let mut rows = Vec::with_capacity(buckets.len());
        for (number, bucket) in order::sorted(&self.order, children, buckets) {
            let start = number as f64 * self.interval + self.offset;
            let (key, text) = (json_f64(start), self.format.as_ref().map(|format| format.number(start)));
            let name = text.clone().unwrap_or_else(|| key.to_string());
            let members = [("key", Some(key)), ("key_as_string", text.map(Into::into))];
            rows.push(shown.row(children, bucket, name, members)?);
        }
        Ok(Answer::Buckets { members: Map::new(), rows, keyed: self.keyed })
    }

    fn check(&self, name: &str, _around: &[&'static str], children: &[Aggregation]) -> Result<(), EsError> {
        order::check(&self.order, name, children)
    }
}

struct HistogramCollector<'a> {
    request: &'a Histogram,
    values: Values,
    buckets: Buckets<'a>,
    numbers: Vec<i64>,
}

impl Collect for HistogramCollector<'_> {
    fn collect(&mut self, docs: &[DocId], owners: &[u32]) -> Result<(), EsError> {
        let request = self.request;
        let (least, most) = request.hard_bounds;
        for (doc, owner) in docs.iter().zip(owners) {
            self.numbers.clear();
            let mut any = false;
            let numbers = &mut self.numbers;
            let mut note = |value: f64| {
                let number = request.number(value);
                // As Elasticsearch does: the start of the bucket decides.
                let start = number as f64 * request.interval;
                if least.is_none_or(|least| start >= least) && most.is_none_or(|most| start < most) {
                    numbers.push(number);
                }
            };
            if let Values::Numbers(column, kind) = &self.values {
                each_value(column, *doc, |bits| {
                    any = true;
                    note(kind.as_f64(bits));
                });
            }
            if let (false, Some(missing)) = (any, request.missing) {
                note(missing);
            }
            if self.numbers.len() > 1 {
                self.numbers.sort_unstable();
                self.numbers.dedup();
            }
            for number in &self.numbers {
                self.buckets.add_signed(*doc, *owner, *number)?;
            }
        }
        self.buckets.flush()
    }

    fn finish(self: Box<Self>, owners: usize) -> Result<Vec<Partial>, EsError> {
        self.buckets.finish_series(owners)
    }
}
