//! The indexer: turns events on the bus into a store that is searched through the Elasticsearch REST API.
//! It never acknowledges an offset whose documents are not on disk, and only it names tantivy.

mod access;
mod aggregate;
#[cfg(feature = "bench")]
#[doc(hidden)]
pub mod bench;
mod config;
mod dates;
mod front;
mod http;
mod ingest;
mod interrupt;
mod listener;
mod offline;
mod query;
mod remote;
mod schema;
mod service;
mod store;

pub use access::{ApiKey, Auth, Privilege, Role, User};
pub use config::{Config, DiskPolicy, Identity, IndexRetention, Remote, Retention, Seal, Snapshots, SourceMode};
pub use front::OwnAccess;
pub use offline::{Offline, OfflineError};
pub use service::{BuildError, RunError, Service};
