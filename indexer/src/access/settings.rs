//! How it is configured who may use the API.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use logmill_core::config::Secret;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Who may use the API. With nobody in it, nobody is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Auth {
    /// Who logs in by name and password (`Authorization: Basic`).
    pub users: Vec<User>,
    /// Keys that programs log in by (`Authorization: ApiKey`).
    pub api_keys: Vec<ApiKey>,
    /// What a role may do, by its name. `admin` (manage everything), `writer` (write everywhere) and `reader` (read
    /// everywhere) are there already.
    pub roles: BTreeMap<String, Role>,
}

/// A user.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct User {
    /// The name.
    pub name: String,
    /// The password; `password_file` or `password_hash` keep it out of the configuration.
    pub password: Option<Secret>,
    /// A file that holds the password and nothing else.
    pub password_file: Option<PathBuf>,
    /// The password's Argon2 hash, as `$argon2id$v=19$...`.
    pub password_hash: Option<String>,
    /// Names of roles.
    pub roles: Vec<String>,
}

/// A key of a program.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ApiKey {
    /// The first half, which is no secret.
    pub id: String,
    /// The second half; `key_file` keeps it out of the configuration.
    pub key: Option<Secret>,
    /// A file that holds the second half and nothing else.
    pub key_file: Option<PathBuf>,
    /// Names of roles.
    pub roles: Vec<String>,
}

/// What may be done with which indexes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Role {
    /// Names or patterns (`logs-shop-*`).
    pub indices: Vec<String>,
    /// What may be done with them.
    pub privileges: Vec<Privilege>,
}

/// What may be done with an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Privilege {
    /// Searching, and looking at documents and mappings.
    Read,
    /// Adding, changing and deleting documents; indexes come with their first.
    Write,
    /// Both, and making, changing and deleting indexes; for all indexes (`*`) also templates, policies and snapshots.
    Manage,
}

impl Privilege {
    /// Whether who has this has that too.
    pub(super) fn includes(self, other: Self) -> bool {
        self == Self::Manage || self == other
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Manage => "manage",
        }
    }
}

impl Role {
    /// A role that needs no definition.
    pub(super) fn built_in(name: &str) -> Option<Self> {
        let privilege = match name {
            "admin" => Privilege::Manage,
            "writer" => Privilege::Write,
            "reader" => Privilege::Read,
            _ => return None,
        };
        Some(Self { indices: vec!["*".to_owned()], privileges: vec![privilege] })
    }
}

impl User {
    /// The password, unless only its hash is known.
    pub(super) fn secret(&self) -> std::io::Result<Option<Secret>> {
        secret(self.password.as_ref(), self.password_file.as_ref())
    }
}

impl ApiKey {
    /// The second half.
    pub(super) fn secret(&self) -> std::io::Result<Option<Secret>> {
        secret(self.key.as_ref(), self.key_file.as_ref())
    }
}

fn secret(text: Option<&Secret>, file: Option<&PathBuf>) -> std::io::Result<Option<Secret>> {
    match (text, file) {
        (Some(text), _) => Ok(Some(text.clone())),
        (None, Some(path)) => Secret::read(path).map(Some),
        (None, None) => Ok(None),
    }
}

impl Auth {
    /// Whether anybody is asked who they are.
    pub(crate) fn is_on(&self) -> bool {
        !self.users.is_empty() || !self.api_keys.is_empty()
    }

    /// What is wrong with it.
    pub(crate) fn problems(&self) -> Vec<(String, String)> {
        let mut problems = Vec::new();
        let mut refuse = |key: String, message: &str| problems.push((key, message.to_owned()));
        let is_known = |role: &String| self.roles.contains_key(role) || Role::built_in(role).is_some();
        let is_bad = |name: &str| name.is_empty() || name.contains(':') || name.chars().any(char::is_control);
        let mut names = BTreeSet::new();
        for (at, user) in self.users.iter().enumerate() {
            if is_bad(&user.name) || user.name.starts_with('_') || !names.insert(&user.name) {
                refuse(format!("users.{at}.name"), "every user has a name of their own, without : and no _ in front");
            }
            let given =
                [user.password.is_some(), user.password_file.is_some(), user.password_hash.is_some()].map(u8::from);
            if given.iter().sum::<u8>() != 1 {
                refuse(format!("users.{at}"), "set one of `password`, `password_file` and `password_hash`");
            }
            if user.password.as_ref().is_some_and(|password| password.reveal().is_empty()) {
                refuse(format!("users.{at}.password"), "an empty password lets everybody in");
            }
            if user.roles.is_empty() || !user.roles.iter().all(is_known) {
                refuse(
                    format!("users.{at}.roles"),
                    "name roles that there are: admin, writer, reader, or those in `roles`",
                );
            }
        }
        let mut ids = BTreeSet::new();
        for (at, key) in self.api_keys.iter().enumerate() {
            if is_bad(&key.id) || !ids.insert(&key.id) {
                refuse(format!("api_keys.{at}.id"), "every key has an id of its own, without :");
            }
            if key.key.is_some() == key.key_file.is_some() {
                refuse(format!("api_keys.{at}"), "set either `key` or `key_file`");
            }
            if key.roles.is_empty() || !key.roles.iter().all(is_known) {
                refuse(
                    format!("api_keys.{at}.roles"),
                    "name roles that there are: admin, writer, reader, or those in `roles`",
                );
            }
        }
        for (name, role) in &self.roles {
            if role.indices.is_empty() || role.privileges.is_empty() {
                refuse(format!("roles.{name}"), "a role needs `indices` and `privileges`");
            }
            if role.indices.iter().any(|pattern| pattern.contains(['?', ','])) {
                refuse(format!("roles.{name}.indices"), "one pattern an entry, with * as its only wildcard");
            }
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nonsense_is_named() {
        let auth = Auth {
            users: vec![
                User {
                    name: "a".into(),
                    password_hash: Some("x".into()),
                    roles: vec!["nosuch".into()],
                    ..User::default()
                },
                User { name: "a".into(), roles: vec!["reader".into()], ..User::default() },
            ],
            api_keys: vec![ApiKey { id: "a:b".into(), roles: vec!["admin".into()], ..ApiKey::default() }],
            roles: BTreeMap::from([("r".to_owned(), Role { indices: vec!["a?".into()], privileges: Vec::new() })]),
        };
        let keys: Vec<_> = auth.problems().into_iter().map(|(key, _)| key).collect();
        let expected =
            ["users.0.roles", "users.1.name", "users.1", "api_keys.0.id", "api_keys.0", "roles.r", "roles.r.indices"];
        assert_eq!(keys, expected);
        assert!(auth.is_on() && !Auth::default().is_on() && Auth::default().problems().is_empty());
    }
}
