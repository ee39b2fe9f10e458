//! What lets matches through besides the query: slices, a least score, and the filter for hits alone.

use tantivy::DocId;
use tantivy::columnar::Column;

use super::compile::{self, Target};
use super::error::EsError;
use super::pattern::Bits;
use super::request::SearchRequest;
use super::scoring::Scores;
use crate::store::Part;

/// What is looked at of the matches besides the query.
pub(super) struct Sieve {
    pub(super) filter: Filter,
    /// The documents that may be hits; aggregations see the others too.
    pub(super) hits: Option<Bits>,
}

/// Slices and a least score.
pub(super) struct Filter {
    slice: Option<(Column<u64>, u64, u64)>,
    min_score: Option<f32>,
    docs: Vec<DocId>,
    scores: Vec<f32>,
}

impl Sieve {
    pub(super) fn open(
        request: &SearchRequest,
        min_score: Option<f32>,
        part: &Part,
        target: Target<'_>,
    ) -> Result<Self, EsError> {
        let slice = match request.slice {
            Some((id, max)) => Some((part.reader.fast_fields().u64("seq")?, id, max)),
            None => None,
        };
        let hits = match &request.post_filter {
            Some(clause) => {
                let query = compile::compile(clause, target)?;
                let weight = Scores::Unwanted.weight(query.as_ref())?;
                let mut bits = Bits::new(part.reader.max_doc());
                weight.for_each_no_score(&part.reader, &mut |docs| docs.iter().for_each(|doc| bits.insert(*doc)))?;
                Some(bits)
            }
            None => None,
        };
        Ok(Self { filter: Filter { slice, min_score, docs: Vec::new(), scores: Vec::new() }, hits })
    }

    /// Whether everything passes.
    pub(super) const fn is_open(&self) -> bool {
        self.filter.is_open() && self.hits.is_none()
    }
}

impl Filter {
    const fn is_open(&self) -> bool {
        self.slice.is_none() && self.min_score.is_none()
    }

    pub(super) fn pass<'s>(&'s mut self, docs: &'s [DocId], scores: &'s [f32]) -> (&'s [DocId], &'s [f32]) {
        if self.is_open() {
            return (docs, scores);
        }
        self.docs.clear();
        self.scores.clear();
        for (doc, score) in docs.iter().zip(scores) {
            let in_slice = self
                .slice
                .as_ref()
                .is_none_or(|(column, id, max)| column.first(*doc).is_some_and(|seq| spread(seq) % max == *id));
            if in_slice && self.min_score.is_none_or(|least| *score >= least) {
                self.docs.push(*doc);
                self.scores.push(*score);
            }
        }
        (&self.docs, &self.scores)
    }
}

/// Spreads places on the bus evenly over slices: neighbours go to different ones.
const fn spread(seq: u64) -> u64 {
    // The multiplier of Fibonacci hashing: 2^64 divided by the golden ratio.
    seq.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32
}
