//! Indexes: what there is, which fields they have, making and removing them, waiting for what was written.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use logmill_indexer_api::text::Wildcard;
use serde_json::{Map, Value, json};

use super::Api;
use super::answer::{self, Answer};
use super::params::Params;
use crate::query::error::EsError;
use crate::query::execute::Shards;
use crate::query::strict::Members;
use crate::store::registry::{FieldType, Mapping};
use crate::store::{ChangeError, IndexSummary, View};

/// How long `_refresh` waits for what was written through this API.
const REFRESH_WAIT: Duration = Duration::from_secs(30);

/// The chosen indexes, no parts.
fn chosen(api: &Api, index: &str, params: &mut Params) -> Result<View, EsError> {
    let ignore_unavailable = params.flag("ignore_unavailable")?.unwrap_or(false);
    match api.store.view(index, Some(&super::NO_PARTS)) {
        Err(_) if ignore_unavailable => Ok(View::default()),
        found => Ok(found?),
    }
}

fn summaries(api: &Api, view: &View) -> Vec<IndexSummary> {
    api.store.indices().into_iter().filter(|summary| view.mappings.contains_key(&summary.name)).collect()
}

impl From<ChangeError> for EsError {
    fn from(error: ChangeError) -> Self {
        let reason = error.to_string();
        match error {
            ChangeError::Exists(name) => {
                Self { index: Some(name), ..Self::new(400, "resource_already_exists_exception", reason) }
            }
            ChangeError::Missing(missing) => Self::no_index(&missing.0),
            ChangeError::Name(_) => Self::new(400, "invalid_index_name_exception", reason),
            _ => Self::internal(reason),
        }
    }
}

pub(super) async fn create(State(api): State<Api>, Path(index): Path<String>, query: RawQuery, body: Body) -> Answer {
    let mut params = Params::new(query.0.as_deref());
    params.ignore(&["timeout"]);
    params.end("/{index}")?;
    let body = api.bodies.read_json(body).await?;
    if !body.is_null() {
        let mut members = Members::new(body, "the index")?;
        // How many shards and copies: one of each here, whatever is asked for.
        members.ignore(&["settings"]);
        for key in ["mappings", "aliases"] {
            if members.take(key).is_some_and(|value| value.as_object().is_none_or(|map| !map.is_empty())) {
                let reason =
                    format!("[{key}] of an index can't be chosen: types come from the first value of each field");
                return Err(EsError::argument(reason));
            }
        }
        members.end()?;
    }
    api.store.create_index(&index).await?;
    Ok(answer::json(&json!({ "acknowledged": true, "shards_acknowledged": true, "index": index })))
}

pub(super) async fn create_data_stream(State(api): State<Api>, Path(name): Path<String>) -> Answer {
    api.store.create_index(&name).await?;
    Ok(answer::json(&json!({ "acknowledged": true })))
}

pub(super) async fn delete(State(api): State<Api>, Path(index): Path<String>, query: RawQuery) -> Answer {
    let mut params = Params::new(query.0.as_deref());
    params.ignore(&["timeout"]);
    let view = chosen(&api, &index, &mut params)?;
    params.end("/{index}")?;
    if index.contains(['*', '?']) || index == "_all" {
        return Err(EsError::argument(
            "Wildcard expressions or all indices are not allowed: name the indexes to delete",
        ));
    }
    // What was acknowledged before goes too, and must not make the index anew when it arrives.
    let _ = api.store.wait_visible(&api.writer.written(), REFRESH_WAIT).await;
    for name in view.mappings.keys() {
        api.store.delete_index(name).await?;
        api.writer.forget_index(name);
    }
    Ok(answer::json(&json!({ "acknowledged": true })))
}

/// `GET` and `HEAD <index>`.
pub(super) async fn describe(State(api): State<Api>, Path(index): Path<String>, query: RawQuery) -> Answer {
    let mut params = Params::new(query.0.as_deref());
    params.ignore(&["flat_settings", "include_defaults", "features"]);
    let view = chosen(&api, &index, &mut params)?;
    params.end("/{index}")?;
    let mut shown = Map::new();
    for summary in summaries(&api, &view) {
        let mapping = view.mappings.get(&summary.name).map(|mapping| properties(mapping)).unwrap_or_default();
        shown.insert(
            summary.name.to_string(),
            json!({ "aliases": {}, "mappings": { "properties": mapping }, "settings": { "index": settings_of(&summary) } }),
        );
    }
    Ok(answer::json(&Value::Object(shown)))
}

pub(super) fn settings_of(summary: &IndexSummary) -> Value {
    json!({
        "number_of_shards": "1", "number_of_replicas": "0", "provided_name": summary.name.as_ref(), "uuid": summary.uuid.as_ref(),
        "creation_date": summary.created_ms.to_string(), "version": { "created": "8170000" },
    })
}

pub(super) async fn settings_all(state: State<Api>, query: RawQuery) -> Answer {
    settings(state, Path("_all".to_owned()), query).await
}

pub(super) async fn settings(State(api): State<Api>, Path(index): Path<String>, query: RawQuery) -> Answer {
    let mut params = Params::new(query.0.as_deref());
    params.ignore(&["flat_settings", "include_defaults"]);
    let view = chosen(&api, &index, &mut params)?;
    params.end("/_settings")?;
    let shown: Map<String, Value> = summaries(&api, &view)
        .iter()
        .map(|summary| (summary.name.to_string(), json!({ "settings": { "index": settings_of(summary) } })))
        .collect();
    Ok(answer::json(&Value::Object(shown)))
}

pub(super) async fn aliases_all(state: State<Api>, query: RawQuery) -> Answer {
    aliases(state, Path("_all".to_owned()), query).await
}

pub(super) async fn aliases(State(api): State<Api>, Path(index): Path<String>, query: RawQuery) -> Answer {
    let mut params = Params::new(query.0.as_deref());
    let view = chosen(&api, &index, &mut params)?;
    params.end("/_alias")?;
    let shown: Map<String, Value> =
        view.mappings.keys().map(|name| (name.to_string(), json!({ "aliases": {} }))).collect();
    Ok(answer::json(&Value::Object(shown)))
}

pub(super) async fn resolve(State(api): State<Api>, Path(index): Path<String>, query: RawQuery) -> Answer {
    let mut params = Params::new(query.0.as_deref());
    let view = chosen(&api, &index, &mut params)?;
    params.end("/_resolve/index")?;
    let indices: Vec<Value> =
        view.mappings.keys().map(|name| json!({ "name": name.as_ref(), "attributes": ["open"] })).collect();
    Ok(answer::json(&json!({ "indices": indices, "aliases": [], "data_streams": [] })))
}

pub(super) async fn mapping_all(state: State<Api>, query: RawQuery) -> Answer {
    mapping(state, Path("_all".to_owned()), query).await
}

pub(super) async fn mapping(State(api): State<Api>, Path(index): Path<String>, query: RawQuery) -> Answer {
    let mut params = Params::new(query.0.as_deref());
    let view = chosen(&api, &index, &mut params)?;
    params.end("/_mapping")?;
    let shown: Map<String, Value> = view
        .mappings
        .iter()
        .map(|(name, mapping)| (name.to_string(), json!({ "mappings": { "properties": properties(mapping) } })))
        .collect();
    Ok(answer::json(&Value::Object(shown)))
}

/// Dotted paths as nested properties. Where a path is a value and an object both, what is below keeps its dots.
pub(super) fn properties(mapping: &Mapping) -> Map<String, Value> {
    let mut root = Map::new();
    for (path, field_type) in mapping {
        insert(&mut root, path, *field_type);
    }
    root
}

fn insert(properties: &mut Map<String, Value>, path: &str, field_type: FieldType) {
    let leaf = || json!({ "type": field_type.es_name() });
    let Some((head, tail)) = path.split_once('.') else {
        properties.insert(path.to_owned(), leaf());
        return;
    };
    let is_value = properties.get(head).is_some_and(|known| known.get("type").is_some_and(Value::is_string));
    if head.is_empty() || tail.is_empty() || is_value {
        properties.insert(path.to_owned(), leaf());
        return;
    }
    let object = properties.entry(head.to_owned()).or_insert_with(|| json!({ "properties": {} }));
    match object.get_mut("properties").and_then(Value::as_object_mut) {
        Some(inner) => insert(inner, tail, field_type),
        None => drop(properties.insert(path.to_owned(), leaf())),
    }
}

pub(super) async fn field_caps_all(state: State<Api>, query: RawQuery, body: Body) -> Answer {
    field_caps(state, Path("_all".to_owned()), query, body).await
}

pub(super) async fn field_caps(
    State(api): State<Api>,
    Path(index): Path<String>,
    query: RawQuery,
    body: Body,
) -> Answer {
    let mut params = Params::new(query.0.as_deref());
    let mut wanted = params.list("fields").unwrap_or_default();
    let include_unmapped = params.flag("include_unmapped")?.unwrap_or(false);
    params.ignore(&["include_empty_fields", "filters", "types"]);
    let view = chosen(&api, &index, &mut params)?;
    params.end("/_field_caps")?;
    let body = api.bodies.read_json(body).await?;
    if !body.is_null() {
        let mut members = Members::new(body, "[_field_caps]")?;
        wanted.extend(members.strings("fields")?.unwrap_or_default());
        // Narrows which indexes are looked at; without it there may be more fields, never fewer.
        members.ignore(&["index_filter", "runtime_mappings"]);
        members.end()?;
    }
    if wanted.is_empty() {
        return Err(EsError::new(
            400,
            "action_request_validation_exception",
            "Validation Failed: 1: no fields specified;",
        ));
    }
    let patterns: Vec<Wildcard> = wanted.iter().map(|name| Wildcard::new(name)).collect();
    let indices: Vec<&str> = view.mappings.keys().map(AsRef::as_ref).collect();
    Ok(answer::json(&json!({ "indices": indices, "fields": capabilities(&view, &patterns, include_unmapped) })))
}

fn capabilities(view: &View, patterns: &[Wildcard], include_unmapped: bool) -> Map<String, Value> {
    let is_wanted = |name: &str| patterns.iter().any(|pattern| pattern.matches(name));
    let mut found: BTreeMap<&str, BTreeMap<&'static str, BTreeSet<&str>>> = BTreeMap::new();
    for (index, mapping) in &view.mappings {
        for (name, field_type) in mapping.iter().filter(|(name, _)| is_wanted(name)) {
            found.entry(name).or_default().entry(field_type.es_name()).or_default().insert(index);
        }
    }
    let mut fields = Map::new();
    for (name, types) in found {
        let with: BTreeSet<&str> = types.values().flatten().copied().collect();
        let several = types.len() > 1 || include_unmapped && with.len() < view.mappings.len();
        let mut shown = Map::new();
        for (kind, indices) in &types {
            let mut one =
                json!({ "type": kind, "metadata_field": false, "searchable": true, "aggregatable": *kind != "text" });
            if let (true, Some(map)) = (several, one.as_object_mut()) {
                map.insert("indices".to_owned(), json!(indices));
            }
            shown.insert((*kind).to_owned(), one);
        }
        if include_unmapped && with.len() < view.mappings.len() {
            let without: Vec<&str> =
                view.mappings.keys().map(AsRef::as_ref).filter(|index| !with.contains(index)).collect();
            let unmapped = json!({ "type": "unmapped", "metadata_field": false, "searchable": false, "aggregatable": false, "indices": without });
            shown.insert("unmapped".to_owned(), unmapped);
        }
        fields.insert(name.to_owned(), Value::Object(shown));
    }
    for (name, kind, aggregatable) in [("_id", "_id", false), ("_index", "_index", true), ("_source", "_source", false)]
    {
        if is_wanted(name) && !view.mappings.is_empty() {
            let one = json!({ "type": kind, "metadata_field": true, "searchable": name != "_source", "aggregatable": aggregatable });
            fields.insert(name.to_owned(), json!({ kind: one }));
        }
    }
    fields
}

/// Waits until everything that was written through this API can be found.
pub(super) async fn refresh(State(api): State<Api>, query: RawQuery) -> Answer {
    let mut params = Params::new(query.0.as_deref());
    params.ignore(&["ignore_unavailable"]);
    params.end("/_refresh")?;
    let written = api.writer.written();
    if !written.is_empty() && !api.store.wait_visible(&written, REFRESH_WAIT).await {
        return Err(EsError::new(
            503,
            "timeout_exception",
            "the index is far behind the bus; what was written is not searchable yet",
        ));
    }
    Ok(answer::json(&json!({ "_shards": Shards::of(1) })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dotted_paths_become_properties() {
        let mapping: Mapping = [
            ("log.level".to_owned(), FieldType::Keyword),
            ("log.file.path".to_owned(), FieldType::Keyword),
            ("n".to_owned(), FieldType::Long),
            ("n.inner".to_owned(), FieldType::Double),
        ]
        .into();
        let expected = json!({
            "log": {"properties": {"level": {"type": "keyword"}, "file": {"properties": {"path": {"type": "keyword"}}}}},
            "n": {"type": "long"}, "n.inner": {"type": "double"},
        });
        assert_eq!(Value::Object(properties(&mapping)), expected);
    }
}
