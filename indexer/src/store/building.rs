//! The segment of an index that takes up documents until the next tick.

use std::collections::{HashMap, HashSet};
use std::ops::RangeInclusive;
use std::sync::Arc;

use tantivy::directory::RamDirectory;
use tantivy::{Index, IndexSettings, SingleSegmentIndexWriter};

use super::document::LogDocument;
use super::ids;
use super::order::Order;
use super::part::{Label, Part, PartId, disk_settings, memory_settings};
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
    order: Order,
    writer: SingleSegmentIndexWriter<LogDocument>,
    directory: RamDirectory,
    /// Bytes of memory that it took before it had documents.
    empty_bytes: u64,
    docs: u64,
    oldest_ns: i64,
    newest_ns: i64,
    /// Ids that clients chose, and where the document of each lay on the bus.
    ids: HashMap<Box<str>, u64>,
    /// Where the documents for which no client chose an id lay on the bus.
    unnamed: HashSet<u64>,
    /// Where documents of this segment lay that a later one replaced.
    replaced: Vec<u64>,
}

impl Building {
    /// An empty one.
    ///
    /// # Errors
    /// When tantivy refuses its own schema.
    pub(crate) fn new(index: Arc<str>, purpose: Purpose, order: Order) -> tantivy::Result<Self> {
        let directory = RamDirectory::create();
        let settings = if purpose == Purpose::Disk { disk_settings() } else { memory_settings() };
        let writer = Index::builder()
            .schema(schema().0.clone())
            .settings(IndexSettings { sort_by_field: order.column(), ..settings })
            .tokenizers(tokenizers().clone())
            .single_segment_index_writer(directory.clone(), WRITER_BYTES)?;
        Ok(Self {
            index,
            purpose,
            order,
            empty_bytes: writer.mem_usage() as u64,
            writer,
            directory,
            docs: 0,
            oldest_ns: i64::MAX,
            newest_ns: i64::MIN,
            ids: HashMap::new(),
            unnamed: HashSet::new(),
            replaced: Vec::new(),
        })
    }

    /// Whether it has a document of this id.
    pub(crate) fn has_id(&self, id: &str) -> bool {
        self.ids.contains_key(id)
    }

    /// Takes the document of an id out again.
    pub(crate) fn remove(&mut self, id: &str) {
        let named = self.ids.remove(id);
        self.replaced.extend(named.or_else(|| ids::seq_of(id).filter(|seq| self.unnamed.remove(seq))));
    }

    /// Adds a document; one of the same id no longer counts.
    ///
    /// # Errors
    /// When tantivy can't take it.
    pub(crate) fn add(&mut self, mut document: LogDocument) -> tantivy::Result<()> {
        self.oldest_ns = self.oldest_ns.min(document.time_ns);
        self.newest_ns = self.newest_ns.max(document.time_ns);
        if let Some(id) = &document.id {
            self.remove(id);
            self.ids.insert(id.clone(), document.seq);
        } else {
            self.unnamed.insert(document.seq);
        }
        self.docs += 1;
        document.order = self.order.key(&document);
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
        let time_ns: RangeInclusive<i64> = self.oldest_ns..=self.newest_ns;
        let index = self.writer.finalize()?;
        let label = Label::in_memory(id, self.index, time_ns, 0);
        let part = Part::in_memory(label, index, &self.directory, Arc::default())?;
        let replaced = part.documents_at(&self.replaced)?;
        let part = if replaced.is_empty() { part } else { part.without(&replaced)? };
        let is_ready_made =
            self.purpose == Purpose::Disk && part.deleted.is_empty() && part.bytes >= READY_MADE_BYTES_MIN;
        Ok(if is_ready_made { part.ready_made(self.directory) } else { part })
    }
}
