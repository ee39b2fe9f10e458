//! Removes what is too old or too much: a topic's own limits, then the budget of all topics together.

use std::sync::Arc;
use std::time::Duration;

use logmill_bus_log::{LogError, Partition, Retention};

use crate::broker::Broker;
use crate::groups::now_ms;

/// How often the limits are looked after; what a segment holds beyond them in that time is small against a segment.
const EVERY: Duration = Duration::from_secs(30);

/// Applies the limits until asked to stop, and says how much there is.
pub(crate) async fn run(broker: Arc<Broker>, total_bytes: Option<u64>) {
    loop {
        let work = Arc::clone(&broker);
        let pass = tokio::task::spawn_blocking(move || pass(&work, total_bytes));
        if let Err(error) = pass.await {
            tracing::error!(%error, "retention failed");
        }
        broker.groups.forget_expired(now_ms()).await;
        if broker.shutdown.unless(tokio::time::sleep(EVERY)).await.is_none() {
            return;
        }
    }
}

fn pass(broker: &Broker, total_bytes: Option<u64>) {
    let now = i64::try_from(now_ms()).unwrap_or(i64::MAX);
    let topics = broker.topics.all();
    let mut logs: Vec<(Arc<Partition>, Option<Duration>)> = Vec::new();
    for topic in &topics {
        for log in topic.partitions.iter().filter_map(|slot| slot.log.as_ref()) {
            apply(log, &topic.name, now, &topic.limits.retention);
            logs.push((Arc::clone(log), topic.limits.retention.max_age));
        }
    }
    let total: u64 = logs.iter().map(|(log, _)| log.size_bytes()).sum();
    if let Some(excess) = total_bytes.and_then(|budget| total.checked_sub(budget)).filter(|excess| *excess > 0) {
        tracing::warn!(total, excess, "all topics together exceed `bus.retention.total_bytes`: the oldest records go");
        // A partition gives in proportion to what it has: the largest most.
        for (log, max_age) in &logs {
            let size = log.size_bytes();
            let share = u128::from(excess) * u128::from(size) / u128::from(total.max(1));
            let keep = size.saturating_sub(u64::try_from(share).unwrap_or(u64::MAX));
            apply(log, log.topic_id(), now, &Retention { max_age: *max_age, max_bytes: Some(keep) });
        }
    }
    let total: u64 = logs.iter().map(|(log, _)| log.size_bytes()).sum();
    let board = &broker.meters.board;
    board.set_gauge("disk_bytes", total as f64);
    board.set_gauge("topics", topics.len() as f64);
    board.set_gauge("partitions", logs.len() as f64);
    board.set_gauge("groups", broker.groups.count() as f64);
    let (sessions, _, evicted) = broker.fetch_sessions.counts();
    board.set_gauge("fetch_sessions", sessions as f64);
    board.set_gauge("fetch_sessions_evicted", evicted as f64);
    let poisoned = logs.iter().find_map(|(log, _)| log.poisoned());
    board.set_problem("disk", poisoned.map(|poisoned| poisoned.to_string()));
}

fn apply(log: &Partition, topic: &str, now: i64, limits: &Retention) {
    match log.retain(now, limits) {
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
