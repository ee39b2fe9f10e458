//! `_async_search`: searches that go on while nobody waits, are asked how far they are, and can be cancelled. Answers are
//! kept in memory, so they do not outlive the program.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::{Asked, read, search_now};
use crate::http::Api;
use crate::http::answer::{self, Answer};
use crate::http::contexts::new_id;
use crate::http::named::Call;
use crate::http::params::Params;
use crate::query::error::EsError;
use crate::query::limits::{Allowance, Progress};
use crate::query::request;

/// Searches that are kept, running or done.
const KEPT_MAX: usize = 200;
/// Bytes of answers that are kept, in all.
const ANSWERS_BYTES_MAX: usize = 128 << 20;
/// How long the one who submits waits for the answer by default.
const WAIT_DEFAULT: Duration = Duration::from_secs(1);
/// Longer waits keep connections busy for nothing.
const WAIT_MAX: Duration = Duration::from_secs(120);
/// Elasticsearch's default, and the most here.
const KEEP_ALIVE_MAX: Duration = Duration::from_secs(5 * 24 * 3600);

type Outcome = Result<Arc<RawValue>, EsError>;

/// The searches.
#[derive(Default)]
pub(in crate::http) struct AsyncSearches(Mutex<BTreeMap<String, Arc<Job>>>);

struct Job {
    progress: Arc<Progress>,
    cancel: Arc<AtomicBool>,
    began_ms: i64,
    ended: watch::Receiver<Option<(i64, Outcome)>>,
    keeping: Mutex<Keeping>,
}

#[derive(Clone, Copy)]
struct Keeping {
    expires: Instant,
    expires_ms: i64,
}

impl Keeping {
    fn of(keep_alive: Duration) -> Self {
        let keep_alive = keep_alive.min(KEEP_ALIVE_MAX);
        let millis = i64::try_from(keep_alive.as_millis()).unwrap_or(i64::MAX);
        let expires_ms = jiff::Timestamp::now().as_millisecond().saturating_add(millis);
        Self { expires: Instant::now() + keep_alive, expires_ms }
    }
}

impl AsyncSearches {
    fn get(&self, id: &str) -> Result<Arc<Job>, EsError> {
        let jobs = self.0.lock();
        let found = jobs.get(id).filter(|job| job.keeping.lock().expires > Instant::now());
        found.cloned().ok_or_else(|| EsError::new(404, "resource_not_found_exception", id))
    }

    fn add(&self, id: &str, job: Arc<Job>) -> Result<(), EsError> {
        let mut jobs = self.0.lock();
        drop_expired(&mut jobs);
        if jobs.len() >= KEPT_MAX {
            let reason = format!("{KEPT_MAX} asynchronous searches are kept already; delete some");
            return Err(EsError::new(429, "es_rejected_execution_exception", reason));
        }
        jobs.insert(id.to_owned(), job);
        Ok(())
    }

    fn remove(&self, id: &str) -> Option<Arc<Job>> {
        self.0.lock().remove(id)
    }

    /// Drops what has expired, and cancels it.
    pub(in crate::http) fn sweep(&self) {
        drop_expired(&mut self.0.lock());
    }

    /// Bytes of the answers that are kept.
    fn bytes(&self) -> usize {
        let jobs = self.0.lock();
        let bytes = |job: &Arc<Job>| match &*job.ended.borrow() {
            Some((_, Ok(found))) => found.get().len(),
            _ => 0,
        };
        jobs.values().map(bytes).sum()
    }
}

fn drop_expired(jobs: &mut BTreeMap<String, Arc<Job>>) {
    let now = Instant::now();
    jobs.retain(|_, job| {
        let stays = job.keeping.lock().expires > now;
        if !stays {
            job.cancel.store(true, Ordering::Relaxed);
        }
        stays
    });
}

/// A search and how far it is.
#[derive(Serialize)]
struct Shown<'s> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    is_partial: bool,
    is_running: bool,
    start_time_in_millis: i64,
    expiration_time_in_millis: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    completion_time_in_millis: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response: Option<&'s RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Value>,
}

impl Job {
    async fn wait(&self, wait: Duration) {
        let mut ended = self.ended.clone();
        // Whether it ended or time ran out shows in what is told next.
        let _ = tokio::time::timeout(wait.min(WAIT_MAX), ended.wait_for(Option::is_some)).await;
    }

    fn shards(&self) -> Value {
        let (done, all) = self.progress.done_of_all();
        json!({ "total": all, "successful": done, "skipped": 0, "failed": 0 })
    }

    fn show(&self, id: Option<&str>) -> Result<Response, EsError> {
        let ended = self.ended.borrow().clone();
        let began = self.began_ms;
        let (ended_ms, response, error): (_, Option<Arc<RawValue>>, _) = match ended {
            None => {
                let took = jiff::Timestamp::now().as_millisecond().saturating_sub(began);
                let hits = json!({ "total": { "value": 0, "relation": "gte" }, "max_score": null, "hits": [] });
                let so_far = json!({ "took": took, "timed_out": false, "_shards": self.shards(), "hits": hits });
                (None, Some(serde_json::value::to_raw_value(&so_far).map_err(EsError::internal)?.into()), None)
            }
            Some((at, Ok(found))) => (Some(at), Some(found), None),
            Some((at, Err(error))) => (Some(at), None, Some(error)),
        };
        let status = error.as_ref().map_or(200, |error| error.status);
        let shown = Shown {
            id: id.map(str::to_owned),
            is_partial: response.is_none() || ended_ms.is_none(),
            is_running: ended_ms.is_none(),
            start_time_in_millis: began,
            expiration_time_in_millis: self.keeping.lock().expires_ms,
            completion_time_in_millis: ended_ms,
            response: response.as_deref(),
            error: error.map(|error| error.to_json().get("error").cloned().unwrap_or(Value::Null)),
        };
        Ok(answer::json_with(StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), &shown))
    }
}

pub(in crate::http) async fn submit(State(api): State<Api>, mut call: Call) -> Answer {
    let asked = Asked { action: "indices:data/read/async_search/submit", ..Asked::read(&mut call)? };
    let Call { mut params, body, .. } = call;
    let wait = time(&mut params, "wait_for_completion_timeout")?.unwrap_or(WAIT_DEFAULT);
    let keep_alive = time(&mut params, "keep_alive")?.unwrap_or(KEEP_ALIVE_MAX);
    let keep = params.flag("keep_on_completion")?.unwrap_or(false);
    let request = read(api.bodies.read_json(body).await?, &mut params)?;
    params.end("/_async_search")?;
    let task = asked.begin(&api);
    let (end, ended) = watch::channel(None);
    let progress = Arc::new(Progress::default());
    let job = Arc::new(Job {
        progress: progress.clone(),
        cancel: task.cancel.clone(),
        began_ms: jiff::Timestamp::now().as_millisecond(),
        ended,
        keeping: Mutex::new(Keeping::of(keep_alive)),
    });
    let id = new_id();
    api.async_searches.add(&id, job.clone())?;
    let running = api.clone();
    tokio::spawn(async move {
        let allowance = Allowance::in_background(request.timeout, task.cancel.clone()).showing(progress);
        let shared = running.0.clone();
        let lane = super::lane(&running, &asked, &request);
        let found = running.searches.run_in(lane, move |turn| {
            let turn = turn.clone();
            search_now(&shared, &asked, request, &allowance.pausing(move || turn.give_way()))
        });
        let found = found.await;
        let found = found.and_then(|found| {
            if running.async_searches.bytes() + found.get().len() > ANSWERS_BYTES_MAX {
                let reason = format!("answers of more than {ANSWERS_BYTES_MAX} bytes would be kept; delete some");
                return Err(EsError::new(429, "circuit_breaking_exception", reason));
            }
            Ok(Arc::from(found))
        });
        end.send_replace(Some((jiff::Timestamp::now().as_millisecond(), found)));
        drop(task);
    });
    // Should the one who submits go away meanwhile, nobody would know the id.
    let given_up = GivenUp { api: &api, id: Some(&id) };
    job.wait(wait).await;
    given_up.known();
    if job.ended.borrow().is_some() && !keep {
        api.async_searches.remove(&id);
        return job.show(None);
    }
    job.show(Some(&id))
}

/// Ends a search whose id nobody was told.
struct GivenUp<'g> {
    api: &'g Api,
    id: Option<&'g str>,
}

impl GivenUp<'_> {
    fn known(mut self) {
        self.id = None;
    }
}

impl Drop for GivenUp<'_> {
    fn drop(&mut self) {
        if let Some(job) = self.id.and_then(|id| self.api.async_searches.remove(id)) {
            job.cancel.store(true, Ordering::Relaxed);
        }
    }
}

fn time(params: &mut Params, key: &str) -> Result<Option<Duration>, EsError> {
    params.take(key).map(|text| request::duration(&text)).transpose()
}

pub(in crate::http) async fn get(State(api): State<Api>, Path(id): Path<String>, query: RawQuery) -> Answer {
    let mut params = Params::new(query.0.as_deref());
    let wait = time(&mut params, "wait_for_completion_timeout")?;
    let keep_alive = time(&mut params, "keep_alive")?;
    // The types of aggregations were written into their names when the search was submitted.
    params.ignore(&["typed_keys"]);
    params.end("/_async_search/{id}")?;
    let job = api.async_searches.get(&id)?;
    if let Some(keep_alive) = keep_alive {
        *job.keeping.lock() = Keeping::of(keep_alive);
    }
    if let Some(wait) = wait {
        job.wait(wait).await;
    }
    job.show(Some(&id))
}

pub(in crate::http) async fn status(State(api): State<Api>, Path(id): Path<String>, query: RawQuery) -> Answer {
    let mut params = Params::new(query.0.as_deref());
    let keep_alive = time(&mut params, "keep_alive")?;
    params.end("/_async_search/status/{id}")?;
    let job = api.async_searches.get(&id)?;
    if let Some(keep_alive) = keep_alive {
        *job.keeping.lock() = Keeping::of(keep_alive);
    }
    let ended = job.ended.borrow().clone();
    let mut shown = json!({
        "id": id,
        "is_running": ended.is_none(),
        "is_partial": !matches!(ended, Some((_, Ok(_)))),
        "start_time_in_millis": job.began_ms,
        "expiration_time_in_millis": job.keeping.lock().expires_ms,
        "_shards": job.shards(),
    });
    if let (Some((at, outcome)), Some(map)) = (ended, shown.as_object_mut()) {
        map.insert("completion_time_in_millis".to_owned(), at.into());
        map.insert("completion_status".to_owned(), outcome.err().map_or(200, |error| error.status).into());
    }
    Ok(answer::json(&shown))
}

pub(in crate::http) async fn delete(State(api): State<Api>, Path(id): Path<String>, query: RawQuery) -> Answer {
    Params::new(query.0.as_deref()).end("/_async_search/{id}")?;
    api.async_searches.get(&id)?;
    if let Some(job) = api.async_searches.remove(&id) {
        job.cancel.store(true, Ordering::Relaxed);
    }
    Ok(answer::json(&json!({ "acknowledged": true })))
}
