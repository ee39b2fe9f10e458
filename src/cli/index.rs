//! `logmill index`: what can be asked of indexes and of the store that holds them.

use clap::{Args, Subcommand};

#[derive(Debug, Args)]
pub(crate) struct Index {
    /// The indexer to ask, for instance http://localhost:9200 [default: that of the configuration].
    #[arg(long, short = 'u', global = true, value_name = "URL")]
    pub(crate) url: Option<String>,
    /// Prints JSON, for programs to read.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) verb: IndexVerb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum IndexVerb {
    /// Lists the indexes: documents, bytes, and what time they cover.
    List {
        /// Which: a name or a pattern [default: all].
        #[arg(default_value = "_all")]
        index: String,
    },
    /// Shows the splits of an index, and what of it is damaged.
    Show {
        /// The index, or a pattern.
        index: String,
    },
    /// Reads every split and compares it with what was written; damaged ones are put aside. Works on a running indexer, or
    /// on the store of one that is stopped. The exit code is 1 when something is damaged.
    Verify,
    /// Rebuilds damaged splits from the bus, as far as it still has their events. Works on a running indexer, or on the
    /// store of one that is stopped. The exit code is 1 when documents are lost for good.
    Repair,
    /// Copies indexes to a folder while the indexer runs; files that an earlier snapshot has are not copied again.
    Snapshot {
        /// The snapshot's name.
        name: String,
        /// The repository that it goes to.
        #[arg(long, short = 'r', default_value = "default")]
        repository: String,
        /// Registers the repository at this folder first; it must be below one of `indexer.snapshots.paths`.
        #[arg(long, value_name = "DIR")]
        location: Option<String>,
        /// Which indexes, separated by commas; patterns are names, too [default: all].
        #[arg(long, short = 'i', value_delimiter = ',')]
        index: Vec<String>,
    },
    /// Brings back indexes from a snapshot, under names that no index has.
    Restore {
        /// The snapshot's name.
        name: String,
        /// The repository that it is in.
        #[arg(long, short = 'r', default_value = "default")]
        repository: String,
        /// Which indexes, separated by commas; patterns are names, too [default: all].
        #[arg(long, short = 'i', value_delimiter = ',')]
        index: Vec<String>,
        /// Goes before every name, for instance old-.
        #[arg(long, default_value = "")]
        prefix: String,
    },
}
