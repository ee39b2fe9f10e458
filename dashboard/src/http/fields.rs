//! Which fields there are, and which values stand in one: `GET /api/fields`, `POST /api/fields/values`.

use axum::extract::{Query, State};
use axum::{Json, response::IntoResponse};
use logmill_indexer_api::Ast;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::error::Body;
use super::{ApiError, Shared};
use crate::auth::Viewer;
use crate::search::{Scope, Selection, dsl, total_of};

#[derive(Deserialize)]
pub(super) struct Asked {
    index: Option<String>,
}

/// A field, as the sidebar shows it.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct FieldInfo {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    searchable: bool,
    aggregatable: bool,
}

/// All fields, by name.
pub(super) async fn list(
    State(app): State<Shared>,
    _: Viewer,
    Query(asked): Query<Asked>,
) -> Result<impl IntoResponse, ApiError> {
    let selection = Selection { index: asked.index, ..Selection::default() };
    let answer = app.indexer.field_caps(selection.index(&app.config.index)?).await?;
    Ok(Json(fields_of(&answer)))
}

fn fields_of(answer: &Value) -> Vec<FieldInfo> {
    let fields = answer.get("fields").and_then(Value::as_object);
    let info = |(name, types): (&String, &Value)| {
        let flag = |caps: &Value, key: &str| caps.get(key).and_then(Value::as_bool).unwrap_or(false);
        // Indices may disagree on a type: the first is shown. Objects have no values of their own.
        let (kind, caps) = types.as_object()?.iter().find(|(kind, caps)| {
            !["object", "nested", "unmapped"].contains(&kind.as_str()) && !flag(caps, "metadata_field")
        })?;
        let (searchable, aggregatable) = (flag(caps, "searchable"), flag(caps, "aggregatable"));
        // Elasticsearch's own fields (_source, _seq_no, …) are not the events'.
        (!name.starts_with('_')).then(|| FieldInfo { name: name.clone(), kind: kind.clone(), searchable, aggregatable })
    };
    let mut found: Vec<_> = fields.into_iter().flatten().filter_map(info).collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

#[derive(Deserialize)]
pub(super) struct ValuesRequest {
    #[serde(flatten)]
    scope: Scope,
    field: String,
    #[serde(default)]
    prefix: String,
    size: Option<usize>,
}

/// Values of one field unless asked otherwise, and at most.
const VALUES_DEFAULT: usize = 10;
const VALUES_MAX: usize = 500;

/// The most frequent values within the scope.
pub(super) async fn values(
    State(app): State<Shared>,
    _: Viewer,
    Body(asked): Body<ValuesRequest>,
) -> Result<impl IntoResponse, ApiError> {
    if asked.field.is_empty() {
        return Err(ApiError::bad_request("`field` is empty"));
    }
    let index = asked.scope.selection.index(&app.config.index)?;
    let range = asked.scope.range(jiff::Timestamp::now(), &jiff::tz::TimeZone::UTC)?;
    let ast = asked.scope.selection.ast()?;
    let with_field = dsl(&Ast::and(vec![ast.clone(), Ast::exists(&asked.field)]), [range.dsl()]);
    let size = asked.size.unwrap_or(VALUES_DEFAULT).clamp(1, VALUES_MAX);
    // Where a prefix is asked for, more are fetched and the fitting ones kept: numbers have prefixes only as text.
    let fetched = if asked.prefix.is_empty() { size } else { VALUES_MAX };
    let body = json!({
        "size": 0, "track_total_hits": true, "query": dsl(&ast, [range.dsl()]),
        "aggs": {
            "top": { "terms": { "field": asked.field, "size": fetched } },
            "distinct": { "cardinality": { "field": asked.field } },
        },
    });
    let (answer, with_field) = tokio::join!(app.indexer.search(index, &body), app.indexer.count(index, &with_field));
    let answer = answer?;
    let distinct = answer.pointer("/aggregations/distinct/value").and_then(Value::as_f64).unwrap_or(0.0);
    Ok(Json(json!({
        "field": asked.field,
        "total": total_of(&answer),
        "with_field": with_field?,
        "distinct": distinct as u64,
        "values": top_of(&answer, &asked.prefix, size),
    })))
}

fn top_of(answer: &Value, prefix: &str, size: usize) -> Vec<Value> {
    let prefix = prefix.to_lowercase();
    let buckets = answer.pointer("/aggregations/top/buckets").and_then(Value::as_array);
    let value = |bucket: &Value| {
        let key = bucket.get("key")?;
        // Booleans and dates come as numbers with their text beside them.
        let value = match bucket.get("key_as_string").and_then(Value::as_str) {
            Some("true") => json!(true),
            Some("false") => json!(false),
            Some(text) => json!(text),
            None => key.clone(),
        };
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let fits = text.to_lowercase().starts_with(&prefix);
        fits.then(|| json!({ "value": value, "count": bucket.get("doc_count").and_then(Value::as_u64).unwrap_or(0) }))
    };
    buckets.into_iter().flatten().filter_map(value).take(size).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_those_of_events() {
        let caps = |kind: &str| json!({ kind: { "type": kind, "searchable": true, "aggregatable": kind != "text" } });
        let answer = json!({ "fields": {
            "message": caps("text"), "@timestamp": caps("date"), "log": caps("object"), "_id": caps("keyword"),
        }});
        let found = fields_of(&answer);
        let names: Vec<_> = found.iter().map(|field| (field.name.as_str(), field.aggregatable)).collect();
        assert_eq!(names, [("@timestamp", true), ("message", false)]);
    }

    #[test]
    fn values_keep_their_kind_and_prefixes_work_on_numbers() {
        let answer = json!({ "aggregations": { "top": { "buckets": [
            {"key": 200, "doc_count": 9}, {"key": 404, "doc_count": 3}, {"key": 1, "key_as_string": "true", "doc_count": 2}] }}});
        assert_eq!(top_of(&answer, "", 10)[2], json!({"value": true, "count": 2}));
        assert_eq!(top_of(&answer, "40", 10), [json!({"value": 404, "count": 3})]);
        assert_eq!(top_of(&answer, "", 1).len(), 1);
    }
}
