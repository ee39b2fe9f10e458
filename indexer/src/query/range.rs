//! Ranges over columns, with a guard around the library's own: inside an exclusion it may be asked about documents that
//! it has passed already, which it takes for a long way ahead (and overflows where that is checked).

use tantivy::query::{AllScorer, EmptyScorer, EnableScoring, Explanation, Query, RangeQuery, Scorer, Weight};
use tantivy::{COLLECT_BLOCK_BUFFER_LEN, DocId, DocSet, Score, SeekDangerResult, SegmentReader};

/// A range query that answers questions about what it has passed.
#[derive(Clone, Debug)]
pub(crate) struct GuardedRange(pub(crate) RangeQuery);

struct GuardedWeight(Box<dyn Weight>);

struct GuardedDocs {
    inner: Box<dyn Scorer>,
    /// The last document that was asked for.
    last: DocId,
}

impl Query for GuardedRange {
    fn weight(&self, scoring: EnableScoring<'_>) -> tantivy::Result<Box<dyn Weight>> {
        Ok(Box::new(GuardedWeight(self.0.weight(scoring)?)))
    }
}

impl Weight for GuardedWeight {
    fn scorer(&self, reader: &SegmentReader, boost: Score) -> tantivy::Result<Box<dyn Scorer>> {
        let inner = self.0.scorer(reader, boost)?;
        // Conjunctions leave out what matches everything, when they can see it.
        if inner.is::<AllScorer>() || inner.is::<EmptyScorer>() {
            return Ok(inner);
        }
        Ok(Box::new(GuardedDocs { inner, last: 0 }))
    }

    fn explain(&self, reader: &SegmentReader, doc: DocId) -> tantivy::Result<Explanation> {
        self.0.explain(reader, doc)
    }

    fn count(&self, reader: &SegmentReader) -> tantivy::Result<u32> {
        self.0.count(reader)
    }
}

impl DocSet for GuardedDocs {
    fn advance(&mut self) -> DocId {
        self.inner.advance()
    }

    fn seek(&mut self, target: DocId) -> DocId {
        self.last = self.last.max(target);
        self.inner.seek(target)
    }

    fn seek_danger(&mut self, target: DocId) -> SeekDangerResult {
        if target < self.last {
            // Who asks this stands before what a conjunction has already agreed on.
            return SeekDangerResult::SeekLowerBound(self.last);
        }
        self.last = target;
        self.inner.seek_danger(target)
    }

    fn fill_buffer(&mut self, buffer: &mut [DocId; COLLECT_BLOCK_BUFFER_LEN]) -> usize {
        self.inner.fill_buffer(buffer)
    }

    fn doc(&self) -> DocId {
        self.inner.doc()
    }

    fn size_hint(&self) -> u32 {
        self.inner.size_hint()
    }

    fn cost(&self) -> u64 {
        self.inner.cost()
    }
}

impl Scorer for GuardedDocs {
    fn score(&mut self) -> Score {
        self.inner.score()
    }
}
