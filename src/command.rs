//! What the program can be asked to do, a file each.

pub(crate) mod check;
pub(crate) mod demo;
pub(crate) mod generate;
pub(crate) mod pipeline;
pub(crate) mod reference;
pub(crate) mod search;
pub(crate) mod stage;
pub(crate) mod status;
pub(crate) mod tail;
pub(crate) mod up;
