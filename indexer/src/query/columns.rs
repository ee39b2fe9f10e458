//! The values of a field in one part, column by column: what sorting and aggregations read.

use serde_json::{Number, Value};
use std::sync::Arc;
use tantivy::DocId;
use tantivy::columnar::{Cardinality, Column, ColumnType, MonotonicallyMappableToU64, StrColumn};

use super::error::EsError;
use super::fields::{self, Place};
use crate::store::Part;
use crate::store::mapping::ip;
use crate::store::registry::{FieldType, Mapping};

/// How the 64 bits of a column are to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NumberKind {
    Long,
    Unsigned,
    Double,
    Boolean,
    /// Nanoseconds since 1970.
    Date,
}

/// A column of one part.
#[derive(Clone)]
pub(crate) enum Values {
    Numbers(Column<u64>, NumberKind),
    Strings(Texts),
    /// Every document has it: `_index`.
    Constant(Arc<str>),
    Nothing,
}

/// Stands before addresses while they are sorted: their terms have the right order, what people write has not.
pub(crate) const ADDRESS: char = '\u{1}';

/// An address that was sorted, as people write it.
pub(crate) fn shown_address(key: &str) -> String {
    let term = key.strip_prefix(ADDRESS).unwrap_or(key);
    ip::decode(term).unwrap_or_else(|| term.to_owned())
}

/// A column of strings.
#[derive(Clone)]
pub(crate) struct Texts {
    column: StrColumn,
    /// The strings are addresses, as the index writes them.
    is_ip: bool,
}

impl Texts {
    /// The string of an ordinal, as people write it.
    pub(crate) fn ord_to_str(&self, ord: u64, into: &mut String) -> std::io::Result<bool> {
        let found = self.column.ord_to_str(ord, into)?;
        if let Some(address) = self.is_ip.then(|| ip::decode(into)).flatten() {
            *into = address;
        }
        Ok(found)
    }

    /// The string of an ordinal so that strings of several parts compare in their order.
    pub(crate) fn ord_to_key(&self, ord: u64, into: &mut String) -> std::io::Result<bool> {
        let found = self.column.ord_to_str(ord, into)?;
        if self.is_ip {
            into.insert(0, ADDRESS);
        }
        Ok(found)
    }

    /// The term of a key, or of an address as people write it.
    pub(crate) fn term_of<'t>(&self, text: &'t str) -> std::borrow::Cow<'t, str> {
        match text.strip_prefix(ADDRESS) {
            Some(term) => term.into(),
            None => self.is_ip.then(|| ip::parse(text)).flatten().map_or(text.into(), Into::into),
        }
    }

    /// A term of the dictionary as people write it.
    pub(crate) fn shown(&self, term: &str) -> String {
        self.is_ip.then(|| ip::decode(term)).flatten().unwrap_or_else(|| term.to_owned())
    }
}

impl std::ops::Deref for Texts {
    type Target = StrColumn;

    fn deref(&self) -> &StrColumn {
        &self.column
    }
}

impl NumberKind {
    const fn of(column: ColumnType) -> Option<Self> {
        Some(match column {
            ColumnType::I64 => Self::Long,
            ColumnType::U64 => Self::Unsigned,
            ColumnType::F64 => Self::Double,
            ColumnType::Bool => Self::Boolean,
            ColumnType::DateTime => Self::Date,
            _ => return None,
        })
    }

    /// As a number to calculate with; dates in milliseconds.
    pub(crate) fn as_f64(self, bits: u64) -> f64 {
        match self {
            Self::Long => i64::from_u64(bits) as f64,
            Self::Unsigned | Self::Boolean => bits as f64,
            Self::Double => f64::from_u64(bits),
            Self::Date => i64::from_u64(bits) as f64 / 1e6,
        }
    }

    /// Nanoseconds of a date; the number itself otherwise.
    pub(crate) fn as_i64(self, bits: u64) -> i64 {
        match self {
            Self::Long | Self::Date => i64::from_u64(bits),
            Self::Unsigned | Self::Boolean => i64::try_from(bits).unwrap_or(i64::MAX),
            Self::Double => f64::from_u64(bits) as i64,
        }
    }
}

impl Values {
    /// Opens a field's column.
    pub(crate) fn open(part: &Part, mapping: &Mapping, field: &str) -> Result<Self, EsError> {
        match field {
            "_doc" | "_seq_no" | "_shard_doc" => return Self::numbers(part, "seq", &[ColumnType::U64]),
            _ => {}
        }
        match fields::place(mapping, field) {
            Place::Nowhere => Self::unless_overflowed(part, field),
            Place::InSource(es_type) => Err(EsError::argument(format!(
                "Field [{field}] of type [{es_type}] is kept in the source alone, and can't be sorted by or aggregated on"
            ))),
            Place::Index => Ok(Self::Constant(part.index.clone())),
            Place::Id => Err(EsError::argument("sorting and aggregating on [_id] is not supported; use [_doc]")),
            Place::Time => Self::numbers(part, "time", &[ColumnType::DateTime]),
            Place::Message | Place::Text(_) => Err(no_columns(&part.index, field)),
            Place::Value(path, field_type) => {
                if mapping.field(&path).is_some_and(|declared| !declared.aggregatable) {
                    let reason = format!(
                        "Can't load fielddata on [{field}] because fielddata is unsupported on fields of type [{}]. Use doc values instead.",
                        mapping.es_name(&path).unwrap_or_default()
                    );
                    return Err(EsError::argument(reason));
                }
                let column = format!("keyword.{}", path.replace('\\', "\\\\"));
                match field_type {
                    FieldType::Keyword | FieldType::Text | FieldType::Ip => {
                        let column = part.reader.fast_fields().str(&column)?;
                        let texts = |column| Self::Strings(Texts { column, is_ip: field_type == FieldType::Ip });
                        Ok(column.map_or(Self::Nothing, texts))
                    }
                    FieldType::Long | FieldType::Double => {
                        Self::numbers(part, &column, &[ColumnType::I64, ColumnType::U64, ColumnType::F64])
                    }
                    FieldType::Boolean => Self::numbers(part, &column, &[ColumnType::Bool]),
                    FieldType::Date => Self::numbers(part, &column, &[ColumnType::DateTime]),
                }
            }
        }
    }

    /// Nothing, unless the part has values of the path that are searchable alone, because there were too many paths.
    fn unless_overflowed(part: &Part, field: &str) -> Result<Self, EsError> {
        let present = crate::schema::schema().1.present;
        let term = tantivy::Term::from_field_text(present, field);
        if part.reader.inverted_index(present)?.get_term_info(&term)?.is_none() {
            return Ok(Self::Nothing);
        }
        let mut error = EsError::argument(format!(
            "[{field}] in [{}] came when the index had as many fields as it may (`indexer.fields_max`): it is found by its exact \
             value, but can't be sorted by or aggregated on",
            part.index
        ));
        error.index = None;
        Err(error)
    }

    fn numbers(part: &Part, column: &str, types: &[ColumnType]) -> Result<Self, EsError> {
        let found = part.reader.fast_fields().u64_lenient_for_type(Some(types), column)?;
        let found = found.and_then(|(column, found)| NumberKind::of(found).map(|kind| Self::Numbers(column, kind)));
        Ok(found.unwrap_or(Self::Nothing))
    }
}

fn no_columns(index: &str, field: &str) -> EsError {
    let mut error = EsError::argument(format!(
        "Fielddata is disabled on [{field}] in [{index}]. Text fields are searched by their words and can't be sorted by or \
         aggregated on; use a keyword field instead"
    ));
    error.index = None;
    error
}

/// Calls `each` with the bits of every value of a document.
#[inline]
pub(crate) fn each_value(column: &Column<u64>, doc: DocId, mut each: impl FnMut(u64)) {
    if column.get_cardinality() == Cardinality::Full {
        each(column.values.get_val(doc));
    } else {
        column.values_for_doc(doc).for_each(each);
    }
}

/// A float as a JSON number; whole ones keep their `.0` as Elasticsearch's doubles do. Null when it is no number.
pub(crate) fn json_f64(number: f64) -> Value {
    Number::from_f64(number).map_or(Value::Null, Value::Number)
}
