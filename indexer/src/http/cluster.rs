//! Who answers and how it is doing: `/`, `_cluster/health`, `_nodes`, `_license`, and the freshness of the index.

use axum::extract::{RawQuery, State};
use serde_json::json;

use super::Api;
use super::answer::{self, Answer};
use super::params::Params;

/// The version of the API that is spoken; clients choose what they send by it.
const API_VERSION: &str = "8.17.0";

pub(super) async fn info() -> Answer {
    Ok(answer::json(&json!({
        "name": "logmill",
        "cluster_name": "logmill",
        "cluster_uuid": "logmill",
        "version": {
            "number": API_VERSION,
            "build_flavor": "default",
            "build_type": "logmill",
            "build_hash": env!("CARGO_PKG_VERSION"),
            "build_date": "2026-01-01T00:00:00.000Z",
            "build_snapshot": false,
            "lucene_version": "9.12.0",
            "minimum_wire_compatibility_version": "7.17.0",
            "minimum_index_compatibility_version": "7.0.0",
        },
        "tagline": "You Know, for Search",
    })))
}

pub(super) async fn health(State(api): State<Api>, query: RawQuery) -> Answer {
    let mut params = Params::new(query.0.as_deref());
    // There is one node and it is there, so whatever is waited for has come.
    params.ignore(&[
        "level",
        "timeout",
        "wait_for_status",
        "wait_for_nodes",
        "wait_for_no_relocating_shards",
        "wait_for_no_initializing_shards",
        "wait_for_events",
    ]);
    params.end("/_cluster/health")?;
    let shards = api.store.indices().len();
    Ok(answer::json(&json!({
        "cluster_name": "logmill",
        "status": if api.board.is_ready() { "green" } else { "yellow" },
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
    })))
}

pub(super) async fn nodes(State(api): State<Api>) -> Answer {
    let address = api.board.snapshot().addresses.into_values().next().unwrap_or_default();
    Ok(answer::json(&json!({
        "_nodes": { "total": 1, "successful": 1, "failed": 0 },
        "cluster_name": "logmill",
        "nodes": { "logmill": {
            "name": "logmill",
            "version": API_VERSION,
            "roles": ["data", "ingest", "master"],
            "http": { "publish_address": address },
        } },
    })))
}

pub(super) async fn license() -> Answer {
    // What Logstash asks for before it sends: that there is a licence and that it is active.
    Ok(answer::json(
        &json!({ "license": { "status": "active", "uid": "logmill", "type": "basic", "issued_to": "logmill", "issuer": "logmill" } }),
    ))
}

/// How far searches are behind the bus: not of Elasticsearch's API.
pub(super) async fn freshness(State(api): State<Api>) -> Answer {
    let freshness = api.store.freshness();
    let up_to = freshness.indexed_up_to.map(|instant| format!("{instant:.3}"));
    Ok(answer::json(&json!({ "indexed_up_to": up_to, "behind": freshness.behind })))
}
