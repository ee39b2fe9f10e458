//! What the broker remembers besides records, and under which key of the state file it stands.
//!
//! Keys and values are JSON: small, seldom written, and readable when something has to be understood at night.

use serde::{Deserialize, Serialize};

use crate::security::acl::Binding;
use crate::security::scram::Hash;

/// The key of an entry.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StateKey {
    /// Who this broker is and how often it has started: [`ClusterEntry`].
    Cluster,
    /// The first producer id that was not set aside yet: a number.
    ProducerIds,
    /// A topic by its name: `TopicEntry`.
    Topic(String),
    /// The members of a group: `GroupEntry`.
    Group(String),
    /// The members of a group of the newer protocol: its `GroupEntry`.
    ConsumerGroup(String),
    /// An access rule: the key says all.
    Acl(Binding),
    /// What is kept of a user's password for one hash: `Credential`.
    Scram(String, Hash),
    /// The committed offset of a group in a partition of a topic: `Committed`.
    Offset(String, String, i32),
    /// A transactional id: `Transaction`.
    Transaction(String),
    /// An offset handed in with the open transaction of an id, by group, topic and partition: `Committed`.
    TransactionOffset(String, String, String, i32),
}

/// Who this broker is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ClusterEntry {
    /// Told to clients; made once.
    pub(crate) id: String,
    /// Raised at every start after an end that was not clean: what was in memory then may be gone.
    pub(crate) leader_epoch: i32,
}

/// A change of the state file: a new value, or none.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Change {
    pub(crate) key: StateKey,
    pub(crate) value: Option<serde_json::Value>,
}

impl Change {
    /// Sets `key` to `value`.
    ///
    /// # Errors
    /// When the value is no JSON, which none of ours is.
    pub(crate) fn set(key: StateKey, value: &impl Serialize) -> serde_json::Result<Self> {
        Ok(Self { key, value: Some(serde_json::to_value(value)?) })
    }

    /// Removes `key`.
    pub(crate) const fn remove(key: StateKey) -> Self {
        Self { key, value: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::security::acl::{Kind, Operation, Pattern, Permission};
    use proptest::prelude::*;

    fn rule(principal: String, name: String) -> Binding {
        Binding {
            kind: Kind::TransactionalId,
            pattern: Pattern::Prefixed,
            name,
            principal,
            host: "*".to_owned(),
            operation: Operation::IdempotentWrite,
            permission: Permission::Deny,
        }
    }

    proptest! {
        #[test]
        fn keys_come_back(group: String, topic: String, partition: i32) {
            for key in [
                StateKey::Cluster, StateKey::ProducerIds, StateKey::Topic(topic.clone()),
                StateKey::Group(group.clone()), StateKey::Offset(group.clone(), topic.clone(), partition),
                StateKey::Transaction(group.clone()),
                StateKey::TransactionOffset(topic.clone(), group.clone(), topic.clone(), partition),
                StateKey::Acl(rule(group.clone(), topic)), StateKey::Scram(group, Hash::Sha512),
                StateKey::ConsumerGroup("g".to_owned()),
            ] {
                let text = serde_json::to_vec(&key).unwrap();
                prop_assert_eq!(serde_json::from_slice::<StateKey>(&text).unwrap(), key);
            }
        }
    }
}
