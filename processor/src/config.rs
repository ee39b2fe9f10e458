//! The processor's section of the configuration.

use logmill_core::config::{ByteSize, Checked, Period};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::pipeline::{PipelineConfig, PipelineError, load};

/// The processor.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Files that hold one pipeline each; wildcards may stand in the file's name. With no pipeline here or under
    /// `pipeline`, the built-in one recognises the usual formats by itself.
    pub pipelines: Vec<String>,
    /// Pipelines written here, in the same words as in a file.
    pub(crate) pipeline: Vec<PipelineConfig>,
    /// How often the pipeline files are looked at for changes.
    pub reload: Period,
    /// Events of a batch at most: a batch is what is processed, acknowledged and committed together.
    #[schemars(range(min = 1, max = 100_000))]
    pub batch_events: usize,
    /// Bytes of a batch, about.
    pub batch_bytes: ByteSize,
    /// Bytes read and not yet acknowledged by the bus, at most; beyond it nothing more is read.
    pub in_flight_bytes: ByteSize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            pipelines: Vec::new(),
            pipeline: Vec::new(),
            reload: Period::secs(1),
            // A few milliseconds of work on one core: long enough for one acknowledgement to be cheap.
            batch_events: 2_000,
            batch_bytes: ByteSize(1 << 20),
            in_flight_bytes: ByteSize(24 << 20),
        }
    }
}

impl Checked for Config {
    fn problems(&self) -> Vec<(String, String)> {
        let mut problems = Vec::new();
        for (index, pipeline) in self.pipeline.iter().enumerate() {
            let below = pipeline.problems();
            problems.extend(below.into_iter().map(|(key, message)| (format!("pipeline.{index}.{key}"), message)));
        }
        if self.batch_bytes.0 == 0 {
            problems.push(("batch_bytes".to_owned(), "must not be zero".to_owned()));
        }
        if self.in_flight_bytes.0 < self.batch_bytes.0 {
            problems.push(("in_flight_bytes".to_owned(), "must not be smaller than batch_bytes".to_owned()));
        }
        problems
    }
}

/// Compiles every pipeline that the configuration names and runs their tests; what is worth knowing besides.
///
/// # Errors
/// With everything that is wrong, each with its file, line and column.
pub fn check(config: &Config) -> Result<Vec<String>, PipelineError> {
    let pipelines = load(&config.pipelines, &config.pipeline)?;
    let lints = |pipeline: crate::pipeline::Pipeline| {
        let id = pipeline.id;
        pipeline.lints.into_iter().map(move |lint| format!("{id}: {lint}"))
    };
    Ok(pipelines.into_iter().flat_map(lints).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use logmill_core::config::load_str;

    #[test]
    fn inline_pipelines_are_checked_with_their_place() {
        let good = "pipeline:\n- steps: [{grok: {patterns: ['%{WORD:a}']}}]\n";
        assert!(load_str::<Config>("c.yml", good).is_ok());
        let bad = "pipeline:\n- steps:\n  - grok: {patterns: ['%{WRD:a}']}\n  - date: {field: t, formats: []}\n";
        let said = load_str::<Config>("c.yml", bad).expect_err("two problems").to_string();
        assert!(
            said.contains("c.yml:3:23: pipeline.0.steps.0.grok.patterns.0: the pattern %{WRD} is not known"),
            "{said}"
        );
        assert!(said.contains("c.yml:4:"), "{said}");
    }
}
