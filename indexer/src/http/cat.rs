//! `_cat`: tables for people, and the same as JSON.

mod indices;
mod machine;
mod templates;

use std::convert::Infallible;

use axum::Router;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use axum::routing::get;
use logmill_indexer_api::text::Wildcard;
use serde_json::{Map, Value};

use super::Api;
use super::answer::{self, Answer};
use super::human;
use super::params::Params;
use crate::query::error::EsError;

pub(super) fn routes() -> Router<Api> {
    Router::new()
        .route("/_cat", get(list))
        .route("/_cat/aliases", get(indices::aliases_all))
        .route("/_cat/aliases/{name}", get(indices::aliases))
        .route("/_cat/indices", get(indices::indices))
        .route("/_cat/indices/{index}", get(indices::indices))
        .route("/_cat/count", get(indices::count).post(indices::count))
        .route("/_cat/count/{index}", get(indices::count).post(indices::count))
        .route("/_cat/shards", get(indices::shards))
        .route("/_cat/shards/{index}", get(indices::shards))
        .route("/_cat/segments", get(indices::segments))
        .route("/_cat/segments/{index}", get(indices::segments))
        .route("/_cat/health", get(machine::health))
        .route("/_cat/nodes", get(machine::nodes))
        .route("/_cat/master", get(machine::master))
        .route("/_cat/cluster_manager", get(machine::master))
        .route("/_cat/allocation", get(machine::allocation))
        .route("/_cat/allocation/{node}", get(machine::allocation))
        .route("/_cat/plugins", get(machine::plugins))
        .route("/_cat/pending_tasks", get(machine::pending_tasks))
        .route("/_cat/templates", get(templates::templates))
        .route("/_cat/templates/{name}", get(templates::templates))
}

/// The tables that there are.
async fn list() -> Answer {
    const TABLES: [&str; 20] = [
        "=^.^=",
        "/_cat/aliases",
        "/_cat/aliases/{name}",
        "/_cat/allocation",
        "/_cat/count",
        "/_cat/count/{index}",
        "/_cat/health",
        "/_cat/indices",
        "/_cat/indices/{index}",
        "/_cat/master",
        "/_cat/nodes",
        "/_cat/pending_tasks",
        "/_cat/plugins",
        "/_cat/segments",
        "/_cat/segments/{index}",
        "/_cat/shards",
        "/_cat/shards/{index}",
        "/_cat/templates",
        "/_cat/templates/{name}",
        "",
    ];
    Ok(answer::text(TABLES.join("\n")))
}

/// A column.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    pub(super) name: &'static str,
    /// Other names that it may be asked by, separated by commas.
    pub(super) aliases: &'static str,
    pub(super) description: &'static str,
    /// It is shown when no columns are asked for.
    pub(super) is_shown: bool,
}

pub(super) const fn column(name: &'static str, aliases: &'static str, description: &'static str) -> Column {
    Column { name, aliases, description, is_shown: true }
}

/// One that is shown only when it is asked for.
pub(super) const fn hidden(name: &'static str, aliases: &'static str, description: &'static str) -> Column {
    Column { name, aliases, description, is_shown: false }
}

impl Column {
    fn is_called(&self, name: &str) -> bool {
        self.name == name || self.aliases.split(',').any(|alias| alias == name)
    }
}

/// How a table is asked for.
pub(super) struct Asked {
    pub(super) params: Params,
    as_json: bool,
    unit: Option<String>,
}

impl<S: Sync> FromRequestParts<S> for Asked {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let mut params = Params::new(parts.uri.query());
        let as_json = match params.take("format") {
            Some(format) => format == "json",
            None => wants_json(&parts.headers),
        };
        let unit = params.take("bytes");
        Ok(Self { params, as_json, unit })
    }
}

/// Clients that take both want the text.
fn wants_json(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    accept.contains("json") && !accept.contains("text/plain")
}

impl Asked {
    /// A size in the unit that is asked for.
    pub(super) fn size(&self, bytes: u64) -> Result<String, EsError> {
        let shift = match self.unit.as_deref() {
            None => return Ok(human::size(bytes)),
            Some("b") => 0,
            Some("k" | "kb") => 10,
            Some("m" | "mb") => 20,
            Some("g" | "gb") => 30,
            Some("t" | "tb") => 40,
            Some("p" | "pb") => 50,
            Some(other) => {
                return Err(EsError::argument(format!("unknown unit [{other}] for [bytes]: b, kb, mb, gb, tb or pb")));
            }
        };
        Ok((bytes >> shift).to_string())
    }

    /// Shows a table: which columns, in which order, as text or as JSON.
    pub(super) fn show(self, columns: &[Column], rows: Vec<Vec<String>>) -> Answer {
        let Self { mut params, as_json, .. } = self;
        let headings = params.flag("v")?.unwrap_or(false);
        let help = params.flag("help")?.unwrap_or(false);
        let wanted = params.list("h");
        let order = params.list("s").unwrap_or_default();
        params.ignore(&["time", "ts", "ignore_unavailable"]);
        params.end("/_cat")?;
        if help {
            return Ok(answer::text(explained(columns)));
        }
        let rows = sorted(columns, rows, &order)?;
        let chosen: Vec<usize> = match wanted {
            None => columns.iter().enumerate().filter(|(_, column)| column.is_shown).map(|(at, _)| at).collect(),
            Some(names) => names.iter().flat_map(|name| places(columns, name)).collect(),
        };
        let name = |at: &usize| columns.get(*at).map_or("", |column| column.name);
        let cell = |row: &[String], at: &usize| row.get(*at).cloned().unwrap_or_default();
        if as_json {
            let object = |row: &Vec<String>| {
                chosen.iter().map(|at| (name(at).to_owned(), cell(row, at).into())).collect::<Map<_, Value>>()
            };
            return Ok(answer::json(&rows.iter().map(object).collect::<Vec<_>>()));
        }
        let mut lines: Vec<Vec<String>> =
            rows.iter().map(|row| chosen.iter().map(|at| cell(row, at)).collect()).collect();
        if headings {
            lines.insert(0, chosen.iter().map(|at| name(at).to_owned()).collect());
        }
        Ok(answer::text(aligned(&lines, chosen.len())))
    }
}

/// The columns that a name means: itself, another name of it, or a pattern.
fn places(columns: &[Column], name: &str) -> Vec<usize> {
    let pattern = name.contains('*').then(|| Wildcard::new(name));
    let is_meant = |column: &Column| match &pattern {
        Some(pattern) => pattern.matches(column.name),
        None => column.is_called(name),
    };
    columns.iter().enumerate().filter(|(_, column)| is_meant(column)).map(|(at, _)| at).collect()
}

/// What the columns mean.
fn explained(columns: &[Column]) -> String {
    let lines: Vec<Vec<String>> = columns
        .iter()
        .map(|column| {
            vec![column.name.to_owned(), format!("| {}", column.aliases), format!("| {}", column.description)]
        })
        .collect();
    aligned(&lines, 3)
}

fn sorted(columns: &[Column], mut rows: Vec<Vec<String>>, order: &[String]) -> Result<Vec<Vec<String>>, EsError> {
    // The least important first: a sort keeps the order of what it finds equal.
    for by in order.iter().rev() {
        let (name, descending) = match by.split_once(':') {
            Some((name, direction)) => (name, direction == "desc"),
            None => (by.as_str(), false),
        };
        let at = columns
            .iter()
            .position(|column| column.is_called(name))
            .ok_or_else(|| EsError::argument(format!("Unable to sort by unknown sort key `{name}`")))?;
        rows.sort_by(|a, b| {
            let cell = |row: &Vec<String>| row.get(at).cloned().unwrap_or_default();
            let order = match (cell(a).parse::<f64>(), cell(b).parse::<f64>()) {
                (Ok(a), Ok(b)) => a.total_cmp(&b),
                _ => cell(a).cmp(&cell(b)),
            };
            if descending { order.reverse() } else { order }
        });
    }
    Ok(rows)
}

/// Columns below each other.
fn aligned(lines: &[Vec<String>], columns: usize) -> String {
    let widths: Vec<usize> = (0..columns)
        .map(|at| lines.iter().filter_map(|line| line.get(at)).map(|cell| cell.chars().count()).max().unwrap_or(0))
        .collect();
    let mut text = String::new();
    for line in lines {
        let cells: Vec<String> = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        text.push_str(cells.join(" ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 3] =
        [column("index", "i,idx", "its name"), column("docs.count", "dc", "documents"), hidden("uuid", "", "its id")];

    fn shown(query: &str) -> Result<String, EsError> {
        let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        let asked = Asked { params: Params::new(Some(query)), as_json: false, unit: None };
        let response = asked.show(&COLUMNS, vec![row(["b", "10", "x"]), row(["aaa", "9", "y"])])?;
        let body = futures::executor::block_on(axum::body::to_bytes(response.into_body(), 10_000)).unwrap();
        Ok(String::from_utf8(body.to_vec()).unwrap())
    }

    #[test]
    fn tables_are_shown_as_asked() {
        for (query, expected) in [
            ("", "b   10\naaa 9\n"),
            ("v&s=dc", "index docs.count\naaa   9\nb     10\n"),
            ("h=uuid,idx&s=index:desc", "x b\ny aaa\n"),
            ("h=d*", "10\n9\n"),
            ("help", "index      | i,idx | its name\ndocs.count | dc    | documents\nuuid       |       | its id\n"),
        ] {
            assert_eq!(shown(query).unwrap(), expected, "{query}");
        }
        assert!(shown("s=nothing").unwrap_err().reason.contains("nothing"));
        assert!(shown("odd=1").unwrap_err().reason.contains("odd"));
    }

    #[test]
    fn text_is_preferred_by_who_takes_both() {
        let accepts = |text: &'static str| {
            wants_json(&HeaderMap::from_iter([(header::ACCEPT, axum::http::HeaderValue::from_static(text))]))
        };
        assert!(accepts("application/json") && accepts("application/vnd.elasticsearch+json;compatible-with=8"));
        assert!(!accepts("text/plain,application/json") && !accepts("*/*"));
    }
}
