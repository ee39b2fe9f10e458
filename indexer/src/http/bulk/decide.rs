//! What becomes of each item of a request, in order, before anything is sent. Pure: what there is was looked up.

use std::borrow::Cow;
use std::collections::HashMap;

use bytes::Bytes;

use super::current::Current;
use super::ids::Key;
use super::parse::{DOCUMENT_BYTES_MAX, Item, Op, too_large};
use super::update::{Update, Updated};
use crate::query::error::EsError;

/// What becomes of an item.
#[derive(Debug)]
pub(super) enum Verdict<'b> {
    Refused(EsError),
    /// Nothing is sent, for there is nothing to do.
    Nothing {
        result: &'static str,
        status: u16,
        version: u64,
        seq: Option<u64>,
    },
    Send(Sent<'b>),
}

/// What goes to the bus.
#[derive(Debug)]
pub(super) struct Sent<'b> {
    /// What the index is told to do: `create`, `index` or `delete`.
    pub(super) op: Op,
    pub(super) value: Cow<'b, [u8]>,
    pub(super) version: u64,
    pub(super) result: &'static str,
    pub(super) status: u16,
    pub(super) key: Option<Key>,
}

/// The key of an item that has one.
pub(super) fn key_of(item: &Item<'_>) -> Option<Key> {
    item.id.as_deref().filter(|_| item.refused.is_none()).map(|id| Key::new(&item.index, id))
}

/// Decides on the items in order; each sees what those before it did.
pub(super) fn decide<'b>(items: &[Item<'b>], mut known: HashMap<Key, Current>) -> Vec<Verdict<'b>> {
    items.iter().map(|item| verdict(item, &mut known).unwrap_or_else(Verdict::Refused)).collect()
}

fn verdict<'b>(item: &Item<'b>, known: &mut HashMap<Key, Current>) -> Result<Verdict<'b>, EsError> {
    if let Some(error) = &item.refused {
        return Err(error.clone());
    }
    let value = Cow::Borrowed(item.document);
    let Some(key) = key_of(item) else {
        return Ok(Verdict::Send(Sent { op: item.op, value, version: 1, result: "created", status: 201, key: None }));
    };
    let current = known.get(&key).cloned().unwrap_or_default();
    check_conditions(item, key.id(), &current)?;
    let (version, seq) = (current.version + 1, current.seq);
    let nothing = |result, status, version| Ok(Verdict::Nothing { result, status, version, seq });
    let (op, value, result, status) = match item.op {
        Op::Create if current.exists => return Err(exists_already(key.id(), current.version)),
        Op::Create => (Op::Create, value, "created", 201),
        Op::Index if current.exists => (Op::Index, value, "updated", 200),
        Op::Index => (Op::Index, value, "created", 201),
        Op::Delete if current.exists => (Op::Delete, Cow::Borrowed(&[][..]), "deleted", 200),
        Op::Delete => return Ok(Verdict::Nothing { result: "not_found", status: 404, version, seq: None }),
        Op::Update => {
            let source = current.source.as_deref().filter(|_| current.exists);
            match Update::read(item.document)?.apply(source)? {
                Updated::Missing => {
                    let reason = format!("[{}]: document missing", key.id());
                    return Err(EsError::new(404, "document_missing_exception", reason));
                }
                Updated::Noop => return nothing("noop", 200, current.version),
                Updated::Created(made) => (Op::Index, Cow::Owned(made.to_vec()), "created", 201),
                Updated::Changed(made) => (Op::Index, Cow::Owned(made.to_vec()), "updated", 200),
            }
        }
    };
    if value.len() > DOCUMENT_BYTES_MAX {
        return Err(too_large(value.len()));
    }
    let (exists, needs_source) = (op != Op::Delete, current.needs_source);
    let source = (exists && needs_source).then(|| Bytes::copy_from_slice(&value));
    known.insert(key.clone(), Current { exists, version, seq: None, source, needs_source });
    Ok(Verdict::Send(Sent { op, value, version, result, status, key: Some(key) }))
}

fn exists_already(id: &str, version: u64) -> EsError {
    let reason = format!("[{id}]: version conflict, document already exists (current version [{version}])");
    EsError::new(409, "version_conflict_engine_exception", reason)
}

fn check_conditions(item: &Item<'_>, id: &str, current: &Current) -> Result<(), EsError> {
    let Some((seq_no, term)) = item.condition else { return Ok(()) };
    let asked = format!("[{id}]: version conflict, required seqNo [{seq_no}], primary term [{term}]");
    let found = match (current.exists, current.seq) {
        (false, _) => "but no document was found".to_owned(),
        (true, Some(seq)) if seq == seq_no && term == 1 => return Ok(()),
        (true, Some(seq)) => format!("current document has seqNo [{seq}] and primary term [1]"),
        (true, None) => "the document was changed by an earlier item of this request".to_owned(),
    };
    let reason = if current.exists { format!("{asked}. {found}") } else { format!("{asked}, {found}") };
    Err(EsError::new(409, "version_conflict_engine_exception", reason))
}
