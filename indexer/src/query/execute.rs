//! Runs a search over a view, part by part, newest first, and puts the answer together. Blocking: it belongs on a
//! thread that may compute.

use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use tantivy::query::{AllQuery, EnableScoring, Weight};
use tantivy::{DocId, SegmentReader};

use super::clause::Clause;
use super::compile::{self, Target};
use super::error::EsError;
use super::fetch;
use super::fields::{Place, place};
use super::highlight::Highlighter;
use super::limits::{Allowance, SOURCES_BYTES_MAX, Stopped};
use super::request::SearchRequest;
use super::sort::{self, Key, PartOrder, SortField, SortValue};
use crate::aggregate::{self, Partial};
use crate::schema::{TIMESTAMP, schema};
use crate::store::registry::{FieldType, Mapping};
use crate::store::{Part, View};

/// An answer of `_search`.
#[derive(Debug, Serialize)]
pub(crate) struct SearchResponse {
    pub(crate) took: u64,
    pub(crate) timed_out: bool,
    #[serde(rename = "_shards")]
    pub(crate) shards: Shards,
    pub(crate) hits: Hits,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) aggregations: Option<Value>,
}

/// One index is one shard.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Shards {
    pub(crate) total: usize,
    pub(crate) successful: usize,
    pub(crate) skipped: usize,
    pub(crate) failed: usize,
}

impl Shards {
    pub(crate) const fn of(total: usize) -> Self {
        Self { total, successful: total, skipped: 0, failed: 0 }
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct Hits {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) total: Option<Total>,
    pub(crate) max_score: Option<f64>,
    pub(crate) hits: Vec<Hit>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Total {
    pub(crate) value: u64,
    pub(crate) relation: &'static str,
}

#[derive(Debug, Serialize)]
pub(crate) struct Hit {
    #[serde(rename = "_index")]
    index: String,
    #[serde(rename = "_id")]
    id: String,
    #[serde(rename = "_version", skip_serializing_if = "Option::is_none")]
    version: Option<u64>,
    #[serde(rename = "_seq_no", skip_serializing_if = "Option::is_none")]
    seq_no: Option<u64>,
    #[serde(rename = "_primary_term", skip_serializing_if = "Option::is_none")]
    primary_term: Option<u64>,
    #[serde(rename = "_score")]
    score: Option<f64>,
    #[serde(rename = "_source", skip_serializing_if = "Option::is_none")]
    source: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fields: Option<Map<String, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    highlight: Option<Map<String, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sort: Option<Vec<Value>>,
}

/// Checks for a timeout are made every so many documents.
const DOCS_BETWEEN_CHECKS: usize = 1 << 14;

/// Counts the matches of a query.
pub(crate) fn count(view: &View, query: &Clause, allowance: &Allowance) -> Result<u64, EsError> {
    let request = SearchRequest { query: query.clone(), size: 0, ..SearchRequest::default() };
    let now = Timestamp::now();
    let mut run = Run::new(&request, now);
    run.over(view, allowance)?;
    match run.stopped {
        None => Ok(run.total),
        Some(_) => Err(EsError::new(504, "timeout_exception", "the count was not finished in time")),
    }
}

/// Runs a search.
pub(crate) fn search(view: &View, request: &SearchRequest, allowance: &Allowance) -> Result<SearchResponse, EsError> {
    let started = Instant::now();
    let mut run = Run::new(request, Timestamp::now());
    run.over(view, allowance)?;
    if run.stopped == Some(Stopped::Cancelled) {
        return Err(EsError::new(400, "task_cancelled_exception", "the client has gone away"));
    }
    let chosen: Vec<Found> = std::mem::take(&mut run.found).into_iter().skip(request.from).collect();
    let hits = run.fetch(view, &chosen)?;
    let aggregations = match request.aggregations.as_slice() {
        [] => None,
        wanted => Some(aggregate::render(wanted, run.aggregated)?),
    };
    let scored = request.sort.is_empty() || request.track_scores;
    Ok(SearchResponse {
        took: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        timed_out: run.stopped.is_some(),
        shards: Shards::of(view.mappings.len()),
        hits: Hits {
            total: request.track_total.then_some(Total { value: run.total, relation: "eq" }),
            max_score: (scored && !hits.is_empty()).then_some(1.0),
            hits,
        },
        aggregations,
    })
}

/// A hit on its way.
struct Found {
    order: Vec<SortValue>,
    part: usize,
    doc: DocId,
}

struct Run<'r> {
    request: &'r SearchRequest,
    now: Timestamp,
    /// The order asked for, or newest first.
    sort: Vec<SortField>,
    /// How many hits are kept.
    keep: usize,
    total: u64,
    /// The best so far, in order.
    found: Vec<Found>,
    aggregated: Option<Vec<Partial>>,
    stopped: Option<Stopped>,
}

impl<'r> Run<'r> {
    fn new(request: &'r SearchRequest, now: Timestamp) -> Self {
        let sort = match request.sort.as_slice() {
            // All scores are equal, so what is newest comes first.
            [] => vec![SortField::new(TIMESTAMP, true)],
            [only] if only.field == "_score" => vec![SortField::new("_score", true), SortField::new(TIMESTAMP, true)],
            asked => asked.to_vec(),
        };
        let keep = request.from + request.size;
        Self { request, now, sort, keep, total: 0, found: Vec::new(), aggregated: None, stopped: None }
    }

    fn over(&mut self, view: &View, allowance: &Allowance) -> Result<(), EsError> {
        let after = match &self.request.search_after {
            None => None,
            Some(values) => {
                let is_date = |field: &str| view.mappings.values().any(|mapping| is_date(mapping, field));
                Some(sort::read_after(values, &self.request.sort, is_date, self.now)?)
            }
        };
        // Also where no part matches, a request that makes no sense must be refused.
        for (index, mapping) in &view.mappings {
            compile::compile(&self.request.query, Target { index, mapping, now: self.now })?;
        }
        let empty = Arc::new(Mapping::default());
        let mut parts: Vec<(usize, &Arc<Part>)> = view.parts.iter().enumerate().collect();
        if self.sort.first().is_some_and(|first| first.field == TIMESTAMP && !first.descending) {
            // What may hold the first hits comes first, so that later parts need not be sorted through.
            parts.sort_by_key(|(_, part)| *part.time_ns.start());
        }
        for (place, part) in parts {
            if let Some(stopped) = allowance.stopped() {
                self.stopped = Some(stopped);
                return Ok(());
            }
            let mapping = view.mappings.get(&part.index).unwrap_or(&empty);
            self.over_part(place, part, mapping, after.as_deref(), allowance)?;
            if self.stopped.is_some() {
                return Ok(());
            }
        }
        Ok(())
    }

    fn over_part(
        &mut self,
        place: usize,
        part: &Part,
        mapping: &Mapping,
        after: Option<&[SortValue]>,
        allowance: &Allowance,
    ) -> Result<(), EsError> {
        let wants_hits = self.keep > 0 && !self.is_beaten(part);
        let wants_aggregations = !self.request.aggregations.is_empty();
        if !wants_hits && !wants_aggregations && !self.request.track_total {
            return Ok(());
        }
        let target = Target { index: &part.index, mapping, now: self.now };
        let query = compile::compile(&self.request.query, target)?;
        let everything = query.is::<AllQuery>();
        let weight = query.weight(EnableScoring::disabled_from_schema(&schema().0))?;
        if !wants_hits && !wants_aggregations {
            let count = if everything { part.reader.num_docs() } else { weight.count(&part.reader)? };
            self.total += u64::from(count);
            return Ok(());
        }
        let order = if wants_hits { Some(PartOrder::open(part, mapping, &self.sort)?) } else { None };
        let mut top = match &order {
            Some(order) => {
                let after = after.map(|values| order.encode(values)).transpose()?;
                let worst = match self.found.last() {
                    Some(last) if self.found.len() >= self.keep => Some(order.encode(&last.order)?),
                    _ => None,
                };
                Some(Top { order, after, worst, keep: self.keep, heap: BinaryHeap::new() })
            }
            None => None,
        };
        let mut collector = if wants_aggregations {
            Some(aggregate::Collector::open(&self.request.aggregations, part, target, allowance)?)
        } else {
            None
        };
        let mut since_check = 0;
        let mut failure = None;
        let mut total = 0;
        self.stopped = each_block(weight.as_ref(), &part.reader, &mut |docs| {
            total += docs.len() as u64;
            if let Some(top) = &mut top {
                docs.iter().for_each(|doc| top.offer(*doc));
            }
            if let Some(collector) = &mut collector
                && let Err(error) = collector.collect(docs)
            {
                failure = Some(error);
                return Some(Stopped::Cancelled);
            }
            since_check += docs.len();
            if since_check < DOCS_BETWEEN_CHECKS {
                return None;
            }
            since_check = 0;
            allowance.stopped()
        })?;
        if let Some(error) = failure {
            return Err(error);
        }
        self.total += total;
        if let Some(top) = top {
            let mut found = top.into_found(place)?;
            self.found.append(&mut found);
            self.found.sort_by(|a, b| sort::order(&a.order, &b.order, &self.sort));
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

    /// Whether no event of the part can come before the hits that are known already.
    fn is_beaten(&self, part: &Part) -> bool {
        let (Some(first), Some(last)) = (self.sort.first(), self.found.last()) else { return false };
        if self.found.len() < self.keep || first.field != TIMESTAMP {
            return false;
        }
        let best = SortValue::Date(if first.descending { *part.time_ns.end() } else { *part.time_ns.start() });
        last.order.first().is_some_and(|worst| worst.order(&best, first.descending).is_lt())
    }

    fn fetch(&self, view: &View, chosen: &[Found]) -> Result<Vec<Hit>, EsError> {
        let request = self.request;
        let highlighter = request.highlight.as_ref().map(|highlight| Highlighter::new(highlight, &request.query));
        let needs_event = highlighter.is_some() || !request.fields.is_empty() || !request.docvalue_fields.is_empty();
        let mut stores = std::collections::HashMap::new();
        let mut bytes = 0;
        let mut hits = Vec::with_capacity(chosen.len());
        let empty = Mapping::default();
        for found in chosen {
            let Some(part) = view.parts.get(found.part) else { continue };
            let store = match stores.entry(found.part) {
                std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
                // A page's hits of one part lie close together: a few blocks are enough.
                std::collections::hash_map::Entry::Vacant(new) => new.insert(part.reader.get_store_reader(8)?),
            };
            let source =
                if request.source.hidden && !needs_event { Vec::new() } else { fetch::source(store, found.doc)? };
            bytes += source.len();
            if bytes > SOURCES_BYTES_MAX {
                let reason = format!(
                    "the events of this page have more than {SOURCES_BYTES_MAX} bytes; ask for fewer, or for less of them with [_source]"
                );
                return Err(EsError::new(429, "circuit_breaking_exception", reason));
            }
            let (mut fields, mut highlight) = (None, None);
            if needs_event && let Ok(event) = serde_json::from_slice::<Value>(&source) {
                let mapping = view.mappings.get(&part.index).map_or(&empty, AsRef::as_ref);
                let mut values = Map::new();
                fetch::fields(&event, mapping, &request.fields, &mut values);
                fetch::fields(&event, mapping, &request.docvalue_fields, &mut values);
                fields = (!values.is_empty()).then_some(values);
                highlight = highlighter.as_ref().and_then(|highlighter| highlighter.marked(&event));
            }
            let seq = if request.seq_no { part.reader.fast_fields().u64("seq")?.first(found.doc) } else { None };
            let sort =
                request.sort.iter().zip(&found.order).map(|(field, value)| value.to_json(field.format.as_deref()));
            let scored = request.sort.is_empty()
                || request.track_scores
                || request.sort.iter().any(|sort| sort.field == "_score");
            hits.push(Hit {
                index: part.index.to_string(),
                id: fetch::id(part, found.doc)?,
                version: request.version.then_some(1),
                seq_no: seq,
                primary_term: seq.map(|_| 1),
                score: scored.then_some(1.0),
                source: fetch::shown(&source, &request.source),
                fields,
                highlight,
                sort: (!request.sort.is_empty()).then(|| sort.collect()),
            });
        }
        Ok(hits)
    }
}

fn is_date(mapping: &Mapping, field: &str) -> bool {
    matches!(place(mapping, field), Place::Time | Place::Value(_, FieldType::Date))
}

/// Calls `each` with blocks of matching documents until it says why to stop.
fn each_block(
    weight: &dyn Weight,
    reader: &SegmentReader,
    each: &mut dyn FnMut(&[DocId]) -> Option<Stopped>,
) -> Result<Option<Stopped>, EsError> {
    let mut docs = weight.scorer(reader, 1.0)?;
    let mut buffer = [0; tantivy::COLLECT_BLOCK_BUFFER_LEN];
    loop {
        let filled = docs.fill_buffer(&mut buffer);
        let block = buffer.get(..filled).unwrap_or_default();
        let stopped = match reader.alive_bitset() {
            None => each(block),
            Some(alive) => {
                let living: Vec<DocId> = block.iter().copied().filter(|doc| alive.is_alive(*doc)).collect();
                each(&living)
            }
        };
        if stopped.is_some() || filled < buffer.len() {
            return Ok(stopped);
        }
    }
}

/// The best documents of one part.
struct Top<'t> {
    order: &'t PartOrder,
    /// Only what comes after this is wanted.
    after: Option<Key>,
    /// Only what comes before this has a chance.
    worst: Option<Key>,
    keep: usize,
    heap: BinaryHeap<(Key, DocId)>,
}

impl Top<'_> {
    #[inline]
    fn offer(&mut self, doc: DocId) {
        let first = self.order.first(doc);
        if self.worst.as_ref().is_some_and(|worst| worst.first().is_some_and(|worst| first > *worst)) {
            return;
        }
        if self.after.as_ref().is_some_and(|after| after.first().is_some_and(|after| first < *after)) {
            return;
        }
        let key = self.order.key(doc);
        if self.worst.as_ref().is_some_and(|worst| key >= *worst)
            || self.after.as_ref().is_some_and(|after| key <= *after)
        {
            return;
        }
        self.heap.push((key, doc));
        if self.heap.len() > self.keep {
            self.heap.pop();
        }
        if self.heap.len() == self.keep
            && let Some((greatest, _)) = self.heap.peek()
        {
            self.worst = Some(*greatest);
        }
    }

    fn into_found(self, part: usize) -> Result<Vec<Found>, EsError> {
        let Self { order, heap, .. } = self;
        heap.into_iter().map(|(key, doc)| Ok(Found { order: order.values(&key)?, part, doc })).collect()
    }
}
