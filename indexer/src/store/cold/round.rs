//! One round of the work on cold splits. Every step is tried, whatever became of those before it: what one split waits
//! for must not hold up the others.

use jiff::Timestamp;

use super::ColdError;
use crate::store::Store;

/// What a round did, in splits.
#[derive(Debug, Default)]
pub(crate) struct Round {
    pub(crate) removed: u64,
    pub(crate) rewritten: u64,
    pub(crate) frozen: u64,
    /// It looked for what no manifest names, to the end.
    pub(crate) swept: bool,
    /// What went wrong first.
    pub(crate) failed: Option<ColdError>,
}

impl Round {
    fn note<T: Default>(&mut self, done: Result<T, ColdError>) -> T {
        done.unwrap_or_else(|error| {
            self.failed.get_or_insert(error);
            T::default()
        })
    }
}

impl Store {
    /// Does what is due for cold splits, one of each kind; `sweep` also looks for what no manifest names.
    pub(crate) fn cold_round(&self, now: Timestamp, sweep: bool) -> Round {
        let mut round = Round::default();
        round.note(self.reopen_absent());
        let removed = round.note(self.remove_cold());
        let left = if sweep { round.note(self.sweep_cold().map(Some)) } else { None };
        if let Some(splits) = left.filter(|splits| *splits > 0) {
            tracing::info!(splits, "removed from the object store what no manifest names");
        }
        round.swept = left.is_some();
        round.removed = (removed + left.unwrap_or(0)) as u64;
        round.rewritten = round.note(self.rewrite_cold_erased(now.as_millisecond())).into();
        round.frozen = round.note(self.freeze_one(i64::try_from(now.as_nanosecond()).unwrap_or(i64::MAX))).into();
        round
    }
}
