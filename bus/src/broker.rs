//! What all connections share.

use std::sync::Arc;

use logmill_bus_log::LogStore;
use logmill_bus_protocol::ResponseError;
use logmill_core::Shutdown;

use crate::budget::Budget;
use crate::call::Call;
use crate::disk::Disk;
use crate::fetch_sessions::Sessions;
use crate::groups::Groups;
use crate::meters::Meters;
use crate::producer_ids::ProducerIds;
use crate::security::acl::Kind;
use crate::security::{Authorizer, Logins, Operation, Resource};
use crate::topics::{Topic, TopicError, Topics, is_name};
use crate::transactions::Transactions;

/// This broker's number; there is no other.
pub(crate) const NODE_ID: i32 = 1;

/// Producers' batches are about as large as this at most (1 MiB by default, several partitions in a request); what is
/// larger waits for room with its like.
const LARGEST_FROM_BYTES: usize = 4 << 20;

/// The state behind every connection.
pub(crate) struct Broker {
    pub(crate) cluster_id: String,
    pub(crate) store: Arc<LogStore>,
    pub(crate) topics: Topics,
    pub(crate) groups: Groups,
    pub(crate) fetch_sessions: Sessions,
    pub(crate) producer_ids: ProducerIds,
    pub(crate) disk: Disk,
    pub(crate) transactions: Transactions,
    pub(crate) meters: Meters,
    pub(crate) shutdown: Shutdown,
    pub(crate) authorizer: Authorizer,
    pub(crate) logins: Logins,
    pub(crate) auto_create_topics: bool,
    /// What larger requests may take while they come in.
    pub(crate) requests: Budget,
    /// What the largest may take, apart: they are rare, and must not keep everybody else waiting.
    pub(crate) largest_requests: Budget,
}

impl Broker {
    /// Where a request of that size takes its room from.
    pub(crate) const fn room_for_request(&self, bytes: usize) -> &Budget {
        if bytes > LARGEST_FROM_BYTES { &self.largest_requests } else { &self.requests }
    }

    /// Whether the client behind `call` may do this; every handler asks, for everything that a request names.
    pub(crate) fn allows(&self, call: &Call, operation: Operation, on: Resource<'_>) -> bool {
        let allowed = self.authorizer.allows(&call.principal, call.peer.ip().to_canonical(), operation, on);
        if !allowed {
            self.meters.denied.add(1);
            tracing::debug!(principal = %call.principal, peer = %call.peer, ?operation, ?on, "denied");
        }
        allowed
    }

    /// The same, with the protocol's code for the refusal.
    pub(crate) fn check(&self, call: &Call, operation: Operation, on: Resource<'_>) -> Result<(), ResponseError> {
        if self.allows(call, operation, on) { Ok(()) } else { Err(on.kind().refusal()) }
    }

    /// Whether there may be any resource of `kind` that the client behind `call` may do this to.
    pub(crate) fn allows_any(&self, call: &Call, operation: Operation, kind: Kind) -> bool {
        self.authorizer.allows_any(&call.principal, call.peer.ip().to_canonical(), operation, kind)
    }

    /// What the client behind `call` may do, a bit for each operation, as clients are told that ask.
    pub(crate) fn operations(&self, call: &Call, on: Resource<'_>) -> i32 {
        let host = call.peer.ip().to_canonical();
        let operations = on.kind().operations().iter();
        operations
            .filter(|operation| self.authorizer.allows(&call.principal, host, **operation, on))
            .fold(0, |bits, operation| bits | 1 << operation.code())
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
