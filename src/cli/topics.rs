//! `logmill topics`: what can be asked of topics.

use clap::{Args, Subcommand};

use super::reach::{Reach, key_value};
use crate::moment::{self, Position};

#[derive(Debug, Args)]
pub(crate) struct Topics {
    #[command(flatten)]
    pub(crate) reach: Reach,
    #[command(subcommand)]
    pub(crate) verb: TopicVerb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TopicVerb {
    /// Lists all topics.
    List,
    /// Shows the partitions and the settings of a topic.
    Describe {
        /// The topic.
        name: String,
        /// Shows the settings that it has from the cluster, too.
        #[arg(long)]
        all: bool,
    },
    /// Makes a topic.
    Create {
        /// The topic.
        name: String,
        /// How many partitions [default: the cluster's].
        #[arg(long, short = 'p', value_parser = clap::value_parser!(i32).range(1..))]
        partitions: Option<i32>,
        /// How many brokers keep each partition [default: the cluster's].
        #[arg(long, value_parser = clap::value_parser!(i32).range(1..))]
        replicas: Option<i32>,
        /// A setting of the topic, for instance retention.ms=3600000; may be repeated.
        #[arg(long, short = 's', value_name = "KEY=VALUE", value_parser = key_value)]
        setting: Vec<(String, String)>,
    },
    /// Gives a topic more partitions or other settings.
    Alter(AlterTopic),
    /// Deletes a topic with all its records.
    Delete {
        /// The topic.
        name: String,
    },
    /// Prints records.
    Read(ReadTopic),
    /// Writes a record for each line of standard input.
    Write(WriteTopic),
    /// Deletes the oldest records.
    DeleteRecords {
        /// The topic.
        name: String,
        /// What stays: an offset, a time (RFC 3339, or -2h for two hours ago), or `end` for nothing.
        #[arg(long, allow_hyphen_values = true, value_parser = moment::cut)]
        before: Position,
        /// Only in this partition; may be repeated.
        #[arg(long)]
        partition: Vec<i32>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct AlterTopic {
    /// The topic.
    pub(crate) name: String,
    /// How many partitions it has then; never fewer than now. Keys may come to lie in other partitions.
    #[arg(long, short = 'p', required_unless_present_any = ["setting", "unset"])]
    pub(crate) partitions: Option<usize>,
    /// A setting, for instance retention.ms=3600000; may be repeated. The others stay as they are.
    #[arg(long, short = 's', value_name = "KEY=VALUE", value_parser = key_value)]
    pub(crate) setting: Vec<(String, String)>,
    /// A setting that goes back to the cluster's; may be repeated.
    #[arg(long, value_name = "KEY")]
    pub(crate) unset: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ReadTopic {
    /// The topic.
    pub(crate) name: String,
    /// Only this partition; may be repeated.
    #[arg(long)]
    pub(crate) partition: Vec<i32>,
    /// Where to begin: start, end, an offset, or a time (RFC 3339, or -2h for two hours ago)
    /// [default: start; end with --follow].
    #[arg(long, allow_hyphen_values = true, value_parser = moment::start)]
    pub(crate) from: Option<Position>,
    /// Stops after so many records.
    #[arg(long, short = 'n')]
    pub(crate) count: Option<u64>,
    /// Goes on with what comes, until stopped.
    #[arg(long, short = 'f')]
    pub(crate) follow: bool,
    /// Prints keys before values, with a tabulator between them. JSON has them always.
    #[arg(long)]
    pub(crate) keys: bool,
    /// Prints headers before values. JSON has them always.
    #[arg(long)]
    pub(crate) headers: bool,
    /// Leaves out records of transactions that are open or were aborted.
    #[arg(long)]
    pub(crate) read_committed: bool,
}

#[derive(Debug, Args)]
pub(crate) struct WriteTopic {
    /// The topic.
    pub(crate) name: String,
    /// What stands between key and value in a line; a line without it has no key.
    #[arg(long, value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(crate) key_separator: Option<String>,
    /// Writes to this partition [default: by the key, or shared out].
    #[arg(long)]
    pub(crate) partition: Option<i32>,
}
