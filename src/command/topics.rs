//! `logmill topics`: topics of the bus, or of any Kafka.

mod read;
mod write;

use std::process::ExitCode;

use anyhow::Result;
use logmill_bus_client::{TopicPartition, TopicSetting};
use serde_json::json;

use super::reach::Cluster;
use crate::cli::{AlterTopic, TopicVerb, Topics};
use crate::config::Config;
use crate::moment::Position;
use crate::terminal::{Table, or_dash};

/// Does what was asked.
#[allow(clippy::print_stdout)]
pub(crate) async fn run(config: &Config, asked: &Topics) -> Result<ExitCode> {
    let cluster = Cluster::reach(config, &asked.reach)?;
    let json = asked.reach.json;
    match &asked.verb {
        TopicVerb::List => list(&cluster, json),
        TopicVerb::Describe { name, all } => describe(&cluster, name, *all, json).await?,
        TopicVerb::Create { name, partitions, replicas, setting } => {
            cluster.admin.create_topic(name, *partitions, *replicas, &borrowed(setting))?;
            println!("{}", if json { json!({ "created": name }).to_string() } else { format!("made {name}") });
        }
        TopicVerb::Alter(change) => alter(&cluster, change, json).await?,
        TopicVerb::Delete { name } => {
            cluster.expect_topic(name)?;
            cluster.admin.delete_topic(name).await?;
            println!("{}", if json { json!({ "deleted": name }).to_string() } else { format!("deleted {name}") });
        }
        TopicVerb::Read(wanted) => read::run(&cluster, wanted, json)?,
        TopicVerb::Write(wanted) => write::run(&cluster, wanted, json).await?,
        TopicVerb::DeleteRecords { name, before, partition } => {
            delete_records(&cluster, name, *before, partition, json).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn borrowed(settings: &[(String, String)]) -> Vec<(&str, &str)> {
    settings.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect()
}

#[allow(clippy::print_stdout)]
fn list(cluster: &Cluster, json: bool) {
    if json {
        let topic = |(name, partitions): &(String, i32)| json!({ "topic": name, "partitions": partitions });
        println!("{}", json!(cluster.topics.iter().map(topic).collect::<Vec<_>>()));
        return;
    }
    let mut table = Table::new(&["topic", "partitions"]);
    for (name, partitions) in &cluster.topics {
        table.row([name.clone(), partitions.to_string()]);
    }
    print!("{table}");
}

#[allow(clippy::print_stdout)]
async fn describe(cluster: &Cluster, name: &str, all: bool, json: bool) -> Result<()> {
    let partitions = cluster.partitions(name, &[])?;
    let settings = cluster.admin.topic_settings(name).await?;
    if json {
        let partition = |each: &logmill_bus_client::PartitionDetails| {
            json!({
                "partition": each.partition, "leader": each.leader, "replicas": each.replicas,
                "in_sync": each.in_sync, "start": each.low, "end": each.high,
            })
        };
        let setting = |each: &TopicSetting| json!({ "name": each.name, "value": each.value, "own": each.own });
        println!(
            "{}",
            json!({
                "topic": name,
                "partitions": partitions.iter().map(partition).collect::<Vec<_>>(),
                "settings": settings.iter().map(setting).collect::<Vec<_>>(),
            })
        );
        return Ok(());
    }
    let brokers = |ids: &[i32]| ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let mut table = Table::new(&["partition", "leader", "replicas", "in sync", "start", "end", "records"]);
    for each in &partitions {
        table.row([
            each.partition.to_string(),
            or_dash((each.leader >= 0).then_some(each.leader)),
            brokers(&each.replicas),
            brokers(&each.in_sync),
            each.low.to_string(),
            each.high.to_string(),
            each.high.saturating_sub(each.low).to_string(),
        ]);
    }
    print!("{table}");
    let mut table = Table::new(&["setting", "value", "from"]);
    let shown: Vec<_> = settings.iter().filter(|each| all || each.own).collect();
    for each in &shown {
        let from = if each.own { "topic" } else { "cluster" };
        table.row([each.name.clone(), or_dash(each.value.as_ref()), from.to_owned()]);
    }
    if shown.is_empty() {
        println!("\nno settings of its own; --all shows the cluster's");
    } else {
        print!("\n{table}");
    }
    Ok(())
}

#[allow(clippy::print_stdout)]
async fn alter(cluster: &Cluster, change: &AlterTopic, json: bool) -> Result<()> {
    let name = &change.name;
    cluster.expect_topic(name)?;
    if !change.setting.is_empty() || !change.unset.is_empty() {
        let unset: Vec<_> = change.unset.iter().map(String::as_str).collect();
        cluster.admin.alter_topic(name, &borrowed(&change.setting), &unset)?;
    }
    if let Some(partitions) = change.partitions {
        cluster.admin.grow_topic(name, partitions).await?;
    }
    println!("{}", if json { json!({ "altered": name }).to_string() } else { format!("changed {name}") });
    Ok(())
}

#[allow(clippy::print_stdout)]
async fn delete_records(cluster: &Cluster, name: &str, before: Position, wanted: &[i32], json: bool) -> Result<()> {
    let partitions = cluster.partitions(name, wanted)?;
    let offsets = cluster.offsets(name, &partitions, before, |_| None)?;
    let at = |(partition, offset): (i32, i64)| (TopicPartition { topic: name.into(), partition }, offset);
    let offsets: Vec<_> = offsets.into_iter().map(at).collect();
    let kept = cluster.admin.delete_records(&offsets).await?;
    let before =
        |at: &TopicPartition| partitions.iter().find(|each| each.partition == at.partition).map(|each| each.low);
    if json {
        let row = |(at, low): &(TopicPartition, i64)| json!({ "partition": at.partition, "start_before": before(at), "start": low });
        println!("{}", json!({ "topic": name, "partitions": kept.iter().map(row).collect::<Vec<_>>() }));
        return Ok(());
    }
    let mut table = Table::new(&["topic", "partition", "start before", "start now"]);
    for (at, low) in &kept {
        table.row([name.to_owned(), at.partition.to_string(), or_dash(before(at)), low.to_string()]);
    }
    print!("{table}");
    Ok(())
}
