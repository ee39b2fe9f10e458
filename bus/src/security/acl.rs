//! Access rules in Kafka's terms: who, from where, may or may not do what with which resources.

use logmill_bus_protocol::ResponseError;
use serde::{Deserialize, Serialize};

/// The one cluster, as access rules name it.
pub(crate) const CLUSTER: &str = "kafka-cluster";
/// A literal name that means every resource of its kind; also every host.
pub(crate) const ANYTHING: &str = "*";

/// Makes an enum with Kafka's numbers, and the way back from them.
macro_rules! numbered {
    ($(#[$about:meta])* $name:ident { $($variant:ident = $code:literal),* $(,)? }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub(crate) enum $name { $($variant = $code),* }

        impl $name {
            #[cfg(test)]
            pub(crate) const ALL: &[Self] = &[$(Self::$variant),*];

            pub(crate) const fn code(self) -> i8 {
                self as i8
            }

            pub(crate) const fn of(code: i8) -> Option<Self> {
                match code {
                    $($code => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }
    };
}

numbered! {
    /// What is done to a resource. `All` stands in rules only.
    Operation {
        All = 2, Read = 3, Write = 4, Create = 5, Delete = 6, Alter = 7, Describe = 8, ClusterAction = 9,
        DescribeConfigs = 10, AlterConfigs = 11, IdempotentWrite = 12,
    }
}
numbered! {
    /// What kinds of resources there are.
    Kind { Topic = 2, Group = 3, Cluster = 4, TransactionalId = 5 }
}
numbered! {
    /// How a rule's name is compared.
    Pattern { Literal = 3, Prefixed = 4 }
}
numbered! {
    /// What a rule says. Deny wins.
    Permission { Deny = 2, Allow = 3 }
}

/// Something that a request is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resource<'n> {
    Topic(&'n str),
    Group(&'n str),
    TransactionalId(&'n str),
    Cluster,
}

impl<'n> Resource<'n> {
    pub(crate) const fn kind(self) -> Kind {
        match self {
            Self::Topic(_) => Kind::Topic,
            Self::Group(_) => Kind::Group,
            Self::TransactionalId(_) => Kind::TransactionalId,
            Self::Cluster => Kind::Cluster,
        }
    }

    pub(crate) const fn name(self) -> &'n str {
        match self {
            Self::Topic(name) | Self::Group(name) | Self::TransactionalId(name) => name,
            Self::Cluster => CLUSTER,
        }
    }
}

impl Kind {
    /// How the protocol says that this may not be done to such a resource.
    pub(crate) const fn refusal(self) -> ResponseError {
        match self {
            Self::Topic => ResponseError::TopicAuthorizationFailed,
            Self::Group => ResponseError::GroupAuthorizationFailed,
            Self::TransactionalId => ResponseError::TransactionalIdAuthorizationFailed,
            Self::Cluster => ResponseError::ClusterAuthorizationFailed,
        }
    }

    /// What may be done to such a resource, as it is told to clients that ask (`authorized_operations`).
    pub(crate) const fn operations(self) -> &'static [Operation] {
        use Operation as O;
        match self {
            Self::Topic => {
                &[O::Read, O::Write, O::Create, O::Delete, O::Alter, O::Describe, O::DescribeConfigs, O::AlterConfigs]
            }
            Self::Group => &[O::Read, O::Delete, O::Describe, O::DescribeConfigs, O::AlterConfigs],
            Self::Cluster => &[
                O::Create,
                O::Alter,
                O::Describe,
                O::ClusterAction,
                O::DescribeConfigs,
                O::AlterConfigs,
                O::IdempotentWrite,
            ],
            Self::TransactionalId => &[O::Describe, O::Write],
        }
    }
}

impl Operation {
    /// Whether a rule that allows `self` also allows `asked`: who may read, write, remove or alter may also look.
    pub(crate) const fn implies(self, asked: Self) -> bool {
        match asked {
            Self::Describe => {
                matches!(self, Self::Describe | Self::Read | Self::Write | Self::Delete | Self::Alter | Self::All)
            }
            Self::DescribeConfigs => matches!(self, Self::DescribeConfigs | Self::AlterConfigs | Self::All),
            _ => self.covers(asked),
        }
    }

    /// Whether a rule about `self` is about `asked`.
    pub(crate) const fn covers(self, asked: Self) -> bool {
        matches!(self, Self::All) || self as i8 == asked as i8
    }
}

/// One rule, as it is listed, kept and removed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct Binding {
    pub(crate) kind: Kind,
    pub(crate) pattern: Pattern,
    pub(crate) name: String,
    /// `User:NAME`, or `User:*` for everybody.
    pub(crate) principal: String,
    /// An IP address, or `*`.
    pub(crate) host: String,
    pub(crate) operation: Operation,
    pub(crate) permission: Permission,
}
