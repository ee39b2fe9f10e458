//! The columns of one split as residues use them: which value of a path stands at a place of an event, and how it was
//! written there.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::io::Write as _;

use jiff::Timestamp;
use tantivy::DocId;
use tantivy::columnar::{Column, ColumnType, MonotonicallyMappableToU64, StrColumn};
use tantivy::fastfield::FastFieldReaders;

use crate::schema::TIMESTAMP;

/// Paths that are looked up: twice the default number that an index may have. Values of further ones stay in the text.
const PATHS_MAX: usize = 2048;
/// Digests that are held in memory while residues are written, eight bytes each. Columns beyond stay in the text.
const DIGESTS_MAX: usize = 16 << 20;
/// Columns may widen to floats when splits are merged: beyond this a float no longer knows every whole number.
const EXACT_MAX: i64 = 1 << 53;

/// How a value was written in the event, so that the same bytes come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spelling {
    /// A string with the escapes that are needed and no others.
    Text,
    /// A whole number, plainly written.
    Whole,
    /// The shortest text of a float.
    Float,
    /// A float with so many digits after the point.
    Fixed(u8),
    Truth,
    /// An instant in UTC with so many digits of a second's fraction: 0, 3, 6 or 9.
    Instant(u8),
}

impl Spelling {
    const FIXED: u8 = 0x0e;

    /// Puts the hole into a residue.
    pub(super) fn write(self, residue: &mut Vec<u8>) {
        match self {
            Self::Text => residue.push(0x02),
            Self::Whole => residue.push(0x03),
            Self::Float => residue.push(0x04),
            Self::Truth => residue.push(0x05),
            Self::Instant(0) => residue.push(0x06),
            Self::Instant(3) => residue.push(0x07),
            Self::Instant(6) => residue.push(0x08),
            Self::Instant(_) => residue.push(0x0b),
            Self::Fixed(digits) => residue.extend_from_slice(&[Self::FIXED, b'0' + digits]),
        }
    }

    /// Reads a hole.
    pub(super) fn read(hole: &[u8]) -> Option<Self> {
        Some(match hole {
            [0x02] => Self::Text,
            [0x03] => Self::Whole,
            [0x04] => Self::Float,
            [0x05] => Self::Truth,
            [0x06] => Self::Instant(0),
            [0x07] => Self::Instant(3),
            [0x08] => Self::Instant(6),
            [0x0b] => Self::Instant(9),
            [Self::FIXED, digits @ b'0'..=b'9'] => Self::Fixed(digits - b'0'),
            _ => return None,
        })
    }

    /// Bytes of a hole that begins so.
    pub(super) const fn length(first: u8) -> usize {
        if first == Self::FIXED { 2 } else { 1 }
    }
}

/// A column and how many of the document's values were used.
struct Used<C> {
    column: C,
    used: usize,
}

struct Strings {
    column: StrColumn,
    /// Of each string, by its ordinal; only where residues are written.
    digests: Option<Vec<u64>>,
}

/// The columns of a path; a path has values of one type, or of two after a change of its mapping.
#[derive(Default)]
struct PathColumns {
    /// The event that the numbers of used values are of.
    event: u64,
    strings: Option<Used<Strings>>,
    numbers: Option<Used<(Column<u64>, ColumnType)>>,
    truths: Option<Used<Column<u64>>>,
    instants: Option<Used<Column<u64>>>,
}

/// The columns of one split.
pub(in crate::store) struct Columns {
    readers: FastFieldReaders,
    paths: HashMap<String, PathColumns>,
    doc: DocId,
    /// Counts the events: one may be read twice in a row.
    event: u64,
    digests: Option<(RandomState, usize)>,
    scratch: String,
}

impl Columns {
    /// Columns to put events together from.
    pub(in crate::store) fn new(readers: FastFieldReaders) -> Self {
        Self { readers, paths: HashMap::new(), doc: 0, event: 0, digests: None, scratch: String::new() }
    }

    /// Columns to write residues by: strings are compared by keyed digests of 64 bits, because to look up each one in
    /// its dictionary would take longer than all the rest.
    pub(in crate::store) fn with_digests(readers: FastFieldReaders) -> Self {
        Self { digests: Some((RandomState::new(), DIGESTS_MAX)), ..Self::new(readers) }
    }

    /// What follows is one event, of this document.
    pub(super) const fn begin(&mut self, doc: DocId) {
        self.doc = doc;
        self.event += 1;
    }

    /// How the next value of the path gives back `token`, if it does.
    pub(super) fn spelling_of(&mut self, path: &str, token: &[u8]) -> Option<Spelling> {
        let doc = self.doc;
        let key = self.digests.as_ref().map(|(key, _)| key.clone())?;
        let text = std::str::from_utf8(token).ok()?;
        let columns = self.columns(path)?;
        match token {
            [b'"', inner @ .., b'"'] => {
                if let Some(Used { column: Strings { column, digests: Some(digests) }, used }) = &mut columns.strings {
                    let ord = usize::try_from(nth(column.ords(), doc, *used)?).ok()?;
                    let value = unescaped(inner, text)?;
                    let same = digests.get(ord) == Some(&key.hash_one(value.as_bytes()));
                    return same.then(|| {
                        *used += 1;
                        Spelling::Text
                    });
                }
                let instants = columns.instants.as_mut()?;
                let nanos = i64::from_u64(nth(&instants.column, doc, instants.used)?);
                let digits = match inner.len() {
                    20 => 0,
                    24 => 3,
                    27 => 6,
                    30 => 9,
                    _ => return None,
                };
                let same = instant(nanos, digits)?.as_bytes() == inner;
                same.then(|| {
                    instants.used += 1;
                    Spelling::Instant(digits)
                })
            }
            b"true" | b"false" => {
                let truths = columns.truths.as_mut()?;
                let same = truth(nth(&truths.column, doc, truths.used)?) == text;
                same.then(|| {
                    truths.used += 1;
                    Spelling::Truth
                })
            }
            [b'-' | b'0'..=b'9', ..] => {
                let numbers = columns.numbers.as_mut()?;
                let (column, kind) = &numbers.column;
                let spelling = spelling_of_number(nth(column, doc, numbers.used)?, *kind, text)?;
                numbers.used += 1;
                Some(spelling)
            }
            _ => None,
        }
    }

    /// Writes the next value of the path.
    pub(super) fn write_value(&mut self, path: &str, spelling: Spelling, event: &mut Vec<u8>) -> Option<()> {
        let doc = self.doc;
        let mut scratch = std::mem::take(&mut self.scratch);
        let columns = self.columns(path)?;
        match spelling {
            Spelling::Text => {
                let strings = columns.strings.as_mut()?;
                let column = &strings.column.column;
                let ord = nth(column.ords(), doc, strings.used)?;
                strings.used += 1;
                scratch.clear();
                if !column.ord_to_str(ord, &mut scratch).ok()? {
                    return None;
                }
                serde_json::to_writer(&mut *event, &scratch).ok()?;
            }
            Spelling::Whole | Spelling::Float | Spelling::Fixed(_) => {
                let numbers = columns.numbers.as_mut()?;
                let (column, kind) = &numbers.column;
                let bits = nth(column, doc, numbers.used)?;
                numbers.used += 1;
                write_number(bits, *kind, spelling, event)?;
            }
            Spelling::Truth => {
                let truths = columns.truths.as_mut()?;
                event.extend_from_slice(truth(nth(&truths.column, doc, truths.used)?).as_bytes());
                truths.used += 1;
            }
            Spelling::Instant(digits) => {
                let instants = columns.instants.as_mut()?;
                let nanos = i64::from_u64(nth(&instants.column, doc, instants.used)?);
                instants.used += 1;
                write!(event, "\"{}\"", instant(nanos, digits)?).ok()?;
            }
        }
        self.scratch = scratch;
        Some(())
    }

    /// The columns of a path, ready for the present document.
    fn columns(&mut self, path: &str) -> Option<&mut PathColumns> {
        if !self.paths.contains_key(path) {
            if self.paths.len() >= PATHS_MAX && self.digests.is_some() {
                return None;
            }
            let columns = self.open(path).unwrap_or_default();
            self.paths.insert(path.to_owned(), columns);
        }
        let columns = self.paths.get_mut(path)?;
        if std::mem::replace(&mut columns.event, self.event) != self.event {
            let PathColumns { strings, numbers, truths, instants, .. } = columns;
            strings.iter_mut().for_each(|used| used.used = 0);
            numbers.iter_mut().for_each(|used| used.used = 0);
            truths.iter_mut().for_each(|used| used.used = 0);
            instants.iter_mut().for_each(|used| used.used = 0);
        }
        Some(columns)
    }

    fn open(&mut self, path: &str) -> tantivy::Result<PathColumns> {
        let name =
            if path == TIMESTAMP { "time".to_owned() } else { format!("keyword.{}", path.replace('\\', "\\\\")) };
        let of = |types: &[ColumnType]| self.readers.u64_lenient_for_type(Some(types), &name);
        let numbers = of(&[ColumnType::I64, ColumnType::U64, ColumnType::F64])?;
        let (truths, instants) = (of(&[ColumnType::Bool])?, of(&[ColumnType::DateTime])?);
        let strings = if path == TIMESTAMP { None } else { self.readers.str(&name)? };
        let strings = strings.map(|column| -> tantivy::Result<_> {
            let digests = self.digests.as_mut().map(|(key, room)| digests_of(&column, key, room)).transpose()?;
            Ok(Strings { column, digests: digests.flatten() })
        });
        Ok(PathColumns {
            event: 0,
            strings: strings.transpose()?.map(|column| Used { column, used: 0 }),
            numbers: numbers.map(|column| Used { column, used: 0 }),
            truths: truths.map(|(column, _)| Used { column, used: 0 }),
            instants: instants.map(|(column, _)| Used { column, used: 0 }),
        })
    }
}

fn digests_of(column: &StrColumn, key: &RandomState, room: &mut usize) -> tantivy::Result<Option<Vec<u64>>> {
    let terms = column.num_terms();
    let Some(left) = room.checked_sub(terms) else { return Ok(None) };
    *room = left;
    let mut digests = Vec::with_capacity(terms);
    let mut stream = column.dictionary().stream()?;
    while stream.advance() {
        digests.push(key.hash_one(stream.key()));
    }
    Ok(Some(digests))
}

fn nth(column: &Column<u64>, doc: DocId, n: usize) -> Option<u64> {
    if n == 0 { column.first(doc) } else { column.values_for_doc(doc).nth(n) }
}

/// The value of a string as the event has it, if writing it again gives the same bytes.
fn unescaped<'t>(inner: &'t [u8], token: &'t str) -> Option<std::borrow::Cow<'t, str>> {
    if !inner.contains(&b'\\') {
        return token.get(1..token.len() - 1).map(Into::into);
    }
    let value: String = serde_json::from_str(token).ok()?;
    (serde_json::to_string(&value).ok()? == token).then(|| value.into())
}

const fn truth(bits: u64) -> &'static str {
    if bits == 0 { "false" } else { "true" }
}

fn instant(nanos: i64, digits: u8) -> Option<String> {
    let instant = Timestamp::from_nanosecond(i128::from(nanos)).ok()?;
    Some(format!("{instant:.0$}", usize::from(digits)))
}

/// A whole number of a column, whatever the column has become.
fn whole(bits: u64, kind: ColumnType) -> Option<i64> {
    let number = match kind {
        ColumnType::I64 => i64::from_u64(bits),
        ColumnType::U64 => i64::try_from(bits).ok()?,
        ColumnType::F64 => Some(f64::from_u64(bits)).filter(|number| number.fract() == 0.0)? as i64,
        _ => return None,
    };
    (-EXACT_MAX..=EXACT_MAX).contains(&number).then_some(number)
}

fn spelling_of_number(bits: u64, kind: ColumnType, text: &str) -> Option<Spelling> {
    let candidate = if text.bytes().all(|byte| byte == b'-' || byte.is_ascii_digit()) {
        Spelling::Whole
    } else {
        let written = text.parse::<f64>().ok()?;
        if kind != ColumnType::F64 || written.to_bits() != f64::from_u64(bits).to_bits() {
            return None;
        }
        match text.split_once('.') {
            Some((_, digits)) if digits.len() <= 9 && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                // The shortest text first: it is one byte.
                let mut shortest = Vec::new();
                write_number(bits, kind, Spelling::Float, &mut shortest)?;
                if shortest == text.as_bytes() { Spelling::Float } else { Spelling::Fixed(digits.len() as u8) }
            }
            _ => Spelling::Float,
        }
    };
    let mut again = Vec::new();
    write_number(bits, kind, candidate, &mut again)?;
    (again == text.as_bytes()).then_some(candidate)
}

fn write_number(bits: u64, kind: ColumnType, spelling: Spelling, event: &mut Vec<u8>) -> Option<()> {
    match spelling {
        Spelling::Whole => write!(event, "{}", whole(bits, kind)?).ok(),
        Spelling::Float if kind == ColumnType::F64 => serde_json::to_writer(event, &f64::from_u64(bits)).ok(),
        Spelling::Fixed(digits) if kind == ColumnType::F64 => {
            write!(event, "{:.1$}", f64::from_u64(bits), usize::from(digits)).ok()
        }
        _ => None,
    }
}
