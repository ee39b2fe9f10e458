//! Finds the documents whose terms pass a test: wildcards, regular expressions, fuzzy words, in any field or path.
//! Walks the terms of one path only, and reads the postings of those that pass.

use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use tantivy::index::SegmentId;
use tantivy::query::{ConstScorer, EnableScoring, Explanation, Query, Scorer, Weight};
use tantivy::schema::{Field, IndexRecordOption};
use tantivy::{DocId, DocSet, Score, SegmentReader, TERMINATED, TantivyError};

use crate::interrupt::interrupted;

/// A test on a term's text.
pub(crate) type TermTest = Arc<dyn Fn(&str) -> bool + Send + Sync>;

/// The query.
#[derive(Clone)]
pub(crate) struct PatternQuery {
    field: Field,
    /// What every term of the path begins with; the rest of the term is its text.
    path: Arc<[u8]>,
    /// What the text of every term that can pass begins with.
    prefix: Arc<str>,
    test: TermTest,
}

impl PatternQuery {
    pub(crate) fn new(field: Field, path: &[u8], prefix: &str, test: TermTest) -> Self {
        Self { field, path: path.into(), prefix: prefix.into(), test }
    }
}

impl fmt::Debug for PatternQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PatternQuery({:?}*)", self.prefix)
    }
}

impl Query for PatternQuery {
    fn weight(&self, _: EnableScoring<'_>) -> tantivy::Result<Box<dyn Weight>> {
        Ok(Box::new(PatternWeight { query: self.clone(), found: Mutex::default() }))
    }
}

/// Matches are asked for more than once of a segment: to count them, and again from its beginning.
struct PatternWeight {
    query: PatternQuery,
    found: Mutex<Option<(SegmentId, Arc<Bits>)>>,
}

impl Weight for PatternWeight {
    fn scorer(&self, reader: &SegmentReader, boost: Score) -> tantivy::Result<Box<dyn Scorer>> {
        let mut found = self.found.lock();
        let known = found.as_ref().filter(|(segment, _)| *segment == reader.segment_id()).map(|(_, bits)| bits.clone());
        let bits = match known {
            Some(bits) => bits,
            None => {
                let bits = Arc::new(self.query.matches(reader)?);
                *found = Some((reader.segment_id(), bits.clone()));
                bits
            }
        };
        Ok(Box::new(ConstScorer::new(BitsDocs::new(bits), boost)))
    }

    fn explain(&self, _: &SegmentReader, _: DocId) -> tantivy::Result<Explanation> {
        Ok(Explanation::new("PatternQuery", 1.0))
    }
}

impl PatternQuery {
    fn matches(&self, reader: &SegmentReader) -> tantivy::Result<Bits> {
        let inverted = reader.inverted_index(self.field)?;
        let lower = [&self.path, self.prefix.as_bytes()].concat();
        let mut range = inverted.terms().range().ge(&lower);
        let upper = successor(lower);
        if let Some(upper) = &upper {
            range = range.lt(upper);
        }
        let mut terms = range.into_stream()?;
        let mut docs = Bits::new(reader.max_doc());
        let mut looked_at = 0u32;
        while terms.advance() {
            looked_at = looked_at.wrapping_add(1);
            if looked_at.is_multiple_of(STEPS_BETWEEN_CHECKS) && interrupted() {
                return Err(stopped());
            }
            let text = terms.key().get(self.path.len()..).and_then(|bytes| std::str::from_utf8(bytes).ok());
            if !text.is_some_and(|text| (self.test)(text)) {
                continue;
            }
            let mut postings = inverted.read_block_postings_from_terminfo(terms.value(), IndexRecordOption::Basic)?;
            while !postings.docs().is_empty() {
                postings.docs().iter().for_each(|doc| docs.insert(*doc));
                postings.advance();
                looked_at = looked_at.wrapping_add(1);
                if looked_at.is_multiple_of(STEPS_BETWEEN_CHECKS) && interrupted() {
                    return Err(stopped());
                }
            }
        }
        Ok(docs)
    }
}

/// Terms and blocks of postings between two looks at the clock.
const STEPS_BETWEEN_CHECKS: u32 = 1 << 11;

/// What the library hands on; whoever runs the search knows why it stopped.
fn stopped() -> TantivyError {
    TantivyError::InternalError("the search was stopped".to_owned())
}

/// The least key that is greater than every key with this prefix.
pub(crate) fn successor(mut prefix: Vec<u8>) -> Option<Vec<u8>> {
    while let Some(last) = prefix.pop() {
        if last < u8::MAX {
            prefix.push(last + 1);
            return Some(prefix);
        }
    }
    None
}

/// A set of documents of one segment.
#[derive(Clone, Debug)]
pub(crate) struct Bits(Vec<u64>);

impl Bits {
    pub(crate) fn new(max_doc: DocId) -> Self {
        Self(vec![0; max_doc.div_ceil(64) as usize])
    }

    pub(crate) fn insert(&mut self, doc: DocId) {
        if let Some(word) = self.0.get_mut((doc / 64) as usize) {
            *word |= 1 << (doc % 64);
        }
    }

    pub(crate) fn contains(&self, doc: DocId) -> bool {
        self.0.get((doc / 64) as usize).is_some_and(|word| word >> (doc % 64) & 1 == 1)
    }
}

/// Walks a set in order.
struct BitsDocs {
    bits: Arc<Bits>,
    doc: DocId,
    count: u32,
}

impl BitsDocs {
    fn new(bits: Arc<Bits>) -> Self {
        let count = bits.0.iter().map(|word| word.count_ones()).sum();
        let mut docs = Self { bits, doc: 0, count };
        docs.doc = docs.at_or_after(0);
        docs
    }

    fn at_or_after(&self, doc: DocId) -> DocId {
        let mut at = (doc / 64) as usize;
        let mut word = self.bits.0.get(at).map_or(0, |word| word & (u64::MAX << (doc % 64)));
        loop {
            if word != 0 {
                return u32::try_from(at * 64).unwrap_or(TERMINATED) + word.trailing_zeros();
            }
            at += 1;
            match self.bits.0.get(at) {
                Some(next) => word = *next,
                None => return TERMINATED,
            }
        }
    }
}

impl DocSet for BitsDocs {
    fn advance(&mut self) -> DocId {
        if self.doc != TERMINATED {
            self.doc = self.at_or_after(self.doc + 1);
        }
        self.doc
    }

    fn seek(&mut self, target: DocId) -> DocId {
        if self.doc < target {
            self.doc = if target >= TERMINATED { TERMINATED } else { self.at_or_after(target) };
        }
        self.doc
    }

    fn doc(&self) -> DocId {
        self.doc
    }

    fn size_hint(&self) -> u32 {
        self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn bits_are_walked_in_order(docs in prop::collection::btree_set(0u32..500, 0..60), target in 0u32..600) {
            let mut bits = Bits::new(500);
            docs.iter().for_each(|doc| bits.insert(*doc));
            prop_assert!(docs.iter().all(|doc| bits.contains(*doc)));
            let bits = Arc::new(bits);
            let mut walk = BitsDocs::new(bits.clone());
            let mut found = Vec::new();
            while walk.doc() != TERMINATED {
                found.push(walk.doc());
                walk.advance();
            }
            prop_assert_eq!(found, docs.iter().copied().collect::<Vec<_>>());
            prop_assert_eq!(BitsDocs::new(bits).seek(target), docs.range(target..).next().copied().unwrap_or(TERMINATED));
        }
    }

    #[test]
    fn the_end_of_a_prefix() {
        assert_eq!(successor(vec![1, 2]), Some(vec![1, 3]));
        assert_eq!(successor(vec![1, 255]), Some(vec![2]));
        assert_eq!(successor(vec![255]), None);
    }
}
