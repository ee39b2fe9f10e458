//! The shipper: reads log files and sends their lines to the bus, each exactly once.
//!
//! It never sends under an id that is not in its checkpoint, and its checkpoint never runs ahead of the bus.

#[cfg(feature = "bench")]
pub mod bench;
mod checkpoint;
mod config;
mod encode;
mod input;
mod output;
mod service;
mod split;

pub use checkpoint::CheckpointError;
pub use config::{Compression, Config, Filestream, Input, Joins, Multiline, MultilineKind, Parser, StartAt};
pub use service::{BuildError, RunError, Service};
