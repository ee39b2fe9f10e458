//! How it is configured who may come in, over what, and what they may do.

use std::collections::BTreeSet;
use std::path::PathBuf;

use logmill_core::config::{Checked, Period, Secret};
pub use logmill_core::tls::{ClientCertificate, TlsConfig};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Config, host_and_port};
use crate::security::principal::USER;

/// One address to listen on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ListenerConfig {
    /// What it is called in logs.
    pub name: String,
    /// Where it listens, `host:port`; port 0 picks a free one.
    pub listen: String,
    /// The address that clients that came in here are told to connect to, `host:port`; by default the one they
    /// came in on.
    pub advertised: Option<String>,
    /// Allows it to listen beyond this machine although it has no TLS or asks nobody who they are.
    pub insecure: bool,
    /// Speaks TLS.
    pub tls: Option<TlsConfig>,
    /// How clients may log in; when there is any, nothing is answered before they did.
    pub sasl: Vec<Mechanism>,
}

/// How a client logs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Mechanism {
    /// Name and password as they are: over TLS only.
    #[serde(rename = "PLAIN")]
    Plain,
    /// A proof of the password (RFC 7677).
    #[serde(rename = "SCRAM-SHA-256")]
    ScramSha256,
    /// The same with a longer hash.
    #[serde(rename = "SCRAM-SHA-512")]
    ScramSha512,
    /// A signed token of somebody else's making (RFC 7628); see `oauth`.
    #[serde(rename = "OAUTHBEARER")]
    OauthBearer,
}

impl Mechanism {
    /// Its registered name.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
            Self::OauthBearer => "OAUTHBEARER",
        }
    }
}

/// A user and the password.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UserConfig {
    /// The name: in access rules `User:NAME`.
    pub name: String,
    /// The password; `password_file` keeps it out of the configuration.
    pub password: Option<Secret>,
    /// A file that holds the password and nothing else.
    pub password_file: Option<PathBuf>,
}

/// Which bearer tokens are believed: JSON Web Tokens signed by RS256, RS384, RS512, PS256, ES256 or ES384.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct OauthConfig {
    /// A file with the issuer's public keys (a JSON Web Key Set); read again when it changes.
    pub jwks: PathBuf,
    /// The issuer (`iss`) that a token must name.
    pub issuer: Option<String>,
    /// The audience (`aud`) that a token must be meant for.
    pub audience: Option<String>,
    /// How far the issuer's clock may be off.
    pub clock_skew: Period,
    /// The claim that says who the client is.
    pub principal_claim: String,
}

impl Default for OauthConfig {
    fn default() -> Self {
        Self {
            jwks: PathBuf::new(),
            issuer: None,
            audience: None,
            clock_skew: Period::secs(30),
            principal_claim: "sub".to_owned(),
        }
    }
}

/// What clients may do: access rules as Kafka has them, made with its own tools and kept by the broker.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AclConfig {
    /// Asks the rules. Nothing is allowed then that no rule allows, except to `super_users`.
    pub enabled: bool,
    /// Who may do everything, each as `User:NAME`.
    pub super_users: Vec<String>,
}

/// What is wrong with all of it.
pub(super) fn problems(config: &Config) -> Vec<(String, String)> {
    let mut problems = Vec::new();
    let mut refuse = |key: String, message: String| problems.push((key, message));
    let mut names = BTreeSet::new();
    for (index, listener) in config.listeners.iter().enumerate() {
        let key = |part: &str| format!("listeners.{index}.{part}");
        if listener.name.is_empty() || !names.insert(&listener.name) {
            refuse(key("name"), "every listener has a name of its own".to_owned());
        }
        if host_and_port(&listener.listen).is_none() {
            refuse(key("listen"), format!("`{}` is not host:port", listener.listen));
        }
        if let Some(advertised) = listener.advertised.as_ref().filter(|it| host_and_port(it).is_none()) {
            refuse(key("advertised"), format!("`{advertised}` is not host:port"));
        }
        for (part, message) in listener.tls.iter().flat_map(TlsConfig::problems) {
            refuse(key(&format!("tls{part}")), message.to_owned());
        }
        if listener.sasl.contains(&Mechanism::OauthBearer) && config.oauth.is_none() {
            refuse(key("sasl"), "OAUTHBEARER needs `bus.oauth`".to_owned());
        }
    }
    let mut users = BTreeSet::new();
    for (index, user) in config.users.iter().enumerate() {
        // What PLAIN and SCRAM can't carry, and what would be hard to see in a log.
        if user.name.is_empty() || user.name.chars().any(char::is_control) || !users.insert(&user.name) {
            refuse(format!("users.{index}.name"), "every user has a name of their own".to_owned());
        }
        if user.password.is_some() == user.password_file.is_some() {
            refuse(format!("users.{index}"), "set either `password` or `password_file`".to_owned());
        }
        if user.password.as_ref().is_some_and(|password| password.reveal().is_empty()) {
            refuse(format!("users.{index}.password"), "an empty password lets everybody in".to_owned());
        }
    }
    if config.oauth.as_ref().is_some_and(|oauth| oauth.jwks.as_os_str().is_empty()) {
        refuse("oauth.jwks".to_owned(), "name the file with the issuer's keys".to_owned());
    }
    for (index, user) in config.acls.super_users.iter().enumerate() {
        if user.strip_prefix(USER).is_none_or(str::is_empty) {
            refuse(format!("acls.super_users.{index}"), format!("`{user}` is not of the form {USER}NAME"));
        }
    }
    problems.extend(config.client.problems().into_iter().map(|(key, message)| (format!("client.{key}"), message)));
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nonsense_is_named_and_passwords_are_not() {
        let user = |name: &str| UserConfig {
            name: name.to_owned(),
            password: Some(Secret::new("geheim".to_owned())),
            password_file: None,
        };
        let tls = TlsConfig { client_certificate: ClientCertificate::Required, ..TlsConfig::default() };
        let listener = ListenerConfig { tls: Some(tls), sasl: vec![Mechanism::OauthBearer], ..Default::default() };
        let config = Config {
            listeners: vec![listener],
            users: vec![user("one"), user("one"), UserConfig { password: None, ..user("two") }],
            acls: AclConfig { enabled: true, super_users: vec!["root".to_owned()] },
            ..Config::default()
        };
        let keys: Vec<_> = problems(&config).into_iter().map(|(key, _)| key).collect();
        let expected = [
            "listeners.0.name",
            "listeners.0.listen",
            "listeners.0.tls",
            "listeners.0.tls.client_ca",
            "listeners.0.sasl",
            "users.1.name",
            "users.2",
            "acls.super_users.0",
        ];
        assert_eq!(keys, expected);
        let shown = format!("{config:?} {}", serde_json::to_string(&config).unwrap());
        assert!(!shown.contains("geheim"), "{shown}");
    }
}
