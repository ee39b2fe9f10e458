//! The segment of an index that takes up documents until the next tick.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use tantivy::directory::RamDirectory;
use tantivy::{Index, SingleSegmentIndexWriter};

use super::ids;
use super::part::{Label, Part, PartId, disk_settings, memory_settings};
use crate::ingest::document::LogDocument;
use crate::schema::{schema, tokenizers};

/// Sizes the writer's first hash table: a tick's worth of documents, measured best at 10,000 events/s.
const WRITER_BYTES: usize = 300 << 10;

/// Smaller segments are merged in memory, whatever they were made for: among many indexes that share a tick each has
/// little, and a split of a few documents costs as many files as a large one.
const READY_MADE_BYTES_MIN: u64 = 1 << 20;

/// What becomes of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// It is searched in memory, and merged with others there.
    Memory,
    /// It is large enough to go to the disk as it is.
    Disk,
}

/// A segment that is being built.
pub(crate) struct Building {
    index: Arc<str>,
    purpose: Purpose,
    writer: SingleSegmentIndexWriter<LogDocument>,
    directory: RamDirectory,
    /// Bytes of memory that it took before it had documents.
    empty_bytes: u64,
    docs: u64,
    oldest_ns: i64,
    newest_ns: i64,
    /// Ids that clients chose, and the document that has each.
    ids: HashMap<Box<str>, u32>,
    /// Of each document for which no client chose an id, where it lay on the bus.
    seqs: Vec<Option<u64>>,
    /// Documents of this segment that a later one replaced.
    replaced: Vec<u32>,
}

impl Building {
    /// An empty one.
    ///
    /// # Errors
    /// When tantivy refuses its own schema.
    pub(crate) fn new(index: Arc<str>, purpose: Purpose) -> tantivy::Result<Self> {
        let directory = RamDirectory::create();
        let settings = if purpose == Purpose::Disk { disk_settings() } else { memory_settings() };
        let writer = Index::builder()
            .schema(schema().0.clone())
            .settings(settings)
            .tokenizers(tokenizers().clone())
            .single_segment_index_writer(directory.clone(), WRITER_BYTES)?;
        Ok(Self {
            index,
            purpose,
            empty_bytes: writer.mem_usage() as u64,
            writer,
            directory,
            docs: 0,
            oldest_ns: i64::MAX,
            newest_ns: i64::MIN,
            ids: HashMap::new(),
            seqs: Vec::new(),
            replaced: Vec::new(),
        })
    }

    /// Whether it has a document of this id.
    pub(crate) fn has_id(&self, id: &str) -> bool {
        self.ids.contains_key(id)
    }

    /// Takes the document of an id out again.
    pub(crate) fn remove(&mut self, id: &str) {
        let unnamed = || {
            let seq = ids::seq_of(id)?;
            let place = self.seqs.iter().position(|known| *known == Some(seq))?;
            u32::try_from(place).ok()
        };
        let found = self.ids.get(id).copied().or_else(unnamed);
        self.ids.remove(id);
        self.replaced.extend(found);
    }

    /// Adds a document; one of the same id no longer counts.
    ///
    /// # Errors
    /// When tantivy can't take it.
    pub(crate) fn add(&mut self, document: LogDocument) -> tantivy::Result<()> {
        self.oldest_ns = self.oldest_ns.min(document.time_ns);
        self.newest_ns = self.newest_ns.max(document.time_ns);
        // A tick's documents: far from four thousand millions.
        let number = u32::try_from(self.docs).unwrap_or(u32::MAX);
        if let Some(id) = &document.id {
            self.remove(id);
            self.ids.insert(id.clone(), number);
        }
        self.seqs.push(document.id.is_none().then_some(document.seq));
        self.docs += 1;
        self.writer.add_document(document)
    }

    /// How many documents it has.
    pub(crate) const fn docs(&self) -> u64 {
        self.docs
    }

    /// Bytes of memory that it takes.
    pub(crate) fn bytes(&self) -> u64 {
        (self.writer.mem_usage() + self.directory.total_mem_usage()) as u64
    }

    /// Bytes of memory that its documents made it take: arenas are reserved by the MiB, and hardly touched at first.
    pub(crate) fn grown_bytes(&self) -> u64 {
        self.bytes().saturating_sub(self.empty_bytes)
    }

    /// Ends it and makes it a part.
    ///
    /// # Errors
    /// When the segment can't be written to memory or read from there.
    pub(crate) fn finish(mut self, id: PartId) -> tantivy::Result<Part> {
        // They were replaced in any order, and are looked up by halves.
        self.replaced.sort_unstable();
        self.replaced.dedup();
        let time_ns: RangeInclusive<i64> = self.oldest_ns..=self.newest_ns;
        let index = self.writer.finalize()?;
        let label = Label::in_memory(id, self.index, time_ns, 0);
        let part = Part::in_memory(label, index, &self.directory, self.replaced.into())?;
        let is_ready_made =
            self.purpose == Purpose::Disk && part.deleted.is_empty() && part.bytes >= READY_MADE_BYTES_MIN;
        Ok(if is_ready_made { part.ready_made(self.directory) } else { part })
    }
}
