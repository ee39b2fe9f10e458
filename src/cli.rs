//! The command line: what can be asked, and nothing of how it is done.

mod acls;
mod groups;
mod index;
mod reach;
mod topics;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub(crate) use acls::{AclVerb, Acls, AddAcl};
pub(crate) use groups::{GroupVerb, Groups, ResetGroup};
pub(crate) use index::{Index, IndexVerb};
pub(crate) use reach::Reach;
pub(crate) use topics::{AlterTopic, ReadTopic, TopicVerb, Topics, WriteTopic};

/// The log files of many servers, searchable in a browser.
#[derive(Debug, Parser)]
#[command(name = "logmill", version, max_term_width = 110)]
pub(crate) struct Cli {
    /// The configuration file [default: ./logmill.yml or /etc/logmill/logmill.yml where there is one].
    #[arg(long, short, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The folder that everything is kept in.
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Lays a value over the file, for instance --set bus.listen=127.0.0.1:0; may be repeated.
    #[arg(long = "set", global = true, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// The whole chain on a realistic workload, to look around in.
    Demo(Demo),
    /// The whole chain on your configuration, or on this machine's /var/log with none.
    Up,
    /// Only the shipper: reads log files and sends them to the bus.
    Shipper,
    /// Only the bus: the durable log between the stages, spoken to in the Kafka protocol.
    Bus,
    /// Only the processor: parses and enriches events by pipelines.
    Processor,
    /// Only the indexer: stores events and answers searches by the Elasticsearch API.
    Indexer,
    /// Only the dashboard: search, alerts and status in the browser.
    Dashboard,
    /// Writes realistic logs, and a ledger of every line of them.
    Generate(Generate),
    /// Checks the configuration and its pipelines and says all that is wrong with them.
    Check,
    /// Works on pipelines.
    #[command(subcommand)]
    Pipeline(Pipeline),
    /// Searches from the terminal.
    Search(Search),
    /// Shows events as they come.
    Tail(Tail),
    /// Says how the stages are doing and where they listen.
    Status(Status),
    /// Indexes: lists them, shows their splits, verifies and repairs what is on disk.
    Index(Index),
    /// Topics of the bus, or of any Kafka: lists, makes, changes, reads and writes them.
    Topics(Topics),
    /// Consumer groups of the bus, or of any Kafka: how far behind they are, and moving them.
    Groups(Groups),
    /// Who may do what on the bus, or on any Kafka.
    Acls(Acls),
    /// Prints a script that completes this program's words in your shell.
    Completions(Completions),
    /// Prints the reference of all configuration keys as Markdown.
    #[command(hide = true)]
    Reference,
}

#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Lines a second.
    #[arg(long, default_value_t = 200)]
    pub(crate) rate: u64,
}

#[derive(Debug, Args)]
pub(crate) struct Generate {
    /// The folder to write to.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Lines a second.
    #[arg(long)]
    rate: Option<u64>,
    /// Stop after so many lines.
    #[arg(long)]
    lines: Option<u64>,
    /// Stop after so long, for instance 60s.
    #[arg(long)]
    duration: Option<String>,
    /// Begin so far in the past, for instance 24h: that part is written at once.
    #[arg(long)]
    ago: Option<String>,
    /// The same seed writes the same events.
    #[arg(long)]
    seed: Option<u64>,
    /// Record every line in this file.
    #[arg(long)]
    ledger: Option<PathBuf>,
    /// Kinds of logs, separated by commas: nginx, java, json, syslog, kv.
    #[arg(long, value_delimiter = ',')]
    kinds: Option<Vec<String>>,
    /// Rotate a file when it has grown to this, for instance 16MiB; 0 never.
    #[arg(long)]
    rotate_size: Option<String>,
    /// Rotated files to keep of each kind.
    #[arg(long)]
    keep: Option<u32>,
}

impl Generate {
    /// The options as values of the configuration's `generate` section.
    pub(crate) fn settings(&self) -> Vec<(&'static str, serde_json::Value)> {
        let settings = [
            ("generate.out", self.out.as_ref().map(|path| path.display().to_string().into())),
            ("generate.rate", self.rate.map(Into::into)),
            ("generate.lines", self.lines.map(Into::into)),
            ("generate.duration", self.duration.clone().map(Into::into)),
            ("generate.ago", self.ago.clone().map(Into::into)),
            ("generate.seed", self.seed.map(Into::into)),
            ("generate.ledger", self.ledger.as_ref().map(|path| path.display().to_string().into())),
            ("generate.kinds", self.kinds.clone().map(Into::into)),
            ("generate.rotation.size", self.rotate_size.clone().map(number_or_text)),
            ("generate.rotation.keep", self.keep.map(Into::into)),
        ];
        settings.into_iter().filter_map(|(key, value)| value.map(|value| (key, value))).collect()
    }
}

fn number_or_text(text: String) -> serde_json::Value {
    text.parse::<u64>().map_or_else(|_| text.into(), Into::into)
}

#[derive(Debug, Subcommand)]
pub(crate) enum Pipeline {
    /// Runs the tests that stand in pipeline files.
    Test {
        /// The pipeline files.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Search {
    /// What to look for, in KQL; everything when absent.
    #[arg(default_value = "")]
    pub(crate) query: String,
    /// The beginning: date math such as now-15m, or RFC 3339.
    #[arg(long, default_value = "now-15m")]
    pub(crate) from: String,
    /// The end.
    #[arg(long, default_value = "now")]
    pub(crate) to: String,
    /// How many events, newest first.
    #[arg(long, short = 'n', default_value_t = 50)]
    pub(crate) size: usize,
    /// Which indexes.
    #[arg(long, default_value = "logs-*")]
    pub(crate) index: String,
    /// Prints whole events, one JSON object a line.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Tail {
    /// What to show, in KQL; everything when absent.
    #[arg(default_value = "")]
    pub(crate) query: String,
    /// Prints whole events, one JSON object a line.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// The shell.
    pub(crate) shell: Shell,
    /// The words of a line so far, of which the last is completed: what the script asks.
    #[arg(last = true, hide = true)]
    pub(crate) words: Option<Vec<String>>,
}

/// A shell that words are completed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Shell {
    Bash,
    Zsh,
    Fish,
}

#[derive(Debug, Args)]
pub(crate) struct Status {
    /// Prints JSON.
    #[arg(long)]
    pub(crate) json: bool,
}
