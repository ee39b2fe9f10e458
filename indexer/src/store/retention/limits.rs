//! Which splits are past their time or beyond their size. Pure: what there is and the clock are handed in.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use logmill_indexer_api::text::Wildcard;

use crate::config::Retention;

/// What is kept of an index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Limits {
    /// Splits whose newest event is older go.
    pub(super) age: Option<Duration>,
    /// The rule of the configuration that names a size, and that size: for all indexes of the rule together.
    pub(super) bytes: Option<(usize, u64)>,
}

/// The limits of an index: those of the first rule that names it or its data stream, the general ones for what that
/// rule leaves out; and `max_age`, which a lifecycle policy has set, may shorten what the configuration allows, but
/// never prolong it.
pub(super) fn limits_of(retention: &Retention, index: &str, max_age: Option<Duration>) -> Limits {
    let rule = retention.indices.iter().enumerate().find(|(_, rule)| names(&rule.index, index));
    let configured = rule.and_then(|(_, rule)| rule.age).or(retention.age).map(|age| age.0);
    let age = match (configured, max_age) {
        (Some(configured), Some(policy)) => Some(configured.min(policy)),
        (configured, policy) => configured.or(policy),
    };
    let bytes = rule.and_then(|(place, rule)| Some((place, rule.bytes?.0)));
    Limits { age, bytes }
}

/// Whether a rule, a name or a pattern, names an index or its data stream.
pub(in crate::store) fn names(rule: &str, index: &str) -> bool {
    let pattern = Wildcard::new(rule);
    pattern.matches(index) || stream_of(index).is_some_and(|stream| pattern.matches(stream))
}

/// The data stream of a backing index, `.ds-<stream>-<date>-<generation>`.
fn stream_of(index: &str) -> Option<&str> {
    let (rest, _generation) = index.strip_prefix(".ds-")?.rsplit_once('-')?;
    rest.rsplit_once('-').map(|(stream, _date)| stream)
}

/// A split, as far as its end goes.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub(super) index: Arc<str>,
    pub(super) id: u64,
    pub(super) newest_ns: i64,
    pub(super) bytes: u64,
    pub(super) limits: Limits,
    /// It takes no disk space.
    pub(super) cold: bool,
}

/// The splits that go, by index: past their age; the oldest beyond the size of their rule; the oldest beyond the size
/// of all; and as many of the oldest as free `wanted` bytes of disk.
pub(super) fn chosen(
    mut all: Vec<Candidate>,
    bytes_max: Option<u64>,
    wanted: u64,
    now_ns: i64,
) -> BTreeMap<Arc<str>, Vec<u64>> {
    let mut gone: BTreeMap<Arc<str>, Vec<u64>> = BTreeMap::new();
    let mut freed = 0;
    let mut take = |split: &Candidate| {
        freed += split.bytes;
        gone.entry(split.index.clone()).or_default().push(split.id);
    };
    all.retain(|split| {
        let old = is_too_old(split, now_ns);
        if old {
            take(split);
        }
        !old && !split.cold
    });
    all.sort_by_key(|split| split.newest_ns);
    let mut by_rule: BTreeMap<usize, u64> = BTreeMap::new();
    for split in &all {
        if let Some((rule, _)) = split.limits.bytes {
            *by_rule.entry(rule).or_default() += split.bytes;
        }
    }
    all.retain(|split| {
        let total = split.limits.bytes.and_then(|(rule, max)| Some((by_rule.get_mut(&rule)?, max)));
        let beyond = total.filter(|(total, max)| **total > *max);
        let goes = beyond.is_some();
        if let Some((total, _)) = beyond {
            *total -= split.bytes;
            take(split);
        }
        !goes
    });
    let mut total: u64 = all.iter().map(|split| split.bytes).sum();
    for split in &all {
        if bytes_max.is_none_or(|max| total <= max) && freed >= wanted {
            break;
        }
        total -= split.bytes;
        freed += split.bytes;
        gone.entry(split.index.clone()).or_default().push(split.id);
    }
    gone
}

fn is_too_old(split: &Candidate, now_ns: i64) -> bool {
    let Some(age) = split.limits.age else { return false };
    let age_ns = i64::try_from(age.as_nanos()).unwrap_or(i64::MAX);
    split.newest_ns < now_ns.saturating_sub(age_ns)
}

#[cfg(test)]
mod tests {
    use logmill_core::config::{ByteSize, Period};

    use super::*;
    use crate::config::IndexRetention;

    const DAY_NS: i64 = 86_400_000_000_000;

    fn days(days: u64) -> Duration {
        Duration::from_secs(days * 86_400)
    }

    fn retention() -> Retention {
        let rule = |index: &str, age: Option<u64>, bytes| IndexRetention {
            index: index.to_owned(),
            age: age.map(|age| Period(days(age))),
            bytes: bytes_of(bytes),
        };
        let indices = vec![rule("logs-nginx*", Some(30), Some(100)), rule("logs-*", None, Some(50))];
        Retention { age: Some(Period(days(7))), bytes: None, indices }
    }

    fn bytes_of(bytes: Option<u64>) -> Option<ByteSize> {
        bytes.map(ByteSize)
    }

    #[test]
    fn the_first_rule_counts_and_a_policy_only_shortens() {
        let limits = |index: &str, policy: Option<u64>| limits_of(&retention(), index, policy.map(days));
        assert_eq!(limits("logs-nginx-a", None), Limits { age: Some(days(30)), bytes: Some((0, 100)) });
        assert_eq!(limits(".ds-logs-nginx-a-2026.11.22-000001", None).age, Some(days(30)));
        assert_eq!(limits("logs-shop", None), Limits { age: Some(days(7)), bytes: Some((1, 50)) });
        assert_eq!(limits("metrics", None), Limits { age: Some(days(7)), bytes: None });
        assert_eq!(limits("logs-nginx-a", Some(10)).age, Some(days(10)));
        assert_eq!(limits("metrics", Some(10)).age, Some(days(7)));
        assert_eq!(limits_of(&Retention::default(), "metrics", Some(days(10))).age, Some(days(10)));
        assert_eq!(limits_of(&Retention::default(), "metrics", None), Limits::default());
    }

    fn split(index: &str, id: u64, day: i64, bytes: u64) -> Candidate {
        let limits = limits_of(&retention(), index, None);
        Candidate { index: index.into(), id, newest_ns: day * DAY_NS, bytes, limits, cold: false }
    }

    #[test]
    fn what_is_too_old_goes_then_the_oldest_of_what_is_too_much() {
        let all = vec![
            split("logs-nginx-a", 1, 60, 60),
            split("logs-nginx-b", 2, 95, 60),
            split("logs-shop", 3, 92, 10),
            split("logs-shop", 4, 99, 40),
            split("logs-shop", 5, 98, 30),
            split("metrics", 6, 99, 500),
        ];
        let go = |bytes_max, wanted| {
            let mut found: Vec<u64> =
                chosen(all.clone(), bytes_max, wanted, 100 * DAY_NS).into_values().flatten().collect();
            found.sort_unstable();
            found
        };
        assert_eq!(go(None, 0), [1, 3, 5]);
        assert_eq!(go(Some(600), 0), [1, 3, 5]);
        assert_eq!(go(Some(599), 0), [1, 2, 3, 5]);
        // 100 bytes go anyway; for one more, the oldest that is left.
        assert_eq!(go(None, 100), [1, 3, 5]);
        assert_eq!(go(None, 101), [1, 2, 3, 5]);
        assert_eq!(go(None, u64::MAX), [1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn what_is_cold_goes_by_its_age_alone() {
        let cold = |id, day| Candidate { cold: true, ..split("logs-shop", id, day, 500) };
        let all = vec![cold(1, 60), cold(2, 99), split("logs-shop", 3, 99, 40)];
        assert_eq!(chosen(all.clone(), Some(100), 0, 100 * DAY_NS).into_values().flatten().collect::<Vec<_>>(), [1]);
        assert_eq!(chosen(all, None, u64::MAX, 100 * DAY_NS).into_values().flatten().collect::<Vec<_>>(), [1, 3]);
    }
}
