//! Alert rules: evaluated against what is indexed, persisted before anything is sent, delivered as signed webhooks.

mod guard;

pub(crate) use guard::AllowList;
