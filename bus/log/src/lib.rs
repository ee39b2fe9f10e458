//! The durable segmented log under the broker: appends producers' batches verbatim, makes them durable by
//! group commit, reads them back whole, recovers after crashes. It knows Kafka's record batch v2 and nothing
//! else of Kafka, no network, and it never shows a reader a byte that could still be lost.

mod aborted;
mod admit;
mod append;
mod batch;
mod checkpoint;
mod commit;
mod compact;
mod disk;
mod error;
mod index;
mod marker;
mod meta;
mod options;
mod partition;
mod producers;
mod proven;
mod read;
mod read_aborted;
mod records;
mod recovery;
mod relief;
mod report;
mod scan;
mod segment;
mod settle;
mod stability;
mod store;
#[cfg(test)]
mod tests;
mod times;
mod trim;
mod tuning;

pub use admit::{Inadmissible, Rules, admit};
pub use append::Appended;
pub use batch::{Claim, claims};
pub use compact::{Compacted, Compaction};
pub use error::{AppendError, LogError, Poisoned, ReadError};
pub use marker::Marker;
pub use options::{LogOptions, Retention, Stamp};
pub use partition::Partition;
pub use producers::ActiveProducer;
pub use read::FileSlice;
pub use read_aborted::AbortedTransaction;
pub use records::Codec;
pub use relief::Oldest;
pub use report::{Quarantined, RecoveryReport, Torn};
pub use store::LogStore;
pub use trim::Removed;
pub use tuning::Tuning;
