//! A field's values as bucket keys: bits while a part is read, the values themselves at its end.

use std::collections::HashMap;

use serde_json::Value;
use tantivy::DocId;
use tantivy::columnar::MonotonicallyMappableToU64;

use super::collect::Place;
use super::format::Format;
use super::key::Key;
use crate::query::columns::{NumberKind, Texts, Values, each_value};
use crate::query::error::EsError;
use crate::query::fields;
use crate::query::parse::plain_text;
use crate::store::registry::FieldType;

/// The bits of documents without a value; no column has so many distinct strings, and a number that is this large is
/// told apart by no stand-in being asked for.
pub(super) const MISSING: u64 = u64::MAX;

/// A field of one part.
#[derive(Clone)]
pub(super) struct KeyColumn {
    pub(super) values: Values,
    /// Whole numbers are shown as floats, because later values of the field are.
    as_double: bool,
    /// What stands for no value.
    missing: Option<Value>,
}

impl KeyColumn {
    pub(super) fn open(place: Place<'_>, field: &str, missing: Option<&Value>) -> Result<Self, EsError> {
        let values = Values::open(place.part, place.target.mapping, field)?;
        let kept = fields::place(place.target.mapping, field);
        let as_double = matches!(kept, fields::Place::Value(_, FieldType::Double));
        Ok(Self { values, as_double, missing: missing.cloned() })
    }

    /// Refuses a format that does not fit the values.
    pub(super) fn check_format(&self, format: Option<&Format>, field: &str) -> Result<(), EsError> {
        match &self.values {
            Values::Numbers(_, kind) => Format::check(format, *kind == NumberKind::Date, field),
            _ => Ok(()),
        }
    }

    /// The bits of a document, each once however often it has it; bits are in the order of the values.
    #[inline]
    pub(super) fn bits(&self, doc: DocId, into: &mut Vec<u64>) {
        into.clear();
        match &self.values {
            // Dates are told apart by their milliseconds, as Elasticsearch's are.
            Values::Numbers(column, NumberKind::Date) => each_value(column, doc, |bits| into.push(whole_ms(bits))),
            Values::Numbers(column, _) => each_value(column, doc, |bits| into.push(bits)),
            Values::Strings(column) => each_value(column.ords(), doc, |bits| into.push(bits)),
            Values::Constant(_) => into.push(0),
            Values::Nothing => {}
        }
        if into.is_empty() && self.missing.is_some() {
            into.push(MISSING);
        } else if into.len() > 1 {
            into.sort_unstable();
            into.dedup();
        }
    }

    /// The keys of bits, looked up together because dictionaries are compressed in blocks.
    pub(super) fn keys(&self, bits: impl Iterator<Item = u64>) -> Result<Lookup<'_>, EsError> {
        let texts = match &self.values {
            Values::Strings(column) => texts(column, bits.filter(|ord| *ord != MISSING).collect())?,
            _ => HashMap::new(),
        };
        Ok(Lookup { column: self, texts })
    }

    /// The bits of a key; `None` where the part has no such value.
    pub(super) fn bits_of(&self, key: &Key) -> Result<Option<u64>, EsError> {
        Ok(match (&self.values, key) {
            (Values::Strings(column), Key::Text(text)) => column.dictionary().term_ord(&*column.term_of(text))?,
            (Values::Constant(constant), Key::Text(text)) => (**constant == **text).then_some(0),
            (Values::Numbers(_, NumberKind::Boolean), Key::Boolean(flag)) => Some(u64::from(*flag)),
            (Values::Numbers(_, NumberKind::Date), Key::Date(nanos)) => Some(nanos.to_u64()),
            (Values::Numbers(_, kind), Key::Long(_) | Key::Unsigned(_) | Key::Double(_)) => match (kind, key) {
                (NumberKind::Double, _) => key.as_f64().map(MonotonicallyMappableToU64::to_u64),
                (NumberKind::Long, Key::Long(number)) => Some(number.to_u64()),
                (NumberKind::Unsigned, Key::Long(number)) => u64::try_from(*number).ok(),
                (NumberKind::Unsigned, Key::Unsigned(number)) => Some(*number),
                (_, Key::Double(_)) => {
                    key.as_f64().filter(|number| number.fract() == 0.0).map(|number| (number as i64).to_u64())
                }
                _ => None,
            },
            _ => None,
        })
    }

    fn missing_key(&self) -> Key {
        let value = self.missing.as_ref().unwrap_or(&Value::Null);
        match (&self.values, value) {
            (Values::Numbers(_, NumberKind::Boolean), other) => Key::Boolean(plain_text(other) == "true"),
            (Values::Numbers(_, NumberKind::Date), Value::String(text)) => {
                let instant = logmill_indexer_api::datemath::parse(text, jiff::Timestamp::now());
                let nanos = instant.ok().and_then(|instant| i64::try_from(instant.as_nanosecond()).ok());
                nanos.map_or_else(|| Key::Text(text.clone()), Key::Date)
            }
            (Values::Numbers(_, NumberKind::Date), Value::Number(number)) => {
                Key::Date(number.as_i64().unwrap_or_default().saturating_mul(1_000_000))
            }
            (Values::Numbers(..), Value::Number(number)) if self.as_double => {
                Key::double(number.as_f64().unwrap_or_default())
            }
            (Values::Numbers(..) | Values::Nothing, Value::Number(number)) => {
                number.as_i64().map_or_else(|| Key::double(number.as_f64().unwrap_or_default()), Key::Long)
            }
            (_, other) => Key::Text(plain_text(other)),
        }
    }

    fn number_key(&self, kind: NumberKind, bits: u64) -> Key {
        match kind {
            NumberKind::Boolean => Key::Boolean(bits == 1),
            NumberKind::Date => Key::Date(i64::from_u64(bits)),
            NumberKind::Double => Key::Double(bits),
            _ if self.as_double => Key::double(kind.as_f64(bits)),
            NumberKind::Long => Key::Long(i64::from_u64(bits)),
            NumberKind::Unsigned => i64::try_from(bits).map_or(Key::Unsigned(bits), Key::Long),
        }
    }

    /// The type that errors name.
    pub(super) fn type_name(&self) -> &'static str {
        match &self.values {
            Values::Numbers(_, NumberKind::Boolean) => "boolean",
            Values::Numbers(_, NumberKind::Date) => "date",
            Values::Numbers(_, NumberKind::Double) => "double",
            Values::Numbers(..) => "long",
            _ => "keyword",
        }
    }
}

fn whole_ms(bits: u64) -> u64 {
    (i64::from_u64(bits).div_euclid(1_000_000) * 1_000_000).to_u64()
}

/// Keys that were looked up.
pub(super) struct Lookup<'a> {
    column: &'a KeyColumn,
    texts: HashMap<u64, String>,
}

impl Lookup<'_> {
    pub(super) fn key(&self, bits: u64) -> Key {
        match &self.column.values {
            _ if bits == MISSING && self.column.missing.is_some() => self.column.missing_key(),
            Values::Strings(_) => Key::Text(self.texts.get(&bits).cloned().unwrap_or_default()),
            Values::Numbers(_, kind) => self.column.number_key(*kind, bits),
            Values::Constant(text) => Key::Text(text.to_string()),
            Values::Nothing => Key::Null,
        }
    }
}

fn texts(column: &Texts, mut ords: Vec<u64>) -> Result<HashMap<u64, String>, EsError> {
    ords.sort_unstable();
    ords.dedup();
    let mut texts = HashMap::with_capacity(ords.len());
    let mut next = ords.iter();
    column.dictionary().sorted_ords_to_term_cb(&ords, |bytes| {
        if let Some(ord) = next.next() {
            texts.insert(*ord, column.shown(&String::from_utf8_lossy(bytes)));
        }
    })?;
    Ok(texts)
}

/// Numbers lists of bits, so that several fields together can be one key.
#[derive(Default)]
pub(super) struct Tuples {
    numbers: HashMap<Box<[u64]>, u64>,
    tuples: Vec<Box<[u64]>>,
}

impl Tuples {
    pub(super) fn number(&mut self, tuple: &[u64]) -> u64 {
        if let Some(number) = self.numbers.get(tuple) {
            return *number;
        }
        let number = self.tuples.len() as u64;
        self.numbers.insert(tuple.into(), number);
        self.tuples.push(tuple.into());
        number
    }

    pub(super) fn get(&self, number: u64) -> &[u64] {
        usize::try_from(number).ok().and_then(|at| self.tuples.get(at)).map_or(&[], |tuple| tuple)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &[u64]> {
        self.tuples.iter().map(AsRef::as_ref)
    }
}

/// Calls `each` with every way to take one of each list; nothing when a list is empty.
pub(super) fn each_combination<T: Copy>(
    lists: &[Vec<T>],
    each: &mut dyn FnMut(&[T]) -> Result<(), EsError>,
) -> Result<(), EsError> {
    if lists.iter().any(Vec::is_empty) {
        return Ok(());
    }
    let mut places = vec![0; lists.len()];
    let mut tuple = Vec::with_capacity(lists.len());
    loop {
        tuple.clear();
        tuple.extend(lists.iter().zip(&places).filter_map(|(list, place)| list.get(*place).copied()));
        each(&tuple)?;
        // The last list runs fastest.
        let mut at = lists.len();
        loop {
            let Some(before) = at.checked_sub(1) else { return Ok(()) };
            at = before;
            let (Some(place), Some(list)) = (places.get_mut(at), lists.get(at)) else { return Ok(()) };
            *place += 1;
            if *place < list.len() {
                break;
            }
            *place = 0;
        }
    }
}
