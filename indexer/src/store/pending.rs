//! What is in memory only and what is being worked on: the other half of the catalog.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::catalog::Catalog;
use super::manifest::MarkMeta;
use super::part::{Part, PartId};

/// What the next flush makes durable, and which parts are taken.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    /// The next offset to read, by partition, of what is published.
    pub(crate) next: BTreeMap<i32, i64>,
    /// The origins that moved since the last flush.
    pub(crate) marks: HashMap<(i32, Arc<str>), MarkMeta>,
    /// Documents of splits that were replaced since the last flush.
    pub(crate) deleted: BTreeMap<u64, Vec<u32>>,
    /// Parts that a flush or a merge works on.
    pub(crate) taken: HashSet<PartId>,
    /// How many flushes and merges are at work.
    workers: usize,
    /// Ids replaced while any is at work: its result has the documents as they were before.
    replaced: Vec<(Arc<str>, Box<str>)>,
}

/// A flush or merge that began after so many replacements.
#[derive(Debug)]
pub(crate) struct Ticket(usize);

impl Pending {
    /// Takes up what a tick published.
    pub(crate) fn published(
        &mut self,
        next: &BTreeMap<i32, i64>,
        marks: Vec<MarkMeta>,
        replaced: Vec<(Arc<str>, Box<str>)>,
    ) {
        self.next.extend(next);
        for mark in marks {
            self.marks.insert((mark.partition, mark.source.clone()), mark);
        }
        if self.workers > 0 {
            self.replaced.extend(replaced);
        }
    }

    /// Takes parts to work on.
    pub(crate) fn take(&mut self, parts: &[Arc<Part>]) -> Ticket {
        self.workers += 1;
        self.taken.extend(parts.iter().map(|part| part.id));
        Ticket(self.replaced.len())
    }

    /// Gives parts back, worked on or not.
    pub(crate) fn give_back<'p>(&mut self, parts: impl Iterator<Item = &'p Arc<Part>>) {
        self.workers = self.workers.saturating_sub(1);
        if self.workers == 0 {
            self.replaced.clear();
        }
        for part in parts {
            self.taken.remove(&part.id);
        }
    }

    /// A work's result without the documents that were replaced meanwhile.
    ///
    /// # Errors
    /// When it can't be read.
    pub(crate) fn up_to_date(&mut self, part: Part, ticket: &Ticket) -> tantivy::Result<Part> {
        let mut gone = Vec::new();
        for (index, id) in self.replaced.iter().skip(ticket.0) {
            if *index == part.index {
                gone.extend(part.documents_of(id)?);
            }
        }
        if gone.is_empty() {
            return Ok(part);
        }
        if part.place == super::part::Place::Disk {
            self.deleted.entry(part.id).or_default().extend(&gone);
        }
        part.without(&gone)
    }

    /// Puts back what a flush took and could not write; what came later wins.
    pub(crate) fn restore(&mut self, next: BTreeMap<i32, i64>, marks: Vec<MarkMeta>, deleted: BTreeMap<u64, Vec<u32>>) {
        for (partition, offset) in next {
            self.next.entry(partition).or_insert(offset);
        }
        for mark in marks {
            self.marks.entry((mark.partition, mark.source.clone())).or_insert(mark);
        }
        for (split, documents) in deleted {
            self.deleted.entry(split).or_default().extend(documents);
        }
    }

    /// The parts of a kind that nobody works on, by index.
    pub(crate) fn free<'c>(
        &self,
        catalog: &'c Catalog,
        place: super::part::Place,
    ) -> impl Iterator<Item = (&'c Arc<str>, Vec<Arc<Part>>)> {
        catalog.indexes.iter().map(move |(name, index)| {
            let free = index.parts.iter().filter(|part| part.place == place && !self.taken.contains(&part.id));
            (name, free.cloned().collect())
        })
    }
}
