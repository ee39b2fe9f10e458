//! What the documents of ids are now, in the index or on their way to it.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;

use super::ids::Key;
use super::seq_of_position;
use crate::http::Api;
use crate::query::error::EsError;
use crate::store::part::Place;
use crate::store::source::Sources;
use crate::store::{Part, ids as places};

/// An update waits so long for an earlier one to be found.
const CATCH_UP: Duration = Duration::from_secs(20);

/// What the document of an id is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Current {
    pub(super) exists: bool,
    /// Of the last write, also when that deleted it; 0 when nothing is known of the id.
    pub(super) version: u64,
    /// Where that lay on the bus; `None` when it is not sent yet.
    pub(super) seq: Option<u64>,
    pub(super) source: Option<Bytes>,
    /// Updates of this request build on the source.
    pub(super) needs_source: bool,
}

/// The state of each id, with the source where `needs_source` says so.
pub(super) async fn of_keys(api: &Api, keys: Vec<(Key, bool)>) -> Result<HashMap<Key, Current>, EsError> {
    let mut found = HashMap::with_capacity(keys.len());
    let mut sought = Vec::new();
    for (key, needs_source) in keys {
        match api.writer.ids.flying(&key) {
            Some(flying) if !needs_source || !flying.exists => {
                let seq = Some(seq_of_position(flying.position));
                let (exists, version) = (flying.exists, flying.version);
                found.insert(key, Current { exists, version, seq, source: None, needs_source });
            }
            flying => {
                let unnamed = places::seq_of(key.id()).and_then(|seq| api.writer.written_at(seq));
                for position in flying.map(|flying| flying.position).into_iter().chain(unnamed) {
                    if !api.store.wait_visible(&[position], CATCH_UP).await {
                        let reason = "the index is far behind the bus; try again later";
                        return Err(EsError::new(429, "es_rejected_execution_exception", reason));
                    }
                }
                sought.push((key, needs_source));
            }
        }
    }
    if !sought.is_empty() {
        let store = api.store.clone();
        let looked = tokio::task::spawn_blocking(move || {
            let mut views = HashMap::new();
            for (key, needs_source) in sought {
                let view = views
                    .entry(key.index().to_owned())
                    .or_insert_with(|| store.view(key.index(), None).unwrap_or_default());
                // What is cold can't be changed: its ids are not looked for.
                let parts = view.parts.iter().map(AsRef::as_ref).filter(|part: &&Part| part.place != Place::Cold);
                let current = in_parts(parts, key.id(), needs_source)?;
                found.insert(key, current);
            }
            Ok(found)
        });
        return looked.await.map_err(|_| EsError::internal("looking up an id failed"))?;
    }
    Ok(found)
}

fn in_parts<'p>(parts: impl Iterator<Item = &'p Part>, id: &str, needs_source: bool) -> Result<Current, EsError> {
    for part in parts {
        let Some(document) = part.documents_of(id)?.last().copied() else { continue };
        let source = if needs_source { Some(Bytes::from(Sources::open(part)?.get(document)?)) } else { None };
        return Ok(Current {
            exists: true,
            version: part.version_of(document)?,
            seq: part.reader.fast_fields().u64("seq")?.first(document),
            source,
            needs_source,
        });
    }
    Ok(Current { needs_source, ..Current::default() })
}
