//! Why one document matches, and how its score comes about.

use std::sync::Arc;

use jiff::Timestamp;
use tantivy::{DocSet as _, TERMINATED};

use super::clause::Clause;
use super::compile::{self, Target};
use super::error::EsError;
use super::expand::Lookup;
use super::limits::Allowance;
use super::scoring::{Scores, Statistics};
use crate::store::View;
use crate::store::registry::Mapping;

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
    for part in &view.parts {
        allowance.check()?;
        let mapping = view.mappings.get(&part.index).map_or(&empty, AsRef::as_ref);
        let target = Target { index: &part.index, mapping, now };
        let weight = Scores::Unwanted.weight(compile::compile(&wanted, target)?.as_ref())?;
        let mut docs = weight.scorer(&part.reader, 1.0)?;
        while docs.doc() != TERMINATED && !part.is_alive(docs.doc()) {
            docs.advance();
        }
        let document = docs.doc();
        if document == TERMINATED {
            continue;
        }
        let parts = view.parts.iter().filter(|other| other.index == part.index).map(AsRef::as_ref).collect();
        let clause = Lookup { parts, mapping, allowance }.expand(clause)?;
        let weight = scores.weight(compile::compile(&clause, target)?.as_ref())?;
        let mut docs = weight.scorer(&part.reader, 1.0)?;
        if docs.doc() > document || docs.seek(document) != document {
            return Ok(Some((part.index.clone(), None)));
        }
        let explanation = weight.explain(&part.reader, document)?;
        let shown = serde_json::to_value(&explanation).map_err(EsError::internal)?;
        return Ok(Some((part.index.clone(), Some(shown))));
    }
    Ok(None)
}
