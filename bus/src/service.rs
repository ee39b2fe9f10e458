//! Builds the broker (binds, recovers, restores) and runs it until asked to stop.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use logmill_bus_log::{LogError, LogOptions, LogStore, RecoveryReport};
use logmill_core::bus_access::BusAccess;
use logmill_core::listen::{self, ListenError};
use logmill_core::scrape::{Collect, collect_on_scrape};
use logmill_core::{Shutdown, Stage};
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::task::TaskTracker;

use crate::admission::{Admission, Full};
use crate::broker::Broker;
use crate::budget::Budget;
use crate::compaction;
use crate::config::Config;
use crate::connection::{self, Limits};
use crate::disk::Disk;
use crate::fetch_sessions::Sessions;
use crate::groups::Groups;
use crate::listener::{self, Listener, Planned};
use crate::meters::Meters;
use crate::meters::collector::Collector;
use crate::producer_ids::ProducerIds;
use crate::retention;
use crate::security::acl::Binding;
use crate::security::{Authorizer, Logins, Oauth, Users};
use crate::state_file::{Entries, NotWritten, StateError, StateFile};
use crate::state_key::{Change, ClusterEntry, StateKey};
use crate::topics::{Defaults, Topics};
use crate::transactions::Transactions;

/// The broker can't start.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The port can't be used.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The logs can't be opened.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The state file can't be opened or written.
    #[error("{0}")]
    State(String),
    /// Certificates, keys or passwords can't be used.
    #[error("{0}")]
    Security(String),
    /// A thread of the start failed.
    #[error("the start of the bus failed: {0}")]
    Internal(String),
}

impl From<StateError> for BuildError {
    fn from(error: StateError) -> Self {
        Self::State(error.to_string())
    }
}

impl From<NotWritten> for BuildError {
    fn from(error: NotWritten) -> Self {
        Self::State(error.to_string())
    }
}

/// The broker did not end well.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The logs could not be closed cleanly; the next start recovers them.
    #[error("the logs of the bus were not closed cleanly: {0}")]
    Close(#[from] LogError),
    /// A thread of the end failed.
    #[error("the end of the bus failed: {0}")]
    Internal(String),
}

/// Requests of more than 64 KiB of all connections together, while they come in: room for 64 full batches of 1 MiB.
const REQUESTS_BYTES_MAX: usize = 64 << 20;
/// The same for the few that are larger than batches usually are.
const LARGEST_REQUESTS_BYTES_MAX: usize = 64 << 20;

/// How the stages of this process reach the bus where others must log in.
#[derive(Clone, Debug)]
pub struct OwnAccess {
    /// Where they connect.
    pub address: SocketAddr,
    /// How they log in.
    pub access: BusAccess,
}

/// A listener and its socket.
struct Bound {
    socket: TcpListener,
    address: SocketAddr,
    listener: Arc<Listener>,
}

/// An embedded broker that listens.
pub struct Service {
    broker: Arc<Broker>,
    state: StateFile,
    bound: Vec<Bound>,
    own: Option<OwnAccess>,
    local_addr: SocketAddr,
    limits: Limits,
    admission: Admission,
    retention: retention::Policy,
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Service").field("local_addr", &self.local_addr).finish_non_exhaustive()
    }
}

impl Service {
    /// Binds the port, opens the logs under the stage's folder and brings back topics, groups and offsets.
    ///
    /// # Errors
    /// When the port or the folder can't be used.
    pub async fn build(config: Config, stage: Stage) -> Result<Self, BuildError> {
        let (planned, access) = listener::plan(&config).map_err(BuildError::Security)?;
        let mut bound = Vec::with_capacity(planned.len());
        for Planned { listener, listen, may_be_exposed, setting } in planned {
            let socket = listen::bind(setting, &listen, may_be_exposed).await?;
            let address = socket.local_addr().map_err(|error| BuildError::Internal(error.to_string()))?;
            bound.push(Bound { socket, address, listener: Arc::new(listener) });
        }
        let first = bound.first().map(|first| first.address);
        let local_addr = first.ok_or_else(|| BuildError::Internal("no listener is configured".to_owned()))?;
        // The own listener is planned last.
        let own = access.zip(bound.last()).map(|(access, last)| OwnAccess { address: last.address, access });
        let admission = Admission::new(config.connections_max, config.connections_per_address_max);
        let open = move || open(&config, &stage);
        let opened =
            tokio::task::spawn_blocking(open).await.map_err(|error| BuildError::Internal(error.to_string()))?;
        let Opened { broker, state, changes, limits, retention } = opened?;
        state.put(changes).await?;
        broker.meters.board.set_address("kafka", local_addr);
        Ok(Self { broker, state, bound, own, local_addr, limits, admission, retention })
    }

    /// Where it listens, first of all.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// How the stages of this process reach it, where that differs from how others do.
    #[must_use]
    pub fn own_access(&self) -> Option<OwnAccess> {
        self.own.clone()
    }

    /// Serves until `shutdown`, then answers what is in flight and closes the logs.
    ///
    /// # Errors
    /// When the logs can't be closed cleanly.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), RunError> {
        let broker = self.broker;
        let tasks = TaskTracker::new();
        tasks.spawn(retention::run(Arc::clone(&broker), self.retention));
        tasks.spawn(compaction::run(Arc::clone(&broker)));
        tasks.spawn({
            let broker = Arc::clone(&broker);
            async move { broker.groups.run(&broker.shutdown).await }
        });
        tasks.spawn({
            let broker = Arc::clone(&broker);
            async move { Transactions::run(&broker).await }
        });
        let collector: Arc<dyn Collect> = Arc::new(Collector(Arc::downgrade(&broker)));
        collect_on_scrape(&collector);
        broker.meters.board.set_ready(true);
        let mut accepting = JoinSet::new();
        for bound in self.bound {
            let name = &bound.listener.name;
            tracing::info!(address = %bound.address, listener = name, cluster = broker.cluster_id, "the bus listens");
            let (broker, admission, tasks) = (Arc::clone(&broker), self.admission.clone(), tasks.clone());
            let (shutdown, limits) = (shutdown.clone(), self.limits);
            accepting.spawn(async move {
                shutdown.unless(accept(&bound, &broker, limits, &admission, &tasks)).await;
            });
        }
        while accepting.join_next().await.is_some() {}
        broker.meters.board.set_ready(false);
        broker.shutdown.trigger();
        tasks.close();
        // Answers in flight wait for the disk at most; who does not read them is not waited for.
        const DRAIN_MAX: Duration = Duration::from_secs(5);
        if tokio::time::timeout(DRAIN_MAX, tasks.wait()).await.is_err() {
            tracing::warn!(connections = tasks.len(), "connections were cut that did not take their answers in time");
        }
        let close = move || {
            self.state.close();
            broker.store.shutdown()
        };
        tokio::task::spawn_blocking(close).await.map_err(|error| RunError::Internal(error.to_string()))??;
        tracing::info!("the bus has closed its logs");
        Ok(())
    }
}

/// Takes connections in, up to the limit.
async fn accept(bound: &Bound, broker: &Arc<Broker>, limits: Limits, admission: &Admission, tasks: &TaskTracker) {
    let mut turned_away = 0u64;
    loop {
        let (stream, peer) = match bound.socket.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, mostly: it passes when connections close.
                tracing::warn!(%error, "a connection can't be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let place = match admission.admit(peer.ip()) {
            Ok(place) => place,
            Err(Full(setting)) => {
                turned_away += 1;
                if turned_away.is_power_of_two() {
                    tracing::warn!(%peer, turned_away, setting, "too many connections");
                }
                continue;
            }
        };
        let (broker, admission, listener) = (Arc::clone(broker), admission.clone(), Arc::clone(&bound.listener));
        broker.meters.board.set_gauge("connections", admission.count() as f64);
        tasks.spawn(async move {
            connection::serve(stream, peer, &listener, &broker, limits).await;
            drop(place);
            broker.meters.board.set_gauge("connections", admission.count() as f64);
        });
    }
}

struct Opened {
    broker: Arc<Broker>,
    state: StateFile,
    changes: Vec<Change>,
    limits: Limits,
    retention: retention::Policy,
}

/// The part of the start that waits for the disk.
fn open(config: &Config, stage: &Stage) -> Result<Opened, BuildError> {
    let options = LogOptions { segment_bytes: config.segment_bytes.0, ..LogOptions::default() };
    let (store, report) = LogStore::open(&stage.data_dir.join("log"), options)?;
    tell(&report);
    let (state, entries) = StateFile::open(&stage.data_dir.join("state"))?;
    let (cluster, mut changes) = cluster(&entries, store.clean_start());
    let store = Arc::new(store);
    let defaults = Defaults::new(config);
    let (topics, topic_changes) =
        Topics::restore(Arc::clone(&store), state.clone(), defaults, cluster.leader_epoch, &entries);
    changes.extend(topic_changes);
    let limits = &config.transactions;
    let (transactions, transaction_changes) =
        Transactions::restore(state.clone(), &entries, cluster.leader_epoch, limits.timeout_max.0, limits.ids_kept.0);
    changes.extend(transaction_changes);
    transactions.end_stranded(&topics);
    let next_id = entries.get(&StateKey::ProducerIds).and_then(serde_json::Value::as_i64).unwrap_or(0);
    let broker = Broker {
        cluster_id: cluster.id,
        store,
        topics,
        groups: Groups::restore(state.clone(), &entries, config.retention.offsets.0),
        fetch_sessions: Sessions::default(),
        producer_ids: ProducerIds::new(state.clone(), next_id),
        disk: Disk::new(
            stage.data_dir.clone(),
            config.disk.low_watermark().map_err(BuildError::Internal)?,
            config.disk.policy,
        ),
        transactions,
        meters: Meters::new(Arc::clone(&stage.board)),
        shutdown: Shutdown::new(),
        logins: Logins::new(
            Users::new(&config.users, state.clone(), &entries).map_err(BuildError::Security)?,
            config.oauth.as_ref().map(Oauth::new).transpose().map_err(BuildError::Security)?,
        ),
        authorizer: Authorizer::new(&config.acls, acls(&entries), state.clone()),
        auto_create_topics: config.auto_create_topics,
        requests: Budget::new(REQUESTS_BYTES_MAX),
        largest_requests: Budget::new(
            LARGEST_REQUESTS_BYTES_MAX.max(usize::try_from(config.request_bytes_max.0).unwrap_or(usize::MAX)),
        ),
    };
    Ok(Opened {
        broker: Arc::new(broker),
        state,
        changes,
        limits: Limits {
            request_bytes_max: usize::try_from(config.request_bytes_max.0).unwrap_or(usize::MAX),
            handshake: config.handshake_timeout.0,
            idle: config.idle_timeout.0,
        },
        retention: retention::Policy {
            total_bytes: config.retention.total_bytes.map(|size| size.0),
            pinned_groups: config.retention.pinned_groups.clone(),
        },
    })
}

/// The access rules that were made.
fn acls(entries: &Entries) -> BTreeSet<Binding> {
    let binding = |key: &StateKey| if let StateKey::Acl(binding) = key { Some(binding.clone()) } else { None };
    entries.keys().filter_map(binding).collect()
}

/// Who this broker is: as it was, with a raised epoch if the last end was not clean.
fn cluster(entries: &Entries, clean: bool) -> (ClusterEntry, Vec<Change>) {
    let known = entries.get(&StateKey::Cluster).and_then(|value| ClusterEntry::deserialize(value).ok());
    let cluster = match known {
        Some(cluster) if clean => return (cluster, Vec::new()),
        Some(cluster) => ClusterEntry { leader_epoch: cluster.leader_epoch.saturating_add(1), ..cluster },
        None => ClusterEntry { id: uuid::Uuid::new_v4().simple().to_string(), leader_epoch: 0 },
    };
    let changes = Change::set(StateKey::Cluster, &cluster).into_iter().collect();
    (cluster, changes)
}

fn tell(report: &RecoveryReport) {
    for torn in &report.torn {
        tracing::info!(
            segment = %torn.segment.display(), bytes = torn.bytes, log_end = torn.log_end,
            "cut off the torn end of a log; nothing of it was acknowledged"
        );
    }
    for damaged in &report.quarantined {
        tracing::error!(
            kept_as = %damaged.kept_as.display(), bytes = damaged.bytes,
            from_offset = damaged.from_offset, to_offset = damaged.to_offset,
            "took damaged bytes out of a log; records between these offsets are lost"
        );
    }
    for (path, reason) in &report.failed {
        tracing::error!(path = %path.display(), reason, "a partition can't be opened and is left out");
    }
    if report.partitions > 0 {
        tracing::info!(
            partitions = report.partitions,
            bytes_scanned = report.bytes_scanned,
            bytes_cut = report.bytes_cut,
            "recovered the logs"
        );
    }
}
