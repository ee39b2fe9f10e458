//! Tests that stand in a pipeline's own file: an event, and what must become of it.

use std::fmt::{self, Write as _};
use std::path::PathBuf;

use jiff::Timestamp;
use logmill_core::config::{self, ConfigError};
use logmill_core::{Event, FieldPath};
use serde_json::Value;

use super::config::{PipelineConfig, TestConfig};
use super::problems::Problems;
use super::{End, Pipeline, PipelineError, Route, Tallies, load};
use crate::step::Scene;

/// The clock of tests that say nothing of it: any fixed time does.
const CLOCK: &str = "2026-01-01T00:00:00Z";

/// A test made ready.
pub(super) struct TestCase {
    event: Event,
    expect: Expectation,
    now: Timestamp,
}

enum Expectation {
    Dropped,
    DeadLetter,
    Fields(Vec<(Target, Value)>),
}

enum Target {
    Field(FieldPath),
    Topic,
    Index,
}

impl TestCase {
    pub(super) fn compile(config: &TestConfig, problems: &mut Problems) -> Option<Self> {
        let event = event(&config.input).map_err(|message| problems.add("in", message)).ok();
        let expect = expectation(&config.expect).map_err(|message| problems.add("expect", message)).ok();
        let now = config.now.as_deref().unwrap_or(CLOCK).parse();
        let now = now.map_err(|error: jiff::Error| problems.add("now", error.to_string())).ok();
        Some(Self { event: event?, expect: expect?, now: now? })
    }

    /// What is not as expected; `None` when all is.
    fn run(mut self, pipeline: &Pipeline) -> Option<String> {
        let (end, routes) = pipeline.run(&mut self.event, &mut Scene::at(self.now), &mut Tallies::default());
        let wanted = match (&self.expect, &end) {
            (Expectation::Dropped, End::Dropped) | (Expectation::DeadLetter, End::Dead(_)) => return None,
            (Expectation::Fields(fields), End::Done) => return differences(fields, &self.event, &routes),
            (Expectation::Dropped, _) => "dropped",
            (Expectation::DeadLetter, _) => "a dead letter",
            (Expectation::Fields(_), _) => "an event",
        };
        let got = match end {
            End::Done => format!("an event:\n{}", pretty(&self.event)),
            End::Dropped => "dropped".to_owned(),
            End::Dead(dead) => format!("a dead letter for {}: {}: {}", dead.to, dead.step, dead.reason),
        };
        Some(format!("  expected: {wanted}\n  got:      {got}"))
    }
}

fn event(input: &Value) -> Result<Event, String> {
    let mut event = Event::default();
    match input {
        Value::String(line) => drop(event.0.insert("message".to_owned(), Value::String(line.clone()))),
        Value::Object(fields) => {
            for (name, value) in fields {
                let path = FieldPath::parse(name).map_err(|error| error.to_string())?;
                event.set(&path, value.clone()).map_err(|error| error.to_string())?;
            }
        }
        _ => return Err("an event is fields and their values, or the text of its message".to_owned()),
    }
    Ok(event)
}

fn expectation(expect: &Value) -> Result<Expectation, String> {
    match expect {
        Value::String(word) if word == "dropped" => Ok(Expectation::Dropped),
        Value::String(word) if word == "dead_letter" => Ok(Expectation::DeadLetter),
        Value::Object(fields) => {
            let mut targets = Vec::new();
            for (name, value) in fields {
                match name.as_str() {
                    "_topic" => targets.push((Target::Topic, value.clone())),
                    "_index" => targets.push((Target::Index, value.clone())),
                    _ => expected_fields(name, value, &mut targets)?,
                }
            }
            Ok(Expectation::Fields(targets))
        }
        _ => Err("expected `dropped`, `dead_letter`, or fields and their values".to_owned()),
    }
}

/// An object names the fields that must be in it and says nothing of others, as the whole expectation does.
fn expected_fields(path: &str, value: &Value, targets: &mut Vec<(Target, Value)>) -> Result<(), String> {
    match value {
        Value::Object(inner) if !inner.is_empty() => {
            inner.iter().try_for_each(|(name, value)| expected_fields(&format!("{path}.{name}"), value, targets))
        }
        _ => {
            let path = FieldPath::parse(path).map_err(|error| error.to_string())?;
            targets.push((Target::Field(path), value.clone()));
            Ok(())
        }
    }
}

fn differences(expected: &[(Target, Value)], event: &Event, routes: &[Route]) -> Option<String> {
    let mut said = String::new();
    for (target, wanted) in expected {
        let list = |item: fn(&Route) -> &str| match (wanted, routes) {
            (Value::String(_), [single]) => Value::String(item(single).to_owned()),
            _ => Value::Array(routes.iter().map(|route| Value::String(item(route).to_owned())).collect()),
        };
        let (name, got) = match target {
            Target::Field(path) => (path.as_str(), event.get(path).cloned().unwrap_or(Value::Null)),
            Target::Topic => ("_topic", list(|route| &route.topic)),
            Target::Index => ("_index", list(|route| &route.index)),
        };
        if !same(wanted, &got) {
            let show = |value: &Value| if value.is_null() { "nothing".to_owned() } else { value.to_string() };
            let _ = writeln!(said, "  {name}\n    expected: {}\n    got:      {}", show(wanted), show(&got));
        }
    }
    if said.is_empty() {
        return None;
    }
    let _ = write!(said, "  the event became:\n{}", pretty(event));
    Some(said)
}

/// Equal, with 1 and 1.0 taken as the same.
fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => left.as_f64() == right.as_f64(),
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| same(left, right))
        }
        _ => left == right,
    }
}

fn pretty(event: &Event) -> String {
    let text = serde_json::to_string_pretty(&event.0).unwrap_or_default();
    text.lines().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
}

/// Every test of a pipeline: its name, and what went wrong.
pub(super) fn run_tests(config: &PipelineConfig, pipeline: &Pipeline) -> Vec<(String, Option<String>)> {
    let run = |test: &TestConfig| {
        let mut problems = Problems::default();
        let failure = match TestCase::compile(test, &mut problems) {
            Some(case) => case.run(pipeline),
            None => problems.found.into_iter().next().map(|(key, message)| format!("  {key}: {message}")),
        };
        (test.name.clone(), failure)
    };
    config.tests.iter().map(run).collect()
}

/// How one test went.
#[derive(Clone, Debug)]
pub struct TestOutcome {
    /// The pipeline's file.
    pub file: PathBuf,
    /// The pipeline.
    pub pipeline: String,
    /// The test's name.
    pub test: String,
    /// What was expected and what came, in lines for people; `None` when the test passed.
    pub failure: Option<String>,
}

/// How all tests of all pipelines went.
#[derive(Debug, Default)]
pub struct PipelineTests {
    /// Each test.
    pub outcomes: Vec<TestOutcome>,
    /// Files whose pipelines can't be loaded, and why.
    pub errors: Vec<(PathBuf, PipelineError)>,
}

impl PipelineTests {
    /// Whether every file loaded and every test passed.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.errors.is_empty() && self.outcomes.iter().all(|outcome| outcome.failure.is_none())
    }
}

impl fmt::Display for PipelineTests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (file, error) in &self.errors {
            writeln!(f, "not loaded: {}\n{error}", file.display())?;
        }
        for outcome in &self.outcomes {
            let word = if outcome.failure.is_none() { "ok" } else { "FAILED" };
            writeln!(f, "{word:6} {}: {}", outcome.pipeline, outcome.test)?;
            if let Some(failure) = &outcome.failure {
                writeln!(f, "{failure}")?;
            }
        }
        let failed = self.outcomes.iter().filter(|outcome| outcome.failure.is_some()).count();
        let passed = self.outcomes.len() - failed;
        writeln!(f, "{passed} passed, {failed} failed, {} files not loaded", self.errors.len())
    }
}

/// Runs the tests that stand in pipeline files; wildcards may stand in the files' names.
///
/// # Errors
/// When a name with wildcards means no file. Files that can't be loaded are told with the tests.
pub fn test_pipelines(paths: &[PathBuf]) -> Result<PipelineTests, PipelineError> {
    let globs: Vec<String> = paths.iter().map(|path| path.to_string_lossy().into_owned()).collect();
    let mut tests = PipelineTests::default();
    for path in &load::files(&globs)? {
        let loaded = config::load::<PipelineConfig>(Some(path), &[]).and_then(|config| {
            let id = load::stem(path);
            let pipeline = config.compile(&id).map_err(|_| ConfigError::Invalid(Vec::new()))?;
            Ok((config, pipeline))
        });
        match loaded {
            Ok((config, pipeline)) => {
                let outcome =
                    |(test, failure)| TestOutcome { file: path.clone(), pipeline: pipeline.id.clone(), test, failure };
                tests.outcomes.extend(run_tests(&config, &pipeline).into_iter().map(outcome));
            }
            Err(error) => tests.errors.push((path.clone(), error.into())),
        }
    }
    Ok(tests)
}
