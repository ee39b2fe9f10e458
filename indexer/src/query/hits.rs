//! The hits of an answer: reads the events behind the chosen documents and shows of them what was asked for.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use serde_json::{Map, Value};
use tantivy::{DocId, DocSet as _};

use super::answer::{Hit, Hits};
use super::clause::Clause;
use super::columns::{Texts, Values};
use super::compile::{self, Target};
use super::error::EsError;
use super::execute::{Run, search};
use super::fetch;
use super::highlight::Highlighter;
use super::limits::Allowance;
use super::named::Names;
use super::request::Collapse;
use super::scoring::Scores;
use super::sort::SortValue;
use super::top::Found;
use crate::schema::IGNORED;
use crate::store::registry::Mapping;
use crate::store::source::Sources;
use crate::store::{Part, View};

impl Run<'_> {
    pub(super) fn fetch(&self, view: &View, chosen: &[Found], allowance: &Allowance) -> Result<Vec<Hit>, EsError> {
        let request = self.request;
        let highlighter = request.highlight.as_ref().map(|highlight| Highlighter::new(highlight, &request.query));
        let needs_event = highlighter.is_some() || !request.fields.is_empty() || !request.docvalue_fields.is_empty();
        let mut parts: HashMap<usize, OfPart> = HashMap::new();
        let mut named: HashMap<&str, Vec<(&str, Clause)>> = HashMap::new();
        let mut hits = Vec::with_capacity(chosen.len());
        let empty = Mapping::default();
        let names: HashMap<&str, Names<'_>> = match needs_event {
            true => view.mappings.iter().map(|(index, mapping)| (index.as_ref(), Names::of(mapping))).collect(),
            false => HashMap::new(),
        };
        let no_names = Names::of(&empty);
        for found in chosen {
            if allowance.stopped().is_some_and(|why| why == super::limits::Stopped::Cancelled) {
                return Err(EsError::cancelled());
            }
            let Some(part) = view.parts.get(found.part) else { continue };
            let mut show = || -> Result<Hit, EsError> {
                let mapping = view.mappings.get(&part.index).map_or(&empty, AsRef::as_ref);
                let named = match named.entry(part.index.as_ref()) {
                    Entry::Occupied(known) => known.into_mut(),
                    Entry::Vacant(new) => new.insert(self.named(&part.index, view, allowance)?),
                };
                let of_part = match parts.entry(found.part) {
                    Entry::Occupied(known) => known.into_mut(),
                    Entry::Vacant(new) => new.insert(OfPart::open(part, mapping)?),
                };
                let is_needed = needs_event || !request.source.hidden;
                let source = if is_needed { of_part.sources.get(found.doc)? } else { Vec::new() };
                let what = "the events of its page; ask for fewer, or for less of them with [_source]";
                allowance.take_bytes(source.len(), what)?;
                let (mut fields, mut highlight) = (Map::new(), None);
                if needs_event && let Ok(event) = serde_json::from_slice::<Value>(&source) {
                    let names = names.get(part.index.as_ref()).unwrap_or(&no_names);
                    fetch::fields(&event, names, &request.fields, &mut fields);
                    fetch::fields(&event, names, &request.docvalue_fields, &mut fields);
                    highlight = highlighter.as_ref().and_then(|highlighter| highlighter.marked(&event, names));
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
                Ok(Hit {
                    index: part.index.to_string(),
                    id: fetch::id(part, found.doc)?,
                    ignored: of_part.ignored(found.doc)?,
                    version: if request.version { Some(part.version_of(found.doc)?) } else { None },
                    seq_no: seq,
                    primary_term: seq.map(|_| 1),
                    score: self.score(found),
                    source: fetch::shown(&source, &request.source),
                    fields: (!fields.is_empty()).then_some(fields),
                    highlight,
                    sort: (!request.sort.is_empty()).then(|| sort.collect()),
                    matched_queries: self.matched(named, part, found.doc, mapping)?,
                    inner_hits,
                })
            };
            let hit = show();
            hits.extend(self.failures.pass(part, hit, allowance)?);
        }
        Ok(hits)
    }

    /// The names of the clauses that a hit matches.
    fn matched(
        &self,
        named: &[(&str, Clause)],
        part: &Part,
        doc: DocId,
        mapping: &Mapping,
    ) -> Result<Vec<String>, EsError> {
        let mut names = Vec::new();
        for (name, clause) in named {
            let query = compile::compile(clause, Target { index: &part.index, mapping, now: self.now })?;
            let mut docs = Scores::Unwanted.weight(query.as_ref())?.scorer(&part.reader, 1.0)?;
            if docs.doc() <= doc && docs.seek(doc) == doc {
                names.push((*name).to_owned());
            }
        }
        names.dedup();
        Ok(names)
    }

    /// The clauses that have names, with the words of an index.
    fn named(&self, index: &str, view: &View, allowance: &Allowance) -> Result<Vec<(&str, Clause)>, EsError> {
        let mut named = Vec::new();
        let mut add = |name, clause: &Clause| named.push((name, clause.clone().without_scores()));
        self.request.query.each_named(&mut add);
        if let Some(filter) = &self.request.post_filter {
            filter.each_named(&mut add);
        }
        let Some((index, _)) = view.mappings.get_key_value(index) else { return Ok(named) };
        for (_, clause) in named.iter_mut().filter(|(_, clause)| clause.needs_terms()) {
            *clause = self.with_words(clause, view, index, allowance)?;
        }
        Ok(named)
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
            let hits = match search(view, &request, allowance) {
                Ok(found) => {
                    self.failures.take_over(&found.shards);
                    found.hits
                }
                Err(EsError { status: 503, reason, index: Some(index), .. }) => {
                    self.failures.note(&index, &reason);
                    Hits::default()
                }
                Err(error) => return Err(error),
            };
            let hits = serde_json::to_value(hits).map_err(EsError::internal)?;
            shown.insert(name.clone(), serde_json::json!({ "hits": hits }));
        }
        Ok(shown)
    }
}

/// What is opened once for all hits of a part.
struct OfPart {
    sources: Sources,
    /// `_ignored`, where the part has it.
    ignored: Option<Texts>,
}

impl OfPart {
    fn open(part: &Part, mapping: &Mapping) -> Result<Self, EsError> {
        let ignored = match Values::open(part, mapping, IGNORED)? {
            Values::Strings(column) => Some(column),
            _ => None,
        };
        Ok(Self { sources: Sources::open(part)?, ignored })
    }

    /// The fields of a document with values that do not fit them.
    fn ignored(&self, doc: DocId) -> Result<Vec<String>, EsError> {
        let mut found = Vec::new();
        let Some(column) = &self.ignored else { return Ok(found) };
        for ord in column.ords().values_for_doc(doc) {
            let mut name = String::new();
            if column.ord_to_str(ord, &mut name)? {
                found.push(name);
            }
        }
        Ok(found)
    }
}
