//! What all connections share.

use std::net::SocketAddr;
use std::sync::Arc;

use logmill_bus_log::LogStore;
use logmill_core::Shutdown;

use crate::budget::Budget;
use crate::config::host_and_port;
use crate::groups::Groups;
use crate::meters::Meters;
use crate::producer_ids::ProducerIds;
use crate::topics::{Topic, TopicError, Topics, is_name};

/// This broker's number; there is no other.
pub(crate) const NODE_ID: i32 = 1;

/// The state behind every connection.
pub(crate) struct Broker {
    pub(crate) cluster_id: String,
    pub(crate) store: Arc<LogStore>,
    pub(crate) topics: Topics,
    pub(crate) groups: Groups,
    pub(crate) producer_ids: ProducerIds,
    pub(crate) meters: Meters,
    pub(crate) shutdown: Shutdown,
    /// Told to clients instead of the address that they came in on.
    pub(crate) advertised: Option<(String, u16)>,
    pub(crate) auto_create_topics: bool,
    /// What large requests may take while they come in.
    pub(crate) requests: Budget,
    /// What fetched records may take until they are written.
    pub(crate) answers: Budget,
}

impl Broker {
    /// Where a client that came in on `local` is told to connect.
    pub(crate) fn address_for(&self, local: SocketAddr) -> (String, u16) {
        self.advertised.clone().unwrap_or_else(|| (local.ip().to_canonical().to_string(), local.port()))
    }

    /// The topic, made if it is missing and both sides want that.
    pub(crate) async fn topic_or_new(&self, name: &str, may_create: bool) -> Result<Arc<Topic>, TopicError> {
        if let Some(topic) = self.topics.named(name) {
            return Ok(topic);
        }
        if !is_name(name) {
            return Err(TopicError::Name(name.to_owned()));
        }
        if !(may_create && self.auto_create_topics) {
            return Err(TopicError::Unknown);
        }
        match self.topics.create(name, None, Default::default()).await {
            // Another connection was faster.
            Err(TopicError::Exists(_)) => self.topics.named(name).ok_or(TopicError::Unknown),
            outcome => outcome,
        }
    }
}

/// The configured address to tell to clients.
pub(crate) fn advertised(address: Option<&str>) -> Option<(String, u16)> {
    address.and_then(host_and_port)
}
