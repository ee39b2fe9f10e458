//! What the program can be asked to do, a file each.

pub(crate) mod acls;
pub(crate) mod check;
pub(crate) mod completions;
pub(crate) mod demo;
pub(crate) mod generate;
pub(crate) mod groups;
pub(crate) mod index;
pub(crate) mod pipeline;
mod reach;
pub(crate) mod reference;
pub(crate) mod search;
pub(crate) mod stage;
pub(crate) mod status;
pub(crate) mod tail;
pub(crate) mod topics;
pub(crate) mod up;
