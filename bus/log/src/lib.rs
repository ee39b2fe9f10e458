//! The durable segmented log under the broker: appends producers' batches verbatim, makes them durable by
//! group commit, reads them back whole, recovers after crashes. It knows the record batch v2 header and
//! nothing else of Kafka, no network, and it never shows a reader a byte that could still be lost.

mod error;
mod options;
mod partition;
mod report;
mod store;

pub use error::{AppendError, LogError, Poisoned, ReadError};
pub use options::{LogOptions, Retention, Stamp};
pub use partition::{Appended, Partition, ReadSlice, Removed};
pub use report::{Quarantined, RecoveryReport, Torn};
pub use store::LogStore;
