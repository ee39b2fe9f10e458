//! What handlers answer with.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::query::error::EsError;

/// Seconds after which a client that was told to slow down may try again.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

pub(super) type Answer = Result<Response, EsError>;

impl IntoResponse for EsError {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if status.is_server_error() {
            tracing::warn!(error = %self, "a request failed");
        }
        let mut response = json_with(status, &self.to_json());
        if matches!(self.status, 429 | 503) {
            response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER);
        }
        response
    }
}

/// JSON with status 200.
pub(super) fn json(body: &impl Serialize) -> Response {
    json_with(StatusCode::OK, body)
}

/// JSON with a status of its own.
pub(super) fn json_with(status: StatusCode, body: &impl Serialize) -> Response {
    match serde_json::to_vec(body) {
        Ok(bytes) => (status, [(header::CONTENT_TYPE, "application/json")], bytes).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// Plain text, as `_cat` has it.
pub(super) fn text(body: String) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; charset=UTF-8")], body).into_response()
}
