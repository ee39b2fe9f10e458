//! Where a stage listens, and the rule that nothing leaves loopback by accident.

use std::net::{SocketAddr, ToSocketAddrs};

use tokio::net::TcpListener;

/// Why a listener could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The address is not `host:port`.
    #[error("`{setting}: {addr}` is not an address like 127.0.0.1:9092 ({source})")]
    Address {
        /// The configuration key.
        setting: &'static str,
        /// What was written there.
        addr: String,
        /// What the resolver said.
        source: std::io::Error,
    },
    /// The address is reachable from other machines, and nothing protects it.
    #[error(
        "`{setting}: {addr}` is reachable from other machines without TLS and authentication; \
         listen on 127.0.0.1, or set `insecure: true` beside it if the network is trusted"
    )]
    Exposed {
        /// The configuration key.
        setting: &'static str,
        /// What was written there.
        addr: String,
    },
    /// The port could not be bound.
    #[error(
        "can't listen on {addr} (`{setting}`): {source}; is another program using the port? Port 0 picks a free one"
    )]
    Bind {
        /// The configuration key.
        setting: &'static str,
        /// The resolved address.
        addr: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
}

/// Opens the listener that `setting` names at `addr` (`host:port`, port 0 picks a free one).
///
/// # Errors
/// When the address cannot be understood or bound, or leaves loopback while `insecure` is false.
pub async fn bind(setting: &'static str, addr: &str, insecure: bool) -> Result<TcpListener, ListenError> {
    let unresolved = |source| ListenError::Address { setting, addr: addr.to_owned(), source };
    let resolved = addr
        .to_socket_addrs()
        .map_err(unresolved)?
        .next()
        .ok_or_else(|| unresolved(std::io::Error::other("the name resolves to nothing")))?;
    if !resolved.ip().is_loopback() && !insecure {
        return Err(ListenError::Exposed { setting, addr: addr.to_owned() });
    }
    TcpListener::bind(resolved).await.map_err(|source| ListenError::Bind { setting, addr: resolved, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn leaving_loopback_needs_a_word() {
        let refused = bind("bus.listen", "0.0.0.0:0", false).await;
        assert!(matches!(refused, Err(ListenError::Exposed { .. })), "{refused:?}");
        assert!(bind("bus.listen", "0.0.0.0:0", true).await.is_ok());
        assert!(bind("bus.listen", "127.0.0.1:0", false).await.is_ok());
    }

    #[tokio::test]
    async fn a_taken_port_says_which_setting() -> Result<(), Box<dyn std::error::Error>> {
        let first = bind("bus.listen", "127.0.0.1:0", false).await?;
        let taken = first.local_addr()?.to_string();
        let error = bind("indexer.listen", &taken, false).await.err().ok_or("bound twice")?.to_string();
        assert!(error.contains("indexer.listen") && error.contains(&taken), "{error}");
        Ok(())
    }
}
