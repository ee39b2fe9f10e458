//! The stage: recovers the store, listens, reads the bus, and on the way out puts everything on disk.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use jiff::Timestamp;
use logmill_bus_client::{ClientError as BusError, Connection, Consumer};
use logmill_core::telemetry::Metrics;
use logmill_core::{Shutdown, Stage, StatusBoard};
use logmill_indexer_api::{Client, ClientError};
use parking_lot::Mutex;

use crate::config::Config;
use crate::front::{Front, FrontError, OwnAccess};
use crate::http;
use crate::ingest::indexing::Indexing;
use crate::ingest::reading::{Reading, of_topic};
use crate::ingest::worker;
use crate::remote::Remote;
use crate::store::upkeep::Upkeep;
use crate::store::{OpenError, Store};

/// The board's gauges are refreshed this often.
const REPORT_EVERY: Duration = Duration::from_millis(500);
/// Requests that run longer than this while stopping are cut off.
const REQUESTS_GRACE: Duration = Duration::from_secs(3);
/// Indexes that the board lists; the largest come first.
const REPORTED_INDICES_MAX: usize = 100;

/// The indexer can't start.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct BuildError(#[from] Cause);

#[derive(Debug, thiserror::Error)]
enum Cause {
    #[error(transparent)]
    Front(#[from] FrontError),
    #[error("can't open the store: {0}")]
    Store(#[from] OpenError),
    #[error("can't open the store: {0}")]
    Panic(#[from] tokio::task::JoinError),
    #[error(transparent)]
    Remote(#[from] ClientError),
    #[error(transparent)]
    Bus(#[from] BusError),
}

/// The indexer can't go on. What was acknowledged is on disk or still on the bus.
#[derive(Debug, thiserror::Error)]
#[error("the indexer can't go on: {0}")]
pub struct RunError(String);

/// The indexer, ready to run.
pub struct Service {
    config: Arc<Config>,
    bus: Connection,
    board: Arc<StatusBoard>,
    metrics: Metrics,
    front: Front,
    engine: Engine,
}

/// Where events are kept.
enum Engine {
    Store(Arc<Store>),
    Remote(Remote),
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "logmill_indexer::Service({})", self.front.local_addr)
    }
}

impl Service {
    /// Recovers the store in the stage's folder and opens the listener. An absent bus is waited for in [`run`](Self::run).
    ///
    /// # Errors
    /// When the address or the folder can't be used.
    pub async fn build(config: Config, bus: Connection, stage: Stage, metrics: Metrics) -> Result<Self, BuildError> {
        let built = Self::assemble(config, bus, stage, metrics).await;
        Ok(built?)
    }

    async fn assemble(config: Config, bus: Connection, stage: Stage, metrics: Metrics) -> Result<Self, Cause> {
        let front = Front::open(&config).await?;
        let local_addr = front.local_addr;
        let Stage { data_dir, board } = stage;
        board.set_address("http", local_addr);
        if let Some(url) = &config.url {
            let client = Client::with_access(url, &config.client)?;
            let config = Arc::new(config.clone());
            let engine = Engine::Remote(Remote::new(client, config.clone(), &bus, &board)?);
            return Ok(Self { config, bus, board, metrics, front, engine });
        }
        let settings = config.clone();
        let (store, findings) =
            tokio::task::spawn_blocking(move || Store::open(&data_dir.join("store"), settings)).await??;
        tracing::info!(
            indexes = store.index_count(),
            cut_bytes = findings.recovery.cut_bytes,
            orphans = findings.orphans,
            damaged = findings.damaged.len(),
            "store recovered"
        );
        board.counter("recovered_torn_bytes").add(findings.recovery.cut_bytes);
        for (number, damage) in findings.damaged.iter().take(10).enumerate() {
            tracing::error!(damage, "the store is damaged");
            board.set_problem(&format!("damage-{number}"), Some(damage.clone()));
        }
        for away in findings.away.iter().take(10) {
            tracing::error!(away, "a part of the store is away");
        }
        let engine = Engine::Store(Arc::new(store));
        Ok(Self { config: Arc::new(config), bus, board, metrics, front, engine })
    }

    /// Where the Elasticsearch API listens.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.front.local_addr
    }

    /// How the stages of this process reach the API, where that differs from how others do.
    #[must_use]
    pub fn own_access(&self) -> Option<OwnAccess> {
        self.front.own_access()
    }

    /// Indexes and answers until asked to stop; then everything read is put on disk.
    ///
    /// # Errors
    /// When a worker has failed: the process should be started again.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), RunError> {
        let Self { config, bus, board, metrics, front, engine } = self;
        let store = match engine {
            Engine::Store(store) => store,
            Engine::Remote(remote) => {
                let ran = Box::pin(remote.run(bus, board, metrics, front, &shutdown)).await;
                return ran.map_err(|error| RunError(error.to_string()));
            }
        };
        let failed = |what: &str| RunError(what.to_owned());
        let upkeep = Upkeep::start(&store, &board).map_err(|error| RunError(error.to_string()))?;
        let (orders, taken) = sync_channel(worker::QUEUE_BATCHES);
        let indexing = Indexing::new(store.clone(), config.fields_max, config.indices_max);
        let indexer = {
            let (store, board, tick) = (store.clone(), board.clone(), config.refresh_interval.0);
            let shutdown = shutdown.clone();
            let body = move || worker::run(indexing, &store, &board, &taken, tick, &shutdown);
            std::thread::Builder::new().name("indexing".to_owned()).spawn(body)
        };
        let indexer = indexer.map_err(|error| RunError(error.to_string()))?;
        let consumer: Arc<Mutex<Option<Arc<Consumer>>>> = Arc::default();
        let reading = Reading {
            config: config.clone(),
            bus: bus.clone(),
            store: store.clone(),
            board: board.clone(),
            orders,
            consumer: consumer.clone(),
        };
        let state = http::AppState {
            store: store.clone(),
            bus,
            config: config.clone(),
            metrics,
            board: board.clone(),
            logins: front.logins.clone(),
        };
        let served = front.serve(&http::routes(state), &shutdown);
        let mut servers = served.map_err(|error| RunError(error.to_string()))?;
        let reported = tokio::spawn(report(store.clone(), board.clone(), shutdown.clone()));
        let reader = {
            let shutdown = shutdown.clone();
            tokio::spawn(async move { reading.run(&shutdown).await })
        };
        let mut outcome = Ok(());
        while !shutdown.requested() {
            if shutdown.unless(tokio::time::sleep(REPORT_EVERY)).await.is_none() {
                break;
            }
            if indexer.is_finished() || upkeep.has_failed() {
                outcome = Err(failed("a worker thread has ended"));
                // Whatever is left must not look alive.
                reader.abort();
                servers.abort();
                break;
            }
        }
        board.set_ready(false);
        reported.abort();
        let _ = reader.await;
        let ended = tokio::task::spawn_blocking(move || {
            let indexed = indexer.join();
            upkeep.stop();
            let flushed = store.flush();
            commit(&store, &config, consumer.lock().take());
            match (indexed, flushed) {
                (Ok(Ok(())), Ok(())) => Ok(()),
                (Ok(Err(error)), _) => Err(RunError(error.to_string())),
                (Err(_), _) => Err(RunError("the indexing thread panicked".to_owned())),
                (_, Err(error)) => Err(RunError(error.to_string())),
            }
        });
        let ended = ended.await.map_err(|error| RunError(error.to_string()))?;
        // Requests that still run have had their time; searches do not outlive the stage.
        servers.end(REQUESTS_GRACE).await;
        ended.and(outcome)
    }
}

/// Tells the group how far the store has come. Only the shown lag depends on it.
fn commit(store: &Store, config: &Config, consumer: Option<Arc<Consumer>>) {
    let durable = store.durable_offsets();
    if let Some(consumer) = consumer.filter(|_| !durable.is_empty())
        && let Err(error) = consumer.commit_blocking(&of_topic(&config.topic, &durable))
    {
        tracing::debug!(%error, "the last offsets are not committed");
    }
}

/// Keeps the board's gauges and details up to date.
async fn report(store: Arc<Store>, board: Arc<StatusBoard>, shutdown: Shutdown) {
    while !shutdown.requested() {
        let freshness = store.freshness();
        if let Some(behind) = freshness.behind {
            board.set_gauge("lag_events", behind as f64);
        }
        if let Some(up_to) = freshness.indexed_up_to {
            let age = Timestamp::now().duration_since(up_to);
            board.set_gauge("freshness_ms", age.as_secs_f64().max(0.0) * 1000.0);
        }
        let mut indices = store.indices();
        let hot = store.hot_bytes();
        board.set_gauge("hot_bytes", hot as f64);
        let mut elsewhere = hot;
        if let Some((bytes, cache)) = store.cold_tally() {
            elsewhere += bytes;
            board.set_gauge("cold_bytes", bytes as f64);
            board.set_gauge("cold_cache_bytes", cache.bytes as f64);
            board.set_gauge("cold_cache_hits", cache.hits as f64);
            board.set_gauge("cold_cache_misses", cache.misses as f64);
            board.set_gauge("cold_fetched_bytes", cache.fetched_bytes as f64);
        }
        let bytes = indices.iter().map(|index| index.bytes).sum::<u64>();
        board.set_gauge("disk_bytes", bytes.saturating_sub(elsewhere) as f64);
        board.set_gauge("docs", indices.iter().map(|index| index.docs).sum::<u64>() as f64);
        board.set_gauge("splits", store.split_ids().len() as f64);
        board.set_gauge("indices", indices.len() as f64);
        indices.sort_by_key(|index| std::cmp::Reverse(index.bytes));
        let line = |index: &crate::store::IndexSummary| {
            serde_json::json!({
                "index": index.name.as_ref(),
                "docs": index.docs,
                "bytes": index.bytes,
                "oldest": index.oldest_ns.map(crate::dates::instant::to_rfc3339),
                "newest": index.newest_ns.map(crate::dates::instant::to_rfc3339),
            })
        };
        let listed: Vec<_> = indices.iter().take(REPORTED_INDICES_MAX).map(line).collect();
        board.set_details(serde_json::json!({ "indices": listed }));
        if shutdown.unless(tokio::time::sleep(REPORT_EVERY)).await.is_none() {
            return;
        }
    }
}
