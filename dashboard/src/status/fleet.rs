//! The newest news of each instance of each stage, and what they add up to.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use logmill_core::stage::StageStatus;
use parking_lot::Mutex;
use serde::Serialize;

/// News come every second; after this long without any something is wrong.
const STALE_AFTER: Duration = Duration::from_secs(10);
/// An instance that was silent so long is gone (a restarted process is a new instance).
const FORGET_AFTER: Duration = Duration::from_secs(300);
/// Rates are taken over this many news: smooth enough to read, quick enough to follow.
const NEWS_KEPT: usize = 6;
/// Thousands of shippers report here one day; beyond this the ones heard longest ago go.
const INSTANCES_MAX: usize = 4096;

/// What the stages say of themselves.
#[derive(Debug, Default)]
pub(crate) struct Fleet(Mutex<BTreeMap<(String, String), Heard>>);

#[derive(Debug)]
struct Heard {
    at: Instant,
    news: VecDeque<StageStatus>,
}

/// One instance, as the status page shows it.
#[derive(Debug, Serialize)]
pub(crate) struct StageView {
    #[serde(flatten)]
    pub(crate) status: StageStatus,
    pub(crate) stale: bool,
    pub(crate) rates: BTreeMap<String, f64>,
}

impl Fleet {
    /// Takes in what an instance says.
    pub(crate) fn hear(&self, status: StageStatus) {
        self.hear_at(status, Instant::now());
    }

    /// Every instance that was heard of lately, by stage.
    pub(crate) fn stages(&self) -> Vec<StageView> {
        self.stages_at(Instant::now())
    }

    /// Why the chain is not ready, for people; empty when every expected stage is.
    pub(crate) fn problems(&self, expected: &[String]) -> Vec<String> {
        let stages = self.stages();
        expected.iter().filter_map(|name| problem_of(name, &stages)).collect()
    }

    fn hear_at(&self, status: StageStatus, now: Instant) {
        let mut heard = self.0.lock();
        let key = (status.stage.clone(), status.instance.clone());
        if heard.len() >= INSTANCES_MAX && !heard.contains_key(&key) {
            let oldest = heard.iter().min_by_key(|(_, heard)| heard.at).map(|(key, _)| key.clone());
            oldest.and_then(|key| heard.remove(&key));
        }
        let entry = heard.entry(key).or_insert_with(|| Heard { at: now, news: VecDeque::new() });
        entry.at = now;
        // A process id that came again: its totals began anew.
        if entry.news.back().is_some_and(|last| last.started_at != status.started_at) {
            entry.news.clear();
        }
        if entry.news.back().is_some_and(|last| time_of(last) >= time_of(&status)) {
            return;
        }
        entry.news.push_back(status);
        while entry.news.len() > NEWS_KEPT {
            entry.news.pop_front();
        }
    }

    fn stages_at(&self, now: Instant) -> Vec<StageView> {
        let mut heard = self.0.lock();
        heard.retain(|_, heard| now.saturating_duration_since(heard.at) < FORGET_AFTER);
        let view = |heard: &Heard| {
            let status = heard.news.back()?.clone();
            let stale = now.saturating_duration_since(heard.at) > STALE_AFTER;
            let rates = if stale { BTreeMap::new() } else { rates(&heard.news) };
            Some(StageView { status, stale, rates })
        };
        heard.values().filter_map(view).collect()
    }
}

fn problem_of(name: &str, stages: &[StageView]) -> Option<String> {
    let mine: Vec<_> = stages.iter().filter(|view| view.status.stage == name).collect();
    let fresh: Vec<_> = mine.iter().filter(|view| !view.stale).collect();
    if fresh.iter().any(|view| view.status.ready) {
        return None;
    }
    Some(match (fresh.first(), mine.first()) {
        (Some(view), _) if view.status.problems.is_empty() => format!("the {name} is not ready yet"),
        (Some(view), _) => format!("the {name} is not ready: {}", view.status.problems.join("; ")),
        (None, Some(_)) => format!("the {name} has not been heard of for {} s", STALE_AFTER.as_secs()),
        (None, None) => format!("the {name} has not been heard of yet"),
    })
}

/// When it was said, milliseconds since 1970.
fn time_of(status: &StageStatus) -> i64 {
    status.at.parse::<jiff::Timestamp>().map_or(0, jiff::Timestamp::as_millisecond)
}

/// Growth of each running total per second, over the news that are kept.
fn rates(news: &VecDeque<StageStatus>) -> BTreeMap<String, f64> {
    let (Some(first), Some(last)) = (news.front(), news.back()) else { return BTreeMap::new() };
    let seconds = (time_of(last) - time_of(first)) as f64 / 1000.0;
    if seconds <= 0.0 {
        return BTreeMap::new();
    }
    let rate = |(name, total): (&String, &u64)| {
        let before = first.counters.get(name).copied().unwrap_or(0);
        (name.clone(), total.saturating_sub(before) as f64 / seconds)
    };
    last.counters.iter().map(rate).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use logmill_core::StatusBoard;

    fn news(stage: &'static str, second: i64, events: u64, ready: bool) -> StageStatus {
        let board = StatusBoard::new(stage);
        let mut status = board.snapshot();
        status.started_at = "2026-11-22T10:00:00Z".to_owned();
        status.at = jiff::Timestamp::from_second(1_800_000_000 + second).unwrap().to_string();
        status.ready = ready;
        status.counters.insert("events".to_owned(), events);
        status
    }

    #[test]
    fn rates_are_growth_over_time_and_begin_anew_with_the_process() {
        let fleet = Fleet::default();
        for second in 0..10 {
            fleet.hear(news("bus", second, 500 * second as u64, true));
        }
        assert_eq!(fleet.stages()[0].rates["events"], 500.0);
        let mut restarted = news("bus", 20, 3, true);
        restarted.started_at = "2026-11-22T10:00:19Z".to_owned();
        fleet.hear(restarted);
        assert!(fleet.stages()[0].rates.is_empty());
    }

    #[test]
    fn silence_is_noticed_and_forgotten() {
        let (fleet, start) = (Fleet::default(), Instant::now());
        fleet.hear_at(news("bus", 0, 0, true), start);
        assert!(!fleet.stages_at(start + Duration::from_secs(9))[0].stale);
        assert!(fleet.stages_at(start + Duration::from_secs(11))[0].stale);
        assert!(fleet.stages_at(start + Duration::from_secs(301)).is_empty());
    }

    #[test]
    fn the_chain_is_ready_when_every_expected_stage_is() {
        let fleet = Fleet::default();
        let expected = ["bus", "indexer"].map(str::to_owned);
        fleet.hear(news("bus", 0, 0, true));
        assert_eq!(fleet.problems(&expected), ["the indexer has not been heard of yet"]);
        let mut late = news("indexer", 0, 0, false);
        late.problems = vec!["recovering the store".to_owned()];
        fleet.hear(late);
        assert_eq!(fleet.problems(&expected), ["the indexer is not ready: recovering the store"]);
        fleet.hear(news("indexer", 1, 0, true));
        assert!(fleet.problems(&expected).is_empty());
    }

    #[test]
    fn memory_is_bounded() {
        let fleet = Fleet::default();
        for number in 0..INSTANCES_MAX + 10 {
            let mut status = news("shipper", 0, 0, true);
            status.instance = format!("host-{number}");
            fleet.hear(status);
        }
        assert_eq!(fleet.stages().len(), INSTANCES_MAX);
    }
}
