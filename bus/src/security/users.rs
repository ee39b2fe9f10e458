//! Who has a password: the users of the configuration, and those whom Kafka's tools have made.

use std::collections::{BTreeMap, HashMap};

use logmill_core::config::Secret;
use parking_lot::RwLock;
use ring::rand::{SecureRandom, SystemRandom};
use serde::Deserialize;

use super::scram::{Credential, Hash, ITERATIONS_MIN, SALT_BYTES};
use crate::config::UserConfig;
use crate::state_file::{Entries, NotWritten, StateFile};
use crate::state_key::{Change, StateKey};

/// Credentials of users by name and hash. Passwords are hashed as soon as they are read.
#[derive(Debug)]
pub(crate) struct Users {
    configured: HashMap<(String, Hash), Credential>,
    made: RwLock<BTreeMap<(String, Hash), Credential>>,
    state: StateFile,
    /// Makes up what users look like that are not there.
    secret: [u8; 32],
}

/// A random number could not be had.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the system gives no random numbers")]
pub(crate) struct NoRandom;

/// So many random bytes.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], NoRandom> {
    let mut out = [0; N];
    SystemRandom::new().fill(&mut out).map_err(|_| NoRandom)?;
    Ok(out)
}

impl Users {
    /// Reads and hashes the configured passwords: a few milliseconds each.
    pub(crate) fn new(configured: &[UserConfig], state: StateFile, entries: &Entries) -> Result<Self, String> {
        let mut known = HashMap::new();
        for user in configured {
            let password = match (&user.password, &user.password_file) {
                (Some(password), _) => password.clone(),
                (None, Some(path)) => {
                    Secret::read(path).map_err(|error| format!("the password of {}: {error}", user.name))?
                }
                (None, None) => return Err(format!("user {} has no password", user.name)),
            };
            for hash in Hash::ALL {
                let salt = random::<SALT_BYTES>().map_err(|error| error.to_string())?.to_vec();
                let credential = Credential::of_password(hash, password.reveal(), salt, ITERATIONS_MIN);
                known.insert((user.name.clone(), hash), credential);
            }
        }
        let mut made = BTreeMap::new();
        for (key, value) in entries {
            let StateKey::Scram(name, hash) = key else { continue };
            match Credential::deserialize(value) {
                Ok(credential) => drop(made.insert((name.clone(), *hash), credential)),
                Err(error) => tracing::warn!(user = name, %error, "the credential of a user is not understood"),
            }
        }
        let secret = random().map_err(|error| error.to_string())?;
        Ok(Self { configured: known, made: RwLock::new(made), state, secret })
    }

    /// The user's credential, or one that no password fits.
    pub(crate) fn credential(&self, user: &str, hash: Hash) -> Credential {
        let key = (user.to_owned(), hash);
        let known = self.configured.get(&key).cloned().or_else(|| self.made.read().get(&key).cloned());
        known.unwrap_or_else(|| Credential::of_nobody(hash, user, &self.secret))
    }

    /// Whether this is the user's password. Slow on purpose, and as slow for users that are not there.
    pub(crate) fn is_password(&self, user: &str, password: &str) -> bool {
        // A user that was made has one hash or both; without the first, the other is asked.
        let only_512 = {
            let made = self.made.read();
            let has = |hash| made.contains_key(&(user.to_owned(), hash));
            has(Hash::Sha512) && !has(Hash::Sha256) && !self.is_configured(user)
        };
        let hash = if only_512 { Hash::Sha512 } else { Hash::Sha256 };
        self.credential(user, hash).is_password(password)
    }

    /// Whether the configuration names the user: then nobody else may change the password.
    pub(crate) fn is_configured(&self, user: &str) -> bool {
        self.configured.contains_key(&(user.to_owned(), Hash::Sha256))
    }

    /// The users that were made, with their hashes and iterations.
    pub(crate) fn made(&self) -> BTreeMap<String, Vec<(Hash, u32)>> {
        let mut users: BTreeMap<String, Vec<(Hash, u32)>> = BTreeMap::new();
        for ((user, hash), credential) in self.made.read().iter() {
            users.entry(user.clone()).or_default().push((*hash, credential.iterations));
        }
        users
    }

    /// How many credentials were made.
    pub(crate) fn made_count(&self) -> usize {
        self.made.read().len()
    }

    /// Sets and (`None`) removes credentials of one user; they are on disk and in force when it returns.
    pub(crate) async fn change(&self, user: &str, changes: Vec<(Hash, Option<Credential>)>) -> Result<(), NotWritten> {
        let key = |hash: Hash| StateKey::Scram(user.to_owned(), hash);
        let kept = changes.iter().map(|(hash, credential)| match credential {
            None => Ok(Change::remove(key(*hash))),
            Some(credential) => Change::set(key(*hash), credential),
        });
        let kept: Vec<Change> =
            kept.collect::<serde_json::Result<_>>().map_err(|error| NotWritten::because(&error.to_string()))?;
        self.state.put(kept).await?;
        let mut made = self.made.write();
        for (hash, credential) in changes {
            let key = (user.to_owned(), hash);
            match credential {
                None => drop(made.remove(&key)),
                Some(credential) => drop(made.insert(key, credential)),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn users_come_from_both_places_and_stay() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        let configured = [UserConfig {
            name: "one".to_owned(),
            password: Some(Secret::new("first".to_owned())),
            password_file: None,
        }];
        let (state, entries) = StateFile::open(&path).unwrap();
        let users = Users::new(&configured, state.clone(), &entries).unwrap();
        let credential = Credential::of_password(Hash::Sha512, "second", vec![1; SALT_BYTES], ITERATIONS_MIN);
        users.change("two", vec![(Hash::Sha512, Some(credential))]).await.unwrap();
        assert!(users.is_password("one", "first") && users.is_password("two", "second"));
        assert!(!users.is_password("one", "second") && !users.is_password("three", "first"));
        assert!(!format!("{users:?}").contains("first"));
        state.close();
        let (state, entries) = StateFile::open(&path).unwrap();
        let users = Users::new(&[], state.clone(), &entries).unwrap();
        assert!(!users.is_password("one", "first") && users.is_password("two", "second"));
        assert_eq!(users.made(), BTreeMap::from([("two".to_owned(), vec![(Hash::Sha512, ITERATIONS_MIN)])]));
        users.change("two", vec![(Hash::Sha512, None)]).await.unwrap();
        assert!(!users.is_password("two", "second"));
        state.close();
    }
}
