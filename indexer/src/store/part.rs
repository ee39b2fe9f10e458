//! A part: one immutable tantivy segment, in memory or in a split's folder on disk.

use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use tantivy::columnar::{Cardinality, Column, ColumnType, MonotonicallyMappableToU64 as _};
use tantivy::directory::OwnedBytes;
use tantivy::directory::{MmapDirectory, RamDirectory};
use tantivy::fastfield::{AliveBitSet, write_alive_bitset};
use tantivy::store::Compressor;
use tantivy::{BitSet, Index, IndexSettings, Segment, SegmentReader};

use super::earlier::Earlier;
use super::ids;
use super::manifest::SplitMeta;
use crate::schema::{VERSION, earlier_schema, schema, tokenizers};

/// So many documents are a stretch: a part is not looked through for the newest events where it has only older ones.
pub(crate) const STRETCH_DOCS: u32 = if cfg!(test) { 1 << 2 } else { 1 << 16 };

/// The least and the greatest time in each.
type Stretches = Box<[(u64, u64)]>;

/// Names a part while the program runs; splits keep theirs on disk.
pub(crate) type PartId = u64;

/// Where a part's bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In memory only: replayed from the bus after a crash.
    Memory,
    /// In a split's folder, named in the manifest.
    Disk,
    /// On the object store, named in the manifest: reading takes its time, and may fail.
    Cold,
}

/// One segment and what is known of it without opening its columns.
pub(crate) struct Part {
    /// The index that it belongs to.
    pub(crate) index: Arc<str>,
    /// Reads it.
    pub(crate) reader: SegmentReader,
    /// Oldest and newest `@timestamp` in it.
    pub(crate) time_ns: RangeInclusive<i64>,
    /// Its name.
    pub(crate) id: PartId,
    /// Bytes in memory or on disk.
    pub(crate) bytes: u64,
    /// Where they are.
    pub(crate) place: Place,
    /// The segment, for merging it.
    pub(crate) segment: Segment,
    /// Documents that no longer count, ascending: replaced by a later one of the same id.
    pub(crate) deleted: Arc<[u32]>,
    /// How often its documents were merged in memory: parts of one level are merged with each other.
    pub(crate) level: u8,
    /// It was written for good: see `seal`.
    pub(crate) sealed: bool,
    /// When the last of its events was written to disk, milliseconds since 1970; 0 in memory.
    pub(crate) arrived_ms: i64,
    /// Its files, when they are as they should lie on disk.
    pub(crate) ready_made: Option<RamDirectory>,
    /// The least and the greatest time of every [`STRETCH_DOCS`] documents, as its column has them, once somebody asked.
    stretches: Arc<OnceLock<Stretches>>,
    /// Shared by all that read its files, the same part without some documents among them.
    pub(super) held: Arc<()>,
}

impl std::fmt::Debug for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let docs = self.reader.num_docs();
        write!(f, "Part({} {} {:?}: {docs} docs, {} bytes)", self.index, self.id, self.place, self.bytes)
    }
}

/// What a part is called and covers.
#[derive(Clone, Debug)]
pub(crate) struct Label {
    pub(crate) id: PartId,
    pub(crate) index: Arc<str>,
    pub(crate) time_ns: RangeInclusive<i64>,
    pub(crate) level: u8,
    pub(crate) sealed: bool,
    pub(crate) arrived_ms: i64,
}

impl Label {
    /// Of a part in memory.
    pub(crate) const fn in_memory(id: PartId, index: Arc<str>, time_ns: RangeInclusive<i64>, level: u8) -> Self {
        Self { id, index, time_ns, level, sealed: false, arrived_ms: 0 }
    }

    /// Of a split.
    pub(crate) fn of_split(index: &Arc<str>, split: &SplitMeta) -> Self {
        Self {
            id: split.id,
            index: index.clone(),
            time_ns: split.oldest_ns..=split.newest_ns,
            level: 0,
            sealed: split.sealed,
            arrived_ms: split.arrived_ms,
        }
    }
}

/// Settings of segments in memory: nothing is compressed, they live for seconds.
pub(crate) fn memory_settings() -> IndexSettings {
    IndexSettings {
        docstore_compression: Compressor::None,
        // A thread a segment would cost more than it saves at ten segments a second.
        docstore_compress_dedicated_thread: false,
        ..IndexSettings::default()
    }
}

/// Settings of splits. LZ4, because blocks of one codec are stacked as they are when splits are merged:
/// compressing harder is worth it only for splits that are never merged again.
pub(crate) fn disk_settings() -> IndexSettings {
    IndexSettings {
        docstore_compression: Compressor::Lz4,
        docstore_compress_dedicated_thread: false,
        docstore_blocksize: 16 << 10,
        ..IndexSettings::default()
    }
}

impl Part {
    /// Takes a finished index of one segment that lives in `directory`.
    ///
    /// # Errors
    /// When it can't be read.
    pub(crate) fn in_memory(
        label: Label,
        index: Index,
        directory: &RamDirectory,
        deleted: Arc<[u32]>,
    ) -> tantivy::Result<Self> {
        Self::open(label, index, Place::Memory, directory.total_mem_usage() as u64, deleted)
    }

    /// Opens the split in a folder.
    ///
    /// # Errors
    /// When a file is missing, damaged where it is read at opening, or of another schema.
    pub(crate) fn on_disk(label: Label, folder: &Path, bytes: u64, deleted: Arc<[u32]>) -> tantivy::Result<Self> {
        Self::through(label, MmapDirectory::open(folder)?, Place::Disk, bytes, deleted)
    }

    /// Opens a split, wherever its files are.
    ///
    /// # Errors
    /// When a file is missing, can't be read or is of another schema.
    pub(crate) fn through<D: Into<Box<dyn tantivy::Directory>>>(
        label: Label,
        directory: D,
        place: Place,
        bytes: u64,
        deleted: Arc<[u32]>,
    ) -> tantivy::Result<Self> {
        let directory: Box<dyn tantivy::Directory> = directory.into();
        let mut index = Index::open(directory.clone())?;
        if index.schema() == *earlier_schema() {
            index = Index::open(Earlier::new(directory, &index)?)?;
        }
        if index.schema() != schema().0 {
            return Err(tantivy::TantivyError::SchemaError("the split has another schema".to_owned()));
        }
        Self::open(label, index, place, bytes, deleted)
    }

    fn open(label: Label, mut index: Index, place: Place, bytes: u64, deleted: Arc<[u32]>) -> tantivy::Result<Self> {
        index.set_tokenizers(tokenizers().clone());
        let segment = index
            .searchable_segments()?
            .into_iter()
            .next()
            .ok_or_else(|| tantivy::TantivyError::InvalidArgument("a part without a segment".to_owned()))?;
        let reader = SegmentReader::open_with_custom_alive_set(&segment, alive(segment.meta().max_doc(), &deleted)?)?;
        let Label { id, index, time_ns, level, sealed, arrived_ms } = label;
        Ok(Self {
            index,
            reader,
            time_ns,
            id,
            bytes,
            place,
            segment,
            deleted,
            level,
            sealed,
            arrived_ms,
            ready_made: None,
            stretches: Arc::default(),
            held: Arc::default(),
        })
    }

    /// The same part, in memory but with files as they should lie on disk.
    pub(crate) fn ready_made(self, directory: RamDirectory) -> Self {
        Self { ready_made: Some(directory), ..self }
    }

    /// The same part without some more documents.
    ///
    /// # Errors
    /// When it can't be opened again.
    pub(crate) fn without(&self, documents: &[u32]) -> tantivy::Result<Self> {
        let mut deleted: Vec<u32> = self.deleted.iter().chain(documents).copied().collect();
        deleted.sort_unstable();
        deleted.dedup();
        let alive = alive(self.segment.meta().max_doc(), &deleted)?;
        Ok(Self {
            index: self.index.clone(),
            reader: SegmentReader::open_with_custom_alive_set(&self.segment, alive)?,
            time_ns: self.time_ns.clone(),
            segment: self.segment.clone(),
            deleted: deleted.into(),
            // Its files have the documents that are gone.
            ready_made: None,
            stretches: self.stretches.clone(),
            held: self.held.clone(),
            ..*self
        })
    }

    /// Whether it is cold and has no event of this time: then nothing of it should be fetched for a search.
    pub(crate) fn is_cold_outside(&self, (lower, upper): (i64, i64)) -> bool {
        self.place == Place::Cold && (*self.time_ns.end() < lower || upper < *self.time_ns.start())
    }

    /// Whether a document still counts.
    pub(crate) fn is_alive(&self, document: u32) -> bool {
        document < self.segment.meta().max_doc() && self.deleted.binary_search(&document).is_err()
    }

    /// The numbers on the bus of documents, ascending.
    ///
    /// # Errors
    /// When the column can't be read.
    pub(crate) fn seqs_of(&self, documents: &[u32]) -> tantivy::Result<Vec<u64>> {
        let column = self.reader.fast_fields().u64("seq")?;
        let mut seqs: Vec<u64> = documents.iter().filter_map(|document| column.first(*document)).collect();
        seqs.sort_unstable();
        Ok(seqs)
    }

    /// The living documents with these numbers, which are ascending.
    ///
    /// # Errors
    /// When the column can't be read.
    pub(crate) fn documents_at(&self, seqs: &[u64]) -> tantivy::Result<Vec<u32>> {
        let (Some(first), Some(last)) = (seqs.first(), seqs.last()) else { return Ok(Vec::new()) };
        let column = self.reader.fast_fields().u64("seq")?;
        if *last < column.min_value() || column.max_value() < *first {
            return Ok(Vec::new());
        }
        let wanted = |document: &u32| column.first(*document).is_some_and(|seq| seqs.binary_search(&seq).is_ok());
        Ok(self.reader.doc_ids_alive().filter(wanted).collect())
    }

    /// The least and the greatest time of every [`STRETCH_DOCS`] documents, dead ones included, from the column of
    /// times: the first time all of it is read.
    pub(crate) fn time_stretches(&self, times: &Column<u64>) -> &[(u64, u64)] {
        self.stretches.get_or_init(|| {
            if times.get_cardinality() != Cardinality::Full {
                return Box::default();
            }
            let docs = self.reader.max_doc();
            let mut values = vec![0; STRETCH_DOCS as usize];
            let of_stretch = |start: u32| {
                let values = values.get_mut(..(docs - start).min(STRETCH_DOCS) as usize).unwrap_or_default();
                times.values.get_range(u64::from(start), values);
                values.iter().copied().min().zip(values.iter().copied().max())
            };
            (0..docs).step_by(STRETCH_DOCS as usize).filter_map(of_stretch).collect()
        })
    }

    /// Whether its documents lie in an order that was asked for.
    pub(crate) fn is_sorted(&self) -> bool {
        self.segment.index().settings().sort_by_field.is_some()
    }

    /// How many documents it holds.
    pub(crate) fn docs(&self) -> u64 {
        u64::from(self.reader.num_docs())
    }

    /// The living documents with an id, chosen by a client or told by where the document lay on the bus.
    ///
    /// # Errors
    /// When the part can't be read.
    pub(crate) fn documents_of(&self, id: &str) -> tantivy::Result<Vec<u32>> {
        let inverted = self.reader.inverted_index(schema().1.id)?;
        let term = tantivy::Term::from_field_text(schema().1.id, id);
        let mut found = Vec::new();
        if let Some(mut postings) = inverted.read_postings(&term, tantivy::schema::IndexRecordOption::Basic)? {
            use tantivy::DocSet as _;
            while postings.doc() != tantivy::TERMINATED {
                found.push(postings.doc());
                postings.advance();
            }
        }
        if let Some(seq) = ids::seq_of(id) {
            found.extend(self.unnamed_at(seq)?);
        }
        found.retain(|document| self.deleted.binary_search(document).is_err());
        Ok(found)
    }

    /// The document that lay there on the bus, when no client chose an id for it.
    fn unnamed_at(&self, seq: u64) -> tantivy::Result<Option<u32>> {
        let columns = self.reader.fast_fields();
        let seqs = columns.u64("seq")?;
        if seq < seqs.min_value() || seqs.max_value() < seq {
            return Ok(None);
        }
        let mut found = Vec::new();
        seqs.get_docids_for_value_range(seq..=seq, 0..self.reader.max_doc(), &mut found);
        let named = columns.str("id")?;
        let is_named = |document: &u32| named.as_ref().is_some_and(|ids| ids.ords().first(*document).is_some());
        Ok(found.into_iter().find(|document| !is_named(document)))
    }

    /// How often a document was written.
    ///
    /// # Errors
    /// When the part can't be read.
    pub(crate) fn version_of(&self, document: u32) -> tantivy::Result<u64> {
        let column = format!("keyword.{VERSION}");
        let kinds = [ColumnType::I64, ColumnType::U64];
        let versions = self.reader.fast_fields().u64_lenient_for_type(Some(&kinds), &column)?;
        let version = versions.and_then(|(column, kind)| {
            let bits = column.first(document)?;
            if kind == ColumnType::I64 { u64::try_from(i64::from_u64(bits)).ok() } else { Some(bits) }
        });
        Ok(version.unwrap_or(1))
    }
}

fn alive(docs: u32, deleted: &[u32]) -> tantivy::Result<Option<AliveBitSet>> {
    if deleted.is_empty() {
        return Ok(None);
    }
    let mut bits = BitSet::with_max_value_and_full(docs);
    deleted.iter().filter(|document| **document < docs).for_each(|document| bits.remove(*document));
    let mut bytes = Vec::new();
    write_alive_bitset(&bits, &mut bytes)?;
    Ok(Some(AliveBitSet::open(OwnedBytes::new(bytes))))
}

/// Merges parts into one segment in `directory`, which must be empty: files of the same name are overwritten.
///
/// # Errors
/// When a part can't be read or the result can't be written.
pub(crate) fn merge<D: Into<Box<dyn tantivy::Directory>>>(
    parts: &[Arc<Part>],
    mut settings: IndexSettings,
    directory: D,
) -> tantivy::Result<Index> {
    let segments: Vec<Segment> = parts.iter().map(|part| part.segment.clone()).collect();
    let filters = parts.iter().map(|part| alive(part.segment.meta().max_doc(), &part.deleted));
    let filters = filters.collect::<tantivy::Result<Vec<_>>>()?;
    // Where one has another order than the rest, what comes of them has none.
    let order = |segment: &Segment| segment.index().settings().sort_by_field.clone();
    let first = segments.first().and_then(order);
    settings.sort_by_field =
        first.filter(|first| segments.iter().all(|segment| order(segment).as_ref() == Some(first)));
    tantivy::indexer::merge_filtered_segments(&segments, settings, filters, directory)
}

/// The time that parts cover together.
pub(crate) fn time_of(parts: &[Arc<Part>]) -> RangeInclusive<i64> {
    let oldest = parts.iter().map(|part| *part.time_ns.start()).min().unwrap_or(i64::MAX);
    let newest = parts.iter().map(|part| *part.time_ns.end()).max().unwrap_or(i64::MIN);
    oldest..=newest
}
