//! Publishes the status boards of a process on the bus, so that the dashboard sees every stage wherever it runs.

use std::sync::Arc;
use std::time::Duration;

use logmill_core::retry::Backoff;
use logmill_core::{Shutdown, StatusBoard, topics};

use crate::{Admin, ClientError, Connection, DeliveryError, Producer, ProducerOptions, Record};

/// Often enough for a person who watches, rare enough to cost nothing.
const EVERY: Duration = Duration::from_secs(1);

/// The news of an hour are more than anyone reads; the topic must not grow with the age of the installation.
const TOPIC_CONFIG: [(&str, &str); 2] = [("retention.ms", "3600000"), ("segment.bytes", "4194304")];

/// Says every second how the stages of this process are doing, until asked to stop. A bus that is away delays
/// the news and nothing else.
pub async fn publish_status(connection: Connection, boards: Vec<Arc<StatusBoard>>, shutdown: Shutdown) {
    let mut backoff = Backoff::default();
    while let Err(error) = make_topic(&connection).await {
        tracing::debug!(%error, "the status topic can't be made yet");
        if shutdown.unless(tokio::time::sleep(backoff.next_delay())).await.is_none() {
            return;
        }
    }
    let options = ProducerOptions { linger: Duration::ZERO, queue_bytes: 1 << 20, ..ProducerOptions::default() };
    let producer = match Producer::new(&connection, &options) {
        Ok(producer) => producer,
        Err(error) => return tracing::warn!(%error, "the status of this stage can't be published"),
    };
    loop {
        match shutdown.unless(publish(&producer, &boards)).await {
            None => return,
            Some(Ok(())) => {}
            Some(Err(error)) => tracing::debug!(%error, "status not published"),
        }
        if shutdown.unless(tokio::time::sleep(EVERY)).await.is_none() {
            return;
        }
    }
}

async fn make_topic(connection: &Connection) -> Result<(), ClientError> {
    Admin::new(connection, Duration::from_secs(5))?.ensure_topic(topics::STATUS, 1, &TOPIC_CONFIG).await
}

async fn publish(producer: &Producer, boards: &[Arc<StatusBoard>]) -> Result<(), DeliveryError> {
    let mut sending = producer.begin();
    for board in boards {
        let status = board.snapshot();
        let key = format!("{}/{}", status.stage, status.instance);
        let value = serde_json::to_vec(&status).unwrap_or_default();
        let record = Record {
            topic: topics::STATUS,
            partition: None,
            key: Some(key.as_bytes()),
            value: &value,
            headers: &[],
            timestamp_ms: None,
        };
        sending.push(&record).await?;
    }
    sending.acknowledged().await.map(drop).map_err(|(_, error)| error)
}
