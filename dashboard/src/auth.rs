//! Who may do what: users with roles, sessions, the set-up link, protection against forged requests.
//! No password and no token is ever stored or logged as it is.

mod caller;
mod csrf;
mod limit;
mod password;
mod sessions;
mod setup;
mod token;

pub(crate) use caller::{Caller, Editor, Viewer, identify};
pub(crate) use csrf::CsrfKey;
pub(crate) use limit::LoginLimit;
pub(crate) use sessions::{Role, User};
pub(crate) use setup::SetupLink;

use std::time::Duration;

use rusqlite::OptionalExtension as _;

use crate::config::Config;
use crate::database::{Database, DatabaseError, now_ms};
use token::Token;

/// Everything about users and sessions.
#[derive(Debug)]
pub(crate) struct Auth {
    db: Database,
    pub(crate) csrf: CsrfKey,
    pub(crate) limit: LoginLimit,
    hashing: password::Hashing,
    lifetime_ms: i64,
    demo: bool,
}

/// Why somebody is not let in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AuthError {
    #[error("the name or the password is wrong")]
    Credentials,
    #[error("{0}")]
    Name(String),
    #[error("{0}")]
    Password(String),
    #[error("this set-up link is no longer valid; start the program again for a new one")]
    SetupLink,
    #[error("an administrator exists already: log in")]
    SetUpAlready,
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

/// A fresh login: what the cookie is to hold.
#[derive(Debug)]
pub(crate) struct Login {
    pub(crate) token: String,
    pub(crate) user: User,
}

/// The user that the demo's link logs in as; it has no password.
const DEMO_USER: &str = "demo";
/// Names are shown in lists.
const NAME_CHARS_MAX: usize = 64;

impl Auth {
    /// Reads or makes what is kept over restarts.
    pub(crate) async fn open(db: Database, config: &Config) -> Result<Self, DatabaseError> {
        let csrf = db.call(|db| CsrfKey::load_or_make(db)).await?;
        let lifetime_ms = i64::try_from(config.session_lifetime.0.as_millis()).unwrap_or(i64::MAX / 2);
        Ok(Self {
            db,
            csrf,
            limit: LoginLimit::default(),
            hashing: password::Hashing::default(),
            lifetime_ms,
            demo: config.demo,
        })
    }

    /// Whether no administrator exists yet.
    pub(crate) async fn setup_required(&self) -> Result<bool, DatabaseError> {
        self.db.read(|db| Ok(!sessions::has_administrator(db)?)).await
    }

    /// A new set-up link in place of the older ones, where one is called for: until an administrator exists, and in a demo.
    pub(crate) async fn issue_setup_link(&self) -> Result<Option<SetupLink>, DatabaseError> {
        let demo = self.demo;
        self.db
            .call(move |db| {
                setup::revoke_all(db)?;
                if !demo && sessions::has_administrator(db)? {
                    return Ok(None);
                }
                setup::issue(db, now_ms()).map(Some)
            })
            .await
    }

    /// Makes the first administrator and logs it in; the link is used up.
    pub(crate) async fn set_up(&self, token: String, name: &str, password: String) -> Result<Login, AuthError> {
        let name = checked_name(name)?;
        password::check(&password)?;
        let hash = self.hashing.hash(password).await?;
        let lifetime_ms = self.lifetime_ms;
        self.db
            .call(move |db| {
                if sessions::has_administrator(db)? {
                    return Ok(Err(AuthError::SetUpAlready));
                }
                if !setup::is_valid(db, &token, now_ms())? {
                    return Ok(Err(AuthError::SetupLink));
                }
                setup::revoke_all(db)?;
                let user = sessions::add_user(db, &name, Role::Administrator, Some(&hash), now_ms())?;
                Ok(Ok(sessions::log_in(db, user, now_ms(), lifetime_ms)?))
            })
            .await?
    }

    /// The demo's link: logs in as the demo's administrator, as often as it is followed during this run.
    pub(crate) async fn log_in_by_link(&self, token: String) -> Result<Option<Login>, DatabaseError> {
        if !self.demo {
            return Ok(None);
        }
        let lifetime_ms = self.lifetime_ms;
        self.db
            .call(move |db| {
                if !setup::is_valid(db, &token, now_ms())? {
                    return Ok(None);
                }
                let user = match sessions::user_by_name(db, DEMO_USER)? {
                    Some((user, _)) => user,
                    None => sessions::add_user(db, DEMO_USER, Role::Administrator, None, now_ms())?,
                };
                sessions::log_in(db, user, now_ms(), lifetime_ms).map(Some)
            })
            .await
    }

    /// Logs in by name and password.
    pub(crate) async fn log_in(&self, name: &str, password: String) -> Result<Login, AuthError> {
        let wanted = name.trim().to_owned();
        let found = self.db.read(move |db| sessions::user_by_name(db, &wanted)).await?;
        let (user, hash) = found.map_or((None, None), |(user, hash)| (Some(user), hash));
        // An unknown name costs as much time as a wrong password, so that names can't be told by the clock.
        let matches = self.hashing.verify(password, hash).await;
        let user = user.filter(|_| matches).ok_or(AuthError::Credentials)?;
        let lifetime_ms = self.lifetime_ms;
        Ok(self.db.call(move |db| sessions::log_in(db, user, now_ms(), lifetime_ms)).await?)
    }

    /// Ends the session.
    pub(crate) async fn log_out(&self, token: &str) -> Result<(), DatabaseError> {
        let hash = Token::hash_of(token);
        self.db
            .call(move |db| {
                Ok(db.execute("DELETE FROM sessions WHERE token_hash = ?1", [hash.as_slice()]).map(drop)?)
            })
            .await
    }

    /// Whose session the token is, if it still lasts; using it prolongs it.
    async fn user_of(&self, token: &str) -> Result<Option<User>, DatabaseError> {
        let hash = Token::hash_of(token);
        let (now, lifetime_ms) = (now_ms(), self.lifetime_ms);
        let found = self
            .db
            .read(move |db| {
                let mut statement = db.prepare_cached(
                    "SELECT users.id, users.name, users.role, sessions.expires_at FROM sessions
                     JOIN users ON users.id = sessions.user_id WHERE token_hash = ?1 AND expires_at > ?2",
                )?;
                let row = statement.query_row(rusqlite::params![hash.as_slice(), now], |row| {
                    Ok((row.get(0)?, row.get(1)?, row.get::<_, String>(2)?, row.get::<_, i64>(3)?))
                });
                Ok(row.optional()?)
            })
            .await?;
        let Some((id, name, role, expires_at)) = found else { return Ok(None) };
        // Not at every request: a write for each would be felt.
        if expires_at < now + lifetime_ms - (lifetime_ms / 10).min(PROLONG_AFTER_MS) {
            self.db
                .call(move |db| {
                    let until = rusqlite::params![now + lifetime_ms, hash.as_slice()];
                    db.execute("UPDATE sessions SET expires_at = ?1 WHERE token_hash = ?2", until)?;
                    Ok(db.execute("DELETE FROM sessions WHERE expires_at <= ?1", [now]).map(drop)?)
                })
                .await?;
        }
        Ok(Some(User { id, name, role: Role::parse(&role)? }))
    }

    /// How long a cookie is kept by the browser.
    pub(crate) fn lifetime(&self) -> Duration {
        Duration::from_millis(self.lifetime_ms.unsigned_abs())
    }
}

/// A session in use is prolonged about this often.
const PROLONG_AFTER_MS: i64 = 3_600_000;

fn checked_name(name: &str) -> Result<String, AuthError> {
    let name = name.trim();
    if name.is_empty() || name.chars().count() > NAME_CHARS_MAX || name.chars().any(char::is_control) {
        return Err(AuthError::Name(format!("a name has 1 to {NAME_CHARS_MAX} characters")));
    }
    Ok(name.to_owned())
}
