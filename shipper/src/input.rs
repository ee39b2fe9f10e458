//! Where events come from: one folder an input type.

pub(crate) mod file;
