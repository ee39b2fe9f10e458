//! One of the addresses that the broker listens on, as the connections that came in there know it.

use std::net::SocketAddr;

use crate::config::{Config, host_and_port};

/// What connections that came in on one address have in common.
#[derive(Debug)]
pub(crate) struct Listener {
    /// Told to clients instead of the address that they came in on.
    advertised: Option<(String, u16)>,
}

impl Listener {
    /// The one that `listen` stands for.
    pub(crate) fn simple(config: &Config) -> Self {
        Self { advertised: config.advertised.as_deref().and_then(host_and_port) }
    }

    /// Where a client that came in on `local` is told to connect.
    pub(crate) fn address_for(&self, local: SocketAddr) -> (String, u16) {
        self.advertised.clone().unwrap_or_else(|| (local.ip().to_canonical().to_string(), local.port()))
    }
}
