//! How every stage is doing, wherever it runs: the newest news of each from the status topic, and the bus itself.

mod fleet;
mod listen;
mod topics;

pub(crate) use fleet::Fleet;
pub(crate) use listen::{listen, partitions_of};
pub(crate) use topics::Topics;
