//! Users and their sessions, as they lie in the database.

use rusqlite::{Connection, OptionalExtension as _, params};
use serde::Serialize;

use super::Login;
use super::token::Token;
use crate::database::DatabaseError;

/// What a user may do; each may do what the ones before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    /// Looks.
    Viewer,
    /// Keeps searches and alert rules besides.
    Editor,
    /// Everything.
    Administrator,
}

impl Role {
    pub(super) fn parse(text: &str) -> Result<Self, DatabaseError> {
        match text {
            "viewer" => Ok(Self::Viewer),
            "editor" => Ok(Self::Editor),
            "administrator" => Ok(Self::Administrator),
            other => Err(DatabaseError::Value { what: "role", reason: format!("`{other}` is not one") }),
        }
    }

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Editor => "editor",
            Self::Administrator => "administrator",
        }
    }
}

/// Somebody who is logged in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct User {
    #[serde(skip)]
    pub(crate) id: i64,
    pub(crate) name: String,
    pub(crate) role: Role,
}

/// Whether an administrator exists.
pub(super) fn has_administrator(db: &Connection) -> Result<bool, DatabaseError> {
    Ok(db.query_row("SELECT EXISTS (SELECT 1 FROM users WHERE role = 'administrator')", [], |row| row.get(0))?)
}

/// The user called so (in whatever case), and the stored password hash.
pub(super) fn user_by_name(db: &Connection, name: &str) -> Result<Option<(User, Option<String>)>, DatabaseError> {
    let row = db
        .query_row("SELECT id, name, role, password FROM users WHERE name = ?1", [name], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get::<_, String>(2)?, row.get(3)?))
        })
        .optional()?;
    row.map(|(id, name, role, hash)| Ok((User { id, name, role: Role::parse(&role)? }, hash))).transpose()
}

/// Adds a user.
pub(super) fn add_user(
    db: &Connection,
    name: &str,
    role: Role,
    password_hash: Option<&str>,
    now_ms: i64,
) -> Result<User, DatabaseError> {
    db.execute(
        "INSERT INTO users (name, role, password, created_at) VALUES (?1, ?2, ?3, ?4)",
        params![name, role.as_str(), password_hash, now_ms],
    )?;
    Ok(User { id: db.last_insert_rowid(), name: name.to_owned(), role })
}

/// Begins a session.
pub(super) fn log_in(db: &Connection, user: User, now_ms: i64, lifetime_ms: i64) -> Result<Login, DatabaseError> {
    let token = Token::new();
    db.execute(
        "INSERT INTO sessions (token_hash, user_id, created_at, expires_at) VALUES (?1, ?2, ?3, ?4)",
        params![token.hash().as_slice(), user.id, now_ms, now_ms.saturating_add(lifetime_ms)],
    )?;
    Ok(Login { token: token.into_text(), user })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_ordered_and_named_back() {
        assert!(Role::Viewer < Role::Editor && Role::Editor < Role::Administrator);
        for role in [Role::Viewer, Role::Editor, Role::Administrator] {
            assert_eq!(Role::parse(role.as_str()).unwrap(), role);
        }
        assert!(Role::parse("root").is_err());
    }
}
