//! The link that makes the first administrator: printed at the start, valid once and for a day.

use rusqlite::{Connection, params};

use super::token::Token;
use crate::database::DatabaseError;

/// Long enough to come back to a terminal in the evening, short enough not to lie around in logs for ever.
const LIFETIME_MS: i64 = 24 * 3_600_000;

/// The secret part of a link that was just made.
#[derive(Clone)]
pub(crate) struct SetupLink {
    token: String,
}

impl std::fmt::Debug for SetupLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SetupLink(…)")
    }
}

impl SetupLink {
    /// The whole link below `base` (no slash at its end).
    pub(crate) fn at(&self, base: &str) -> String {
        format!("{base}/setup?token={}", self.token)
    }
}

pub(super) fn issue(db: &Connection, now_ms: i64) -> Result<SetupLink, DatabaseError> {
    let token = Token::new();
    db.execute(
        "INSERT INTO setup_links (token_hash, expires_at) VALUES (?1, ?2)",
        params![token.hash().as_slice(), now_ms + LIFETIME_MS],
    )?;
    Ok(SetupLink { token: token.into_text() })
}

pub(super) fn is_valid(db: &Connection, token: &str, now_ms: i64) -> Result<bool, DatabaseError> {
    Ok(db.query_row(
        "SELECT EXISTS (SELECT 1 FROM setup_links WHERE token_hash = ?1 AND expires_at > ?2)",
        params![Token::hash_of(token).as_slice(), now_ms],
        |row| row.get(0),
    )?)
}

pub(super) fn revoke_all(db: &Connection) -> Result<(), DatabaseError> {
    Ok(db.execute("DELETE FROM setup_links", []).map(drop)?)
}
