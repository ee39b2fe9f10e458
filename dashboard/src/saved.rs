//! Searches that people keep.

use rusqlite::{Connection, OptionalExtension as _, params};
use serde::{Deserialize, Serialize};

use crate::database::DatabaseError;
use crate::search::Scope;

/// A kept search.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct SavedSearch {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<i64>,
    pub(crate) name: String,
    pub(crate) scope: Scope,
    #[serde(default)]
    pub(crate) columns: Vec<String>,
}

/// More than a person finds anything in.
const SAVED_MAX: i64 = 1000;

/// All of them, by name.
pub(crate) fn list(db: &Connection) -> Result<Vec<SavedSearch>, DatabaseError> {
    let mut statement = db.prepare_cached("SELECT id, body FROM saved_searches ORDER BY name COLLATE NOCASE, id")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let read = |row: rusqlite::Result<(i64, String)>| {
        let (id, body) = row?;
        let saved: SavedSearch = serde_json::from_str(&body)
            .map_err(|error| DatabaseError::Value { what: "saved search", reason: error.to_string() })?;
        Ok(SavedSearch { id: Some(id), ..saved })
    };
    rows.map(read).collect()
}

/// Keeps one: in place of the one with its id, or as a new one. `None` when there is no room or nothing to replace.
pub(crate) fn save(db: &Connection, search: SavedSearch) -> Result<Option<SavedSearch>, DatabaseError> {
    let body = SavedSearch { id: None, ..search.clone() };
    let body = serde_json::to_string(&body)
        .map_err(|error| DatabaseError::Value { what: "saved search", reason: error.to_string() })?;
    if let Some(id) = search.id {
        let known: Option<i64> =
            db.query_row("SELECT id FROM saved_searches WHERE id = ?1", [id], |row| row.get(0)).optional()?;
        if known.is_none() {
            return Ok(None);
        }
        db.execute("UPDATE saved_searches SET name = ?1, body = ?2 WHERE id = ?3", params![search.name, body, id])?;
        return Ok(Some(search));
    }
    let count: i64 = db.query_row("SELECT count(*) FROM saved_searches", [], |row| row.get(0))?;
    if count >= SAVED_MAX {
        return Ok(None);
    }
    db.execute("INSERT INTO saved_searches (name, body) VALUES (?1, ?2)", params![search.name, body])?;
    Ok(Some(SavedSearch { id: Some(db.last_insert_rowid()), ..search }))
}

/// Forgets one; `false` when there was none.
pub(crate) fn delete(db: &Connection, id: i64) -> Result<bool, DatabaseError> {
    Ok(db.execute("DELETE FROM saved_searches WHERE id = ?1", [id])? > 0)
}
