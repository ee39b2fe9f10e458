//! Builds the broker (binds, recovers, restores) and runs it until asked to stop.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use logmill_bus_log::{LogError, LogOptions, LogStore, RecoveryReport};
use logmill_core::listen::{self, ListenError};
use logmill_core::{Shutdown, Stage};
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use crate::broker::Broker;
use crate::budget::Budget;
use crate::config::Config;
use crate::connection::{self, Limits};
use crate::fetch_sessions::Sessions;
use crate::groups::Groups;
use crate::listener::Listener;
use crate::meters::Meters;
use crate::producer_ids::ProducerIds;
use crate::retention;
use crate::security::Authorizer;
use crate::security::acl::Binding;
use crate::state_file::{Entries, NotWritten, StateError, StateFile};
use crate::state_key::{Change, ClusterEntry, StateKey};
use crate::topics::{Defaults, Topics};

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
/// Fetched records of all connections together, until they are written; when it runs short answers get smaller.
const ANSWERS_BYTES_MAX: usize = 128 << 20;

/// An embedded broker that listens.
pub struct Service {
    broker: Arc<Broker>,
    state: StateFile,
    socket: TcpListener,
    listener: Arc<Listener>,
    local_addr: SocketAddr,
    limits: Limits,
    connections_max: usize,
    total_bytes: Option<u64>,
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
        let socket = listen::bind("bus.listen", &config.listen, config.insecure).await?;
        let listener = Arc::new(Listener::simple(&config));
        let local_addr = socket.local_addr().map_err(|error| BuildError::Internal(error.to_string()))?;
        let open = move || open(&config, &stage);
        let opened =
            tokio::task::spawn_blocking(open).await.map_err(|error| BuildError::Internal(error.to_string()))?;
        let Opened { broker, state, changes, limits, connections_max, total_bytes } = opened?;
        state.put(changes).await?;
        broker.meters.board.set_address("kafka", local_addr);
        Ok(Self { broker, state, socket, listener, local_addr, limits, connections_max, total_bytes })
    }

    /// Where it listens.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Serves until `shutdown`, then answers what is in flight and closes the logs.
    ///
    /// # Errors
    /// When the logs can't be closed cleanly.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), RunError> {
        let broker = self.broker;
        let tasks = TaskTracker::new();
        tasks.spawn(retention::run(Arc::clone(&broker), self.total_bytes));
        tasks.spawn({
            let broker = Arc::clone(&broker);
            async move { broker.groups.run(&broker.shutdown).await }
        });
        broker.meters.board.set_ready(true);
        tracing::info!(address = %self.local_addr, cluster = broker.cluster_id, "the bus listens");
        let accepting = accept(&self.socket, &self.listener, &broker, self.limits, self.connections_max, &tasks);
        shutdown.unless(accepting).await;
        drop(self.socket);
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
async fn accept(
    socket: &TcpListener,
    listener: &Arc<Listener>,
    broker: &Arc<Broker>,
    limits: Limits,
    connections_max: usize,
    tasks: &TaskTracker,
) {
    let places = Arc::new(Semaphore::new(connections_max));
    let mut turned_away = 0u64;
    loop {
        let (stream, peer) = match socket.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, mostly: it passes when connections close.
                tracing::warn!(%error, "a connection can't be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            turned_away += 1;
            if turned_away.is_power_of_two() {
                tracing::warn!(%peer, turned_away, connections_max, "too many connections: `bus.connections_max`");
            }
            continue;
        };
        let (broker, places, listener) = (Arc::clone(broker), Arc::clone(&places), Arc::clone(listener));
        let open = move |places: &Semaphore| (connections_max - places.available_permits()) as f64;
        broker.meters.board.set_gauge("connections", open(&places));
        tasks.spawn(async move {
            connection::serve(stream, peer, &listener, &broker, limits).await;
            drop(place);
            broker.meters.board.set_gauge("connections", open(&places));
        });
    }
}

struct Opened {
    broker: Arc<Broker>,
    state: StateFile,
    changes: Vec<Change>,
    limits: Limits,
    connections_max: usize,
    total_bytes: Option<u64>,
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
    let next_id = entries.get(&StateKey::ProducerIds).and_then(serde_json::Value::as_i64).unwrap_or(0);
    let broker = Broker {
        cluster_id: cluster.id,
        store,
        topics,
        groups: Groups::restore(state.clone(), &entries, config.retention.offsets.0),
        fetch_sessions: Sessions::default(),
        producer_ids: ProducerIds::new(state.clone(), next_id),
        meters: Meters::new(Arc::clone(&stage.board)),
        shutdown: Shutdown::new(),
        authorizer: Authorizer::new(&config.acls, acls(&entries), state.clone()),
        auto_create_topics: config.auto_create_topics,
        requests: Budget::new(REQUESTS_BYTES_MAX),
        largest_requests: Budget::new(
            LARGEST_REQUESTS_BYTES_MAX.max(usize::try_from(config.request_bytes_max.0).unwrap_or(usize::MAX)),
        ),
        answers: Budget::new(ANSWERS_BYTES_MAX),
    };
    Ok(Opened {
        broker: Arc::new(broker),
        state,
        changes,
        limits: Limits { request_bytes_max: usize::try_from(config.request_bytes_max.0).unwrap_or(usize::MAX) },
        connections_max: config.connections_max,
        total_bytes: config.retention.total_bytes.map(|size| size.0),
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
