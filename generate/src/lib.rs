//! The workload: realistic logs of five kinds, with error bursts and rotation, the same again for the same seed.
//!
//! Every line carries an id of its own and a ledger says exactly what was written, so that whoever reads the
//! logs can be checked for loss and doubles to the line. It knows no other room.

mod config;
mod format;
mod ledger;
mod rotate;
mod service;
mod world;

pub use config::{Config, Kind, Rotation};
pub use service::{GenerateError, Service, Summary};
