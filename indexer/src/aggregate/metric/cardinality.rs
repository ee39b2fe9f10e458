//! `cardinality`: how many distinct values there are. Exact up to 40,000 (the greatest `precision_threshold` of
//! Elasticsearch), an estimate beyond.

use std::sync::Arc;

use serde_json::{Map, Value};
use tantivy::DocId;
use tantivy::columnar::StrColumn;

use super::values::slot;
use crate::aggregate::aggregator::{Aggregation, Aggregator};
use crate::aggregate::collect::{Collect, Opened, Place, Siblings};
use crate::aggregate::distinct::{Distinct, hash_of};
use crate::aggregate::format::Format;
use crate::aggregate::mix::MixMap;
use crate::aggregate::partial::Partial;
use crate::aggregate::read;
use crate::aggregate::shown::{Answer, Shown};
use crate::query::columns::{NumberKind, Values, each_value};
use crate::query::error::EsError;
use crate::query::limits::{Allowance, Stopped};
use crate::query::parse::plain_text;
use crate::query::pattern::Bits;
use crate::query::strict::Members;

#[derive(Debug)]
pub(super) struct Cardinality {
    field: String,
    missing: Option<Value>,
    format: Option<Format>,
}

impl Cardinality {
    pub(super) fn read(mut members: Members) -> Result<Arc<dyn Aggregator>, EsError> {
        members.ignore(&["execution_hint", "rehash", "value_type"]);
        if let Some(threshold) = members.whole("precision_threshold")?.filter(|threshold| *threshold < 0) {
            let reason = format!("[precisionThreshold] must be greater than or equal to 0. Found [{threshold}]");
            return Err(EsError::argument(reason));
        }
        let found = Self {
            field: read::field(&mut members)?,
            missing: members.take("missing"),
            format: read::format(&mut members)?,
        };
        members.end()?;
        Ok(Arc::new(found))
    }
}

impl Aggregator for Cardinality {
    fn name(&self) -> &'static str {
        "cardinality"
    }

    fn open<'a>(&'a self, place: Place<'a>, _: Siblings<'a>) -> Opened<'a> {
        let values = Values::open(place.part, place.target.mapping, &self.field)?;
        let (first, terms) = match &values {
            Values::Strings(column) => {
                let terms = u32::try_from(column.num_terms()).unwrap_or(u32::MAX);
                (Some(Bits::new(terms)), terms)
            }
            _ => (None, 0),
        };
        let missing = self.missing.as_ref().map(|value| match value {
            Value::Number(number) => hash_number(number.as_f64().unwrap_or_default()),
            other => hash_of(TEXT, plain_text(other).as_bytes()),
        });
        let (others, hashes, allowance) = (Vec::new(), Vec::new(), place.allowance);
        Ok(Box::new(DistinctCollector { values, missing, first, terms, others, hashes, new: 0, allowance }))
    }

    fn empty(&self) -> Partial {
        Partial::Distinct(Distinct::default())
    }

    fn show(&self, _: &[Aggregation], partial: Partial, _: &mut Shown) -> Result<Answer, EsError> {
        let Partial::Distinct(distinct) = partial else { return Err(EsError::internal("a metric without a number")) };
        let count = distinct.count();
        let mut members = Map::new();
        members.insert("value".to_owned(), count.into());
        if let Some(format) = &self.format {
            members.insert("value_as_string".to_owned(), format.number(count as f64).into());
        }
        Ok(Answer::Members(members))
    }

    fn number(&self, partial: &Partial, _: Option<&str>) -> Option<f64> {
        let Partial::Distinct(distinct) = partial else { return None };
        Some(distinct.count() as f64)
    }

    fn has_number(&self, property: Option<&str>) -> bool {
        property.is_none_or(|name| name == "value")
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
    /// Values that were not counted against the allowance yet.
    new: usize,
    allowance: &'a Allowance,
}

/// So many distinct values take the memory of one bucket.
const VALUES_A_BUCKET: usize = 4;

impl DistinctCollector<'_> {
    fn note_ord(&mut self, owner: u32, ord: u64) {
        if let (0, Some(first)) = (owner, &mut self.first) {
            first.insert(u32::try_from(ord).unwrap_or(u32::MAX));
            return;
        }
        if let Some(ords) = slot(&mut self.others, owner) {
            self.new += usize::from(ords.insert(ord, ()).is_none());
        }
    }

    fn note_hash(&mut self, owner: u32, hash: u64) {
        if let Some(distinct) = slot(&mut self.hashes, owner) {
            self.new += usize::from(distinct.insert(hash));
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

fn hash_bits(kind: NumberKind, bits: u64) -> u64 {
    match kind {
        NumberKind::Double => hash_number(kind.as_f64(bits)),
        // As milliseconds, which is what dates are told apart by.
        NumberKind::Date => hash_number(kind.as_i64(bits).div_euclid(1_000_000) as f64),
        // Large numbers lose digits as floats.
        _ if kind.as_i64(bits).unsigned_abs() < 1 << 53 => hash_number(kind.as_i64(bits) as f64),
        NumberKind::Unsigned => hash_of(NUMBER, &bits.to_le_bytes()),
        _ => hash_of(NUMBER, &kind.as_i64(bits).to_le_bytes()),
    }
}

impl Collect for DistinctCollector<'_> {
    fn collect(&mut self, docs: &[DocId], owners: &[u32]) -> Result<(), EsError> {
        let values = self.values.clone();
        for (doc, owner) in docs.iter().zip(owners) {
            let mut any = false;
            match &values {
                Values::Strings(column) => each_value(column.ords(), *doc, |ord| {
                    any = true;
                    self.note_ord(*owner, ord);
                }),
                Values::Numbers(column, kind) => each_value(column, *doc, |bits| {
                    any = true;
                    self.note_hash(*owner, hash_bits(*kind, bits));
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
        self.allowance.take_buckets(self.new / VALUES_A_BUCKET)?;
        self.new %= VALUES_A_BUCKET;
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
                // Many owners' values to look up take seconds.
                if self.allowance.stopped() == Some(Stopped::Cancelled) {
                    return Err(EsError::cancelled());
                }
                let mut ords: Vec<u64> = ords.into_keys().collect();
                ords.sort_unstable();
                add_texts(column, &ords, distinct)?;
            }
        }
        Ok(self.hashes.into_iter().map(Partial::Distinct).collect())
    }
}

fn add_texts(column: &StrColumn, ords: &[u64], distinct: &mut Distinct) -> Result<(), EsError> {
    column.dictionary().sorted_ords_to_term_cb(ords, |bytes| _ = distinct.insert(hash_of(TEXT, bytes)))?;
    Ok(())
}
