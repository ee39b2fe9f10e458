//! The docstore of a sealed split: every event of the parts in their order, compressed hard in large blocks.
//! tantivy's own merge would stack the sources' blocks as they are wherever the codec is the same.

use std::sync::Arc;

use tantivy::columnar::{Column, ColumnarReader};
use tantivy::index::SegmentComponent;
use tantivy::store::{Compressor, StoreReader, StoreWriter, ZstdCompressor};
use tantivy::{DocId, Index, Segment, TantivyError};

use super::document::LogDocument;
use super::part::Part;
use super::source::Stored;
use super::synthetic::{self, Columns};
use crate::schema::{SEQ, TIME, schema};

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
    let parts = parts.iter().filter(|part| part.docs() > 0);
    if merged.settings().sort_by_field.is_some() {
        let mut sources = parts.map(|part| Source::open(part, form)).collect::<tantivy::Result<Vec<_>>>()?;
        write_sorted(&mut sources, &Marks::of_segment(&segment)?, &mut writer)?;
        return Ok(writer.close()?);
    }
    for part in parts {
        if part.sealed && part.deleted.is_empty() && part.bytes >= STACKED_BLOCKS_MIN * form.block_bytes as u64 {
            writer.stack(part.reader.get_store_reader(1)?)?;
            continue;
        }
        let mut source = Source::open(part, form)?;
        while let Some(doc) = source.docs.next() {
            source.write(doc, &mut writer)?;
        }
    }
    Ok(writer.close()?)
}

/// Writes what was sorted into each other. Every part kept its own order, so the event that comes next is always the
/// next of some part.
fn write_sorted(sources: &mut [Source<'_>], merged: &Marks, writer: &mut StoreWriter) -> tantivy::Result<()> {
    let mut heads = Vec::with_capacity(sources.len());
    for source in &mut *sources {
        heads.push(source.next());
    }
    let mut last = 0;
    for doc in 0..merged.seqs.num_docs() {
        let mark = merged.of(doc);
        let is_next = |at: &usize| heads.get(*at).is_some_and(|head| head.is_some_and(|(_, head)| head == mark));
        // Most often it is the same as before.
        let found = (last..heads.len()).chain(0..last).find(is_next);
        let next = found.and_then(|at| Some((at, sources.get_mut(at)?, heads.get_mut(at)?)));
        let Some((at, source, head)) = next else {
            return Err(TantivyError::InternalError("a merge did not keep the order of its sources".to_owned()));
        };
        if let Some((doc, _)) = head.take() {
            source.write(doc, writer)?;
        }
        *head = source.next();
        last = at;
    }
    Ok(())
}

/// What tells documents apart: where they lay on the bus, and their time, for a bus that was replaced begins to count
/// anew.
struct Marks {
    seqs: Column<u64>,
    times: Column<u64>,
}

/// The number and the time of a document.
type Mark = (Option<u64>, Option<u64>);

impl Marks {
    /// Of a segment that has no docstore yet, so that it can't be opened as a whole.
    fn of_segment(segment: &Segment) -> tantivy::Result<Self> {
        let columns = ColumnarReader::open(segment.open_read(SegmentComponent::FastFields)?)?;
        let column = |name: &str| {
            let found = columns.read_columns(name)?.into_iter().next();
            let column = found.map(|handle| handle.open_u64_lenient()).transpose()?.flatten();
            column.ok_or_else(|| TantivyError::InternalError(format!("a split without its column {name}")))
        };
        Ok(Self { seqs: column(SEQ)?, times: column(TIME)? })
    }

    fn of(&self, doc: DocId) -> Mark {
        (self.seqs.first(doc), self.times.first(doc))
    }
}

/// A part whose events are written again.
struct Source<'p> {
    store: StoreReader,
    docs: Box<dyn Iterator<Item = DocId> + 'p>,
    marks: Marks,
    /// The part's own columns, where what they know is left out: its result's have the same values.
    columns: Option<Columns>,
}

impl<'p> Source<'p> {
    fn open(part: &'p Part, form: SealedForm) -> tantivy::Result<Self> {
        let columns = part.reader.fast_fields();
        Ok(Self {
            // Documents come in their order: one block at a time is enough.
            store: part.reader.get_store_reader(1)?,
            docs: part.reader.doc_ids_alive(),
            marks: Marks::of_segment(&part.segment)?,
            columns: form.synthetic.then(|| Columns::with_digests(columns.clone())),
        })
    }

    /// The next living document, and what tells it apart.
    fn next(&mut self) -> Option<(DocId, Mark)> {
        let doc = self.docs.next()?;
        Some((doc, self.marks.of(doc)))
    }

    fn write(&mut self, doc: DocId, writer: &mut StoreWriter) -> tantivy::Result<()> {
        let residue = self.columns.as_mut().map(|columns| residue(&self.store, columns, doc)).transpose()?.flatten();
        match residue {
            Some(residue) => {
                let document = LogDocument { source: residue.into(), ..LogDocument::default() };
                writer.store(&document, &schema().0)?;
            }
            None => writer.store_bytes(&self.store.get_document_bytes(doc)?)?,
        }
        Ok(())
    }
}

/// What is left of an event without its columns; `None` when it is kept as it is.
fn residue(store: &StoreReader, columns: &mut Columns, doc: DocId) -> tantivy::Result<Option<Vec<u8>>> {
    let Stored(event) = store.get(doc)?;
    let event = event.filter(|event| event.first() != Some(&synthetic::RESIDUE));
    Ok(event.and_then(|event| synthetic::residue(&event, columns, doc)))
}
