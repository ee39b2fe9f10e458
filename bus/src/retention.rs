//! Removes what is too old or too much: a topic's own limits, then the budget of all topics together and what a low
//! disk asks for. What a pinned group has yet to read goes last.

mod pins;
mod relief;

use std::sync::Arc;
use std::time::{Duration, Instant};

use logmill_bus_log::{LogError, Partition, Retention};

use crate::broker::Broker;
use crate::groups::now_ms;
use pins::Pins;
use relief::Holding;

/// How often the limits are looked after; what a segment holds beyond them in that time is small against a segment.
const EVERY: Duration = Duration::from_secs(30);
/// How often the disk is looked at: what producers can write in that time must be small against the watermark.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What is kept beyond the topics' own settings.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    pub(crate) total_bytes: Option<u64>,
    pub(crate) pinned_groups: Vec<String>,
}

/// Applies the limits until asked to stop, and says how much there is.
pub(crate) async fn run(broker: Arc<Broker>, policy: Policy) {
    let policy = Arc::new(policy);
    let mut due = Instant::now();
    loop {
        let excess = broker.disk.look(&broker.meters.board);
        if excess > 0 || Instant::now() >= due {
            let (work, policy) = (Arc::clone(&broker), Arc::clone(&policy));
            let pass = tokio::task::spawn_blocking(move || pass(&work, &policy, excess));
            if let Err(error) = pass.await {
                tracing::error!(%error, "retention failed");
            }
            broker.groups.forget_expired(now_ms()).await;
            due = Instant::now() + EVERY;
        }
        let wait = async {
            let found_full = tokio::time::timeout(LOOK_EVERY, broker.disk.full()).await.is_ok();
            if found_full {
                // Everybody who writes finds it full now: one look for all of them.
                tokio::time::sleep(LOOK_EVERY / 10).await;
            }
        };
        if broker.shutdown.unless(wait).await.is_none() {
            return;
        }
    }
}

fn pass(broker: &Broker, policy: &Policy, disk_excess: u64) {
    let now = i64::try_from(now_ms()).unwrap_or(i64::MAX);
    let topics = broker.topics.all();
    let pins = Pins::of(&policy.pinned_groups, &broker.groups);
    let mut holdings = Vec::new();
    for topic in &topics {
        for log in topic.partitions.iter().filter_map(|slot| slot.log.as_ref()) {
            let pinned_from = pins.from(&topic.name, log.partition());
            apply(log, &topic.name, now, &topic.limits.retention, pinned_from);
            holdings.push(Holding { topic: Arc::clone(&topic.name), log: Arc::clone(log), pinned_from });
        }
    }
    let total = relief::size(&holdings);
    let excess = policy.total_bytes.map_or(0, |budget| total.saturating_sub(budget));
    if excess > 0 {
        tracing::warn!(total, excess, "all topics together exceed `bus.retention.total_bytes`: the oldest records go");
    }
    let pinned_dropped = relief::make_room(&holdings, excess.max(disk_excess));
    broker.meters.pinned_dropped.add(pinned_dropped);
    let board = &broker.meters.board;
    let lost = (pinned_dropped > 0).then(|| {
        format!("{pinned_dropped} records were removed that a group of `bus.retention.pinned_groups` had not read")
    });
    board.set_problem("pinned records", lost);
    board.set_gauge("disk_bytes", relief::size(&holdings) as f64);
    if let Some(budget) = policy.total_bytes {
        board.set_gauge("disk_budget_bytes", budget as f64);
    }
    board.set_gauge("topics", topics.len() as f64);
    board.set_gauge("partitions", holdings.len() as f64);
    board.set_gauge("groups", broker.groups.count() as f64);
    let (sessions, _, evicted) = broker.fetch_sessions.counts();
    board.set_gauge("fetch_sessions", sessions as f64);
    board.set_gauge("fetch_sessions_evicted", evicted as f64);
    let poisoned = holdings.iter().find_map(|holding| holding.log.poisoned());
    board.set_problem("disk", poisoned.map(|poisoned| poisoned.to_string()));
}

fn apply(log: &Partition, topic: &str, now: i64, limits: &Retention, pinned_from: i64) {
    match log.retain_sparing(now, limits, pinned_from) {
        Ok(removed) if removed.segments > 0 => tracing::info!(
            topic,
            partition = log.partition(),
            segments = removed.segments,
            bytes = removed.bytes,
            "removed old records"
        ),
        Ok(_) | Err(LogError::Poisoned(_)) => {}
        Err(error) => tracing::warn!(topic, partition = log.partition(), %error, "old records can't be removed"),
    }
}
