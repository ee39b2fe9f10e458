//! `drop`: the event ends here; counted, and the user's own wish. The pipeline does it, the step only says when.

use logmill_core::Event;

use super::{Compile, Failure, Scene, Step, step_config};
use crate::pipeline::Problems;

step_config! {
    /// Drops the event: give it an `if`.
    DropConfig {}
}

#[derive(Debug)]
struct Drop;

impl Compile for DropConfig {
    fn compile(&self, _: &mut Problems) -> Option<Box<dyn Step>> {
        Some(Box::new(Drop))
    }
}

impl Step for Drop {
    fn run(&self, _: &mut Event, _: &mut Scene) -> Result<(), Failure> {
        Ok(())
    }
}
