//! The order of hits. Within a part every document has a key of plain integers, so that comparing is cheap; across
//! parts the values themselves are compared. A hidden last key (the place on the bus) makes every order total.

use std::cmp::Ordering;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;
use tantivy::DocId;
use tantivy::columnar::{Cardinality, Column, MonotonicallyMappableToU64, TermOrdHit};

use super::columns::{self, NumberKind, Texts, Values};
use super::error::EsError;
use super::strict::Members;
use crate::dates::{self, Formats};
use crate::store::Part;
use crate::store::registry::Mapping;

/// Sort fields that a request may name.
const FIELDS_MAX: usize = 6;
/// The fields, what a point in time adds to them, and the hidden last key.
const KEYS: usize = FIELDS_MAX + 2;

/// One level of the order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SortField {
    pub(crate) field: String,
    pub(crate) descending: bool,
    /// Where documents without a value go.
    pub(crate) missing: Missing,
    pub(crate) format: Option<Formats>,
    /// Which of several values counts; `None`: the least for ascending, the greatest for descending.
    pub(crate) mode: Option<Mode>,
    /// What numbers are made to before they are compared.
    pub(crate) numeric: Option<Numeric>,
    /// Indexes that don't have the field are sorted as if all their values were missing.
    pub(crate) unmapped: bool,
}

/// Which of several values of a document counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Min,
    Max,
    Sum,
    Avg,
    Median,
}

/// `numeric_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Numeric {
    Long,
    Double,
    /// Instants, shown in milliseconds.
    Date,
    /// Instants, shown in nanoseconds.
    DateNanos,
}

/// Where documents without a value go.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Missing {
    First,
    Last,
    Instead(Value),
}

/// A value that hits are ordered by.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum SortValue {
    /// Before all others.
    First,
    Long(i64),
    Unsigned(u64),
    Double(f64),
    Boolean(bool),
    /// Nanoseconds since 1970.
    Date(i64),
    Text(String),
    /// After all others.
    Last,
}

impl SortField {
    pub(crate) fn new(field: &str, descending: bool) -> Self {
        let field = field.to_owned();
        Self { field, descending, missing: Missing::Last, format: None, mode: None, numeric: None, unmapped: false }
    }

    /// Reads `sort`: names, objects, or an array of both.
    pub(crate) fn read_all(value: Value) -> Result<Vec<Self>, EsError> {
        let items = match value {
            Value::Array(items) => items,
            single => vec![single],
        };
        let mut fields = Vec::new();
        for item in items {
            match item {
                Value::String(text) => fields.push(Self::from_text(&text)?),
                other => {
                    let mut members = Members::new(other, "[sort]")?;
                    while let Some((field, options)) = members.take_one() {
                        fields.push(Self::read(&field, options)?);
                    }
                }
            }
        }
        if fields.len() > FIELDS_MAX {
            return Err(EsError::argument(format!("[sort] takes at most {FIELDS_MAX} fields, not {}", fields.len())));
        }
        Ok(fields)
    }

    /// `field` or `field:desc`.
    pub(crate) fn from_text(text: &str) -> Result<Self, EsError> {
        match text.rsplit_once(':') {
            Some((field, order)) => Self::read(field, order.into()),
            None => Ok(Self::new(text, text == "_score")),
        }
    }

    fn read(field: &str, options: Value) -> Result<Self, EsError> {
        if field == "_geo_distance" || field == "_script" {
            return Err(EsError::argument(format!("[sort] by [{field}] is not supported")));
        }
        let mut sort = Self::new(field, field == "_score");
        let mut members = match options {
            Value::String(order) => Members::new(serde_json::json!({ "order": order }), "[sort]")?,
            other => Members::new(other, format!("[sort] on [{field}]"))?,
        };
        let unmapped = members.string("unmapped_type")?.is_some();
        sort.unmapped = unmapped || members.boolean("ignore_unmapped")?.unwrap_or(false);
        match members.string("order")?.map(|order| order.to_ascii_lowercase()).as_deref() {
            None => {}
            Some("asc") => sort.descending = false,
            Some("desc") => sort.descending = true,
            Some(other) => return Err(EsError::argument(format!("[sort] needs asc or desc, not [{other}]"))),
        }
        sort.mode = match members.string("mode")?.as_deref() {
            None => None,
            Some("min") => Some(Mode::Min),
            Some("max") => Some(Mode::Max),
            Some("sum") => Some(Mode::Sum),
            Some("avg") => Some(Mode::Avg),
            Some("median") => Some(Mode::Median),
            Some(other) => return Err(EsError::argument(format!("Unknown SortMode [{other}]"))),
        };
        sort.numeric = match members.string("numeric_type")?.as_deref() {
            None => None,
            Some("long") => Some(Numeric::Long),
            Some("double") => Some(Numeric::Double),
            Some("date") => Some(Numeric::Date),
            Some("date_nanos") => Some(Numeric::DateNanos),
            Some(other) => {
                return Err(EsError::argument(format!(
                    "invalid value for [numeric_type], must be one of [long, double, date, date_nanos], not [{other}]"
                )));
            }
        };
        if members.take("nested").is_some() || members.take("nested_path").is_some() {
            return Err(EsError::argument(format!(
                "[sort] on [{field}]: [nested] is not supported, objects in arrays are kept flat; sort by the dotted name"
            )));
        }
        let refused = |error| EsError::argument(format!("[sort] on [{field}]: {error}"));
        sort.format =
            members.string("format")?.map(|format| Formats::read_to_write(&format).map_err(refused)).transpose()?;
        match members.take("missing") {
            None => {}
            Some(Value::String(place)) if place == "_last" => {}
            Some(Value::String(place)) if place == "_first" => sort.missing = Missing::First,
            Some(value) => sort.missing = Missing::Instead(value),
        }
        members.end().map(|()| sort)
    }

    /// A value as hits show it.
    pub(crate) fn show(&self, value: &SortValue) -> Value {
        match (self.numeric, value) {
            (Some(Numeric::DateNanos), SortValue::Date(nanos)) if self.format.is_none() => (*nanos).into(),
            (Some(Numeric::Date), SortValue::Date(nanos)) if self.format.is_none() => {
                nanos.div_euclid(1_000_000).into()
            }
            (_, SortValue::Text(text)) if text.starts_with(columns::ADDRESS) => columns::shown_address(text).into(),
            _ => value.to_json(self.format.as_ref()),
        }
    }
}

impl SortValue {
    /// Reads a member of `search_after`.
    pub(crate) fn read(value: &Value, field: &SortField, is_date: bool, now: Timestamp) -> Result<Self, EsError> {
        Ok(match value {
            Value::Null if field.missing == Missing::First => Self::First,
            Value::Null => Self::Last,
            Value::Bool(flag) => Self::Boolean(*flag),
            _ if is_date => {
                let bounds = super::clause::Bounds {
                    lower: Some((value.clone(), true)),
                    format: field.format.clone(),
                    ..Default::default()
                };
                Self::Date(super::compile::nanos_of(&bounds, now)?.0)
            }
            Value::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
                (Some(long), ..) => Self::Long(long),
                (_, Some(unsigned), _) => Self::Unsigned(unsigned),
                (_, _, Some(double)) => Self::Double(double),
                _ => return Err(EsError::argument("a number of [search_after] is out of range")),
            },
            Value::String(text) => Self::Text(text.clone()),
            _ => return Err(EsError::argument("[search_after] takes plain values only")),
        })
    }

    /// As hits show it. Dates in milliseconds, or as text where those would not be exact: paging must not skip any.
    pub(crate) fn to_json(&self, format: Option<&Formats>) -> Value {
        match self {
            Self::First | Self::Last => Value::Null,
            Self::Long(number) => (*number).into(),
            Self::Unsigned(number) => (*number).into(),
            Self::Double(number) => columns::json_f64(*number),
            Self::Boolean(flag) => i64::from(*flag).into(),
            Self::Date(nanos) => match format {
                Some(format) => format.print(*nanos, &TimeZone::UTC).into(),
                None if nanos.rem_euclid(1_000_000) == 0 => (nanos / 1_000_000).into(),
                None => dates::rfc3339(*nanos).into(),
            },
            Self::Text(text) => text.as_str().into(),
        }
    }

    /// The value of a column's bits.
    pub(crate) fn of_bits(kind: NumberKind, bits: u64) -> Self {
        match kind {
            NumberKind::Long => Self::Long(i64::from_u64(bits)),
            NumberKind::Unsigned => Self::Unsigned(bits),
            NumberKind::Double => Self::Double(f64::from_u64(bits)),
            NumberKind::Boolean => Self::Boolean(bits == 1),
            NumberKind::Date => Self::Date(i64::from_u64(bits)),
        }
    }

    const fn rank(&self) -> u8 {
        match self {
            Self::First => 0,
            Self::Last => 3,
            Self::Text(_) => 2,
            _ => 1,
        }
    }

    fn as_i128(&self) -> Option<i128> {
        match self {
            Self::Long(number) | Self::Date(number) => Some(i128::from(*number)),
            Self::Unsigned(number) => Some(i128::from(*number)),
            Self::Boolean(flag) => Some(i128::from(*flag)),
            _ => None,
        }
    }

    fn as_f64(&self) -> f64 {
        match self {
            Self::Double(number) => *number,
            other => other.as_i128().map_or(0.0, |number| number as f64),
        }
    }

    /// Which comes first.
    pub(crate) fn order(&self, other: &Self, descending: bool) -> Ordering {
        let ranks = (self.rank(), other.rank());
        let ends = |rank: u8| rank == 0 || rank == 3;
        let order = match (self, other) {
            _ if ends(ranks.0) || ends(ranks.1) => return ranks.0.cmp(&ranks.1),
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            _ if ranks.0 != ranks.1 => ranks.0.cmp(&ranks.1),
            _ => match (self.as_i128(), other.as_i128()) {
                (Some(a), Some(b)) => a.cmp(&b),
                _ => self.as_f64().total_cmp(&other.as_f64()),
            },
        };
        if descending { order.reverse() } else { order }
    }
}

/// A document's place in the order of one part: smaller is earlier.
pub(crate) type Key = [u128; KEYS];

/// The levels of an order, opened for one part.
pub(crate) struct PartOrder {
    levels: Vec<Level>,
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
        Ok(Self { levels: levels.collect::<Result<_, _>>()? })
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
                let value = SortValue::read(value, field, is_date, Timestamp::now())?;
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

/// Compares whole orders.
pub(crate) fn order(a: &[SortValue], b: &[SortValue], fields: &[SortField]) -> Ordering {
    let hidden_descending = fields.first().is_none_or(|field| field.descending);
    for (at, (a, b)) in a.iter().zip(b).enumerate() {
        let descending = fields.get(at).map_or(hidden_descending, |field| field.descending);
        match a.order(b, descending) {
            Ordering::Equal => {}
            unequal => return unequal,
        }
    }
    Ordering::Equal
}

/// Reads `search_after`.
pub(crate) fn read_after(
    values: &[Value],
    fields: &[SortField],
    is_date: impl Fn(&str) -> bool,
    now: Timestamp,
) -> Result<Vec<SortValue>, EsError> {
    if values.len() != fields.len() {
        let reason = format!("search_after has {} value(s) but sort has {}", values.len(), fields.len());
        return Err(EsError::argument(reason));
    }
    values.iter().zip(fields).map(|(value, field)| SortValue::read(value, field, is_date(&field.field), now)).collect()
}
