//! How the dashboard, the terminal and the indexer itself prove who they are to an Elasticsearch API, and make sure
//! that it is the one they mean: one section of the configuration for all of them.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::{Checked, Secret};

/// TLS and the login towards the indexer, our own or an existing cluster; by default neither.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct IndexerAccess {
    /// Speaks TLS as said here; an address that begins with https:// needs it only for what is out of the ordinary.
    pub tls: Option<IndexerTls>,
    /// Logs in as this user.
    pub username: Option<String>,
    /// The password; `password_file` keeps it out of the configuration.
    pub password: Option<Secret>,
    /// A file that holds the password and nothing else.
    pub password_file: Option<PathBuf>,
    /// Logs in by an API key instead: `id:key`, or the two in base64 as they are handed out.
    pub api_key: Option<Secret>,
    /// A file that holds the API key and nothing else.
    pub api_key_file: Option<PathBuf>,
}

/// TLS towards the indexer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct IndexerTls {
    /// PEM file of the authorities that may have signed the indexer's certificate; by default the system's.
    pub ca: Option<PathBuf>,
    /// PEM file of the client's own certificate chain, where the indexer asks for one.
    pub certificate: Option<PathBuf>,
    /// PEM file of its private key.
    pub key: Option<PathBuf>,
    /// Checks the indexer's certificate and host name. Without it anybody in between can read along.
    pub verify: bool,
}

impl Default for IndexerTls {
    fn default() -> Self {
        Self { ca: None, certificate: None, key: None, verify: true }
    }
}

/// What a request shows to be let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Login {
    /// Name and password.
    Basic {
        /// The name.
        username: String,
        /// The password.
        password: Secret,
    },
    /// An API key as it was handed out.
    ApiKey(Secret),
}

impl IndexerAccess {
    /// The login, from wherever it stands; `None` when nobody is to be logged in.
    ///
    /// # Errors
    /// When a file can't be read.
    pub fn login(&self) -> std::io::Result<Option<Login>> {
        let read = |text: &Option<Secret>, file: &Option<PathBuf>| match (text, file) {
            (Some(text), _) => Ok(Some(text.clone())),
            (None, Some(path)) => Secret::read(path).map(Some),
            (None, None) => Ok(None),
        };
        if let Some(key) = read(&self.api_key, &self.api_key_file)? {
            return Ok(Some(Login::ApiKey(key)));
        }
        let Some(username) = self.username.clone() else { return Ok(None) };
        let password = read(&self.password, &self.password_file)?;
        Ok(password.map(|password| Login::Basic { username, password }))
    }
}

impl Checked for IndexerAccess {
    fn problems(&self) -> Vec<(String, String)> {
        let mut problems = Vec::new();
        let mut refuse = |key: &str, message: &str| problems.push((key.to_owned(), message.to_owned()));
        if self.tls.as_ref().is_some_and(|tls| tls.certificate.is_some() != tls.key.is_some()) {
            refuse("tls", "a certificate needs its key, and a key its certificate");
        }
        let has_password = self.password.is_some() || self.password_file.is_some();
        if self.password.is_some() && self.password_file.is_some() {
            refuse("password", "set either `password` or `password_file`");
        }
        if self.username.is_some() != has_password {
            refuse("username", "a name needs its password, and a password its name");
        }
        let has_key = self.api_key.is_some() || self.api_key_file.is_some();
        if self.api_key.is_some() && self.api_key_file.is_some() {
            refuse("api_key", "set either `api_key` or `api_key_file`");
        }
        if has_key && self.username.is_some() {
            refuse("api_key", "log in either by name and password or by an API key");
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Option<Secret> {
        Some(Secret::new(text.to_owned()))
    }

    #[test]
    fn a_login_comes_from_one_place() -> std::io::Result<()> {
        assert_eq!(IndexerAccess::default().login()?, None);
        let basic =
            IndexerAccess { username: Some("one".to_owned()), password: secret("geheim"), ..IndexerAccess::default() };
        let password = Secret::new("geheim".to_owned());
        assert_eq!(basic.login()?, Some(Login::Basic { username: "one".to_owned(), password }));
        assert!(!format!("{basic:?}").contains("geheim"));
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("key");
        std::fs::write(&file, "id:key\n")?;
        let by_key = IndexerAccess { api_key_file: Some(file), ..IndexerAccess::default() };
        assert_eq!(by_key.login()?, Some(Login::ApiKey(Secret::new("id:key".to_owned()))));
        Ok(())
    }

    #[test]
    fn halves_and_doubles_are_problems() {
        let wrong = IndexerAccess {
            tls: Some(IndexerTls { key: Some("key.pem".into()), ..IndexerTls::default() }),
            username: Some("one".to_owned()),
            api_key: secret("a:b"),
            api_key_file: Some("key".into()),
            ..IndexerAccess::default()
        };
        let keys: Vec<_> = wrong.problems().into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys, ["tls", "username", "api_key", "api_key"]);
        assert_eq!(IndexerAccess::default().problems(), []);
    }
}
