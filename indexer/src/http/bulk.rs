//! `_bulk`: documents go to the bus, and the client is told when the bus has them on disk. Everything is read and
//! checked before the first document is sent, so that a request is either taken or refused as a whole.

mod current;
mod decide;
mod ids;
mod parse;
mod target;
mod update;
mod write;

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use serde::Serialize;
use serde_json::{Value, json};

use decide::{Sent, Verdict};
use ids::{Flying, Key};
pub(super) use parse::{Item, Op, item};
pub(super) use target::Demands;
use write::Outgoing;
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
/// How long reading a document by its id waits for what was just written under it.
const READ_WAIT: Duration = Duration::from_secs(5);

pub(super) async fn bulk_all(state: State<Api>, query: RawQuery, body: Body) -> Answer {
    serve(state.0, None, query.0.as_deref(), body).await
}

pub(super) async fn bulk(state: State<Api>, Path(index): Path<String>, query: RawQuery, body: Body) -> Answer {
    serve(state.0, Some(index), query.0.as_deref(), body).await
}

async fn serve(api: Api, index: Option<String>, query: Option<&str>, body: Body) -> Answer {
    let started = Instant::now();
    let mut params = Params::new(query);
    let refresh = Refresh::read(&mut params)?;
    let demands = Demands::read(&mut params)?;
    let pipeline = params.take("pipeline").filter(|name| name != "_none");
    if let Some(name) = pipeline {
        return Err(EsError::argument(format!(
            "pipeline with id [{name}] does not exist: pipelines run before the index"
        )));
    }
    params.ignore(&["timeout", "op_type", "list_executed_pipelines", "_source", "type"]);
    params.end("/_bulk")?;
    api.writer.check()?;
    let payload = api.bodies.read(body, BULK_BYTES_MAX).await?;
    let mut items = parse::parse(&payload.bytes, index.as_deref())?;
    let outcomes = send(&api, &mut items, demands, refresh).await?;
    let response = Response {
        took: millis(started),
        errors: outcomes.iter().any(|outcome| outcome.error.is_some()),
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
    #[serde(skip_serializing_if = "Option::is_none")]
    forced_refresh: Option<bool>,
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

/// When a request is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refresh {
    /// When the documents are safe.
    No,
    /// When they can be found as well.
    Now,
    /// The same, for clients that would rather wait than force anything.
    WaitFor,
}

impl Refresh {
    /// Reads `refresh`.
    pub(super) fn read(params: &mut Params) -> Result<Self, EsError> {
        match params.take("refresh").as_deref() {
            None | Some("false") => Ok(Self::No),
            Some("" | "true") => Ok(Self::Now),
            Some("wait_for") => Ok(Self::WaitFor),
            Some(other) => Err(EsError::argument(format!("Unknown value for refresh: [{other}]."))),
        }
    }
}

/// Sends what can be sent and waits until it is on disk; what became of each item, in order.
pub(super) async fn send(
    api: &Api,
    items: &mut [Item<'_>],
    demands: Demands,
    refresh: Refresh,
) -> Result<Vec<Outcome>, EsError> {
    target::aim(&api.store, items, demands);
    let items: &[Item<'_>] = items;
    let mut keys: BTreeMap<Key, bool> = BTreeMap::new();
    for item in items {
        if let Some(key) = decide::key_of(item) {
            *keys.entry(key).or_default() |= item.op == Op::Update;
        }
    }
    let visible = |position: Position| api.store.progress.borrow().shows(&[position]);
    let (known, reserved) = if keys.is_empty() {
        (HashMap::new(), None)
    } else {
        let reserved = api.writer.ids.reserve(keys.keys().cloned().collect(), visible).await?;
        (current::of_keys(api, keys.into_iter().collect()).await?, Some(reserved))
    };
    let verdicts = decide::decide(items, known);
    let outgoing: Vec<Outgoing<'_>> = items.iter().zip(&verdicts).filter_map(outgoing).collect();
    let positions = api.writer.write(&outgoing, &api.store.partitions()).await?;
    let mut next = positions.iter().copied();
    let mut outcomes = Vec::with_capacity(items.len());
    for (item, verdict) in items.iter().zip(verdicts) {
        if let Verdict::Send(sent) = &verdict {
            let position = next.next().unwrap_or_default();
            if let (Some(key), Some(reserved)) = (&sent.key, &reserved) {
                let (version, exists) = (sent.version, sent.op != Op::Delete);
                reserved.landed(key, Flying { position, version, exists });
            }
            outcomes.push(Outcome::sent(item, sent, position, refresh));
        } else {
            outcomes.push(Outcome::not_sent(item, verdict));
        }
    }
    drop(reserved);
    api.board.counter("bulk_events").add(positions.len() as u64);
    if refresh != Refresh::No && !positions.is_empty() {
        // A client that waits too long is answered all the same: the documents are safe.
        let _ = api.store.wait_visible(&positions, REFRESH_WAIT).await;
    }
    Ok(outcomes)
}

fn outgoing<'o>((item, verdict): (&'o Item<'_>, &'o Verdict<'_>)) -> Option<Outgoing<'o>> {
    let Verdict::Send(sent) = verdict else { return None };
    let Sent { op, value, version, .. } = sent;
    Some(Outgoing { index: &item.index, id: item.id.as_deref(), op: *op, version: *version, value })
}

/// Waits until what was written under an id can be found.
pub(super) async fn settle(api: &Api, index: &str, id: &str) {
    let target = api.store.write_target(index).map_or_else(|| index.to_owned(), |target| target.index);
    let flying = api.writer.ids.flying(&Key::new(&target, id)).map(|flying| flying.position);
    let unnamed = crate::store::ids::seq_of(id).and_then(|seq| api.writer.written_at(seq));
    for position in flying.into_iter().chain(unnamed) {
        // Whoever reads does not wait for a store that is far behind; it is told what can be found.
        let _ = api.store.wait_visible(&[position], READ_WAIT).await;
    }
}

/// The number under which the store will know the record.
fn seq_of_position(position: Position) -> u64 {
    u64::try_from(position.partition).unwrap_or(0) << 48 | u64::try_from(position.offset).unwrap_or(0)
}

impl Outcome {
    fn new(item: &Item<'_>, status: u16) -> Self {
        let (index, id) = (item.index.to_string(), item.id.clone());
        Self {
            index,
            id,
            version: None,
            result: None,
            forced_refresh: None,
            shards: None,
            seq_no: None,
            primary_term: None,
            status,
            error: None,
        }
    }

    fn sent(item: &Item<'_>, sent: &Sent<'_>, position: Position, refresh: Refresh) -> Self {
        let seq = seq_of_position(position);
        Self {
            id: Some(item.id.clone().unwrap_or_else(|| id_of(seq))),
            version: Some(sent.version),
            result: Some(sent.result),
            forced_refresh: (refresh == Refresh::Now).then_some(true),
            shards: Some(json!({ "total": 1, "successful": 1, "failed": 0 })),
            seq_no: Some(seq),
            primary_term: Some(1),
            ..Self::new(item, sent.status)
        }
    }

    fn not_sent(item: &Item<'_>, verdict: Verdict<'_>) -> Self {
        match verdict {
            Verdict::Nothing { result, status, version, seq } => Self {
                version: Some(version),
                result: Some(result),
                shards: Some(json!({ "total": 0, "successful": 0, "failed": 0 })),
                seq_no: seq,
                primary_term: seq.map(|_| 1),
                ..Self::new(item, status)
            },
            Verdict::Refused(error) => {
                let shown = json!({ "type": error.kind, "reason": error.reason, "index": item.index });
                Self { error: Some(shown), ..Self::new(item, error.status) }
            }
            // It was sent; what became of it is told elsewhere.
            Verdict::Send(sent) => Self::new(item, sent.status),
        }
    }

    /// The answer to a request for a single document.
    pub(super) fn into_answer(self) -> Answer {
        let status = axum::http::StatusCode::from_u16(self.status).unwrap_or(axum::http::StatusCode::BAD_REQUEST);
        match self.error {
            None => {
                let mut shown = serde_json::to_value(&self).map_err(EsError::internal)?;
                // Only items of a bulk tell their status in the body.
                shown.as_object_mut().and_then(|map| map.shift_remove("status"));
                Ok(answer::json_with(status, &shown))
            }
            Some(error) => {
                let mut outer = error.clone();
                if let Some(map) = outer.as_object_mut() {
                    map.insert("root_cause".to_owned(), json!([error]));
                }
                Ok(answer::json_with(status, &json!({ "error": outer, "status": self.status })))
            }
        }
    }
}
