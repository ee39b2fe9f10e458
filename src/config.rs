//! One file for the whole program: a section a stage.

use std::path::{Path, PathBuf};

use anyhow::Context;
use logmill_core::config::{Checked, Override};
use logmill_core::telemetry::LogConfig;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::cli::{Cli, Command};

/// Everything that can be configured.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    /// The folder that everything is kept in, a folder a stage.
    pub(crate) data: DataDir,
    /// The program's own log.
    pub(crate) log: LogConfig,
    /// Metrics and health of a stage that runs alone.
    pub(crate) monitoring: Monitoring,
    /// The durable log between the stages.
    pub(crate) bus: logmill_bus::Config,
    /// What is read, and from where.
    pub(crate) shipper: logmill_shipper::Config,
    /// How events are parsed.
    pub(crate) processor: logmill_processor::Config,
    /// Where events are stored and searched.
    pub(crate) indexer: logmill_indexer::Config,
    /// Search, alerts and status in the browser.
    pub(crate) dashboard: logmill_dashboard::Config,
    /// The workload of `logmill generate`.
    pub(crate) generate: logmill_generate::Config,
    /// The file that all this was read from, when there was one.
    #[serde(skip)]
    pub(crate) file: Option<PathBuf>,
}

/// The data folder.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub(crate) struct DataDir(pub(crate) PathBuf);

impl Default for DataDir {
    fn default() -> Self {
        Self(PathBuf::from("data"))
    }
}

/// Metrics and health of a stage that runs alone; with `up` and `demo` the dashboard and the indexer answer for all.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Monitoring {
    /// Where `/metrics` and `/healthz` of the bus, the shipper or the processor are served; port 0 picks a free one.
    pub(crate) listen: String,
    /// Allows `listen` to leave loopback.
    pub(crate) insecure: bool,
}

impl Default for Monitoring {
    fn default() -> Self {
        Self { listen: "127.0.0.1:0".to_owned(), insecure: false }
    }
}

impl Checked for Config {
    fn problems(&self) -> Vec<(String, String)> {
        let sections = [
            ("bus", self.bus.problems()),
            ("shipper", self.shipper.problems()),
            ("processor", self.processor.problems()),
            ("indexer", self.indexer.problems()),
            ("dashboard", self.dashboard.problems()),
            ("generate", self.generate.problems()),
        ];
        let within = |(section, problems): (&str, Vec<(String, String)>)| {
            problems.into_iter().map(|(key, message)| (format!("{section}.{key}"), message)).collect::<Vec<_>>()
        };
        sections.into_iter().flat_map(within).collect()
    }
}

impl Config {
    /// The folder of one stage.
    pub(crate) fn stage_dir(&self, stage: &str) -> PathBuf {
        self.data.0.join(stage)
    }

    /// The program's log for a command: those that print an answer stay quiet unless something is wrong.
    pub(crate) fn log_for(&self, command: &Command) -> LogConfig {
        let answers = matches!(
            command,
            Command::Check
                | Command::Pipeline(_)
                | Command::Search(_)
                | Command::Tail(_)
                | Command::Status(_)
                | Command::Index(_)
                | Command::Topics(_)
                | Command::Groups(_)
                | Command::Acls(_)
                | Command::Reference
        );
        let untouched = self.log.level == LogConfig::default().level;
        if answers && untouched {
            LogConfig { level: "error".to_owned(), ..self.log.clone() }
        } else {
            self.log.clone()
        }
    }
}

/// Reads the file, the environment and the command line, in this order; the later wins.
pub(crate) fn load(cli: &Cli) -> anyhow::Result<Config> {
    let usual = [Path::new("logmill.yml"), Path::new("/etc/logmill/logmill.yml")];
    // The demo is the same everywhere: it takes a file only when it is given one.
    let found =
        (!matches!(cli.command, Command::Demo(_))).then(|| usual.into_iter().find(|path| path.exists())).flatten();
    let file = cli.config.clone().or_else(|| found.map(Path::to_owned));
    let mut overrides = Override::from_environment();
    if let Command::Generate(options) = &cli.command {
        overrides
            .extend(options.settings().into_iter().map(|(key, value)| Override::new("the command line", key, value)));
    }
    for word in &cli.set {
        overrides.push(Override::from_word(word)?);
    }
    if let Some(data) = &cli.data {
        let data = data.to_str().context("--data is not UTF-8")?;
        overrides.push(Override::new("--data", "data", data.into()));
    }
    let config: Config = logmill_core::config::load(file.as_deref(), &overrides)?;
    Ok(Config { file, ..config })
}
