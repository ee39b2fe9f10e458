//! Puts the parts together, runs them, and stops them in order.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use logmill_bus_client::Connection;
use logmill_core::listen::{self, ListenError};
use logmill_core::telemetry::Metrics;
use logmill_core::{Shutdown, Stage};
use logmill_indexer_api::Client;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::alert::{self, Bells, Evaluator, Sender};
use crate::auth::{Auth, SetupLink};
use crate::config::Config;
use crate::database::{Database, DatabaseError, now_ms};
use crate::http::{self, App, Shared};
use crate::indexer::Indexer;
use crate::status::{self, Fleet, Topics};
use crate::tail::Hub;

/// Why the dashboard could not be started; the user can fix each.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The listener.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The database.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// A setting that the check of the configuration refuses too.
    #[error("`dashboard.alerts.allow_internal`: {0}")]
    AllowInternal(String),
}

/// Why the dashboard stopped without being asked to.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The listener failed.
    #[error("the dashboard can't go on listening: {0}")]
    Serve(#[from] std::io::Error),
    /// One of its tasks panicked; the log says where.
    #[error("a part of the dashboard failed: {0}")]
    Part(String),
}

/// The dashboard, ready to run.
#[derive(Debug)]
pub struct Service {
    pub(crate) app: Shared,
    connection: Connection,
    listener: TcpListener,
    local_addr: SocketAddr,
    login_link: Option<String>,
}

/// Open answers may take this long to end once stopping is asked for.
const DRAIN: Duration = Duration::from_secs(5);

impl Service {
    /// Opens the listener and the database.
    ///
    /// # Errors
    /// When a port, a file or a setting must be put right first. An absent bus or indexer is waited for instead.
    pub async fn build(
        config: Config,
        bus: Connection,
        indexer: Client,
        stage: Stage,
        metrics: Metrics,
    ) -> Result<Self, BuildError> {
        // The first call in a process wins; which one does not matter, all name the same provider.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = listen::bind("dashboard.listen", &config.listen, config.insecure).await?;
        let local_addr = listener.local_addr().map_err(|source| ListenError::Address {
            setting: "dashboard.listen",
            addr: config.listen.clone(),
            source,
        })?;
        let db = Database::open(&stage.data_dir.join("dashboard.db"))?;
        let auth = Auth::open(db.clone(), &config).await?;
        let base_url = match &config.public_url {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => format!("http://{}", reachable(local_addr)),
        };
        let login_link = auth.issue_setup_link().await?.map(|link: SetupLink| link.at(&base_url));
        stage.board.set_address("http", local_addr);
        let allowed = config.webhook_allow_list().map_err(BuildError::AllowInternal)?;
        let shutdown = Shutdown::new();
        let app = App {
            board: stage.board,
            metrics,
            db,
            auth,
            indexer: Indexer::new(indexer),
            fleet: Arc::new(Fleet::default()),
            topics: Topics::new(bus.clone()),
            tail: Arc::new(Hub::new(bus.clone(), &config.tail_topic, shutdown.child())),
            sender: Arc::new(Sender::new(allowed)),
            bells: Arc::new(Bells::default()),
            base_url,
            shutdown,
            config,
        };
        Ok(Self { app: Arc::new(app), connection: bus, listener, local_addr, login_link })
    }

    /// Where it listens.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// The link to print: it makes the first administrator, or, in a demo, logs in. `None` once there is an administrator.
    #[must_use]
    pub fn login_link(&self) -> Option<String> {
        self.login_link.clone()
    }

    /// Serves until asked to stop.
    ///
    /// # Errors
    /// When the listener fails or a part of the dashboard does.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), RunError> {
        let Self { app, connection, listener, local_addr, .. } = self;
        tracing::info!(address = %local_addr, "the dashboard listens");
        let mut parts = start_parts(&app, connection, &shutdown);
        let router = http::router(&app).into_make_service_with_connect_info::<SocketAddr>();
        let stop = shutdown.clone();
        let server = axum::serve(listener, router).with_graceful_shutdown(async move { stop.wait().await });
        let mut server = tokio::spawn(server.into_future());
        app.board.set_ready(true);
        let outcome = tokio::select! {
            ended = &mut server => served(ended),
            Some(ended) = parts.join_next() => match ended {
                Ok(()) if shutdown.requested() => Ok(()),
                Ok(()) => Err(RunError::Part("it ended by itself".to_owned())),
                Err(error) => Err(RunError::Part(error.to_string())),
            },
            () = shutdown.wait() => Ok(()),
        };
        app.board.set_ready(false);
        shutdown.trigger();
        app.shutdown.trigger();
        if !server.is_finished() && tokio::time::timeout(DRAIN, &mut server).await.is_err() {
            server.abort();
        }
        while parts.join_next().await.is_some() {}
        outcome
    }
}

/// Everything that goes on without being asked by a browser.
fn start_parts(app: &Shared, connection: Connection, shutdown: &Shutdown) -> JoinSet<()> {
    let (db, board, bells) = (app.db.clone(), app.board.clone(), app.bells.clone());
    let evaluator =
        Evaluator::new(db.clone(), app.indexer.clone(), bells.clone(), board.clone(), &app.config, &app.base_url);
    let mut parts = JoinSet::new();
    parts.spawn(status::listen(connection, app.fleet.clone(), board.clone(), shutdown.child()));
    parts.spawn(alert::evaluate_all(evaluator, shutdown.child()));
    parts.spawn(alert::deliver_all(db.clone(), app.sender.clone(), bells, board, shutdown.child()));
    parts.spawn(forget(db, app.config.alerts.keep_deliveries.0, shutdown.child()));
    parts
}

/// Once an hour, what is too old goes.
async fn forget(db: Database, keep: Duration, shutdown: Shutdown) {
    let keep_ms = i64::try_from(keep.as_millis()).unwrap_or(i64::MAX / 2);
    loop {
        match db.call(move |db| alert::prune(db, now_ms() - keep_ms)).await {
            Ok(0) => {}
            Ok(count) => tracing::info!(count, "old entries of the delivery log were deleted"),
            Err(error) => tracing::error!(%error, "the delivery log can't be shortened"),
        }
        if shutdown.unless(tokio::time::sleep(Duration::from_secs(3600))).await.is_none() {
            return;
        }
    }
}

fn served(ended: Result<std::io::Result<()>, tokio::task::JoinError>) -> Result<(), RunError> {
    match ended {
        Ok(served) => Ok(served?),
        Err(error) => Err(RunError::Part(error.to_string())),
    }
}

/// An address that a browser on this machine can open: a wildcard is none.
fn reachable(address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() { SocketAddr::from(([127, 0, 0, 1], address.port())) } else { address }
}
