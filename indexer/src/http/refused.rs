//! What is not done here, said clearly: an acknowledgement of something that then does not happen would be worse.

use axum::Router;
use axum::http::{Method, StatusCode, Uri};
use axum::response::Response;
use axum::routing::any;
use serde_json::json;

use super::Api;
use super::answer::{self, Answer};
use crate::query::error::EsError;

/// Endpoints that exist elsewhere, with what to do instead.
const REFUSED: &[(&str, &str)] = &[
    ("/_rank_eval", "ranking evaluation is not supported"),
    ("/{index}/_rank_eval", "ranking evaluation is not supported"),
    ("/{index}/_termvectors", "term vectors are not supported: they are not kept"),
    ("/{index}/_termvectors/{id}", "term vectors are not supported: they are not kept"),
    ("/{index}/_knn_search", "vectors are not supported"),
    ("/_search/template", "search templates are not supported: send the search itself to [_search]"),
    ("/{index}/_search/template", "search templates are not supported: send the search itself to [_search]"),
    ("/_msearch/template", "search templates are not supported: send the searches themselves to [_msearch]"),
    ("/{index}/_eql/search", "EQL is not supported: use [_search]"),
    ("/{index}/_update_by_query", "documents can't be changed: logs are appended"),
    ("/_reindex", "reindexing is not supported: events can be read from the bus again"),
    ("/_security/_authenticate", "nobody is asked here who they are: see [indexer.auth]"),
    ("/_security/api_key", "API keys are made in the configuration: see [indexer.auth.api_keys]"),
    ("/_xpack/usage", "usage is not counted: see [_xpack] for what there is, and /metrics"),
    ("/_sql", "SQL is not supported: use [_search]"),
    ("/_query", "ES|QL is not supported: use [_search]"),
];

pub(super) fn routes() -> Router<Api> {
    REFUSED.iter().fold(Router::new(), |router, &(path, reason)| {
        router.route(path, any(move |method: Method| std::future::ready(refuse(&method, reason))))
    })
}

/// Who only looks finds nothing; who wants something done is told why not.
fn refuse(method: &Method, reason: &'static str) -> Answer {
    let (status, kind) = match *method {
        Method::GET | Method::HEAD => (404, "resource_not_found_exception"),
        _ => (400, "illegal_argument_exception"),
    };
    Err(EsError::new(status, kind, reason))
}

pub(super) async fn no_handler(method: Method, uri: Uri) -> Response {
    let reason = format!("no handler found for uri [{uri}] and method [{method}]");
    answer::json_with(StatusCode::BAD_REQUEST, &json!({ "error": reason }))
}

pub(super) async fn no_method(method: Method, uri: Uri) -> Response {
    let reason = format!("Incorrect HTTP method for uri [{uri}] and method [{method}]");
    answer::json_with(StatusCode::METHOD_NOT_ALLOWED, &json!({ "error": reason, "status": 405 }))
}
