//! What the browser can ask for: the API below /api (its shapes: web/src/lib/types.ts), the pages, health and metrics.

mod assets;
mod error;
mod headers;
mod health;
mod session;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use axum::routing::{get, post};
use logmill_core::telemetry::Metrics;
use logmill_core::{Shutdown, StatusBoard};
use tower_http::catch_panic::CatchPanicLayer;

use crate::auth::{self, Auth};
use crate::config::Config;

pub(crate) use error::ApiError;

/// What every handler may use.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) config: Config,
    pub(crate) board: Arc<StatusBoard>,
    pub(crate) metrics: Metrics,
    pub(crate) auth: Auth,
    pub(crate) fleet: Arc<crate::status::Fleet>,
    /// Where people reach the dashboard, without a slash at the end.
    pub(crate) base_url: String,
    /// Long answers end when this is asked for.
    pub(crate) shutdown: Shutdown,
}

/// The same for all.
pub(crate) type Shared = Arc<App>;

/// Requests are small: queries, rules, names.
const BODY_BYTES_MAX: usize = 1 << 20;

/// Everything that is served.
pub(crate) fn router(app: &Shared) -> Router {
    let api = Router::new()
        .route("/session", get(session::show))
        .route("/setup", post(session::set_up))
        .route("/login", post(session::log_in))
        .route("/logout", post(session::log_out))
        .fallback(unknown)
        .layer(middleware::from_fn(headers::never_cached))
        .layer(middleware::from_fn_with_state(app.clone(), auth::identify));
    Router::new()
        .nest("/api", api)
        .route("/healthz", get(health::health))
        .route("/metrics", get(health::metrics))
        .route("/setup", get(session::follow_link))
        .fallback(assets::serve)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(CatchPanicLayer::custom(error::after_panic))
        .layer(middleware::from_fn(headers::secure))
        .with_state(app.clone())
}

async fn unknown() -> ApiError {
    ApiError::not_found("there is nothing at this address")
}
