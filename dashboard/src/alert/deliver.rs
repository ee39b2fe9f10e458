//! Works off the queue of deliveries, which lies in the database: a restart goes on where it was.

use std::sync::Arc;
use std::time::Duration;

use logmill_core::{Shutdown, StatusBoard};
use tokio::task::JoinSet;

use super::Bells;
use super::delivery::{Delivery, Due};
use super::notify::Sender;
use super::store::{self, Verdict};
use crate::database::{Database, DatabaseError, now_ms};

/// Receivers that are slow must not hold up the others, and a burst must not open hundreds of connections.
const AT_A_TIME: usize = 8;
/// Sleeps no longer than this, whatever the clock does.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Most receivers answer within this; a stop waits no longer.
const DRAIN: Duration = Duration::from_secs(5);

/// Sends what is due until asked to stop.
pub(crate) async fn deliver_all(
    db: Database,
    sender: Arc<Sender>,
    bells: Arc<Bells>,
    board: Arc<StatusBoard>,
    shutdown: Shutdown,
) {
    let mut running = JoinSet::new();
    loop {
        let room = AT_A_TIME.saturating_sub(running.len());
        let wait = match take(&db, room).await {
            Ok((due, wait)) => {
                for due in due {
                    running.spawn(attempt(db.clone(), sender.clone(), bells.clone(), board.clone(), due));
                }
                wait
            }
            Err(error) => {
                tracing::error!(%error, "the queue of webhooks can't be read");
                LOOK_EVERY
            }
        };
        tokio::select! {
            () = shutdown.wait() => break,
            () = bells.queued.notified() => {}
            Some(_) = running.join_next(), if !running.is_empty() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
    // Attempts under way may finish; those that don't are made again after the next start, under the same id.
    let finished = async { while running.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(DRAIN, finished).await;
}

/// Sends one delivery now, if it is due and nobody else is at it, and answers how it stands then.
pub(crate) async fn deliver_one(
    db: &Database,
    sender: &Arc<Sender>,
    bells: &Arc<Bells>,
    board: &Arc<StatusBoard>,
    id: &str,
) -> Result<Option<Delivery>, DatabaseError> {
    let wanted = id.to_owned();
    let due = db.call(move |db| store::take_due(db, Some(&wanted), 1, now_ms())).await?;
    for due in due {
        attempt(db.clone(), sender.clone(), bells.clone(), board.clone(), due).await;
    }
    let wanted = id.to_owned();
    db.read(move |db| store::delivery(db, &wanted)).await
}

async fn take(db: &Database, room: usize) -> Result<(Vec<Due>, Duration), DatabaseError> {
    // Looking first keeps an idle program from writing.
    let next = db.read(store::next_due).await?;
    let wait = |next: Option<i64>| match next {
        Some(at_ms) => Duration::from_millis(u64::try_from(at_ms - now_ms()).unwrap_or(0)).min(LOOK_EVERY),
        None => LOOK_EVERY,
    };
    if room == 0 || next.is_none_or(|at_ms| at_ms > now_ms()) {
        return Ok((Vec::new(), if room == 0 { LOOK_EVERY } else { wait(next) }));
    }
    db.call(move |db| Ok((store::take_due(db, None, room, now_ms())?, store::next_due(db)?)))
        .await
        .map(|(due, next)| (due, wait(next)))
}

async fn attempt(db: Database, sender: Arc<Sender>, bells: Arc<Bells>, board: Arc<StatusBoard>, due: Due) {
    let outcome = sender.attempt(&due).await;
    let (status, error) = (outcome.tried.status, outcome.tried.error.clone());
    match outcome.verdict {
        Verdict::Delivered => board.counter("webhooks_delivered").add(1),
        Verdict::Again { .. } => {
            tracing::warn!(id = due.id, status, error, "a webhook was not delivered; it is tried again");
        }
        Verdict::Failed | Verdict::Gone => {
            board.counter("webhooks_failed").add(1);
            tracing::warn!(id = due.id, status, error, "a webhook was given up");
        }
    }
    let gone = outcome.verdict == Verdict::Gone;
    let recorded = db.call(move |db| store::record(db, &due, &outcome.tried, outcome.verdict)).await;
    if let Err(error) = recorded {
        // The lease runs out and it is tried again: receivers know a message by its id.
        tracing::error!(%error, "the outcome of a webhook can't be written down");
    }
    if gone {
        bells.rules_changed.notify_one();
    }
}
