//! What is made of the matches of one part: they are counted, the best are kept, and aggregations see them.

use tantivy::DocId;
use tantivy::query::Weight;

use super::blocks::{Visitor, each_block};
use super::error::EsError;
use super::limits::{Allowance, Stopped};
use super::sieve::Sieve;
use super::top::Top;
use crate::aggregate::Collector;
use crate::store::Part;

/// Checks for a timeout are made every so many documents.
const DOCS_BETWEEN_CHECKS: usize = 1 << 13;

/// Those who look at the matches of a part, and what they found.
pub(super) struct Walk<'w, 't, 'c> {
    pub(super) part: &'w Part,
    pub(super) weight: &'w dyn Weight,
    pub(super) sieve: &'w mut Sieve,
    pub(super) top: Option<&'w mut Top<'t>>,
    pub(super) collector: Option<&'w mut Collector<'c>>,
    pub(super) allowance: &'w Allowance,
    /// Scores differ from match to match.
    pub(super) scored: bool,
    /// So many matches are looked at, at most.
    pub(super) left: Option<u64>,
    /// So many hits are to be counted exactly; `None`: all.
    pub(super) count: Option<u64>,
    pub(super) found: WalkFound,
}

/// What a walk found.
#[derive(Debug, Default)]
pub(super) struct WalkFound {
    /// Hits that were looked at.
    total: u64,
    /// All hits, counted without looking at each.
    counted_apart: Option<u64>,
    /// Not all hits were counted: no more were asked for.
    pub(super) is_counted_in_part: bool,
    /// Matches that were looked at.
    pub(super) met: u64,
    pub(super) best_score: Option<f32>,
    since_check: usize,
    failure: Option<EsError>,
}

impl WalkFound {
    /// Nothing yet, after this score in other parts.
    pub(super) fn after(best_score: Option<f32>) -> Self {
        Self { best_score, ..Self::default() }
    }

    /// How many hits there are, or as many of them as were to be counted.
    pub(super) fn hits(&self) -> u64 {
        self.counted_apart.unwrap_or(self.total)
    }
}

impl Walk<'_, '_, '_> {
    /// Looks at the matches of the part, or at as many as matter.
    pub(super) fn run(&mut self) -> Result<Option<Stopped>, EsError> {
        let stopped = each_block(self.weight, &self.part.reader, self.scored, self)?;
        match self.found.failure.take() {
            Some(error) => Err(error),
            None => Ok(stopped),
        }
    }
}

impl Visitor for Walk<'_, '_, '_> {
    fn take(&mut self, docs: &[DocId], scores: &[f32]) -> Option<Stopped> {
        let found = &mut self.found;
        found.since_check += docs.len();
        let (docs, scores) = self.sieve.filter.pass(docs, scores);
        let mut wanted = docs.len();
        if let Some(left) = &mut self.left {
            wanted = wanted.min(usize::try_from(*left).unwrap_or(usize::MAX));
            *left -= wanted as u64;
        }
        let (docs, scores) = (docs.get(..wanted).unwrap_or_default(), scores.get(..wanted).unwrap_or_default());
        found.met += docs.len() as u64;
        for (doc, score) in docs.iter().zip(scores) {
            if self.sieve.hits.as_ref().is_none_or(|hits| hits.contains(*doc)) {
                found.total += 1;
                if self.scored && found.best_score.is_none_or(|best| *score > best) {
                    found.best_score = Some(*score);
                }
                if let Some(top) = self.top.as_deref_mut() {
                    top.offer(*doc, *score);
                }
            }
        }
        if let Some(collector) = self.collector.as_deref_mut()
            && let Err(error) = collector.collect(docs)
        {
            found.failure = Some(error);
            return Some(Stopped::Cancelled);
        }
        if self.left == Some(0) {
            return Some(Stopped::Enough);
        }
        if found.since_check < DOCS_BETWEEN_CHECKS {
            return None;
        }
        found.since_check = 0;
        self.allowance.stopped()
    }

    fn first_stretch(&mut self) -> Option<usize> {
        // The best score may be anywhere.
        let all_matter = self.scored || self.collector.is_some() || self.left.is_some();
        if all_matter || (self.count.is_none() && !self.sieve.is_open()) {
            return None;
        }
        self.top.as_deref_mut()?.learn_stretches(self.part)
    }

    fn first_done(&mut self, first: usize) -> Result<(), EsError> {
        let may_pass =
            |top: &&mut Top<'_>| (0..top.stretches()).any(|stretch| stretch != first && !top.may_have(stretch));
        // Counted apart only where that saves something.
        if self.count.is_none() && self.top.as_ref().is_some_and(may_pass) {
            self.found.counted_apart = Some(self.weight.count(&self.part.reader)?.into());
        }
        Ok(())
    }

    fn may_pass(&self, stretch: usize) -> bool {
        let is_counted =
            self.found.counted_apart.is_some() || self.count.is_some_and(|count| self.found.total >= count);
        is_counted && self.top.as_deref().is_some_and(|top| !top.may_have(stretch))
    }

    fn passed(&mut self) {
        self.found.is_counted_in_part = self.found.counted_apart.is_none();
    }
}
