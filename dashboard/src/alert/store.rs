//! Rules, their states and their deliveries in the database. What an evaluation found and the deliveries that it
//! causes are written in one transaction; nothing is sent that was not written first.

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde_json::Value;

use super::delivery::{Attempt, Delivery, Due, Receiver};
use super::message::{Message, Told};
use super::rule::{RULES_MAX, Rule, RuleError};
use super::sign;
use super::state::State;
use super::view::RuleView;
use crate::database::{DatabaseError, rfc3339};

/// A rule as it is stored, with everything that evaluating it takes.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub(super) id: i64,
    pub(super) version: i64,
    pub(super) rule: Rule,
    pub(super) state: State,
}

/// While one attempt runs nobody else may begin one; it never takes longer than this.
const LEASE_MS: i64 = 60_000;
/// Entries of the log that one answer carries.
const LOG_MAX: i64 = 200;

const RULE_COLUMNS: &str = "id, version, enabled, definition, state FROM rules";

fn stored_row(row: &Row<'_>) -> rusqlite::Result<(i64, i64, bool, String, String)> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
}

fn stored(
    (id, version, enabled, definition, state): (i64, i64, bool, String, String),
) -> Result<Stored, DatabaseError> {
    let unreadable = |what| move |error: serde_json::Error| DatabaseError::Value { what, reason: error.to_string() };
    let mut rule: Rule = serde_json::from_str(&definition).map_err(unreadable("rule"))?;
    (rule.id, rule.enabled, rule.webhook.has_secret) = (Some(id), enabled, true);
    let state = serde_json::from_str(&state).map_err(unreadable("rule's state"))?;
    Ok(Stored { id, version, rule, state })
}

fn to_text<T: serde::Serialize>(what: &'static str, value: &T) -> Result<String, DatabaseError> {
    serde_json::to_string(value).map_err(|error| DatabaseError::Value { what, reason: error.to_string() })
}

/// All rules, by name.
pub(crate) fn rules(db: &Connection) -> Result<Vec<RuleView>, DatabaseError> {
    let mut all = all_stored(db)?;
    all.sort_by_key(|stored| (stored.rule.name.to_lowercase(), stored.id));
    Ok(all.into_iter().map(|stored| RuleView::new(stored.rule, &stored.state)).collect())
}

/// One rule.
pub(crate) fn rule(db: &Connection, id: i64) -> Result<Option<RuleView>, DatabaseError> {
    Ok(one_stored(db, id)?.map(|stored| RuleView::new(stored.rule, &stored.state)))
}

pub(super) fn all_stored(db: &Connection) -> Result<Vec<Stored>, DatabaseError> {
    let mut statement = db.prepare_cached(&format!("SELECT {RULE_COLUMNS}"))?;
    let rows = statement.query_map([], stored_row)?.collect::<Result<Vec<_>, _>>()?;
    rows.into_iter().map(stored).collect()
}

pub(super) fn one_stored(db: &Connection, id: i64) -> Result<Option<Stored>, DatabaseError> {
    let row = db.query_row(&format!("SELECT {RULE_COLUMNS} WHERE id = ?1"), [id], stored_row).optional()?;
    row.map(stored).transpose()
}

/// Adds a rule; answers it with its secret, which is told this once.
pub(crate) fn add_rule(
    db: &Connection,
    rule: Rule,
    now_ms: i64,
) -> Result<Result<(RuleView, String), RuleError>, DatabaseError> {
    let count: i64 = db.query_row("SELECT count(*) FROM rules", [], |row| row.get(0))?;
    if count >= RULES_MAX {
        return Ok(Err(RuleError::TooMany));
    }
    let secret = rule.given_secret().map_or_else(sign::new_secret, str::to_owned);
    let state = State::new(now_ms);
    db.execute(
        "INSERT INTO rules (enabled, version, definition, secret, state) VALUES (?1, 1, ?2, ?3, ?4)",
        params![rule.enabled, to_text("rule", &rule)?, secret, to_text("rule's state", &state)?],
    )?;
    let mut rule = rule;
    (rule.id, rule.webhook.has_secret) = (Some(db.last_insert_rowid()), true);
    Ok(Ok((RuleView::new(rule, &state), secret)))
}

/// Puts a rule in place of the one with its id. The state goes on unless other events are counted now, or the rule
/// had been paused.
pub(crate) fn replace_rule(
    db: &Connection,
    id: i64,
    mut rule: Rule,
    now_ms: i64,
) -> Result<Option<RuleView>, DatabaseError> {
    let Some(before) = one_stored(db, id)? else { return Ok(None) };
    let goes_on = before.rule.counts_like(&rule) && (before.rule.enabled || !rule.enabled);
    let state = if goes_on { before.state } else { State::new(now_ms) };
    (rule.id, rule.webhook.has_secret) = (None, true);
    db.execute(
        "UPDATE rules SET enabled = ?1, version = version + 1, definition = ?2, state = ?3, secret = coalesce(?4, secret)
         WHERE id = ?5",
        params![rule.enabled, to_text("rule", &rule)?, to_text("rule's state", &state)?, rule.given_secret(), id],
    )?;
    rule.id = Some(id);
    Ok(Some(RuleView::new(rule, &state)))
}

/// Deletes a rule; what it has not delivered yet is given up, the log of it stays. `false` when there is none.
pub(crate) fn delete_rule(db: &Connection, id: i64) -> Result<bool, DatabaseError> {
    let deleted = db.execute("DELETE FROM rules WHERE id = ?1", [id])? > 0;
    db.execute(
        "UPDATE deliveries SET status = 'failed', next_attempt_at = NULL WHERE rule_id = ?1 AND status = 'pending'",
        [id],
    )?;
    Ok(deleted)
}

/// Writes how a rule stands after an evaluation together with what has to be sent. `false`, and nothing written,
/// when the rule was changed meanwhile.
pub(super) fn commit(
    db: &Connection,
    evaluated: &Stored,
    state: &State,
    message: Option<Message>,
    now_ms: i64,
) -> Result<bool, DatabaseError> {
    let changed = db.execute(
        "UPDATE rules SET state = ?1 WHERE id = ?2 AND version = ?3 AND enabled",
        params![to_text("rule's state", state)?, evaluated.id, evaluated.version],
    )?;
    if changed == 0 {
        return Ok(false);
    }
    if let Some(message) = message {
        queue(db, evaluated.id, &evaluated.rule.name, &message, now_ms, now_ms)?;
    }
    Ok(true)
}

fn queue(
    db: &Connection,
    rule_id: i64,
    rule_name: &str,
    message: &Message,
    now_ms: i64,
    first_attempt_ms: i64,
) -> Result<String, DatabaseError> {
    let id = sign::new_id();
    db.execute(
        "INSERT INTO deliveries (id, rule_id, rule_name, event, created_at, status, next_attempt_at, body)
         VALUES (?1, ?2, ?3, ?4, ?5, 'pending', ?6, ?7)",
        params![id, rule_id, rule_name, message.event, now_ms, first_attempt_ms, to_text("delivery", &message.body)?],
    )?;
    Ok(id)
}

/// Queues a trial message of a rule; whoever asked for it sends it at once. `None` when there is no such rule.
pub(crate) fn queue_test(
    db: &Connection,
    id: i64,
    base_url: &str,
    now_ms: i64,
) -> Result<Option<String>, DatabaseError> {
    let Some(stored) = one_stored(db, id)? else { return Ok(None) };
    let message = Told { rule: &stored.rule, id: stored.id, base_url, now_ms }.trial();
    queue(db, id, &stored.rule.name, &message, now_ms, now_ms).map(Some)
}

/// Makes a delivery due again from the start of the schedule. `false` when there is none.
pub(crate) fn queue_again(db: &Connection, id: &str, now_ms: i64) -> Result<bool, DatabaseError> {
    let again = "UPDATE deliveries SET status = 'pending', tried = 0, next_attempt_at = ?1 WHERE id = ?2";
    Ok(db.execute(again, params![now_ms, id])? > 0)
}

/// Takes deliveries that are due, the oldest first; nobody else gets them until the lease is over.
pub(super) fn take_due(
    db: &Connection,
    only: Option<&str>,
    limit: usize,
    now_ms: i64,
) -> Result<Vec<Due>, DatabaseError> {
    let mut statement = db.prepare_cached(
        "SELECT d.seq, d.id, d.rule_id, d.tried, d.body, r.definition, r.secret
         FROM deliveries d LEFT JOIN rules r ON r.id = d.rule_id
         WHERE d.status = 'pending' AND d.next_attempt_at <= ?1 AND (?2 IS NULL OR d.id = ?2)
         ORDER BY d.seq LIMIT ?3",
    )?;
    let rows = statement.query_map(params![now_ms, only, i64::try_from(limit).unwrap_or(i64::MAX)], |row| {
        let (definition, secret): (Option<String>, Option<String>) = (row.get(5)?, row.get(6)?);
        let due = Due {
            seq: row.get(0)?,
            id: row.get(1)?,
            rule_id: row.get(2)?,
            tried: row.get(3)?,
            body: row.get(4)?,
            receiver: None,
        };
        Ok((due, definition.zip(secret)))
    })?;
    let mut taken = Vec::new();
    for row in rows {
        let (mut due, receiver) = row?;
        due.receiver = receiver.and_then(|(definition, secret)| {
            let rule: Rule = serde_json::from_str(&definition).ok()?;
            Some(Receiver { url: rule.webhook.url, secret })
        });
        db.execute("UPDATE deliveries SET next_attempt_at = ?1 WHERE seq = ?2", params![now_ms + LEASE_MS, due.seq])?;
        taken.push(due);
    }
    Ok(taken)
}

/// When the next delivery is due.
pub(super) fn next_due(db: &Connection) -> Result<Option<i64>, DatabaseError> {
    Ok(db.query_row("SELECT min(next_attempt_at) FROM deliveries WHERE status = 'pending'", [], |row| row.get(0))?)
}

/// What becomes of a delivery after an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Delivered,
    Again {
        at_ms: i64,
    },
    Failed,
    /// The receiver is gone for good: the rule is switched off.
    Gone,
}

/// Writes down an attempt and what it means.
pub(super) fn record(db: &Connection, due: &Due, attempt: &Tried, verdict: Verdict) -> Result<(), DatabaseError> {
    db.execute(
        "INSERT INTO attempts (delivery, at, status, took_ms, error, response) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![due.seq, attempt.at_ms, attempt.status, attempt.took_ms, attempt.error, attempt.response],
    )?;
    let (status, next) = match verdict {
        Verdict::Delivered => ("delivered", None),
        Verdict::Again { at_ms } => ("pending", Some(at_ms)),
        Verdict::Failed | Verdict::Gone => ("failed", None),
    };
    db.execute(
        "UPDATE deliveries SET status = ?1, next_attempt_at = ?2, tried = tried + 1 WHERE seq = ?3",
        params![status, next, due.seq],
    )?;
    if verdict == Verdict::Gone
        && let Some(stored) = one_stored(db, due.rule_id)?
    {
        let reason = "the receiver answered 410 Gone: the rule was switched off";
        let state = stored.state.failed(reason.to_owned());
        db.execute(
            "UPDATE rules SET enabled = 0, version = version + 1, state = ?1 WHERE id = ?2",
            params![to_text("rule's state", &state)?, due.rule_id],
        )?;
    }
    Ok(())
}

/// An attempt as it is written down.
#[derive(Clone, Debug)]
pub(super) struct Tried {
    pub(super) at_ms: i64,
    pub(super) status: Option<u16>,
    pub(super) took_ms: i64,
    pub(super) error: Option<String>,
    pub(super) response: String,
}

/// The newest deliveries, of one rule or of all.
pub(crate) fn deliveries(db: &Connection, rule_id: Option<i64>) -> Result<Vec<Delivery>, DatabaseError> {
    let mut statement = db.prepare_cached(
        "SELECT seq, id, rule_id, rule_name, event, created_at, status, next_attempt_at, body FROM deliveries
         WHERE ?1 IS NULL OR rule_id = ?1 ORDER BY seq DESC LIMIT ?2",
    )?;
    let rows = statement.query_map(params![rule_id, LOG_MAX], delivery_row)?.collect::<Result<Vec<_>, _>>()?;
    rows.into_iter().map(|(seq, delivery)| with_attempts(db, seq, delivery)).collect()
}

/// One delivery.
pub(crate) fn delivery(db: &Connection, id: &str) -> Result<Option<Delivery>, DatabaseError> {
    let row = db
        .query_row(
            "SELECT seq, id, rule_id, rule_name, event, created_at, status, next_attempt_at, body FROM deliveries WHERE id = ?1",
            [id],
            delivery_row,
        )
        .optional()?;
    row.map(|(seq, delivery)| with_attempts(db, seq, delivery)).transpose()
}

fn delivery_row(row: &Row<'_>) -> rusqlite::Result<(i64, Delivery)> {
    let body: String = row.get(8)?;
    let delivery = Delivery {
        id: row.get(1)?,
        rule_id: row.get(2)?,
        rule_name: row.get(3)?,
        event: row.get(4)?,
        created_at: rfc3339(row.get(5)?),
        status: row.get(6)?,
        next_attempt_at: row.get::<_, Option<i64>>(7)?.map(rfc3339),
        attempts: Vec::new(),
        body: serde_json::from_str(&body).unwrap_or(Value::String(body)),
    };
    Ok((row.get(0)?, delivery))
}

fn with_attempts(db: &Connection, seq: i64, delivery: Delivery) -> Result<Delivery, DatabaseError> {
    let mut statement = db.prepare_cached(
        "SELECT at, status, took_ms, error, response FROM attempts WHERE delivery = ?1 ORDER BY at, rowid",
    )?;
    let attempts = statement.query_map([seq], |row| {
        Ok(Attempt {
            at: rfc3339(row.get(0)?),
            status: row.get(1)?,
            took_ms: row.get(2)?,
            error: row.get(3)?,
            response: row.get(4)?,
        })
    })?;
    Ok(Delivery { attempts: attempts.collect::<Result<_, _>>()?, ..delivery })
}

/// Forgets finished deliveries made before `before_ms`.
pub(crate) fn prune(db: &Connection, before_ms: i64) -> Result<usize, DatabaseError> {
    Ok(db.execute("DELETE FROM deliveries WHERE status <> 'pending' AND created_at < ?1", [before_ms])?)
}
