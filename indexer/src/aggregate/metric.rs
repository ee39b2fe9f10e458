//! Numbers about a field's values: statistics, distinct values, percentiles.

use logmill_indexer_api::datemath;
use serde_json::Value;
use tantivy::DocId;
use tantivy::columnar::StrColumn;

use super::buckets::MixMap;
use super::distinct::{Distinct, hash_of};
use super::partial::Stats;
use super::quantiles::Quantiles;
use super::request::{Metric, MetricKind};
use super::{Collect, Partial, Place};
use crate::query::columns::{NumberKind, Values, each_value};
use crate::query::error::EsError;
use crate::query::limits::Allowance;
use crate::query::parse::plain_text;
use crate::query::pattern::Bits;

pub(super) fn open<'a>(metric: &'a Metric, place: Place<'a>) -> Result<Box<dyn Collect + 'a>, EsError> {
    let values = Values::open(place.part, place.target.mapping, &metric.field)?;
    if metric.kind == MetricKind::Cardinality {
        return Ok(Box::new(DistinctCollector::new(metric, values, place)));
    }
    let counts_only = metric.kind == MetricKind::ValueCount;
    if !counts_only && matches!(values, Values::Strings(_) | Values::Constant(_)) {
        let reason = format!(
            "Field [{}] of type [keyword] is not supported for aggregation [{}]",
            metric.field,
            metric.kind.name()
        );
        return Err(EsError::argument(reason));
    }
    let missing = match &metric.missing {
        None => None,
        Some(_) if counts_only => Some(0.0),
        Some(value) => Some(number(value, place)?),
    };
    if let MetricKind::Percentiles { .. } = metric.kind {
        return Ok(Box::new(QuantilesCollector { values, missing, found: Vec::new(), allowance: place.allowance }));
    }
    Ok(Box::new(StatsCollector { values, missing, found: Vec::new() }))
}

/// The number that stands in for a missing value; dates in milliseconds.
fn number(value: &Value, place: Place<'_>) -> Result<f64, EsError> {
    let text = plain_text(value);
    if let Ok(number) = text.parse() {
        return Ok(number);
    }
    let instant = datemath::parse(&text, place.target.now);
    let refused = |_| EsError::argument(format!("[missing] must be a number, not [{text}]"));
    instant.map(|instant| instant.as_millisecond() as f64).map_err(refused)
}

impl MetricKind {
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Min => "min",
            Self::Max => "max",
            Self::Sum => "sum",
            Self::Avg => "avg",
            Self::ValueCount => "value_count",
            Self::Stats => "stats",
            Self::ExtendedStats { .. } => "extended_stats",
            Self::Cardinality => "cardinality",
            Self::Percentiles { .. } => "percentiles",
        }
    }
}

/// The state of an owner, made when it is first needed.
fn slot<T: Default>(found: &mut Vec<T>, owner: u32) -> Option<&mut T> {
    let at = owner as usize;
    if at >= found.len() {
        found.resize_with(at + 1, T::default);
    }
    found.get_mut(at)
}

struct StatsCollector {
    values: Values,
    missing: Option<f64>,
    found: Vec<Stats>,
}

impl Collect for StatsCollector {
    fn collect(&mut self, docs: &[DocId], owners: &[u32]) -> Result<(), EsError> {
        for (doc, owner) in docs.iter().zip(owners) {
            let Some(stats) = slot(&mut self.found, *owner) else { continue };
            let before = stats.count;
            match &self.values {
                Values::Numbers(column, kind) => each_value(column, *doc, |bits| stats.add(kind.as_f64(bits))),
                Values::Strings(column) => stats.count += column.term_ords(*doc).count() as u64,
                Values::Constant(_) => stats.count += 1,
                Values::Nothing => {}
            }
            if let (Some(missing), true) = (self.missing, stats.count == before) {
                stats.add(missing);
            }
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>, owners: usize) -> Result<Vec<Partial>, EsError> {
        let is_date = matches!(self.values, Values::Numbers(_, NumberKind::Date));
        self.found.resize_with(owners, Stats::default);
        Ok(self.found.into_iter().map(|stats| Partial::Stats(Stats { is_date, ..stats })).collect())
    }
}

struct QuantilesCollector<'a> {
    values: Values,
    missing: Option<f64>,
    found: Vec<Quantiles>,
    allowance: &'a Allowance,
}

/// A percentile sketch fills as much memory as so many plain buckets.
const QUANTILES_COST: usize = 64;

impl Collect for QuantilesCollector<'_> {
    fn collect(&mut self, docs: &[DocId], owners: &[u32]) -> Result<(), EsError> {
        for (doc, owner) in docs.iter().zip(owners) {
            let known = self.found.len();
            let Some(quantiles) = slot(&mut self.found, *owner) else { continue };
            let mut any = false;
            if let Values::Numbers(column, kind) = &self.values {
                each_value(column, *doc, |bits| {
                    any = true;
                    quantiles.add(kind.as_f64(bits));
                });
            }
            if let (Some(missing), false) = (self.missing, any) {
                quantiles.add(missing);
            }
            let more = self.found.len() - known;
            if more > 0 {
                self.allowance.take_buckets(more * QUANTILES_COST)?;
            }
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>, owners: usize) -> Result<Vec<Partial>, EsError> {
        self.found.resize_with(owners, Quantiles::default);
        Ok(self.found.into_iter().map(Partial::Quantiles).collect())
    }
}

/// Distinct values of one part: by their bits or ordinals, which become hashes at the end.
struct DistinctCollector<'a> {
    values: Values,
    missing: Option<u64>,
    /// Ordinals of the first owner, where there is a dictionary: one bit each, however many there are.
    first: Option<Bits>,
    terms: u32,
    others: Vec<MixMap<u64, ()>>,
    /// Hashes that need no dictionary.
    hashes: Vec<Distinct>,
    allowance: &'a Allowance,
}

impl<'a> DistinctCollector<'a> {
    fn new(metric: &Metric, values: Values, place: Place<'a>) -> Self {
        let (first, terms) = match &values {
            Values::Strings(column) => {
                let terms = u32::try_from(column.num_terms()).unwrap_or(u32::MAX);
                (Some(Bits::new(terms)), terms)
            }
            _ => (None, 0),
        };
        let missing = metric.missing.as_ref().map(|value| match value {
            Value::Number(number) => hash_number(number.as_f64().unwrap_or_default()),
            other => hash_of(TEXT, plain_text(other).as_bytes()),
        });
        Self { values, missing, first, terms, others: Vec::new(), hashes: Vec::new(), allowance: place.allowance }
    }

    fn note_ord(&mut self, owner: u32, ord: u64) -> Result<(), EsError> {
        if let (0, Some(first)) = (owner, &mut self.first) {
            first.insert(u32::try_from(ord).unwrap_or(u32::MAX));
            return Ok(());
        }
        if let Some(ords) = slot(&mut self.others, owner)
            && ords.insert(ord, ()).is_none()
        {
            self.allowance.take_buckets(1)?;
        }
        Ok(())
    }

    fn note_hash(&mut self, owner: u32, hash: u64) {
        if let Some(distinct) = slot(&mut self.hashes, owner) {
            distinct.insert(hash);
        }
    }
}

/// Kinds of values, kept apart by their hashes.
const TEXT: u8 = 0;
const NUMBER: u8 = 1;

/// Equal numbers have equal hashes, whatever their column's type.
fn hash_number(number: f64) -> u64 {
    hash_of(NUMBER, &(if number == 0.0 { 0.0 } else { number }).to_bits().to_le_bytes())
}

impl Collect for DistinctCollector<'_> {
    fn collect(&mut self, docs: &[DocId], owners: &[u32]) -> Result<(), EsError> {
        let values = self.values.clone();
        for (doc, owner) in docs.iter().zip(owners) {
            let mut any = false;
            match &values {
                Values::Strings(column) => {
                    for ord in column.term_ords(*doc) {
                        any = true;
                        self.note_ord(*owner, ord)?;
                    }
                }
                Values::Numbers(column, kind) => each_value(column, *doc, |bits| {
                    any = true;
                    let hash = match kind {
                        // Nanoseconds and large numbers lose digits as floats.
                        NumberKind::Double => hash_number(kind.as_f64(bits)),
                        _ if kind.as_i64(bits).unsigned_abs() < 1 << 53 => hash_number(kind.as_i64(bits) as f64),
                        _ => hash_of(NUMBER, &kind.as_i64(bits).to_le_bytes()),
                    };
                    self.note_hash(*owner, hash);
                }),
                Values::Constant(text) => {
                    any = true;
                    self.note_hash(*owner, hash_of(TEXT, text.as_bytes()));
                }
                Values::Nothing => {}
            }
            if let (Some(missing), false) = (self.missing, any) {
                self.note_hash(*owner, missing);
            }
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>, owners: usize) -> Result<Vec<Partial>, EsError> {
        self.hashes.resize_with(owners, Distinct::default);
        if let Values::Strings(column) = &self.values {
            let first = self.first.take().unwrap_or_else(|| Bits::new(0));
            let ords: Vec<u64> = (0..self.terms).filter(|ord| first.contains(*ord)).map(u64::from).collect();
            if let Some(distinct) = self.hashes.first_mut() {
                add_texts(column, &ords, distinct)?;
            }
            for (distinct, ords) in self.hashes.iter_mut().zip(std::mem::take(&mut self.others)) {
                let mut ords: Vec<u64> = ords.into_keys().collect();
                self.allowance.give_back_buckets(ords.len());
                ords.sort_unstable();
                add_texts(column, &ords, distinct)?;
            }
        }
        Ok(self.hashes.into_iter().map(Partial::Distinct).collect())
    }
}

fn add_texts(column: &StrColumn, ords: &[u64], distinct: &mut Distinct) -> Result<(), EsError> {
    column.dictionary().sorted_ords_to_term_cb(ords, |bytes| distinct.insert(hash_of(TEXT, bytes)))?;
    Ok(())
}
