//! From what is written to what runs.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use logmill_core::topics;

use super::config::{OnError, OutputConfig, PipelineConfig};
use super::problems::Problems;
use super::route::{Output, Template};
use super::test::TestCase;
use super::{Action, Handler, Meter, Node, Pipeline};
use crate::step::{Branch, StepConfig};

/// Each output of an event needs a number of its own, and an origin has room for a thousand.
const OUTPUTS_MAX: usize = 1_000;
/// Index of events that no `out` entry names one for.
const DEFAULT_INDEX: &str = "logs-{data_stream.dataset|event.dataset|service.name}-default";

impl PipelineConfig {
    /// The pipeline that runs where none is configured.
    pub(crate) fn built_in() -> Self {
        Self { id: "auto".to_owned(), steps: vec![StepConfig::Auto(crate::step::built_in_auto())], ..Self::default() }
    }

    /// Compiles the pipeline, or tells everything that is wrong with it: dotted keys and messages.
    pub(crate) fn compile(&self, default_id: &str) -> Result<Pipeline, Vec<(String, String)>> {
        let topics = BTreeSet::from([self.input.topic.clone(), topics::DEAD_LETTER.to_owned()]);
        let mut compiler = Compiler { problems: Problems::default(), meters: Vec::new(), on_error: None, topics };
        if self.out.len() >= OUTPUTS_MAX {
            compiler.problems.add("out", format!("more than {OUTPUTS_MAX} entries"));
        }
        for (key, value) in [("in.topic", &self.input.topic), ("in.group", &self.input.group)] {
            if value.is_empty() {
                compiler.problems.add(key, "must not be empty");
            }
        }
        if let Some(OnError::Steps(_)) = &self.on_error {
            compiler.problems.add("on_error", "steps stand at a step's own on_error only; use tag, to, drop or ignore");
        }
        compiler.on_error.clone_from(&self.on_error);
        let block = compiler.problems_within("steps", |compiler| compiler.block(&self.steps));
        let outputs: Vec<_> = self.out.iter().enumerate().filter_map(|(i, out)| compiler.output(i, out)).collect();
        for (index, test) in self.tests.iter().enumerate() {
            compiler.problems.within(&format!("tests.{index}"), |problems| drop(TestCase::compile(test, problems)));
        }
        let fallback = compiler.output(0, &OutputConfig::default());
        let Compiler { problems, meters, topics, .. } = compiler;
        let Some(fallback) = fallback.filter(|_| problems.found.is_empty()) else { return Err(problems.found) };
        let id = if self.id.is_empty() { default_id.to_owned() } else { self.id.clone() };
        Ok(Pipeline {
            hash: self.hash(),
            id,
            topic: self.input.topic.clone(),
            group: self.input.group.clone(),
            lints: problems.lints,
            topics,
            meters,
            block,
            outputs,
            fallback,
            routes_first: matches!(self.steps.as_slice(), [StepConfig::Auto(_)]) && self.out.is_empty(),
        })
    }

    fn hash(&self) -> String {
        let mut hasher = DefaultHasher::new();
        serde_json::to_string(self).unwrap_or_default().hash(&mut hasher);
        format!("{:016x}", hasher.finish())
    }
}

struct Compiler {
    problems: Problems,
    meters: Vec<Meter>,
    topics: BTreeSet<String>,
    on_error: Option<OnError>,
}

impl Compiler {
    fn problems_within<R>(&mut self, part: &str, work: impl FnOnce(&mut Self) -> R) -> R {
        // The compiler goes along with its problems: it is both that are needed below.
        let problems = std::mem::take(&mut self.problems);
        let mut outer = problems;
        let result = outer.within(part, |problems| {
            std::mem::swap(&mut self.problems, problems);
            let result = work(self);
            std::mem::swap(&mut self.problems, problems);
            result
        });
        self.problems = outer;
        result
    }

    fn block(&mut self, steps: &[StepConfig]) -> Vec<Node> {
        let each = |(index, step): (usize, &StepConfig)| {
            self.problems_within(&format!("{index}.{}", step.name()), |compiler| compiler.node(step))
        };
        steps.iter().enumerate().filter_map(each).collect()
    }

    fn node(&mut self, step: &StepConfig) -> Option<Node> {
        let key = self.problems.key();
        let common = step.common();
        let name = common.and_then(|common| common.tag).map_or_else(|| key.clone(), str::to_owned);
        let meter = self.meters.len();
        self.meters.push(Meter {
            key,
            name,
            entered: AtomicU64::new(0),
            left: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            nanos: AtomicU64::new(0),
        });
        let condition_text = common.and_then(|common| common.condition);
        let condition = self.problems.condition(condition_text);
        let action = match step {
            StepConfig::Switch(branches) => Some(Action::Switch(self.branches(branches))),
            StepConfig::Drop(_) => Some(Action::Drop),
            other => other.compile(&mut self.problems).map(Action::Step),
        };
        let own = common.and_then(|common| common.on_error);
        let on_error = match own {
            Some(own) => self.problems_within("on_error", |compiler| compiler.handler(own)),
            None => match self.on_error.clone() {
                Some(OnError::Steps(_)) | None => Handler::Tag(step.failure_tag().to_owned()),
                Some(other) => self.handler(&other),
            },
        };
        let ignore_missing = common.is_some_and(|common| common.ignore_missing);
        Some(Node { meter, condition, action: action?, on_error, ignore_missing })
    }

    fn handler(&mut self, on_error: &OnError) -> Handler {
        match on_error {
            OnError::Tag(tag) => Handler::Tag(tag.clone()),
            OnError::To(topic) => {
                self.topic("to", topic);
                Handler::DeadLetter(Arc::from(topic.as_str()))
            }
            OnError::Drop => Handler::Drop,
            OnError::Ignore => Handler::Ignore,
            OnError::Steps(steps) => Handler::Steps(self.problems_within("steps", |compiler| compiler.block(steps))),
        }
    }

    fn topic(&mut self, below: &str, name: &str) {
        if is_topic(name) {
            self.topics.insert(name.to_owned());
        } else {
            self.problems.add(below, "a topic is 1 to 249 letters, digits, dots, dashes and underscores");
        }
    }

    fn branches(&mut self, branches: &[Branch]) -> Vec<(Option<crate::expression::Expression>, Vec<Node>)> {
        let mut compiled = Vec::new();
        for (index, branch) in branches.iter().enumerate() {
            let place = index.to_string();
            match (&branch.condition, branch.otherwise) {
                (Some(_), true) => self.problems.add(&place, "a branch has either `if` or `else`"),
                (None, false) => {
                    self.problems.add(&place, "a branch begins with `if: …`, the last one with `else: true`");
                }
                (None, true) if index + 1 < branches.len() => {
                    self.problems.add(&place, "branches below `else` would never be taken");
                }
                _ => {}
            }
            let compiled_branch = self.problems_within(&place, |compiler| {
                let condition = compiler.problems.condition(branch.condition.as_deref());
                (condition, compiler.problems_within("steps", |compiler| compiler.block(&branch.steps)))
            });
            compiled.push(compiled_branch);
        }
        compiled
    }

    fn output(&mut self, index: usize, config: &OutputConfig) -> Option<Output> {
        self.problems_within(&format!("out.{index}"), |compiler| {
            let topic = config.topic.as_deref().unwrap_or(topics::PARSED);
            compiler.topic("topic", topic);
            let problems = &mut compiler.problems;
            let condition = problems.condition(config.condition.as_deref());
            let template = config.index.as_deref().unwrap_or(DEFAULT_INDEX);
            let index = problems.template("index", template);
            let key = problems.optional_field("key", config.key.as_deref())?;
            if index.as_ref().is_some_and(Template::is_empty) {
                problems.add("index", "must not be empty");
            }
            Some(Output { condition, topic: Arc::from(topic), index: index?, key, goes_on: config.goes_on })
        })
    }
}

fn is_topic(name: &str) -> bool {
    (1..=249).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
}
