//! The indexer: turns events on the bus into a store that is searched through the Elasticsearch REST API.
//! It never acknowledges an offset whose documents are not on disk, and only it names tantivy.

mod aggregate;
#[cfg(feature = "bench")]
#[doc(hidden)]
pub mod bench;
mod config;
mod http;
mod ingest;
mod offline;
mod query;
mod remote;
mod schema;
mod service;
mod store;

pub use config::{Config, DiskPolicy, Identity, IndexRetention, Remote, Retention, Seal, Snapshots, SourceMode};
pub use offline::{Offline, OfflineError};
pub use service::{BuildError, RunError, Service};
