//! `index.sort.*`: the order in which the events of an index lie. Segments are sorted as they are built, and merges
//! keep the order, so that like lies beside like and compresses better.
//!
//! An order that begins with `@timestamp` is that of the column of times, and exact. Any other is that of a key, made
//! of the fields' values so that its bytes compare as they do; instants in it are cut to the minute, or every event
//! would be a key of its own.

use tantivy::{IndexSortByField, Order as Direction};

use super::document::{LogDocument, LogValue};
use super::mapping::FieldType;
use super::registry::Mapping;
use super::settings::{Settings, SettingsError};
use crate::schema::{MESSAGE, ORDER, TIME, TIMESTAMP};

/// Fields of an order: as many as Elasticsearch's documentation has ever needed, many times over.
const FIELDS_MAX: usize = 8;
/// Of a text so many bytes count.
const TEXT_BYTES_MAX: usize = 255;
const MINUTE_NS: i64 = 60_000_000_000;

/// The order of an index's events; without fields they lie as they came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Order {
    levels: Vec<Level>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Level {
    field: String,
    descending: bool,
    /// Where events without a value go.
    missing_first: bool,
    /// Of several values the greatest counts, else the least.
    greatest: bool,
}

impl Level {
    fn new(field: &str, descending: bool) -> Self {
        Self { field: field.to_owned(), descending, missing_first: false, greatest: descending }
    }

    /// Whether a path of a document is the level's field.
    fn is(&self, path: &str) -> bool {
        self.field == path || self.field.strip_suffix(".keyword") == Some(path)
    }
}

impl Order {
    /// What settings ask for.
    ///
    /// # Errors
    /// When they don't fit together, or ask for what there is not.
    pub(crate) fn of(settings: &Settings) -> Result<Self, SettingsError> {
        let fields = settings.list("index.sort.field");
        let others = ["order", "mode", "missing"].map(|name| (name, settings.list(&format!("index.sort.{name}"))));
        if let Some((name, values)) =
            others.iter().find(|(_, values)| !values.is_empty() && values.len() != fields.len())
        {
            return Err(SettingsError::new(format!(
                "index.sort.field:{fields:?} index.sort.{name}:{values:?}, size mismatch"
            )));
        }
        if fields.len() > FIELDS_MAX {
            return Err(SettingsError::new(format!("[index.sort.field] takes at most {FIELDS_MAX} fields")));
        }
        if fields.is_empty() {
            // What an index for logs is sorted by where it does not say itself.
            let is_for_logs = settings.get("index.mode") == Some("logsdb");
            let levels = [Level::new("host.name", false), Level::new(TIMESTAMP, true)];
            return Ok(Self { levels: if is_for_logs { levels.into() } else { Vec::new() } });
        }
        let [(_, orders), (_, modes), (_, missing)] = &others;
        let mut levels = Vec::with_capacity(fields.len());
        for (at, field) in fields.into_iter().enumerate() {
            let descending = one_of(orders.get(at), "Illegal sort order:", ["asc", "desc"])?.unwrap_or(false);
            let mut level = Level::new(field, descending);
            level.greatest = one_of(modes.get(at), "Illegal sort mode: ", ["min", "max"])?.unwrap_or(descending);
            level.missing_first =
                one_of(missing.get(at), "Illegal missing value: ", ["_last", "_first"])?.unwrap_or(false);
            levels.push(level);
        }
        Ok(Self { levels })
    }

    /// Refuses fields that a new index does not have, or that can't be sorted by.
    ///
    /// # Errors
    /// When there is such a field.
    pub(crate) fn check(&self, settings: &Settings, mapping: &Mapping) -> Result<(), SettingsError> {
        if settings.list("index.sort.field").is_empty() {
            // Nobody named them: an index for logs may come to have them.
            return Ok(());
        }
        for Level { field, .. } in &self.levels {
            let known = mapping.get(field.as_str());
            let bare = field.strip_suffix(".keyword").and_then(|bare| mapping.get(bare));
            match known.or(bare.filter(|known| **known == FieldType::Keyword)) {
                Some(FieldType::Text) => {
                    return Err(SettingsError::new(format!("invalid index sort field:[{field}]: it is a text")));
                }
                None if field == MESSAGE => {
                    return Err(SettingsError::new(format!("invalid index sort field:[{field}]: it is a text")));
                }
                None if field != TIMESTAMP => {
                    return Err(SettingsError::new(format!("unknown index sort field:[{field}]")));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The column that segments are sorted by.
    pub(super) fn column(&self) -> Option<IndexSortByField> {
        let first = self.levels.first()?;
        Some(match self.is_by_time() {
            true => IndexSortByField {
                field: TIME.to_owned(),
                order: if first.descending { Direction::Desc } else { Direction::Asc },
            },
            false => IndexSortByField { field: ORDER.to_owned(), order: Direction::Asc },
        })
    }

    fn is_by_time(&self) -> bool {
        self.levels.first().is_some_and(|level| level.field == TIMESTAMP)
    }

    /// The key of a document; `None` where the order needs none.
    pub(super) fn key(&self, document: &LogDocument) -> Option<Box<[u8]>> {
        if self.levels.is_empty() || self.is_by_time() {
            return None;
        }
        let mut key = Vec::with_capacity(32);
        for level in &self.levels {
            let mut best: Option<Vec<u8>> = None;
            let mut offer = |value: LogValue<'_>| {
                let mut bytes = Vec::with_capacity(16);
                put(&mut bytes, value);
                if best.as_ref().is_none_or(|best| (bytes > *best) == level.greatest) {
                    best = Some(bytes);
                }
            };
            if level.field == TIMESTAMP {
                offer(LogValue::Instant(document.time_ns));
            } else {
                document.keywords_of(|path| level.is(path)).for_each(offer);
            }
            match best {
                None => key.push(if level.missing_first { 0 } else { u8::MAX }),
                Some(bytes) => {
                    key.push(1);
                    key.extend(bytes.iter().map(|byte| if level.descending { !byte } else { *byte }));
                }
            }
        }
        Some(key.into())
    }
}

/// Writes a value so that bytes compare as values do, whatever follows them. Numbers of all kinds compare with each
/// other, as a path may widen from whole ones to others.
fn put(bytes: &mut Vec<u8>, value: LogValue<'_>) {
    let mut number = |number: f64| {
        let bits = number.to_bits();
        let ordered = if bits >> 63 == 0 { bits | 1 << 63 } else { !bits };
        bytes.extend(ordered.to_be_bytes());
    };
    match value {
        LogValue::Long(whole) => number(whole as f64),
        LogValue::Unsigned(whole) => number(whole as f64),
        LogValue::Double(double) => number(double),
        LogValue::Boolean(truth) => bytes.push(u8::from(truth)),
        LogValue::Instant(nanos) => {
            let minutes = nanos.div_euclid(MINUTE_NS);
            bytes.extend((minutes.cast_unsigned() ^ 1 << 63).to_be_bytes());
        }
        LogValue::Text(text) => {
            for byte in text.bytes().take(TEXT_BYTES_MAX) {
                bytes.push(byte);
                if byte == 0 {
                    bytes.push(u8::MAX);
                }
            }
            bytes.extend([0, 0]);
        }
        LogValue::Bytes(_) | LogValue::Object(..) => {}
    }
}

/// Whether it is the second of two words; `None` where nothing is said.
fn one_of(said: Option<&&str>, refusal: &str, words: [&str; 2]) -> Result<Option<bool>, SettingsError> {
    let Some(said) = said else { return Ok(None) };
    match words.iter().position(|word| word == said) {
        Some(at) => Ok(Some(at == 1)),
        None => Err(SettingsError::new(format!("{refusal}[{said}], must be one of [{}, {}]", words[0], words[1]))),
    }
}

#[cfg(test)]
mod tests;
