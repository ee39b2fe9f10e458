//! `_ingest`: there are no pipelines in the index. Who asks for one finds none; who brings one is told where they are.

use axum::Router;
use axum::http::StatusCode;
use axum::routing::{any, get};
use serde_json::json;

use super::Api;
use super::answer::{self, Answer};
use crate::query::error::EsError;

pub(super) fn routes() -> Router<Api> {
    Router::new()
        .route("/_ingest/pipeline", get(all))
        .route("/_ingest/pipeline/{name}", get(one).delete(delete).put(refused))
        .route("/_ingest/pipeline/_simulate", any(refused))
        .route("/_ingest/pipeline/{name}/_simulate", any(refused))
        .route("/_ingest/processor/grok", any(refused))
}

async fn all() -> Answer {
    Ok(answer::json(&json!({})))
}

/// As Elasticsearch says that there is none.
async fn one() -> Answer {
    Ok(answer::json_with(StatusCode::NOT_FOUND, &json!({})))
}

async fn delete() -> Answer {
    Err(EsError::new(404, "resource_not_found_exception", "there are no ingest pipelines in the index"))
}

async fn refused() -> Answer {
    Err(EsError::argument(
        "ingest pipelines are not supported in the index: pipelines run before it, in [processor.pipelines] of \
         logmill.yml, and `logmill pipeline convert` reads those of Elasticsearch; in Filebeat leave out \
         `filebeat.overwrite_pipelines` and `setup --pipelines`",
    ))
}
