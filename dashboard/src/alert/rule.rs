//! What a rule is: a selection of events, how often and over which time they are counted, and where to say so.

use serde::{Deserialize, Serialize};

use super::guard::{AllowList, Refused};
use super::sign;
use crate::search::{ScopeError, Selection};

/// A rule, as people write it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Rule {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<i64>,
    pub(crate) name: String,
    pub(crate) enabled: bool,
    #[serde(rename = "type")]
    pub(crate) kind: Kind,
    pub(crate) scope: Selection,
    pub(crate) window_s: u64,
    pub(crate) every_s: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) threshold: Option<Threshold>,
    pub(crate) webhook: Webhook,
}

/// What makes a rule fire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// Any event that was not there at the last look.
    Match,
    /// The number of events in the window.
    Threshold,
}

/// What the number is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Threshold {
    pub(crate) op: Comparison,
    pub(crate) value: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Comparison {
    #[serde(rename = ">")]
    Above,
    #[serde(rename = ">=")]
    AtLeast,
    #[serde(rename = "<")]
    Below,
    #[serde(rename = "<=")]
    AtMost,
}

/// Where to say so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Webhook {
    pub(crate) url: String,
    /// Comes in, never goes out.
    #[serde(default, skip_serializing)]
    pub(crate) secret: Option<String>,
    #[serde(default)]
    pub(crate) has_secret: bool,
}

/// What is wrong with a rule.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RuleError {
    #[error("a rule has a name of 1 to {NAME_CHARS_MAX} characters")]
    Name,
    #[error("`{key}` is {value} s; it must be from {least} s to {most} s")]
    Seconds { key: &'static str, value: u64, least: u64, most: u64 },
    #[error("a rule of type threshold needs `threshold`: an operator and a number")]
    Threshold,
    #[error(transparent)]
    Scope(#[from] ScopeError),
    #[error(transparent)]
    Url(#[from] Refused),
    #[error(
        "`webhook.secret` is not one: write whsec_ and the base64 of 24 to 64 bytes, or leave it empty and one is made"
    )]
    Secret,
    #[error("there are {RULES_MAX} rules already")]
    TooMany,
}

/// Names are shown in lists and subjects.
const NAME_CHARS_MAX: usize = 200;
const DAY_S: u64 = 86_400;
/// Rules are evaluated on one machine beside everything else.
pub(super) const RULES_MAX: i64 = 1000;

impl Rule {
    /// Checks everything that can be known before the rule is evaluated.
    pub(crate) fn check(&self, allowed: &AllowList, default_index: &str) -> Result<(), RuleError> {
        if self.name.trim().is_empty() || self.name.chars().count() > NAME_CHARS_MAX {
            return Err(RuleError::Name);
        }
        for (key, value, most) in [("every_s", self.every_s, DAY_S), ("window_s", self.window_s, 7 * DAY_S)] {
            if value < 1 || value > most {
                return Err(RuleError::Seconds { key, value, least: 1, most });
            }
        }
        if self.kind == Kind::Threshold && !self.threshold.is_some_and(|threshold| threshold.value.is_finite()) {
            return Err(RuleError::Threshold);
        }
        self.scope.ast()?;
        self.scope.index(default_index)?;
        allowed.check_url(&self.webhook.url)?;
        match self.given_secret() {
            Some(secret) if sign::key_of(secret).is_none() => Err(RuleError::Secret),
            _ => Ok(()),
        }
    }

    /// The secret that came in, if one did.
    pub(super) fn given_secret(&self) -> Option<&str> {
        self.webhook.secret.as_deref().filter(|secret| !secret.is_empty())
    }

    /// Whether both count the same events in the same way, so that the state of one goes on in the other.
    pub(super) fn counts_like(&self, other: &Self) -> bool {
        (self.kind, self.window_s, self.threshold, &self.scope)
            == (other.kind, other.window_s, other.threshold, &other.scope)
    }
}

impl Threshold {
    /// Whether a count is beyond it.
    pub(super) fn is_crossed_by(self, count: f64) -> bool {
        match self.op {
            Comparison::Above => count > self.value,
            Comparison::AtLeast => count >= self.value,
            Comparison::Below => count < self.value,
            Comparison::AtMost => count <= self.value,
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use serde_json::json;

    pub(in crate::alert) fn rule(kind: &str) -> Rule {
        serde_json::from_value(json!({
            "name": "errors", "enabled": true, "type": kind,
            "scope": {"query": "log.level: error", "language": "kql", "filters": []},
            "window_s": 60, "every_s": 5, "threshold": {"op": ">", "value": 3}, "webhook": {"url": "https://example.org/hook"},
        }))
        .unwrap()
    }

    #[test]
    fn mistakes_in_a_rule_are_told() {
        let check = |change: fn(&mut Rule)| {
            let mut rule = rule("threshold");
            change(&mut rule);
            rule.check(&AllowList::default(), "logs-*")
        };
        assert!(check(|_| {}).is_ok());
        assert!(matches!(check(|rule| rule.name = " ".into()), Err(RuleError::Name)));
        assert!(matches!(check(|rule| rule.every_s = 0), Err(RuleError::Seconds { key: "every_s", .. })));
        assert!(matches!(check(|rule| rule.threshold = None), Err(RuleError::Threshold)));
        assert!(matches!(check(|rule| rule.scope.query = "(".into()), Err(RuleError::Scope(_))));
        assert!(matches!(check(|rule| rule.webhook.url = "http://127.0.0.1/".into()), Err(RuleError::Url(_))));
        assert!(matches!(check(|rule| rule.webhook.secret = Some("hunter2".into())), Err(RuleError::Secret)));
    }
}
