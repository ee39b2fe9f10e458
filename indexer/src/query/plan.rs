//! What a search is going to do, before it does it: by which scores and in which order, over which parts.

use std::sync::Arc;

use jiff::Timestamp;

use super::clause::Clause;
use super::compile;
use super::error::EsError;
use super::fields::{Place, place};
use super::request::SearchRequest;
use super::scoring::{Scores, Statistics};
use super::sort::{SortField, Written};
use crate::aggregate;
use crate::schema::TIMESTAMP;
use crate::store::part::Place as Stored;
use crate::store::registry::{FieldType, Mapping};
use crate::store::{Part, View};

/// Documents in the parts that a search can't pass over.
pub(crate) fn docs_to_look_at(view: &View, query: &Clause) -> u64 {
    let (lower, upper) = compile::time_bounds(query, Timestamp::now());
    let needed = |part: &&Arc<Part>| lower <= *part.time_ns.end() && *part.time_ns.start() <= upper;
    view.parts.iter().filter(needed).map(|part| part.docs()).sum()
}

/// Which scores are wanted: by default hits come by them; with another order they must be asked for.
pub(super) fn scores(view: &View, request: &SearchRequest) -> Scores {
    let asked =
        request.track_scores || request.min_score.is_some() || request.sort.iter().any(|sort| sort.field == "_score");
    if !asked && (!request.sort.is_empty() || request.size == 0) {
        return Scores::Unwanted;
    }
    match request.query.same_score() {
        Some(score) => Scores::Same(score),
        None => {
            Scores::Each(Arc::new(Statistics::within(view, compile::time_bounds(&request.query, Timestamp::now()))))
        }
    }
}

/// The order asked for, or the best and then the newest first.
pub(super) fn order(request: &SearchRequest, scores: &Scores) -> Vec<SortField> {
    let by_score = || SortField::new("_score", true);
    let newest = || SortField::new(TIMESTAMP, true);
    match request.sort.as_slice() {
        // Where all scores are equal, what is newest comes first.
        [] if scores.is_each() => vec![by_score(), newest()],
        [] => vec![newest()],
        [only] if only.field == "_score" => vec![only.clone(), newest()],
        asked => asked.to_vec(),
    }
}

/// The parts that can hold a match, in the order in which they are best looked at.
pub(super) fn parts<'v>(
    view: &'v View,
    request: &SearchRequest,
    query: &Clause,
    first: Option<&SortField>,
    now: Timestamp,
) -> Result<Vec<(usize, &'v Arc<Part>)>, EsError> {
    let (lower, upper) = compile::time_bounds(query, now);
    // Some aggregations look at more than what matches.
    let all = aggregate::needs_all_parts(&request.aggregations);
    let needed = |part: &Part| all || lower <= *part.time_ns.end() && *part.time_ns.start() <= upper;
    let mut parts: Vec<(usize, &Arc<Part>)> = view.parts.iter().enumerate().filter(|(_, part)| needed(part)).collect();
    // What may hold the first hits comes first, so that later parts need not be sorted through.
    let Some(first) = first else { return Ok(parts) };
    match first.field.as_str() {
        TIMESTAMP if !first.descending => parts.sort_by_key(|(_, part)| *part.time_ns.start()),
        "_doc" | "_shard_doc" | "_seq_no" => {
            let mut keyed = Vec::with_capacity(parts.len());
            for (place, part) in parts {
                let key = match part.reader.fast_fields().u64("seq") {
                    Ok(seq) if first.descending => !seq.max_value(),
                    Ok(seq) => seq.min_value(),
                    // What can't be read is found out when it is searched.
                    Err(_) if part.place == Stored::Cold => 0,
                    Err(error) => return Err(error.into()),
                };
                keyed.push((key, place, part));
            }
            keyed.sort_by_key(|(key, ..)| *key);
            parts = keyed.into_iter().map(|(_, place, part)| (place, part)).collect();
        }
        _ => {}
    }
    Ok(parts)
}

/// Sorting by a field that no index has is refused, unless the request says what to make of it; so is collapsing, which
/// would take all hits for one.
pub(super) fn check_fields(view: &View, request: &SearchRequest) -> Result<(), EsError> {
    if let Some(field) = request.collapse.as_ref().map(|collapse| &collapse.field)
        && !view.mappings.is_empty()
        && !view.mappings.values().any(|mapping| place(mapping, field) != Place::Nowhere)
    {
        return Err(EsError::argument(format!("no mapping found for `{field}` in order to collapse on")));
    }
    for sort in &request.sort {
        let is_known = |mapping: &Mapping| place(mapping, &sort.field) != Place::Nowhere;
        let is_special = matches!(sort.field.as_str(), "_score" | "_doc" | "_shard_doc" | "_seq_no");
        if !is_special
            && !sort.unmapped
            && !view.mappings.is_empty()
            && !view.mappings.values().any(|map| is_known(map))
        {
            let reason = format!("No mapping found for [{}] in order to sort on", sort.field);
            return Err(EsError::new(400, "query_shard_exception", reason));
        }
    }
    Ok(())
}

/// What the values of a field are in all of the indexes that have it.
pub(super) fn written(view: &View, field: &str) -> Written {
    let one = |mapping: &Mapping| match place(mapping, field) {
        Place::Time | Place::Value(_, FieldType::Date) => Some(Written::Date),
        Place::Value(_, FieldType::Long | FieldType::Double | FieldType::Boolean) => Some(Written::Number),
        Place::Value(_, FieldType::Keyword) | Place::Index => Some(Written::Text),
        _ => matches!(field, "_score" | "_doc" | "_shard_doc" | "_seq_no").then_some(Written::Number),
    };
    let mut kinds: Vec<Written> = view.mappings.values().filter_map(|mapping| one(mapping)).collect();
    kinds.dedup();
    match kinds.as_slice() {
        [only] => *only,
        // Nothing else looks like a date.
        several if several.contains(&Written::Date) => Written::Date,
        _ => Written::Anything,
    }
}
