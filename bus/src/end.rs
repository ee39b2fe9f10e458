//! Why and when a connection is given up, by either of its halves.

use std::time::Duration;

use crate::call::Refused;

/// The rest of a request that has begun must come in this time, and an answer must be taken in this time.
pub(crate) const STALLED: Duration = Duration::from_secs(60);

/// Why a connection ends that could have gone on.
pub(crate) enum End {
    /// The client went, or was idle, or the broker stops.
    Quiet,
    /// What came in can't be answered.
    Refused(String),
}

impl From<std::io::Error> for End {
    fn from(_: std::io::Error) -> Self {
        Self::Quiet
    }
}

impl From<Refused> for End {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused.to_string())
    }
}
