//! A pipeline without a bus: records in, records out. For `logmill pipeline run`, and for benchmarks.

use std::path::Path;

use bytes::Bytes;
use jiff::Timestamp;
use logmill_bus_client::Message;
use logmill_core::config::{self, ConfigError, Place, Problem};
use logmill_core::origin::{INDEX_HEADER, ORIGIN_HEADER, SOURCE_HEADER};
use logmill_core::topics;

use super::batch::{Refused, Tools, process};
use crate::pipeline::{Pipeline, PipelineConfig, PipelineError};

/// A pipeline to be tried out.
#[derive(Debug)]
pub struct Trial {
    pipeline: Pipeline,
    tools: Tools,
}

/// What one record became.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrialOutput {
    /// The topic that it goes to.
    pub topic: String,
    /// The index that it is to be stored in.
    pub index: String,
    /// The event, as JSON.
    pub value: Vec<u8>,
}

impl Trial {
    /// The pipeline of a file, or the built-in one.
    ///
    /// # Errors
    /// With everything that is wrong with it.
    pub fn load(path: Option<&Path>) -> Result<Self, PipelineError> {
        match path {
            Some(path) => Self::new(&config::load::<PipelineConfig>(Some(path), &[])?),
            None => Self::new(&PipelineConfig::built_in()),
        }
    }

    /// The pipeline of a text.
    ///
    /// # Errors
    /// With everything that is wrong with it.
    pub fn parse(yaml: &str) -> Result<Self, PipelineError> {
        Self::new(&config::load_str::<PipelineConfig>("pipeline", yaml)?)
    }

    fn new(config: &PipelineConfig) -> Result<Self, PipelineError> {
        let place = Place::nowhere("pipeline");
        let problem = |(key, message)| Problem { place: place.clone(), key, message };
        let pipeline = config.compile("trial").map_err(|problems| {
            PipelineError::Config(ConfigError::Invalid(problems.into_iter().map(problem).collect()))
        })?;
        Ok(Self { pipeline, tools: Tools::new() })
    }

    /// Runs the pipeline on the value of one record: an event as JSON, or a line of text. Nothing comes out of what
    /// it drops.
    pub fn run(&mut self, value: &[u8]) -> Vec<TrialOutput> {
        self.run_batch(&[raw_record(value, 0)])
    }

    /// Runs the pipeline on a batch of records.
    pub fn run_batch(&mut self, messages: &[Message]) -> Vec<TrialOutput> {
        let produced = process(&self.pipeline, messages, &Refused::new(), Timestamp::now(), &mut self.tools);
        let output = |record: super::batch::Outgoing| {
            let index = record.headers.iter().find(|(name, _)| &**name == INDEX_HEADER);
            TrialOutput {
                topic: record.topic.to_string(),
                index: index.map(|(_, index)| String::from_utf8_lossy(index).into_owned()).unwrap_or_default(),
                value: record.value,
            }
        };
        produced.records.into_iter().map(output).collect()
    }
}

/// A record of the raw topic, as the shipper makes it.
#[must_use]
pub fn raw_record(value: &[u8], offset: i64) -> Message {
    const SOURCE: &[u8] = b"0123456789abcdef0123456789abcdef";
    Message {
        topic: topics::RAW.into(),
        partition: 0,
        offset,
        timestamp_ms: None,
        key: Some(Bytes::from_static(SOURCE)),
        value: Bytes::copy_from_slice(value),
        headers: vec![
            (SOURCE_HEADER.into(), Bytes::from_static(SOURCE)),
            (ORIGIN_HEADER.into(), Bytes::from_static(b"0:1000000:1000100:0")),
        ],
    }
}
