//! `date_histogram`: buckets of time, of a fixed or a calendar's width, in any time zone.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::tz::TimeZone;
use logmill_indexer_api::datemath;
use serde_json::{Map, Value};
use tantivy::DocId;

use crate::aggregate::aggregator::{Aggregation, Aggregator, Holds};
use crate::aggregate::buckets::Buckets;
use crate::aggregate::collect::{Collect, Opened, Place, Siblings};
use crate::aggregate::format::Format;
use crate::aggregate::order::{self, Order};
use crate::aggregate::partial::{Bucket, Partial};
use crate::aggregate::read;
use crate::aggregate::rounding::{Interval, Rounding};
use crate::aggregate::shown::{Answer, Row, Shown, Span, fill};
use crate::query::columns::{NumberKind, Values, each_value};
use crate::query::error::EsError;
use crate::query::parse::plain_text;
use crate::query::strict::Members;

#[derive(Debug)]
pub(super) struct DateHistogram {
    field: String,
    interval: Interval,
    zone: TimeZone,
    offset_ms: i64,
    min_doc_count: u64,
    /// Milliseconds.
    extended_bounds: read::Bounds<i64>,
    hard_bounds: read::Bounds<i64>,
    format: Option<Format>,
    keyed: bool,
    missing: Option<Value>,
    order: Order,
}

impl DateHistogram {
    pub(super) fn read(mut members: Members) -> Result<Arc<dyn Aggregator>, EsError> {
        let zone = read::zone(&mut members)?;
        let histogram = Self {
            interval: read::interval(&mut members)?,
            field: read::field(&mut members)?,
            offset_ms: read::offset(&mut members)?,
            min_doc_count: read::least_count(&mut members, 0)?,
            extended_bounds: read::date_bounds(&mut members, "extended_bounds", &zone)?.unwrap_or_default(),
            hard_bounds: read::date_bounds(&mut members, "hard_bounds", &zone)?.unwrap_or_default(),
            zone,
            format: read::format(&mut members)?,
            keyed: members.boolean("keyed")?.unwrap_or(false),
            missing: members.take("missing"),
            order: order::read(members.take("order"))?.unwrap_or_default(),
        };
        Format::check(histogram.format.as_ref(), true, &histogram.field)?;
        read::check_bounds(&histogram.extended_bounds, &histogram.hard_bounds)?;
        members.end()?;
        Ok(Arc::new(histogram))
    }

    fn rounding(&self) -> Rounding {
        Rounding::new(self.interval, &self.zone, self.offset_ms)
    }

    fn months(&self) -> Option<u32> {
        match self.interval {
            Interval::Calendar('M') => Some(1),
            Interval::Calendar('Q') => Some(3),
            Interval::Calendar('y') => Some(12),
            _ => None,
        }
    }
}

/// The values of a field that has dates, or numbers that stand for milliseconds.
pub(super) fn dates(place: Place<'_>, field: &str, aggregation: &str) -> Result<Values, EsError> {
    match Values::open(place.part, place.target.mapping, field)? {
        Values::Strings(_) | Values::Constant(_) => Err(read::wrong_type(field, "keyword", aggregation)),
        Values::Numbers(_, NumberKind::Boolean) => Err(read::wrong_type(field, "boolean", aggregation)),
        Values::Numbers(_, NumberKind::Double) => Err(read::wrong_type(field, "double", aggregation)),
        values => Ok(values),
    }
}

/// A value in milliseconds.
#[inline]
pub(super) fn millis(kind: NumberKind, bits: u64) -> i64 {
    let value = kind.as_i64(bits);
    if kind == NumberKind::Date { value.div_euclid(1_000_000) } else { value }
}

/// The stand-in for no value, in milliseconds.
pub(super) fn missing_ms(missing: Option<&Value>, zone: &TimeZone, place: Place<'_>) -> Result<Option<i64>, EsError> {
    let Some(value) = missing else { return Ok(None) };
    let instant = datemath::parse_rounded(&plain_text(value), place.target.now, zone, false);
    let instant = instant.map_err(|error| EsError::new(400, "parse_exception", error.to_string()))?;
    Ok(Some(instant.as_millisecond()))
}

/// A bucket of time.
pub(super) fn row(
    span: Span,
    format: (Option<&Format>, &TimeZone),
    children: &[Aggregation],
    bucket: Bucket,
    shown: &mut Shown,
) -> Result<Row, EsError> {
    let text = Format::zoned(format.0, span.start_ms.saturating_mul(1_000_000), format.1);
    let members = [("key_as_string", Some(text.clone().into())), ("key", Some(span.start_ms.into()))];
    shown.row_in(span, children, bucket, text, members)
}

impl Aggregator for DateHistogram {
    fn name(&self) -> &'static str {
        "date_histogram"
    }

    fn holds(&self) -> Holds {
        Holds::Series
    }

    fn open<'a>(&'a self, place: Place<'a>, children: Siblings<'a>) -> Opened<'a> {
        let values = dates(place, &self.field, self.name())?;
        let mut rounding = self.rounding();
        let missing = missing_ms(self.missing.as_ref(), &self.zone, place)?.map(|ms| rounding.start(ms));
        let buckets = Buckets::new(children, place.allowance);
        Ok(Box::new(TimesCollector { request: self, values, rounding, missing, buckets, starts: Vec::new() }))
    }

    fn empty(&self) -> Partial {
        Partial::Series(BTreeMap::new())
    }

    fn show(&self, children: &[Aggregation], partial: Partial, shown: &mut Shown) -> Result<Answer, EsError> {
        let Partial::Series(mut buckets) = partial else {
            return Err(EsError::internal("a histogram without buckets"));
        };
        let rounding = self.rounding();
        if self.min_doc_count == 0 {
            let (min, max) = self.extended_bounds;
            let bounds = (min.map(|ms| rounding.bound(ms)), max.map(|ms| rounding.bound(ms)));
            fill(&mut buckets, bounds, |start| rounding.next(start))?;
        } else {
            buckets.retain(|_, bucket| bucket.count >= self.min_doc_count);
        }
        let mut rows = Vec::with_capacity(buckets.len());
        for (start_ms, bucket) in order::sorted(&self.order, children, buckets) {
            let span = Span { start_ms, end_ms: rounding.next(start_ms), months: self.months() };
            rows.push(row(span, (self.format.as_ref(), &self.zone), children, bucket, shown)?);
        }
        Ok(Answer::Buckets { members: Map::new(), rows, keyed: self.keyed })
    }

    fn check(&self, name: &str, _around: &[&'static str], children: &[Aggregation]) -> Result<(), EsError> {
        order::check(&self.order, name, children)
    }
}

struct TimesCollector<'a> {
    request: &'a DateHistogram,
    values: Values,
    rounding: Rounding,
    /// The start given to documents without a value.
    missing: Option<i64>,
    buckets: Buckets<'a>,
    starts: Vec<i64>,
}

impl Collect for TimesCollector<'_> {
    fn collect(&mut self, docs: &[DocId], owners: &[u32]) -> Result<(), EsError> {
        // As Elasticsearch does: the start of the bucket decides, and the upper bound is not in it.
        let (least, most) = self.request.hard_bounds;
        let within = |start: i64| least.is_none_or(|least| start >= least) && most.is_none_or(|most| start < most);
        for (doc, owner) in docs.iter().zip(owners) {
            self.starts.clear();
            let mut any = false;
            if let Values::Numbers(column, kind) = &self.values {
                each_value(column, *doc, |bits| {
                    any = true;
                    let start = self.rounding.start(millis(*kind, bits));
                    if self.starts.last() != Some(&start) && within(start) {
                        self.starts.push(start);
                    }
                });
            }
            if !any {
                self.starts.extend(self.missing.filter(|start| within(*start)));
            } else if self.starts.len() > 1 {
                self.starts.sort_unstable();
                self.starts.dedup();
            }
            for start in &self.starts {
                self.buckets.add_signed(*doc, *owner, *start)?;
            }
        }
        self.buckets.flush()
    }

    fn finish(self: Box<Self>, owners: usize) -> Result<Vec<Partial>, EsError> {
        self.buckets.finish_series(owners)
    }
}
