//! Alert rules: evaluated against what is indexed, persisted before anything is sent, delivered as signed webhooks.

mod deliver;
mod delivery;
mod evaluate;
mod guard;
mod message;
mod notify;
mod retry;
mod rule;
mod sign;
mod state;
mod store;
#[cfg(test)]
mod tests;
mod view;

use tokio::sync::Notify;

pub(crate) use deliver::{deliver_all, deliver_one};
pub(crate) use delivery::Delivery;
pub(crate) use evaluate::{Evaluator, evaluate_all};
pub(crate) use guard::AllowList;
pub(crate) use notify::Sender;
pub(crate) use rule::{Rule, RuleError};
pub(crate) use store::{add_rule, delete_rule, deliveries, prune, queue_again, queue_test, replace_rule, rule, rules};
pub(crate) use view::RuleView;

/// How the parts wake each other: rules changed, deliveries queued.
#[derive(Debug, Default)]
pub(crate) struct Bells {
    pub(crate) rules_changed: Notify,
    pub(crate) queued: Notify,
}
