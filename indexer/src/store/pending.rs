//! What is in memory only and what is being worked on: the other half of the catalog.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::catalog::Catalog;
use super::manifest::MarkMeta;
use super::part::{Part, PartId, Place};

/// Documents of cold splits and their numbers on the bus, by split.
pub(crate) type ColdDeleted = BTreeMap<u64, (Vec<u32>, Vec<u64>)>;

/// What the next flush makes durable, and which parts are taken.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    /// The next offset to read, by partition, of what is published.
    pub(crate) next: BTreeMap<i32, i64>,
    /// The origins that moved since the last flush.
    pub(crate) marks: HashMap<(i32, Arc<str>), MarkMeta>,
    /// Documents of splits that were replaced or erased since the last flush.
    pub(crate) deleted: BTreeMap<u64, Vec<u32>>,
    /// The same of cold splits, with where they lay on the bus: to ask the split would take its time.
    pub(crate) cold_deleted: ColdDeleted,
    /// Parts that a flush or a merge works on, and what tells it that it works for nothing.
    taken: HashMap<PartId, Arc<AtomicBool>>,
    /// Where in the list of departures each flush and merge began that is at work, and how many did there.
    open: BTreeMap<u64, usize>,
    /// What left while any is at work: its result has the documents as they were before.
    departures: VecDeque<Departure>,
    /// Departures that nobody needs any more and that were dropped from the list.
    dropped: u64,
}

/// Documents that left an index.
#[derive(Debug)]
pub(crate) enum Departure {
    /// All that had this id.
    Id(Arc<str>, Box<str>),
    /// Those with these numbers, ascending.
    Seqs(Arc<str>, Arc<[u64]>),
}

/// A flush or merge, and up to where in the list of departures its result is.
#[derive(Debug)]
pub(crate) struct Ticket {
    began: u64,
    seen: u64,
    /// Set when what it works on was deleted.
    pub(super) doomed: Arc<AtomicBool>,
}

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
        for (index, id) in replaced {
            self.departed(|| Departure::Id(index, id));
        }
    }

    /// Notes what left, for the results of those at work.
    pub(crate) fn departed(&mut self, departure: impl FnOnce() -> Departure) {
        if !self.open.is_empty() {
            self.departures.push_back(departure());
        }
    }

    /// Takes parts to work on.
    pub(crate) fn take(&mut self, parts: &[Arc<Part>]) -> Ticket {
        let now = self.dropped + self.departures.len() as u64;
        *self.open.entry(now).or_default() += 1;
        let doomed = Arc::<AtomicBool>::default();
        self.taken.extend(parts.iter().map(|part| (part.id, doomed.clone())));
        Ticket { began: now, seen: now, doomed }
    }

    /// Whether a flush or a merge works on a part.
    pub(crate) fn is_taken(&self, part: PartId) -> bool {
        self.taken.contains_key(&part)
    }

    /// Lets those end that work on parts which were deleted.
    pub(crate) fn doom(&self, parts: &[PartId]) {
        for doomed in parts.iter().filter_map(|part| self.taken.get(part)) {
            doomed.store(true, Ordering::Release);
        }
    }

    /// Gives parts back, worked on or not.
    pub(crate) fn give_back<'p>(&mut self, parts: impl Iterator<Item = &'p Arc<Part>>, ticket: &Ticket) {
        if let Some(count) = self.open.get_mut(&ticket.began) {
            *count -= 1;
            if *count == 0 {
                self.open.remove(&ticket.began);
            }
        }
        let end = self.dropped + self.departures.len() as u64;
        let needed_from = self.open.keys().next().copied().unwrap_or(end);
        while self.dropped < needed_from && self.departures.pop_front().is_some() {
            self.dropped += 1;
        }
        for part in parts {
            self.taken.remove(&part.id);
        }
    }

    /// The documents of a work's result that left since the work began, or since [`Pending::noted`].
    ///
    /// # Errors
    /// When it can't be read.
    pub(crate) fn gone_from(&self, part: &Part, ticket: &Ticket) -> tantivy::Result<Vec<u32>> {
        let mut gone = Vec::new();
        let unseen = usize::try_from(ticket.seen.saturating_sub(self.dropped)).unwrap_or(usize::MAX);
        for departure in self.departures.iter().skip(unseen) {
            match departure {
                Departure::Id(index, id) if *index == part.index => gone.extend(part.documents_of(id)?),
                Departure::Seqs(index, seqs) if *index == part.index => gone.extend(part.documents_at(seqs)?),
                _ => {}
            }
        }
        gone.sort_unstable();
        gone.dedup();
        Ok(gone)
    }

    /// What has left so far is noted in all results of a work.
    pub(crate) fn noted(&self, ticket: &mut Ticket) {
        ticket.seen = self.dropped + self.departures.len() as u64;
    }

    /// A work's result without the documents that left meanwhile.
    ///
    /// # Errors
    /// When it can't be read.
    pub(crate) fn up_to_date(&mut self, part: Part, ticket: &Ticket) -> tantivy::Result<Part> {
        let gone = self.gone_from(&part, ticket)?;
        if gone.is_empty() { Ok(part) } else { self.bury(&part, &gone) }
    }

    /// Notes what left a cold split.
    pub(crate) fn bury_cold(&mut self, split: PartId, documents: &[u32], seqs: &[u64]) {
        let known = self.cold_deleted.entry(split).or_default();
        known.0.extend(documents);
        known.1.extend(seqs);
    }

    /// A part without some of its living documents; what that changes on disk is noted. Of a cold split it is noted by
    /// whoever knows where they lay on the bus.
    ///
    /// # Errors
    /// When it can't be read.
    pub(crate) fn bury(&mut self, part: &Part, documents: &[u32]) -> tantivy::Result<Part> {
        if part.place == Place::Disk {
            self.deleted.entry(part.id).or_default().extend(documents);
        }
        part.without(documents)
    }

    /// Puts back what a flush took and could not write; what came later wins.
    pub(crate) fn restore(
        &mut self,
        next: BTreeMap<i32, i64>,
        marks: Vec<MarkMeta>,
        deleted: BTreeMap<u64, Vec<u32>>,
        cold_deleted: ColdDeleted,
    ) {
        for (split, (documents, seqs)) in cold_deleted {
            self.bury_cold(split, &documents, &seqs);
        }
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
        place: Place,
    ) -> impl Iterator<Item = (&'c Arc<str>, Vec<Arc<Part>>)> {
        catalog.indexes.iter().map(move |(name, index)| {
            let free = index.parts.iter().filter(|part| part.place == place && !self.is_taken(part.id));
            (name, free.cloned().collect())
        })
    }
}
