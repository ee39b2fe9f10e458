//! An event without what the columns of its split know already, and back.
//!
//! A *residue* is the text of the event in which values are replaced by a hole, one control byte, wherever the
//! split's columns give back exactly the bytes that stood there. Order of keys, spacing, doubled keys, nulls, values that
//! are not in columns: all of it simply stays. So nothing has to be known here of types and mappings, and an event
//! comes back byte for byte. JSON has no control bytes outside of white space, so holes can't be mistaken.
//!
//! Values of a path are numbered as they stand in the event: a hole means the next one of its column that no hole
//! has used, when writing and when reading.

mod columns;
mod scan;

pub(super) use columns::Columns;
use columns::Spelling;
use scan::{Scanner, Token};
use tantivy::DocId;

/// The first byte of a residue: no JSON begins with it.
pub(super) const RESIDUE: u8 = 0x01;

/// The event is damaged, or its columns are.
#[derive(Debug, thiserror::Error)]
#[error("the event of document {0} can't be put together: its split is damaged")]
pub(super) struct NoEvent(DocId);

/// The residue of a document's event; `None` when nothing is gained by it. `columns` must know digests.
pub(super) fn residue(event: &[u8], columns: &mut Columns, doc: DocId) -> Option<Vec<u8>> {
    let mut residue = Vec::with_capacity(event.len());
    residue.push(RESIDUE);
    columns.begin(doc);
    let mut scanner = Scanner::new(event);
    let mut copied = 0;
    while let Some(Token { start, end, path, .. }) = scanner.next_token() {
        let Some(spelling) = columns.spelling_of(path, event.get(start..end)?) else { continue };
        residue.extend_from_slice(event.get(copied..start)?);
        spelling.write(&mut residue);
        copied = end;
    }
    residue.extend_from_slice(event.get(copied..)?);
    (scanner.is_whole() && residue.len() < event.len()).then_some(residue)
}

/// The event of a residue.
///
/// # Errors
/// When a hole has no value.
pub(super) fn event(residue: &[u8], columns: &mut Columns, doc: DocId) -> Result<Vec<u8>, NoEvent> {
    let text = residue.get(1..).unwrap_or_default();
    let mut event = Vec::with_capacity(text.len() * 2);
    columns.begin(doc);
    let mut scanner = Scanner::new(text);
    let mut copied = 0;
    while let Some(Token { start, end, path, is_hole }) = scanner.next_token() {
        if !is_hole {
            continue;
        }
        event.extend_from_slice(text.get(copied..start).ok_or(NoEvent(doc))?);
        let spelling = text.get(start..end).and_then(Spelling::read).ok_or(NoEvent(doc))?;
        columns.write_value(path, spelling, &mut event).ok_or(NoEvent(doc))?;
        copied = end;
    }
    event.extend_from_slice(text.get(copied..).unwrap_or_default());
    if scanner.is_whole() { Ok(event) } else { Err(NoEvent(doc)) }
}

#[cfg(test)]
mod tests;
