//! Live tail: what comes in on the bus, tested against a query in memory, as fast as a screen can show it.

mod hub;
mod viewer;

pub(crate) use hub::{Batch, Hub, TailEvent, Watch};
pub(crate) use viewer::{Viewing, watch};
