//! The documents that a query matches, as plain numbers: for what is done to documents instead of showing them.

use jiff::Timestamp;
use tantivy::query::EnableScoring;
use tantivy::{DocSet as _, TERMINATED};

use super::clause::Clause;
use super::compile::{self, Target};
use super::error::EsError;
use super::failures::Failures;
use super::limits::{Allowance, Stopped};
use crate::schema::schema;
use crate::store::registry::Mapping;
use crate::store::{Doomed, Part, View};

/// Checks for a cancel are made every so many documents.
const DOCS_BETWEEN_CHECKS: usize = 1 << 14;

/// The living documents that match, by part, at most `max` in all.
pub(crate) fn matching(view: &View, query: &Clause, max: u64, allowance: &Allowance) -> Result<Vec<Doomed>, EsError> {
    let now = Timestamp::now();
    // Also where no part matches, a query that makes no sense must be refused.
    for (index, mapping) in &view.mappings {
        compile::compile(query, Target { index, mapping, now })?;
    }
    let mut left = max;
    let mut found = Vec::new();
    let empty = Mapping::default();
    let (lower, upper) = compile::time_bounds(query, now);
    // Who says that all is done must have looked everywhere.
    Failures::of(view, (lower, upper)).shards(0, false)?;
    let needed = |part: &&std::sync::Arc<Part>| lower <= *part.time_ns.end() && *part.time_ns.start() <= upper;
    for part in view.parts.iter().filter(needed) {
        let mapping = view.mappings.get(&part.index).map_or(&empty, AsRef::as_ref);
        let query = compile::compile(query, Target { index: &part.index, mapping, now })?;
        let weight = query.weight(EnableScoring::disabled_from_schema(&schema().0))?;
        let mut matches = weight.scorer(&part.reader, 1.0)?;
        let mut documents = Vec::new();
        let mut seen = 0;
        while left > 0 && matches.doc() != TERMINATED {
            if part.is_alive(matches.doc()) {
                documents.push(matches.doc());
                left -= 1;
            }
            matches.advance();
            seen += 1;
            if seen % DOCS_BETWEEN_CHECKS == 0 {
                check(allowance)?;
            }
        }
        if !documents.is_empty() {
            found.push(Doomed { part: part.clone(), documents });
        }
        check(allowance)?;
    }
    Ok(found)
}

fn check(allowance: &Allowance) -> Result<(), EsError> {
    match allowance.stopped() {
        None | Some(Stopped::Enough) => Ok(()),
        Some(Stopped::Cancelled) => Err(EsError::new(400, "task_cancelled_exception", "the task was cancelled")),
        Some(Stopped::Timeout) => {
            Err(EsError::new(504, "timeout_exception", "the documents were not found in time; narrow the query"))
        }
    }
}
