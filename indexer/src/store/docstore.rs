//! The docstore of a sealed split: every event of the parts in their order, compressed hard in large blocks.
//! tantivy's own merge would stack the sources' blocks as they are wherever the codec is the same.

use std::sync::Arc;

use tantivy::index::SegmentComponent;
use tantivy::store::{Compressor, StoreReader, StoreWriter, ZstdCompressor};
use tantivy::{DocId, Index, TantivyError};

use super::part::Part;
use super::source::Stored;
use super::synthetic::{self, Columns};
use crate::ingest::document::LogDocument;
use crate::schema::schema;

/// Measured: 3 costs a tenth more space, 19 thirty times the processor time for another hundredth.
const ZSTD_LEVEL: i32 = 8;
/// A sealed part of at least so many blocks is taken over block by block; below it the blocks at its end, which are
/// not full, would count.
const STACKED_BLOCKS_MIN: u64 = 128;

/// How a sealed split keeps its events.
#[derive(Clone, Copy, Debug)]
pub(super) struct SealedForm {
    /// Bytes of events that are compressed together.
    pub(super) block_bytes: usize,
    /// Leaves out what the columns know.
    pub(super) synthetic: bool,
}

/// Writes the docstore of an index of one segment that was merged from these parts without one.
///
/// # Errors
/// When a part can't be read or the docstore can't be written.
pub(super) fn write(parts: &[Arc<Part>], merged: &Index, form: SealedForm) -> tantivy::Result<()> {
    let segment = merged
        .searchable_segments()?
        .pop()
        .ok_or_else(|| TantivyError::InternalError("a merge without a result".to_owned()))?;
    let compressor = Compressor::Zstd(ZstdCompressor { compression_level: Some(ZSTD_LEVEL) });
    let file = segment.open_write(SegmentComponent::Store)?;
    let mut writer = StoreWriter::new(file, compressor, form.block_bytes, false)?;
    for part in parts.iter().filter(|part| part.docs() > 0) {
        // Documents come in their order: one block at a time is enough.
        let store = part.reader.get_store_reader(1)?;
        if part.sealed && part.deleted.is_empty() && part.bytes >= STACKED_BLOCKS_MIN * form.block_bytes as u64 {
            writer.stack(store)?;
            continue;
        }
        // The part's own columns: its result's have the same values, in the same order.
        let mut columns = form.synthetic.then(|| Columns::with_digests(part.reader.fast_fields().clone()));
        for doc in part.reader.doc_ids_alive() {
            let Some(residue) = columns.as_mut().map(|columns| residue(&store, columns, doc)).transpose()?.flatten()
            else {
                writer.store_bytes(&store.get_document_bytes(doc)?)?;
                continue;
            };
            let document = LogDocument { source: residue.into(), ..LogDocument::default() };
            writer.store(&document, &schema().0)?;
        }
    }
    writer.close()?;
    Ok(())
}

/// What is left of an event without its columns; `None` when it is kept as it is.
fn residue(store: &StoreReader, columns: &mut Columns, doc: DocId) -> tantivy::Result<Option<Vec<u8>>> {
    let Stored(event) = store.get(doc)?;
    let event = event.filter(|event| event.first() != Some(&synthetic::RESIDUE));
    Ok(event.and_then(|event| synthetic::residue(&event, columns, doc)))
}
