//! Searching: `POST /api/search`, `POST /api/query/check`.

use axum::extract::State;
use axum::{Json, response::IntoResponse};
use serde::Deserialize;
use serde_json::{Value, json};

use super::error::Body;
use super::{ApiError, Shared};
use crate::auth::Viewer;
use crate::search::{SearchRequest, Selection, hits_of, total_of};

/// One page of hits, the histogram when it was asked for, and how fresh both are.
pub(super) async fn search(
    State(app): State<Shared>,
    _: Viewer,
    Body(request): Body<SearchRequest>,
) -> Result<impl IntoResponse, ApiError> {
    let index = request.scope.selection.index(&app.config.index)?;
    let search = request.prepare(jiff::Timestamp::now(), &app.config.level_field)?;
    let (answer, freshness) = tokio::join!(app.indexer.search(index, &search.body), app.indexer.freshness());
    let mut answer = answer?;
    app.board.counter("searches").add(1);
    let histogram = search.histogram(&answer);
    let mut body = json!({
        "total": total_of(&answer),
        "took_ms": answer.get("took").and_then(Value::as_u64).unwrap_or(0),
        "hits": hits_of(&mut answer),
        "freshness": freshness,
        "from_ms": search.range.from_ms,
        "to_ms": search.range.to_ms,
        "request": { "method": "POST", "path": format!("/{index}/_search"), "body": search.body },
    });
    if let Some(histogram) = histogram {
        body["histogram"] = json!(histogram);
    }
    Ok(Json(body))
}

#[derive(Deserialize)]
pub(super) struct Check {
    #[serde(flatten)]
    selection: Selection,
}

/// Whether a query can be understood; if not, where it can't.
pub(super) async fn check(_: Viewer, Body(asked): Body<Check>) -> Result<impl IntoResponse, ApiError> {
    asked.selection.ast()?;
    Ok(Json(json!({ "ok": true })))
}
