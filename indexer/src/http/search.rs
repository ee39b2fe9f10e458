//! `_search`, `_count`, `_msearch`, `_validate/query`.

use std::time::Instant;

use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use jiff::Timestamp;
use logmill_indexer_api::lucene::Operator;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::answer::{self, Answer};
use super::body::{self, SEARCH_BYTES_MAX};
use super::params::Params;
use super::{Api, Shared};
use crate::query::clause::Clause;
use crate::query::compile;
use crate::query::error::EsError;
use crate::query::execute::{self, Shards};
use crate::query::limits::{Allowance, CancelOnDrop};
use crate::query::request::{self, SearchRequest, SourceFilter};
use crate::query::sort::SortField;
use crate::query::strict::Members;
use crate::store::View;

/// Searches of one `_msearch`; Elasticsearch runs as many as it is sent, one after the other here.
const MSEARCH_MAX: usize = 1000;

/// What an address asks for besides the body.
struct Asked {
    index: String,
    ignore_unavailable: bool,
    /// `hits.total` as a bare number, as version 6 had it.
    total_as_int: bool,
    typed_keys: bool,
}

pub(super) async fn search_all(state: State<Api>, query: RawQuery, body: Body) -> Answer {
    search(state, Path("_all".to_owned()), query, body).await
}

pub(super) async fn search(
    State(api): State<Api>,
    Path(index): Path<String>,
    RawQuery(query): RawQuery,
    body: Body,
) -> Answer {
    let mut params = Params::new(query.as_deref());
    let body = api.bodies.read_json(body).await?;
    let mut request = SearchRequest::read(body)?;
    let asked = Asked::read(index, &mut params)?;
    amend(&mut request, &mut params)?;
    params.end("/_search")?;
    request.check()?;
    let found = run(&api, asked, request).await?;
    Ok(answer::json(&found))
}

impl Asked {
    fn read(index: String, params: &mut Params) -> Result<Self, EsError> {
        if params.take("scroll").is_some() {
            return Err(EsError::argument("[scroll] is not supported: page with [search_after] and a [_doc] sort"));
        }
        Ok(Self {
            index,
            ignore_unavailable: params.flag("ignore_unavailable")?.unwrap_or(false),
            total_as_int: params.flag("rest_total_hits_as_int")?.unwrap_or(false),
            typed_keys: params.flag("typed_keys")?.unwrap_or(false),
        })
    }
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
        request.track_total = track != "false";
    }
    if let Some(scores) = params.flag("track_scores")? {
        request.track_scores = scores;
    }
    if let Some(timeout) = params.take("timeout") {
        request.timeout = Some(request::duration(&timeout)?);
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
    params.ignore(&["analyze_wildcard", "lenient", "analyzer"]);
    let operator = match params.take("default_operator").map(|text| text.to_ascii_lowercase()).as_deref() {
        None | Some("or") => Operator::Or,
        Some("and") => Operator::And,
        Some(other) => return Err(EsError::argument(format!("[default_operator] must be and or or, not [{other}]"))),
    };
    let fields: Vec<String> = params.take("df").into_iter().collect();
    params.take("q").map(|text| Clause::from_lucene(&text, &fields, operator)).transpose()
}

/// The view of the chosen indexes, without parts that can't hold a match.
pub(super) fn view(shared: &Shared, index: &str, ignore_unavailable: bool, query: &Clause) -> Result<View, EsError> {
    let (lower, upper) = compile::time_bounds(query, Timestamp::now());
    let time = ((lower, upper) != (i64::MIN, i64::MAX)).then_some(lower..=upper);
    let mut expression = index.to_owned();
    loop {
        match shared.store.view(&expression, time.as_ref()) {
            Ok(view) => return Ok(view),
            Err(missing) if ignore_unavailable => {
                let kept: Vec<&str> = expression.split(',').filter(|name| *name != missing.0).collect();
                if kept.is_empty() || kept.len() == expression.split(',').count() {
                    return Ok(View::default());
                }
                expression = kept.join(",");
            }
            Err(missing) => return Err(missing.into()),
        }
    }
}

async fn run(api: &Api, asked: Asked, request: SearchRequest) -> Result<Box<RawValue>, EsError> {
    let started = Instant::now();
    let shared = api.0.clone();
    let cancel = CancelOnDrop::default();
    let cancelled = cancel.0.clone();
    let found = api
        .searches
        .run(move || {
            let view = view(&shared, &asked.index, asked.ignore_unavailable, &request.query)?;
            let found = execute::search(&view, &request, &Allowance::new(request.timeout, cancelled))?;
            let mut found = serde_json::value::to_raw_value(&found).map_err(EsError::internal)?;
            if asked.total_as_int || asked.typed_keys {
                let mut value: Value = serde_json::from_str(found.get()).map_err(EsError::internal)?;
                reshape(&mut value, &asked, &request);
                found = serde_json::value::to_raw_value(&value).map_err(EsError::internal)?;
            }
            Ok(found)
        })
        .await?;
    drop(cancel);
    api.board.counter("searches").add(1);
    tracing::debug!(took = ?started.elapsed(), "searched");
    Ok(found)
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

pub(super) async fn count_all(state: State<Api>, query: RawQuery, body: Body) -> Answer {
    count(state, Path("_all".to_owned()), query, body).await
}

pub(super) async fn count(
    State(api): State<Api>,
    Path(index): Path<String>,
    RawQuery(query): RawQuery,
    body: Body,
) -> Answer {
    let mut params = Params::new(query.as_deref());
    let from_address = query_of(&mut params)?;
    let ignore_unavailable = params.flag("ignore_unavailable")?.unwrap_or(false);
    params.ignore(&["terminate_after", "min_score"]);
    params.end("/_count")?;
    let from_body = query_in(api.bodies.read_json(body).await?, "the count")?;
    let clause = from_address.unwrap_or(from_body);
    let shared = api.0.clone();
    let cancel = CancelOnDrop::default();
    let cancelled = cancel.0.clone();
    let found = api.searches.run(move || {
        let view = view(&shared, &index, ignore_unavailable, &clause)?;
        let count = execute::count(&view, &clause, &Allowance::new(None, cancelled))?;
        Ok(json!({ "count": count, "_shards": Shards::of(view.mappings.len()) }))
    });
    let found = found.await?;
    drop(cancel);
    Ok(answer::json(&found))
}

/// The `query` of a body that has nothing else.
pub(super) fn query_in(body: Value, what: &str) -> Result<Clause, EsError> {
    if body.is_null() {
        return Ok(Clause::All);
    }
    let mut members = Members::new(body, what)?;
    let clause = members.take("query").map_or(Ok(Clause::All), Clause::from_dsl)?;
    members.end().map(|()| clause)
}

pub(super) async fn validate_all(state: State<Api>, query: RawQuery, body: Body) -> Answer {
    validate(state, Path("_all".to_owned()), query, body).await
}

pub(super) async fn validate(
    State(api): State<Api>,
    Path(index): Path<String>,
    RawQuery(query): RawQuery,
    body: Body,
) -> Answer {
    let mut params = Params::new(query.as_deref());
    let explain = params.flag("explain")?.unwrap_or(false);
    let body = api.bodies.read_json(body).await?;
    let read = query_of(&mut params).and_then(|clause| clause.map_or_else(|| query_in(body, "the request"), Ok));
    params.ignore(&["rewrite", "all_shards", "ignore_unavailable"]);
    params.end("/_validate/query")?;
    let valid = read.and_then(|clause| {
        let view = api.store.view(&index, Some(&super::NO_PARTS))?;
        for (index, mapping) in &view.mappings {
            compile::compile(&clause, compile::Target { index, mapping, now: Timestamp::now() })?;
        }
        Ok(())
    });
    let mut shown = json!({ "_shards": Shards::of(1), "valid": valid.is_ok() });
    if let (true, Err(error), Some(map)) = (explain, valid, shown.as_object_mut()) {
        map.insert("error".to_owned(), error.to_string().into());
    }
    Ok(answer::json(&shown))
}

pub(super) async fn msearch_all(state: State<Api>, query: RawQuery, body: Body) -> Answer {
    msearch(state, Path("_all".to_owned()), query, body).await
}

pub(super) async fn msearch(
    State(api): State<Api>,
    Path(index): Path<String>,
    RawQuery(query): RawQuery,
    body: Body,
) -> Answer {
    let started = Instant::now();
    let mut params = Params::new(query.as_deref());
    let total_as_int = params.flag("rest_total_hits_as_int")?.unwrap_or(false);
    let typed_keys = params.flag("typed_keys")?.unwrap_or(false);
    params.end("/_msearch")?;
    let payload = api.bodies.read(body, SEARCH_BYTES_MAX).await?;
    let lines: Vec<&[u8]> = payload.bytes.split(|byte| *byte == b'\n').collect();
    // A line feed ends the last line: nothing follows it.
    let lines = match lines.split_last() {
        Some((last, rest)) if last.iter().all(u8::is_ascii_whitespace) => rest,
        _ => lines.as_slice(),
    };
    if lines.len() % 2 != 0 {
        return Err(EsError::argument(
            "The msearch request must be pairs of lines, a header and a body, terminated by a newline [\\n]",
        ));
    }
    if lines.len() / 2 > MSEARCH_MAX {
        return Err(EsError::argument(format!("the msearch request has more than {MSEARCH_MAX} searches")));
    }
    let mut responses = Vec::with_capacity(lines.len() / 2);
    for pair in lines.chunks_exact(2) {
        let [header, body] = pair else { continue };
        let asked = header_of(header, &index, total_as_int, typed_keys)?;
        let request = body::parse(body).and_then(SearchRequest::read);
        let found = match request {
            Ok(request) => run(&api, asked, request).await,
            Err(error) => Err(error),
        };
        responses.push(match found {
            Ok(found) => with_status(&found)?,
            Err(error) => serde_json::value::to_raw_value(&error.to_json()).map_err(EsError::internal)?,
        });
    }
    Ok(answer::json(&Responses { took: millis(started), responses }))
}

#[derive(Serialize)]
struct Responses {
    took: u64,
    responses: Vec<Box<RawValue>>,
}

/// An answer with its status in it; as text, for answers are large.
fn with_status(found: &RawValue) -> Result<Box<RawValue>, EsError> {
    let members = found.get().strip_prefix('{').unwrap_or("}");
    RawValue::from_string(format!("{{\"status\":200,{members}")).map_err(EsError::internal)
}

fn header_of(line: &[u8], index: &str, total_as_int: bool, typed_keys: bool) -> Result<Asked, EsError> {
    let mut asked = Asked { index: index.to_owned(), ignore_unavailable: false, total_as_int, typed_keys };
    let value = body::parse(line)?;
    if value.is_null() {
        return Ok(asked);
    }
    let mut members = Members::new(value, "the header of a search")?;
    members.ignore(&[
        "preference",
        "routing",
        "search_type",
        "request_cache",
        "allow_no_indices",
        "expand_wildcards",
        "ccs_minimize_roundtrips",
        "allow_partial_search_results",
        "max_concurrent_shard_requests",
    ]);
    let names = members.strings("index")?.or(members.strings("indices")?);
    if let Some(names) = names.filter(|names| !names.is_empty()) {
        asked.index = names.join(",");
    }
    asked.ignore_unavailable = members.boolean("ignore_unavailable")?.unwrap_or(false);
    members.end().map(|()| asked)
}

pub(super) fn millis(started: Instant) -> u64 {
    u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// Runs a search that the API makes of its own: documents by their ids.
pub(super) async fn find(api: &Api, index: String, request: SearchRequest) -> Result<Value, EsError> {
    let found =
        run(api, Asked { index, ignore_unavailable: false, total_as_int: false, typed_keys: false }, request).await?;
    serde_json::from_str(found.get()).map_err(EsError::internal)
}
