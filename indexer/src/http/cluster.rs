//! How the cluster of one is doing: `_cluster/*`, and the freshness of the index.

use std::collections::BTreeMap;

use axum::Router;
use axum::extract::{Path, RawQuery, State};
use axum::routing::{get, put};
use serde_json::{Map, Value, json};

use super::answer::{self, Answer};
use super::human::humanize;
use super::identity::CLUSTER_UUID;
use super::named::Indices;
use super::node::{self, NODE, color};
use super::nodes;
use super::params::Params;
use super::{Api, settings, stats};
use crate::query::error::EsError;
use crate::store::mapping::render;
use crate::store::names::Expand;

pub(super) fn routes() -> Router<Api> {
    Router::new()
        .route("/_cluster/health", get(health))
        .route("/_cluster/health/{index}", get(health))
        .route("/_cluster/state", get(state_all))
        .route("/_cluster/state/{metrics}", get(state_of))
        .route("/_cluster/state/{metrics}/{index}", get(state_in))
        .route("/_cluster/settings", get(settings))
        .route("/_cluster/settings", put(set_settings))
        .route("/_cluster/stats", get(stats_of_all))
        .route("/_cluster/pending_tasks", get(pending_tasks))
        .route("/_logmill/freshness", get(freshness))
}

async fn health(State(api): State<Api>, Indices(index): Indices, query: RawQuery) -> Answer {
    let mut params = Params::new(query.0.as_deref());
    let level = params.take("level").unwrap_or_else(|| "cluster".to_owned());
    // There is one node and it is there, so whatever is waited for has come.
    params.ignore(&[
        "timeout",
        "wait_for_status",
        "wait_for_nodes",
        "wait_for_no_relocating_shards",
        "wait_for_no_initializing_shards",
        "wait_for_events",
    ]);
    let expand = params.expand(Expand::All)?;
    params.end("/_cluster/health")?;
    let summaries = stats::chosen(&api, &index, expand)?;
    let (shards, color) = (summaries.len(), color(api.board.is_ready()));
    let mut shown = json!({
        "cluster_name": "logmill",
        "status": color,
        "timed_out": false,
        "number_of_nodes": 1,
        "number_of_data_nodes": 1,
        "active_primary_shards": shards,
        "active_shards": shards,
        "relocating_shards": 0,
        "initializing_shards": 0,
        "unassigned_shards": 0,
        "delayed_unassigned_shards": 0,
        "number_of_pending_tasks": 0,
        "number_of_in_flight_fetch": 0,
        "task_max_waiting_in_queue_millis": 0,
        "active_shards_percent_as_number": 100.0,
    });
    let counts = json!({ "status": color, "active_primary_shards": 1, "active_shards": 1, "relocating_shards": 0, "initializing_shards": 0, "unassigned_shards": 0 });
    let with = |extra: Value| {
        let mut one = counts.clone();
        if let (Some(one), Value::Object(extra)) = (one.as_object_mut(), extra) {
            one.extend(extra);
        }
        one
    };
    let index_of = |with_shards: bool| {
        let mut one = with(json!({ "number_of_shards": 1, "number_of_replicas": 0 }));
        if let (true, Some(one)) = (with_shards, one.as_object_mut()) {
            one.insert("shards".to_owned(), json!({ "0": with(json!({ "primary_active": true })) }));
        }
        one
    };
    let with_shards = match level.as_str() {
        "cluster" => return Ok(answer::json(&shown)),
        "indices" => false,
        "shards" => true,
        other => {
            return Err(EsError::argument(format!(
                "unknown level [{other}]: only cluster, indices and shards are known"
            )));
        }
    };
    let each: Map<String, Value> =
        summaries.iter().map(|summary| (summary.name.to_string(), index_of(with_shards))).collect();
    if let Some(shown) = shown.as_object_mut() {
        shown.insert("indices".to_owned(), Value::Object(each));
    }
    Ok(answer::json(&shown))
}

async fn state_all(state: State<Api>, query: RawQuery) -> Answer {
    state_in(state, Path(("_all".to_owned(), "_all".to_owned())), query).await
}

async fn state_of(state: State<Api>, Path(metrics): Path<String>, query: RawQuery) -> Answer {
    state_in(state, Path((metrics, "_all".to_owned())), query).await
}

async fn state_in(State(api): State<Api>, Path((metrics, index)): Path<(String, String)>, query: RawQuery) -> Answer {
    let mut params = Params::new(query.0.as_deref());
    params.ignore(&["flat_settings", "ignore_unavailable", "wait_for_metadata_version", "wait_for_timeout"]);
    let expand = params.expand(Expand::All)?;
    params.end("/_cluster/state")?;
    const KNOWN: [&str; 7] =
        ["version", "master_node", "cluster_manager_node", "blocks", "nodes", "metadata", "routing_table"];
    let asked: Vec<&str> = metrics.split(',').map(str::trim).collect();
    if let Some(unknown) = asked.iter().find(|metric| **metric != "_all" && !KNOWN.contains(*metric)) {
        return Err(EsError::argument(format!(
            "request [/_cluster/state/{metrics}] contains unsupported metric: [{unknown}]; there are {}",
            KNOWN.join(", ")
        )));
    }
    let is_asked = |metric: &str| asked.contains(&"_all") || asked.contains(&metric);
    let summaries = stats::chosen(&api, &index, expand)?;
    let mut shown = Map::new();
    let mut add = |key: &str, value: Value| drop(shown.insert(key.to_owned(), value));
    add("cluster_name", json!("logmill"));
    add("cluster_uuid", json!(CLUSTER_UUID));
    if is_asked("version") {
        add("version", json!(1));
        add("state_uuid", json!(CLUSTER_UUID));
    }
    if is_asked("master_node") {
        add("master_node", json!(NODE));
    }
    if is_asked("cluster_manager_node") {
        add("cluster_manager_node", json!(NODE));
    }
    if is_asked("blocks") {
        add("blocks", json!({}));
    }
    if is_asked("nodes") {
        let node = json!({ "name": NODE, "ephemeral_id": NODE, "transport_address": node::address(&api), "attributes": {}, "roles": node::ROLES });
        add("nodes", json!({ NODE: node }));
    }
    if is_asked("metadata") {
        let view = api.store.view_expanding(&index, expand, Some(&super::NO_PARTS))?;
        let one = |summary: &crate::store::IndexSummary| {
            let mapping = view.mappings.get(&summary.name).map(|mapping| render::shown(mapping)).unwrap_or_default();
            let facts = api.store.facts(&summary.name).unwrap_or_default().into_iter().next();
            let settings = facts.as_ref().map(|facts| settings::all_of(facts).nested()).unwrap_or_default();
            let aliases: Vec<&String> = facts.iter().flat_map(|facts| facts.facts.aliases.keys()).collect();
            let state =
                json!({ "state": "open", "settings": settings, "mappings": { "_doc": mapping }, "aliases": aliases });
            (summary.name.to_string(), state)
        };
        let indices: Map<String, Value> = summaries.iter().map(one).collect();
        add("metadata", json!({ "cluster_uuid": CLUSTER_UUID, "cluster_uuid_committed": true, "indices": indices }));
    }
    if is_asked("routing_table") {
        let one = |summary: &crate::store::IndexSummary| {
            let shard = json!({ "state": "STARTED", "primary": true, "node": NODE, "relocating_node": null, "shard": 0, "index": summary.name.as_ref() });
            (summary.name.to_string(), json!({ "shards": { "0": [shard] } }))
        };
        let indices: Map<String, Value> = summaries.iter().map(one).collect();
        add("routing_table", json!({ "indices": indices }));
    }
    Ok(answer::json(&Value::Object(shown)))
}

async fn settings(query: RawQuery) -> Answer {
    let mut params = Params::new(query.0.as_deref());
    let with_defaults = params.flag("include_defaults")?.unwrap_or(false);
    params.ignore(&["flat_settings", "timeout"]);
    params.end("/_cluster/settings")?;
    let mut shown = json!({ "persistent": {}, "transient": {} });
    if let (true, Some(shown)) = (with_defaults, shown.as_object_mut()) {
        shown.insert("defaults".to_owned(), json!({}));
    }
    Ok(answer::json(&shown))
}

async fn set_settings() -> Answer {
    Err(EsError::argument("cluster settings can't be changed here: they are the section [indexer] of logmill.yml"))
}

async fn stats_of_all(State(api): State<Api>, query: RawQuery) -> Answer {
    let mut params = Params::new(query.0.as_deref());
    let human = params.flag("human")?.unwrap_or(false);
    params.ignore(&["timeout", "flat_settings"]);
    params.end("/_cluster/stats")?;
    let summaries = api.store.indices();
    let view = api.store.view("_all", None)?;
    let docs: u64 = summaries.iter().map(|summary| summary.docs).sum();
    let bytes: u64 = summaries.iter().map(|summary| summary.bytes).sum();
    let deleted: usize = view.parts.iter().map(|part| part.deleted.len()).sum();
    let mut fields: BTreeMap<&str, usize> = BTreeMap::new();
    for field_type in view.mappings.values().flat_map(|mapping| mapping.values()) {
        *fields.entry(field_type.es_name()).or_default() += 1;
    }
    let field_types: Vec<Value> =
        fields.into_iter().map(|(name, count)| json!({ "name": name, "count": count })).collect();
    let mut shown = json!({
        "_nodes": node::ONE,
        "cluster_name": "logmill",
        "cluster_uuid": CLUSTER_UUID,
        "timestamp": jiff::Timestamp::now().as_millisecond(),
        "status": color(api.board.is_ready()),
        "indices": {
            "count": summaries.len(),
            "shards": { "total": summaries.len(), "primaries": summaries.len(), "replication": 0.0 },
            "docs": { "count": docs, "deleted": deleted },
            "store": { "size_in_bytes": bytes },
            "segments": { "count": view.parts.len() },
            "mappings": { "field_types": field_types },
        },
        "nodes": {
            "count": { "total": 1, "data": 1, "ingest": 1, "master": 1 },
            "versions": [api.identity.version()],
            "os": nodes::os_totals(),
            "process": nodes::process_totals(),
            "fs": nodes::disk(&api),
        },
    });
    if human {
        humanize(&mut shown);
    }
    Ok(answer::json(&shown))
}

async fn pending_tasks(query: RawQuery) -> Answer {
    Params::new(query.0.as_deref()).end("/_cluster/pending_tasks")?;
    // What changes the cluster is done before it is answered.
    Ok(answer::json(&json!({ "tasks": [] })))
}

/// How far searches are behind the bus: not of Elasticsearch's API.
async fn freshness(State(api): State<Api>) -> Answer {
    let freshness = api.store.freshness();
    let up_to = freshness.indexed_up_to.map(|instant| format!("{instant:.3}"));
    Ok(answer::json(&json!({ "indexed_up_to": up_to, "behind": freshness.behind })))
}
