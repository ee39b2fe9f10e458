//! From the bus through the pipelines to the bus: one worker a partition, batches in order, offsets committed after
//! the outputs are acknowledged.

mod batch;
mod codec;
mod dead_letter;
mod runner;
mod service;
mod trial;
mod worker;

pub use service::{BuildError, RunError, Service};
pub use trial::{Trial, TrialOutput, raw_record};
