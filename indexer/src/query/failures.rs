//! Cold splits that a search could not read: they are told as failed shards, and the rest is answered.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use super::answer::{NO_SHARD, ShardFailure, Shards};
use super::error::EsError;
use super::limits::{Allowance, Stopped};
use crate::store::part::Place;
use crate::store::{Part, View};

/// What could not be read, by index, and whether anything could.
#[derive(Debug, Default)]
pub(super) struct Failures {
    reasons: RefCell<BTreeMap<String, String>>,
    read: Cell<bool>,
}

impl Failures {
    /// Of a search for events of a time, before anything is read.
    pub(super) fn of(view: &View, (lower, upper): (i64, i64)) -> Self {
        let failures = Self::default();
        for (index, absent) in &view.absent {
            if lower <= absent.split.newest_ns && absent.split.oldest_ns <= upper {
                failures.note(index, &absent.reason);
            }
        }
        failures
    }

    pub(super) fn note(&self, index: &str, reason: &str) {
        self.reasons.borrow_mut().entry(index.to_owned()).or_insert_with(|| reason.to_owned());
    }

    /// Notes what a search within this one could not read.
    pub(super) fn take_over(&self, inner: &Shards) {
        for failure in &inner.failures {
            self.note(&failure.index, &failure.reason.reason);
        }
    }

    /// Takes what reading a part came to: `None` when it is cold and could not be read, which is noted.
    ///
    /// # Errors
    /// When it failed for another reason.
    pub(super) fn pass<T>(
        &self,
        part: &Part,
        done: Result<T, EsError>,
        allowance: &Allowance,
    ) -> Result<Option<T>, EsError> {
        let is_cancelled = || allowance.stopped() == Some(Stopped::Cancelled);
        match done {
            Ok(done) => {
                self.read.set(true);
                Ok(Some(done))
            }
            Err(error) if error.status == 500 && part.place == Place::Cold && !is_cancelled() => {
                self.note(&part.index, &error.reason);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// The shards of the answer, when there is one.
    ///
    /// # Errors
    /// When nothing could be read, or the request wants all or nothing.
    pub(super) fn shards(&self, total: usize, partial: bool) -> Result<Shards, EsError> {
        let reasons = self.reasons.borrow();
        let Some((index, reason)) = reasons.iter().next() else { return Ok(Shards::of(total)) };
        if !partial || !self.read.get() {
            let mut error = EsError::new(503, NO_SHARD, reason.clone());
            error.index = Some(index.clone());
            error.phase = Some("query");
            return Err(error);
        }
        let failures: Vec<_> = reasons.iter().map(|(index, reason)| ShardFailure::new(index, reason)).collect();
        let failed = failures.len();
        Ok(Shards { total, successful: total.saturating_sub(failed), skipped: 0, failed, failures })
    }
}
