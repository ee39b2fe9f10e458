//! The hits of an answer: reads the events behind the chosen documents and shows of them what was asked for.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use serde_json::{Map, Value};
use tantivy::{DocId, DocSet as _};

use super::answer::Hit;
use super::clause::Clause;
use super::collapse::Collapse;
use super::compile::{self, Target};
use super::error::EsError;
use super::execute::{Run, search};
use super::fetch;
use super::highlight::Highlighter;
use super::limits::Allowance;
use super::scoring::Scores;
use super::sort::SortValue;
use super::top::Found;
use crate::store::registry::Mapping;
use crate::store::source::Sources;
use crate::store::{Part, View};

impl Run<'_> {
    pub(super) fn fetch(&self, view: &View, chosen: &[Found], allowance: &Allowance) -> Result<Vec<Hit>, EsError> {
        let request = self.request;
        let highlighter = request.highlight.as_ref().map(|highlight| Highlighter::new(highlight, &request.query));
        let needs_event = highlighter.is_some() || !request.fields.is_empty() || !request.docvalue_fields.is_empty();
        let mut stores: HashMap<usize, Sources> = HashMap::new();
        let mut named = Vec::new();
        request.query.each_named(&mut |name, clause| named.push((name, clause)));
        if let Some(filter) = &request.post_filter {
            filter.each_named(&mut |name, clause| named.push((name, clause)));
        }
        let mut hits = Vec::with_capacity(chosen.len());
        let empty = Mapping::default();
        for found in chosen {
            if allowance.stopped().is_some_and(|why| why == super::limits::Stopped::Cancelled) {
                return Err(EsError::cancelled());
            }
            let Some(part) = view.parts.get(found.part) else { continue };
            let store = match stores.entry(found.part) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => new.insert(Sources::open(part)?),
            };
            let source = if request.source.hidden && !needs_event { Vec::new() } else { store.get(found.doc)? };
            let what = "the events of its page; ask for fewer, or for less of them with [_source]";
            allowance.take_bytes(source.len(), what)?;
            let (mut fields, mut highlight) = (Map::new(), None);
            if needs_event && let Ok(event) = serde_json::from_slice::<Value>(&source) {
                let mapping = view.mappings.get(&part.index).map_or(&empty, AsRef::as_ref);
                fetch::fields(&event, mapping, &request.fields, &mut fields);
                fetch::fields(&event, mapping, &request.docvalue_fields, &mut fields);
                highlight = highlighter.as_ref().and_then(|highlighter| highlighter.marked(&event));
            }
            if let (Some(collapse), Some(group)) = (&request.collapse, &found.group) {
                fields.insert(collapse.field.clone(), Value::Array(vec![group.to_json(None)]));
            }
            let inner_hits = match (&request.collapse, &found.group) {
                (Some(collapse), Some(group)) if !collapse.inner.is_empty() => {
                    Some(self.inner_hits(view, collapse, group, allowance)?)
                }
                _ => None,
            };
            let seq = if request.seq_no { part.reader.fast_fields().u64("seq")?.first(found.doc) } else { None };
            let sort = request.sort.iter().zip(&found.order).map(|(field, value)| field.show(value));
            hits.push(Hit {
                index: part.index.to_string(),
                id: fetch::id(part, found.doc)?,
                version: if request.version { Some(part.version_of(found.doc)?) } else { None },
                seq_no: seq,
                primary_term: seq.map(|_| 1),
                score: self.score(found),
                source: fetch::shown(&source, &request.source),
                fields: (!fields.is_empty()).then_some(fields),
                highlight,
                sort: (!request.sort.is_empty()).then(|| sort.collect()),
                matched_queries: self.matched(&named, part, found.doc, view)?,
                inner_hits,
            });
        }
        Ok(hits)
    }

    /// The names of the clauses that a hit matches.
    fn matched(&self, named: &[(&str, &Clause)], part: &Part, doc: DocId, view: &View) -> Result<Vec<String>, EsError> {
        let mut names = Vec::new();
        let empty = Mapping::default();
        let mapping = view.mappings.get(&part.index).map_or(&empty, AsRef::as_ref);
        for (name, clause) in named {
            let clause = (*clause).clone().without_scores();
            let query = compile::compile(&clause, Target { index: &part.index, mapping, now: self.now })?;
            let mut docs = Scores::Unwanted.weight(query.as_ref())?.scorer(&part.reader, 1.0)?;
            if docs.doc() <= doc && docs.seek(doc) == doc {
                names.push((*name).to_owned());
            }
        }
        names.dedup();
        Ok(names)
    }

    fn score(&self, found: &Found) -> Option<f64> {
        match &self.scores {
            Scores::Unwanted => None,
            Scores::Same(score) => Some(f64::from(*score)),
            Scores::Each(_) => Some(f64::from(found.score)),
        }
    }

    fn inner_hits(
        &self,
        view: &View,
        collapse: &Collapse,
        group: &SortValue,
        allowance: &Allowance,
    ) -> Result<Map<String, Value>, EsError> {
        let mut shown = Map::new();
        for (name, inner) in &collapse.inner {
            let request = collapse.inner_search(self.request, inner, group);
            let found = search(view, &request, allowance)?;
            let hits = serde_json::to_value(found.hits).map_err(EsError::internal)?;
            shown.insert(name.clone(), serde_json::json!({ "hits": hits }));
        }
        Ok(shown)
    }
}
