//! From records on the bus to documents in the store: one task reads, one thread builds segments.

pub(crate) mod indexing;
pub(crate) mod pace;
pub(crate) mod parse;
pub(crate) mod reading;
pub(crate) mod repair;
pub(crate) mod watermark;
pub(crate) mod worker;
