//! Who is at the other end of a connection.

use std::fmt;
use std::sync::Arc;

/// The kind of all principals here, as Kafka names it.
pub(crate) const USER: &str = "User:";
/// Stands for every user in an access rule.
pub(crate) const EVERYBODY: &str = "User:*";

/// A user in Kafka's form, `User:NAME`; clones share it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Principal {
    name: Arc<str>,
    /// Known by more than the name: see [`Principal::own`].
    is_own: bool,
}

impl Principal {
    /// Whoever did not say who they are.
    pub(crate) fn anonymous() -> Self {
        Self::user("ANONYMOUS")
    }

    /// The user of this name.
    pub(crate) fn user(name: &str) -> Self {
        Self { name: format!("{USER}{name}").into(), is_own: false }
    }

    /// A stage of this program, on the listener that is for them alone. It stands above all rules; a user who is
    /// called the same does not.
    pub(crate) fn own() -> Self {
        Self { is_own: true, ..Self::user("logmill") }
    }

    pub(crate) const fn is_own(&self) -> bool {
        self.is_own
    }

    /// With its kind: `User:NAME`.
    pub(crate) fn as_str(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl fmt::Debug for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}
