//! Results in the shapes that Elasticsearch answers with, level by level.

use serde_json::{Map, Value};

use super::aggregator::{Aggregation, Kind};
use super::partial::{Bucket, Partial};
use super::pipeline::run;
use super::shown::{Answer, Row, Shown, Span};
use crate::query::error::EsError;

/// Shows the results of a request's aggregations; none at all when no part was searched.
pub(crate) fn render(wanted: &[Aggregation], found: Option<Vec<Partial>>) -> Result<Value, EsError> {
    Shown::default().all(wanted, found.unwrap_or_default()).map(Value::Object)
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
                    run::over_rows(&aggregation.children, &mut rows)?;
                    members.insert("buckets".to_owned(), buckets(rows, keyed));
                    members
                }
            };
            map.insert(aggregation.name.clone(), Value::Object(aggregation.with_meta(members)));
        }
        run::beside(wanted, &mut map)?;
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
        self.take_bucket()?;
        let mut map = Map::new();
        for (name, value) in members {
            if let Some(value) = value {
                map.insert(name.to_owned(), value);
            }
        }
        map.insert("doc_count".to_owned(), bucket.count.into());
        let kept = run::kept(children, &bucket.children);
        map.append(&mut self.all(children, bucket.children)?);
        Ok(Row { name, members: map, kept })
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
