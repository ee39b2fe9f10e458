//! `top_hits`: the documents of each bucket that come first in an order.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use tantivy::DocId;

use super::best::{self, Best};
use crate::aggregate::aggregator::{Aggregation, Aggregator};
use crate::aggregate::collect::{Collect, Opened, Place, Siblings};
use crate::aggregate::partial::{Partial, State, own};
use crate::aggregate::shown::{Answer, Shown};
use crate::query::error::EsError;
use crate::query::fetch;
use crate::query::limits::Allowance;
use crate::query::named::Names;
use crate::query::request::SearchRequest;
use crate::query::sort::{SortField, SortValue};
use crate::query::strict::Members;
use crate::schema::TIMESTAMP;
use crate::store::Part;
use crate::store::registry::Mapping;
use crate::store::source::Sources;

/// Elasticsearch's `index.max_inner_result_window`.
const WINDOW_MAX: usize = 100;
/// Hits that a bucket shows when nobody says how many.
const SIZE: usize = 3;
/// What may be asked of each hit, as of those of a search.
const MEMBERS: [&str; 9] =
    ["from", "size", "sort", "_source", "fields", "docvalue_fields", "version", "seq_no_primary_term", "track_scores"];

#[derive(Debug)]
pub(super) struct TopHits {
    request: Arc<SearchRequest>,
    /// The order asked for, or newest first.
    sort: Vec<SortField>,
}

impl TopHits {
    pub(super) fn read(mut members: Members) -> Result<Arc<dyn Aggregator>, EsError> {
        members.ignore(&["explain"]);
        let mut body = Map::new();
        for name in MEMBERS {
            if let Some(value) = members.take(name) {
                body.insert(name.to_owned(), value);
            }
        }
        members.end()?;
        body.entry("size").or_insert_with(|| SIZE.into());
        let request = SearchRequest::read_hits(Value::Object(body))?;
        if request.from + request.size > WINDOW_MAX {
            return Err(EsError::argument(format!(
                "Top hits result window is too large, the top hits aggregator's from + size must be less than or equal to: \
                 [{WINDOW_MAX}] but was [{}]",
                request.from + request.size
            )));
        }
        if request.sort.iter().any(|sort| sort.field == "_score") {
            return Err(EsError::argument("[top_hits] by [_score] is not supported: sort by a field"));
        }
        let sort = if request.sort.is_empty() { vec![SortField::new(TIMESTAMP, true)] } else { request.sort.clone() };
        Ok(Arc::new(Self { request: Arc::new(request), sort }))
    }

    fn keep(&self) -> usize {
        self.request.from + self.request.size
    }
}

#[derive(Clone, Debug, Default)]
struct Top {
    total: u64,
    found: Vec<(Vec<SortValue>, Hit)>,
    sort: Vec<SortField>,
    keep: usize,
}

/// A hit before its document is read.
#[derive(Clone, Debug)]
struct Hit {
    part: Arc<Part>,
    doc: DocId,
    mapping: Arc<Mapping>,
}

impl State for Top {
    fn merge(&mut self, other: Box<dyn State>, _: &Allowance) -> Result<(), EsError> {
        let other: Self = own(other);
        self.total += other.total;
        best::merge(&mut self.found, other.found, &self.sort, self.keep);
        Ok(())
    }

    fn copy(&self) -> Box<dyn State> {
        Box::new(self.clone())
    }

    fn into_any(self: Box<Self>) -> Box<dyn std::any::Any> {
        self
    }
}

impl TopHits {
    fn hit(&self, order: &[SortValue], hit: &Hit, answer: &mut Shown) -> Result<Value, EsError> {
        let request = &*self.request;
        let source = Sources::open(&hit.part)?.get(hit.doc)?;
        answer.take_source(source.len())?;
        let mut shown = Map::new();
        shown.insert("_index".to_owned(), hit.part.index.to_string().into());
        shown.insert("_id".to_owned(), fetch::id(&hit.part, hit.doc)?.into());
        if request.version {
            shown.insert("_version".to_owned(), hit.part.version_of(hit.doc)?.into());
        }
        if request.seq_no
            && let Some(seq) = hit.part.reader.fast_fields().u64("seq")?.first(hit.doc)
        {
            shown.insert("_seq_no".to_owned(), seq.into());
            shown.insert("_primary_term".to_owned(), 1.into());
        }
        let scored = request.sort.is_empty() || request.track_scores;
        shown.insert("_score".to_owned(), if scored { 1.0.into() } else { Value::Null });
        if let Some(source) = fetch::shown(&source, &request.source) {
            shown.insert("_source".to_owned(), serde_json::from_str(source.get()).map_err(EsError::internal)?);
        }
        if !request.fields.is_empty() || !request.docvalue_fields.is_empty() {
            let event: Value = serde_json::from_slice(&source).map_err(EsError::internal)?;
            let mut values = Map::new();
            let names = Names::of(&hit.mapping);
            fetch::fields(&event, &names, &request.fields, &mut values);
            fetch::fields(&event, &names, &request.docvalue_fields, &mut values);
            if !values.is_empty() {
                shown.insert("fields".to_owned(), values.into());
            }
        }
        if !request.sort.is_empty() {
            let sort = request.sort.iter().zip(order).map(|(field, value)| field.show(value));
            shown.insert("sort".to_owned(), sort.collect());
        }
        Ok(Value::Object(shown))
    }
}

impl Aggregator for TopHits {
    fn name(&self) -> &'static str {
        "top_hits"
    }

    fn open<'a>(&'a self, place: Place<'a>, _: Siblings<'a>) -> Opened<'a> {
        let best = Best::new(place, &self.sort, self.keep())?;
        Ok(Box::new(HitsCollector { request: self, best, totals: Vec::new(), place }))
    }

    fn empty(&self) -> Partial {
        Partial::Other(Box::new(Top { total: 0, found: Vec::new(), sort: self.sort.clone(), keep: self.keep() }))
    }

    fn show(&self, _: &[Aggregation], partial: Partial, shown: &mut Shown) -> Result<Answer, EsError> {
        let Partial::Other(state) = partial else { return Err(EsError::internal("a metric without a state")) };
        let top: Top = own(state);
        let found = top.found.iter().skip(self.request.from);
        let hits = found.map(|(order, hit)| self.hit(order, hit, shown)).collect::<Result<Vec<Value>, _>>()?;
        let scored = !hits.is_empty() && (self.request.sort.is_empty() || self.request.track_scores);
        let max_score = if scored { json!(1.0) } else { Value::Null };
        let hits = json!({ "total": { "value": top.total, "relation": "eq" }, "max_score": max_score, "hits": hits });
        let mut members = Map::new();
        members.insert("hits".to_owned(), hits);
        Ok(Answer::Members(members))
    }
}

struct HitsCollector<'a> {
    request: &'a TopHits,
    best: Best<'a>,
    /// Documents of each owner.
    totals: Vec<u64>,
    place: Place<'a>,
}

impl Collect for HitsCollector<'_> {
    fn collect(&mut self, docs: &[DocId], owners: &[u32]) -> Result<(), EsError> {
        for owner in owners {
            if let Some(total) = super::values::slot(&mut self.totals, *owner) {
                *total += 1;
            }
        }
        if self.request.keep() == 0 {
            return Ok(());
        }
        self.best.collect(docs, owners)
    }

    fn finish(mut self: Box<Self>, owners: usize) -> Result<Vec<Partial>, EsError> {
        self.totals.resize(owners, 0);
        let (sort, keep) = (&self.request.sort, self.request.keep());
        let wants_fields = !self.request.request.fields.is_empty() || !self.request.request.docvalue_fields.is_empty();
        let mapping = Arc::new(if wants_fields { self.place.target.mapping.clone() } else { Mapping::default() });
        let mut partials = Vec::with_capacity(owners);
        for (ranked, total) in self.best.finish(owners)?.into_iter().zip(self.totals) {
            let hit = |doc| Hit { part: self.place.part.clone(), doc, mapping: mapping.clone() };
            let found = ranked.into_iter().map(|(order, doc)| (order, hit(doc))).collect();
            partials.push(Partial::Other(Box::new(Top { total, found, sort: sort.clone(), keep })));
        }
        Ok(partials)
    }
}
