//! What three rooms or more share, and nothing else: the event and its origin, strict configuration,
//! the lifecycle of a stage, its status board, retry and clock. It knows no room and no protocol.

pub mod bus_access;
pub mod config;
pub mod event;
pub mod indexer_access;
pub mod lifecycle;
pub mod listen;
pub mod origin;
pub mod retry;
pub mod scrape;
pub mod stage;
pub mod telemetry;
pub mod tls;
pub mod topics;
pub mod watched;

pub use event::{Event, FieldPath};
pub use lifecycle::Shutdown;
pub use origin::Origin;
pub use stage::{Stage, StatusBoard};
