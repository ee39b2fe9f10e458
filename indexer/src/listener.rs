//! Takes connections in, by TLS where that is asked for. Handshakes run beside each other, so that a client that never
//! finishes one keeps nobody else out.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use logmill_core::tls::Tls;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// A handshake takes two round trips.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// Handshakes at a time: each holds a connection that nobody knows yet.
const HANDSHAKES_AT_A_TIME: usize = 256;
/// When no connection can be taken, mostly for want of file descriptors, some will have closed by then.
const PAUSE: Duration = Duration::from_millis(100);

/// A listener that speaks TLS.
pub(crate) struct TlsListener {
    ready: mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr)>,
    local_addr: SocketAddr,
    accepting: JoinHandle<()>,
}

impl TlsListener {
    /// Takes connections from `listener`.
    pub(crate) fn new(listener: TcpListener, tls: Arc<Tls>) -> io::Result<Self> {
        let local_addr = listener.local_addr()?;
        let (finished, ready) = mpsc::channel(HANDSHAKES_AT_A_TIME);
        let accepting = tokio::spawn(accept(listener, tls, finished));
        Ok(Self { ready, local_addr, accepting })
    }
}

impl Drop for TlsListener {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, tls: Arc<Tls>, finished: mpsc::Sender<(TlsStream<TcpStream>, SocketAddr)>) {
    let room = Arc::new(Semaphore::new(HANDSHAKES_AT_A_TIME));
    loop {
        let Ok(turn) = room.clone().acquire_owned().await else { return };
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection can't be accepted");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        // The files as they are now.
        let acceptor = TlsAcceptor::from(tls.current());
        let finished = finished.clone();
        tokio::spawn(async move {
            let _turn = turn;
            match tokio::time::timeout(HANDSHAKE_MAX, acceptor.accept(stream)).await {
                // Fails only when the listener is gone.
                Ok(Ok(stream)) => drop(finished.send((stream, peer)).await),
                Ok(Err(error)) => tracing::debug!(%peer, %error, "no TLS"),
                Err(_) => tracing::debug!(%peer, "a handshake took too long"),
            }
        });
    }
}

impl axum::serve::Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.ready.recv().await {
            Some(accepted) => accepted,
            // The task that accepts ends with this listener only.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        Ok(self.local_addr)
    }
}
