//! Work that goes on after its request was answered: looked at and cancelled by its number, forgotten some time
//! after it ended. It does not outlive the process.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::extract::{Path, RawQuery, State};
use jiff::Timestamp;
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::Api;
use super::answer::{self, Answer};
use super::params::Params;
use crate::query::error::EsError;

/// Names the one node in a task's id.
const NODE: &str = "logmill";
/// Tasks that are remembered, running and ended: each is a small object.
const TASKS_MAX: usize = 1000;
/// How long the outcome of a task can be asked for.
const REMEMBERED: Duration = Duration::from_secs(24 * 3600);
/// How often a request that waits for a task looks.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The tasks by number.
#[derive(Default)]
pub(super) struct Tasks(Mutex<Known>);

#[derive(Default)]
struct Known {
    last: u64,
    tasks: BTreeMap<u64, Arc<Task>>,
}

/// One of them.
pub(super) struct Task {
    number: u64,
    action: &'static str,
    description: String,
    started: (Timestamp, Instant),
    /// Set when it is to end early.
    pub(super) cancelled: Arc<AtomicBool>,
    /// What it has done so far, in the shape of its answer.
    pub(super) status: Mutex<Value>,
    ended: Mutex<Option<(Instant, Result<Value, EsError>)>>,
}

impl Tasks {
    /// Registers a task that begins now.
    pub(super) fn begin(&self, action: &'static str, description: String) -> Result<Arc<Task>, EsError> {
        let mut state = self.0.lock();
        state.tasks.retain(|_, task| task.ended.lock().as_ref().is_none_or(|(at, _)| at.elapsed() < REMEMBERED));
        if state.tasks.len() >= TASKS_MAX {
            let ended = state.tasks.values().find(|task| task.ended.lock().is_some()).map(|task| task.number);
            let Some(ended) = ended else {
                let reason = format!("{TASKS_MAX} tasks are running already; wait for some to end");
                return Err(EsError::new(429, "es_rejected_execution_exception", reason));
            };
            state.tasks.remove(&ended);
        }
        state.last += 1;
        let number = state.last;
        let task = Arc::new(Task {
            number,
            action,
            description,
            started: (Timestamp::now(), Instant::now()),
            cancelled: Arc::default(),
            status: Mutex::new(json!({})),
            ended: Mutex::new(None),
        });
        state.tasks.insert(number, task.clone());
        Ok(task)
    }

    fn find(&self, id: &str) -> Result<Arc<Task>, EsError> {
        let number = id.strip_prefix(NODE).and_then(|rest| rest.strip_prefix(':')).and_then(|text| text.parse().ok());
        let task = number.and_then(|number: u64| self.0.lock().tasks.get(&number).cloned());
        task.ok_or_else(|| {
            let reason = format!("task [{id}] isn't running and hasn't stored its results");
            EsError::new(404, "resource_not_found_exception", reason)
        })
    }
}

impl Task {
    /// What clients ask for it by.
    pub(super) fn id(&self) -> String {
        format!("{NODE}:{}", self.number)
    }

    /// Keeps what came of it.
    pub(super) fn end(&self, outcome: Result<Value, EsError>) {
        *self.ended.lock() = Some((Instant::now(), outcome));
    }

    fn to_json(&self) -> Value {
        let ended = self.ended.lock();
        let until = ended.as_ref().map_or_else(Instant::now, |(at, _)| *at);
        let running = until.saturating_duration_since(self.started.1);
        json!({
            "node": NODE,
            "id": self.number,
            "type": "transport",
            "action": self.action,
            "status": *self.status.lock(),
            "description": self.description,
            "start_time_in_millis": self.started.0.as_millisecond(),
            "running_time_in_nanos": u64::try_from(running.as_nanos()).unwrap_or(u64::MAX),
            "cancellable": true,
            "cancelled": self.cancelled.load(Ordering::Relaxed),
            "headers": {},
        })
    }
}

/// `GET _tasks/<id>`.
pub(super) async fn show(State(api): State<Api>, Path(id): Path<String>, query: RawQuery) -> Answer {
    let mut params = Params::new(query.0.as_deref());
    let wait = params.flag("wait_for_completion")?.unwrap_or(false);
    let timeout = params.take("timeout").map(|text| crate::query::request::duration(&text)).transpose()?;
    params.end("/_tasks/{task_id}")?;
    let task = api.tasks.find(&id)?;
    // Elasticsearch waits for 30 s unless told.
    let deadline = Instant::now() + timeout.unwrap_or(Duration::from_secs(30)).min(Duration::from_secs(600));
    while wait && task.ended.lock().is_none() && Instant::now() < deadline {
        tokio::time::sleep(LOOK_EVERY).await;
    }
    let mut shown = json!({ "completed": false, "task": task.to_json() });
    if let (Some((_, outcome)), Some(map)) = (task.ended.lock().as_ref(), shown.as_object_mut()) {
        map.insert("completed".to_owned(), true.into());
        match outcome {
            Ok(response) => map.insert("response".to_owned(), response.clone()),
            Err(error) => map.insert("error".to_owned(), error.to_json().get("error").cloned().unwrap_or_default()),
        };
    }
    Ok(answer::json(&shown))
}

/// `POST _tasks/<id>/_cancel`.
pub(super) async fn cancel(State(api): State<Api>, Path(id): Path<String>, query: RawQuery) -> Answer {
    let mut params = Params::new(query.0.as_deref());
    params.ignore(&["wait_for_completion"]);
    params.end("/_tasks/{task_id}/_cancel")?;
    let task = api.tasks.find(&id)?;
    task.cancelled.store(true, Ordering::Relaxed);
    let tasks = json!({ task.id(): task.to_json() });
    Ok(answer::json(&json!({ "nodes": { NODE: { "name": NODE, "tasks": tasks } } })))
}
