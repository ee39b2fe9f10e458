//! `_cat`: tables for people, and the same as JSON.

use axum::extract::{Path, RawQuery, State};
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::Api;
use super::answer::{self, Answer};
use super::params::Params;
use crate::query::error::EsError;
use crate::store::IndexSummary;

/// A table: names of the columns, and rows of cells.
struct Table {
    columns: Vec<&'static str>,
    /// Columns that are shown when none are asked for.
    shown: usize,
    rows: Vec<Vec<String>>,
}

/// Other names of columns.
const ALIASES: [(&str, &str); 9] = [
    ("h", "health"),
    ("s", "status"),
    ("i", "index"),
    ("idx", "index"),
    ("p", "pri"),
    ("r", "rep"),
    ("dc", "docs.count"),
    ("docsCount", "docs.count"),
    ("ss", "store.size"),
];

pub(super) async fn indices(State(api): State<Api>, index: Option<Path<String>>, query: RawQuery) -> Answer {
    let mut params = Params::new(query.0.as_deref());
    params.ignore(&["health", "pri", "include_unloaded_segments"]);
    let unit = params.take("bytes");
    let chosen = index.map_or_else(|| "_all".to_owned(), |Path(index)| index);
    let view = api.store.view(&chosen, Some(&super::NO_PARTS))?;
    let summaries = api.store.indices().into_iter().filter(|summary| view.mappings.contains_key(&summary.name));
    let rows = summaries.map(|summary| row(&summary, unit.as_deref())).collect();
    let columns = vec![
        "health",
        "status",
        "index",
        "uuid",
        "pri",
        "rep",
        "docs.count",
        "docs.deleted",
        "store.size",
        "pri.store.size",
        "dataset.size",
        "creation.date",
        "creation.date.string",
    ];
    show(&mut params, Table { columns, shown: 11, rows })
}

fn row(summary: &IndexSummary, unit: Option<&str>) -> Vec<String> {
    let size = size(summary.bytes, unit);
    let created = Timestamp::from_millisecond(summary.created_ms)
        .map_or_else(|_| String::new(), |instant| format!("{instant:.3}"));
    vec![
        "green".to_owned(),
        "open".to_owned(),
        summary.name.to_string(),
        summary.uuid.to_string(),
        "1".to_owned(),
        "0".to_owned(),
        summary.docs.to_string(),
        "0".to_owned(),
        size.clone(),
        size.clone(),
        size,
        summary.created_ms.to_string(),
        created,
    ]
}

fn size(bytes: u64, unit: Option<&str>) -> String {
    let divided = |shift: u32| (bytes >> shift).to_string();
    match unit {
        Some("b") => bytes.to_string(),
        Some("k" | "kb") => divided(10),
        Some("m" | "mb") => divided(20),
        Some("g" | "gb") => divided(30),
        _ => {
            let fits = [("gb", 30), ("mb", 20), ("kb", 10)].into_iter().find(|(_, shift)| bytes >> shift > 0);
            match fits {
                Some((name, shift)) => format!("{:.1}{name}", bytes as f64 / (1u64 << shift) as f64),
                None => format!("{bytes}b"),
            }
        }
    }
}

pub(super) async fn health(State(api): State<Api>, query: RawQuery) -> Answer {
    let mut params = Params::new(query.0.as_deref());
    params.ignore(&["ts"]);
    let now = Timestamp::now();
    let shards = api.store.indices().len().to_string();
    let columns = vec![
        "epoch",
        "timestamp",
        "cluster",
        "status",
        "node.total",
        "node.data",
        "shards",
        "pri",
        "relo",
        "init",
        "unassign",
        "pending_tasks",
        "max_task_wait_time",
        "active_shards_percent",
    ];
    let zero = || "0".to_owned();
    let row = vec![
        now.as_second().to_string(),
        now.strftime("%H:%M:%S").to_string(),
        "logmill".to_owned(),
        "green".to_owned(),
        "1".to_owned(),
        "1".to_owned(),
        shards.clone(),
        shards,
        zero(),
        zero(),
        zero(),
        zero(),
        "-".to_owned(),
        "100.0%".to_owned(),
    ];
    show(&mut params, Table { shown: columns.len(), columns, rows: vec![row] })
}

pub(super) async fn count(State(api): State<Api>, index: Option<Path<String>>, query: RawQuery) -> Answer {
    let mut params = Params::new(query.0.as_deref());
    let chosen = index.map_or_else(|| "_all".to_owned(), |Path(index)| index);
    let view = api.store.view(&chosen, Some(&super::NO_PARTS))?;
    let docs: u64 = api
        .store
        .indices()
        .iter()
        .filter(|summary| view.mappings.contains_key(&summary.name))
        .map(|summary| summary.docs)
        .sum();
    let now = Timestamp::now();
    let row = vec![now.as_second().to_string(), now.strftime("%H:%M:%S").to_string(), docs.to_string()];
    show(&mut params, Table { columns: vec!["epoch", "timestamp", "count"], shown: 3, rows: vec![row] })
}

fn show(params: &mut Params, mut table: Table) -> Answer {
    let headings = params.flag("v")?.unwrap_or(false);
    let as_json = params.take("format").is_some_and(|format| format == "json");
    let asked = params.list("h");
    let order = params.list("s").unwrap_or_default();
    params.ignore(&["time"]);
    std::mem::take(params).end("/_cat")?;
    let place = |columns: &[&'static str], name: &str| {
        let name = ALIASES.iter().find(|(alias, _)| *alias == name).map_or(name, |(_, full)| *full);
        columns.iter().position(|column| *column == name)
    };
    for by in order.iter().rev() {
        let (name, descending) = match by.split_once(':') {
            Some((name, direction)) => (name, direction == "desc"),
            None => (by.as_str(), false),
        };
        let at = place(&table.columns, name)
            .ok_or_else(|| EsError::argument(format!("Unable to sort by unknown sort key `{name}`")))?;
        table.rows.sort_by(|a, b| {
            let cell = |row: &Vec<String>| row.get(at).cloned().unwrap_or_default();
            let numbers = (cell(a).parse::<f64>(), cell(b).parse::<f64>());
            let order = match numbers {
                (Ok(a), Ok(b)) => a.total_cmp(&b),
                _ => cell(a).cmp(&cell(b)),
            };
            if descending { order.reverse() } else { order }
        });
    }
    let chosen: Vec<usize> = match asked {
        None => (0..table.shown).collect(),
        Some(names) => names.iter().filter_map(|name| place(&table.columns, name)).collect(),
    };
    let name = |at: &usize| table.columns.get(*at).copied().unwrap_or_default();
    let cell = |row: &[String], at: &usize| row.get(*at).cloned().unwrap_or_default();
    if as_json {
        let object = |row: &Vec<String>| {
            chosen.iter().map(|at| (name(at).to_owned(), cell(row, at).into())).collect::<Map<_, Value>>()
        };
        return Ok(answer::json(&table.rows.iter().map(object).collect::<Vec<_>>()));
    }
    let mut lines: Vec<Vec<String>> =
        table.rows.iter().map(|row| chosen.iter().map(|at| cell(row, at)).collect()).collect();
    if headings {
        lines.insert(0, chosen.iter().map(|at| name(at).to_owned()).collect());
    }
    let mut text = String::new();
    let widths: Vec<usize> = (0..chosen.len())
        .map(|at| lines.iter().filter_map(|line| line.get(at)).map(|cell| cell.chars().count()).max().unwrap_or(0))
        .collect();
    for line in &lines {
        let cells: Vec<String> = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        text.push_str(cells.join(" ").trim_end());
        text.push('\n');
    }
    Ok(answer::text(text))
}
