//! `logmill status`: what the stages said of themselves in the last seconds, and where they listen.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use logmill_bus_client::{Consumer, ConsumerOptions, Next, Start, TopicPartition};
use logmill_core::stage::StageStatus;
use logmill_core::topics;
use serde_json::json;

use crate::chain::{connection, read_places};
use crate::cli::Status;
use crate::config::Config;

/// The stages speak every second; one that said nothing for so long is not heard of.
const HEARD_WITHIN: Duration = Duration::from_secs(5);
/// How long the bus may take to answer before the stages are told from the run files alone.
const PATIENCE: Duration = Duration::from_secs(4);

/// Prints the status; the exit code is 0 when every stage that runs here is ready, and 1 otherwise.
#[allow(clippy::print_stdout)]
pub(crate) async fn run(config: &Config, options: &Status) -> anyhow::Result<ExitCode> {
    let places = read_places(&config.data.0);
    let stages = match heard(config, places.len()).await {
        Ok(stages) => stages,
        Err(error) => {
            tracing::warn!("the bus does not answer: {error:#}");
            Vec::new()
        }
    };
    let ready = !stages.is_empty()
        && stages.iter().all(|stage| stage.ready)
        && places.iter().all(|place| stages.iter().any(|stage| stage.stage == place.stage));
    if options.json {
        let addresses: BTreeMap<&str, &BTreeMap<String, String>> =
            places.iter().map(|place| (place.stage.as_str(), &place.addresses)).collect();
        println!("{}", json!({ "ready": ready, "addresses": addresses, "stages": stages }));
    } else {
        for place in &places {
            if !stages.iter().any(|stage| stage.stage == place.stage) {
                println!("{:<10} pid {} runs and says nothing", place.stage, place.pid);
            }
        }
        for stage in &stages {
            print_stage(stage);
        }
        if places.is_empty() && stages.is_empty() {
            println!("nothing runs in {}", config.data.0.display());
        }
    }
    Ok(if ready { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[allow(clippy::print_stdout)]
fn print_stage(stage: &StageStatus) {
    let state = if stage.ready { "ready" } else { "not ready" };
    let addresses: Vec<_> = stage.addresses.iter().map(|(name, address)| format!("{name} {address}")).collect();
    let behind = stage.gauges.get("lag_events").filter(|behind| **behind > 0.0);
    let behind = behind.map(|behind| format!(", {behind} events behind")).unwrap_or_default();
    println!("{:<10} {state:<9} {:<24} {}{behind}", stage.stage, stage.instance, addresses.join(", "));
    for problem in &stage.problems {
        println!("           ! {problem}");
    }
}

/// The newest word of every stage on the status topic.
async fn heard(config: &Config, expected: usize) -> anyhow::Result<Vec<StageStatus>> {
    let connection = connection(config, "logmill-status")?;
    let since = jiff::Timestamp::now().as_millisecond() - i64::try_from(HEARD_WITHIN.as_millis())?;
    let partition = TopicPartition { topic: topics::STATUS.into(), partition: 0 };
    let make = move || {
        Consumer::assign(&connection, &ConsumerOptions::group("logmill-status"), &[(partition, Start::Since(since))])
    };
    let consumer = tokio::time::timeout(PATIENCE, tokio::task::spawn_blocking(make)).await???;
    let mut newest: BTreeMap<String, StageStatus> = BTreeMap::new();
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline && (newest.is_empty() || newest.len() < expected) {
        let Next::Records(records) = consumer.next(1_000, 1 << 20, Duration::from_secs(1)).await? else { continue };
        for record in records {
            if let Ok(status) = serde_json::from_slice::<StageStatus>(&record.value) {
                newest.insert(format!("{}/{}", status.stage, status.instance), status);
            }
        }
    }
    Ok(newest.into_values().collect())
}
