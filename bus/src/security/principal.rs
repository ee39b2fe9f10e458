//! Who is at the other end of a connection.

use std::fmt;
use std::sync::Arc;

/// The kind of all principals here, as Kafka names it.
pub(crate) const USER: &str = "User:";
/// Stands for every user in an access rule.
pub(crate) const EVERYBODY: &str = "User:*";

/// A user in Kafka's form, `User:NAME`; clones share it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Principal(Arc<str>);

impl Principal {
    /// Whoever did not say who they are.
    pub(crate) fn anonymous() -> Self {
        Self::user("ANONYMOUS")
    }

    /// The user of this name.
    pub(crate) fn user(name: &str) -> Self {
        Self(format!("{USER}{name}").into())
    }

    /// With its kind: `User:NAME`.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
