//! The stage: keeps a runner for each pipeline, looks for changed files, and tells how it goes.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use logmill_bus_client::Connection;
use logmill_core::{Shutdown, Stage, StatusBoard};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::runner::{Limits, Runner};
use super::worker::Meters;
use crate::config::Config;
use crate::pipeline::{Pipeline, PipelineError, files, load};

/// The stage could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A pipeline is wrong: every problem with its place.
    #[error(transparent)]
    Pipelines(#[from] PipelineError),
}

/// The stage ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A part of it broke.
    #[error("the pipeline {0} ended unexpectedly")]
    Ended(String),
}

/// How often the board is written.
const TELL_EVERY: Duration = Duration::from_millis(500);
/// Files are looked at no more often than this.
const RELOAD_MIN: Duration = Duration::from_millis(100);

/// The processor.
pub struct Service {
    config: Config,
    connection: Connection,
    board: Arc<StatusBoard>,
    pipelines: Vec<Pipeline>,
    seen: u64,
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Service({} pipelines)", self.pipelines.len())
    }
}

struct Running {
    newest: watch::Sender<Arc<Pipeline>>,
    ready: Arc<AtomicBool>,
    shutdown: Shutdown,
    task: JoinHandle<()>,
}

impl Service {
    /// Compiles the pipelines and runs their tests.
    ///
    /// # Errors
    /// When a pipeline is wrong or one of its tests fails. An absent bus is no error.
    pub async fn build(config: Config, connection: Connection, stage: Stage) -> Result<Self, BuildError> {
        let seen = fingerprint(&config.pipelines);
        let given = config.clone();
        // Compiling many patterns takes a while: not on a thread that others wait for.
        let loaded = tokio::task::spawn_blocking(move || load(&given.pipelines, &given.pipeline)).await;
        let pipelines = match loaded {
            Ok(loaded) => loaded?,
            Err(_) => load(&config.pipelines, &config.pipeline)?,
        };
        tell_lints(&pipelines);
        Ok(Self { config, connection, board: stage.board, pipelines, seen })
    }

    /// Runs until asked to stop: then everything read is acknowledged and committed.
    ///
    /// # Errors
    /// When a runner ends by itself.
    pub async fn run(mut self, shutdown: Shutdown) -> Result<(), RunError> {
        let meters = meters(&self.board);
        let mut running: HashMap<(String, String), Running> = HashMap::new();
        let pipelines = std::mem::take(&mut self.pipelines);
        self.apply(pipelines, &mut running, &meters).await;
        let mut tell = tokio::time::interval(TELL_EVERY);
        let mut look = tokio::time::interval(self.config.reload.0.max(RELOAD_MIN));
        let ended = loop {
            tokio::select! {
                () = shutdown.wait() => break None,
                _ = tell.tick() => {
                    tell_board(&self.board, &running);
                    if let Some((_, ended)) = running.iter().find(|(_, running)| running.task.is_finished()) {
                        break Some(ended.newest.borrow().id.clone());
                    }
                }
                _ = look.tick(), if !self.config.pipelines.is_empty() => {
                    if let Some(pipelines) = self.reload().await {
                        self.apply(pipelines, &mut running, &meters).await;
                    }
                }
            }
        };
        self.board.set_ready(false);
        for one in running.values() {
            one.shutdown.trigger();
        }
        for (_, one) in running.drain() {
            let _ = one.task.await;
        }
        ended.map_or(Ok(()), |pipeline| Err(RunError::Ended(pipeline)))
    }

    /// The pipelines anew when a file has changed and all is well with them. Otherwise the old ones keep running.
    async fn reload(&mut self) -> Option<Vec<Pipeline>> {
        let config = self.config.clone();
        let seen = self.seen;
        let look = move || {
            let now = fingerprint(&config.pipelines);
            (now != seen).then(|| (now, load(&config.pipelines, &config.pipeline)))
        };
        let (now, loaded) = tokio::task::spawn_blocking(look).await.ok()??;
        self.seen = now;
        match loaded {
            Ok(pipelines) => {
                tell_lints(&pipelines);
                self.board.set_problem("pipelines", None);
                Some(pipelines)
            }
            Err(error) => {
                tracing::error!(%error, "the changed pipelines are not taken; the old ones keep running");
                let problem = format!("the changed pipelines are not taken, the old ones keep running: {error}");
                self.board.set_problem("pipelines", Some(problem));
                None
            }
        }
    }

    /// Gives changed pipelines to their runners, starts new ones and stops those that are gone.
    async fn apply(&self, pipelines: Vec<Pipeline>, running: &mut HashMap<(String, String), Running>, meters: &Meters) {
        let place = |pipeline: &Pipeline| (pipeline.topic.clone(), pipeline.group.clone());
        let wanted: Vec<_> = pipelines.iter().map(place).collect();
        let gone: Vec<_> = running.keys().filter(|place| !wanted.contains(place)).cloned().collect();
        for place in gone {
            if let Some(one) = running.remove(&place) {
                one.shutdown.trigger();
                let _ = one.task.await;
            }
        }
        for pipeline in pipelines {
            let place = place(&pipeline);
            let pipeline = Arc::new(pipeline);
            match running.get(&place) {
                Some(one) if one.newest.borrow().hash == pipeline.hash => {}
                Some(one) => drop(one.newest.send_replace(pipeline)),
                None => drop(running.insert(place, self.start(pipeline, meters))),
            }
        }
    }

    fn start(&self, pipeline: Arc<Pipeline>, meters: &Meters) -> Running {
        let (newest, receiver) = watch::channel(pipeline);
        let (ready, shutdown) = (Arc::new(AtomicBool::new(false)), Shutdown::new());
        let runner = Runner {
            connection: self.connection.clone(),
            board: self.board.clone(),
            meters: meters.clone(),
            limits: Limits {
                batch_events: self.config.batch_events,
                batch_bytes: usize::try_from(self.config.batch_bytes.0).unwrap_or(usize::MAX),
                in_flight_bytes: usize::try_from(self.config.in_flight_bytes.0).unwrap_or(usize::MAX),
            },
            newest: receiver,
            ready: ready.clone(),
        };
        let task = tokio::spawn(runner.run(shutdown.clone()));
        Running { newest, ready, shutdown, task }
    }
}

fn meters(board: &StatusBoard) -> Meters {
    Meters {
        events: board.counter("events"),
        bytes: board.counter("bytes"),
        outputs: board.counter("outputs"),
        dropped: board.counter("dropped"),
        dead: board.counter("dead_letters"),
        empty: board.counter("empty_records"),
    }
}

fn tell_lints(pipelines: &[Pipeline]) {
    for pipeline in pipelines {
        for lint in &pipeline.lints {
            tracing::warn!(pipeline = pipeline.id, lint, "worth a look");
        }
    }
}

/// Readiness, and the counters of each step.
fn tell_board(board: &StatusBoard, running: &HashMap<(String, String), Running>) {
    board.set_ready(!running.is_empty() && running.values().all(|one| one.ready.load(Ordering::Acquire)));
    let mut pipelines: Vec<Value> = Vec::new();
    for one in running.values() {
        let pipeline = one.newest.borrow();
        let steps = pipeline.meters.iter().map(|meter| {
            let count = |number: &std::sync::atomic::AtomicU64| number.load(Ordering::Relaxed);
            let (entered, left, failed) = (count(&meter.entered), count(&meter.left), count(&meter.failed));
            for (outcome, number) in [("in", entered), ("out", left), ("failed", failed)] {
                let labels =
                    [("pipeline", pipeline.id.clone()), ("step", meter.name.clone()), ("outcome", outcome.to_owned())];
                metrics::counter!("logmill_processor_step_events_total", &labels).absolute(number);
            }
            let ms = count(&meter.nanos) as f64 / 1e6;
            json!({"step": meter.name, "at": meter.key, "in": entered, "out": left, "failed": failed, "ms": ms})
        });
        let steps: Vec<_> = steps.collect();
        pipelines.push(json!({
            "id": pipeline.id, "config_hash": pipeline.hash, "topic": pipeline.topic, "group": pipeline.group,
            "steps": steps,
        }));
    }
    pipelines.sort_by_key(|pipeline| pipeline["id"].as_str().map(str::to_owned));
    board.set_details(json!({ "pipelines": pipelines }));
}

/// Changes when a pipeline file does, comes or goes. What can't be read counts as a state of its own.
fn fingerprint(globs: &[String]) -> u64 {
    let mut hasher = DefaultHasher::new();
    match files(globs) {
        Ok(found) => {
            for path in found {
                let text: Option<Vec<u8>> = readable(&path);
                (path, text).hash(&mut hasher);
            }
        }
        Err(error) => error.to_string().hash(&mut hasher),
    }
    hasher.finish()
}

/// Contents are compared rather than times: editors and configuration tools set those as they like.
fn readable(path: &PathBuf) -> Option<Vec<u8>> {
    let length = std::fs::metadata(path).ok()?.len();
    // Larger ones are refused as a configuration; their length tells enough.
    if length > 4 << 20 { Some(length.to_le_bytes().to_vec()) } else { std::fs::read(path).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use logmill_core::config::load_str;

    async fn service(folder: &std::path::Path) -> Service {
        let yaml = format!("pipelines: ['{}']", folder.join("*.yml").display());
        let config: Config = load_str("c.yml", &yaml).expect("loads");
        let stage = Stage::new("processor", folder.join("data")).expect("a folder");
        let connection = Connection::new(vec!["127.0.0.1:1".to_owned()], "test");
        Service::build(config, connection, stage).await.expect("builds")
    }

    #[tokio::test]
    async fn a_broken_change_keeps_the_old_pipeline_and_says_so() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("a.yml");
        std::fs::write(&file, "steps: [{lowercase: {field: a}}]").expect("written");
        let mut service = service(folder.path()).await;
        assert!(service.reload().await.is_none(), "nothing has changed");

        std::fs::write(&file, "steps: [{lowercse: {field: a}}]").expect("written");
        assert!(service.reload().await.is_none());
        let problems = service.board.snapshot().problems;
        assert!(problems.iter().any(|problem| problem.contains("did you mean `lowercase`?")), "{problems:?}");

        std::fs::write(&file, "tests: [{name: fails, in: x, expect: dropped}]").expect("written");
        assert!(service.reload().await.is_none());
        assert!(service.board.snapshot().problems[0].contains("fails"));

        std::fs::write(&file, "steps: [{uppercase: {field: a}}]").expect("written");
        let taken = service.reload().await.expect("a good change");
        assert_eq!(taken.len(), 1);
        assert!(service.board.snapshot().problems.is_empty());
    }

    #[tokio::test]
    async fn an_absent_bus_is_waited_for_and_a_stop_is_heard() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("a.yml"), "id: a").expect("written");
        let service = service(folder.path()).await;
        let (board, shutdown) = (service.board.clone(), Shutdown::new());
        let task = tokio::spawn(service.run(shutdown.clone()));
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(!board.is_ready());
        shutdown.trigger();
        let stopped = tokio::time::timeout(Duration::from_secs(15), task).await;
        assert!(stopped.expect("in time").expect("no panic").is_ok());
    }
}
