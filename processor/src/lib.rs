//! The processor: events of the raw topic go through pipelines of pure steps and come out as parsed events.

mod auto;
mod config;
mod expression;
mod grok;
mod pipeline;
mod runtime;
mod step;
mod time;

pub use config::{Config, check};
pub use pipeline::{PipelineError, PipelineTests, TestOutcome, test_pipelines};
pub use runtime::{BuildError, RunError, Service, Trial, TrialOutput, raw_record};
