//! `logmill groups`: what can be asked of consumer groups.

use clap::{Args, Subcommand};

use super::reach::Reach;
use crate::moment::{self, Position};

#[derive(Debug, Args)]
pub(crate) struct Groups {
    #[command(flatten)]
    pub(crate) reach: Reach,
    #[command(subcommand)]
    pub(crate) verb: GroupVerb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum GroupVerb {
    /// Lists all groups.
    List,
    /// Shows who is in a group, and how far behind it is in each partition.
    Describe {
        /// The group.
        name: String,
    },
    /// Moves a group that nobody is in. Without --execute it only shows what would change.
    Reset(ResetGroup),
    /// Deletes a group that nobody is in, and what it committed.
    Delete {
        /// The group.
        name: String,
    },
    /// Forgets what a group committed in a topic that it does not read any more.
    DeleteOffsets {
        /// The group.
        name: String,
        /// The topic.
        #[arg(long)]
        topic: String,
        /// Only in this partition; may be repeated.
        #[arg(long)]
        partition: Vec<i32>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct ResetGroup {
    /// The group.
    pub(crate) name: String,
    /// The topic.
    #[arg(long)]
    pub(crate) topic: String,
    /// Only in this partition; may be repeated.
    #[arg(long)]
    pub(crate) partition: Vec<i32>,
    /// Where to: start, end, an offset, a time (RFC 3339, or -2h for two hours ago), or +N and -N for so many records
    /// on or back from where it is.
    #[arg(long, allow_hyphen_values = true, value_parser = moment::shift)]
    pub(crate) to: Position,
    /// Does it.
    #[arg(long)]
    pub(crate) execute: bool,
}
