//! `_search`: what an address and a body ask for, run when it is its turn. Its relatives live below.

pub(super) mod async_search;
pub(super) mod count;
pub(super) mod explain;
pub(super) mod msearch;
pub(super) mod pit;
pub(super) mod scroll;
pub(super) mod terms_enum;
pub(super) mod validate;

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::State;
use logmill_indexer_api::lucene::Operator;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::answer::{self, Answer};
use super::choice::Absent;
use super::named::Call;
use super::params::Params;
use super::tasks::{self, Running};
use super::work::Lane;
use super::{Api, Shared};
use crate::query::answer::{Continuation, SearchResponse};
use crate::query::clause::Clause;
use crate::query::error::EsError;
use crate::query::execute;
use crate::query::limits::Allowance;
use crate::query::plan;
use crate::query::request::{self, SearchRequest, SourceFilter, TotalHits};
use crate::query::sort::SortField;
use crate::store::View;
use crate::store::names::Expand;

/// What an address asks for besides the body.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) index: String,
    pub(super) ignore_unavailable: bool,
    pub(super) allow_no_indices: bool,
    pub(super) expand: Expand,
    /// `hits.total` as a bare number, as version 6 had it.
    pub(super) total_as_int: bool,
    pub(super) typed_keys: bool,
    /// How long to keep a scroll.
    pub(super) scroll: Option<Duration>,
    /// The name of what is done, in `_tasks`.
    pub(super) action: &'static str,
    pub(super) opaque_id: Option<String>,
}

impl Asked {
    pub(super) fn of(index: &str) -> Self {
        Self {
            index: index.to_owned(),
            ignore_unavailable: false,
            allow_no_indices: true,
            expand: Expand::Visible,
            total_as_int: false,
            typed_keys: false,
            scroll: None,
            action: "indices:data/read/search",
            opaque_id: None,
        }
    }

    pub(super) fn read(call: &mut Call) -> Result<Self, EsError> {
        let params = &mut call.params;
        Ok(Self {
            ignore_unavailable: params.flag("ignore_unavailable")?.unwrap_or(false),
            allow_no_indices: params.flag("allow_no_indices")?.unwrap_or(true),
            expand: params.expand(Expand::Visible)?,
            total_as_int: params.flag("rest_total_hits_as_int")?.unwrap_or(false),
            typed_keys: params.flag("typed_keys")?.unwrap_or(false),
            opaque_id: tasks::opaque_id(&call.headers),
            ..Self::of(&call.index)
        })
    }

    pub(super) fn begin(&self, api: &Api) -> Running {
        api.tasks.search(self.action, &format!("indices[{}]", self.index), self.opaque_id.clone())
    }
}

pub(super) async fn search(State(api): State<Api>, mut call: Call) -> Answer {
    let mut asked = Asked::read(&mut call)?;
    let Call { mut params, body, .. } = call;
    let body = api.bodies.read_json(body).await?;
    asked.scroll = params.take("scroll").map(|text| request::duration(&text)).transpose()?;
    let request = read(body, &mut params)?;
    params.end("/_search")?;
    let found = run(&api, asked, request).await?;
    Ok(answer::json(&found))
}

/// A body and what the address adds to it.
fn read(body: Value, params: &mut Params) -> Result<SearchRequest, EsError> {
    let mut request = SearchRequest::read(body)?;
    amend(&mut request, params)?;
    request.check()?;
    Ok(request)
}

/// Takes over what the address asks for: it goes before the body.
fn amend(request: &mut SearchRequest, params: &mut Params) -> Result<(), EsError> {
    if let Some(clause) = query_of(params)? {
        request.query = clause;
    }
    let number = |key: &str, params: &mut Params| -> Result<Option<usize>, EsError> {
        let refused =
            |text: &str| EsError::argument(format!("Failed to parse int parameter [{key}] with value [{text}]"));
        params.take(key).map(|text| text.parse().map_err(|_| refused(&text))).transpose()
    };
    if let Some(size) = number("size", params)? {
        request.size = size;
    }
    if let Some(from) = number("from", params)? {
        request.from = from;
    }
    if let Some(sort) = params.list("sort") {
        request.sort = sort.iter().map(|text| SortField::from_text(text)).collect::<Result<_, _>>()?;
    }
    if let Some(source) = params.list("_source") {
        request.source = match source.as_slice() {
            [only] if only == "true" || only == "false" => SourceFilter::read((only == "true").into())?,
            _ => SourceFilter::read(source.into())?,
        };
    }
    let includes = params.list("_source_includes");
    let excludes = params.list("_source_excludes");
    if includes.is_some() || excludes.is_some() {
        request.source = SourceFilter::read(
            json!({ "includes": includes.unwrap_or_default(), "excludes": excludes.unwrap_or_default() }),
        )?;
    }
    if let Some(track) = params.take("track_total_hits") {
        let refused =
            || EsError::argument(format!("[track_total_hits] must be true, false or a number, not [{track}]"));
        request.track_total = TotalHits::read(&track.as_str().into()).ok_or_else(refused)?;
    }
    if let Some(most) = number("terminate_after", params)? {
        request.terminate_after = Some(most as u64).filter(|most| *most > 0);
    }
    if let Some(partial) = params.flag("allow_partial_search_results")? {
        request.partial = partial;
    }
    if params.flag("explain")?.unwrap_or(false) {
        return Err(EsError::argument("[explain] of a search is not supported; ask [_explain] about one document"));
    }
    if let Some(names) = params.list("docvalue_fields") {
        request.docvalue_fields = request::field_formats(Some(names.into()), "[docvalue_fields]")?;
    }
    if let Some(names) = params.list("stored_fields") {
        request.read_stored(&names)?;
    }
    if let Some(scores) = params.flag("track_scores")? {
        request.track_scores = scores;
    }
    if let Some(timeout) = params.take("timeout") {
        request.timeout = request::timeout(&timeout)?;
    }
    if let Some(version) = params.flag("version")? {
        request.version = version;
    }
    if let Some(seq_no) = params.flag("seq_no_primary_term")? {
        request.seq_no = seq_no;
    }
    Ok(())
}

/// `q` with its companions.
pub(super) fn query_of(params: &mut Params) -> Result<Option<Clause>, EsError> {
    params.ignore(&["analyze_wildcard"]);
    if let Some(other) = params.take("analyzer").filter(|name| !matches!(name.as_str(), "standard" | "default")) {
        return Err(EsError::argument(format!("[analyzer]: there is no analyzer [{other}], only [standard]")));
    }
    let lenient = params.flag("lenient")?.unwrap_or(false);
    let operator = match params.take("default_operator").map(|text| text.to_ascii_lowercase()).as_deref() {
        None | Some("or") => Operator::Or,
        Some("and") => Operator::And,
        Some(other) => return Err(EsError::argument(format!("[default_operator] must be and or or, not [{other}]"))),
    };
    let fields: Vec<String> = params.take("df").into_iter().collect();
    params.take("q").map(|text| Clause::from_lucene(&text, &fields, operator, lenient)).transpose()
}

/// The view of the chosen indexes.
pub(super) fn view(shared: &Shared, asked: &Asked) -> Result<View, EsError> {
    let absent = Absent { is_ignored: asked.ignore_unavailable, may_be_all: asked.allow_no_indices };
    let ask = |expression: &str| shared.store.view_expanding(expression, asked.expand, None);
    absent.choose(&asked.index, ask, |view: &View| view.mappings.is_empty())
}

/// Runs a search when it is its turn; whoever drops the answer cancels it.
pub(super) async fn run(api: &Api, asked: Asked, request: SearchRequest) -> Result<Box<RawValue>, EsError> {
    let started = Instant::now();
    let shared = api.0.clone();
    let task = asked.begin(api);
    let allowance = Allowance::new(request.timeout, task.cancel.clone());
    let lane = lane(api, &asked, &request);
    let found = api
        .searches
        .run_in(lane, move |turn| {
            let turn = turn.clone();
            search_now(&shared, &asked, request, &allowance.pausing(move || turn.give_way()))
        })
        .await?;
    drop(task);
    api.board.counter("searches").add(1);
    tracing::debug!(took = ?started.elapsed(), "searched");
    Ok(found)
}

/// A search that looks at more documents than this, all told, is a dear one: about a fifth of a second. Ten million
/// are paged through in 50 to 90 ms, and counted by an aggregation in 120 to 330.
const CHEAP_DOCS_MAX: u64 = 30_000_000;

/// What a search is expected to cost, by the documents that it must look at and what it does with each.
pub(super) fn lane(api: &Api, asked: &Asked, request: &SearchRequest) -> Lane {
    let view = match &request.pit {
        None => view(api, asked).ok().map(Arc::new),
        Some((id, _)) => api.contexts.get(id, None).ok().map(|context| context.view),
    };
    let Some(view) = view else { return Lane::Cheap };
    let docs = plan::docs_to_look_at(&view, &request.query);
    let of_each = request.query.cost().saturating_add(4 * request.aggregations.len() as u64);
    if docs.saturating_mul(of_each) > CHEAP_DOCS_MAX { Lane::Dear } else { Lane::Cheap }
}

/// The search itself, on a thread that may compute.
pub(super) fn search_now(
    shared: &Shared,
    asked: &Asked,
    mut request: SearchRequest,
    allowance: &Allowance,
) -> Result<Box<RawValue>, EsError> {
    let view = match &request.pit {
        None => Arc::new(view(shared, asked)?),
        Some(_) if asked.index != "_all" => {
            return Err(invalid(
                "[indices] cannot be used with point in time. Do not specify any index with point in time.",
            ));
        }
        Some(_) if asked.scroll.is_some() => {
            return Err(invalid("using [point in time] is not allowed in a scroll context"));
        }
        Some((id, keep_alive)) => {
            let context = shared.contexts.get(id, *keep_alive).map_err(|error| error.in_phase("query"))?;
            // Pages of a point in time are told apart by a last key that no two hits share.
            if !request.sort.is_empty() && request.sort.last().is_none_or(|last| last.field != "_shard_doc") {
                request.sort.push(SortField::new("_shard_doc", false));
            }
            context.view
        }
    };
    if asked.scroll.is_some() {
        scroll::check(&request)?;
    }
    let found = execute::search(&view, &request, allowance);
    let mut found = found.map_err(|error| error.in_phase("query"))?;
    found.pit_id = request.pit.as_ref().map(|(id, _)| id.clone());
    if let Some(keep_alive) = asked.scroll {
        let next = going_on(request.clone(), &found);
        found.scroll_id = Some(shared.contexts.open(view.as_ref().clone(), Some(next), keep_alive)?);
    }
    written(&found, asked, &request)
}

/// The request for the page after this one.
fn going_on(request: SearchRequest, found: &SearchResponse) -> SearchRequest {
    let total = found.hits.total.as_ref().map_or(0, |total| total.value);
    // Without a last hit there is nothing after it.
    let at_end = Continuation { after: Vec::new(), total, max_score: found.hits.max_score };
    let continuation = Some(found.next.clone().unwrap_or(at_end));
    SearchRequest { continuation, aggregations: Vec::new(), ..request }
}

fn written(found: &SearchResponse, asked: &Asked, request: &SearchRequest) -> Result<Box<RawValue>, EsError> {
    let mut written = serde_json::value::to_raw_value(found).map_err(EsError::internal)?;
    if asked.total_as_int || asked.typed_keys {
        let mut value: Value = serde_json::from_str(written.get()).map_err(EsError::internal)?;
        reshape(&mut value, asked, request);
        written = serde_json::value::to_raw_value(&value).map_err(EsError::internal)?;
    }
    Ok(written)
}

fn reshape(found: &mut Value, asked: &Asked, request: &SearchRequest) {
    if asked.total_as_int
        && let Some(total) = found.pointer("/hits/total/value").cloned()
        && let Some(hits) = found.pointer_mut("/hits").and_then(Value::as_object_mut)
    {
        hits.insert("total".to_owned(), total);
    }
    if asked.typed_keys
        && let Some(aggregations) = found.pointer_mut("/aggregations")
    {
        crate::aggregate::add_types(&request.aggregations, aggregations);
    }
}

/// A request that contradicts itself, in Elasticsearch's words for that.
pub(super) fn invalid(reason: &str) -> EsError {
    EsError::new(400, "action_request_validation_exception", format!("Validation Failed: 1: {reason};"))
}

pub(super) fn millis(started: Instant) -> u64 {
    u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// Runs a search that the API makes of its own: documents by their ids.
pub(super) async fn find(api: &Api, index: String, request: SearchRequest) -> Result<Value, EsError> {
    let found = run(api, Asked::of(&index), request).await?;
    serde_json::from_str(found.get()).map_err(EsError::internal)
}
