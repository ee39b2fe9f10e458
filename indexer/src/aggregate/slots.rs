//! Aggregations whose buckets are known beforehand (`filter`, `filters`, `range`, `date_range`, `missing`), and
//! `histogram`.

use std::collections::BTreeMap;

use tantivy::DocId;
use tantivy::query::EnableScoring;

use super::buckets::Buckets;
use super::partial::Bucket;
use super::request::{Histogram, Ranges};
use super::{Collect, Partial, Place, Siblings};
use crate::query::clause::Clause;
use crate::query::columns::{Values, each_value};
use crate::query::compile;
use crate::query::error::EsError;
use crate::query::pattern::Bits;
use crate::schema::schema;

/// Turns rows of numbered buckets into as many slots for each owner.
fn slots(buckets: Buckets<'_>, owners: usize, number: usize) -> Result<Vec<Partial>, EsError> {
    let rows = buckets.finish(owners)?;
    let row = |row: Vec<(u64, Bucket)>| {
        let mut slots: Vec<Bucket> = (0..number).map(|_| Bucket::default()).collect();
        for (key, bucket) in row {
            if let Some(slot) = usize::try_from(key).ok().and_then(|key| slots.get_mut(key)) {
                *slot = bucket;
            }
        }
        Partial::Slots(slots)
    };
    Ok(rows.into_iter().map(row).collect())
}

pub(super) struct FiltersCollector<'a> {
    /// For each filter the documents that match.
    matching: Vec<Bits>,
    /// A last bucket for what matches none.
    other: bool,
    buckets: Buckets<'a>,
}

impl<'a> FiltersCollector<'a> {
    pub(super) fn open<'c>(
        filters: impl Iterator<Item = &'c Clause>,
        other: Option<&str>,
        place: Place<'a>,
        children: Siblings<'a>,
    ) -> Result<Self, EsError> {
        let reader = &place.part.reader;
        let bits = |clause: &Clause| {
            let query = compile::compile(clause, place.target)?;
            let weight = query.weight(EnableScoring::disabled_from_schema(&schema().0))?;
            let mut bits = Bits::new(reader.max_doc());
            weight.for_each_no_score(reader, &mut |docs| docs.iter().for_each(|doc| bits.insert(*doc)))?;
            Ok(bits)
        };
        let matching = filters.map(bits).collect::<Result<_, EsError>>()?;
        Ok(Self { matching, other: other.is_some(), buckets: Buckets::new(children, place.allowance) })
    }
}

impl Collect for FiltersCollector<'_> {
    fn collect(&mut self, docs: &[DocId], owners: &[u32]) -> Result<(), EsError> {
        for (doc, owner) in docs.iter().zip(owners) {
            let mut matched = false;
            for (slot, bits) in self.matching.iter().enumerate() {
                if bits.contains(*doc) {
                    matched = true;
                    self.buckets.add(*doc, *owner, slot as u64)?;
                }
            }
            if self.other && !matched {
                self.buckets.add(*doc, *owner, self.matching.len() as u64)?;
            }
        }
        self.buckets.flush()
    }

    fn finish(self: Box<Self>, owners: usize) -> Result<Vec<Partial>, EsError> {
        let number = self.matching.len() + usize::from(self.other);
        slots(self.buckets, owners, number)
    }
}

pub(super) struct MissingCollector<'a> {
    values: Values,
    buckets: Buckets<'a>,
}

impl<'a> MissingCollector<'a> {
    pub(super) fn open(field: &str, place: Place<'a>, children: Siblings<'a>) -> Result<Self, EsError> {
        let values = Values::open(place.part, place.target.mapping, field)?;
        Ok(Self { values, buckets: Buckets::new(children, place.allowance) })
    }
}

impl Collect for MissingCollector<'_> {
    fn collect(&mut self, docs: &[DocId], owners: &[u32]) -> Result<(), EsError> {
        for (doc, owner) in docs.iter().zip(owners) {
            let has_value = match &self.values {
                Values::Numbers(column, _) => column.first(*doc).is_some(),
                Values::Strings(column) => column.ords().first(*doc).is_some(),
                Values::Constant(_) => true,
                Values::Nothing => false,
            };
            if !has_value {
                self.buckets.add(*doc, *owner, 0)?;
            }
        }
        self.buckets.flush()
    }

    fn finish(self: Box<Self>, owners: usize) -> Result<Vec<Partial>, EsError> {
        slots(self.buckets, owners, 1)
    }
}

/// Numbers only: refuses keywords as Elasticsearch does.
fn numbers(place: Place<'_>, field: &str, aggregation: &str) -> Result<Values, EsError> {
    match Values::open(place.part, place.target.mapping, field)? {
        Values::Strings(_) | Values::Constant(_) => Err(EsError::argument(format!(
            "Field [{field}] of type [keyword] is not supported for aggregation [{aggregation}]"
        ))),
        values => Ok(values),
    }
}

pub(super) struct RangesCollector<'a> {
    request: &'a Ranges,
    values: Values,
    buckets: Buckets<'a>,
}

impl<'a> RangesCollector<'a> {
    pub(super) fn open(request: &'a Ranges, place: Place<'a>, children: Siblings<'a>) -> Result<Self, EsError> {
        let name = if request.is_date { "date_range" } else { "range" };
        let values = numbers(place, &request.field, name)?;
        Ok(Self { request, values, buckets: Buckets::new(children, place.allowance) })
    }
}

impl Collect for RangesCollector<'_> {
    fn collect(&mut self, docs: &[DocId], owners: &[u32]) -> Result<(), EsError> {
        let Values::Numbers(column, kind) = &self.values else { return Ok(()) };
        for (doc, owner) in docs.iter().zip(owners) {
            for (slot, range) in self.request.ranges.iter().enumerate() {
                let mut within = false;
                each_value(column, *doc, |bits| {
                    let value = kind.as_f64(bits);
                    within =
                        within || range.from.is_none_or(|from| value >= from) && range.to.is_none_or(|to| value < to);
                });
                if within {
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

pub(super) struct HistogramCollector<'a> {
    request: &'a Histogram,
    values: Values,
    buckets: Buckets<'a>,
    numbers: Vec<i64>,
}

/// Bucket numbers may be negative; keys may not.
const NUMBER_BASE: i64 = i64::MIN;

impl<'a> HistogramCollector<'a> {
    pub(super) fn open(request: &'a Histogram, place: Place<'a>, children: Siblings<'a>) -> Result<Self, EsError> {
        let values = numbers(place, &request.field, "histogram")?;
        Ok(Self { request, values, buckets: Buckets::new(children, place.allowance), numbers: Vec::new() })
    }
}

impl Collect for HistogramCollector<'_> {
    fn collect(&mut self, docs: &[DocId], owners: &[u32]) -> Result<(), EsError> {
        let Histogram { interval, offset, missing, .. } = *self.request;
        let number = |value: f64| ((value - offset) / interval).floor() as i64;
        for (doc, owner) in docs.iter().zip(owners) {
            self.numbers.clear();
            if let Values::Numbers(column, kind) = &self.values {
                each_value(column, *doc, |bits| self.numbers.push(number(kind.as_f64(bits))));
            }
            if self.numbers.is_empty() {
                self.numbers.extend(missing.map(number));
            } else if self.numbers.len() > 1 {
                self.numbers.sort_unstable();
                self.numbers.dedup();
            }
            for number in &self.numbers {
                self.buckets.add(*doc, *owner, number.wrapping_sub(NUMBER_BASE) as u64)?;
            }
        }
        self.buckets.flush()
    }

    fn finish(self: Box<Self>, owners: usize) -> Result<Vec<Partial>, EsError> {
        let rows = self.buckets.finish(owners)?;
        let number = |key: u64| (key as i64).wrapping_add(NUMBER_BASE);
        let numbers =
            |row: Vec<_>| row.into_iter().map(|(key, bucket)| (number(key), bucket)).collect::<BTreeMap<_, _>>();
        Ok(rows.into_iter().map(|row| Partial::Numbers(numbers(row))).collect())
    }
}
