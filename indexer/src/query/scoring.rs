//! Scores: BM25 with statistics over everything that a search sees, memory and disk, so that it does not matter how
//! documents are spread over parts. Lengths are not kept (see the schema), so they do not count.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use tantivy::query::{Bm25StatisticsProvider, EnableScoring, Query, Weight};
use tantivy::schema::Field;
use tantivy::{Index, Searcher, Term};

use super::error::EsError;
use crate::schema::{schema, tokenizers};
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
        Self { parts: view.parts.clone(), known: Mutex::new(HashMap::new()) }
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
            sum += u64::from(part.reader.inverted_index(term.field())?.doc_freq(term)?);
        }
        self.known.lock().insert(term.clone(), sum);
        Ok(sum)
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
