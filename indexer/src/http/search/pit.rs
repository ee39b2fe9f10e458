//! Points in time: what there is now, kept for searches to come; Elasticsearch's way and OpenSearch's.

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::{Asked, invalid, scroll, view};
use crate::http::Api;
use crate::http::answer::{self, Answer};
use crate::http::named::Call;
use crate::http::params::Params;
use crate::query::answer::Shards;
use crate::query::error::EsError;
use crate::query::request;
use crate::query::strict::Members;

async fn keep(api: &Api, mut call: Call) -> Result<(String, usize), EsError> {
    let asked = Asked::read(&mut call)?;
    let Call { mut params, body, .. } = call;
    let keep_alive = params.take("keep_alive").ok_or_else(|| invalid("[keep_alive] is not specified"))?;
    params.end("/_pit")?;
    let body = api.bodies.read_json(body).await?;
    if !body.is_null() {
        // An `index_filter` would leave out whole indexes by what they hold now.
        Members::new(body, "the point in time")?.end()?;
    }
    let view = view(api, &asked)?;
    let shards = view.mappings.len();
    Ok((api.contexts.open(view, None, request::duration(&keep_alive)?)?, shards))
}

/// `POST <index>/_pit`.
pub(in crate::http) async fn open(State(api): State<Api>, call: Call) -> Answer {
    let (id, shards) = keep(&api, call).await?;
    Ok(answer::json(&json!({ "id": id, "_shards": Shards::of(shards) })))
}

/// `DELETE _pit`.
pub(in crate::http) async fn close(State(api): State<Api>, query: RawQuery, body: Body) -> Answer {
    Params::new(query.0.as_deref()).end("/_pit")?;
    let mut members = Members::new(api.bodies.read_json(body).await?, "the request to close a point in time")?;
    let id = members.string("id")?.ok_or_else(|| invalid("[id] is not specified"))?;
    members.end()?;
    Ok(scroll::freed(usize::from(api.contexts.close(&id, false)), false))
}

/// OpenSearch's `POST <index>/_search/point_in_time`.
pub(in crate::http) async fn open_there(State(api): State<Api>, call: Call) -> Answer {
    let (id, shards) = keep(&api, call).await?;
    let created = api.contexts.get(&id, None)?.opened_ms;
    Ok(answer::json(&json!({ "pit_id": id, "_shards": Shards::of(shards), "creation_time": created })))
}

/// OpenSearch's `DELETE _search/point_in_time`.
pub(in crate::http) async fn close_there(State(api): State<Api>, query: RawQuery, body: Body) -> Answer {
    Params::new(query.0.as_deref()).end("/_search/point_in_time")?;
    let mut members = Members::new(api.bodies.read_json(body).await?, "the request to close points in time")?;
    let ids = members.strings("pit_id")?.ok_or_else(|| invalid("no pit ids specified"))?;
    members.end()?;
    let close = |id: &String| json!({ "successful": api.contexts.close(id, false), "pit_id": id });
    let closed: Vec<Value> = ids.iter().map(close).collect();
    let any = closed.iter().any(|one| one.get("successful") == Some(&Value::Bool(true)));
    let status = if any { StatusCode::OK } else { StatusCode::NOT_FOUND };
    Ok(answer::json_with(status, &json!({ "pits": closed })))
}

/// OpenSearch's `DELETE _search/point_in_time/_all`.
pub(in crate::http) async fn close_all_there(State(api): State<Api>) -> Answer {
    let closed = api.contexts.close_all(false);
    let shown: Vec<Value> = closed.iter().map(|id| json!({ "successful": true, "pit_id": id })).collect();
    Ok(answer::json(&json!({ "pits": shown })))
}

/// OpenSearch's `GET _search/point_in_time/_all`.
pub(in crate::http) async fn list_there(State(api): State<Api>) -> Answer {
    let points = api.contexts.points_in_time();
    let shown = points.iter().map(|(id, context)| {
        let keep_alive = u64::try_from(context.keep_alive.as_millis()).unwrap_or(u64::MAX);
        json!({ "pit_id": id, "creation_time": context.opened_ms, "keep_alive": keep_alive })
    });
    Ok(answer::json(&json!({ "pits": shown.collect::<Vec<_>>() })))
}
