//! The words of access control: who may do what with which resource from where.

use std::fmt;
use std::str::FromStr;

use rdkafka::bindings as rd;

/// A closed set of words, each with its value in the client library; `unknown` is what the library does not know.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident as $native:ident, unknown $unknown:ident {
        $($(#[$variant_doc:meta])* $variant:ident = $word:literal as $value:ident,)+
    }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
            /// Something newer than the client library.
            Unknown,
        }

        impl $name {
            /// All words that may be asked for.
            pub const WORDS: &'static [&'static str] = &[$($word),+];

            /// The word.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                    Self::Unknown => "unknown",
                }
            }

            pub(crate) const fn native(self) -> rd::$native {
                match self {
                    $(Self::$variant => rd::$native::$value,)+
                    Self::Unknown => rd::$native::$unknown,
                }
            }

            pub(crate) const fn of(native: rd::$native) -> Self {
                match native {
                    $(rd::$native::$value => Self::$variant,)+
                    _ => Self::Unknown,
                }
            }
        }

        impl FromStr for $name {
            type Err = String;

            fn from_str(word: &str) -> Result<Self, String> {
                match word.to_ascii_lowercase().replace('_', "-").as_str() {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(format!("not one of {}", Self::WORDS.join(", "))),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

words! {
    /// What is guarded.
    AclResource as rd_kafka_ResourceType_t, unknown RD_KAFKA_RESOURCE_UNKNOWN {
        /// A topic.
        Topic = "topic" as RD_KAFKA_RESOURCE_TOPIC,
        /// A consumer group.
        Group = "group" as RD_KAFKA_RESOURCE_GROUP,
        /// The cluster itself; its name is always `kafka-cluster`.
        Cluster = "cluster" as RD_KAFKA_RESOURCE_BROKER,
        /// A transactional id.
        TransactionalId = "transactional-id" as RD_KAFKA_RESOURCE_TRANSACTIONAL_ID,
    }
}

words! {
    /// How the resource's name is meant.
    AclPattern as rd_kafka_ResourcePatternType_t, unknown RD_KAFKA_RESOURCE_PATTERN_UNKNOWN {
        /// This name only; `*` means every name.
        Literal = "literal" as RD_KAFKA_RESOURCE_PATTERN_LITERAL,
        /// Every name that begins so.
        Prefixed = "prefixed" as RD_KAFKA_RESOURCE_PATTERN_PREFIXED,
        /// For filters: whatever applies to this name.
        Match = "match" as RD_KAFKA_RESOURCE_PATTERN_MATCH,
    }
}

words! {
    /// What is done.
    AclOperation as rd_kafka_AclOperation_t, unknown RD_KAFKA_ACL_OPERATION_UNKNOWN {
        /// Everything.
        All = "all" as RD_KAFKA_ACL_OPERATION_ALL,
        /// Reading records; joining a group and committing.
        Read = "read" as RD_KAFKA_ACL_OPERATION_READ,
        /// Writing records.
        Write = "write" as RD_KAFKA_ACL_OPERATION_WRITE,
        /// Making topics.
        Create = "create" as RD_KAFKA_ACL_OPERATION_CREATE,
        /// Deleting topics, records and groups.
        Delete = "delete" as RD_KAFKA_ACL_OPERATION_DELETE,
        /// Changing partitions, ACLs and users.
        Alter = "alter" as RD_KAFKA_ACL_OPERATION_ALTER,
        /// Seeing that it is there.
        Describe = "describe" as RD_KAFKA_ACL_OPERATION_DESCRIBE,
        /// What brokers ask each other.
        ClusterAction = "cluster-action" as RD_KAFKA_ACL_OPERATION_CLUSTER_ACTION,
        /// Seeing settings.
        DescribeConfigs = "describe-configs" as RD_KAFKA_ACL_OPERATION_DESCRIBE_CONFIGS,
        /// Changing settings.
        AlterConfigs = "alter-configs" as RD_KAFKA_ACL_OPERATION_ALTER_CONFIGS,
        /// Idempotent writing, where it is guarded of its own.
        IdempotentWrite = "idempotent-write" as RD_KAFKA_ACL_OPERATION_IDEMPOTENT_WRITE,
    }
}

words! {
    /// Whether it is allowed. A denial outweighs every permission.
    AclPermission as rd_kafka_AclPermissionType_t, unknown RD_KAFKA_ACL_PERMISSION_TYPE_UNKNOWN {
        /// It is allowed.
        Allow = "allow" as RD_KAFKA_ACL_PERMISSION_TYPE_ALLOW,
        /// It is denied.
        Deny = "deny" as RD_KAFKA_ACL_PERMISSION_TYPE_DENY,
    }
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Acl {
    /// The kind of resource.
    pub resource: AclResource,
    /// Its name.
    pub name: String,
    /// How the name is meant.
    pub pattern: AclPattern,
    /// Who, `User:NAME`.
    pub principal: String,
    /// From which address; `*` from anywhere.
    pub host: String,
    /// What is done.
    pub operation: AclOperation,
    /// Whether it is allowed.
    pub permission: AclPermission,
}

/// Which rules are meant; what is absent matches any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AclFilter {
    /// The kind of resource.
    pub resource: Option<AclResource>,
    /// Its name.
    pub name: Option<String>,
    /// How the name is meant.
    pub pattern: Option<AclPattern>,
    /// Who.
    pub principal: Option<String>,
    /// From which address.
    pub host: Option<String>,
    /// What is done.
    pub operation: Option<AclOperation>,
    /// Whether it is allowed.
    pub permission: Option<AclPermission>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_read_back_and_survives_the_way_through_the_library() {
        for word in AclOperation::WORDS {
            let operation: AclOperation = word.parse().unwrap();
            assert_eq!(operation.as_str(), *word);
            assert_eq!(AclOperation::of(operation.native()), operation);
        }
        for word in AclResource::WORDS {
            let resource: AclResource = word.parse().unwrap();
            assert_eq!(AclResource::of(resource.native()).as_str(), *word);
        }
        assert_eq!("TRANSACTIONAL_ID".parse(), Ok(AclResource::TransactionalId));
        assert!("unknown".parse::<AclPermission>().unwrap_err().contains("allow, deny"));
    }
}
