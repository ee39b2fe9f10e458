//! The order of one part's documents: each has a key of plain integers, which stand for values of the part's own columns.

use std::cmp::Ordering;

use jiff::Timestamp;
use tantivy::DocId;
use tantivy::columnar::{Cardinality, Column, MonotonicallyMappableToU64, TermOrdHit};

use super::field::{FIELDS_MAX, Missing, Mode, Numeric, SortField};
use super::value::SortValue;
use crate::query::columns::{self, NumberKind, Texts, Values};
use crate::query::error::EsError;
use crate::schema::TIMESTAMP;
use crate::store::Part;
use crate::store::registry::Mapping;

/// The fields, what a point in time adds to them, and the hidden last key.
const KEYS: usize = FIELDS_MAX + 2;

/// A document's place in the order of one part: smaller is earlier.
pub(crate) type Key = [u128; KEYS];

/// The levels of an order, opened for one part.
pub(crate) struct PartOrder {
    levels: Vec<Level>,
    /// The first level is the time of events.
    by_time: bool,
}

struct Level {
    values: Opened,
    descending: bool,
    missing: u128,
    mode: Mode,
    numeric: Option<Numeric>,
}

enum Opened {
    /// How well a document matches; no column.
    Score,
    Numbers(Column<u64>, NumberKind),
    Strings(Texts),
    /// The same for every document.
    Same(SortValue),
}

const MISSING_FIRST: u128 = 0;
const PRESENT: u128 = 1 << 80;
const MISSING_LAST: u128 = 1 << 90;
/// What is present lies below this: twice 64 bits, plus one.
const SPAN: u128 = 1 << 66;

/// An exact value at odd places; what lies between two values at even ones.
const fn exactly(bits: u64) -> u128 {
    bits as u128 * 2 + 1
}

impl PartOrder {
    /// Opens the columns. `fields` must hold at most [`FIELDS_MAX`] fields; the hidden key is added.
    pub(crate) fn open(part: &Part, mapping: &Mapping, fields: &[SortField]) -> Result<Self, EsError> {
        let hidden = SortField::new("_doc", fields.first().is_none_or(|field| field.descending));
        let levels = fields.iter().chain(std::iter::once(&hidden)).map(|field| Level::open(part, mapping, field));
        let by_time = fields.first().is_some_and(|field| field.field == TIMESTAMP);
        Ok(Self { levels: levels.collect::<Result<_, _>>()?, by_time })
    }

    /// Whether the first level is the time of events.
    pub(crate) const fn is_by_time(&self) -> bool {
        self.by_time
    }

    /// The first level of a document's key.
    #[inline]
    pub(crate) fn first(&self, doc: DocId, score: f32) -> u128 {
        self.levels.first().map_or(0, |level| level.key(doc, score))
    }

    pub(crate) fn key(&self, doc: DocId, score: f32) -> Key {
        let mut key = [0; KEYS];
        for (slot, level) in key.iter_mut().zip(&self.levels) {
            *slot = level.key(doc, score);
        }
        key
    }

    /// The bounds of the first level's keys, where the column tells them.
    pub(crate) fn span(&self) -> Option<(u128, u128)> {
        let level = self.levels.first()?;
        let Opened::Numbers(column, kind) = &level.values else { return None };
        if column.get_cardinality() != Cardinality::Full {
            return None;
        }
        let ends = [column.min_value(), column.max_value()].map(|bits| level.present(exactly(level.made(*kind, bits))));
        ends.iter().min().copied().zip(ends.iter().max().copied())
    }

    /// The bounds of the first level's keys in each stretch of the part, where it is by time.
    pub(crate) fn stretches(&self, part: &Part) -> Vec<(u128, u128)> {
        let Some(level @ Level { values: Opened::Numbers(times, kind), .. }) = self.levels.first() else {
            return Vec::new();
        };
        let place = |bits| level.present(exactly(level.made(*kind, bits)));
        let bounds = part.time_stretches(times).iter().map(|(least, greatest)| {
            let (one, other) = (place(*least), place(*greatest));
            (one.min(other), one.max(other))
        });
        bounds.collect()
    }

    /// Where values from elsewhere stand among this part's keys; what is not given stands last of its equals.
    pub(crate) fn encode(&self, values: &[SortValue]) -> Result<Key, EsError> {
        let mut key = [u128::MAX; KEYS];
        for ((slot, level), value) in key.iter_mut().zip(&self.levels).zip(values) {
            *slot = level.encode(value)?;
        }
        if let Some(unused) = key.get_mut(self.levels.len()..) {
            unused.fill(0);
        }
        Ok(key)
    }

    /// The values behind a document's key, the hidden one included.
    pub(crate) fn values(&self, key: &Key) -> Result<Vec<SortValue>, EsError> {
        self.levels.iter().zip(key).map(|(level, key)| level.decode(*key)).collect()
    }
}

impl Level {
    fn open(part: &Part, mapping: &Mapping, field: &SortField) -> Result<Self, EsError> {
        let values = match field.field.as_str() {
            "_score" => Opened::Score,
            name => match Values::open(part, mapping, name)? {
                Values::Numbers(column, kind) => Opened::Numbers(column, kind),
                Values::Strings(column) => Opened::Strings(column),
                Values::Constant(text) => Opened::Same(SortValue::Text(text.to_string())),
                Values::Nothing => Opened::Same(SortValue::Last),
            },
        };
        let natural = if field.descending { Mode::Max } else { Mode::Min };
        let mode = field.mode.unwrap_or(natural);
        check_mode(field, mode, &values)?;
        let (descending, missing) = (field.descending, MISSING_LAST);
        let mut level = Self { values, descending, missing, mode, numeric: field.numeric };
        match &field.missing {
            Missing::Last => {}
            Missing::First => {
                level.missing = MISSING_FIRST;
                if let Opened::Same(value @ SortValue::Last) = &mut level.values {
                    *value = SortValue::First;
                }
            }
            Missing::Instead(value) => {
                let is_date = matches!(level.values, Opened::Numbers(_, NumberKind::Date));
                let value = field.read_value(value, is_date, Timestamp::now())?;
                level.missing = level.encode(&value)?;
                if let Opened::Same(same @ SortValue::Last) = &mut level.values {
                    *same = value;
                }
            }
        }
        Ok(level)
    }

    #[inline]
    fn key(&self, doc: DocId, score: f32) -> u128 {
        let (column, kind) = match &self.values {
            Opened::Score => return self.present(exactly(f64::from(score).to_u64())),
            Opened::Numbers(column, kind) => (column, *kind),
            Opened::Strings(column) => (column.ords(), NumberKind::Unsigned),
            Opened::Same(SortValue::First) => return MISSING_FIRST,
            Opened::Same(SortValue::Last) => return MISSING_LAST,
            Opened::Same(_) => return PRESENT,
        };
        let mut chosen: Option<u64> = None;
        match self.mode {
            Mode::Min => columns::each_value(column, doc, |bits| {
                chosen = Some(chosen.map_or(bits, |known| known.min(bits)));
            }),
            Mode::Max => columns::each_value(column, doc, |bits| {
                chosen = Some(chosen.map_or(bits, |known| known.max(bits)));
            }),
            _ => {
                let mut values = Vec::new();
                columns::each_value(column, doc, |bits| values.push(bits));
                chosen = combined(self.mode, kind, values);
            }
        }
        chosen.map_or(self.missing, |bits| self.present(exactly(self.made(kind, bits))))
    }

    /// The kind of the numbers that are compared.
    const fn kind(&self, kind: NumberKind) -> NumberKind {
        match self.numeric {
            Some(Numeric::Long) => NumberKind::Long,
            Some(Numeric::Double) => NumberKind::Double,
            Some(Numeric::Date | Numeric::DateNanos) => NumberKind::Date,
            None => kind,
        }
    }

    /// The bits of a number after `numeric_type`.
    fn made(&self, kind: NumberKind, bits: u64) -> u64 {
        match self.numeric {
            None => bits,
            Some(Numeric::Double) => kind.as_f64(bits).to_u64(),
            Some(Numeric::Long | Numeric::Date | Numeric::DateNanos) => kind.as_i64(bits).to_u64(),
        }
    }

    const fn present(&self, place: u128) -> u128 {
        PRESENT + if self.descending { SPAN - place } else { place }
    }

    fn decode(&self, key: u128) -> Result<SortValue, EsError> {
        match (&self.values, key) {
            (Opened::Same(value), _) => return Ok(value.clone()),
            (_, MISSING_FIRST) => return Ok(SortValue::First),
            (_, MISSING_LAST) => return Ok(SortValue::Last),
            _ => {}
        }
        let place = key - PRESENT;
        let place = if self.descending { SPAN - place } else { place };
        let bits = u64::try_from(place / 2).unwrap_or(u64::MAX);
        Ok(match &self.values {
            Opened::Strings(column) => {
                let mut text = String::new();
                column.ord_to_key(bits, &mut text)?;
                SortValue::Text(text)
            }
            Opened::Score => SortValue::Double(f64::from_u64(bits)),
            Opened::Numbers(_, kind) => SortValue::of_bits(self.kind(*kind), bits),
            Opened::Same(value) => value.clone(),
        })
    }

    fn encode(&self, value: &SortValue) -> Result<u128, EsError> {
        let rank = value.rank();
        if rank == 0 || rank == 3 {
            return Ok(if rank == 0 { MISSING_FIRST } else { MISSING_LAST });
        }
        let before_all = 0;
        let after_all = SPAN;
        let place = match (&self.values, value) {
            (Opened::Same(same), _) => {
                // One key for the whole part: the value stands before, at, or after it. Where the part has no values,
                // anything between the two ends will do.
                return Ok(match value.order(same, self.descending) {
                    Ordering::Less => PRESENT - 1,
                    Ordering::Equal => PRESENT,
                    Ordering::Greater => PRESENT + 1,
                });
            }
            (Opened::Strings(column), SortValue::Text(text)) => {
                match column.dictionary().term_ord_or_next(&*column.term_of(text))? {
                    TermOrdHit::Exact(ord) => exactly(ord),
                    // The next greater one's, or one past the last.
                    TermOrdHit::Next(ord) => u128::from(ord) * 2,
                }
            }
            (Opened::Strings(_), _) => before_all,
            (Opened::Numbers(..) | Opened::Score, SortValue::Text(_)) => after_all,
            (Opened::Score, number) => number_place(NumberKind::Double, number),
            (Opened::Numbers(_, kind), number) => number_place(self.kind(*kind), number),
        };
        Ok(self.present(place.min(SPAN)))
    }
}

/// Strings have no sums, and instants are not made of other things.
fn check_mode(field: &SortField, mode: Mode, values: &Opened) -> Result<(), EsError> {
    let is_text = matches!(values, Opened::Strings(_) | Opened::Same(SortValue::Text(_)));
    let is_date = matches!(values, Opened::Numbers(_, NumberKind::Date));
    let name = &field.field;
    if is_text && !matches!(mode, Mode::Min | Mode::Max) {
        return Err(EsError::argument(format!(
            "we only support AVG, MEDIAN and SUM on number based fields, and [{name}] is none"
        )));
    }
    let wants_date = matches!(field.numeric, Some(Numeric::Date | Numeric::DateNanos));
    let fits = field.numeric.is_none() || matches!(values, Opened::Same(_)) || (wants_date == is_date && !is_text);
    if fits {
        return Ok(());
    }
    Err(EsError::argument(format!("[numeric_type] of [sort] on [{name}] does not fit the field's type")))
}

/// Sum, mean or median of a document's values, in the kind of the column; whole numbers are rounded.
fn combined(mode: Mode, kind: NumberKind, mut values: Vec<u64>) -> Option<u64> {
    values.sort_unstable();
    let (low, high) = (values.get(values.len().checked_sub(1)? / 2)?, values.get(values.len() / 2)?);
    let number = values.len();
    if kind == NumberKind::Double {
        let sum: f64 = values.iter().map(|bits| f64::from_u64(*bits)).sum();
        let result = match mode {
            Mode::Sum => sum,
            Mode::Avg => sum / number as f64,
            _ => f64::midpoint(f64::from_u64(*low), f64::from_u64(*high)),
        };
        return Some(result.to_u64());
    }
    let whole = |bits: u64| match kind {
        NumberKind::Long | NumberKind::Date => i128::from(i64::from_u64(bits)),
        _ => i128::from(bits),
    };
    let rounded = |sum: i128, parts: i128| (2 * sum + parts).div_euclid(2 * parts);
    let sum: i128 = values.iter().map(|bits| whole(*bits)).sum();
    let result = match mode {
        Mode::Sum => sum,
        Mode::Avg => rounded(sum, number as i128),
        _ => rounded(whole(*low) + whole(*high), 2),
    };
    Some(match kind {
        NumberKind::Long | NumberKind::Date => {
            i64::try_from(result).unwrap_or(if result < 0 { i64::MIN } else { i64::MAX }).to_u64()
        }
        _ => u64::try_from(result).unwrap_or(u64::MAX),
    })
}

/// Where a number stands among a column's numbers.
fn number_place(kind: NumberKind, number: &SortValue) -> u128 {
    if kind == NumberKind::Double {
        return exactly(number.as_f64().to_u64());
    }
    let (least, greatest) = match kind {
        NumberKind::Unsigned | NumberKind::Boolean => (0, i128::from(u64::MAX)),
        _ => (i128::from(i64::MIN), i128::from(i64::MAX)),
    };
    let (whole, is_exact) = match number.as_i128() {
        Some(whole) => (whole, true),
        None => {
            let float = number.as_f64();
            (float.floor() as i128, float.fract() == 0.0)
        }
    };
    if whole < least {
        return 0;
    }
    if whole > greatest {
        return SPAN;
    }
    let bits = match kind {
        NumberKind::Unsigned | NumberKind::Boolean => u64::try_from(whole).unwrap_or(0),
        _ => i64::try_from(whole).unwrap_or(0).to_u64(),
    };
    exactly(bits) + u128::from(!is_exact)
}
