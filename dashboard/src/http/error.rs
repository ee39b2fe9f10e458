//! How errors are answered: one shape for all, with the status that fits.

use std::any::Any;

use axum::extract::{FromRequest, Request};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use logmill_indexer_api::ClientError;

use crate::alert::RuleError;
use crate::auth::AuthError;
use crate::database::DatabaseError;
use crate::search::ScopeError;

/// An answer that says what went wrong and what to do about it.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    message: String,
    hint: Option<String>,
    span: Option<(usize, usize)>,
    retry_after_s: Option<u64>,
}

impl ApiError {
    fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), hint: None, span: None, retry_after_s: None }
    }

    /// 400: the request can't be understood or can't be done.
    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// 401: nobody is logged in.
    pub(crate) fn unauthorized(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, message)
    }

    /// 403: this caller may not.
    pub(crate) fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, message)
    }

    /// 404.
    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    /// 429: not now.
    pub(crate) fn too_many(message: impl Into<String>, retry_after: std::time::Duration) -> Self {
        let retry_after_s = Some(retry_after.as_secs() + 1);
        Self { retry_after_s, ..Self::new(StatusCode::TOO_MANY_REQUESTS, message) }
    }

    /// 500; what happened is in the log.
    pub(crate) fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "something went wrong here; the program's log says what")
    }

    /// 503: something that is needed is away.
    pub(crate) fn unavailable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, message)
    }

    /// What to do about it.
    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// Which part of the query it is about, in UTF-16 units.
    pub(crate) fn span(self, span: Option<(usize, usize)>) -> Self {
        Self { span, ..self }
    }

    /// The error as it stands in an answer, without the envelope.
    pub(crate) fn body(&self) -> Value {
        let mut error = json!({ "message": self.message });
        if let Some(hint) = &self.hint {
            error["hint"] = json!(hint);
        }
        if let Some(span) = &self.span {
            error["span"] = json!(span);
        }
        error
    }

    /// What it says.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, axum::Json(json!({ "error": self.body() }))).into_response();
        if let Some(seconds) = self.retry_after_s {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl From<DatabaseError> for ApiError {
    fn from(error: DatabaseError) -> Self {
        tracing::error!(%error, "a request failed");
        Self::internal()
    }
}

impl From<AuthError> for ApiError {
    fn from(error: AuthError) -> Self {
        let message = error.to_string();
        match error {
            AuthError::Credentials => Self::unauthorized(message),
            AuthError::Name(_) | AuthError::Password(_) => Self::bad_request(message),
            AuthError::SetupLink => Self::forbidden(message),
            AuthError::SetUpAlready => Self::new(StatusCode::CONFLICT, message),
            AuthError::Database(error) => error.into(),
        }
    }
}

impl From<ScopeError> for ApiError {
    fn from(error: ScopeError) -> Self {
        let message = error.to_string();
        match error {
            ScopeError::Query { error, span } => {
                let refused = Self::bad_request(message).span(Some(span));
                error.hint.into_iter().fold(refused, Self::hint)
            }
            _ => Self::bad_request(message),
        }
    }
}

impl From<RuleError> for ApiError {
    fn from(error: RuleError) -> Self {
        match error {
            RuleError::Scope(error) => error.into(),
            other => Self::bad_request(other.to_string()),
        }
    }
}

impl From<ClientError> for ApiError {
    fn from(error: ClientError) -> Self {
        match &error {
            ClientError::Refused { status: 400, reason, .. } => Self::bad_request(reason.clone()),
            ClientError::Refused { status: 404, reason, .. } => Self::not_found(reason.clone()),
            ClientError::Refused { status: 429, reason, .. } => {
                Self::too_many(reason.clone(), std::time::Duration::from_secs(1))
            }
            ClientError::Unreachable { .. } => {
                Self::unavailable(error.to_string()).hint("is the indexer running? The status page tells")
            }
            _ => {
                tracing::warn!(%error, "the indexer did not answer as it should");
                Self::new(StatusCode::BAD_GATEWAY, error.to_string())
            }
        }
    }
}

/// A JSON body; whatever is wrong with it is answered in our shape.
pub(super) struct Body<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        match axum::Json::<T>::from_request(request, state).await {
            Ok(axum::Json(body)) => Ok(Self(body)),
            Err(rejection) => Err(ApiError::new(rejection.status(), rejection.body_text())),
        }
    }
}

/// A handler panicked: its caller hears of it, everybody else is served on.
#[allow(clippy::needless_pass_by_value, reason = "the layer's signature")]
pub(super) fn after_panic(panic: Box<dyn Any + Send>) -> Response {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let message = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
    tracing::error!(message, "a request handler panicked");
    ApiError::internal().into_response()
}
