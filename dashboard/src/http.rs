//! What the browser can ask for: the API below /api (its shapes: web/src/lib/types.ts), the pages, health and metrics.

mod alerts;
mod assets;
mod error;
mod export;
mod fields;
mod headers;
mod health;
mod saved;
mod search;
mod session;
mod status;
mod tail;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use axum::routing::{delete, get, post};
use logmill_core::telemetry::Metrics;
use logmill_core::{Shutdown, StatusBoard};
use tower_http::catch_panic::CatchPanicLayer;

use crate::alert::{Bells, Sender};
use crate::auth::{self, Auth};
use crate::config::Config;
use crate::database::Database;
use crate::indexer::Indexer;
use crate::status::{Fleet, Topics};
use crate::tail::Hub;

pub(crate) use error::ApiError;

/// What every handler may use.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) config: Config,
    pub(crate) board: Arc<StatusBoard>,
    pub(crate) metrics: Metrics,
    pub(crate) db: Database,
    pub(crate) auth: Auth,
    pub(crate) indexer: Indexer,
    pub(crate) fleet: Arc<Fleet>,
    pub(crate) topics: Topics,
    pub(crate) tail: Arc<Hub>,
    pub(crate) sender: Arc<Sender>,
    pub(crate) bells: Arc<Bells>,
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
        .route("/search", post(search::search))
        .route("/query/check", post(search::check))
        .route("/fields", get(fields::list))
        .route("/fields/values", post(fields::values))
        .route("/tail", get(tail::tail))
        .route("/export", get(export::export))
        .route("/saved", get(saved::list).post(saved::save))
        .route("/saved/{id}", delete(saved::delete))
        .route("/alerts/rules", get(alerts::rules).post(alerts::add))
        .route("/alerts/rules/{id}", get(alerts::rule).put(alerts::replace).delete(alerts::delete))
        .route("/alerts/rules/{id}/test", post(alerts::test))
        .route("/alerts/deliveries", get(alerts::deliveries))
        .route("/alerts/deliveries/{id}/resend", post(alerts::resend))
        .route("/status", get(status::status))
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
