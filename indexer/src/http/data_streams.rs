//! Data streams. A stream is one index of its name, whose splits come and go by themselves: what Elasticsearch does
//! with backing indexes and rollover happens inside, and is only shown as the one backing index that there always is.

use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use serde_json::{Value, json};

use super::Api;
use super::answer::{self, Answer};
use super::params::Params;
use super::templates::said::read_lifecycle;
use crate::query::error::EsError;
use crate::store::IndexFacts;
use crate::store::directory;
use crate::store::facts::backing_name;
use crate::store::settings::LIFECYCLE_NAME;

/// The data streams that an expression names.
fn streams(api: &Api, expression: &str) -> Result<Vec<IndexFacts>, EsError> {
    let mut found: Vec<IndexFacts> = api.store.facts(expression).map_err(EsError::from)?;
    found.retain(|index| index.facts.data_stream.is_some());
    if found.is_empty() && !expression.contains('*') && expression != "_all" {
        return Err(EsError::no_index(expression));
    }
    Ok(found)
}

pub(super) async fn get_all(state: State<Api>, query: RawQuery) -> Answer {
    get(state, Path("*".to_owned()), query).await
}

pub(super) async fn get(State(api): State<Api>, Path(name): Path<String>, query: RawQuery) -> Answer {
    let mut params = Params::new(query.0.as_deref());
    params.ignore(&["include_defaults", "verbose"]);
    params.end("/_data_stream")?;
    let shown: Vec<Value> = streams(&api, &name)?.iter().map(|index| shown(index, &api)).collect();
    Ok(answer::json(&json!({ "data_streams": shown })))
}

fn shown(index: &IndexFacts, api: &Api) -> Value {
    let stream = index.facts.data_stream.clone().unwrap_or_default();
    let backing = backing_name(&index.name, index.created_ms);
    let policy = index.facts.settings.get(LIFECYCLE_NAME);
    let managed_by = match (policy, &stream.lifecycle) {
        (Some(_), _) => "Index Lifecycle Management",
        (None, Some(_)) => "Data stream lifecycle",
        (None, None) => "Unmanaged",
    };
    let mut of_index = json!({ "index_name": backing, "index_uuid": index.uuid.as_ref(), "prefer_ilm": true, "managed_by": managed_by });
    let template = stream.template.clone();
    let mut of_stream = json!({
        "name": index.name.as_ref(),
        "timestamp_field": { "name": "@timestamp" },
        "generation": 1,
        "status": "GREEN",
        "next_generation_managed_by": managed_by,
        "prefer_ilm": true,
        "hidden": stream.hidden,
        "system": false,
        "allow_custom_routing": false,
        "replicated": false,
        "rollover_on_write": false,
    });
    if let (Some(of_index), Some(of_stream)) = (of_index.as_object_mut(), of_stream.as_object_mut()) {
        if let Some(policy) = policy {
            of_index.insert("ilm_policy".to_owned(), policy.into());
            of_stream.insert("ilm_policy".to_owned(), policy.into());
        }
        of_stream.insert("indices".to_owned(), json!([of_index]));
        of_stream.extend(template.as_ref().map(|name| ("template".to_owned(), name.as_str().into())));
        of_stream.extend(stream.lifecycle.map(|lifecycle| ("lifecycle".to_owned(), with_enabled(&lifecycle))));
        let directory = api.store.directory();
        let meta = template.and_then(|name| directory.index_templates.get(&name)?.meta.clone());
        of_stream.extend(meta.map(|meta| ("_meta".to_owned(), meta)));
    }
    of_stream
}

fn with_enabled(lifecycle: &Value) -> Value {
    let mut shown = lifecycle.clone();
    if let Some(map) = shown.as_object_mut() {
        map.entry("enabled").or_insert(true.into());
    }
    shown
}

pub(super) async fn create(State(api): State<Api>, Path(name): Path<String>) -> Answer {
    if api.store.directory().template_for(&name).is_some_and(|(_, template)| template.data_stream.is_none()) {
        let reason = format!("matching index template for data stream [{name}] has no [data_stream] in it");
        return Err(EsError::argument(reason));
    }
    super::changing(&api, move |store| Ok(store.create_with(&name, &directory::Body::default(), true)?)).await?;
    Ok(answer::json(&json!({ "acknowledged": true })))
}

pub(super) async fn delete(State(api): State<Api>, Path(name): Path<String>) -> Answer {
    for index in streams(&api, &name)? {
        super::indices::remove(&api, &index.name).await?;
    }
    Ok(answer::json(&json!({ "acknowledged": true })))
}

pub(super) async fn stats_all(state: State<Api>) -> Answer {
    stats(state, Path("*".to_owned())).await
}

pub(super) async fn stats(State(api): State<Api>, Path(name): Path<String>) -> Answer {
    let streams = streams(&api, &name)?;
    let summaries = api.store.indices();
    let mut bytes = 0;
    let shown: Vec<Value> = streams
        .iter()
        .map(|index| {
            let summary = summaries.iter().find(|summary| summary.name == index.name);
            let size = summary.map_or(0, |summary| summary.bytes);
            bytes += size;
            let newest_ms = summary.and_then(|summary| summary.newest_ns).map_or(0, |nanos| nanos.div_euclid(1_000_000));
            json!({ "data_stream": index.name.as_ref(), "backing_indices": 1, "store_size_bytes": size, "maximum_timestamp": newest_ms })
        })
        .collect();
    Ok(answer::json(&json!({
        "_shards": { "total": streams.len(), "successful": streams.len(), "failed": 0 },
        "data_stream_count": streams.len(),
        "backing_indices": streams.len(),
        "total_store_size_bytes": bytes,
        "data_streams": shown,
    })))
}

pub(super) async fn get_lifecycle(State(api): State<Api>, Path(name): Path<String>) -> Answer {
    let shown: Vec<Value> = streams(&api, &name)?
        .iter()
        .map(|index| {
            let lifecycle = index.facts.data_stream.as_ref().and_then(|stream| stream.lifecycle.as_ref());
            match lifecycle {
                Some(lifecycle) => json!({ "name": index.name.as_ref(), "lifecycle": with_enabled(lifecycle) }),
                None => json!({ "name": index.name.as_ref() }),
            }
        })
        .collect();
    Ok(answer::json(&json!({ "data_streams": shown })))
}

pub(super) async fn put_lifecycle(State(api): State<Api>, Path(name): Path<String>, body: Body) -> Answer {
    let body = api.bodies.read_json(body).await?;
    let lifecycle = read_lifecycle(if body.is_null() { json!({}) } else { body })?;
    set_lifecycle(&api, &name, Some(lifecycle)).await
}

pub(super) async fn delete_lifecycle(State(api): State<Api>, Path(name): Path<String>) -> Answer {
    set_lifecycle(&api, &name, None).await
}

async fn set_lifecycle(api: &Api, name: &str, lifecycle: Option<Value>) -> Answer {
    let chosen = streams(api, name)?;
    super::changing(api, move |store| {
        store.amend(|catalog| {
            let changed = chosen.iter().filter_map(|index| {
                let mut facts = crate::store::facts::Facts::clone(&catalog.indexes.get(&index.name)?.facts);
                facts.data_stream.get_or_insert_default().lifecycle.clone_from(&lifecycle);
                Some((index.name.clone(), facts))
            });
            Ok::<_, EsError>(changed.collect())
        })
    })
    .await?;
    Ok(answer::json(&json!({ "acknowledged": true })))
}

/// `_rollover`: splits are cut and sealed by themselves, so there is never anything to do.
pub(super) async fn rollover(State(api): State<Api>, Path(name): Path<String>, query: RawQuery, body: Body) -> Answer {
    let mut params = Params::new(query.0.as_deref());
    let dry_run = params.flag("dry_run")?.unwrap_or(false);
    params.ignore(&["timeout", "lazy"]);
    params.end("/_rollover")?;
    let body = api.bodies.read_json(body).await?;
    let conditions: serde_json::Map<String, Value> = body
        .get("conditions")
        .and_then(Value::as_object)
        .map(|map| {
            map.iter()
                .map(|(key, value)| {
                    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                    (format!("[{key}: {text}]"), false.into())
                })
                .collect()
        })
        .unwrap_or_default();
    let found = api.store.facts(&name).map_err(EsError::from)?;
    let [index] = found.as_slice() else {
        return Err(EsError::argument(format!("rollover target [{name}] does not point to a single index")));
    };
    let shown = if index.facts.data_stream.is_some() {
        backing_name(&index.name, index.created_ms)
    } else {
        index.name.to_string()
    };
    Ok(answer::json(
        &json!({ "acknowledged": false, "shards_acknowledged": false, "old_index": shown, "new_index": shown,
        "rolled_over": false, "dry_run": dry_run, "conditions": conditions }),
    ))
}
