//! Carries out what is decided: a marker into every partition, on disk, then the end and the offsets in one write.
//! Each step may be done again; a crash between any two is finished by the next start.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use logmill_bus_log::{AppendError, Marker};

use super::{Slot, State, Transaction, Transactions};
use crate::broker::Broker;
use crate::groups::now_ms;
use crate::state_key::{Change, StateKey};
use crate::topics::Topics;

/// After a failure (a full disk, mostly) it is tried again so much later.
const AGAIN: Duration = Duration::from_secs(1);
/// At least so often the timer looks for ids that nobody uses.
const LOOKS_EVERY: Duration = Duration::from_secs(3600);

/// Carries out the prepared transaction of an id. Whoever calls it has the turn. False: not everything could be done.
pub(super) async fn finish(broker: &Arc<Broker>, slot: &Arc<Slot>) -> bool {
    let prepared = slot.current();
    let Some(done) = prepared.completed(now_ms()) else { return true };
    if !mark(broker, slot, &prepared).await {
        return false;
    }
    let these = &broker.transactions;
    let held = slot.offsets.lock().clone();
    // In this order: what is cut off of it by a crash leaves the transaction prepared, or offsets that are dropped.
    let mut changes = Vec::with_capacity(held.len() + 1);
    match Change::set(StateKey::Transaction(slot.id.clone()), &done) {
        Ok(change) => changes.push(change),
        Err(error) => {
            tracing::error!(id = slot.id, %error, "the end of a transaction can't be written down");
            return false;
        }
    }
    changes.extend(held.keys().map(|(group, (topic, partition))| {
        Change::remove(StateKey::TransactionOffset(slot.id.clone(), group.clone(), topic.clone(), *partition))
    }));
    let places: Vec<_> = held.keys().cloned().collect();
    let commits = if prepared.state == State::PrepareCommit { held.into_iter().collect() } else { Vec::new() };
    if let Err(error) = broker.groups.commit_with_transaction(commits, changes).await {
        tracing::error!(id = slot.id, %error, "the end of a transaction can't be written down");
        return false;
    }
    *slot.now.lock() = done;
    slot.offsets.lock().clear();
    let mut pending = these.pending.lock();
    places.iter().for_each(|place| pending.remove(place));
    true
}

/// Writes the markers; true when all of them are on disk.
async fn mark(broker: &Broker, slot: &Slot, prepared: &Transaction) -> bool {
    let marker = Marker {
        producer_id: prepared.producer_id,
        producer_epoch: prepared.epoch,
        coordinator_epoch: broker.transactions.epoch,
        commit: prepared.state == State::PrepareCommit,
    };
    let (mut waits, mut all) = (Vec::new(), true);
    for (name, partition) in prepared.partitions.iter().flat_map(|(name, all)| all.iter().map(move |one| (name, *one)))
    {
        // A topic that was removed took its part of the transaction along.
        let Some(topic) = broker.topics.named(name) else { continue };
        let Some(place) = topic.partition(partition) else { continue };
        let Some(log) = &place.log else {
            tracing::warn!(
                id = slot.id,
                topic = name,
                partition,
                "a transaction waits for a partition that is not open"
            );
            all = false;
            continue;
        };
        match log.append_marker(&marker, place.epochs.current(), i64::try_from(now_ms()).unwrap_or(i64::MAX)) {
            Ok(appended) => waits.push(log.wait_durable(appended.end_offset)),
            Err(AppendError::ProducerFenced { current, .. }) => {
                tracing::warn!(id = slot.id, topic = name, partition, current, "a later producer has written already");
            }
            // A deleted topic whose removal is under way.
            Err(AppendError::Poisoned(_)) if broker.topics.named(name).is_none() => {}
            Err(error) => {
                tracing::warn!(id = slot.id, topic = name, partition, %error, "a transaction can't be ended yet");
                all = false;
            }
        }
    }
    for durable in waits {
        if let Err(error) = durable.await {
            tracing::warn!(id = slot.id, %error, "a transaction can't be ended yet");
            all = false;
        }
    }
    all
}

impl Transactions {
    /// Gives up transactions in time, carries out what is left, and forgets ids, until asked to stop.
    pub(crate) async fn run(broker: &Arc<Broker>) {
        let these = &broker.transactions;
        loop {
            let wait = these.look(broker).await;
            let sleep = async {
                tokio::select! {
                    () = tokio::time::sleep(wait) => {}
                    () = these.sooner.notified() => {}
                }
            };
            if broker.shutdown.unless(sleep).await.is_none() {
                return;
            }
        }
    }

    /// Looks after every id; says how long nothing will be due.
    async fn look(&self, broker: &Arc<Broker>) -> Duration {
        let now = now_ms();
        let mut next_ms = now.saturating_add(millis(LOOKS_EVERY));
        let slots: Vec<Arc<Slot>> = self.known.lock().values().cloned().collect();
        for slot in slots {
            let current = slot.current();
            let due = current.state.is_prepared()
                || current.give_up(now).is_some()
                || current.is_unused(now.saturating_sub(millis(self.kept)));
            if due && !self.see_to(broker, &slot).await {
                next_ms = next_ms.min(now.saturating_add(millis(AGAIN)));
            }
            next_ms = slot.now.lock().deadline_ms().map_or(next_ms, |deadline| deadline.min(next_ms));
        }
        self.looks_at_ms.store(next_ms, Ordering::Relaxed);
        // Never in a spin, whatever the clock does.
        Duration::from_millis(next_ms.saturating_sub(now_ms())).max(Duration::from_millis(10))
    }

    /// Does what is due for an id; false when it has to be tried again.
    async fn see_to(&self, broker: &Arc<Broker>, slot: &Arc<Slot>) -> bool {
        let Ok(_turn) = slot.turn.try_lock() else { return false };
        let now = now_ms();
        let current = slot.current();
        if let Some(given_up) = current.give_up(now) {
            tracing::info!(id = slot.id, timeout_ms = current.timeout_ms, "a transaction took too long and is aborted");
            if self.write(slot, given_up).await.is_err() {
                return false;
            }
        }
        if slot.current().state.is_prepared() {
            return finish(broker, slot).await;
        }
        if current.is_unused(now.saturating_sub(millis(self.kept))) {
            return self.forget(slot).await;
        }
        true
    }

    /// Forgets an id; whoever calls it has the turn.
    async fn forget(&self, slot: &Slot) -> bool {
        let changes = vec![Change::remove(StateKey::Transaction(slot.id.clone()))];
        if self.state.put(changes).await.is_err() {
            return false;
        }
        slot.now.lock().state = State::Dead;
        self.known.lock().remove(&slot.id);
        true
    }

    /// Forgets the id without an open transaction that was idle for longest, if there is one.
    pub(super) async fn forget_idlest(&self) -> bool {
        let idlest = {
            let known = self.known.lock();
            let idle = known.values().filter(|slot| !slot.now.lock().state.is_open());
            idle.min_by_key(|slot| slot.now.lock().changed_ms).cloned()
        };
        let Some(slot) = idlest else { return false };
        let _turn = slot.turn.lock().await;
        let is_idle = !slot.now.lock().state.is_open();
        is_idle && self.forget(&slot).await
    }

    /// Aborts what is open in the logs and belongs to no transaction that is known, as after a state file was lost:
    /// nobody else ever would, and readers would wait for it. Called before anything is served.
    pub(crate) fn end_stranded(&self, topics: &Topics) {
        let open: HashSet<i64> = {
            let known = self.known.lock();
            let open = known.values().map(|slot| slot.now.lock()).filter(|now| now.state.is_open());
            open.map(|now| now.producer_id).collect()
        };
        for topic in topics.all() {
            for slot in &topic.partitions {
                let Some(log) = &slot.log else { continue };
                let producers = log.producers().into_iter().filter(|producer| producer.transaction.is_some());
                for producer in producers.filter(|producer| !open.contains(&producer.producer_id)) {
                    let marker = Marker {
                        producer_id: producer.producer_id,
                        producer_epoch: producer.epoch,
                        coordinator_epoch: self.epoch,
                        commit: false,
                    };
                    let now = i64::try_from(now_ms()).unwrap_or(i64::MAX);
                    let (topic, partition) = (&*topic.name, log.partition());
                    match log.append_marker(&marker, slot.epochs.current(), now) {
                        Ok(_) => tracing::warn!(
                            topic,
                            partition,
                            producer_id = producer.producer_id,
                            "aborted a transaction that nobody knows of"
                        ),
                        Err(error) => tracing::error!(topic, partition, %error, "a transaction can't be aborted"),
                    }
                }
            }
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
