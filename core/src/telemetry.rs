//! What the program says of itself: its own log, `/metrics` and `/healthz`.

use std::sync::Arc;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tracing_subscriber::EnvFilter;

use crate::Shutdown;
use crate::stage::StatusBoard;

/// The program's own log.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// What is logged: a level (`error`, `warn`, `info`, `debug`, `trace`) or a filter such as `info,logmill_bus=debug`.
    pub level: String,
    /// How: `auto` is text on a terminal and JSON otherwise.
    pub format: LogFormat,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { level: "info".to_owned(), format: LogFormat::Auto }
    }
}

/// The shape of the program's own log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Text on a terminal, JSON otherwise.
    Auto,
    /// One line of text an entry.
    Text,
    /// One JSON object an entry.
    Json,
}

/// The log filter can't be understood.
#[derive(Debug, thiserror::Error)]
#[error("`log.level: {level}` is not a level or filter: {reason}")]
pub struct LogFilterError {
    level: String,
    reason: String,
}

/// Starts the program's own log on standard error. Only `main` calls this, once.
///
/// # Errors
/// When the level is not one.
pub fn init_log(config: &LogConfig) -> Result<(), LogFilterError> {
    let refused = |reason: String| LogFilterError { level: config.level.clone(), reason };
    let filter = EnvFilter::try_new(&config.level).map_err(|error| refused(error.to_string()))?;
    let text = match config.format {
        LogFormat::Text => true,
        LogFormat::Json => false,
        LogFormat::Auto => std::io::IsTerminal::is_terminal(&std::io::stderr()),
    };
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second call (tests) keeps the first log; that is what its error says, and it is fine.
    let _ = if text { log.compact().try_init() } else { log.json().flatten_event(true).try_init() };
    Ok(())
}

/// The metrics of this process, to be rendered for Prometheus.
#[derive(Clone, Debug)]
pub struct Metrics(PrometheusHandle);

impl Metrics {
    /// Starts collecting; the first call wins, later ones see nothing.
    #[must_use]
    pub fn install() -> Self {
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        // Only fails when a recorder is already there (tests that start twice).
        let _ = metrics::set_global_recorder(recorder);
        Self(handle)
    }

    /// The text exposition format, version 0.0.4.
    #[must_use]
    pub fn render(&self) -> String {
        self.0.run_upkeep();
        let mut text = self.0.render();
        crate::scrape::render(&mut text);
        text
    }
}

/// `GET /metrics` and `GET /healthz` over the boards of the stages that run in this process.
/// `/healthz` answers 200 when all of them are ready and 503 with the reasons otherwise.
pub fn admin_routes(boards: Vec<Arc<StatusBoard>>, metrics: Metrics) -> Router {
    let health = move || {
        let stages: Vec<_> = boards.iter().map(|board| board.snapshot()).collect();
        let ready = stages.iter().all(|stage| stage.ready);
        let code = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        let body = serde_json::json!({ "ready": ready, "stages": stages });
        std::future::ready((code, axum::Json(body)).into_response())
    };
    let exposition = move || {
        let text = [(header::CONTENT_TYPE, "text/plain; version=0.0.4")];
        std::future::ready((text, metrics.render()).into_response())
    };
    Router::new().route("/healthz", get(health)).route("/metrics", get(exposition))
}

/// Serves [`admin_routes`] until asked to stop: for stages that have no HTTP listener of their own.
///
/// # Errors
/// When the listener fails.
pub async fn serve_admin(
    listener: TcpListener,
    boards: Vec<Arc<StatusBoard>>,
    metrics: Metrics,
    shutdown: Shutdown,
) -> std::io::Result<()> {
    let routes = admin_routes(boards, metrics);
    axum::serve(listener, routes).with_graceful_shutdown(async move { shutdown.wait().await }).await
}
