//! Reads the status topic, newest news first of all: what was said before this start does not matter.

use std::sync::Arc;
use std::time::Duration;

use logmill_bus_client::{Admin, ClientError, Connection, Consumer, ConsumerOptions, Next, Start, TopicPartition};
use logmill_core::retry::Backoff;
use logmill_core::{Shutdown, StatusBoard, topics};

use super::Fleet;

/// How long one question to the bus may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// News are small and come a few a second.
const QUEUE_BYTES: usize = 1 << 20;

/// Keeps `fleet` up to date until asked to stop; a bus that is away is waited for.
pub(crate) async fn listen(connection: Connection, fleet: Arc<Fleet>, board: Arc<StatusBoard>, shutdown: Shutdown) {
    let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));
    loop {
        match shutdown.unless(read(&connection, &fleet, &board, &mut backoff)).await {
            None => return,
            Some(Ok(())) => {}
            Some(Err(error)) => {
                board.set_problem("bus", Some(format!("the status topic can't be read: {error}")));
                if shutdown.unless(tokio::time::sleep(backoff.next_delay())).await.is_none() {
                    return;
                }
            }
        }
    }
}

async fn read(
    connection: &Connection,
    fleet: &Fleet,
    board: &StatusBoard,
    backoff: &mut Backoff,
) -> Result<(), ClientError> {
    Admin::new(connection, TIMEOUT)?.ensure_topics(&[(topics::STATUS, 1)]).await?;
    let partitions = partitions_of(connection, topics::STATUS).await?;
    let starts: Vec<_> = partitions.into_iter().map(|partition| (partition, Start::Latest)).collect();
    let options = ConsumerOptions { queue_bytes: QUEUE_BYTES, ..ConsumerOptions::group("logmill-dashboard-status") };
    let consumer = Consumer::assign(connection, &options, &starts)?;
    board.set_problem("bus", None);
    backoff.reset();
    loop {
        if let Next::Records(records) = consumer.next(256, QUEUE_BYTES, Duration::from_secs(1)).await? {
            for record in records {
                match serde_json::from_slice(&record.value) {
                    Ok(status) => fleet.hear(status),
                    Err(error) => tracing::debug!(%error, "a record of the status topic is not a status"),
                }
            }
        }
    }
}

/// The partitions of a topic as the cluster tells.
pub(crate) async fn partitions_of(connection: &Connection, topic: &str) -> Result<Vec<TopicPartition>, ClientError> {
    let (connection, name) = (connection.clone(), topic.to_owned());
    let asked = tokio::task::spawn_blocking(move || Admin::new(&connection, TIMEOUT)?.topics(Some(&name)));
    let found = match asked.await {
        Ok(found) => found?,
        // Only when the program is stopping.
        Err(_) => Vec::new(),
    };
    let count = found.first().map_or(0, |info| info.partitions).max(1);
    let topic: Arc<str> = topic.into();
    Ok((0..count).map(|partition| TopicPartition { topic: topic.clone(), partition }).collect())
}
