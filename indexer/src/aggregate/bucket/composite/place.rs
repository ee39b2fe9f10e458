//! Where the values of a source stand in the order of one part, as whole numbers that are cheap to compare.

use std::cmp::Ordering;

use jiff::tz::TimeZone;
use serde_json::Value;
use tantivy::DocId;
use tantivy::columnar::{MonotonicallyMappableToU64, TermOrdHit};

use super::super::date_histogram::{dates, millis};
use super::source::{Source, SourceKind};
use crate::aggregate::collect::Place;
use crate::aggregate::format::Format;
use crate::aggregate::key::Key;
use crate::aggregate::keys::KeyColumn;
use crate::aggregate::read;
use crate::aggregate::rounding::Rounding;
use crate::query::columns::{NumberKind, Values};
use crate::query::error::EsError;

/// Places in the order of a part: where documents without a value stand, and what lies between.
const BEFORE_ALL: u128 = 0;
const PRESENT: u128 = 1 << 70;
const AFTER_ALL: u128 = 1 << 80;
/// Twice 64 bits and one.
const SPAN: u128 = 1 << 66;

/// A source of one part.
pub(super) struct PartSource<'a> {
    source: &'a Source,
    column: KeyColumn,
    rounding: Option<Rounding>,
    bits: Vec<u64>,
}

impl<'a> PartSource<'a> {
    pub(super) fn open(source: &'a Source, place: Place<'a>) -> Result<Self, EsError> {
        let column = KeyColumn::open(place, &source.field, None)?;
        let mut rounding = None;
        match &source.kind {
            SourceKind::Terms => column.check_format(source.format.as_ref(), &source.field)?,
            SourceKind::Histogram { .. }
                if column.type_name() == "keyword" && !matches!(column.values, Values::Nothing) =>
            {
                return Err(read::wrong_type(&source.field, "keyword", "composite"));
            }
            SourceKind::Histogram { .. } => Format::check(source.format.as_ref(), false, &source.field)?,
            SourceKind::DateHistogram { interval, zone, offset_ms } => {
                dates(place, &source.field, "composite")?;
                Format::check(source.format.as_ref(), true, &source.field)?;
                rounding = Some(Rounding::new(*interval, zone, *offset_ms));
            }
        }
        Ok(Self { source, column, rounding, bits: Vec::new() })
    }

    fn present(&self, place: u128) -> u128 {
        PRESENT + if self.source.descending { SPAN - place } else { place }
    }

    const fn missing(&self) -> u128 {
        if self.source.missing_first { BEFORE_ALL } else { AFTER_ALL }
    }

    /// Where a document stands, once for each of its values.
    pub(super) fn places(&mut self, doc: DocId, into: &mut Vec<u128>) {
        into.clear();
        let mut bits = std::mem::take(&mut self.bits);
        self.column.bits(doc, &mut bits);
        for bits in &bits {
            let ordinal = self.ordinal(*bits);
            let place = self.present(exactly(ordinal));
            if into.last() != Some(&place) {
                into.push(place);
            }
        }
        if into.len() > 1 {
            into.sort_unstable();
            into.dedup();
        }
        if into.is_empty() && self.source.missing_bucket {
            into.push(self.missing());
        }
        self.bits = bits;
    }

    /// A value, or the bucket that it lies in, in an order of whole numbers.
    fn ordinal(&mut self, bits: u64) -> u64 {
        match (&self.source.kind, &self.column.values, &mut self.rounding) {
            (SourceKind::Histogram { interval }, Values::Numbers(_, kind), _) => {
                shifted((kind.as_f64(bits) / interval).floor() as i64)
            }
            (SourceKind::DateHistogram { .. }, Values::Numbers(_, kind), Some(rounding)) => {
                shifted(rounding.start(millis(*kind, bits)))
            }
            _ => bits,
        }
    }

    /// Where a key from elsewhere stands.
    pub(super) fn place_of(&self, key: &Key) -> Result<u128, EsError> {
        let place = match (&self.source.kind, key) {
            (_, Key::Null) => return Ok(self.missing()),
            (SourceKind::Histogram { interval }, key) => {
                exactly(shifted((key.as_f64().unwrap_or_default() / interval).round() as i64))
            }
            (SourceKind::DateHistogram { .. }, Key::Date(nanos)) => exactly(shifted(nanos.div_euclid(1_000_000))),
            (_, key) => self.place_of_term(key)?,
        };
        Ok(self.present(place.min(SPAN)))
    }

    fn place_of_term(&self, key: &Key) -> Result<u128, EsError> {
        let refused = || {
            EsError::argument(format!(
                "[after.{}] is no value of a field of type [{}]",
                self.source.name,
                self.column.type_name()
            ))
        };
        Ok(match (&self.column.values, key) {
            (Values::Nothing, _) => 0,
            (Values::Strings(column), Key::Text(text)) => {
                match column.dictionary().term_ord_or_next(&*column.term_of(text))? {
                    TermOrdHit::Exact(ord) => exactly(ord),
                    TermOrdHit::Next(ord) => u128::from(ord) * 2,
                }
            }
            (Values::Constant(constant), Key::Text(text)) => match text.as_str().cmp(constant) {
                Ordering::Less => 0,
                Ordering::Equal => exactly(0),
                Ordering::Greater => SPAN,
            },
            (Values::Numbers(_, NumberKind::Boolean), Key::Boolean(flag)) => exactly(u64::from(*flag)),
            (Values::Numbers(_, NumberKind::Date), Key::Long(ms)) => exactly(ms.saturating_mul(1_000_000).to_u64()),
            (Values::Numbers(_, NumberKind::Date), Key::Text(text)) => {
                let ms = read::date_ms(&Value::String(text.clone()), &TimeZone::UTC, "[after]")?;
                exactly(ms.saturating_mul(1_000_000).to_u64())
            }
            (Values::Numbers(_, kind), Key::Long(_) | Key::Unsigned(_) | Key::Double(_)) => number_place(*kind, key),
            _ => return Err(refused()),
        })
    }

    /// The keys of places, each with its bits.
    pub(super) fn keys(&self, places: &[u128]) -> Result<Vec<Key>, EsError> {
        let ordinal = |place: u128| {
            let place = place - PRESENT;
            let place = if self.source.descending { SPAN - place } else { place };
            u64::try_from(place / 2).unwrap_or(u64::MAX)
        };
        let is_value = |place: u128| place != BEFORE_ALL && place != AFTER_ALL;
        let lookup = self.column.keys(places.iter().filter(|place| is_value(**place)).map(|place| ordinal(*place)))?;
        let key = |place: u128| match &self.source.kind {
            _ if !is_value(place) => Key::Null,
            SourceKind::Terms => lookup.key(ordinal(place)),
            SourceKind::Histogram { interval } => Key::double(unshifted(ordinal(place)) as f64 * interval),
            SourceKind::DateHistogram { .. } => Key::Date(unshifted(ordinal(place)).saturating_mul(1_000_000)),
        };
        Ok(places.iter().map(|place| key(*place)).collect())
    }
}

const fn exactly(bits: u64) -> u128 {
    bits as u128 * 2 + 1
}

const fn shifted(number: i64) -> u64 {
    number.wrapping_sub(i64::MIN) as u64
}

const fn unshifted(bits: u64) -> i64 {
    (bits as i64).wrapping_add(i64::MIN)
}

/// Where a number stands among a column's numbers.
fn number_place(kind: NumberKind, key: &Key) -> u128 {
    let number = key.as_f64().unwrap_or_default();
    match (kind, key) {
        (NumberKind::Double, _) => exactly(number.to_u64()),
        (NumberKind::Long, Key::Long(long)) => exactly(long.to_u64()),
        (NumberKind::Long, Key::Unsigned(_)) => SPAN,
        (NumberKind::Unsigned, Key::Unsigned(unsigned)) => exactly(*unsigned),
        (NumberKind::Unsigned, Key::Long(long)) => u64::try_from(*long).map_or(0, exactly),
        (NumberKind::Long, _) => exactly((number.floor() as i64).to_u64()) + u128::from(number.fract() != 0.0),
        _ if number < 0.0 => 0,
        _ => exactly(number.floor() as u64) + u128::from(number.fract() != 0.0),
    }
}
