//! `indexer.url`: instead of keeping a store, writes what is on the bus to an existing Elasticsearch, OpenSearch or
//! Quickwit by its `_bulk`. It acknowledges nothing to the bus that the engine has not accepted.

mod answer;
mod deliver;
mod lag;
mod letter;
mod reading;
mod record;
mod template;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use logmill_bus_client::{ClientError, Connection};
use logmill_core::retry::Backoff;
use logmill_core::telemetry::{Metrics, admin_routes};
use logmill_core::{Shutdown, StatusBoard};
use logmill_indexer_api::Client;
use serde_json::{Value, json};

use self::deliver::Delivery;
use self::letter::Letters;
use self::reading::Reading;
use crate::access::guard::Guard;
use crate::config::Config;
use crate::front::Front;
use crate::http::guarded;

/// Requests for metrics are short.
const REQUESTS_GRACE: Duration = Duration::from_secs(1);

/// The writer, ready to run.
pub(crate) struct Remote {
    config: Arc<Config>,
    client: Client,
    delivery: Arc<Delivery>,
}

impl Remote {
    /// A writer to the engine at this address. An absent engine is waited for when it runs.
    pub(crate) fn new(
        client: Client,
        config: Arc<Config>,
        bus: &Connection,
        board: &Arc<StatusBoard>,
    ) -> Result<Self, ClientError> {
        let settings = &config.remote;
        let request_bytes = usize::try_from(settings.batch_bytes.0).unwrap_or(usize::MAX);
        let letters = Letters::new(bus)?;
        let delivery = Delivery::new(client.clone(), letters, settings.gzip, request_bytes, board.clone());
        Ok(Self { config, client, delivery: Arc::new(delivery) })
    }

    /// Writes until asked to stop; then what was read is accepted and committed, or read again at the next start.
    pub(crate) async fn run(
        self,
        bus: Connection,
        board: Arc<StatusBoard>,
        metrics: Metrics,
        front: Front,
        shutdown: &Shutdown,
    ) -> std::io::Result<()> {
        let Self { config, client, delivery } = self;
        let guard = front.logins.clone().map(Guard::new);
        let routes = guarded(routes(&client, board.clone(), metrics), guard.as_ref());
        let mut servers = front.serve(&routes, shutdown)?;
        if shutdown.unless(reach(&client, &config, &board)).await.is_some() {
            Reading { config, bus, board: board.clone(), delivery }.run(shutdown).await;
        }
        board.set_ready(false);
        servers.end(REQUESTS_GRACE).await;
        Ok(())
    }
}

/// Waits until the engine lets us in, so that nothing is read from the bus for nothing.
async fn reach(client: &Client, config: &Config, board: &StatusBoard) {
    let mut backoff = Backoff::default();
    loop {
        let problem = match client.info().await {
            Ok(info) => {
                let told = |pointer: &str| info.pointer(pointer).and_then(Value::as_str).unwrap_or("?").to_owned();
                let (version, by) = (told("/version/number"), told("/version/distribution"));
                tracing::info!(url = client.shown(), version, distribution = by, "events go to an existing engine");
                break;
            }
            // Whatever it is that has no front page, it may still take documents.
            Err(error) if matches!(error.status(), Some(404 | 405)) => break,
            Err(error) => error.to_string(),
        };
        tracing::warn!(problem, "the index does not answer and is asked again");
        board.set_problem("remote", Some(problem));
        tokio::time::sleep(backoff.next_delay()).await;
    }
    board.set_problem("remote", None);
    if config.remote.template {
        template::ensure(client).await;
    }
}

/// What is left of the API here: metrics, health, and where the events are.
fn routes(client: &Client, board: Arc<StatusBoard>, metrics: Metrics) -> Router {
    let reason = format!("events are kept at {}: search there, and send new ones to the bus", client.shown());
    let elsewhere = move || {
        let error = json!({ "type": "illegal_argument_exception", "reason": reason });
        let body = json!({ "error": { "root_cause": [error], "type": error["type"], "reason": error["reason"] }, "status": 400 });
        std::future::ready((StatusCode::BAD_REQUEST, axum::Json(body)))
    };
    admin_routes(vec![board], metrics).fallback(elsewhere)
}
