//! Why one document matches, and how its score comes about.

use std::sync::Arc;

use jiff::Timestamp;
use tantivy::{DocId, DocSet as _, TERMINATED};

use super::clause::Clause;
use super::compile::{self, ALL_TIMES, Target};
use super::error::EsError;
use super::expand::with_words;
use super::failures::Failures;
use super::limits::Allowance;
use super::scoring::{Scores, Statistics};
use crate::store::registry::Mapping;
use crate::store::{Part, View};

/// The index of a document and, when it matches, how its score comes about.
pub(crate) type Explained = (Arc<str>, Option<serde_json::Value>);

/// Explains the score of a document; `None` when there is no such document.
pub(crate) fn explain(
    view: &View,
    clause: &Clause,
    id: &str,
    allowance: &Allowance,
) -> Result<Option<Explained>, EsError> {
    let _entered = allowance.enter();
    let scores = Scores::Each(Arc::new(Statistics::new(view)));
    let now = Timestamp::now();
    let wanted = Clause::Ids(vec![id.to_owned()]);
    let empty = Mapping::default();
    let failures = Failures::of(view, ALL_TIMES);
    for part in &view.parts {
        allowance.check()?;
        let in_part = || -> Result<Option<Explained>, EsError> {
            let mapping = view.mappings.get(&part.index).map_or(&empty, AsRef::as_ref);
            let target = Target { index: &part.index, mapping, now };
            let Some(document) = first(part, &wanted, target)? else { return Ok(None) };
            let clause = with_words(clause, view, &part.index, ALL_TIMES, &failures, allowance)?;
            let weight = scores.weight(compile::compile(&clause, target)?.as_ref())?;
            let mut docs = weight.scorer(&part.reader, 1.0)?;
            if docs.doc() > document || docs.seek(document) != document {
                return Ok(Some((part.index.clone(), None)));
            }
            let explanation = weight.explain(&part.reader, document)?;
            let shown = serde_json::to_value(&explanation).map_err(EsError::internal)?;
            Ok(Some((part.index.clone(), Some(shown))))
        };
        if let Some(explained) = failures.pass(part, in_part(), allowance)?.flatten() {
            // Without the words of what could not be read it may seem not to match.
            failures.shards(view.mappings.len(), false)?;
            return Ok(Some(explained));
        }
    }
    // It may be in what could not be read.
    failures.shards(view.mappings.len(), false)?;
    Ok(None)
}

/// The first living document of a part that a clause matches.
fn first(part: &Part, clause: &Clause, target: Target<'_>) -> Result<Option<DocId>, EsError> {
    let weight = Scores::Unwanted.weight(compile::compile(clause, target)?.as_ref())?;
    let mut docs = weight.scorer(&part.reader, 1.0)?;
    while docs.doc() != TERMINATED && !part.is_alive(docs.doc()) {
        docs.advance();
    }
    Ok(Some(docs.doc()).filter(|doc| *doc != TERMINATED))
}
