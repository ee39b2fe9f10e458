//! Passwords: Argon2id with the crate's defaults (OWASP's first choice: 19 MiB, two passes).

use std::sync::LazyLock;

use argon2::Argon2;
use argon2::password_hash::{PasswordHash, PasswordHasher as _, PasswordVerifier as _, SaltString};
use tokio::sync::Semaphore;

use super::AuthError;
use crate::database::DatabaseError;

/// NIST SP 800-63B: length is what counts, composition rules are not.
const CHARS_MIN: usize = 8;
/// Longer ones would only cost time to hash.
const BYTES_MAX: usize = 1024;
/// Hashes computed at a time: each takes 19 MiB.
const AT_A_TIME: usize = 2;

/// Refuses passwords that are too short to be one.
pub(super) fn check(password: &str) -> Result<(), AuthError> {
    if password.chars().count() < CHARS_MIN || password.len() > BYTES_MAX {
        return Err(AuthError::Password(format!(
            "a password has {CHARS_MIN} characters or more (up to {BYTES_MAX} bytes)"
        )));
    }
    Ok(())
}

/// Computes hashes, few at a time, away from the threads that serve requests.
#[derive(Debug)]
pub(super) struct Hashing(Semaphore);

impl Default for Hashing {
    fn default() -> Self {
        Self(Semaphore::new(AT_A_TIME))
    }
}

impl Hashing {
    /// The PHC string to store.
    pub(super) async fn hash(&self, password: String) -> Result<String, DatabaseError> {
        let _turn = self.0.acquire().await;
        let done = tokio::task::spawn_blocking(move || hash(&password));
        done.await.map_err(|_| DatabaseError::Stopping)?
    }

    /// Whether the password is the one that was hashed. With nothing to compare to it takes as long and says no.
    pub(super) async fn verify(&self, password: String, hash: Option<String>) -> bool {
        if password.len() > BYTES_MAX {
            return false;
        }
        let _turn = self.0.acquire().await;
        let work = move || {
            let known = hash.is_some();
            let hash = hash.unwrap_or_else(|| NOBODYS.clone());
            let parsed = PasswordHash::new(&hash).ok();
            let same =
                parsed.is_some_and(|parsed| Argon2::default().verify_password(password.as_bytes(), &parsed).is_ok());
            known && same
        };
        tokio::task::spawn_blocking(work).await.unwrap_or(false)
    }
}

/// The hash of a password that nobody has.
static NOBODYS: LazyLock<String> = LazyLock::new(|| hash(&super::Token::new().into_text()).unwrap_or_default());

fn hash(password: &str) -> Result<String, DatabaseError> {
    let failed =
        |reason: argon2::password_hash::Error| DatabaseError::Value { what: "password", reason: reason.to_string() };
    let salt = SaltString::encode_b64(&rand::random::<[u8; 16]>()).map_err(failed)?;
    Ok(Argon2::default().hash_password(password.as_bytes(), &salt).map_err(failed)?.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_password_itself_is_accepted() {
        let hashing = Hashing::default();
        let stored = hashing.hash("correct horse".to_owned()).await.unwrap();
        assert!(stored.starts_with("$argon2id$"), "{stored}");
        assert!(hashing.verify("correct horse".to_owned(), Some(stored.clone())).await);
        assert!(!hashing.verify("correct horsf".to_owned(), Some(stored)).await);
        assert!(!hashing.verify(String::new(), None).await);
        assert!(check("short").is_err() && check("long enough").is_ok());
    }
}
