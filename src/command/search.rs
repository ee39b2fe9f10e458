//! `logmill search`: events by KQL, newest last, through the Elasticsearch API.

use std::process::ExitCode;

use anyhow::Context;
use logmill_indexer_api::{datemath, kql};
use serde_json::{Value, json};

use crate::chain::indexer;
use crate::cli::Search;
use crate::config::Config;
use crate::terminal::{print_event, query_error};

/// Prints what is found.
#[allow(clippy::print_stderr)]
pub(crate) async fn run(config: &Config, search: &Search) -> anyhow::Result<ExitCode> {
    let ast = kql::parse(&search.query).map_err(|error| query_error(&search.query, &error))?;
    let now = jiff::Timestamp::now();
    for (flag, text) in [("--from", &search.from), ("--to", &search.to)] {
        datemath::parse(text, now).with_context(|| format!("{flag} {text}"))?;
    }
    let body = json!({
        "size": search.size,
        "sort": [{ "@timestamp": "desc" }],
        "track_total_hits": true,
        "query": { "bool": { "filter": [
            ast.to_dsl(),
            { "range": { "@timestamp": { "gte": search.from, "lte": search.to } } },
        ] } },
    });
    let found = indexer(config)?.search(&search.index, &body).await?;
    let hits = found.pointer("/hits/hits").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    for hit in hits.iter().rev() {
        print_event(hit.get("_source").unwrap_or(&Value::Null), search.json);
    }
    let total = found.pointer("/hits/total/value").and_then(Value::as_u64).unwrap_or_default();
    if total > hits.len() as u64 {
        eprintln!("{} of {total} events; ask for more with --size, or narrow the search", hits.len());
    }
    Ok(ExitCode::SUCCESS)
}
