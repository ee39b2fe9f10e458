//! The Elasticsearch REST API over the store.

use std::sync::Arc;

use axum::Router;
use logmill_bus_client::Connection;
use logmill_core::StatusBoard;
use logmill_core::telemetry::Metrics;

use crate::config::Config;
use crate::store::Store;

/// What the handlers work on.
#[derive(Clone)]
pub(crate) struct AppState {
    pub(crate) store: Arc<Store>,
    pub(crate) bus: Connection,
    pub(crate) config: Arc<Config>,
    pub(crate) metrics: Metrics,
    pub(crate) board: Arc<StatusBoard>,
}

/// The routes of the API, `/metrics` and `/healthz`.
pub(crate) fn routes(state: AppState) -> Router {
    logmill_core::telemetry::admin_routes(vec![state.board.clone()], state.metrics)
}
