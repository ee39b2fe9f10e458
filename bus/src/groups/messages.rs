//! What members ask of a group and what it answers, apart from any version of the wire format.

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;

/// A member wants in, or wants a new generation.
#[derive(Clone, Debug)]
pub(crate) struct Join {
    /// Empty the first time.
    pub(crate) member_id: String,
    /// Set for members whose place survives their restart.
    pub(crate) instance_id: Option<String>,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    pub(crate) protocol_type: String,
    /// How it can assign partitions, best first, each with what the leader should know.
    pub(crate) protocols: Vec<(String, Bytes)>,
    /// It is dead when it was not heard of for so long.
    pub(crate) session: Duration,
    /// How long others wait for it to come to a new generation.
    pub(crate) rebalance: Duration,
    /// Its client comes back with the id that it is given (version 4 and later).
    pub(crate) takes_id: bool,
    /// Its client understands "lead, but keep the assignment" (version 9 and later).
    pub(crate) may_skip_assignment: bool,
}

/// A member of the generation, as its leader is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct JoinedMember {
    pub(crate) member_id: String,
    pub(crate) instance_id: Option<String>,
    pub(crate) metadata: Bytes,
}

/// The answer to a join.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Joined {
    pub(crate) error: i16,
    pub(crate) generation: i32,
    pub(crate) protocol_type: Option<String>,
    pub(crate) protocol: Option<String>,
    pub(crate) leader: String,
    pub(crate) skip_assignment: bool,
    pub(crate) member_id: String,
    /// All members, for the leader alone.
    pub(crate) members: Vec<JoinedMember>,
}

impl Joined {
    pub(crate) const fn refused(error: i16, member_id: String) -> Self {
        Self {
            error,
            generation: -1,
            protocol_type: None,
            protocol: None,
            leader: String::new(),
            skip_assignment: false,
            member_id,
            members: Vec::new(),
        }
    }
}

/// A member asks for its assignment; the leader brings all of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sync {
    pub(crate) who: Who,
    pub(crate) protocol_type: Option<String>,
    pub(crate) protocol: Option<String>,
    pub(crate) assignments: Vec<(String, Bytes)>,
}

/// The answer to a sync.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Synced {
    pub(crate) error: i16,
    pub(crate) protocol_type: Option<String>,
    pub(crate) protocol: Option<String>,
    pub(crate) assignment: Bytes,
}

impl Synced {
    pub(crate) fn refused(error: i16) -> Self {
        Self { error, ..Self::default() }
    }
}

/// A member as it names itself after it joined.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Who {
    pub(crate) member_id: String,
    pub(crate) instance_id: Option<String>,
    pub(crate) generation: i32,
}

/// An answer that is ready to go, once what it rests on is on disk.
#[derive(Debug)]
pub(crate) enum Reply {
    Joined(oneshot::Sender<Joined>, Joined),
    Synced(oneshot::Sender<Synced>, Synced),
}

impl Reply {
    pub(crate) fn send(self) {
        // A client that has gone meanwhile will ask again, or be expired.
        match self {
            Self::Joined(to, answer) => drop(to.send(answer)),
            Self::Synced(to, answer) => drop(to.send(answer)),
        }
    }
}
