//! A part: one immutable tantivy segment, in memory or in a split's folder on disk.

use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;

use tantivy::directory::{MmapDirectory, RamDirectory};
use tantivy::store::Compressor;
use tantivy::{Index, IndexSettings, Segment, SegmentReader};

use crate::schema::{schema, tokenizers};

/// Names a part while the program runs; splits keep theirs on disk.
pub(crate) type PartId = u64;

/// Where a part's bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In memory only: replayed from the bus after a crash.
    Memory,
    /// In a split's folder, named in the manifest.
    Disk,
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
    pub(crate) segment: Segment,
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
    pub(crate) fn in_memory(label: Label, index: Index, directory: &RamDirectory) -> tantivy::Result<Self> {
        Self::open(label, index, Place::Memory, directory.total_mem_usage() as u64)
    }

    /// Opens the split in a folder.
    ///
    /// # Errors
    /// When a file is missing, damaged where it is read at opening, or of another schema.
    pub(crate) fn on_disk(label: Label, folder: &Path, bytes: u64) -> tantivy::Result<Self> {
        let index = Index::open(MmapDirectory::open(folder)?)?;
        if index.schema() != schema().0 {
            return Err(tantivy::TantivyError::SchemaError("the split has another schema".to_owned()));
        }
        Self::open(label, index, Place::Disk, bytes)
    }

    fn open(label: Label, mut index: Index, place: Place, bytes: u64) -> tantivy::Result<Self> {
        index.set_tokenizers(tokenizers().clone());
        let segment = index
            .searchable_segments()?
            .into_iter()
            .next()
            .ok_or_else(|| tantivy::TantivyError::InvalidArgument("a part without a segment".to_owned()))?;
        let reader = SegmentReader::open(&segment)?;
        Ok(Self { index: label.index, reader, time_ns: label.time_ns, id: label.id, bytes, place, segment })
    }

    /// How many documents it holds.
    pub(crate) fn docs(&self) -> u64 {
        u64::from(self.reader.num_docs())
    }
}
