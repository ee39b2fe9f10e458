//! `GET /api/tail`: what comes in, as server-sent events.

use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures::stream;
use serde::Deserialize;
use tokio::sync::mpsc;

use super::{ApiError, Shared};
use crate::auth::Viewer;
use crate::search::Selection;
use crate::tail::{Viewing, Watch, watch};

#[derive(Deserialize)]
pub(super) struct Asked {
    scope: String,
}

/// Events on their way to one browser; a second's worth.
const WAITING_MAX: usize = 256;

/// Streams until the browser goes away or the program stops.
pub(super) async fn tail(
    State(app): State<Shared>,
    _: Viewer,
    Query(asked): Query<Asked>,
) -> Result<Response, ApiError> {
    let selection: Selection = serde_json::from_str(&asked.scope)
        .map_err(|error| ApiError::bad_request(format!("`scope` is not a search: {error}")))?;
    let viewing = Viewing::new(&selection.ast()?, selection.index(&app.config.index)?);
    let Some(Watch { recent, batches, place }) = app.tail.watch() else {
        return Err(ApiError::unavailable("too many pages watch the live tail now").hint("close one and try again"));
    };
    let (out, shown) = mpsc::channel::<Bytes>(WAITING_MAX);
    let shutdown = app.shutdown.child();
    tokio::spawn(async move {
        watch(viewing, recent, batches, out, shutdown).await;
        drop(place);
    });
    let body = Body::from_stream(stream::unfold(shown, |mut shown| async move {
        let bytes = shown.recv().await?;
        Some((Ok::<_, std::convert::Infallible>(bytes), shown))
    }));
    // Proxies that gather answers before they pass them on are told not to.
    let headers = [(header::CONTENT_TYPE.as_str(), "text/event-stream"), ("x-accel-buffering", "no")];
    Ok((headers, body).into_response())
}
