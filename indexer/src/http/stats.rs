//! `_stats` and `_segments`: how large indexes are and of what parts they are made; and `_flush` and `_cache/clear`.

use axum::Router;
use axum::extract::{Path, RawQuery, State};
use axum::routing::{get, post};
use serde_json::{Map, Value, json};

use super::Api;
use super::answer::{self, Answer};
use super::human::humanize;
use super::named::Indices;
use super::node::{NODE, color};
use super::params::Params;
use crate::query::error::EsError;
use crate::query::execute::Shards;
use crate::store::names::Expand;
use crate::store::part::Place;
use crate::store::{IndexSummary, Part};

/// What is told of an index.
const METRICS: [&str; 4] = ["docs", "store", "segments", "shard_stats"];
/// What Elasticsearch tells besides: counted for all indexes together in `/metrics` and `_nodes/stats`, or not at all.
const UNTOLD: [&str; 14] = [
    "indexing",
    "get",
    "search",
    "merge",
    "refresh",
    "flush",
    "warmer",
    "query_cache",
    "fielddata",
    "completion",
    "translog",
    "request_cache",
    "recovery",
    "bulk",
];

pub(super) fn routes() -> Router<Api> {
    Router::new()
        .route("/_stats", get(stats_all))
        .route("/_stats/{metrics}", get(stats_metrics))
        .route("/{index}/_stats", get(stats_index))
        .route("/{index}/_stats/{metrics}", get(stats_index_metrics))
        .route("/_segments", get(segments))
        .route("/{index}/_segments", get(segments))
        .route("/_flush", get(flush).post(flush))
        .route("/{index}/_flush", get(flush).post(flush))
        .route("/_cache/clear", post(clear_caches))
        .route("/{index}/_cache/clear", post(clear_caches))
}

/// The indexes that an expression means.
pub(super) fn chosen(api: &Api, index: &str, expand: Expand) -> Result<Vec<IndexSummary>, EsError> {
    let view = api.store.view_expanding(index, expand, Some(&super::NO_PARTS))?;
    Ok(api.store.indices().into_iter().filter(|summary| view.mappings.contains_key(&summary.name)).collect())
}

async fn stats_all(state: State<Api>, query: RawQuery) -> Answer {
    stats(&state, "_all", "_all", &query)
}

async fn stats_metrics(state: State<Api>, Path(metrics): Path<String>, query: RawQuery) -> Answer {
    stats(&state, "_all", &metrics, &query)
}

async fn stats_index(state: State<Api>, Path(index): Path<String>, query: RawQuery) -> Answer {
    stats(&state, &index, "_all", &query)
}

async fn stats_index_metrics(
    state: State<Api>,
    Path((index, metrics)): Path<(String, String)>,
    query: RawQuery,
) -> Answer {
    stats(&state, &index, &metrics, &query)
}

fn stats(api: &Api, index: &str, metrics: &str, query: &RawQuery) -> Answer {
    let mut params = Params::new(query.0.as_deref());
    let human = params.flag("human")?.unwrap_or(false);
    let level = params.take("level").unwrap_or_else(|| "indices".to_owned());
    params.ignore(&["completion_fields", "fielddata_fields", "fields", "forbid_closed_indices", "groups"]);
    params.ignore(&["include_segment_file_sizes", "include_unloaded_segments", "timeout"]);
    let expand = params.expand(Expand::Visible)?;
    params.end("/_stats")?;
    let asked: Vec<&str> = metrics.split(',').map(str::trim).collect();
    for metric in &asked {
        if UNTOLD.contains(metric) {
            return Err(EsError::argument(format!(
                "the metric [{metric}] is not kept for each index: there are {}; see also _nodes/stats and /metrics",
                METRICS.join(", ")
            )));
        }
        if *metric != "_all" && !METRICS.contains(metric) {
            return Err(EsError::argument(format!(
                "request [/_stats/{metrics}] contains unrecognized metric: [{metric}]"
            )));
        }
    }
    if !matches!(level.as_str(), "cluster" | "indices" | "shards") {
        return Err(EsError::argument(format!(
            "level parameter must be one of [cluster] or [indices] or [shards] but was [{level}]"
        )));
    }
    let summaries = chosen(api, index, expand)?;
    let view = api.store.view_expanding(index, expand, None)?;
    let mut all = Sizes::default();
    let mut indices = Map::new();
    for summary in &summaries {
        let parts = view.parts.iter().filter(|part| part.index == summary.name);
        let sizes = Sizes::of(summary, parts);
        all.add(&sizes);
        let told = sizes.told(&asked);
        let mut one = json!({ "uuid": summary.uuid.as_ref(), "health": color(api.board.is_ready()), "status": "open", "primaries": told, "total": told });
        if let ("shards", Some(one)) = (level.as_str(), one.as_object_mut()) {
            let mut shard = told.clone();
            let routing = json!({ "state": "STARTED", "primary": true, "node": NODE, "relocating_node": null });
            shard.insert("routing".to_owned(), routing);
            one.insert("shards".to_owned(), json!({ "0": [shard] }));
        }
        indices.insert(summary.name.to_string(), one);
    }
    let told = all.told(&asked);
    let mut shown = json!({ "_shards": Shards::of(summaries.len()), "_all": { "primaries": told, "total": told } });
    if let (false, Some(shown)) = (level == "cluster", shown.as_object_mut()) {
        shown.insert("indices".to_owned(), Value::Object(indices));
    }
    if human {
        humanize(&mut shown);
    }
    Ok(answer::json(&shown))
}

#[derive(Clone, Copy, Debug, Default)]
struct Sizes {
    shards: u64,
    docs: u64,
    deleted: u64,
    bytes: u64,
    segments: u64,
}

impl Sizes {
    fn of<'p>(summary: &IndexSummary, parts: impl Iterator<Item = &'p std::sync::Arc<Part>>) -> Self {
        let empty = Self { shards: 1, docs: summary.docs, bytes: summary.bytes, ..Self::default() };
        parts.fold(empty, |sizes, part| Self {
            deleted: sizes.deleted + part.deleted.len() as u64,
            segments: sizes.segments + 1,
            ..sizes
        })
    }

    const fn add(&mut self, other: &Self) {
        self.shards += other.shards;
        self.docs += other.docs;
        self.deleted += other.deleted;
        self.bytes += other.bytes;
        self.segments += other.segments;
    }

    fn told(&self, asked: &[&str]) -> Map<String, Value> {
        let each = [
            ("docs", json!({ "count": self.docs, "deleted": self.deleted })),
            ("shard_stats", json!({ "total_count": self.shards })),
            (
                "store",
                json!({ "size_in_bytes": self.bytes, "total_data_set_size_in_bytes": self.bytes, "reserved_in_bytes": 0 }),
            ),
            ("segments", json!({ "count": self.segments })),
        ];
        let is_asked = |name: &str| asked.contains(&"_all") || asked.contains(&name);
        each.into_iter().filter(|(name, _)| is_asked(name)).map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

async fn segments(State(api): State<Api>, Indices(index): Indices, query: RawQuery) -> Answer {
    let mut params = Params::new(query.0.as_deref());
    let human = params.flag("human")?.unwrap_or(false);
    params.ignore(&["verbose", "ignore_unavailable"]);
    let expand = params.expand(Expand::Visible)?;
    params.end("/_segments")?;
    let view = api.store.view_expanding(&index, expand, None)?;
    let mut indices: Map<String, Value> = view.mappings.keys().map(|name| (name.to_string(), json!({}))).collect();
    for part in &view.parts {
        if let Some(of_index) = indices.get_mut(part.index.as_ref()).and_then(Value::as_object_mut) {
            of_index.insert(segment_name(part), segment(part));
        }
    }
    let shard = |segments: Value| {
        let count = segments.as_object().map_or(0, Map::len);
        let routing = json!({ "state": "STARTED", "primary": true, "node": NODE });
        json!({ "shards": { "0": [{ "routing": routing, "num_committed_segments": count, "num_search_segments": count, "segments": segments }] } })
    };
    let indices: Map<String, Value> = indices.into_iter().map(|(name, segments)| (name, shard(segments))).collect();
    let mut shown = json!({ "_shards": Shards::of(indices.len()), "indices": indices });
    if human {
        humanize(&mut shown);
    }
    Ok(answer::json(&shown))
}

/// A part's name, as Lucene writes such.
pub(super) fn segment_name(part: &Part) -> String {
    format!("_{}", part.id)
}

fn segment(part: &Part) -> Value {
    json!({
        "generation": part.id,
        "num_docs": part.reader.num_docs(),
        "deleted_docs": part.deleted.len(),
        "size_in_bytes": part.bytes,
        "committed": part.place != Place::Memory,
        "search": true,
        "compound": false,
    })
}

/// Puts on disk what is in memory only, of all indexes at once: they share the manifest.
async fn flush(State(api): State<Api>, Indices(index): Indices, query: RawQuery) -> Answer {
    let mut params = Params::new(query.0.as_deref());
    params.ignore(&["force", "wait_if_ongoing", "ignore_unavailable"]);
    let expand = params.expand(Expand::Visible)?;
    params.end("/_flush")?;
    let count = chosen(&api, &index, expand)?.len();
    let store = api.store.clone();
    let flushed = tokio::task::spawn_blocking(move || store.flush()).await.map_err(EsError::internal)?;
    flushed.map_err(EsError::internal)?;
    Ok(answer::json(&json!({ "_shards": Shards::of(count) })))
}

/// No answers are cached here, so there is never one to be cleared.
async fn clear_caches(State(api): State<Api>, Indices(index): Indices, query: RawQuery) -> Answer {
    let mut params = Params::new(query.0.as_deref());
    params.ignore(&["fielddata", "fields", "query", "request", "ignore_unavailable", "index"]);
    let expand = params.expand(Expand::Visible)?;
    params.end("/_cache/clear")?;
    Ok(answer::json(&json!({ "_shards": Shards::of(chosen(&api, &index, expand)?.len()) })))
}
