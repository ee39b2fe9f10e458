//! Scores: BM25 with statistics over everything that a search sees, memory and disk, so that it does not matter how
//! documents are spread over parts. Lengths are not kept (see the schema), so they do not count.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use tantivy::query::{Bm25StatisticsProvider, EnableScoring, Explanation, Query, Scorer, Weight};
use tantivy::schema::Field;
use tantivy::{DocId, DocSet, Index, Searcher, SeekDangerResult, SegmentReader, Term};

use super::error::EsError;
use super::pattern::Bits;
use crate::schema::{schema, tokenizers};
use crate::store::part::Place;
use crate::store::{Part, View};

/// Which scores a search needs.
#[derive(Clone)]
pub(crate) enum Scores {
    /// Nothing asks for them.
    Unwanted,
    /// Every match has the same.
    Same(f32),
    /// Each match has its own.
    Each(Arc<Statistics>),
}

impl Scores {
    pub(crate) const fn is_each(&self) -> bool {
        matches!(self, Self::Each(_))
    }

    /// Compiles a query to its weight, with or without scores.
    pub(crate) fn weight(&self, query: &dyn Query) -> Result<Box<dyn Weight>, EsError> {
        let enable = match self {
            Self::Each(statistics) => EnableScoring::enabled_from_statistics_provider(statistics.as_ref(), nobody()?),
            _ => EnableScoring::disabled_from_schema(&schema().0),
        };
        Ok(query.weight(enable)?)
    }
}

/// How often words occur in what a search sees.
pub(crate) struct Statistics {
    parts: Vec<Arc<Part>>,
    known: Mutex<HashMap<Term, u64>>,
}

impl Statistics {
    pub(crate) fn new(view: &View) -> Self {
        Self::within(view, super::compile::ALL_TIMES)
    }

    /// Of a search for events of a time. Cold splits outside it are not asked: that would fetch something of each.
    pub(crate) fn within(view: &View, time_ns: (i64, i64)) -> Self {
        let parts = view.parts.iter().filter(|part| !part.is_cold_outside(time_ns)).cloned().collect();
        Self { parts, known: Mutex::new(HashMap::new()) }
    }
}

impl Bm25StatisticsProvider for Statistics {
    /// As many as documents: every field counts as if it had the average length.
    fn total_num_tokens(&self, _: Field) -> tantivy::Result<u64> {
        self.total_num_docs()
    }

    fn total_num_docs(&self) -> tantivy::Result<u64> {
        Ok(self.parts.iter().map(|part| u64::from(part.reader.max_doc())).sum::<u64>().max(1))
    }

    fn doc_freq(&self, term: &Term) -> tantivy::Result<u64> {
        if let Some(known) = self.known.lock().get(term) {
            return Ok(*known);
        }
        let mut sum = 0;
        for part in &self.parts {
            let found = part.reader.inverted_index(term.field()).and_then(|index| Ok(index.doc_freq(term)?));
            match found {
                Ok(count) => sum += u64::from(count),
                // The search finds out by itself, and tells it.
                Err(_) if part.place == Place::Cold => {}
                Err(error) => return Err(error),
            }
        }
        self.known.lock().insert(term.clone(), sum);
        Ok(sum)
    }
}

/// A query for words of one field, scored by how rare they are among the documents that have the field.
#[derive(Debug)]
pub(crate) struct InField {
    pub(crate) query: Box<dyn Query>,
    pub(crate) terms: Vec<Term>,
    /// The term that every document with the field has.
    pub(crate) present: Term,
}

impl Clone for InField {
    fn clone(&self) -> Self {
        Self { query: self.query.box_clone(), terms: self.terms.clone(), present: self.present.clone() }
    }
}

impl Query for InField {
    fn weight(&self, enable: EnableScoring<'_>) -> tantivy::Result<Box<dyn Weight>> {
        let EnableScoring::Enabled { searcher, statistics_provider } = enable else { return self.query.weight(enable) };
        let mut docs = statistics_provider.doc_freq(&self.present)?.max(1);
        for term in &self.terms {
            docs = docs.max(statistics_provider.doc_freq(term)?);
        }
        let of_field = OfField { inner: statistics_provider, docs };
        self.query.weight(EnableScoring::enabled_from_statistics_provider(&of_field, searcher))
    }
}

struct OfField<'s> {
    inner: &'s dyn Bm25StatisticsProvider,
    docs: u64,
}

impl Bm25StatisticsProvider for OfField<'_> {
    fn total_num_tokens(&self, _: Field) -> tantivy::Result<u64> {
        Ok(self.docs)
    }

    fn total_num_docs(&self) -> tantivy::Result<u64> {
        Ok(self.docs)
    }

    fn doc_freq(&self, term: &Term) -> tantivy::Result<u64> {
        self.inner.doc_freq(term)
    }
}

/// Scores less what also matches another query.
#[derive(Debug)]
pub(crate) struct Demoting {
    pub(crate) positive: Box<dyn Query>,
    pub(crate) negative: Box<dyn Query>,
    pub(crate) by: f32,
}

impl Clone for Demoting {
    fn clone(&self) -> Self {
        Self { positive: self.positive.box_clone(), negative: self.negative.box_clone(), by: self.by }
    }
}

impl Query for Demoting {
    fn weight(&self, enable: EnableScoring<'_>) -> tantivy::Result<Box<dyn Weight>> {
        if !enable.is_scoring_enabled() {
            return self.positive.weight(enable);
        }
        let negative = self.negative.weight(EnableScoring::disabled_from_schema(&schema().0))?;
        Ok(Box::new(DemotingWeight { positive: self.positive.weight(enable)?, negative, by: self.by }))
    }
}

struct DemotingWeight {
    positive: Box<dyn Weight>,
    negative: Box<dyn Weight>,
    by: f32,
}

impl Weight for DemotingWeight {
    fn scorer(&self, reader: &SegmentReader, boost: f32) -> tantivy::Result<Box<dyn Scorer>> {
        let mut demoted = Bits::new(reader.max_doc());
        self.negative.for_each_no_score(reader, &mut |docs| docs.iter().for_each(|doc| demoted.insert(*doc)))?;
        Ok(Box::new(DemotingDocs { inner: self.positive.scorer(reader, boost)?, demoted, by: self.by }))
    }

    fn explain(&self, reader: &SegmentReader, doc: DocId) -> tantivy::Result<Explanation> {
        let explained = self.positive.explain(reader, doc)?;
        let mut negative = self.negative.scorer(reader, 1.0)?;
        if negative.doc() > doc || negative.seek(doc) != doc {
            return Ok(explained);
        }
        let mut demoted = Explanation::new("match on the negative query, product of:", explained.value() * self.by);
        demoted.add_detail(explained);
        demoted.add_detail(Explanation::new("negative boost", self.by));
        Ok(demoted)
    }
}

struct DemotingDocs {
    inner: Box<dyn Scorer>,
    demoted: Bits,
    by: f32,
}

impl DocSet for DemotingDocs {
    fn advance(&mut self) -> DocId {
        self.inner.advance()
    }

    fn seek(&mut self, target: DocId) -> DocId {
        self.inner.seek(target)
    }

    fn seek_danger(&mut self, target: DocId) -> SeekDangerResult {
        self.inner.seek_danger(target)
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

impl Scorer for DemotingDocs {
    fn score(&mut self) -> f32 {
        let score = self.inner.score();
        if self.demoted.contains(self.inner.doc()) { score * self.by } else { score }
    }
}

/// A searcher over nothing: the library wants one, and asks only the statistics.
fn nobody() -> Result<&'static Searcher, EsError> {
    static NOBODY: OnceLock<tantivy::Result<Searcher>> = OnceLock::new();
    let made = NOBODY.get_or_init(|| {
        let mut index = Index::create_in_ram(schema().0.clone());
        index.set_tokenizers(tokenizers().clone());
        Ok(index.reader()?.searcher())
    });
    made.as_ref().map_err(EsError::internal)
}

/// Cuts a score to 18 bits: parts add up the same terms in different orders, which must not tell equal hits apart.
pub(crate) fn rounded(score: f32) -> f32 {
    let bits = score.to_bits();
    f32::from_bits(bits.saturating_add(1 << 4) & !((1 << 5) - 1))
}

#[cfg(test)]
mod tests {
    use super::rounded;

    #[test]
    fn rounding_is_a_matter_of_the_sixth_digit() {
        for score in [0.0f32, 1.0, 0.333_333_34, 12.345_678, 1e-6] {
            assert!((rounded(score) - score).abs() <= score * 4e-6, "{score}");
        }
        assert_eq!(rounded(0.1 + 0.2), rounded(0.3));
    }
}
