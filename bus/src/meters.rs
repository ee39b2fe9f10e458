//! What the broker counts.

mod api;
pub(crate) mod collector;
mod traffic;

use std::collections::BTreeMap;
use std::sync::Arc;

use logmill_core::StatusBoard;
use logmill_core::scrape::Series;
use logmill_core::stage::Counter;

use crate::handlers::SERVED;

pub(crate) use api::ApiMeter;
pub(crate) use traffic::Traffic;

/// Running totals, on the board.
#[derive(Debug)]
pub(crate) struct Meters {
    /// Records taken in.
    pub(crate) records: Counter,
    /// Bytes of batches taken in.
    pub(crate) bytes_in: Counter,
    /// Bytes of batches given out.
    pub(crate) bytes_out: Counter,
    /// Requests answered or refused.
    pub(crate) requests: Counter,
    /// Connections closed because of what came in on them.
    pub(crate) refused: Counter,
    /// What clients asked for and may not do.
    pub(crate) denied: Counter,
    /// Logins that failed.
    pub(crate) failed_logins: Counter,
    /// Bytes that compaction has won.
    pub(crate) compacted_bytes: Counter,
    /// Records removed that a pinned group had not read.
    pub(crate) pinned_dropped: Counter,
    /// One for each API that is served, by its key.
    apis: BTreeMap<i16, (String, Arc<ApiMeter>)>,
    /// Where gauges and problems go.
    pub(crate) board: Arc<StatusBoard>,
}

impl Meters {
    pub(crate) fn new(board: Arc<StatusBoard>) -> Self {
        Self {
            records: board.counter("records"),
            bytes_in: board.counter("bytes_in"),
            bytes_out: board.counter("bytes_out"),
            requests: board.counter("requests"),
            refused: board.counter("connections_refused"),
            denied: board.counter("denied"),
            failed_logins: board.counter("failed_logins"),
            compacted_bytes: board.counter("compacted_bytes"),
            pinned_dropped: board.counter("retention_pinned_dropped"),
            apis: SERVED
                .iter()
                .map(|served| (served.api as i16, (format!("{:?}", served.api), Arc::default())))
                .collect(),
            board,
        }
    }

    /// The meter of an API that is served.
    pub(crate) fn api(&self, key: i16) -> Option<&Arc<ApiMeter>> {
        self.apis.get(&key).map(|(_, meter)| meter)
    }

    fn collect_apis(&self, series: &mut Series) {
        self.apis.values().for_each(|(name, meter)| meter.collect(name, series));
    }
}
