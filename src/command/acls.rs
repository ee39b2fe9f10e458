//! `logmill acls`: who may do what on the bus, or on any Kafka.

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use logmill_bus_client::{Acl, AclFilter};
use serde_json::{Value, json};

use super::reach::Cluster;
use crate::cli::{AclVerb, Acls, AddAcl};
use crate::config::Config;
use crate::terminal::Table;

/// Does what was asked.
pub(crate) fn run(config: &Config, asked: &Acls) -> Result<ExitCode> {
    let cluster = Cluster::reach(config, &asked.reach)?;
    let json = asked.reach.json;
    match &asked.verb {
        AclVerb::List(wanted) => show(&cluster.admin.acls(&wanted.filter())?, "", json),
        AclVerb::Add(wanted) => add(&cluster, wanted, json)?,
        AclVerb::Remove { wanted, all } => {
            let filter = wanted.filter();
            if filter == AclFilter::default() && !all {
                bail!("say which rules to remove, or --all");
            }
            show(&cluster.admin.remove_acls(&filter)?, "removed", json);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn add(cluster: &Cluster, wanted: &AddAcl, json: bool) -> Result<()> {
    let name = wanted.resource.name.clone().with_context(|| {
        let kind = wanted.resource.kind;
        format!("which {kind}? say {kind}:NAME, or {kind}:* for every one")
    })?;
    let mut added = Vec::new();
    for operation in &wanted.operation {
        let acl = Acl {
            resource: wanted.resource.kind,
            name: name.clone(),
            pattern: wanted.pattern,
            principal: wanted.principal.clone(),
            host: wanted.host.clone(),
            operation: *operation,
            permission: wanted.permission,
        };
        cluster.admin.add_acl(&acl)?;
        added.push(acl);
    }
    show(&added, "added", json);
    Ok(())
}

/// Prints rules under what was done with them.
#[allow(clippy::print_stdout)]
fn show(acls: &[Acl], done: &str, json: bool) {
    if json {
        println!("{}", acls.iter().map(as_json).collect::<Value>());
        return;
    }
    if !done.is_empty() {
        println!("{done} {}", acls.len());
    }
    if acls.is_empty() && !done.is_empty() {
        return;
    }
    let mut table = Table::new(&["principal", "permission", "operation", "resource", "name", "pattern", "host"]);
    for acl in acls {
        table.row([
            acl.principal.clone(),
            acl.permission.to_string(),
            acl.operation.to_string(),
            acl.resource.to_string(),
            acl.name.clone(),
            acl.pattern.to_string(),
            acl.host.clone(),
        ]);
    }
    print!("{table}");
}

fn as_json(acl: &Acl) -> Value {
    json!({
        "principal": acl.principal, "permission": acl.permission.as_str(), "operation": acl.operation.as_str(),
        "resource": acl.resource.as_str(), "name": acl.name, "pattern": acl.pattern.as_str(), "host": acl.host,
    })
}
