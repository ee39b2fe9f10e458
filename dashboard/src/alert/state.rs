//! How a rule stands, and what a look at the events changes about it. Pure: no clock, no database, no network.

use serde::{Deserialize, Serialize};

use super::rule::{Kind, Rule};

/// Looks in a row without the condition before a threshold rule is resolved: one look at the edge must not make
/// an alert flap.
const CALM_LOOKS: u32 = 2;

/// How a rule stands. Times are milliseconds since 1970.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct State {
    pub(super) firing: bool,
    /// Since when it stands so.
    pub(super) since_ms: i64,
    /// The watermark of the last look: everything up to there was indexed and counted.
    pub(super) last_evaluated_ms: Option<i64>,
    pub(super) last_value: Option<f64>,
    /// Why it can't be evaluated now.
    pub(super) error: Option<String>,
    /// What a match rule has counted already.
    pub(super) cursor: Option<Cursor>,
    /// Looks in a row without the condition while firing.
    calm_looks: u32,
    /// The watermark of the last look that found new matches.
    last_match_ms: Option<i64>,
}

/// The matching events in (`from_ms`, `to_ms`] that were there at the last look. Events that turn up late within
/// that time make the number grow, which is how they are noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Cursor {
    pub(super) from_ms: i64,
    pub(super) to_ms: i64,
    pub(super) seen: u64,
}

/// What a look found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Look {
    /// Everything up to there is indexed.
    pub(super) watermark_ms: i64,
    /// Threshold: events in the window. Match: events that were not there at the last look.
    pub(super) count: u64,
    /// Match: what the next look starts from.
    pub(super) cursor: Option<Cursor>,
}

/// What has to be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Fired,
    Resolved,
}

impl Change {
    /// The type of the webhook's event.
    pub(super) const fn event(self) -> &'static str {
        match self {
            Self::Fired => "alert.firing",
            Self::Resolved => "alert.resolved",
        }
    }
}

impl State {
    /// A rule that was just made.
    pub(super) fn new(now_ms: i64) -> Self {
        Self { since_ms: now_ms, ..Self::default() }
    }

    /// How the rule stands after a look, and what has to be said about it.
    pub(super) fn after(&self, rule: &Rule, look: Look) -> (Self, Option<Change>) {
        let window_ms = i64::try_from(rule.window_s).unwrap_or(i64::MAX / 1000) * 1000;
        let mut next = self.clone();
        next.last_evaluated_ms = Some(look.watermark_ms);
        next.last_value = Some(look.count as f64);
        next.error = None;
        next.cursor = look.cursor;
        let (holds, over) = match rule.kind {
            Kind::Threshold => {
                let holds = rule.threshold.is_some_and(|threshold| threshold.is_crossed_by(look.count as f64));
                next.calm_looks = if holds { 0 } else { self.calm_looks.saturating_add(1) };
                (holds, next.calm_looks >= CALM_LOOKS)
            }
            Kind::Match => {
                let holds = look.count > 0;
                if holds {
                    next.last_match_ms = Some(look.watermark_ms);
                }
                let quiet_since = next.last_match_ms.unwrap_or(i64::MIN);
                (holds, look.watermark_ms.saturating_sub(quiet_since) >= window_ms)
            }
        };
        let change = match (self.firing, holds) {
            (false, true) => Some(Change::Fired),
            (true, false) if over => Some(Change::Resolved),
            _ => None,
        };
        if let Some(change) = change {
            next.firing = change == Change::Fired;
            next.since_ms = look.watermark_ms;
            next.calm_looks = 0;
        }
        (next, change)
    }

    /// How the rule stands when a look failed: as before, with the reason.
    pub(super) fn failed(&self, error: String) -> Self {
        Self { error: Some(error), ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::super::rule::tests::rule;
    use super::*;
    use proptest::prelude::*;

    fn look(second: i64, count: u64) -> Look {
        Look { watermark_ms: second * 1000, count, cursor: None }
    }

    fn changes(kind: &str, counts: &[u64]) -> Vec<Option<Change>> {
        let (rule, mut state, mut all) = (rule(kind), State::new(0), Vec::new());
        for (step, count) in counts.iter().enumerate() {
            let (next, change) = state.after(&rule, look(5 * step as i64, *count));
            state = next;
            all.push(change);
        }
        all
    }

    #[test]
    fn a_threshold_fires_once_and_resolves_after_two_calm_looks() {
        use Change::{Fired, Resolved};
        assert_eq!(
            changes("threshold", &[0, 4, 9, 3, 9, 3, 3, 3, 4]),
            [None, Some(Fired), None, None, None, None, Some(Resolved), None, Some(Fired)]
        );
    }

    #[test]
    fn a_match_fires_at_the_first_match_and_resolves_after_a_quiet_window() {
        // The window is 60 s, looks are 5 s apart.
        let mut counts = vec![0, 1, 2];
        counts.extend([0; 13]);
        let all = changes("match", &counts);
        assert_eq!(all[1], Some(Change::Fired));
        let resolved = all.iter().position(|change| *change == Some(Change::Resolved)).unwrap();
        assert_eq!(resolved, 2 + 60 / 5);
        assert_eq!(all.iter().flatten().count(), 2);
    }

    #[test]
    fn an_error_keeps_the_rule_firing() {
        let (firing, _) = State::new(0).after(&rule("threshold"), look(1, 9));
        let failed = firing.failed("the indexer is away".to_owned());
        assert!(failed.firing && failed.error.is_some());
        let (back, change) = failed.after(&rule("threshold"), look(2, 9));
        assert_eq!((back.error, change), (None, None));
    }

    proptest! {
        #[test]
        fn firing_and_resolved_alternate_and_the_state_survives_storage(
            counts in prop::collection::vec(0u64..8, 0..60), matching: bool,
        ) {
            let kind = if matching { "match" } else { "threshold" };
            let (rule, mut state, mut firing) = (rule(kind), State::new(0), false);
            for (step, count) in counts.into_iter().enumerate() {
                let stored: State = serde_json::from_str(&serde_json::to_string(&state).unwrap()).unwrap();
                prop_assert_eq!(&stored, &state);
                let (next, change) = stored.after(&rule, look(5 * step as i64, count));
                match change {
                    Some(Change::Fired) => prop_assert!(!firing),
                    Some(Change::Resolved) => prop_assert!(firing),
                    None => prop_assert_eq!(next.firing, firing),
                }
                firing = next.firing;
                state = next;
            }
        }
    }
}
