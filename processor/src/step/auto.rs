//! `auto`: recognises the usual formats of log lines by itself.

use logmill_core::Event;

use super::{Compile, Failure, Scene, Step, step_config};
use crate::auto::Auto;
use crate::pipeline::Problems;

fn local() -> String {
    "local".to_owned()
}

step_config! {
    /// Recognises JSON, logfmt, syslog, access logs, and lines that begin with a time and a level.
    AutoConfig {
        /// The zone of times that name none: `local`, `UTC`, `+02:00`, `Europe/Paris`.
        #[serde(default = "local")]
        timezone: String,
        /// Keeps the whole line in `event.original` where `message` becomes shorter.
        #[serde(default)]
        keep_original: bool,
    }
}

impl AutoConfig {
    pub(crate) fn built_in() -> Self {
        Self {
            timezone: local(),
            keep_original: false,
            condition: None,
            on_error: None,
            tag: None,
            ignore_missing: false,
        }
    }
}

#[derive(Debug)]
struct AutoStep(Auto);

impl Compile for AutoConfig {
    fn compile(&self, problems: &mut Problems) -> Option<Box<dyn Step>> {
        let zone = problems.zone("timezone", &self.timezone)?;
        Some(Box::new(AutoStep(Auto { zone, keep_original: self.keep_original })))
    }
}

impl Step for AutoStep {
    fn run(&self, event: &mut Event, scene: &mut Scene) -> Result<(), Failure> {
        self.0.recognise(event, scene.now);
        Ok(())
    }
}
