//! `fail`: fails on purpose, so that `on_error` acts: a dead letter, a tag.

use logmill_core::Event;

use super::{Compile, Failure, Scene, Step, step_config};
use crate::pipeline::Problems;

step_config! {
    /// Fails: give it an `if`.
    FailConfig {
        /// The reason, as the dead letter tells it.
        message: String,
    }
}

#[derive(Debug)]
struct Fail(String);

impl Compile for FailConfig {
    fn compile(&self, _: &mut Problems) -> Option<Box<dyn Step>> {
        Some(Box::new(Fail(self.message.clone())))
    }
}

impl Step for Fail {
    fn run(&self, _: &mut Event, _: &mut Scene) -> Result<(), Failure> {
        Err(Failure::because(self.0.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::failed;
    use serde_json::json;

    #[test]
    fn the_reason_is_the_users() {
        assert_eq!(failed("fail: {message: no user}", &json!({})), "no user");
    }
}
