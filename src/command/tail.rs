//! `logmill tail`: events as the pipelines let them go, read from the bus.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use logmill_bus_client::{Admin, Consumer, ConsumerOptions, Next, Start, TopicPartition};
use logmill_core::topics;
use logmill_indexer_api::kql;
use serde_json::Value;

use crate::chain::{connection, stop_on_signals};
use crate::cli::Tail;
use crate::config::Config;
use crate::terminal::{print_event, query_error};

/// Prints matching events until it is asked to stop.
pub(crate) async fn run(config: &Config, tail: &Tail) -> anyhow::Result<ExitCode> {
    let ast = kql::parse(&tail.query).map_err(|error| query_error(&tail.query, &error))?;
    let stop = stop_on_signals()?;
    let connection = connection(config, "logmill-tail")?;
    let asking = connection.clone();
    let topic =
        tokio::task::spawn_blocking(move || Admin::new(&asking, Duration::from_secs(5))?.topics(Some(topics::PARSED)))
            .await??;
    let count = topic.first().map_or(0, |info| info.partitions);
    anyhow::ensure!(
        count > 0,
        "the bus at {} has no topic {}; is the processor running?",
        connection.brokers.join(", "),
        topics::PARSED
    );
    let from_now = |partition| (TopicPartition { topic: topics::PARSED.into(), partition }, Start::Latest);
    let partitions: Vec<_> = (0..count).map(from_now).collect();
    let consumer = Consumer::assign(&connection, &ConsumerOptions::group("logmill-tail"), &partitions)?;
    while let Some(next) = stop.unless(consumer.next(1_000, 1 << 20, Duration::from_secs(1))).await {
        let Next::Records(records) = next.context("can't read the bus")? else { continue };
        for record in records {
            let Ok(event) = serde_json::from_slice::<Value>(&record.value) else { continue };
            if ast.matches(&event) {
                print_event(&event, tail.json);
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
