//! Rules and how they stand, for people.

use serde::Serialize;

use super::rule::Rule;
use super::state::State;
use crate::database::rfc3339;

/// A rule and how it stands.
#[derive(Debug, Serialize)]
pub(crate) struct RuleView {
    #[serde(flatten)]
    pub(crate) rule: Rule,
    state: StateView,
}

#[derive(Debug, Serialize)]
struct StateView {
    status: &'static str,
    since: String,
    last_evaluated: Option<String>,
    last_value: Option<f64>,
    error: Option<String>,
}

impl RuleView {
    /// A rule with its state.
    pub(super) fn new(rule: Rule, state: &State) -> Self {
        let status = match (rule.enabled, &state.error, state.firing) {
            (false, ..) => "paused",
            (true, Some(_), _) => "error",
            (true, None, true) => "firing",
            (true, None, false) => "normal",
        };
        let state = StateView {
            status,
            since: rfc3339(state.since_ms),
            last_evaluated: state.last_evaluated_ms.map(rfc3339),
            last_value: state.last_value,
            error: state.error.clone(),
        };
        Self { rule, state }
    }
}

#[cfg(test)]
mod tests {
    use super::super::rule::tests::rule;
    use super::*;

    #[test]
    fn the_secret_never_goes_out() {
        let mut rule = rule("match");
        rule.webhook.secret = Some("whsec_c2VjcmV0".into());
        assert!(!serde_json::to_string(&RuleView::new(rule, &State::default())).unwrap().contains("c2VjcmV0"));
    }
}
