//! How every stage is doing, wherever it runs: the newest news of each from the status topic.

mod fleet;
mod listen;

pub(crate) use fleet::{Fleet, StageView};
pub(crate) use listen::listen;
