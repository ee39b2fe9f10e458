//! `_delete_by_query`: what matches at this instant is found no more when the answer comes, and no crash brings it back.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::Api;
use super::answer::{self, Answer};
use super::params::Params;
use super::search::{self, millis};
use super::tasks::{self, Task};
use crate::query::clause::Clause;
use crate::query::error::EsError;
use crate::query::limits::Allowance;
use crate::query::matching::matching;
use crate::query::strict::Members;
use crate::store::Doomed;
use crate::store::names::Expand;

/// What Elasticsearch takes for a batch unless told.
const BATCH_DOCS: u64 = 1000;

/// What is asked for.
struct Asked {
    index: String,
    ignore_unavailable: bool,
    expand: Expand,
    query: Clause,
    /// Whether documents that changed meanwhile are only counted.
    proceed: bool,
    max_docs: u64,
    batch: u64,
    /// Documents a second; `None` is as fast as it goes.
    rate: Option<f64>,
}

/// What was done.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    total: u64,
    done: u64,
    deleted: u64,
    conflicts: u64,
    batches: u64,
    throttled: Duration,
}

/// `POST <index>/_delete_by_query`.
pub(super) async fn delete_by_query(
    State(api): State<Api>,
    Path(index): Path<String>,
    query: RawQuery,
    body: Body,
) -> Answer {
    let mut params = Params::new(query.0.as_deref());
    let wait = params.flag("wait_for_completion")?.unwrap_or(true);
    let body = api.bodies.read_json(body).await?;
    let asked = Asked::read(index, &mut params, body)?;
    params.end("/{index}/_delete_by_query")?;
    // What makes no sense is refused before a task is made of it.
    api.store.view_expanding(&asked.index, asked.expand, Some(&super::NO_PARTS)).map(drop).or_else(|missing| {
        match asked.ignore_unavailable {
            true => Ok(()),
            false => Err(EsError::from(missing)),
        }
    })?;
    let description = format!("delete-by-query [{}]", asked.index);
    let action = "indices:data/write/delete/byquery";
    let work = move |api: Api, task: Arc<Task>| async move { run(&api, &task, asked).await };
    let done = tasks::run(&api, action, description, wait, work).await?;
    let failed = done.get("failures").and_then(Value::as_array).is_some_and(|failures| !failures.is_empty());
    Ok(answer::json_with(if failed { StatusCode::CONFLICT } else { StatusCode::OK }, &done))
}

impl Asked {
    fn read(index: String, params: &mut Params, body: Value) -> Result<Self, EsError> {
        let mut query = search::query_of(params)?;
        let mut conflicts = params.take("conflicts");
        let mut max_docs = number(params, "max_docs")?;
        if !body.is_null() {
            let mut members = Members::new(body, "[_delete_by_query]")?;
            let from_body = members.take("query").map(Clause::from_dsl).transpose()?;
            query = query.or(from_body);
            max_docs = max_docs.or(members.whole("max_docs")?);
            conflicts = conflicts.or(members.string("conflicts")?);
            members.end()?;
        }
        let missing =
            || EsError::new(400, "action_request_validation_exception", "Validation Failed: 1: query is missing;");
        let proceed = match conflicts.as_deref() {
            None | Some("abort") => false,
            Some("proceed") => true,
            Some(other) => {
                let reason = format!("conflicts may only be \"proceed\" or \"abort\" but was [{other}]");
                return Err(EsError::argument(reason));
            }
        };
        let max_docs = match max_docs {
            None | Some(-1) => u64::MAX,
            Some(number) => u64::try_from(number).ok().filter(|number| *number > 0).ok_or_else(|| {
                EsError::argument(format!("[max_docs] must be greater than 0, or -1 for all, found [{number}]"))
            })?,
        };
        let batch = match number(params, "scroll_size")? {
            None => BATCH_DOCS,
            Some(number) => {
                u64::try_from(number).ok().filter(|number| (1..=10_000).contains(number)).ok_or_else(|| {
                    EsError::argument(format!("[scroll_size] must be between 1 and 10000, found [{number}]"))
                })?
            }
        };
        let rate = rate(params)?;
        slices(params)?;
        // Deletions are seen by the next search without a refresh, and no scroll is kept open.
        super::bulk::Refresh::read(params)?;
        params.ignore(&["scroll", "timeout", "search_timeout", "stats", "version", "wait_for_active_shards"]);
        let ignore_unavailable = params.flag("ignore_unavailable")?.unwrap_or(false);
        let expand = params.expand(Expand::Visible)?;
        let query = query.ok_or_else(missing)?;
        Ok(Self { index, ignore_unavailable, expand, query, proceed, max_docs, batch, rate })
    }
}

fn number(params: &mut Params, key: &str) -> Result<Option<i64>, EsError> {
    let refused = |text: &str| EsError::argument(format!("Failed to parse int parameter [{key}] with value [{text}]"));
    params.take(key).map(|text| text.parse().map_err(|_| refused(&text))).transpose()
}

fn rate(params: &mut Params) -> Result<Option<f64>, EsError> {
    let Some(text) = params.take("requests_per_second") else { return Ok(None) };
    match text.parse::<f64>() {
        Ok(-1.0) => Ok(None),
        Ok(rate) if rate > 0.0 && rate.is_finite() => Ok(Some(rate)),
        _ => {
            Err(EsError::argument("requests_per_second must be a float greater than 0. Use -1 to disable throttling."))
        }
    }
}

/// Into how many parts the work is cut elsewhere; here it is done in one go.
fn slices(params: &mut Params) -> Result<(), EsError> {
    let Some(text) = params.take("slices") else { return Ok(()) };
    match text.as_str() {
        "auto" => Ok(()),
        number if number.parse::<u32>().is_ok_and(|number| number > 0) => Ok(()),
        other => Err(EsError::argument(format!(
            "[slices] must be a positive integer or the string \"auto\", but was [{other}]"
        ))),
    }
}

async fn run(api: &Api, task: &Arc<Task>, asked: Asked) -> Result<Value, EsError> {
    let started = Instant::now();
    let shared = api.0.clone();
    let (query, cancelled) = (asked.query.clone(), task.cancelled.clone());
    let (index, expand, max_docs) = (asked.index.clone(), asked.expand, asked.max_docs);
    let ignore_unavailable = asked.ignore_unavailable;
    let found = api.searches.run(move || {
        let view = search::view(&shared, &search::Asked { ignore_unavailable, expand, ..search::Asked::of(&index) })?;
        matching(&view, &query, max_docs, &Allowance::new(None, cancelled))
    });
    let found = found.await?;
    let mut tally = Tally { total: found.iter().map(|one| one.documents.len() as u64).sum(), ..Tally::default() };
    let mut conflicting = Vec::new();
    let mut settle = Vec::new();
    for batch in batches(found, asked.rate.map(|_| asked.batch)) {
        if task.cancelled.load(Ordering::Relaxed) || (!conflicting.is_empty() && !asked.proceed) {
            break;
        }
        let begun = Instant::now();
        let (index, size) = (batch.part.index.to_string(), batch.documents.len() as u64);
        let store = api.store.clone();
        let (batch, gone) = blocking(move || {
            let gone = store.erase(std::slice::from_ref(&batch))?;
            Ok::<_, EsError>((batch, gone))
        })
        .await?;
        settle.push(batch);
        tally.add(size, gone, asked.batch);
        if gone < size {
            conflicting.push((index, size - gone));
        }
        *task.status.lock() = tally.to_json(asked.rate);
        if let (Some(rate), true) = (asked.rate, tally.done < tally.total) {
            let pause = Duration::try_from_secs_f64(size as f64 / rate).unwrap_or(Duration::MAX);
            tally.throttled += wait(pause.saturating_sub(begun.elapsed()), task).await;
        }
    }
    let store = api.store.clone();
    if !settle.is_empty() {
        blocking(move || store.settle_erased(&settle).map_err(|error| unsettled(&error))).await?;
    }
    api.board.counter("erased_documents").add(tally.deleted);
    tracing::info!(index = asked.index, deleted = tally.deleted, took = ?started.elapsed(), "documents were erased");
    let failures = if asked.proceed { Vec::new() } else { conflicting.iter().map(failure).collect() };
    let mut shown = tally.to_json(asked.rate);
    if let Some(map) = shown.as_object_mut() {
        map.insert("took".to_owned(), millis(started).into());
        map.insert("timed_out".to_owned(), false.into());
        map.insert("failures".to_owned(), failures.into());
        if task.cancelled.load(Ordering::Relaxed) {
            map.insert("canceled".to_owned(), "by user request".into());
        }
    }
    Ok(shown)
}

/// The work in pieces: of so many documents when it is throttled, of one part otherwise.
fn batches(found: Vec<Doomed>, size: Option<u64>) -> impl Iterator<Item = Doomed> {
    let size = size.and_then(|size| usize::try_from(size).ok()).unwrap_or(usize::MAX);
    found.into_iter().flat_map(move |Doomed { part, documents }| {
        let pieces: Vec<_> = documents.chunks(size).map(<[u32]>::to_vec).collect();
        pieces.into_iter().map(move |documents| Doomed { part: part.clone(), documents })
    })
}

/// Waits, but not for a task that was cancelled. Says how long it was.
async fn wait(pause: Duration, task: &Task) -> Duration {
    const LOOK_EVERY: Duration = Duration::from_millis(50);
    let begun = Instant::now();
    while begun.elapsed() < pause && !task.cancelled.load(Ordering::Relaxed) {
        tokio::time::sleep(LOOK_EVERY.min(pause.saturating_sub(begun.elapsed()))).await;
    }
    begun.elapsed()
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, EsError> + Send + 'static) -> Result<T, EsError> {
    tokio::task::spawn_blocking(work).await.map_err(EsError::internal)?
}

fn unsettled(error: &crate::store::FlushError) -> EsError {
    let reason = format!(
        "the documents are found no more, but a crash now would bring some back, because they can't be taken off \
         the disk yet: {error}; ask again when there is room"
    );
    EsError::new(503, "unavailable_shards_exception", reason)
}

fn failure((index, count): &(String, u64)) -> Value {
    let reason = format!("{count} documents were changed or deleted by others while they were to be deleted");
    let cause = json!({ "type": "version_conflict_engine_exception", "reason": reason, "shard": "0", "index": index });
    json!({ "index": index, "cause": cause, "status": 409 })
}

impl Tally {
    fn add(&mut self, size: u64, gone: u64, batch: u64) {
        self.done += size;
        self.deleted += gone;
        self.conflicts += size - gone.min(size);
        self.batches += size.div_ceil(batch.max(1));
    }

    fn to_json(self, rate: Option<f64>) -> Value {
        json!({
            "total": self.total,
            "deleted": self.deleted,
            "batches": self.batches,
            "version_conflicts": self.conflicts,
            "noops": 0,
            "retries": { "bulk": 0, "search": 0 },
            "throttled_millis": u64::try_from(self.throttled.as_millis()).unwrap_or(u64::MAX),
            "requests_per_second": rate.unwrap_or(-1.0),
            "throttled_until_millis": 0,
        })
    }
}
