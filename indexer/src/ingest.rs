//! From records on the bus to documents in the store.

pub(crate) mod document;
pub(crate) mod instant;
pub(crate) mod parse;
