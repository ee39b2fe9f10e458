//! A delivery: one message to one receiver, with everything that was tried to get it there.

use serde::Serialize;
use serde_json::Value;

/// A delivery, as the log shows it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Delivery {
    /// The webhook-id, the same at every attempt.
    pub(crate) id: String,
    pub(crate) rule_id: i64,
    pub(crate) rule_name: String,
    pub(crate) event: String,
    pub(crate) created_at: String,
    pub(crate) status: String,
    pub(crate) next_attempt_at: Option<String>,
    pub(crate) attempts: Vec<Attempt>,
    pub(crate) body: Value,
}

/// One attempt.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Attempt {
    pub(crate) at: String,
    pub(crate) status: Option<u16>,
    pub(crate) took_ms: i64,
    pub(crate) error: Option<String>,
    /// What the receiver answered, as far as it is kept.
    pub(crate) response: String,
}

/// A delivery that is to be sent now.
#[derive(Clone, Debug)]
pub(super) struct Due {
    pub(super) seq: i64,
    pub(super) id: String,
    pub(super) rule_id: i64,
    /// Attempts so far.
    pub(super) tried: u32,
    pub(super) body: String,
    /// Where to and signed with what, as the rule says now; absent when the rule is gone.
    pub(super) receiver: Option<Receiver>,
}

/// Who gets it.
#[derive(Clone, Debug)]
pub(super) struct Receiver {
    pub(super) url: String,
    pub(super) secret: String,
}
