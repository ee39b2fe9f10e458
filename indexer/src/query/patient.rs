//! Phrases that can be interrupted. The library looks for the next phrase without a pause, through all documents that
//! have its words; here it is asked about one document after the other, and now and then whether anybody still waits.

use tantivy::query::{EnableScoring, Explanation, Query, Scorer, Weight};
use tantivy::{DocId, DocSet, Score, SeekDangerResult, SegmentReader, TERMINATED};

use crate::interrupt::interrupted;

/// Documents between two looks at the clock: each is tested for the phrase in a microsecond or less.
const DOCS_BETWEEN_CHECKS: u32 = 1 << 12;

/// A query of which the matches take long to find.
#[derive(Debug)]
pub(crate) struct Patient(pub(crate) Box<dyn Query>);

impl Clone for Patient {
    fn clone(&self) -> Self {
        Self(self.0.box_clone())
    }
}

struct PatientWeight(Box<dyn Weight>);

struct PatientDocs {
    inner: Box<dyn Scorer>,
    doc: DocId,
    looked_at: u32,
}

impl Query for Patient {
    fn weight(&self, scoring: EnableScoring<'_>) -> tantivy::Result<Box<dyn Weight>> {
        Ok(Box::new(PatientWeight(self.0.weight(scoring)?)))
    }
}

impl Weight for PatientWeight {
    fn scorer(&self, reader: &SegmentReader, boost: Score) -> tantivy::Result<Box<dyn Scorer>> {
        let (first, inner) = self.0.scorer_danger(reader, 0, boost)?;
        let mut docs = PatientDocs { inner, doc: 0, looked_at: 0 };
        if let SeekDangerResult::SeekLowerBound(from) = first {
            docs.find(from);
        }
        Ok(Box::new(docs))
    }

    fn explain(&self, reader: &SegmentReader, doc: DocId) -> tantivy::Result<Explanation> {
        self.0.explain(reader, doc)
    }
}

impl PatientDocs {
    /// The first match from here on; none when the search is to stop, which whoever runs it finds out by itself.
    fn find(&mut self, mut from: DocId) {
        while from < TERMINATED {
            self.looked_at = self.looked_at.wrapping_add(1);
            if self.looked_at.is_multiple_of(DOCS_BETWEEN_CHECKS) && interrupted() {
                break;
            }
            match self.inner.seek_danger(from) {
                SeekDangerResult::Found => {
                    self.doc = from;
                    return;
                }
                SeekDangerResult::SeekLowerBound(next) => from = next,
            }
        }
        self.doc = TERMINATED;
    }
}

impl DocSet for PatientDocs {
    fn advance(&mut self) -> DocId {
        if self.doc < TERMINATED {
            self.find(self.doc + 1);
        }
        self.doc
    }

    fn seek(&mut self, target: DocId) -> DocId {
        if self.doc < target {
            self.find(target);
        }
        self.doc
    }

    fn seek_danger(&mut self, target: DocId) -> SeekDangerResult {
        if target >= TERMINATED || self.doc > target {
            return SeekDangerResult::SeekLowerBound(self.doc.max(target));
        }
        if self.doc == target {
            return SeekDangerResult::Found;
        }
        match self.inner.seek_danger(target) {
            SeekDangerResult::Found => {
                self.doc = target;
                SeekDangerResult::Found
            }
            SeekDangerResult::SeekLowerBound(next) => SeekDangerResult::SeekLowerBound(next),
        }
    }

    fn doc(&self) -> DocId {
        self.doc
    }

    fn size_hint(&self) -> u32 {
        self.inner.size_hint()
    }

    fn cost(&self) -> u64 {
        self.inner.cost()
    }
}

impl Scorer for PatientDocs {
    fn score(&mut self) -> Score {
        self.inner.score()
    }
}
