//! The chain of stages in this process: built in the order of the data path, drained in the same order, so that
//! what one stage still sends the next still takes.

mod places;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use logmill_bus::OwnAccess;
use logmill_bus_client::{Connection, publish_status};
use logmill_core::telemetry::{Metrics, serve_admin};
use logmill_core::{Shutdown, Stage, StatusBoard, listen};
use logmill_indexer_api::Client;
use tokio::task::JoinHandle;

use crate::config::Config;

pub(crate) use places::{brokers, connection, indexer, read_places};

/// A stage. The order is the data path's, behind what all of it needs: the bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Bus,
    Shipper,
    Processor,
    Indexer,
    Dashboard,
}

impl Part {
    /// All of them, in the order in which they are started.
    pub(crate) const ALL: [Self; 5] = [Self::Bus, Self::Indexer, Self::Dashboard, Self::Processor, Self::Shipper];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Bus => "bus",
            Self::Shipper => "shipper",
            Self::Processor => "processor",
            Self::Indexer => "indexer",
            Self::Dashboard => "dashboard",
        }
    }

    /// Whether the stage has an HTTP listener of its own that also serves its metrics.
    const fn serves_http(self) -> bool {
        matches!(self, Self::Indexer | Self::Dashboard)
    }
}

/// A stage that hangs when asked to stop is left behind after this; what it had accepted is on disk or is sent again.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(15);

/// Running stages.
pub(crate) struct Chain {
    stages: Vec<Running>,
    /// Stops what runs beside the stages: status, monitoring.
    aside: Shutdown,
    data: std::path::PathBuf,
    /// The link that logs the first administrator in, when there is one to be printed.
    pub(crate) login_link: Option<String>,
    /// Where the dashboard listens, when it runs here.
    pub(crate) dashboard: Option<std::net::SocketAddr>,
}

struct Running {
    part: Part,
    board: Arc<StatusBoard>,
    shutdown: Shutdown,
    task: JoinHandle<Result<()>>,
}

impl Chain {
    /// Builds and starts `parts`. Nothing is left running when it fails.
    pub(crate) async fn start(config: &Config, parts: &[Part]) -> Result<Self> {
        let mut starting =
            Starting { config, metrics: Metrics::install(), chain: Self::empty(config), own: None, own_indexer: None };
        let started = async {
            for part in parts {
                starting.start(*part).await.with_context(|| format!("the {} can't start", part.name()))?;
            }
            starting.start_aside(parts).await
        };
        match started.await {
            Ok(()) => Ok(starting.chain),
            Err(error) => {
                starting.chain.drain().await;
                Err(error)
            }
        }
    }

    fn empty(config: &Config) -> Self {
        let data = config.data.0.clone();
        Self { stages: Vec::new(), aside: Shutdown::new(), data, login_link: None, dashboard: None }
    }

    /// The boards of all stages that run here.
    pub(crate) fn boards(&self) -> Vec<Arc<StatusBoard>> {
        self.stages.iter().map(|stage| stage.board.clone()).collect()
    }

    /// Runs until `stop` is triggered or a stage fails, then drains everything.
    ///
    /// # Errors
    /// The failure of the first stage that failed.
    pub(crate) async fn run(mut self, stop: &Shutdown) -> Result<()> {
        let failed = loop {
            if stop.unless(tokio::time::sleep(Duration::from_millis(200))).await.is_none() {
                break None;
            }
            // A stage that ends by itself has failed: they run until they are asked to stop.
            if let Some(index) = self.stages.iter().position(|stage| stage.task.is_finished()) {
                break Some(self.stages.remove(index));
            }
        };
        let outcome = match failed {
            None => Ok(()),
            Some(stage) => {
                let name = stage.part.name();
                let ended = stage.task.await.with_context(|| format!("the {name} died"))?;
                ended.and_then(|()| anyhow::bail!("it stopped by itself")).with_context(|| format!("the {name} failed"))
            }
        };
        self.drain().await;
        outcome
    }

    async fn drain(&mut self) {
        let order = [Part::Shipper, Part::Processor, Part::Indexer, Part::Dashboard, Part::Bus];
        for part in order {
            if part == Part::Bus {
                self.aside.trigger();
            }
            while let Some(index) = self.stages.iter().position(|stage| stage.part == part) {
                let stage = self.stages.remove(index);
                stage.shutdown.trigger();
                let name = part.name();
                match tokio::time::timeout(DRAIN_TIMEOUT, stage.task).await {
                    Ok(Ok(Ok(()))) => tracing::info!(stage = name, "stopped"),
                    Ok(Ok(Err(error))) => tracing::error!(stage = name, "while stopping: {error:#}"),
                    Ok(Err(error)) => tracing::error!(stage = name, "died while stopping: {error}"),
                    Err(late) => tracing::error!(stage = name, "left behind after {DRAIN_TIMEOUT:?}: {late}"),
                }
                places::forget(&self.data, part.name());
            }
        }
        self.aside.trigger();
    }
}

struct Starting<'c> {
    config: &'c Config,
    metrics: Metrics,
    chain: Chain,
    /// How the stages of this process reach the embedded bus, where others must log in.
    own: Option<OwnAccess>,
    /// The same of the indexer.
    own_indexer: Option<logmill_indexer::OwnAccess>,
}

impl Starting<'_> {
    async fn start(&mut self, part: Part) -> Result<()> {
        let stage = Stage::new(part.name(), self.config.stage_dir(part.name()))
            .with_context(|| format!("can't make {}", self.config.stage_dir(part.name()).display()))?;
        let board = stage.board.clone();
        let shutdown = Shutdown::new();
        let stop = shutdown.clone();
        let config = self.config;
        let task = match part {
            Part::Bus => {
                let service = logmill_bus::Service::build(config.bus.clone(), stage).await?;
                board.set_address("kafka", service.local_addr());
                self.own = service.own_access();
                spawn(async move { service.run(stop).await.map_err(Into::into) })
            }
            Part::Shipper => {
                let service =
                    logmill_shipper::Service::build(config.shipper.clone(), self.bus("shipper")?, stage).await?;
                spawn(async move { service.run(stop).await.map_err(Into::into) })
            }
            Part::Processor => {
                let service =
                    logmill_processor::Service::build(config.processor.clone(), self.bus("processor")?, stage).await?;
                spawn(async move { service.run(stop).await.map_err(Into::into) })
            }
            Part::Indexer => {
                let bus = self.bus("indexer")?;
                let service =
                    logmill_indexer::Service::build(config.indexer.clone(), bus, stage, self.metrics.clone()).await?;
                board.set_address("elasticsearch", service.local_addr());
                self.own_indexer = service.own_access().filter(|_| config.indexer.url.is_none());
                spawn(async move { service.run(stop).await.map_err(Into::into) })
            }
            Part::Dashboard => {
                let (bus, indexer) = (self.bus("dashboard")?, self.indexer()?);
                let (settings, metrics) = (config.dashboard.clone(), self.metrics.clone());
                let service = logmill_dashboard::Service::build(settings, bus, indexer, stage, metrics).await?;
                board.set_address("http", service.local_addr());
                self.chain.login_link = service.login_link();
                self.chain.dashboard = Some(service.local_addr());
                spawn(async move { service.run(stop).await.map_err(Into::into) })
            }
        };
        places::remember(&config.data.0, &board).context("can't write where the stage listens")?;
        self.chain.stages.push(Running { part, board, shutdown, task });
        Ok(())
    }

    fn bus(&self, client: &str) -> Result<Connection> {
        let name = format!("logmill-{client}");
        match &self.own {
            Some(own) => Ok(Connection::new(vec![own.address.to_string()], &name).with_access(own.access.clone())),
            None => connection(self.config, &name),
        }
    }

    fn indexer(&self) -> Result<Client> {
        match &self.own_indexer {
            Some(own) => Ok(Client::with_access(&format!("http://{}", own.address), &own.access)?),
            None => indexer(self.config),
        }
    }

    async fn start_aside(&self, parts: &[Part]) -> Result<()> {
        let boards = self.chain.boards();
        tokio::spawn(publish_status(self.bus("status")?, boards.clone(), self.chain.aside.clone()));
        if parts.iter().any(|part| part.serves_http()) {
            return Ok(());
        }
        let monitoring = &self.config.monitoring;
        let listener = listen::bind("monitoring.listen", &monitoring.listen, monitoring.insecure).await?;
        for board in &boards {
            board.set_address("monitoring", listener.local_addr()?);
            places::remember(&self.config.data.0, board)?;
        }
        tokio::spawn(serve_admin(listener, boards, self.metrics.clone(), self.chain.aside.clone()));
        Ok(())
    }
}

fn spawn(stage: impl Future<Output = Result<()>> + Send + 'static) -> JoinHandle<Result<()>> {
    tokio::spawn(stage)
}

/// Triggers the returned request on SIGTERM or SIGINT; a second signal ends the process at once.
///
/// # Errors
/// When the system refuses to hand signals over.
pub(crate) fn stop_on_signals() -> Result<Shutdown> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let stop = Shutdown::new();
    let asked = stop.clone();
    tokio::spawn(async move {
        for last in [false, true] {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if last {
                // 130: what a shell reports for a program ended by Ctrl-C.
                std::process::exit(130);
            }
            asked.trigger();
        }
    });
    Ok(stop)
}
