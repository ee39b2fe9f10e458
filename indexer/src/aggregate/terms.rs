//! `terms`: a bucket for each value of a field.

use std::collections::HashMap;

use serde_json::Value;
use tantivy::DocId;
use tantivy::columnar::{Column, MonotonicallyMappableToU64, StrColumn};

use super::buckets::Buckets;
use super::partial::{Bucket, Key};
use super::request::{Choice, Terms};
use super::{Collect, Partial, Place, Siblings};
use crate::query::columns::{NumberKind, Values, each_value};
use crate::query::error::EsError;
use crate::query::fields;
use crate::query::limits::Allowance;
use crate::query::parse::plain_text;
use crate::store::registry::FieldType;

/// The key of documents without a value; no column has so many distinct strings, and a number that is this large
/// is told apart by `missing` not being asked for.
const MISSING: u64 = u64::MAX;

pub(super) struct TermsCollector<'a> {
    request: &'a Terms,
    values: Values,
    /// Whole numbers are shown as floats, because later values of the field are.
    as_double: bool,
    buckets: Buckets<'a>,
    seen: Vec<u64>,
    allowance: &'a Allowance,
}

impl<'a> TermsCollector<'a> {
    pub(super) fn open(request: &'a Terms, place: Place<'a>, children: Siblings<'a>) -> Result<Self, EsError> {
        let values = Values::open(place.part, place.target.mapping, &request.field)?;
        let kept = fields::place(place.target.mapping, &request.field);
        let as_double = matches!(kept, fields::Place::Value(_, FieldType::Double));
        let buckets = Buckets::new(children, place.allowance);
        Ok(Self { request, values, as_double, buckets, seen: Vec::new(), allowance: place.allowance })
    }

    fn over_column(&mut self, column: &Column<u64>, docs: &[DocId], owners: &[u32]) -> Result<(), EsError> {
        for (doc, owner) in docs.iter().zip(owners) {
            self.seen.clear();
            each_value(column, *doc, |bits| self.seen.push(bits));
            if self.seen.is_empty() && self.request.missing.is_some() {
                self.seen.push(MISSING);
            }
            // A document counts once for a value, however often it has it.
            if self.seen.len() > 1 {
                self.seen.sort_unstable();
                self.seen.dedup();
            }
            for bits in &self.seen {
                self.buckets.add(*doc, *owner, *bits)?;
            }
        }
        Ok(())
    }

    fn missing_key(&self) -> Key {
        let value = self.request.missing.as_ref().unwrap_or(&Value::Null);
        match (&self.values, value) {
            (Values::Numbers(_, NumberKind::Boolean), other) => Key::Boolean(plain_text(other) == "true"),
            (Values::Numbers(..), Value::Number(number)) if self.as_double => {
                Key::Double(number.as_f64().unwrap_or_default().to_u64())
            }
            (Values::Numbers(..) | Values::Nothing, Value::Number(number)) => {
                number.as_i64().map_or_else(|| Key::Double(number.as_f64().unwrap_or_default().to_u64()), Key::Long)
            }
            (_, other) => Key::Text(plain_text(other)),
        }
    }

    fn number_key(&self, kind: NumberKind, bits: u64) -> Key {
        match kind {
            NumberKind::Boolean => Key::Boolean(bits == 1),
            NumberKind::Date => Key::Date(i64::from_u64(bits)),
            NumberKind::Double => Key::Double(bits),
            _ if self.as_double => Key::Double(kind.as_f64(bits).to_u64()),
            NumberKind::Long => Key::Long(i64::from_u64(bits)),
            NumberKind::Unsigned => i64::try_from(bits).map_or(Key::Unsigned(bits), Key::Long),
        }
    }
}

impl Collect for TermsCollector<'_> {
    fn collect(&mut self, docs: &[DocId], owners: &[u32]) -> Result<(), EsError> {
        match self.values.clone() {
            Values::Numbers(column, _) => self.over_column(&column, docs, owners)?,
            Values::Strings(column) => self.over_column(column.ords(), docs, owners)?,
            Values::Constant(_) => {
                for (doc, owner) in docs.iter().zip(owners) {
                    self.buckets.add(*doc, *owner, 0)?;
                }
            }
            Values::Nothing if self.request.missing.is_some() => {
                for (doc, owner) in docs.iter().zip(owners) {
                    self.buckets.add(*doc, *owner, MISSING)?;
                }
            }
            Values::Nothing => {}
        }
        self.buckets.flush()
    }

    fn finish(mut self: Box<Self>, owners: usize) -> Result<Vec<Partial>, EsError> {
        let allowance = self.allowance;
        let buckets = std::mem::replace(&mut self.buckets, Buckets::new(Siblings(Vec::new()), allowance));
        let rows = buckets.finish(owners)?;
        let texts = match &self.values {
            Values::Strings(column) => texts(column, &rows)?,
            _ => HashMap::new(),
        };
        let key_of = |bits: u64| match &self.values {
            _ if bits == MISSING && self.request.missing.is_some() => self.missing_key(),
            Values::Strings(_) => Key::Text(texts.get(&bits).cloned().unwrap_or_default()),
            Values::Numbers(_, kind) => self.number_key(*kind, bits),
            Values::Constant(text) => Key::Text(text.to_string()),
            Values::Nothing => Key::Text(String::new()),
        };
        let mut partials = Vec::with_capacity(rows.len());
        for row in rows {
            let mut found: HashMap<Key, Bucket> = HashMap::with_capacity(row.len());
            for (bits, bucket) in row {
                let key = key_of(bits);
                if is_wanted(&key, self.request) {
                    // `missing` may name a value that other documents have.
                    match found.entry(key) {
                        std::collections::hash_map::Entry::Vacant(new) => {
                            new.insert(bucket);
                        }
                        std::collections::hash_map::Entry::Occupied(mut same) => {
                            same.get_mut().merge(bucket, allowance)?;
                        }
                    }
                } else {
                    allowance.give_back_buckets(1);
                }
            }
            partials.push(Partial::Terms(found));
        }
        Ok(partials)
    }
}

/// The texts behind the ordinals, read in order, because the dictionary is compressed in blocks.
fn texts(column: &StrColumn, rows: &[Vec<(u64, Bucket)>]) -> Result<HashMap<u64, String>, EsError> {
    let mut ords: Vec<u64> = rows.iter().flatten().map(|(ord, _)| *ord).filter(|ord| *ord != MISSING).collect();
    ords.sort_unstable();
    ords.dedup();
    let mut texts = HashMap::with_capacity(ords.len());
    let mut next = ords.iter();
    column.dictionary().sorted_ords_to_term_cb(&ords, |bytes| {
        if let Some(ord) = next.next() {
            texts.insert(*ord, String::from_utf8_lossy(bytes).into_owned());
        }
    })?;
    Ok(texts)
}

fn is_wanted(key: &Key, request: &Terms) -> bool {
    if request.include.is_none() && request.exclude.is_none() {
        return true;
    }
    let text = match key {
        Key::Text(text) => text.clone(),
        Key::Boolean(flag) => flag.to_string(),
        other => plain_text(&other.to_json()),
    };
    let chosen = |choice: &Choice| match choice {
        Choice::Values(values) => values.contains(&text),
        Choice::Pattern(regex) => regex.is_match(&text),
    };
    request.include.as_ref().is_none_or(chosen) && !request.exclude.as_ref().is_some_and(chosen)
}
