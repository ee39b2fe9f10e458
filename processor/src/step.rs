//! Steps: one verb a file. A step is pure: an event in, the event changed or a failure out; it does no I/O and
//! knows no clock but the one in the scene.

mod append;
mod auto;
mod case;
mod convert;
mod copy;
mod date;
mod dissect;
mod drop;
mod fail;
mod grok;
mod gsub;
mod json;
mod kv;
mod logfmt;
mod remove;
mod rename;
mod set;
mod split;
mod switch;
mod trim;

use std::borrow::Cow;

use jiff::Timestamp;
use logmill_core::{Event, FieldPath};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::grok::Scratch;
use crate::pipeline::{OnError, Problems};

pub(crate) use convert::scalar;
pub(crate) use kv::quoted;
pub(crate) use switch::Branch;

/// The step of the pipeline that runs where none is configured.
pub(crate) fn built_in_auto() -> auto::AutoConfig {
    auto::AutoConfig::built_in()
}

/// What a step may use besides the event. One a worker, used again for each event.
#[derive(Debug)]
pub(crate) struct Scene {
    /// The time of the batch.
    pub(crate) now: Timestamp,
    /// Room for grok's positions.
    pub(crate) grok: Scratch,
}

impl Scene {
    pub(crate) fn at(now: Timestamp) -> Self {
        Self { now, grok: Scratch::default() }
    }
}

/// Why a step could not do its work on an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The field that it works on is not there; `ignore_missing` forgives this.
    Missing(String),
    /// Anything else.
    Other(Cow<'static, str>),
}

impl Failure {
    pub(crate) fn because(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::Other(reason.into())
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Missing(field) => write!(f, "the field {field} is missing"),
            Self::Other(reason) => f.write_str(reason),
        }
    }
}

/// A compiled step.
pub(crate) trait Step: Send + Sync + std::fmt::Debug {
    /// Changes the event. After a failure nothing that it added is left.
    fn run(&self, event: &mut Event, scene: &mut Scene) -> Result<(), Failure>;
}

/// A step's configuration, checked and made ready.
trait Compile {
    /// `None` when a problem was added.
    fn compile(&self, problems: &mut Problems) -> Option<Box<dyn Step>>;
}

/// The keys that every step has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CommonKeys<'c> {
    pub(crate) condition: Option<&'c str>,
    pub(crate) on_error: Option<&'c OnError>,
    pub(crate) tag: Option<&'c str>,
    pub(crate) ignore_missing: bool,
}

/// Declares a step's configuration: its own keys, and those of every step.
macro_rules! step_config {
    ($(#[$meta:meta])* $name:ident { $($(#[$field_meta:meta])* $field:ident: $kind:ty,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub(crate) struct $name {
            $($(#[$field_meta])* pub(crate) $field: $kind,)*
            /// Runs the step only on events of which this expression is true.
            #[serde(default, rename = "if", skip_serializing_if = "Option::is_none")]
            pub(crate) condition: Option<String>,
            /// What happens when the step fails; the pipeline's `on_error` otherwise.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub(crate) on_error: Option<crate::pipeline::OnError>,
            /// A name for the step: in its counters, and in the dead letters that it causes.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub(crate) tag: Option<String>,
            /// Passes events by that lack the field, instead of failing.
            #[serde(default)]
            pub(crate) ignore_missing: bool,
        }

        impl $name {
            pub(super) fn common(&self) -> crate::step::CommonKeys<'_> {
                crate::step::CommonKeys {
                    condition: self.condition.as_deref(),
                    on_error: self.on_error.as_ref(),
                    tag: self.tag.as_deref(),
                    ignore_missing: self.ignore_missing,
                }
            }
        }
    };
}
use step_config;

/// Declares all steps: their name in YAML, their configuration and the tag that their failure leaves.
macro_rules! steps {
    ($($(#[$meta:meta])* $variant:ident($config:ty) $name:literal $tag:literal,)*) => {
        /// One step of a pipeline.
        #[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "snake_case", deny_unknown_fields)]
        pub(crate) enum StepConfig {
            $($(#[$meta])* $variant($config),)*
            /// Runs the steps of the first branch whose condition is true.
            Switch(Vec<Branch>),
        }

        impl StepConfig {
            /// The step's name as it is written.
            pub(crate) const fn name(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => $name,)*
                    Self::Switch(_) => "switch",
                }
            }

            /// The tag that a failure leaves where nothing else is said.
            pub(crate) const fn failure_tag(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => $tag,)*
                    Self::Switch(_) => "_switchfailure",
                }
            }

            /// The keys that every step has; a switch has none.
            pub(crate) fn common(&self) -> Option<CommonKeys<'_>> {
                match self {
                    $(Self::$variant(config) => Some(config.common()),)*
                    Self::Switch(_) => None,
                }
            }

            /// The step made ready. `None` after a problem, and for the two that are flow and no step.
            pub(crate) fn compile(&self, problems: &mut Problems) -> Option<Box<dyn Step>> {
                match self {
                    $(Self::$variant(config) => config.compile(problems),)*
                    Self::Switch(_) => None,
                }
            }
        }
    };
}

steps! {
    /// Adds values to a list.
    Append(append::AppendConfig) "append" "_appendfailure",
    /// Recognises the usual formats of log lines by itself.
    Auto(auto::AutoConfig) "auto" "_autofailure",
    /// Turns a value into another type.
    Convert(convert::ConvertConfig) "convert" "_convertfailure",
    /// Copies a field.
    Copy(copy::CopyConfig) "copy" "_copyfailure",
    /// Reads a time.
    Date(date::DateConfig) "date" "_dateparsefailure",
    /// Cuts a text at fixed separators.
    Dissect(dissect::DissectConfig) "dissect" "_dissectfailure",
    /// Drops the event.
    Drop(drop::DropConfig) "drop" "_dropfailure",
    /// Fails, for `on_error` to act.
    Fail(fail::FailConfig) "fail" "_fail",
    /// Cuts a text by named patterns.
    Grok(grok::GrokConfig) "grok" "_grokparsefailure",
    /// Replaces what a regular expression matches.
    Gsub(gsub::GsubConfig) "gsub" "_gsubfailure",
    /// Reads JSON.
    Json(json::JsonConfig) "json" "_jsonparsefailure",
    /// Reads key=value pairs with any separators.
    Kv(kv::KvConfig) "kv" "_kvparsefailure",
    /// Reads logfmt.
    Logfmt(logfmt::LogfmtConfig) "logfmt" "_logfmtparsefailure",
    /// Turns a text into small letters.
    Lowercase(case::LowercaseConfig) "lowercase" "_lowercasefailure",
    /// Removes fields.
    Remove(remove::RemoveConfig) "remove" "_removefailure",
    /// Renames a field.
    Rename(rename::RenameConfig) "rename" "_renamefailure",
    /// Sets a field.
    Set(set::SetConfig) "set" "_setfailure",
    /// Cuts a text into a list.
    Split(split::SplitConfig) "split" "_splitfailure",
    /// Takes blanks off both ends of a text.
    Trim(trim::TrimConfig) "trim" "_trimfailure",
    /// Turns a text into capital letters.
    Uppercase(case::UppercaseConfig) "uppercase" "_uppercasefailure",
}

/// The field that holds the line.
fn message() -> String {
    "message".to_owned()
}

const fn yes() -> bool {
    true
}

/// The value of a field that must be there.
fn required<'e>(event: &'e Event, path: &FieldPath) -> Result<&'e Value, Failure> {
    match event.get(path) {
        None | Some(Value::Null) => Err(Failure::Missing(path.to_string())),
        Some(value) => Ok(value),
    }
}

/// The text of a field that must be there.
fn text<'e>(event: &'e Event, path: &FieldPath) -> Result<&'e str, Failure> {
    match required(event, path)? {
        Value::String(text) => Ok(text),
        _ => Err(Failure::because(format!("the field {path} holds no text"))),
    }
}

fn put(event: &mut Event, path: &FieldPath, value: Value) -> Result<(), Failure> {
    event.set(path, value).map_err(|conflict| Failure::because(conflict.to_string()))
}

/// Changes the text of a field, or of each text in a list, into `into` (or in place).
fn map_text(
    event: &mut Event,
    field: &FieldPath,
    into: Option<&FieldPath>,
    change: impl Fn(&str) -> String,
) -> Result<(), Failure> {
    let changed = match required(event, field)? {
        Value::String(text) => Value::String(change(text)),
        Value::Array(items) if items.iter().all(Value::is_string) => {
            Value::Array(items.iter().filter_map(Value::as_str).map(|text| Value::String(change(text))).collect())
        }
        _ => return Err(Failure::because(format!("the field {field} holds no text"))),
    };
    put(event, into.unwrap_or(field), changed)
}

#[cfg(test)]
mod testing {
    //! Runs one step written in YAML on one event.

    use super::*;
    use crate::pipeline::PipelineConfig;

    fn run(step: &str, event: Value) -> (Result<(), Failure>, Value) {
        let yaml = format!("steps: [{step}]");
        let config: PipelineConfig =
            logmill_core::config::load_str("test.yml", &yaml).unwrap_or_else(|error| panic!("{step}: {error}"));
        let mut problems = Problems::default();
        let compiled = config.steps.first().and_then(|step| step.compile(&mut problems));
        let compiled = compiled.unwrap_or_else(|| panic!("{step}: {problems:?}"));
        let mut event = Event::from_value(event).expect("an object");
        let mut scene = Scene::at("2026-11-22T13:10:24Z".parse().expect("a time"));
        let outcome = compiled.run(&mut event, &mut scene);
        (outcome, Value::Object(event.0))
    }

    /// The event after the step.
    pub(super) fn changed(step: &str, event: Value) -> Value {
        let (outcome, event) = run(step, event);
        assert_eq!(outcome, Ok(()), "{step}");
        event
    }

    /// The failure; the event must be as it was.
    pub(super) fn failed(step: &str, event: &Value) -> String {
        let (outcome, after) = run(step, event.clone());
        assert_eq!(after, *event, "{step} failed and still changed the event");
        outcome.expect_err(step).to_string()
    }

    /// What is said of a step that can't be.
    pub(super) fn refused(step: &str) -> String {
        let yaml = format!("steps: [{step}]");
        match logmill_core::config::load_str::<PipelineConfig>("test.yml", &yaml) {
            Ok(_) => panic!("{step} was accepted"),
            Err(error) => error.to_string(),
        }
    }
}
