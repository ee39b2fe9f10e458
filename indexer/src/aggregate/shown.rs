//! Results in the shapes that Elasticsearch answers with.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::partial::{Bucket, Partial};
use super::pipeline;
use super::request::{Aggregation, Kind};
use crate::query::error::EsError;
use crate::query::limits::{BUCKETS_MAX, OWN_BYTES_MAX};

/// Shows the results of a request's aggregations; none at all when no part was searched.
pub(crate) fn render(wanted: &[Aggregation], found: Option<Vec<Partial>>) -> Result<Value, EsError> {
    let mut shown = Shown { buckets: 0, source_bytes: 0, spans: Vec::new() };
    shown.all(wanted, found.unwrap_or_default()).map(Value::Object)
}

/// Puts the type before each name (`sterms#levels`), as `typed_keys` asks for it.
pub(crate) fn add_types(wanted: &[Aggregation], shown: &mut Value) {
    let Some(map) = shown.as_object_mut() else { return };
    for aggregation in wanted {
        let Some(mut value) = map.shift_remove(&aggregation.name) else { continue };
        let kind = match &aggregation.kind {
            Kind::Collected(collected) => collected.typed(&value),
            Kind::Pipeline(pipeline) => pipeline.typed(),
        };
        match value.get_mut("buckets") {
            Some(Value::Array(buckets)) => {
                buckets.iter_mut().for_each(|bucket| add_types(&aggregation.children, bucket));
            }
            Some(Value::Object(buckets)) => {
                buckets.values_mut().for_each(|bucket| add_types(&aggregation.children, bucket));
            }
            _ => add_types(&aggregation.children, &mut value),
        }
        map.insert(format!("{kind}#{}", aggregation.name), value);
    }
}

/// An aggregation's answer.
pub(super) enum Answer {
    /// A metric, or a bucket without a key.
    Members(Map<String, Value>),
    /// Buckets in order, beside other members.
    Buckets { members: Map<String, Value>, rows: Vec<Row>, keyed: bool },
}

/// A bucket of an answer.
#[derive(Debug, Default)]
pub(super) struct Row {
    /// Its name where buckets are shown as an object.
    pub(super) name: String,
    pub(super) members: Map<String, Value>,
    /// Results that a pipeline aggregation needs as more than the number that is shown, by their names.
    pub(super) kept: Vec<(String, Partial)>,
}

/// What is around a bucket of time: where it starts and ends, and the months that it takes, if it takes whole ones.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) start_ms: i64,
    pub(super) end_ms: i64,
    pub(super) months: Option<u32>,
}

/// An answer on its way.
pub(super) struct Shown {
    buckets: usize,
    source_bytes: usize,
    /// The buckets of time around what is shown, outermost first.
    pub(super) spans: Vec<Span>,
}

impl Shown {
    pub(super) fn all(&mut self, wanted: &[Aggregation], found: Vec<Partial>) -> Result<Map<String, Value>, EsError> {
        let mut found = found.into_iter();
        let mut map = Map::new();
        for aggregation in wanted {
            let Some(collected) = aggregation.collected() else { continue };
            let partial = found.next().unwrap_or_else(|| collected.empty());
            let members = match collected.show(&aggregation.children, partial, self)? {
                Answer::Members(members) => members,
                Answer::Buckets { mut members, mut rows, keyed } => {
                    pipeline::over_rows(&aggregation.children, &mut rows)?;
                    members.insert("buckets".to_owned(), buckets(rows, keyed));
                    members
                }
            };
            map.insert(aggregation.name.clone(), Value::Object(aggregation.with_meta(members)));
        }
        pipeline::beside(wanted, &mut map)?;
        Ok(map)
    }

    /// A bucket: its own members, the count, the aggregations below.
    pub(super) fn row<const N: usize>(
        &mut self,
        children: &[Aggregation],
        bucket: Bucket,
        name: String,
        members: [(&str, Option<Value>); N],
    ) -> Result<Row, EsError> {
        self.buckets += 1;
        if self.buckets > BUCKETS_MAX {
            return Err(too_many_buckets());
        }
        let mut map = Map::new();
        for (name, value) in members {
            if let Some(value) = value {
                map.insert(name.to_owned(), value);
            }
        }
        map.insert("doc_count".to_owned(), bucket.count.into());
        let kept = pipeline::kept(children, &bucket.children);
        map.append(&mut self.all(children, bucket.children)?);
        Ok(Row { name, members: map, kept })
    }

    /// Counts the bytes of an event against what one answer may carry.
    pub(super) fn take_source(&mut self, bytes: usize) -> Result<(), EsError> {
        self.source_bytes += bytes;
        if self.source_bytes <= OWN_BYTES_MAX {
            return Ok(());
        }
        let reason = format!(
            "the events of this answer have more than {OWN_BYTES_MAX} bytes; ask for fewer, or for fewer buckets"
        );
        Err(EsError::new(429, "circuit_breaking_exception", reason))
    }

    /// As [`Shown::row`], for a bucket of time.
    pub(super) fn row_in<const N: usize>(
        &mut self,
        span: Span,
        children: &[Aggregation],
        bucket: Bucket,
        name: String,
        members: [(&str, Option<Value>); N],
    ) -> Result<Row, EsError> {
        self.spans.push(span);
        let row = self.row(children, bucket, name, members);
        self.spans.pop();
        row
    }

    /// The answer of an aggregation that has one bucket.
    pub(super) fn only(&mut self, children: &[Aggregation], bucket: Bucket) -> Result<Answer, EsError> {
        Ok(Answer::Members(self.row(children, bucket, String::new(), [])?.members))
    }
}

/// An object by name, or an array.
fn buckets(rows: Vec<Row>, as_object: bool) -> Value {
    if as_object {
        Value::Object(rows.into_iter().map(|row| (row.name, Value::Object(row.members))).collect())
    } else {
        Value::Array(rows.into_iter().map(|row| Value::Object(row.members)).collect())
    }
}

pub(super) fn too_many_buckets() -> EsError {
    let reason = format!(
        "Trying to create too many buckets. Must be less than or equal to: [{BUCKETS_MAX}]; \
         use a larger interval, a smaller [size] or a narrower time range"
    );
    EsError::new(400, "too_many_buckets_exception", reason)
}

/// The slots of an answer that has as many as were asked for.
pub(super) fn slots(partial: Partial, number: usize) -> Vec<Bucket> {
    let mut slots = match partial {
        Partial::Slots(slots) => slots,
        _ => Vec::new(),
    };
    slots.resize_with(number, Bucket::default);
    slots
}

/// Adds the empty buckets between the first and the last, and out to the bounds.
pub(super) fn fill(
    buckets: &mut BTreeMap<i64, Bucket>,
    bounds: (Option<i64>, Option<i64>),
    next: impl Fn(i64) -> i64,
) -> Result<(), EsError> {
    let least = |a: Option<i64>, b: Option<i64>| a.into_iter().chain(b).min();
    let most = |a: Option<i64>, b: Option<i64>| a.into_iter().chain(b).max();
    let first = least(buckets.keys().next().copied(), bounds.0);
    let last = most(buckets.keys().next_back().copied(), bounds.1);
    let (Some(first), Some(last)) = (first, last) else { return Ok(()) };
    let mut at = first;
    let mut steps = 0;
    while at <= last {
        buckets.entry(at).or_default();
        let after = next(at);
        steps += 1;
        if steps > BUCKETS_MAX {
            return Err(too_many_buckets());
        }
        if after <= at {
            break;
        }
        at = after;
    }
    Ok(())
}
