//! Runs a search over a view, part by part, newest first, and puts the answer together. Blocking: it belongs on a
//! thread that may compute.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use tantivy::query::{AllQuery, Weight};

pub(crate) use super::answer::Shards;
use super::answer::{Continuation, Hits, SearchResponse, Total};
use super::clause::Clause;
use super::columns::Values;
use super::compile::{self, Target};
use super::error::EsError;
use super::expand;
use super::failures::Failures;
use super::limits::{Allowance, Stopped};
use super::plan;
use super::request::{SearchRequest, TotalHits};
use super::scoring::Scores;
use super::sieve::Sieve;
use super::sort::{self, PartOrder, SortField, SortValue};
use super::top::{self, Found, Groups, Top};
use super::walk::{Walk, WalkFound};
use crate::aggregate::{self, Partial};
use crate::schema::TIMESTAMP;
use crate::store::registry::Mapping;
use crate::store::{Part, View};

/// Bytes of a hit on its way.
const HIT_BYTES: usize = 512;

/// Counts the matches of a query.
pub(crate) fn count(view: &View, request: &SearchRequest, allowance: &Allowance) -> Result<SearchResponse, EsError> {
    let found = search(view, request, allowance)?;
    match found.timed_out {
        false => Ok(found),
        true => Err(EsError::new(504, "timeout_exception", "the count was not finished in time")),
    }
}

/// Runs a search.
pub(crate) fn search(view: &View, request: &SearchRequest, allowance: &Allowance) -> Result<SearchResponse, EsError> {
    let started = Instant::now();
    let _entered = allowance.enter();
    let mut run = Run::new(view, request)?;
    // A hit on its way: its key in a part's heap, and its values in the list of the best.
    allowance.take_bytes(run.keep.saturating_mul(HIT_BYTES), "its hits")?;
    run.over(view, allowance)?;
    if run.stopped == Some(Stopped::Cancelled) {
        return Err(EsError::cancelled());
    }
    if run.stopped.is_some() && !request.partial {
        let reason = "the search was not finished in time, and [allow_partial_search_results] is false";
        return Err(EsError::new(504, "search_phase_execution_exception", format!("Time exceeded: {reason}")));
    }
    let chosen: Vec<Found> = std::mem::take(&mut run.found).into_iter().skip(request.from).collect();
    let hits = run.fetch(view, &chosen, allowance)?;
    let shards = run.failures.shards(view.mappings.len(), request.partial)?;
    let aggregations = match request.aggregations.as_slice() {
        [] => None,
        wanted => Some(aggregate::render(wanted, run.aggregated.take())?),
    };
    let earlier = request.continuation.as_ref();
    let total = earlier.map_or(run.total, |earlier| earlier.total);
    let max_score = earlier.map_or_else(|| run.max_score(&chosen), |earlier| earlier.max_score);
    Ok(SearchResponse {
        took: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        timed_out: run.stopped.is_some(),
        terminated_early: request.terminate_after.map(|_| run.terminated),
        shards,
        next: chosen.last().map(|last| Continuation { after: last.order.clone(), total, max_score }),
        hits: Hits {
            total: (request.track_total != TotalHits::No)
                .then_some(Total { value: total, relation: if run.counted_in_part { "gte" } else { "eq" } }),
            max_score,
            hits,
        },
        aggregations,
        ..SearchResponse::default()
    })
}

pub(super) struct Run<'r> {
    pub(super) request: &'r SearchRequest,
    /// The query, without what only changes scores when nobody wants those.
    pub(super) query: Clause,
    pub(super) now: Timestamp,
    pub(super) scores: Scores,
    /// The order asked for, or the best and then the newest first.
    pub(super) sort: Vec<SortField>,
    /// How many hits are kept.
    keep: usize,
    total: u64,
    /// Not all matches were counted, for nobody asked for more.
    counted_in_part: bool,
    /// The best so far, in order.
    pub(super) found: Vec<Found>,
    best_score: Option<f32>,
    aggregated: Option<Vec<Partial>>,
    /// Matches by index, as far as `terminate_after` counts them.
    collected: HashMap<Arc<str>, u64>,
    terminated: bool,
    stopped: Option<Stopped>,
    pub(super) failures: Failures,
    /// The query with the words of each index that it stands for, where it stands for any.
    expanded: HashMap<Arc<str>, Clause>,
}

impl<'r> Run<'r> {
    fn new(view: &View, request: &'r SearchRequest) -> Result<Self, EsError> {
        let scores = plan::scores(view, request);
        let query = match &scores {
            Scores::Each(_) => request.query.clone(),
            Scores::Same(score) if request.min_score.is_some_and(|least| *score < least) => Clause::None,
            _ => request.query.clone().without_scores(),
        };
        plan::check_fields(view, request)?;
        let now = Timestamp::now();
        let failures = Failures::of(view, compile::time_bounds(&query, now));
        Ok(Self {
            request,
            query,
            now,
            sort: plan::order(request, &scores),
            scores,
            keep: request.from + request.size,
            total: 0,
            counted_in_part: false,
            found: Vec::new(),
            best_score: None,
            aggregated: None,
            collected: HashMap::new(),
            terminated: false,
            stopped: None,
            failures,
            expanded: HashMap::new(),
        })
    }

    fn over(&mut self, view: &View, allowance: &Allowance) -> Result<(), EsError> {
        let after = match (&self.request.continuation, &self.request.search_after) {
            (Some(earlier), _) => Some(earlier.after.clone()),
            (None, None) => None,
            (None, Some(values)) => {
                let written = |field: &str| plan::written(view, field);
                Some(sort::read_after(values, &self.request.sort, written, self.now)?)
            }
        };
        self.expand(view, allowance)?;
        // Also where no part matches, a request that makes no sense must be refused.
        for (index, mapping) in &view.mappings {
            let query = self.expanded.get(index).unwrap_or(&self.query);
            compile::compile(query, Target { index, mapping, now: self.now })?;
        }
        let empty = Arc::new(Mapping::default());
        let parts = plan::parts(view, self.request, &self.query, self.sort.first(), self.now)?;
        allowance.progress().begin(parts.len());
        for (place, part) in parts {
            if let Some(stopped) = allowance.stopped() {
                self.stopped = Some(stopped);
                return Ok(());
            }
            let mapping = view.mappings.get(&part.index).unwrap_or(&empty);
            match (self.over_part(place, part, mapping, after.as_deref(), allowance), allowance.stopped()) {
                // What the library makes of an interruption is an error.
                (Err(error), Some(stopped)) if error.status == 500 => self.stopped = Some(stopped),
                (done, _) => drop(self.failures.pass(part, done, allowance)?),
            }
            if self.stopped.is_some() {
                return Ok(());
            }
            allowance.progress().one_done();
            allowance.between_parts();
        }
        Ok(())
    }

    fn expand(&mut self, view: &View, allowance: &Allowance) -> Result<(), EsError> {
        if !self.query.needs_terms() {
            return Ok(());
        }
        for index in view.mappings.keys() {
            let clause = self.with_words(&self.query, view, index, allowance)?;
            self.expanded.insert(index.clone(), clause);
        }
        Ok(())
    }

    /// A clause with the words of an index that it stands for, as far as those can be read.
    pub(super) fn with_words(
        &self,
        clause: &Clause,
        view: &View,
        index: &Arc<str>,
        allowance: &Allowance,
    ) -> Result<Clause, EsError> {
        let time_ns = compile::time_bounds(&self.query, self.now);
        expand::with_words(clause, view, index, time_ns, &self.failures, allowance)
    }

    fn over_part(
        &mut self,
        place: usize,
        part: &Arc<Part>,
        mapping: &Mapping,
        after: Option<&[SortValue]>,
        allowance: &Allowance,
    ) -> Result<(), EsError> {
        let target = Target { index: &part.index, mapping, now: self.now };
        let order = if self.keep > 0 && !self.is_beaten(part) {
            Some(PartOrder::open(part, mapping, &self.sort)?)
        } else {
            None
        };
        let mut top = match &order {
            Some(order) => self.top(order, part, mapping, after)?,
            None => None,
        };
        let wants_aggregations = !self.request.aggregations.is_empty() && self.request.continuation.is_none();
        let enough = match self.request.track_total {
            _ if self.request.continuation.is_some() => true,
            TotalHits::No => true,
            TotalHits::All => false,
            TotalHits::UpTo(number) => self.total >= number,
        };
        if top.is_none() && !wants_aggregations && enough {
            self.counted_in_part = self.request.continuation.is_none();
            return Ok(());
        }
        let query = compile::compile(self.expanded.get(&part.index).unwrap_or(&self.query), target)?;
        let everything = query.is::<AllQuery>();
        let weight = self.scores.weight(query.as_ref())?;
        // Where all matches have the same score, the least one was compared when the search began.
        let min_score = self.request.min_score.filter(|_| self.scores.is_each());
        let mut sieve = Sieve::open(self.request, min_score, part, target)?;
        if top.is_none() && !wants_aggregations && sieve.is_open() && self.request.terminate_after.is_none() {
            let count = if everything { part.reader.num_docs() } else { weight.count(&part.reader)? };
            self.total += u64::from(count);
            self.stopped = allowance.stopped();
            return Ok(());
        }
        let mut collector = if wants_aggregations {
            Some(aggregate::Collector::open(&self.request.aggregations, part, target, allowance)?)
        } else {
            None
        };
        self.walk(part, weight.as_ref(), &mut sieve, top.as_mut(), collector.as_mut(), allowance)?;
        if self.stopped == Some(Stopped::Cancelled) {
            // Nobody is told of it: putting together what was collected may take longer than collecting.
            return Ok(());
        }
        if let Some(top) = top {
            let mut found = top.into_found(place)?;
            self.found.append(&mut found);
            self.found.sort_by(|a, b| sort::order(&a.order, &b.order, &self.sort));
            if self.request.collapse.is_some() {
                top::first_of_each_group(&mut self.found);
            }
            self.found.truncate(self.keep);
        }
        if let Some(collector) = collector {
            let partials = collector.finish()?;
            match &mut self.aggregated {
                None => self.aggregated = Some(partials),
                Some(known) => aggregate::merge(known, partials, allowance)?,
            }
        }
        Ok(())
    }

    /// `None` when no document of the part can be among the best.
    fn top<'t>(
        &self,
        order: &'t PartOrder,
        part: &Part,
        mapping: &Mapping,
        after: Option<&[SortValue]>,
    ) -> Result<Option<Top<'t>>, EsError> {
        let after = after.map(|values| order.encode(values)).transpose()?;
        let worst = match self.found.last() {
            Some(last) if self.found.len() >= self.keep => Some(order.encode(&last.order)?),
            _ => None,
        };
        let mut top = Top::new(order, after, worst, self.keep);
        if let Some(collapse) = &self.request.collapse {
            top = top.collapsing(Groups::new(Values::open(part, mapping, &collapse.field)?));
        }
        Ok((!top.is_hopeless()).then_some(top))
    }

    /// Shows the matches of a part to those who want them.
    fn walk(
        &mut self,
        part: &Part,
        weight: &dyn Weight,
        sieve: &mut Sieve,
        top: Option<&mut Top<'_>>,
        collector: Option<&mut aggregate::Collector<'_>>,
        allowance: &Allowance,
    ) -> Result<(), EsError> {
        let terminate_after = self.request.terminate_after;
        let collected = self.collected.get(&part.index).copied().unwrap_or(0);
        let mut walk = Walk {
            part,
            weight,
            sieve,
            top,
            collector,
            allowance,
            scored: self.scores.is_each(),
            left: terminate_after.map(|most| most.saturating_sub(collected)),
            count: match self.request.track_total {
                _ if self.request.continuation.is_some() => Some(0),
                TotalHits::No => Some(0),
                TotalHits::UpTo(number) => Some(number.saturating_sub(self.total)),
                TotalHits::All => None,
            },
            found: WalkFound::after(self.best_score),
        };
        let stopped = walk.run()?;
        self.terminated |= walk.left == Some(0);
        let found = walk.found;
        if terminate_after.is_some() {
            *self.collected.entry(part.index.clone()).or_default() += found.met;
        }
        // Scorers that were interrupted end as if there was nothing more.
        self.stopped = stopped.or_else(|| allowance.stopped()).filter(|why| *why != Stopped::Enough);
        self.total += found.hits();
        self.counted_in_part |= found.is_counted_in_part && self.request.continuation.is_none();
        self.best_score = found.best_score;
        Ok(())
    }

    /// Whether no event of the part can come before the hits that are known already.
    fn is_beaten(&self, part: &Part) -> bool {
        let (Some(first), Some(last)) = (self.sort.first(), self.found.last()) else { return false };
        if self.found.len() < self.keep || first.field != TIMESTAMP {
            return false;
        }
        let best = SortValue::Date(if first.descending { *part.time_ns.end() } else { *part.time_ns.start() });
        last.order.first().is_some_and(|worst| worst.order(&best, first.descending).is_lt())
    }

    fn max_score(&self, chosen: &[Found]) -> Option<f64> {
        match &self.scores {
            Scores::Unwanted => None,
            Scores::Same(score) => (self.total > 0 && !chosen.is_empty()).then_some(f64::from(*score)),
            Scores::Each(_) => self.best_score.filter(|_| !chosen.is_empty()).map(f64::from),
        }
    }
}
