//! `_bulk`: documents go to the bus, and the client is told when the bus has them on disk. Everything is read and
//! checked before the first document is sent, so that a request is either taken or refused as a whole.

mod parse;
mod write;

use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use serde::Serialize;
use serde_json::{Value, json};

pub(super) use parse::{Item, Op, item};
pub(super) use write::Writer;

use super::Api;
use super::answer::{self, Answer};
use super::body::BULK_BYTES_MAX;
use super::params::Params;
use super::search::millis;
use crate::query::error::EsError;
use crate::query::fields::id_of;
use logmill_bus_client::Position;

/// How long `refresh=wait_for` waits: the store shows what it has been sent within a second, unless it is far behind.
const REFRESH_WAIT: Duration = Duration::from_secs(30);

pub(super) async fn bulk_all(state: State<Api>, query: RawQuery, body: Body) -> Answer {
    serve(state.0, None, query.0.as_deref(), body).await
}

pub(super) async fn bulk(state: State<Api>, Path(index): Path<String>, query: RawQuery, body: Body) -> Answer {
    serve(state.0, Some(index), query.0.as_deref(), body).await
}

async fn serve(api: Api, index: Option<String>, query: Option<&str>, body: Body) -> Answer {
    let started = Instant::now();
    let mut params = Params::new(query);
    let refresh = wants_refresh(&mut params)?;
    let pipeline = params.take("pipeline").filter(|name| name != "_none");
    if let Some(name) = pipeline {
        return Err(EsError::argument(format!(
            "pipeline with id [{name}] does not exist: pipelines run before the index"
        )));
    }
    params.ignore(&[
        "timeout",
        "require_alias",
        "require_data_stream",
        "op_type",
        "list_executed_pipelines",
        "_source",
        "type",
    ]);
    params.end("/_bulk")?;
    api.writer.check()?;
    let payload = api.bodies.read(body, BULK_BYTES_MAX).await?;
    let items = parse::parse(&payload.bytes, index.as_deref())?;
    let outcomes = send(&api, &items, refresh).await?;
    let response = Response {
        took: millis(started),
        errors: outcomes.iter().any(|outcome| outcome.status >= 300),
        items: items.iter().zip(outcomes).map(|(item, outcome)| json!({ item.op.name(): outcome })).collect(),
    };
    Ok(answer::json(&response))
}

/// Fluent Bit looks for `"errors":false,"items":[` as it stands.
#[derive(Serialize)]
struct Response {
    took: u64,
    errors: bool,
    items: Vec<Value>,
}

/// What became of an item.
#[derive(Debug, Serialize)]
pub(super) struct Outcome {
    #[serde(rename = "_index")]
    index: String,
    #[serde(rename = "_id", skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(rename = "_version", skip_serializing_if = "Option::is_none")]
    version: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<&'static str>,
    #[serde(rename = "_shards", skip_serializing_if = "Option::is_none")]
    shards: Option<Value>,
    #[serde(rename = "_seq_no", skip_serializing_if = "Option::is_none")]
    seq_no: Option<u64>,
    #[serde(rename = "_primary_term", skip_serializing_if = "Option::is_none")]
    primary_term: Option<u64>,
    pub(super) status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Value>,
}

/// Whether `refresh` asks to wait until the documents can be found.
pub(super) fn wants_refresh(params: &mut Params) -> Result<bool, EsError> {
    match params.take("refresh").as_deref() {
        None | Some("false") => Ok(false),
        Some("" | "true" | "wait_for") => Ok(true),
        Some(other) => Err(EsError::argument(format!("Unknown value for refresh: [{other}]."))),
    }
}

/// Sends what can be sent and waits until it is on disk; what became of each item, in order.
pub(super) async fn send(api: &Api, items: &[Item<'_>], refresh: bool) -> Result<Vec<Outcome>, EsError> {
    let sendable: Vec<&Item<'_>> = items.iter().filter(|item| item.refused.is_none()).collect();
    let positions = api.writer.write(&sendable).await?;
    api.board.counter("bulk_events").add(positions.len() as u64);
    if refresh && !positions.is_empty() {
        // A client that waits too long is answered all the same: the documents are safe.
        let _ = api.store.wait_visible(&positions, REFRESH_WAIT).await;
    }
    let mut positions = positions.into_iter();
    Ok(items.iter().map(|item| outcome(item, positions.by_ref())).collect())
}

fn outcome(item: &Item<'_>, mut positions: impl Iterator<Item = Position>) -> Outcome {
    let mut outcome = Outcome {
        index: item.index.to_string(),
        id: item.id.clone(),
        version: None,
        result: None,
        shards: None,
        seq_no: None,
        primary_term: None,
        status: 201,
        error: None,
    };
    if let Some(error) = &item.refused {
        outcome.status = error.status;
        outcome.error = Some(json!({ "type": error.kind, "reason": error.reason }));
        return outcome;
    }
    let seq = positions.next().map(seq_of).unwrap_or_default();
    outcome.id = Some(item.id.clone().unwrap_or_else(|| id_of(seq)));
    outcome.version = Some(1);
    outcome.result = Some("created");
    outcome.shards = Some(json!({ "total": 1, "successful": 1, "failed": 0 }));
    outcome.seq_no = Some(seq);
    outcome.primary_term = Some(1);
    outcome
}

/// The number under which the store will know the record.
fn seq_of(position: Position) -> u64 {
    u64::try_from(position.partition).unwrap_or(0) << 48 | u64::try_from(position.offset).unwrap_or(0)
}

impl Outcome {
    /// The answer to a request for a single document.
    pub(super) fn into_answer(self) -> Answer {
        match self.error {
            None => Ok(answer::json_with(axum::http::StatusCode::CREATED, &self)),
            Some(error) => {
                let status =
                    axum::http::StatusCode::from_u16(self.status).unwrap_or(axum::http::StatusCode::BAD_REQUEST);
                let mut outer = error.clone();
                if let Some(map) = outer.as_object_mut() {
                    map.insert("root_cause".to_owned(), json!([error]));
                }
                Ok(answer::json_with(status, &json!({ "error": outer, "status": self.status })))
            }
        }
    }
}
