//! `GET /api/status`: every stage, the bus and the indices, and what is wrong with any of them.

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use super::Shared;
use crate::auth::Viewer;

/// All of it; a part that can't be told is empty, and a problem says why.
pub(super) async fn status(State(app): State<Shared>, _: Viewer) -> Json<Value> {
    app.fleet.hear(app.board.snapshot());
    let (topics, indices) = tokio::join!(app.topics.get(), app.indexer.indices(&app.config.index));
    let mut problems = app.fleet.problems(&app.config.expect_stages);
    let topics = topics.unwrap_or_else(|error| {
        problems.push(format!("the bus can't be asked: {error}"));
        Vec::new()
    });
    let indices = indices.unwrap_or_else(|error| {
        problems.push(format!("the indices can't be listed: {error}"));
        Vec::new()
    });
    let stages = app.fleet.stages();
    for view in stages.iter().filter(|view| !view.stale && view.status.ready) {
        let told = view.status.problems.iter().map(|problem| format!("{}: {problem}", view.status.stage));
        problems.extend(told);
    }
    Json(json!({
        "ready": app.fleet.problems(&app.config.expect_stages).is_empty() && app.board.is_ready(),
        "problems": problems, "stages": stages, "topics": topics, "indices": indices,
    }))
}
