//! What stands between the network and the routes: listeners, TLS, and who may come in.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware::from_fn_with_state;
use logmill_core::Shutdown;
use logmill_core::indexer_access::IndexerAccess;
use logmill_core::listen::{self, ListenError};
use logmill_core::tls::{ClientCertificate, Tls};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::access::guard::{self, Guard};
use crate::access::{Auth, Logins};
use crate::config::Config;
use crate::listener::TlsListener;

/// Why there is no listener.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FrontError {
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error("`indexer.tls`: {0}")]
    Tls(String),
    #[error("`indexer.auth`: {0}")]
    Auth(String),
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// How the stages of this process reach the API, where others need TLS or a login.
#[derive(Clone, Debug)]
pub struct OwnAccess {
    /// Where they connect.
    pub address: SocketAddr,
    /// How they log in.
    pub access: IndexerAccess,
}

/// The listeners, ready to serve.
pub(crate) struct Front {
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    /// For the stages of this process, on loopback and without TLS; and who may come in there.
    own: Option<(TcpListener, Arc<Logins>)>,
    /// Everybody who may come in; nobody is asked where there is none.
    pub(crate) logins: Option<Arc<Logins>>,
    pub(crate) local_addr: SocketAddr,
}

impl Front {
    /// Opens the listeners and reads certificates and passwords.
    pub(crate) async fn open(config: &Config) -> Result<Self, FrontError> {
        let tls = config.tls.as_ref().map(Tls::new).transpose().map_err(FrontError::Tls)?.map(Arc::new);
        let logins = config.auth.is_on().then(|| Logins::new(&config.auth)).transpose().map_err(FrontError::Auth)?;
        let logins = logins.map(Arc::new);
        let is_proven = config.tls.as_ref().is_some_and(|tls| tls.client_certificate == ClientCertificate::Required);
        let is_protected = tls.is_some() && (logins.is_some() || is_proven);
        let listener = listen::bind("indexer.listen", &config.listen, config.insecure || is_protected).await?;
        let local_addr = listener.local_addr()?;
        let own = if tls.is_some() || logins.is_some() {
            let listener = listen::bind("indexer.listen", "127.0.0.1:0", false).await?;
            let only_us = || Logins::new(&Auth::default()).map(Arc::new).map_err(FrontError::Auth);
            Some((listener, logins.clone().map_or_else(only_us, Ok)?))
        } else {
            None
        };
        Ok(Self { listener, tls, own, logins, local_addr })
    }

    /// How this process comes in.
    pub(crate) fn own_access(&self) -> Option<OwnAccess> {
        let (listener, logins) = self.own.as_ref()?;
        let (username, password) = logins.own();
        let access = IndexerAccess { username: Some(username), password: Some(password), ..IndexerAccess::default() };
        Some(OwnAccess { address: listener.local_addr().ok()?, access })
    }

    /// Serves until asked to stop.
    pub(crate) fn serve(self, routes: &Router, shutdown: &Shutdown) -> std::io::Result<Servers> {
        let mut servers = Vec::new();
        let stop = || {
            let shutdown = shutdown.clone();
            async move { shutdown.wait().await }
        };
        let plain =
            |listener, routes| tokio::spawn(axum::serve(listener, routes).with_graceful_shutdown(stop()).into_future());
        servers.push(match self.tls {
            None => plain(self.listener, routes.clone()),
            Some(tls) => {
                let listener = TlsListener::new(self.listener, tls)?;
                tokio::spawn(axum::serve(listener, routes.clone()).with_graceful_shutdown(stop()).into_future())
            }
        });
        if let Some((listener, logins)) = self.own {
            let guarded = match self.logins {
                // The routes ask everybody.
                Some(_) => routes.clone(),
                None => routes.clone().layer(from_fn_with_state(Guard::new(logins), guard::check)),
            };
            servers.push(plain(listener, guarded));
        }
        Ok(Servers(servers))
    }
}

/// The servers that run.
pub(crate) struct Servers(Vec<JoinHandle<std::io::Result<()>>>);

impl Servers {
    /// Cuts off all requests.
    pub(crate) fn abort(&self) {
        self.0.iter().for_each(JoinHandle::abort);
    }

    /// Waits for the requests that still run, and cuts off those that run longer.
    pub(crate) async fn end(&mut self, grace: Duration) {
        let all = async {
            for server in &mut self.0 {
                let _ = server.await;
            }
        };
        if tokio::time::timeout(grace, all).await.is_err() {
            self.abort();
        }
    }
}
