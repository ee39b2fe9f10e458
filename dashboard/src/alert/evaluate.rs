//! Looks at the events on behalf of each rule, again and again, as far as they are indexed.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use logmill_core::{Shutdown, StatusBoard};
use logmill_indexer_api::{Ast, ClientError};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::Bells;
use super::message::{Message, Told, Window};
use super::rule::Kind;
use super::state::{Change, Cursor, Look};
use super::store::{self, Stored};
use crate::config::{AlertConfig, Config};
use crate::database::{Database, DatabaseError, now_ms, rfc3339};
use crate::indexer::{Indexer, Watermark};
use crate::search::{ScopeError, hits_of};

/// Rules are due at whole seconds; a look this often keeps them on time.
const TICK: Duration = Duration::from_millis(250);
/// Events shown in a message.
const SAMPLE: u32 = 5;
/// An index that is behind by more than this (or several looks, whichever is longer) is an error of its own.
const BEHIND_MS_MAX: i64 = 60_000;

/// What evaluating needs.
#[derive(Clone, Debug)]
pub(crate) struct Evaluator {
    pub(crate) db: Database,
    pub(crate) indexer: Indexer,
    pub(crate) bells: Arc<Bells>,
    pub(crate) board: Arc<StatusBoard>,
    alerts: AlertConfig,
    default_index: String,
    base_url: String,
}

/// Why a look failed.
#[derive(Debug, thiserror::Error)]
enum LookError {
    #[error(transparent)]
    Indexer(#[from] ClientError),
    #[error(transparent)]
    Scope(#[from] ScopeError),
    #[error("searches are complete up to {0} only; the rule waits")]
    Behind(String),
}

impl Evaluator {
    /// Puts together what is needed.
    pub(crate) fn new(
        db: Database,
        indexer: Indexer,
        bells: Arc<Bells>,
        board: Arc<StatusBoard>,
        config: &Config,
        base_url: &str,
    ) -> Self {
        let (alerts, default_index) = (config.alerts.clone(), config.index.clone());
        Self { db, indexer, bells, board, alerts, default_index, base_url: base_url.to_owned() }
    }
}

/// Evaluates every rule when it is due, until asked to stop.
pub(crate) async fn evaluate_all(evaluator: Evaluator, shutdown: Shutdown) {
    let evaluator = Arc::new(evaluator);
    let mut running: JoinSet<i64> = JoinSet::new();
    let mut busy: HashSet<i64> = HashSet::new();
    // When each rule (of this version) is due next.
    let mut due: HashMap<i64, (i64, Instant)> = HashMap::new();
    let mut rules = load(&evaluator.db).await;
    loop {
        let now = Instant::now();
        due.retain(|id, _| rules.iter().any(|stored| stored.id == *id));
        for stored in rules.iter().filter(|stored| stored.rule.enabled) {
            let known = due.get(&stored.id).filter(|(version, _)| *version == stored.version);
            let is_due = known.is_none_or(|(_, at)| *at <= now);
            if !is_due || busy.contains(&stored.id) || running.len() >= evaluator.alerts.concurrency {
                continue;
            }
            due.insert(stored.id, (stored.version, now + Duration::from_secs(stored.rule.every_s)));
            busy.insert(stored.id);
            let (evaluator, id) = (evaluator.clone(), stored.id);
            running.spawn(async move {
                evaluator.evaluate(id).await;
                id
            });
        }
        tokio::select! {
            () = shutdown.wait() => break,
            () = evaluator.bells.rules_changed.notified() => rules = load(&evaluator.db).await,
            Some(ended) = running.join_next(), if !running.is_empty() => match ended {
                Ok(id) => drop(busy.remove(&id)),
                // A panic does not say whose it was; a rule evaluated twice at once would only write once.
                Err(error) => {
                    tracing::error!(%error, "an evaluation failed");
                    busy.clear();
                }
            },
            () = tokio::time::sleep(TICK) => {}
        }
    }
    running.shutdown().await;
}

async fn load(db: &Database) -> Vec<Stored> {
    db.read(store::all_stored).await.unwrap_or_else(|error| {
        tracing::error!(%error, "the alert rules can't be read");
        Vec::new()
    })
}

impl Evaluator {
    pub(super) async fn evaluate(&self, id: i64) {
        if let Err(error) = self.try_evaluate(id).await {
            tracing::error!(rule = id, %error, "an alert rule can't be evaluated");
        }
    }

    async fn try_evaluate(&self, id: i64) -> Result<(), DatabaseError> {
        let Some(stored) = self.db.read(move |db| store::one_stored(db, id)).await? else { return Ok(()) };
        let (state, message) = match self.look(&stored).await {
            Ok(None) => return Ok(()),
            Ok(Some((look, window, sample))) => {
                self.board.counter("rules_evaluated").add(1);
                let (state, change) = stored.state.after(&stored.rule, look);
                let message = change.map(|change| self.message(&stored, change, look, window, &sample));
                (state, message)
            }
            Err(error) => {
                let error = error.to_string();
                if stored.state.error.as_ref() == Some(&error) {
                    return Ok(());
                }
                tracing::warn!(rule = stored.rule.name, error, "an alert rule can't be evaluated now");
                (stored.state.failed(error), None)
            }
        };
        let queued = message.is_some();
        self.db.call(move |db| store::commit(db, &stored, &state, message, now_ms())).await?;
        if queued {
            self.bells.queued.notify_one();
        }
        Ok(())
    }

    /// Counts; `None` when nothing new is indexed since the last look.
    async fn look(&self, stored: &Stored) -> Result<Option<(Look, Window, Vec<Value>)>, LookError> {
        let (rule, state) = (&stored.rule, &stored.state);
        let now = now_ms();
        let patience = BEHIND_MS_MAX.max(3000 * i64::try_from(rule.every_s).unwrap_or(i64::MAX / 3000));
        let wait_at = |complete_to: i64| match now - complete_to > patience {
            true => Err(LookError::Behind(rfc3339(complete_to))),
            false => Ok(None),
        };
        let watermark_ms = match self.indexer.watermark().await? {
            Watermark::UpTo(time) => time.as_millisecond(),
            Watermark::NotYet => return wait_at(state.last_evaluated_ms.unwrap_or(state.since_ms)),
            Watermark::Untold => now - ms(self.alerts.assumed_delay.0),
        };
        if state.last_evaluated_ms.is_some_and(|last| watermark_ms <= last) {
            return wait_at(watermark_ms);
        }
        let ast = rule.scope.ast()?;
        let index = rule.scope.index(&self.default_index)?;
        let (look, window) = match rule.kind {
            Kind::Threshold => {
                let window = Window { from_ms: watermark_ms - 1000 * rule.window_s as i64, to_ms: watermark_ms };
                let count = self.indexer.count(index, &window.of(&ast)).await?;
                (Look { watermark_ms, count, cursor: None }, window)
            }
            Kind::Match => self.look_for_new(&ast, index, state.cursor, watermark_ms).await?,
        };
        // A sample is only shown when the rule fires, which it can't while it counts nothing.
        let sample = if look.count > 0 { self.sample(index, &window.of(&ast)).await? } else { Vec::new() };
        Ok(Some((look, window, sample)))
    }

    /// Counts the events that the last look did not see: newer ones, and older ones that turned up late.
    async fn look_for_new(
        &self,
        ast: &Ast,
        index: &str,
        before: Option<Cursor>,
        watermark_ms: i64,
    ) -> Result<(Look, Window), LookError> {
        let from_ms = watermark_ms - ms(self.alerts.late_by_max.0);
        let known = Window { from_ms, to_ms: watermark_ms };
        let seen = self.indexer.count(index, &known.of(ast)).await?;
        let cursor = Some(Cursor { from_ms, to_ms: watermark_ms, seen });
        // A new rule begins with what comes from now on.
        let Some(before) = before else {
            let window = Window { from_ms: watermark_ms, to_ms: watermark_ms };
            return Ok((Look { watermark_ms, count: 0, cursor }, window));
        };
        let since = Window { from_ms: before.from_ms, to_ms: watermark_ms };
        let count = self.indexer.count(index, &since.of(ast)).await?.saturating_sub(before.seen);
        Ok((Look { watermark_ms, count, cursor }, Window { from_ms: before.to_ms, to_ms: watermark_ms }))
    }

    async fn sample(&self, index: &str, query: &Value) -> Result<Vec<Value>, LookError> {
        let body = json!({ "size": SAMPLE, "query": query, "sort": [{ "@timestamp": { "order": "desc" } }] });
        let mut answer = self.indexer.search(index, &body).await?;
        Ok(hits_of(&mut answer).into_iter().map(|hit| hit.source).collect())
    }

    fn message(&self, stored: &Stored, change: Change, look: Look, window: Window, sample: &[Value]) -> Message {
        let sample = if change == Change::Fired { sample } else { &[] };
        let event = change.event();
        let told = Told { rule: &stored.rule, id: stored.id, base_url: &self.base_url, now_ms: now_ms() };
        told.message(event, look.count, window, sample)
    }
}

fn ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 4)
}
