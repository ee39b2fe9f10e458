//! `range` and `date_range`: buckets between bounds that the request names.

use std::sync::Arc;

use jiff::tz::TimeZone;
use serde_json::{Map, Value};
use tantivy::DocId;

use super::slots::{no_slots, slots};
use crate::aggregate::aggregator::{Aggregation, Aggregator, Holds};
use crate::aggregate::buckets::Buckets;
use crate::aggregate::collect::{Collect, Opened, Place, Siblings};
use crate::aggregate::format::Format;
use crate::aggregate::partial::Partial;
use crate::aggregate::read;
use crate::aggregate::shown::{self, Answer, Shown};
use crate::query::columns::{NumberKind, Values, each_value, json_f64};
use crate::query::error::EsError;
use crate::query::strict::Members;

/// Each range is looked at for each document.
const RANGES_MAX: usize = 1024;

/// Dates in milliseconds.
#[derive(Debug)]
pub(super) struct Ranges {
    field: String,
    ranges: Vec<Range>,
    keyed: bool,
    is_date: bool,
    zone: TimeZone,
    format: Option<Format>,
    missing: Option<f64>,
}

/// From inclusive, to exclusive.
#[derive(Debug)]
struct Range {
    key: Option<String>,
    from: Option<f64>,
    to: Option<f64>,
}

impl Ranges {
    pub(super) fn read(mut members: Members, is_date: bool) -> Result<Arc<dyn Aggregator>, EsError> {
        let zone = if is_date { read::zone(&mut members)? } else { TimeZone::UTC };
        let items = match members.required("ranges")? {
            Value::Array(items) => items,
            other => return Err(members.wrong("ranges", "an array", &other)),
        };
        let date = |value: Value| read::date_ms(&value, &zone, "[ranges]").map(|ms| ms as f64);
        let mut ranges = Vec::new();
        for item in items {
            let mut range = Members::new(item, "[ranges]")?;
            let (from, to) = match is_date {
                true => (range.take("from").map(date).transpose()?, range.take("to").map(date).transpose()?),
                false => (range.float("from")?, range.float("to")?),
            };
            ranges.push(Range { key: range.string("key")?, from, to });
            range.end()?;
        }
        if ranges.is_empty() || ranges.len() > RANGES_MAX {
            let reason = format!("{} needs between 1 and {RANGES_MAX} [ranges], not {}", members.what(), ranges.len());
            return Err(EsError::argument(reason));
        }
        // Elasticsearch answers in this order, whatever was asked.
        let least = |bound: Option<f64>| bound.unwrap_or(f64::NEG_INFINITY);
        let most = |bound: Option<f64>| bound.unwrap_or(f64::INFINITY);
        ranges.sort_by(|a, b| least(a.from).total_cmp(&least(b.from)).then(most(a.to).total_cmp(&most(b.to))));
        let missing = match is_date {
            true => members.take("missing").map(date).transpose()?,
            false => members.float("missing")?,
        };
        let found = Self {
            field: read::field(&mut members)?,
            ranges,
            keyed: members.boolean("keyed")?.unwrap_or(false),
            is_date,
            format: read::format(&mut members)?,
            missing,
            zone,
        };
        members.end()?;
        Format::check(found.format.as_ref(), is_date, &found.field)?;
        Ok(Arc::new(found))
    }

    fn text(&self, bound: f64) -> String {
        if self.is_date {
            return Format::zoned(self.format.as_ref(), (bound as i64).saturating_mul(1_000_000), &self.zone);
        }
        match &self.format {
            Some(format) => format.number(bound),
            None => json_f64(bound).to_string(),
        }
    }
}

impl Aggregator for Ranges {
    fn name(&self) -> &'static str {
        if self.is_date { "date_range" } else { "range" }
    }

    fn holds(&self) -> Holds {
        Holds::Many
    }

    fn open<'a>(&'a self, place: Place<'a>, children: Siblings<'a>) -> Opened<'a> {
        let values = match Values::open(place.part, place.target.mapping, &self.field)? {
            Values::Strings(_) | Values::Constant(_) => {
                return Err(read::wrong_type(&self.field, "keyword", self.name()));
            }
            Values::Numbers(_, NumberKind::Boolean) => {
                return Err(read::wrong_type(&self.field, "boolean", self.name()));
            }
            values => values,
        };
        let buckets = Buckets::new(children, place.allowance);
        Ok(Box::new(RangesCollector { request: self, values, buckets, numbers: Vec::new() }))
    }

    fn empty(&self) -> Partial {
        no_slots(self.ranges.len())
    }

    fn show(&self, children: &[Aggregation], partial: Partial, shown: &mut Shown) -> Result<Answer, EsError> {
        let buckets = shown::slots(partial, self.ranges.len());
        let mut rows = Vec::with_capacity(buckets.len());
        for (range, bucket) in self.ranges.iter().zip(buckets) {
            let (from, to) = (range.from.map(|from| self.text(from)), range.to.map(|to| self.text(to)));
            let side = |bound: &Option<String>| bound.clone().unwrap_or_else(|| "*".to_owned());
            let key = range.key.clone().unwrap_or_else(|| format!("{}-{}", side(&from), side(&to)));
            let as_string =
                |text: Option<String>| text.filter(|_| self.is_date || self.format.is_some()).map(Value::String);
            let members = [
                ("key", (!self.keyed).then(|| key.clone().into())),
                ("from", range.from.map(json_f64)),
                ("from_as_string", as_string(from)),
                ("to", range.to.map(json_f64)),
                ("to_as_string", as_string(to)),
            ];
            rows.push(shown.row(children, bucket, key, members)?);
        }
        Ok(Answer::Buckets { members: Map::new(), rows, keyed: self.keyed })
    }
}

struct RangesCollector<'a> {
    request: &'a Ranges,
    values: Values,
    buckets: Buckets<'a>,
    numbers: Vec<f64>,
}

impl Collect for RangesCollector<'_> {
    fn collect(&mut self, docs: &[DocId], owners: &[u32]) -> Result<(), EsError> {
        for (doc, owner) in docs.iter().zip(owners) {
            self.numbers.clear();
            if let Values::Numbers(column, kind) = &self.values {
                let to_ms = self.request.is_date && *kind == NumberKind::Date;
                each_value(column, *doc, |bits| {
                    // Nanoseconds below a millisecond are not seen by Elasticsearch's dates either.
                    let value = kind.as_f64(bits);
                    self.numbers.push(if to_ms { value.floor() } else { value });
                });
            }
            if self.numbers.is_empty() {
                self.numbers.extend(self.request.missing);
            }
            for (slot, range) in self.request.ranges.iter().enumerate() {
                let within =
                    |value: &f64| range.from.is_none_or(|from| *value >= from) && range.to.is_none_or(|to| *value < to);
                if self.numbers.iter().any(within) {
                    self.buckets.add(*doc, *owner, slot as u64)?;
                }
            }
        }
        self.buckets.flush()
    }

    fn finish(self: Box<Self>, owners: usize) -> Result<Vec<Partial>, EsError> {
        slots(self.buckets, owners, self.request.ranges.len())
    }
}
