//! What runs: searches, which are listed and cancelled while somebody waits for them, and work that goes on after its
//! request was answered, which is forgotten some time after it ended. Nothing outlives the process.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::extract::{Path, RawQuery, State};
use axum::http::HeaderMap;
use jiff::Timestamp;
use logmill_indexer_api::text::Wildcard;
use parking_lot::Mutex;
use serde_json::{Map, Value, json};

use super::Api;
use super::answer::{self, Answer};
use super::node::NODE;
use super::params::Params;
use crate::query::error::EsError;

/// Names the one node in a task's id.
/// Tasks that are remembered, running and ended: each is a small object.
const TASKS_MAX: usize = 1000;
/// How long the outcome of a task can be asked for.
const REMEMBERED: Duration = Duration::from_secs(24 * 3600);
/// Letters of a task's description: requests may be long.
const DESCRIPTION_LETTERS_MAX: usize = 1024;
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
    /// What the client calls its request.
    opaque_id: Option<String>,
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
        Ok(state.add(action, description, None))
    }

    /// Registers a search for as long as the answer is wanted. Their number is bounded where they wait for their turn.
    pub(super) fn search(self: &Arc<Self>, action: &'static str, what: &str, opaque_id: Option<String>) -> Running {
        let description = what.chars().take(DESCRIPTION_LETTERS_MAX).collect();
        let task = self.0.lock().add(action, description, opaque_id);
        Running { tasks: self.clone(), number: task.number, cancel: task.cancelled.clone() }
    }

    /// The tasks that run.
    fn running(&self, actions: &[Wildcard]) -> Vec<Arc<Task>> {
        let fits = |task: &Task| actions.is_empty() || actions.iter().any(|pattern| pattern.matches(task.action));
        let known = self.0.lock();
        known.tasks.values().filter(|task| fits(task) && task.ended.lock().is_none()).cloned().collect()
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

impl Known {
    fn add(&mut self, action: &'static str, description: String, opaque_id: Option<String>) -> Arc<Task> {
        self.last += 1;
        let task = Arc::new(Task {
            number: self.last,
            action,
            description,
            opaque_id,
            started: (Timestamp::now(), Instant::now()),
            cancelled: Arc::default(),
            status: Mutex::new(json!({})),
            ended: Mutex::new(None),
        });
        self.tasks.insert(self.last, task.clone());
        task
    }
}

/// A search while it runs. When it is dropped, whatever still runs for it is cancelled.
pub(super) struct Running {
    tasks: Arc<Tasks>,
    number: u64,
    pub(super) cancel: Arc<AtomicBool>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.cancel.store(true, Ordering::Relaxed);
        self.tasks.0.lock().tasks.remove(&self.number);
    }
}

/// The id that a client gives its request, to find it again in `_tasks`.
pub(super) fn opaque_id(headers: &HeaderMap) -> Option<String> {
    headers.get("x-opaque-id").and_then(|id| id.to_str().ok()).map(|id| id.chars().take(255).collect())
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
            "headers": self.opaque_id.as_ref().map_or_else(|| json!({}), |id| json!({ "X-Opaque-Id": id })),
        })
    }
}

/// Does work that is a task: waits for what comes of it, or tells the task's id. It goes on also when the client goes
/// away: work that is half done would be a riddle.
pub(super) async fn run<F>(
    api: &Api,
    action: &'static str,
    description: String,
    wait: bool,
    work: impl FnOnce(Api, Arc<Task>) -> F,
) -> Result<Value, EsError>
where
    F: Future<Output = Result<Value, EsError>> + Send + 'static,
{
    let task = api.tasks.begin(action, description)?;
    let id = task.id();
    let work = work(api.clone(), task.clone());
    let running = tokio::spawn(async move {
        let outcome = work.await;
        task.end(outcome.clone());
        outcome
    });
    match wait {
        true => running.await.map_err(|_| EsError::internal("the work failed; the log of the program says why"))?,
        false => Ok(json!({ "task": id })),
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

fn by_node(tasks: &[Arc<Task>]) -> Value {
    if tasks.is_empty() {
        return json!({ "nodes": {} });
    }
    let shown: Map<String, Value> = tasks.iter().map(|task| (task.id(), task.to_json())).collect();
    let roles = ["data", "ingest", "master"];
    json!({ "nodes": { NODE: { "name": NODE, "host": "127.0.0.1", "roles": roles, "tasks": shown } } })
}

/// Which actions a request means, and how it wants tasks grouped.
fn read(query: Option<&str>, path: &str) -> Result<(Vec<Wildcard>, String), EsError> {
    let mut params = Params::new(query);
    // There is one node, every task is on top and shown in full, and nothing is waited for.
    params.ignore(&["nodes", "node_id", "parent_task_id", "timeout", "wait_for_completion", "detailed"]);
    let actions = params.list("actions").unwrap_or_default().iter().map(|action| Wildcard::new(action)).collect();
    let group_by = params.take("group_by").unwrap_or_else(|| "nodes".to_owned());
    params.end(path)?;
    Ok((actions, group_by))
}

/// `GET _tasks`.
pub(super) async fn list(State(api): State<Api>, query: RawQuery) -> Answer {
    let (actions, group_by) = read(query.0.as_deref(), "/_tasks")?;
    let tasks = api.tasks.running(&actions);
    match group_by.as_str() {
        "nodes" => Ok(answer::json(&by_node(&tasks))),
        "parents" => {
            let all: Map<String, Value> = tasks.iter().map(|task| (task.id(), task.to_json())).collect();
            Ok(answer::json(&json!({ "tasks": all })))
        }
        "none" => Ok(answer::json(&json!({ "tasks": tasks.iter().map(|task| task.to_json()).collect::<Vec<_>>() }))),
        other => Err(EsError::argument(format!("No matching group_by for [{other}]"))),
    }
}

/// `POST _tasks/<id>/_cancel` and `POST _tasks/_cancel`.
pub(super) async fn cancel(State(api): State<Api>, id: Option<Path<String>>, query: RawQuery) -> Answer {
    let (actions, _) = read(query.0.as_deref(), "/_tasks/_cancel")?;
    let tasks = match id {
        Some(Path(id)) => vec![api.tasks.find(&id)?],
        None => api.tasks.running(&actions),
    };
    for task in &tasks {
        task.cancelled.store(true, Ordering::Relaxed);
    }
    Ok(answer::json(&by_node(&tasks)))
}
