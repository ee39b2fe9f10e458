//! Single documents: `_doc`, `_create`, `_source`, `_mget`.

use std::borrow::Cow;

use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::Api;
use super::answer::{self, Answer};
use super::body::BULK_BYTES_MAX;
use super::bulk::{self, Demands, Op, Refresh};
use super::named::Indices;
use super::params::Params;
use super::search;
use crate::query::clause::Clause;
use crate::query::error::EsError;
use crate::query::request::{SearchRequest, SourceFilter, TotalHits};
use crate::query::strict::Members;

/// Documents of one `_mget`.
const MGET_MAX: usize = 10_000;

pub(super) async fn add(State(api): State<Api>, Path(index): Path<String>, query: RawQuery, body: Body) -> Answer {
    write(&api, index, None, Op::Index, query.0.as_deref(), body).await
}

pub(super) async fn put(
    State(api): State<Api>,
    Path((index, id)): Path<(String, String)>,
    query: RawQuery,
    body: Body,
) -> Answer {
    write(&api, index, Some(id), Op::Index, query.0.as_deref(), body).await
}

pub(super) async fn create(
    State(api): State<Api>,
    Path((index, id)): Path<(String, String)>,
    query: RawQuery,
    body: Body,
) -> Answer {
    write(&api, index, Some(id), Op::Create, query.0.as_deref(), body).await
}

pub(super) async fn delete(
    State(api): State<Api>,
    Path((index, id)): Path<(String, String)>,
    query: RawQuery,
    body: Body,
) -> Answer {
    write(&api, index, Some(id), Op::Delete, query.0.as_deref(), body).await
}

pub(super) async fn update(
    State(api): State<Api>,
    Path((index, id)): Path<(String, String)>,
    query: RawQuery,
    body: Body,
) -> Answer {
    write(&api, index, Some(id), Op::Update, query.0.as_deref(), body).await
}

async fn write(api: &Api, index: String, id: Option<String>, op: Op, query: Option<&str>, body: Body) -> Answer {
    let mut params = Params::new(query);
    let refresh = Refresh::read(&mut params)?;
    let op = match params.take("op_type").as_deref() {
        None => op,
        Some(_) if matches!(op, Op::Update | Op::Delete) => {
            return Err(EsError::argument("[op_type] is for writing whole documents"));
        }
        Some("create") => Op::Create,
        Some("index") => Op::Index,
        Some(other) => return Err(EsError::argument(format!("opType must be 'create' or 'index', found: [{other}]"))),
    };
    let number = |key: &str, params: &mut Params| -> Result<Option<u64>, EsError> {
        let refused =
            |text: &str| EsError::argument(format!("Failed to parse long parameter [{key}] with value [{text}]"));
        params.take(key).map(|text| text.parse().map_err(|_| refused(&text))).transpose()
    };
    let condition = (number("if_seq_no", &mut params)?, number("if_primary_term", &mut params)?);
    let pipeline = params.take("pipeline");
    // Requests with one id wait for each other, so none has to be tried again.
    params.ignore(&["timeout", "retry_on_conflict"]);
    let demands = Demands::read(&mut params)?.single();
    params.end("/_doc")?;
    api.writer.check()?;
    let payload = api.bodies.read(body, BULK_BYTES_MAX).await?;
    let mut item = bulk::item(op, Cow::Owned(index), id, &payload.bytes, pipeline.as_deref());
    item.only_if(condition.0, condition.1);
    let outcome = bulk::send(api, &mut [item], demands, refresh).await?.pop();
    outcome.ok_or_else(|| EsError::internal("the document was not sent"))?.into_answer()
}

pub(super) async fn get(State(api): State<Api>, Path((index, id)): Path<(String, String)>, query: RawQuery) -> Answer {
    let found = fetch(&api, index.clone(), vec![id.clone()], source_filter(query.0.as_deref(), "/_doc")?).await?;
    match found.into_iter().next() {
        Some(document) => Ok(answer::json(&document)),
        None => Ok(answer::json_with(StatusCode::NOT_FOUND, &json!({ "_index": index, "_id": id, "found": false }))),
    }
}

pub(super) async fn source(
    State(api): State<Api>,
    Path((index, id)): Path<(String, String)>,
    query: RawQuery,
) -> Answer {
    let found = fetch(&api, index.clone(), vec![id.clone()], source_filter(query.0.as_deref(), "/_source")?).await?;
    match found.first().and_then(|document| document.get("_source")) {
        Some(source) => Ok(answer::json(source)),
        None => Err(EsError::new(404, "resource_not_found_exception", format!("Document not found [{index}]/[{id}]"))),
    }
}

fn source_filter(query: Option<&str>, path: &str) -> Result<SourceFilter, EsError> {
    let mut params = Params::new(query);
    // Documents are always read from what is searchable.
    params.ignore(&["realtime", "refresh", "version", "version_type", "stored_fields"]);
    let filter = match params.list("_source") {
        Some(list) => match list.as_slice() {
            [only] if only == "true" || only == "false" => SourceFilter::read((only == "true").into())?,
            _ => SourceFilter::read(list.into())?,
        },
        None => SourceFilter::read(json!({
            "includes": params.list("_source_includes").unwrap_or_default(),
            "excludes": params.list("_source_excludes").unwrap_or_default(),
        }))?,
    };
    params.end(path)?;
    Ok(filter)
}

/// The documents with these ids, as `_doc` shows them.
async fn fetch(api: &Api, index: String, ids: Vec<String>, source: SourceFilter) -> Result<Vec<Value>, EsError> {
    for id in &ids {
        bulk::settle(api, &index, id).await;
    }
    let request = SearchRequest {
        size: ids.len(),
        query: Clause::Ids(ids),
        source,
        version: true,
        seq_no: true,
        track_total: TotalHits::No,
        // What could not be read is not "not found".
        partial: false,
        ..SearchRequest::default()
    };
    let mut found = search::find(api, index, request).await?;
    let hits = found.pointer_mut("/hits/hits").and_then(Value::as_array_mut).map(std::mem::take).unwrap_or_default();
    Ok(hits
        .into_iter()
        .map(|mut hit| {
            if let Some(map) = hit.as_object_mut() {
                map.shift_remove("_score");
                let source = map.shift_remove("_source");
                map.insert("found".to_owned(), true.into());
                map.extend(source.map(|source| ("_source".to_owned(), source)));
            }
            hit
        })
        .collect())
}

pub(super) async fn mget(State(api): State<Api>, Indices(index): Indices, query: RawQuery, body: Body) -> Answer {
    let filter = source_filter(query.0.as_deref(), "/_mget")?;
    let mut members = Members::new(api.bodies.read_json(body).await?, "[_mget]")?;
    let mut wanted: Vec<(String, String, SourceFilter)> = Vec::new();
    for id in members.strings("ids")?.unwrap_or_default() {
        wanted.push((index.clone(), id, filter.clone()));
    }
    if let Some(Value::Array(docs)) = members.take("docs") {
        for doc in docs {
            let mut doc = Members::new(doc, "[docs]")?;
            doc.ignore(&["routing"]);
            let id = doc.string("_id")?.ok_or_else(|| EsError::argument("[docs] needs [_id]"))?;
            // What one document says of its source goes before what is said of all.
            let source = doc.take("_source").map(SourceFilter::read).transpose()?.unwrap_or_else(|| filter.clone());
            wanted.push((doc.string("_index")?.unwrap_or_else(|| index.clone()), id, source));
            doc.end()?;
        }
    }
    members.end()?;
    if let Some(place) = wanted.iter().position(|(index, ..)| index == "_all") {
        return Err(search::invalid(&format!("index is missing for doc {place}")));
    }
    if wanted.is_empty() || wanted.len() > MGET_MAX {
        return Err(EsError::argument(format!("[_mget] takes between 1 and {MGET_MAX} documents")));
    }
    let mut docs = Vec::with_capacity(wanted.len());
    for (index, id, source) in wanted {
        let found = match fetch(&api, index.clone(), vec![id.clone()], source).await {
            Ok(found) => {
                found.into_iter().next().unwrap_or_else(|| json!({ "_index": index, "_id": id, "found": false }))
            }
            Err(error) => json!({ "_index": index, "_id": id, "error": error.to_json().get("error") }),
        };
        docs.push(found);
    }
    Ok(answer::json(&json!({ "docs": docs })))
}
