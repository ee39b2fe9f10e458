//! Puts the parts together, runs them, and stops them in order.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use logmill_bus_client::Connection;
use logmill_core::listen::{self, ListenError};
use logmill_core::telemetry::Metrics;
use logmill_core::{Shutdown, Stage};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::auth::{Auth, SetupLink};
use crate::config::Config;
use crate::database::{Database, DatabaseError};
use crate::http::{self, App, Shared};
use crate::status::{self, Fleet};

/// Why the dashboard could not be started; the user can fix each.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The listener.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The database.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// A setting that the check of the configuration would have refused.
    #[error("{0}")]
    Config(String),
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
    app: Shared,
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
        indexer_url: String,
        stage: Stage,
        metrics: Metrics,
    ) -> Result<Self, BuildError> {
        // The first call in a process wins; which one does not matter, all name the same provider.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = listen::bind("dashboard.listen", &config.listen, config.insecure).await?;
        let local_addr = listener
            .local_addr()
            .map_err(|source| ListenError::Address { setting: "dashboard.listen", addr: config.listen.clone(), source })?;
        let db = Database::open(&stage.data_dir.join("dashboard.db"))?;
        let auth = Auth::open(db.clone(), &config).await?;
        let base_url = match &config.public_url {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => format!("http://{}", reachable(local_addr)),
        };
        let login_link = auth.issue_setup_link().await?.map(|link: SetupLink| link.at(&base_url));
        stage.board.set_address("http", local_addr);
        let app = App {
            board: stage.board,
            metrics,
            auth,
            fleet: Arc::new(Fleet::default()),
            base_url,
            shutdown: Shutdown::new(),
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
        let Self { app, connection, listener, .. } = self;
        let mut parts = JoinSet::new();
        parts.spawn(status::listen(connection, app.fleet.clone(), app.board.clone(), shutdown.child()));
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
