//! The topic names of the pipeline where no configuration says otherwise.

/// Events as the shippers read them.
pub const RAW: &str = "logs.raw";
/// Events as the pipelines left them; what the indexer stores.
pub const PARSED: &str = "logs.parsed";
/// Events a pipeline refused, with their original bytes and the reason.
pub const DEAD_LETTER: &str = "logs.dead-letter";
/// What each stage says of itself every few seconds; see [`crate::stage::StageStatus`].
pub const STATUS: &str = "logmill.status";

/// Partitions of a topic that the pipeline creates itself: enough for one worker a core on small machines,
/// few enough that a group commit stays one or two fsyncs.
pub const DEFAULT_PARTITIONS: i32 = 4;
