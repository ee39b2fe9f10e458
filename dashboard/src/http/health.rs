//! `GET /healthz`: whether the whole chain is ready. `GET /metrics`: the numbers of this process.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::Shared;

/// 200 once fresh and good news came from every expected stage; 503 with the reasons otherwise.
pub(super) async fn health(State(app): State<Shared>) -> Response {
    let problems = app.fleet.problems(&app.config.expect_stages);
    let ready = problems.is_empty() && app.board.is_ready();
    let code = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = json!({ "ready": ready, "problems": problems });
    (code, [(header::CACHE_CONTROL, "no-store")], axum::Json(body)).into_response()
}

/// The text exposition format, version 0.0.4.
pub(super) async fn metrics(State(app): State<Shared>) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], app.metrics.render()).into_response()
}
