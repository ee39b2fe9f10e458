//! `logmill groups`: consumer groups of the bus, or of any Kafka.

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::{Result, bail};
use logmill_bus_client::{GroupDetails, GroupMember, TopicPartition};
use serde_json::json;

use super::reach::{Cluster, nearest};
use crate::cli::{GroupVerb, Groups, ResetGroup};
use crate::config::Config;
use crate::moment::Position;
use crate::terminal::{Table, or_dash};

/// What the protocol calls a group that is not there.
const NOT_THERE: &str = "Dead";

/// Does what was asked.
#[allow(clippy::print_stdout)]
pub(crate) async fn run(config: &Config, asked: &Groups) -> Result<ExitCode> {
    let cluster = Cluster::reach(config, &asked.reach)?;
    let json = asked.reach.json;
    match &asked.verb {
        GroupVerb::List => list(&cluster, json)?,
        GroupVerb::Describe { name } => describe(&cluster, name, json)?,
        GroupVerb::Reset(wanted) => reset(&cluster, wanted, json)?,
        GroupVerb::Delete { name } => {
            expect_group(&cluster, name)?;
            cluster.admin.delete_group(name).await?;
            println!("{}", if json { json!({ "deleted": name }).to_string() } else { format!("deleted {name}") });
        }
        GroupVerb::DeleteOffsets { name, topic, partition } => {
            delete_offsets(&cluster, name, topic, partition, json)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

#[allow(clippy::print_stdout)]
fn list(cluster: &Cluster, json: bool) -> Result<()> {
    let groups = cluster.admin.groups()?;
    if json {
        let groups =
            groups.iter().map(|group| json!({ "group": group.name, "state": group.state, "protocol": group.protocol }));
        println!("{}", json!(groups.collect::<Vec<_>>()));
        return Ok(());
    }
    let mut table = Table::new(&["group", "state", "protocol"]);
    for group in groups {
        table.row([group.name, group.state, group.protocol]);
    }
    print!("{table}");
    Ok(())
}

/// A group that is there; fails otherwise, and says which names are nearest.
fn expect_group(cluster: &Cluster, name: &str) -> Result<GroupDetails> {
    let group = cluster.admin.group(name);
    let there = match &group {
        Ok(group) => group.state != NOT_THERE,
        // Newer clusters answer an error instead of a dead group: whether it is that, the list tells.
        Err(_) => cluster.admin.groups()?.iter().any(|group| group.name == name),
    };
    if there {
        return Ok(group?);
    }
    let groups = cluster.admin.groups()?;
    let near = nearest(name, groups.iter().map(|group| group.name.as_str()));
    bail!("there is no group `{name}` at {}{near}", cluster.connection.brokers.join(", "))
}

/// How far a group has come in one partition.
struct Progress<'g> {
    at: TopicPartition,
    committed: Option<i64>,
    end: Option<i64>,
    reader: Option<&'g GroupMember>,
}

impl Progress<'_> {
    fn lag(&self) -> Option<i64> {
        Some(self.end?.saturating_sub(self.committed?).max(0))
    }
}

fn progress<'g>(cluster: &Cluster, group: &'g GroupDetails) -> Result<Vec<Progress<'g>>> {
    let mut all: BTreeMap<TopicPartition, Progress<'_>> = BTreeMap::new();
    let entry = |at: &TopicPartition| Progress { at: at.clone(), committed: None, end: None, reader: None };
    for (at, offset) in cluster.admin.committed(&group.name)? {
        all.entry(at.clone()).or_insert_with(|| entry(&at)).committed = Some(offset);
    }
    for member in &group.members {
        for at in &member.partitions {
            all.entry(at.clone()).or_insert_with(|| entry(at)).reader = Some(member);
        }
    }
    for each in all.values_mut() {
        // A topic may be gone that the group once read.
        let exists = |(name, partitions): &(String, i32)| *name == *each.at.topic && each.at.partition < *partitions;
        if cluster.topics.iter().any(exists) {
            each.end = Some(cluster.admin.ends(&each.at.topic, each.at.partition)?.1);
        }
    }
    Ok(all.into_values().collect())
}

#[allow(clippy::print_stdout)]
fn describe(cluster: &Cluster, name: &str, json: bool) -> Result<()> {
    let group = expect_group(cluster, name)?;
    let progress = progress(cluster, &group)?;
    if json {
        println!("{}", described(&group, &progress));
        return Ok(());
    }
    println!(
        "{}: {}, {} protocol{}, looked after by {}",
        group.name,
        group.state,
        group.protocol.to_lowercase(),
        if group.assignor.is_empty() { String::new() } else { format!(", assignor {}", group.assignor) },
        if group.coordinator.is_empty() { "nobody" } else { &group.coordinator },
    );
    if !group.members.is_empty() {
        let mut table = Table::new(&["member", "instance", "client", "host", "partitions"]);
        for member in &group.members {
            table.row([
                member.id.clone(),
                or_dash(member.instance.as_ref()),
                member.client.clone(),
                member.host.clone(),
                member.partitions.len().to_string(),
            ]);
        }
        print!("\n{table}");
    }
    if !progress.is_empty() {
        let mut table = Table::new(&["topic", "partition", "committed", "end", "lag", "read by"]);
        for each in &progress {
            table.row([
                each.at.topic.to_string(),
                each.at.partition.to_string(),
                or_dash(each.committed),
                or_dash(each.end),
                or_dash(each.lag()),
                or_dash(each.reader.map(|member| &member.client)),
            ]);
        }
        print!("\n{table}");
    }
    Ok(())
}

fn described(group: &GroupDetails, progress: &[Progress<'_>]) -> serde_json::Value {
    let member = |member: &GroupMember| {
        let at = |at: &TopicPartition| json!({ "topic": &*at.topic, "partition": at.partition });
        json!({
            "id": member.id, "instance": member.instance, "client": member.client, "host": member.host,
            "partitions": member.partitions.iter().map(at).collect::<Vec<_>>(),
        })
    };
    let partition = |each: &Progress<'_>| {
        json!({
            "topic": &*each.at.topic, "partition": each.at.partition, "committed": each.committed,
            "end": each.end, "lag": each.lag(), "member": each.reader.map(|member| &member.id),
        })
    };
    json!({
        "group": group.name, "state": group.state, "protocol": group.protocol, "assignor": group.assignor,
        "coordinator": group.coordinator,
        "members": group.members.iter().map(member).collect::<Vec<_>>(),
        "partitions": progress.iter().map(partition).collect::<Vec<_>>(),
    })
}

#[allow(clippy::print_stdout, clippy::print_stderr)]
fn reset(cluster: &Cluster, wanted: &ResetGroup, json: bool) -> Result<()> {
    let partitions = cluster.partitions(&wanted.topic, &wanted.partition)?;
    // A group that is not there yet may be given a place to begin: only one that is there and read by somebody may not.
    if let Ok(group) = cluster.admin.group(&wanted.name)
        && !group.members.is_empty()
    {
        let clients: Vec<_> =
            group.members.iter().map(|member| format!("{} at {}", member.client, member.host)).collect();
        bail!("the group {} is live: stop its {} members first ({})", wanted.name, clients.len(), clients.join(", "));
    }
    let committed: BTreeMap<i32, i64> = match cluster.admin.committed(&wanted.name) {
        Ok(committed) => committed
            .into_iter()
            .filter(|(at, _)| *at.topic == *wanted.topic)
            .map(|(at, offset)| (at.partition, offset))
            .collect(),
        Err(error) if matches!(wanted.to, Position::Shift(_)) => return Err(error.into()),
        Err(_) => BTreeMap::new(),
    };
    let moved =
        cluster.offsets(&wanted.topic, &partitions, wanted.to, |partition| committed.get(&partition).copied())?;
    if moved.is_empty() {
        bail!("the group {} has committed nothing in {}: say where to, not how far", wanted.name, wanted.topic);
    }
    if let Position::Offset(offset) = wanted.to {
        for each in partitions.iter().filter(|each| !(each.low..=each.high).contains(&offset)) {
            eprintln!("partition {} holds offsets {} to {}; the nearest is taken", each.partition, each.low, each.high);
        }
    }
    if wanted.execute {
        let at = |(partition, offset): &(i32, i64)| {
            (TopicPartition { topic: wanted.topic.as_str().into(), partition: *partition }, *offset)
        };
        cluster.admin.move_group(&wanted.name, &moved.iter().map(at).collect::<Vec<_>>())?;
    }
    let end = |partition: i32| partitions.iter().find(|each| each.partition == partition).map_or(0, |each| each.high);
    if json {
        let row = |(partition, after): &(i32, i64)| {
            json!({
                "partition": partition, "before": committed.get(partition), "after": after, "end": end(*partition),
                "lag": end(*partition).saturating_sub(*after),
            })
        };
        let rows: Vec<_> = moved.iter().map(row).collect();
        println!(
            "{}",
            json!({ "group": wanted.name, "topic": wanted.topic, "executed": wanted.execute, "partitions": rows })
        );
        return Ok(());
    }
    let mut table = Table::new(&["topic", "partition", "before", "after", "end", "lag"]);
    for (partition, after) in &moved {
        table.row([
            wanted.topic.clone(),
            partition.to_string(),
            or_dash(committed.get(partition)),
            after.to_string(),
            end(*partition).to_string(),
            end(*partition).saturating_sub(*after).to_string(),
        ]);
    }
    print!("{table}");
    if !wanted.execute {
        eprintln!("nothing was changed; --execute does it");
    }
    Ok(())
}

#[allow(clippy::print_stdout)]
fn delete_offsets(cluster: &Cluster, name: &str, topic: &str, wanted: &[i32], json: bool) -> Result<()> {
    expect_group(cluster, name)?;
    let mut partitions: Vec<TopicPartition> =
        cluster.admin.committed(name)?.into_iter().map(|(at, _)| at).filter(|at| *at.topic == *topic).collect();
    if !wanted.is_empty() {
        partitions.retain(|at| wanted.contains(&at.partition));
    }
    if partitions.is_empty() {
        bail!("the group {name} has committed nothing there in {topic}");
    }
    cluster.admin.forget_offsets(name, &partitions)?;
    if json {
        let numbers: Vec<_> = partitions.iter().map(|at| at.partition).collect();
        println!("{}", json!({ "group": name, "topic": topic, "deleted": numbers }));
    } else {
        println!("the group {name} has forgotten {} partitions of {topic}", partitions.len());
    }
    Ok(())
}
