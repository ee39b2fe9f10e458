//! How a stage proves who it is to the bus, and makes sure that the bus is who it says: one section of the
//! configuration for every stage and for the agent.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::{Checked, Secret};

/// TLS and authentication towards the bus; by default neither.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BusAccess {
    /// Speaks TLS to the brokers.
    pub tls: Option<BusTls>,
    /// Logs in to the brokers.
    pub sasl: Option<BusSasl>,
}

/// TLS towards the brokers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BusTls {
    /// PEM file of the authorities that may have signed the brokers' certificates; by default the system's.
    pub ca: Option<PathBuf>,
    /// PEM file of the client's own certificate chain, where brokers ask for one.
    pub certificate: Option<PathBuf>,
    /// PEM file of its private key.
    pub key: Option<PathBuf>,
    /// Checks the brokers' certificates and host names. Without it anybody in between can read along.
    pub verify: bool,
}

impl Default for BusTls {
    fn default() -> Self {
        Self { ca: None, certificate: None, key: None, verify: true }
    }
}

/// How to log in to the brokers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BusSasl {
    /// By which mechanism.
    #[serde(default)]
    pub mechanism: LoginMechanism,
    /// As whom.
    pub username: String,
    /// The password; `password_file` keeps it out of the configuration.
    pub password: Option<Secret>,
    /// A file that holds the password and nothing else.
    pub password_file: Option<PathBuf>,
}

/// Mechanisms that a name and a password are enough for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum LoginMechanism {
    /// The password goes to the broker: over TLS only.
    #[serde(rename = "PLAIN")]
    Plain,
    /// Neither side shows what it knows.
    #[default]
    #[serde(rename = "SCRAM-SHA-256")]
    ScramSha256,
    /// The same with a longer hash.
    #[serde(rename = "SCRAM-SHA-512")]
    ScramSha512,
}

impl LoginMechanism {
    /// Its registered name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}

impl BusSasl {
    /// The password, from wherever it stands.
    ///
    /// # Errors
    /// When its file can't be read, or there is none.
    pub fn secret(&self) -> std::io::Result<Secret> {
        match (&self.password, &self.password_file) {
            (Some(password), _) => Ok(password.clone()),
            (None, Some(path)) => Secret::read(path),
            (None, None) => Err(std::io::Error::other("neither `password` nor `password_file` is set")),
        }
    }
}

impl Checked for BusAccess {
    fn problems(&self) -> Vec<(String, String)> {
        let mut problems = Vec::new();
        if let Some(tls) = &self.tls
            && tls.certificate.is_some() != tls.key.is_some()
        {
            problems.push(("tls".to_owned(), "a certificate needs its key, and a key its certificate".to_owned()));
        }
        if let Some(sasl) = &self.sasl {
            if sasl.password.is_some() == sasl.password_file.is_some() {
                problems.push(("sasl".to_owned(), "set either `password` or `password_file`".to_owned()));
            }
            if sasl.username.is_empty() {
                problems.push(("sasl.username".to_owned(), "name the user".to_owned()));
            }
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_a_pair_is_a_problem() {
        let keys = |access: &BusAccess| access.problems().into_iter().map(|(key, _)| key).collect::<Vec<_>>();
        assert!(keys(&BusAccess::default()).is_empty());
        let tls = BusTls { key: Some("key.pem".into()), ..BusTls::default() };
        let sasl =
            BusSasl { mechanism: LoginMechanism::Plain, username: String::new(), password: None, password_file: None };
        assert_eq!(keys(&BusAccess { tls: Some(tls), sasl: Some(sasl) }), ["tls", "sasl", "sasl.username"]);
    }
}
