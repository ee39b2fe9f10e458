//! One member of a group.

use std::time::{Duration, Instant};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::messages::{Join, Joined, Synced};

/// A member, and what it waits for.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) id: String,
    pub(crate) instance_id: Option<String>,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    pub(crate) session: Duration,
    pub(crate) rebalance: Duration,
    pub(crate) protocols: Vec<(String, Bytes)>,
    pub(crate) assignment: Bytes,
    /// When it last gave a sign of life.
    pub(super) heard: Instant,
    /// It has come to the next generation and waits for the others.
    pub(super) joining: Option<oneshot::Sender<Joined>>,
    /// It waits for its assignment.
    pub(super) syncing: Option<oneshot::Sender<Synced>>,
    /// It has asked for its assignment in this generation.
    pub(super) synced: bool,
}

impl Member {
    pub(super) fn new(id: String, join: &Join, now: Instant) -> Self {
        Self {
            id,
            instance_id: join.instance_id.clone(),
            client_id: join.client_id.clone(),
            client_host: join.client_host.clone(),
            session: join.session,
            rebalance: join.rebalance,
            protocols: join.protocols.clone(),
            assignment: Bytes::new(),
            heard: now,
            joining: None,
            syncing: None,
            synced: false,
        }
    }

    /// Takes over what a member says of itself when it joins again.
    pub(super) fn update(&mut self, join: &Join, now: Instant) {
        self.client_id.clone_from(&join.client_id);
        self.client_host.clone_from(&join.client_host);
        self.session = join.session;
        self.rebalance = join.rebalance;
        self.protocols.clone_from(&join.protocols);
        self.heard = now;
    }

    /// When it is dead unless it is heard of; never while it waits for others.
    pub(super) fn dead_at(&self) -> Option<Instant> {
        let waits = |closed: Option<bool>| closed == Some(false);
        let waiting = waits(self.joining.as_ref().map(oneshot::Sender::is_closed))
            || waits(self.syncing.as_ref().map(oneshot::Sender::is_closed));
        (!waiting).then(|| self.heard + self.session)
    }

    /// What it says under `protocol`.
    pub(crate) fn metadata(&self, protocol: &str) -> Bytes {
        self.protocols.iter().find(|(name, _)| name == protocol).map(|(_, bytes)| bytes.clone()).unwrap_or_default()
    }

    /// What it takes in memory, about.
    pub(super) fn bytes(&self) -> usize {
        let names = self.id.len() + self.client_id.len() + self.instance_id.as_ref().map_or(0, String::len);
        names + protocols_bytes(&self.protocols) + self.assignment.len()
    }

    pub(super) fn supports(&self, protocol: &str) -> bool {
        self.protocols.iter().any(|(name, _)| name == protocol)
    }

    pub(super) fn entry(&self) -> MemberEntry {
        let millis = |period: Duration| u64::try_from(period.as_millis()).unwrap_or(u64::MAX);
        MemberEntry {
            id: self.id.clone(),
            instance_id: self.instance_id.clone(),
            client_id: self.client_id.clone(),
            client_host: self.client_host.clone(),
            session_ms: millis(self.session),
            rebalance_ms: millis(self.rebalance),
            protocols: self.protocols.iter().map(|(name, bytes)| (name.clone(), bytes.to_vec())).collect(),
            assignment: self.assignment.to_vec(),
        }
    }
}

/// What protocols take in memory, about.
pub(super) fn protocols_bytes(protocols: &[(String, Bytes)]) -> usize {
    /// Two pointers with their lengths, so that many empty ones count too.
    const EACH: usize = 64;
    protocols.iter().map(|(name, metadata)| EACH + name.len() + metadata.len()).sum()
}

/// A member in the state file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MemberEntry {
    id: String,
    instance_id: Option<String>,
    client_id: String,
    client_host: String,
    session_ms: u64,
    rebalance_ms: u64,
    protocols: Vec<(String, Vec<u8>)>,
    assignment: Vec<u8>,
}

impl MemberEntry {
    /// The member as it was, alive for another session from `now` on.
    pub(super) fn restore(self, now: Instant) -> Member {
        Member {
            id: self.id,
            instance_id: self.instance_id,
            client_id: self.client_id,
            client_host: self.client_host,
            session: Duration::from_millis(self.session_ms),
            rebalance: Duration::from_millis(self.rebalance_ms),
            protocols: self.protocols.into_iter().map(|(name, bytes)| (name, bytes.into())).collect(),
            assignment: self.assignment.into(),
            heard: now,
            joining: None,
            syncing: None,
            synced: true,
        }
    }
}
