//! Compacts the topics that ask for it, one partition at a time, in the background.

use std::sync::Arc;
use std::time::Duration;

use logmill_bus_log::{Compaction, LogError, Partition};

use crate::broker::Broker;
use crate::groups::now_ms;

/// How often partitions are looked at, as Kafka's `log.cleaner.backoff.ms`.
const EVERY: Duration = Duration::from_secs(15);

/// Compacts until asked to stop.
pub(crate) async fn run(broker: Arc<Broker>) {
    loop {
        let work = Arc::clone(&broker);
        if let Err(error) = tokio::task::spawn_blocking(move || pass(&work)).await {
            tracing::error!(%error, "compaction failed");
        }
        if broker.shutdown.unless(tokio::time::sleep(EVERY)).await.is_none() {
            return;
        }
    }
}

fn pass(broker: &Broker) {
    let stop = || broker.shutdown.requested();
    for topic in broker.topics.all() {
        let Some(policy) = topic.limits.compaction else { continue };
        for log in topic.partitions.iter().filter_map(|slot| slot.log.as_ref()) {
            if stop() {
                return;
            }
            compact(broker, log, &topic.name, &policy, &stop);
        }
    }
}

fn compact(broker: &Broker, log: &Partition, topic: &str, policy: &Compaction, stop: &dyn Fn() -> bool) {
    let partition = log.partition();
    let now = i64::try_from(now_ms()).unwrap_or(i64::MAX);
    // A round that memory cuts short is followed by the next at once, as long as it gets anywhere.
    loop {
        match log.compact(now, policy, stop) {
            Ok(Some(done)) => {
                let (before, after) = (done.bytes_before, done.bytes_after);
                tracing::info!(topic, partition, before, after, "compacted");
                broker.meters.compacted_bytes.add(before.saturating_sub(after));
                if !done.more || stop() {
                    return;
                }
            }
            Ok(None) | Err(LogError::Poisoned(_)) => return,
            Err(error) => return tracing::warn!(topic, partition, %error, "can't be compacted; the log is unharmed"),
        }
    }
}
