//! Walks the matches of one part in blocks, all of them or those of chosen stretches.

use std::ops::Range;

use tantivy::fastfield::AliveBitSet;
use tantivy::query::{Scorer, Weight};
use tantivy::{COLLECT_BLOCK_BUFFER_LEN, DocId, SegmentReader, TERMINATED};

use super::error::EsError;
use super::limits::Stopped;
use super::scoring::rounded;
use crate::store::part::STRETCH_DOCS;

/// Where looking up the matches costs more than looking at them, they are all looked at.
const MATCHES_MANY: u32 = if cfg!(test) { 3 } else { 1 << 14 };

/// Looks at matches.
pub(crate) trait Visitor {
    /// Takes a block of documents and their scores; may say why to stop.
    fn take(&mut self, docs: &[DocId], scores: &[f32]) -> Option<Stopped>;

    /// Which stretch of the part is to be looked at first, where others may then be passed over; `None` where every
    /// match matters. Asked once, where there are many matches.
    fn first_stretch(&mut self) -> Option<usize>;

    /// Says that the first stretch was looked at.
    ///
    /// # Errors
    /// When matches can't be counted.
    fn first_done(&mut self, first: usize) -> Result<(), EsError>;

    /// Whether nothing of a stretch matters any more.
    fn may_pass(&self, stretch: usize) -> bool;

    /// Says that a stretch was passed over.
    fn passed(&mut self);
}

/// Shows a visitor the living, matching documents and their scores, until it says why to stop: all of them, or, where
/// they are many, those of the stretch that is to be looked at first and then those that still matter.
pub(crate) fn each_block(
    weight: &dyn Weight,
    reader: &SegmentReader,
    scored: bool,
    visitor: &mut dyn Visitor,
) -> Result<Option<Stopped>, EsError> {
    let mut block = Block::new(reader, scored);
    let mut docs = weight.scorer(reader, 1.0)?;
    let first = if docs.size_hint() < MATCHES_MANY { None } else { visitor.first_stretch() };
    let Some(first) = first else { return Ok(block.show_all(docs.as_mut(), visitor)) };
    let seen = documents_of(first);
    if docs.doc() < seen.start {
        docs.seek(seen.start);
    }
    while docs.doc() < seen.end {
        block.fill(docs.as_mut());
        block.keep(|doc| doc < seen.end);
        if let Some(stopped) = block.show(visitor) {
            return Ok(Some(stopped));
        }
    }
    visitor.first_done(first)?;
    let stretches = reader.max_doc().div_ceil(STRETCH_DOCS) as usize;
    if (0..stretches).all(|stretch| stretch == first || visitor.may_pass(stretch)) {
        visitor.passed();
        return Ok(None);
    }
    // Documents are only found forwards.
    docs = weight.scorer(reader, 1.0)?;
    while docs.doc() != TERMINATED {
        let stretch = docs.doc() as usize / STRETCH_DOCS as usize;
        let is_passed = stretch != first && visitor.may_pass(stretch);
        if is_passed {
            visitor.passed();
        }
        if is_passed || stretch == first {
            let next = documents_of(stretch).end;
            if next >= reader.max_doc() {
                break;
            }
            docs.seek(next);
            continue;
        }
        block.fill(docs.as_mut());
        // It may have gone on into the next stretch.
        block.keep(|doc| !seen.contains(&doc));
        if let Some(stopped) = block.show(visitor) {
            return Ok(Some(stopped));
        }
    }
    Ok(None)
}

fn documents_of(stretch: usize) -> Range<DocId> {
    let number = u32::try_from(stretch).unwrap_or(u32::MAX);
    number.saturating_mul(STRETCH_DOCS)..number.saturating_add(1).saturating_mul(STRETCH_DOCS)
}

/// Some documents and their scores.
struct Block<'r> {
    docs: [DocId; COLLECT_BLOCK_BUFFER_LEN],
    scores: [f32; COLLECT_BLOCK_BUFFER_LEN],
    filled: usize,
    scored: bool,
    alive: Option<&'r AliveBitSet>,
}

impl<'r> Block<'r> {
    fn new(reader: &'r SegmentReader, scored: bool) -> Self {
        let (docs, scores) = ([0; COLLECT_BLOCK_BUFFER_LEN], [0.0; COLLECT_BLOCK_BUFFER_LEN]);
        Self { docs, scores, filled: 0, scored, alive: reader.alive_bitset() }
    }

    fn show(&self, visitor: &mut dyn Visitor) -> Option<Stopped> {
        visitor.take(self.docs.get(..self.filled)?, self.scores.get(..self.filled)?)
    }

    fn show_all(&mut self, docs: &mut dyn Scorer, visitor: &mut dyn Visitor) -> Option<Stopped> {
        loop {
            let ended = self.fill(docs);
            let stopped = self.show(visitor);
            if stopped.is_some() || ended {
                return stopped;
            }
        }
    }

    /// Takes the next living documents; true when there are no more after them.
    fn fill(&mut self, docs: &mut dyn Scorer) -> bool {
        self.filled = if self.scored { self.fill_scored(docs) } else { docs.fill_buffer(&mut self.docs) };
        let ended = self.filled < self.docs.len();
        if let Some(alive) = self.alive {
            self.keep(|doc| alive.is_alive(doc));
        }
        ended
    }

    fn fill_scored(&mut self, docs: &mut dyn Scorer) -> usize {
        let mut filled = 0;
        let mut doc = docs.doc();
        for (slot, score) in self.docs.iter_mut().zip(self.scores.iter_mut()) {
            if doc == TERMINATED {
                break;
            }
            (*slot, *score) = (doc, rounded(docs.score()));
            filled += 1;
            doc = docs.advance();
        }
        filled
    }

    fn keep(&mut self, wanted: impl Fn(DocId) -> bool) {
        let mut kept = 0;
        for at in 0..self.filled {
            let (Some(doc), Some(score)) = (self.docs.get(at).copied(), self.scores.get(at).copied()) else { break };
            if wanted(doc)
                && let (Some(doc_slot), Some(score_slot)) = (self.docs.get_mut(kept), self.scores.get_mut(kept))
            {
                (*doc_slot, *score_slot) = (doc, score);
                kept += 1;
            }
        }
        self.filled = kept;
    }
}
