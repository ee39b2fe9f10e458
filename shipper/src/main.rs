//! `logmill-shipper`: the agent alone.
//!
//! Exit codes: 0 stopped as asked or the configuration is right, 1 it failed while running, 2 the command line or the
//! configuration is wrong, 3 it could not start (checkpoint in use or damaged, address taken).

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use logmill_bus_client::{Connection, publish_status};
use logmill_core::bus_access::BusAccess;
use logmill_core::config::{Checked, Override, load};
use logmill_core::telemetry::{LogConfig, Metrics, admin_routes, init_log};
use logmill_core::{Shutdown, Stage, listen};
use logmill_shipper::{Config, Service};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Reads log files and sends their lines to a Kafka cluster, each exactly once.
#[derive(Debug, Parser)]
#[command(name = "logmill-shipper", version)]
struct Arguments {
    /// The configuration file.
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The folder for the checkpoint; overrides `data`.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Overrides one setting: `--set bus.brokers='["kafka:9092"]'`.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Says what is wrong with the configuration, and does nothing else.
    Check,
}

/// The whole configuration file.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Root {
    /// The folder for the checkpoint.
    data: PathBuf,
    /// The program's own log.
    log: LogConfig,
    /// Where the events go.
    bus: Bus,
    /// What is read.
    shipper: Config,
    /// What others may ask this program.
    monitoring: Monitoring,
}

/// Where the events go.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Bus {
    /// The brokers, each as host:port.
    brokers: Vec<String>,
    /// TLS and the login.
    client: BusAccess,
}

/// What others may ask this program.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Monitoring {
    /// Serves `/metrics` and `/healthz` here (host:port); not at all when absent.
    listen: Option<String>,
    /// Allows an address that other machines reach.
    insecure: bool,
}

impl Default for Root {
    fn default() -> Self {
        Self {
            data: PathBuf::from("/var/lib/logmill-shipper"),
            log: LogConfig::default(),
            bus: Bus::default(),
            shipper: Config::default(),
            monitoring: Monitoring::default(),
        }
    }
}

impl Default for Bus {
    fn default() -> Self {
        Self { brokers: vec!["127.0.0.1:9092".to_owned()], client: BusAccess::default() }
    }
}

impl Checked for Root {
    fn problems(&self) -> Vec<(String, String)> {
        let mut problems: Vec<_> =
            self.shipper.problems().into_iter().map(|(key, text)| (format!("shipper.{key}"), text)).collect();
        if self.bus.brokers.is_empty() {
            problems.push(("bus.brokers".into(), "name at least one Kafka broker as host:port".into()));
        }
        problems.extend(self.bus.client.problems().into_iter().map(|(key, text)| (format!("bus.client.{key}"), text)));
        if self.shipper.inputs.is_empty() {
            problems.push(("shipper.inputs".into(), "nothing to read: add an input of type filestream".into()));
        }
        problems
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let root = match configured(&arguments) {
        Ok(root) => root,
        Err(error) => return failed(2, &error),
    };
    if matches!(arguments.command, Some(Command::Check)) {
        return ExitCode::SUCCESS;
    }
    // Reading has a thread of its own; the network needs little more than one.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    match runtime {
        Ok(runtime) => match runtime.block_on(run(root)) {
            Ok(()) => ExitCode::SUCCESS,
            Err((code, error)) => failed(code, &error),
        },
        Err(error) => failed(3, &error.into()),
    }
}

#[expect(clippy::print_stderr, reason = "the log may not be up yet")]
fn failed(code: u8, error: &anyhow::Error) -> ExitCode {
    eprintln!("logmill-shipper: {error:#}");
    ExitCode::from(code)
}

fn configured(arguments: &Arguments) -> anyhow::Result<Root> {
    let mut overrides = Override::from_environment();
    if let Some(data) = &arguments.data {
        overrides.push(Override::new("--data", "data", data.to_string_lossy().into()));
    }
    for word in &arguments.set {
        overrides.push(Override::from_word(word)?);
    }
    let root: Root = load(arguments.config.as_deref(), &overrides)?;
    init_log(&root.log)?;
    Ok(root)
}

async fn run(root: Root) -> Result<(), (u8, anyhow::Error)> {
    let start = |error: anyhow::Error| (3, error);
    let shutdown = Shutdown::new();
    let stage = Stage::new("shipper", root.data.clone())
        .map_err(|error| start(anyhow::anyhow!("can't make the folder {}: {error}", root.data.display())))?;
    let board = stage.board.clone();
    if let Some(address) = &root.monitoring.listen {
        let listener = listen::bind("monitoring.listen", address, root.monitoring.insecure);
        let listener = listener.await.map_err(|error| start(error.into()))?;
        let address = listener.local_addr().map_err(|error| start(error.into()))?;
        board.set_address("monitoring", address);
        tracing::info!(%address, "serving /metrics and /healthz");
        let routes = admin_routes(vec![board.clone()], Metrics::install());
        tokio::spawn(async move { axum::serve(listener, routes).await });
    }
    let bus = Connection::new(root.bus.brokers, "logmill-shipper").with_access(root.bus.client);
    let service = Service::build(root.shipper, bus.clone(), stage).await.map_err(|error| start(error.into()))?;
    tokio::spawn(publish_status(bus, vec![board], shutdown.clone()));
    let asked = shutdown.clone();
    tokio::spawn(async move {
        stop_signal().await;
        tracing::info!("stopping");
        asked.trigger();
    });
    service.run(shutdown).await.map_err(|error| (1, error.into()))
}

async fn stop_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
        }
        Err(error) => {
            tracing::warn!(%error, "SIGTERM will end the program at once");
            let _ = tokio::signal::ctrl_c().await;
        }
    }
}
