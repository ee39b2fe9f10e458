//! `logmill acls`: what can be asked of access control.

use std::str::FromStr;

use clap::{Args, Subcommand};
use logmill_bus_client::{AclFilter, AclOperation, AclPattern, AclPermission, AclResource};

use super::reach::Reach;

/// The one name that the resource `cluster` has.
const CLUSTER: &str = "kafka-cluster";

#[derive(Debug, Args)]
pub(crate) struct Acls {
    #[command(flatten)]
    pub(crate) reach: Reach,
    #[command(subcommand)]
    pub(crate) verb: AclVerb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AclVerb {
    /// Lists the rules, all or those that fit.
    List(AclsWanted),
    /// Adds rules, one for each operation.
    Add(AddAcl),
    /// Removes the rules that fit, and prints them.
    Remove {
        #[command(flatten)]
        wanted: AclsWanted,
        /// Removes all rules, when nothing else is said.
        #[arg(long)]
        all: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct AddAcl {
    /// Who: User:NAME, or just NAME; User:* is everybody.
    #[arg(long, value_parser = principal)]
    pub(crate) principal: String,
    /// What: all, read, write, create, delete, alter, describe, cluster-action, describe-configs, alter-configs,
    /// idempotent-write; several separated by commas.
    #[arg(long, required = true, value_delimiter = ',')]
    pub(crate) operation: Vec<AclOperation>,
    /// With what: topic:NAME, group:NAME, transactional-id:NAME or cluster; the name * means every one.
    #[arg(long)]
    pub(crate) resource: Resource,
    /// How the name is meant: literal, or prefixed for every name that begins so.
    #[arg(long, default_value = "literal")]
    pub(crate) pattern: AclPattern,
    /// From which address.
    #[arg(long, default_value = "*")]
    pub(crate) host: String,
    /// Whether it is allowed: allow, or deny, which outweighs every permission.
    #[arg(long, default_value = "allow")]
    pub(crate) permission: AclPermission,
}

#[derive(Debug, Args)]
pub(crate) struct AclsWanted {
    /// Only of this principal.
    #[arg(long, value_parser = principal)]
    principal: Option<String>,
    /// Only of this operation.
    #[arg(long)]
    operation: Option<AclOperation>,
    /// Only of this resource: topic:NAME, or topic for all topics; likewise group, transactional-id and cluster.
    #[arg(long)]
    resource: Option<Resource>,
    /// Only of this pattern: literal, prefixed, or match for whatever applies to the resource's name.
    #[arg(long)]
    pattern: Option<AclPattern>,
    /// Only of this address.
    #[arg(long)]
    host: Option<String>,
    /// Only of this permission.
    #[arg(long)]
    permission: Option<AclPermission>,
}

impl AclsWanted {
    /// As the protocol has it.
    pub(crate) fn filter(&self) -> AclFilter {
        AclFilter {
            resource: self.resource.as_ref().map(|resource| resource.kind),
            name: self.resource.as_ref().and_then(|resource| resource.name.clone()),
            pattern: self.pattern,
            principal: self.principal.clone(),
            host: self.host.clone(),
            operation: self.operation,
            permission: self.permission,
        }
    }
}

/// A kind of resource, and which one of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Resource {
    pub(crate) kind: AclResource,
    pub(crate) name: Option<String>,
}

impl FromStr for Resource {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, name) = match text.split_once(':') {
            Some((_, "")) => return Err("there is no name behind the colon".to_owned()),
            Some((kind, name)) => (kind, Some(name.to_owned())),
            None => (text, None),
        };
        let kind: AclResource = kind.parse()?;
        let name = if kind == AclResource::Cluster { Some(CLUSTER.to_owned()) } else { name };
        Ok(Self { kind, name })
    }
}

// A parser of clap's answers with a result.
#[allow(clippy::unnecessary_wraps)]
fn principal(text: &str) -> Result<String, String> {
    Ok(if text.contains(':') { text.to_owned() } else { format!("User:{text}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resources() {
        let resource = |text: &str| text.parse::<Resource>().map(|found| (found.kind, found.name));
        assert_eq!(resource("topic:logs.raw"), Ok((AclResource::Topic, Some("logs.raw".into()))));
        assert_eq!(resource("topic:a:b"), Ok((AclResource::Topic, Some("a:b".into()))));
        assert_eq!(resource("group"), Ok((AclResource::Group, None)));
        assert_eq!(resource("cluster"), Ok((AclResource::Cluster, Some(CLUSTER.into()))));
        assert!(resource("table:x").unwrap_err().contains("topic"));
        assert!(resource("topic:").is_err());
    }

    #[test]
    fn principals() {
        assert_eq!(principal("ship"), Ok("User:ship".into()));
        assert_eq!(principal("User:CN=a"), Ok("User:CN=a".into()));
    }
}
