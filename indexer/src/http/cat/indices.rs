//! Tables of what is kept: indexes, their shards and segments, and how many documents there are.

use axum::extract::{Path, State};
use jiff::Timestamp;

use super::super::node::{NODE, address, color};
use super::super::{Answer, Api, stats};
use super::{Asked, Column, column, hidden};
use crate::http::named::Indices;
use crate::query::error::EsError;
use crate::store::IndexSummary;
use crate::store::names::Expand;
use crate::store::part::Place;

const INDICES: [Column; 13] = [
    column("health", "h", "current health status"),
    column("status", "s", "open or closed"),
    column("index", "i,idx", "name of the index"),
    column("uuid", "id", "what tells it apart from an earlier one of its name"),
    column("pri", "p,shards.primary,shardsPrimary", "primary shards"),
    column("rep", "r,shards.replica,shardsReplica", "copies of them"),
    column("docs.count", "dc,docsCount", "documents"),
    column("docs.deleted", "dd,docsDeleted", "documents that are deleted and still on disk"),
    column("store.size", "ss,storeSize", "bytes in memory and on disk"),
    column("pri.store.size", "", "the same of primary shards"),
    column("dataset.size", "", "the same with what is kept elsewhere"),
    hidden("creation.date", "cd", "when it was made, in milliseconds since 1970"),
    hidden("creation.date.string", "cds", "when it was made"),
];

pub(super) async fn indices(State(api): State<Api>, Indices(index): Indices, mut asked: Asked) -> Answer {
    asked.params.ignore(&["pri", "include_unloaded_segments"]);
    let expand = asked.params.expand(Expand::All)?;
    let health = asked.params.take("health");
    let color = color(api.board.is_ready());
    let mut rows = Vec::new();
    for summary in stats::chosen(&api, &index, expand)? {
        if health.as_deref().is_some_and(|wanted| wanted != color) {
            continue;
        }
        rows.push(row(&api, &summary, color, &asked)?);
    }
    asked.show(&INDICES, rows)
}

fn row(api: &Api, summary: &IndexSummary, color: &str, asked: &Asked) -> Result<Vec<String>, EsError> {
    let size = asked.size(summary.bytes)?;
    let view = api.store.view(&summary.name, None)?;
    let deleted: usize = view.parts.iter().map(|part| part.deleted.len()).sum();
    let created = Timestamp::from_millisecond(summary.created_ms)
        .map_or_else(|_| String::new(), |instant| format!("{instant:.3}"));
    Ok(vec![
        color.to_owned(),
        "open".to_owned(),
        summary.name.to_string(),
        summary.uuid.to_string(),
        "1".to_owned(),
        "0".to_owned(),
        summary.docs.to_string(),
        deleted.to_string(),
        size.clone(),
        size.clone(),
        size,
        summary.created_ms.to_string(),
        created,
    ])
}

const ALIASES: [Column; 6] = [
    column("alias", "a", "name of the alias"),
    column("index", "i,idx", "an index that it stands for"),
    column("filter", "f,fi", "always none: an alias stands for whole indexes"),
    column("routing.index", "ri,routingIndex", "routing of writes"),
    column("routing.search", "rs,routingSearch", "routing of searches"),
    column("is_write_index", "w,isWriteIndex", "documents for the alias go there"),
];

pub(super) async fn aliases_all(state: State<Api>, asked: Asked) -> Answer {
    aliases(state, Path("*".to_owned()), asked).await
}

pub(super) async fn aliases(State(api): State<Api>, Path(name): Path<String>, asked: Asked) -> Answer {
    let dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let row = |(name, index, alias): (String, String, crate::store::facts::Alias)| {
        let writes = alias.is_write_index.map(|writes| writes.to_string());
        vec![name, index, "-".to_owned(), dash(alias.index_routing), dash(alias.search_routing), dash(writes)]
    };
    let rows = super::super::aliases::rows(&api, Some(&name)).into_iter().map(row).collect();
    asked.show(&ALIASES, rows)
}

const COUNT: [Column; 3] = [
    column("epoch", "t,time", "seconds since 1970"),
    column("timestamp", "ts,hms,hhmmss", "time of day in UTC"),
    column("count", "dc,docs.count,docsCount", "documents"),
];

pub(super) async fn count(State(api): State<Api>, Indices(index): Indices, mut asked: Asked) -> Answer {
    let expand = asked.params.expand(Expand::Visible)?;
    let docs: u64 = stats::chosen(&api, &index, expand)?.iter().map(|summary| summary.docs).sum();
    let now = Timestamp::now();
    let row = vec![now.as_second().to_string(), now.strftime("%H:%M:%S").to_string(), docs.to_string()];
    asked.show(&COUNT, vec![row])
}

const SHARDS: [Column; 10] = [
    column("index", "i,idx", "name of the index"),
    column("shard", "s,sh", "number of the shard"),
    column("prirep", "p,pr,primaryOrReplica", "primary (p) or copy (r)"),
    column("state", "st", "STARTED: it is searched"),
    column("docs", "d,dc", "documents"),
    column("store", "sto", "bytes in memory and on disk"),
    column("dataset", "", "the same with what is kept elsewhere"),
    column("ip", "", "address of the node"),
    column("node", "n", "name of the node"),
    hidden("id", "", "id of the node"),
];

pub(super) async fn shards(State(api): State<Api>, Indices(index): Indices, mut asked: Asked) -> Answer {
    let expand = asked.params.expand(Expand::All)?;
    let address = address(&api);
    let mut rows = Vec::new();
    for summary in stats::chosen(&api, &index, expand)? {
        let size = asked.size(summary.bytes)?;
        let docs = summary.docs.to_string();
        rows.push(
            [&summary.name, "0", "p", "STARTED", &docs, &size, &size, host(&address), NODE, NODE]
                .map(str::to_owned)
                .to_vec(),
        );
    }
    asked.show(&SHARDS, rows)
}

/// The address without its port.
pub(super) fn host(address: &str) -> &str {
    address.rsplit_once(':').map_or(address, |(host, _)| host.trim_matches(['[', ']']))
}

const SEGMENTS: [Column; 15] = [
    column("index", "i,idx", "name of the index"),
    column("shard", "s,sh", "number of the shard"),
    column("prirep", "p,pr,primaryOrReplica", "primary (p) or copy (r)"),
    column("ip", "", "address of the node"),
    hidden("id", "", "id of the node"),
    column("segment", "seg", "name of the segment"),
    column("generation", "g,gen", "number of the segment"),
    column("docs.count", "dc,docsCount", "documents"),
    column("docs.deleted", "dd,docsDeleted", "documents that are deleted and still on disk"),
    column("size", "si", "bytes in memory or on disk"),
    column("size.memory", "sm,sizeMemory", "bytes in memory"),
    column("committed", "ic,isCommitted", "it is on disk"),
    column("searchable", "is,isSearchable", "it is searched"),
    column("version", "v,ver", "version of the engine that wrote it"),
    column("compound", "ico,isCompound", "it is one file"),
];

pub(super) async fn segments(State(api): State<Api>, Indices(index): Indices, mut asked: Asked) -> Answer {
    let expand = asked.params.expand(Expand::All)?;
    let (view, address) = (api.store.view_expanding(&index, expand, None)?, address(&api));
    let mut rows = Vec::new();
    for part in &view.parts {
        let in_memory = if part.place == Place::Memory { part.bytes } else { 0 };
        rows.push(vec![
            part.index.to_string(),
            "0".to_owned(),
            "p".to_owned(),
            host(&address).to_owned(),
            NODE.to_owned(),
            stats::segment_name(part),
            part.id.to_string(),
            part.reader.num_docs().to_string(),
            part.deleted.len().to_string(),
            asked.size(part.bytes)?,
            asked.size(in_memory)?,
            (part.place != Place::Memory).to_string(),
            "true".to_owned(),
            env!("CARGO_PKG_VERSION").to_owned(),
            "false".to_owned(),
        ]);
    }
    rows.sort();
    asked.show(&SEGMENTS, rows)
}
