//! A pipeline as it is written.

use logmill_core::config::Checked;
use logmill_core::topics;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::step::StepConfig;

/// A pipeline.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct PipelineConfig {
    /// Its name, in status and dead letters; that of its file when absent.
    pub(crate) id: String,
    /// What it reads.
    #[serde(rename = "in")]
    pub(crate) input: InputConfig,
    /// What happens when a step fails that says nothing of its own. Without this, the failure leaves a tag.
    pub(crate) on_error: Option<OnError>,
    /// What is done with each event, in order.
    pub(crate) steps: Vec<StepConfig>,
    /// Where events go: the first entry whose condition is true, and on after it where `continue` says so.
    /// An event that none takes goes to `logs.parsed`.
    pub(crate) out: Vec<OutputConfig>,
    /// Events and what must become of them; run by `logmill pipeline test` and before a changed pipeline is taken.
    pub(crate) tests: Vec<TestConfig>,
}

/// What a pipeline reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct InputConfig {
    /// The topic.
    pub(crate) topic: String,
    /// The consumer group. Two pipelines that read one topic need two groups: each sees every event.
    pub(crate) group: String,
}

impl Default for InputConfig {
    fn default() -> Self {
        Self { topic: topics::RAW.to_owned(), group: "processor".to_owned() }
    }
}

/// What happens to an event on which a step failed.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OnError {
    /// It goes on with this tag.
    Tag(String),
    /// It goes to this topic as a dead letter, with its original bytes and the reason.
    To(String),
    /// These steps run on it, and it goes on.
    Steps(Vec<StepConfig>),
    /// It is dropped and counted.
    Drop,
    /// It goes on as if nothing had happened.
    Ignore,
}

/// A place where events go.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct OutputConfig {
    /// Only events of which this expression is true.
    #[serde(rename = "if")]
    pub(crate) condition: Option<String>,
    /// The topic; `logs.parsed` when absent.
    pub(crate) topic: Option<String>,
    /// The index, with fields in braces: `logs-{service.name}-default`. A missing field becomes `generic`.
    pub(crate) index: Option<String>,
    /// The field whose value is the record's key; the key of the record that was read when absent.
    pub(crate) key: Option<String>,
    /// Looks at the entries below, too.
    #[serde(rename = "continue")]
    pub(crate) goes_on: bool,
}

/// A test of a pipeline.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TestConfig {
    /// What it shows.
    pub(crate) name: String,
    /// The event: fields by dotted names, or a text that is its `message`.
    #[serde(rename = "in")]
    pub(crate) input: Value,
    /// `dropped`, `dead_letter`, or fields by dotted names and their values (null: must be absent), besides
    /// `_topic` and `_index` for where it goes.
    pub(crate) expect: Value,
    /// The clock's time, RFC 3339.
    #[serde(default)]
    pub(crate) now: Option<String>,
}

impl Checked for PipelineConfig {
    fn problems(&self) -> Vec<(String, String)> {
        self.compile("pipeline").err().unwrap_or_default()
    }
}
