//! `GET /api/export`: everything that a search finds, as a download that is written while it is read.

use std::collections::VecDeque;

use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures::stream;
use logmill_core::Event;
use logmill_core::event::FieldPath;
use serde::Deserialize;
use serde_json::Value;

use super::{ApiError, Shared};
use crate::auth::Viewer;
use crate::search::{Hit, Scope, SearchRequest, csv_cell, csv_row, hits_of};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    Ndjson,
    Csv,
}

#[derive(Deserialize)]
pub(super) struct Asked {
    format: Format,
    #[serde(default)]
    columns: String,
    scope: String,
}

/// What a spreadsheet shows when no columns were chosen.
const COLUMNS_DEFAULT: &str = "@timestamp,log.level,message";
/// A spreadsheet with more can't be read.
const COLUMNS_MAX: usize = 200;

/// A download, newest first.
pub(super) async fn export(
    State(app): State<Shared>,
    _: Viewer,
    Query(asked): Query<Asked>,
) -> Result<Response, ApiError> {
    let scope: Scope = serde_json::from_str(&asked.scope)
        .map_err(|error| ApiError::bad_request(format!("`scope` is not a search: {error}")))?;
    let columns = columns(&asked.columns)?;
    let index = scope.selection.index(&app.config.index)?.to_owned();
    let search = SearchRequest::newest_first(scope).prepare(jiff::Timestamp::now(), &app.config.level_field)?;
    let mut body = search.body;
    if let Some(body) = body.as_object_mut() {
        body.shift_remove("highlight");
        body.insert("track_total_hits".to_owned(), Value::Bool(false));
    }
    let mut pages = Pages { rows_left: app.config.export_rows_max, app, index, body, ended: false };
    // The first page is fetched before the answer begins: what is wrong with the search is still told as an error.
    let first = pages.next().await?;
    let mut ready = VecDeque::new();
    if asked.format == Format::Csv {
        ready.push_back(Bytes::from(csv_row(columns.iter().map(FieldPath::as_str))));
    }
    ready.push_back(write(asked.format, &columns, first));
    let rows = stream::try_unfold((pages, ready), move |(mut pages, mut ready)| {
        let columns = columns.clone();
        async move {
            if let Some(bytes) = ready.pop_front() {
                return Ok(Some((bytes, (pages, ready))));
            }
            // An error ends the download before its end mark, so that nobody takes the part for the whole.
            let hits = pages.next().await.map_err(|error| std::io::Error::other(error.message().to_owned()))?;
            Ok::<_, std::io::Error>((!hits.is_empty()).then(|| (write(asked.format, &columns, hits), (pages, ready))))
        }
    });
    let (kind, name) = match asked.format {
        Format::Ndjson => ("application/x-ndjson", "logs.ndjson"),
        Format::Csv => ("text/csv; charset=utf-8", "logs.csv"),
    };
    let disposition = format!("attachment; filename=\"{name}\"");
    let headers = [(header::CONTENT_TYPE, kind.to_owned()), (header::CONTENT_DISPOSITION, disposition)];
    Ok((headers, Body::from_stream(rows)).into_response())
}

fn columns(text: &str) -> Result<Vec<FieldPath>, ApiError> {
    let text = if text.trim().is_empty() { COLUMNS_DEFAULT } else { text };
    let names: Vec<_> = text.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    if names.len() > COLUMNS_MAX {
        return Err(ApiError::bad_request(format!("at most {COLUMNS_MAX} columns can be exported")));
    }
    names
        .into_iter()
        .map(|name| FieldPath::parse(name).map_err(|error| ApiError::bad_request(error.to_string())))
        .collect()
}

/// Page after page by `search_after`.
struct Pages {
    app: Shared,
    index: String,
    body: Value,
    rows_left: u64,
    ended: bool,
}

impl Pages {
    /// The next hits; none at the end.
    async fn next(&mut self) -> Result<Vec<Hit>, ApiError> {
        if self.ended || self.rows_left == 0 || self.app.shutdown.requested() {
            return Ok(Vec::new());
        }
        let size = self.body.get("size").and_then(Value::as_u64).unwrap_or(0);
        let mut answer = self.app.indexer.search(&self.index, &self.body).await?;
        let mut hits = hits_of(&mut answer);
        self.ended = (hits.len() as u64) < size;
        if let (Some(last), Some(body)) = (hits.last(), self.body.as_object_mut()) {
            body.insert("search_after".to_owned(), last.sort.clone());
        }
        hits.truncate(usize::try_from(self.rows_left).unwrap_or(usize::MAX));
        self.rows_left -= hits.len() as u64;
        Ok(hits)
    }
}

fn write(format: Format, columns: &[FieldPath], hits: Vec<Hit>) -> Bytes {
    let mut out = String::new();
    for hit in hits {
        match format {
            Format::Ndjson => {
                out.push_str(&hit.source.to_string());
                out.push('\n');
            }
            Format::Csv => {
                let event = Event::from_value(hit.source).unwrap_or_default();
                let cells: Vec<_> = columns.iter().map(|column| csv_cell(event.get(column))).collect();
                out.push_str(&csv_row(cells.iter().map(String::as_str)));
            }
        }
    }
    out.into()
}
