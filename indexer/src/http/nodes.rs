//! `_nodes`: the one node, where it is reached, and what it uses of the machine.

use axum::Router;
use axum::extract::{Path, RawQuery, State};
use axum::routing::get;
use serde_json::{Map, Value, json};

use super::Api;
use super::answer::{self, Answer};
use super::human::humanize;
use super::node::{NODE, ONE, ROLES, address, is_meant};
use super::params::Params;
use crate::query::error::EsError;

/// What can be asked of a node.
const INFO: [&str; 7] = ["settings", "os", "process", "http", "transport", "plugins", "ingest"];
const STATS: [&str; 4] = ["indices", "os", "process", "fs"];

pub(super) fn routes() -> Router<Api> {
    Router::new()
        .route("/_nodes", get(info_all))
        .route("/_nodes/{one}", get(info_one))
        .route("/_nodes/{node}/{metric}", get(info_two))
        .route("/_nodes/{node}/{stats}/{metric}", get(stats_three))
}

async fn info_all(State(api): State<Api>, query: RawQuery) -> Answer {
    info(&api, "_all", "_all", &query)
}

/// `_nodes/stats`, `_nodes/<metrics>` or `_nodes/<nodes>`.
async fn info_one(State(api): State<Api>, Path(one): Path<String>, query: RawQuery) -> Answer {
    match one.as_str() {
        "stats" => stats(&api, "_all", "_all", &query),
        "hot_threads" | "usage" | "reload_secure_settings" => Err(unsupported(&one)),
        _ if one == "_all" || one.split(',').all(|metric| INFO.contains(&metric)) => info(&api, "_all", &one, &query),
        _ => info(&api, &one, "_all", &query),
    }
}

/// `_nodes/stats/<metrics>`, `_nodes/<nodes>/stats` or `_nodes/<nodes>/<metrics>`.
async fn info_two(State(api): State<Api>, Path((first, second)): Path<(String, String)>, query: RawQuery) -> Answer {
    match (first.as_str(), second.as_str()) {
        ("stats", metrics) => stats(&api, "_all", metrics, &query),
        (node, "stats") => stats(&api, node, "_all", &query),
        (_, "hot_threads" | "usage" | "reload_secure_settings") => Err(unsupported(&second)),
        (node, metrics) => info(&api, node, metrics, &query),
    }
}

/// `_nodes/<nodes>/stats/<metrics>`, or `_nodes/stats/<metrics>/<metrics of indices>`.
async fn stats_three(
    State(api): State<Api>,
    Path((first, second, third)): Path<(String, String, String)>,
    query: RawQuery,
) -> Answer {
    match (first.as_str(), second.as_str()) {
        // Of the indices there is only a little, so what is narrowed further is all of it.
        ("stats", metrics) => stats(&api, "_all", metrics, &query),
        (node, "stats") => stats(&api, node, &third, &query),
        _ => Err(unsupported(&second)),
    }
}

fn unsupported(what: &str) -> EsError {
    EsError::argument(format!("[_nodes/{what}] is not supported: see /metrics"))
}

fn chosen<'m>(metrics: &'m str, known: &[&'static str], path: &str) -> Result<Vec<&'m str>, EsError> {
    let asked: Vec<&str> = metrics.split(',').map(str::trim).collect();
    match asked.iter().find(|metric| **metric != "_all" && !known.contains(metric)) {
        None => Ok(asked),
        Some(unknown) => Err(EsError::argument(format!(
            "request [{path}/{metrics}] contains unsupported metric: [{unknown}]; there are {}",
            known.join(", ")
        ))),
    }
}

fn nodes_answer(nodes: &str, node: impl FnOnce() -> Map<String, Value>) -> Value {
    if is_meant(nodes) {
        json!({ "_nodes": ONE, "cluster_name": "logmill", "nodes": { NODE: node() } })
    } else {
        json!({ "_nodes": { "total": 0, "successful": 0, "failed": 0 }, "cluster_name": "logmill", "nodes": {} })
    }
}

fn info(api: &Api, nodes: &str, metrics: &str, query: &RawQuery) -> Answer {
    let mut params = Params::new(query.0.as_deref());
    params.ignore(&["timeout", "flat_settings"]);
    params.end("/_nodes")?;
    let asked = chosen(metrics, &INFO, "/_nodes")?;
    let is_asked = |metric: &str| asked.contains(&"_all") || asked.contains(&metric);
    let address = address(api);
    let host = address.rsplit_once(':').map(|(host, _)| host.trim_matches(['[', ']'])).unwrap_or_default();
    let shown = nodes_answer(nodes, || {
        let mut node = Map::new();
        let mut add = |key: &str, value: Value| drop(node.insert(key.to_owned(), value));
        add("name", json!(NODE));
        add("transport_address", json!(address));
        add("host", json!(host));
        add("ip", json!(host));
        add("version", json!(api.identity.version()));
        add("build_flavor", json!("default"));
        add("build_type", json!("logmill"));
        add("build_hash", json!(env!("CARGO_PKG_VERSION")));
        add("roles", json!(ROLES));
        add("attributes", json!({}));
        if is_asked("settings") {
            add("settings", json!({ "cluster": { "name": "logmill" }, "node": { "name": NODE, "roles": ROLES } }));
        }
        if is_asked("os") {
            add(
                "os",
                json!({ "name": "Linux", "arch": std::env::consts::ARCH, "available_processors": cores(), "allocated_processors": cores() }),
            );
        }
        if is_asked("process") {
            add("process", json!({ "id": std::process::id(), "refresh_interval_in_millis": 1000, "mlockall": false }));
        }
        if is_asked("http") {
            add(
                "http",
                json!({ "bound_address": [address], "publish_address": address, "max_content_length_in_bytes": super::body::BULK_BYTES_MAX }),
            );
        }
        if is_asked("transport") {
            add("transport", json!({ "bound_address": [], "publish_address": address, "profiles": {} }));
        }
        if is_asked("plugins") {
            add("plugins", json!([]));
            add("modules", json!([]));
        }
        if is_asked("ingest") {
            add("ingest", json!({ "processors": [] }));
        }
        node
    });
    Ok(answer::json(&shown))
}

fn stats(api: &Api, nodes: &str, metrics: &str, query: &RawQuery) -> Answer {
    let mut params = Params::new(query.0.as_deref());
    let human = params.flag("human")?.unwrap_or(false);
    params.ignore(&["timeout", "level", "fields", "groups", "types", "include_segment_file_sizes"]);
    params.end("/_nodes/stats")?;
    let asked = chosen(metrics, &STATS, "/_nodes/stats")?;
    let is_asked = |metric: &str| asked.contains(&"_all") || asked.contains(&metric);
    let now = jiff::Timestamp::now().as_millisecond();
    let mut shown = nodes_answer(nodes, || {
        let mut node = Map::new();
        let mut add = |key: &str, value: Value| drop(node.insert(key.to_owned(), value));
        let address = address(api);
        add("timestamp", json!(now));
        add("name", json!(NODE));
        add("transport_address", json!(address));
        add("host", json!(address.rsplit_once(':').map_or("", |(host, _)| host)));
        add("ip", json!(address));
        add("roles", json!(ROLES));
        add("attributes", json!({}));
        if is_asked("indices") {
            add("indices", indices(api));
        }
        if is_asked("os") {
            add("os", os(now));
        }
        if is_asked("process") {
            add("process", process(now));
        }
        if is_asked("fs") {
            let disk = disk(api);
            add("fs", json!({ "timestamp": now, "total": disk, "data": [disk] }));
        }
        node
    });
    if human {
        humanize(&mut shown);
    }
    Ok(answer::json(&shown))
}

/// Of all indexes together.
fn indices(api: &Api) -> Value {
    let summaries = api.store.indices();
    let counters = api.board.snapshot().counters;
    let counter = |name: &str| counters.get(name).copied().unwrap_or(0);
    let parts = api.store.view("_all", None).map(|view| view.parts).unwrap_or_default();
    json!({
        "docs": {
            "count": summaries.iter().map(|summary| summary.docs).sum::<u64>(),
            "deleted": parts.iter().map(|part| part.deleted.len()).sum::<usize>(),
        },
        "shard_stats": { "total_count": summaries.len() },
        "store": { "size_in_bytes": summaries.iter().map(|summary| summary.bytes).sum::<u64>() },
        "indexing": { "index_total": counter("events"), "is_throttled": !api.store.has_room() },
        "segments": { "count": parts.len() },
    })
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The number after a name in one of the system's files, in the unit that is written there.
fn number_in(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.split_whitespace().next()?.parse().ok()
}

fn system_file(path: &str) -> String {
    // Where it is not to be had, its numbers are 0.
    std::fs::read_to_string(path).unwrap_or_default()
}

/// Memory of the machine.
pub(super) fn os_totals() -> Value {
    let text = system_file("/proc/meminfo");
    let bytes = |name: &str| number_in(&text, name).unwrap_or(0) << 10;
    let (total, free) = (bytes("MemTotal"), bytes("MemAvailable"));
    let percent = |part: u64| (part * 100).checked_div(total).unwrap_or(0);
    let used = total.saturating_sub(free);
    json!({
        "available_processors": cores(),
        "allocated_processors": cores(),
        "mem": { "total_in_bytes": total, "free_in_bytes": free, "used_in_bytes": used, "free_percent": percent(free), "used_percent": percent(used) },
    })
}

/// Load averages of the last one, five and fifteen minutes.
pub(super) fn load() -> [f64; 3] {
    let text = system_file("/proc/loadavg");
    let mut loads = text.split_whitespace().map_while(|load| load.parse::<f64>().ok());
    std::array::from_fn(|_| loads.next().unwrap_or(0.0))
}

fn os(now: i64) -> Value {
    let [one, five, fifteen] = load();
    let average = json!({ "1m": one, "5m": five, "15m": fifteen });
    json!({ "timestamp": now, "cpu": { "load_average": average }, "mem": os_totals()["mem"] })
}

fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}

fn process(now: i64) -> Value {
    let status = system_file("/proc/self/status");
    let bytes = |name: &str| number_in(&status, name).unwrap_or(0) << 10;
    json!({
        "timestamp": now,
        "open_file_descriptors": open_files(),
        "mem": { "total_virtual_in_bytes": bytes("VmSize"), "resident_in_bytes": bytes("VmRSS") },
    })
}

/// As `_cluster/stats` has it.
pub(super) fn process_totals() -> Value {
    let files = open_files();
    json!({ "open_file_descriptors": { "min": files, "max": files, "avg": files } })
}

/// The file system that the store is on.
pub(super) fn disk(api: &Api) -> Value {
    let stat = rustix::fs::statvfs(api.store.folder());
    let (total, free, available) = stat.map_or((0, 0, 0), |stat| {
        (stat.f_blocks * stat.f_frsize, stat.f_bfree * stat.f_frsize, stat.f_bavail * stat.f_frsize)
    });
    json!({ "path": api.store.folder().display().to_string(), "total_in_bytes": total, "free_in_bytes": free, "available_in_bytes": available })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_the_system_are_read() {
        let text = "MemTotal:       16384 kB\nMemFree:  7 kB\n";
        assert_eq!(
            (number_in(text, "MemTotal"), number_in(text, "MemFree"), number_in(text, "Mem")),
            (Some(16384), Some(7), None)
        );
        assert!(os_totals()["mem"]["total_in_bytes"].as_u64().unwrap() > 0);
        assert!(process(0)["open_file_descriptors"].as_u64().unwrap() > 0);
    }
}
