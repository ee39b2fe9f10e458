//! The processor: events of the raw topic go through pipelines of pure steps and come out as parsed events.

mod auto;
mod expression;
mod grok;
mod pipeline;
mod step;
mod time;

pub use pipeline::{PipelineError, PipelineTests, TestOutcome, test_pipelines};
