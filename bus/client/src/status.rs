//! Publishes a stage's status board on the bus, so that the dashboard sees every stage wherever it runs.

use std::sync::Arc;
use std::time::Duration;

use logmill_core::{Shutdown, StatusBoard, topics};

use crate::{Connection, Producer, ProducerOptions, Record};

/// Often enough for a person who watches, rare enough to cost nothing.
const EVERY: Duration = Duration::from_secs(1);

/// Says every second how the stage is doing, until asked to stop. A bus that is away delays the news and nothing else.
pub async fn publish_status(connection: Connection, board: Arc<StatusBoard>, shutdown: Shutdown) {
    let options = ProducerOptions { linger: Duration::ZERO, queue_bytes: 1 << 20, ..ProducerOptions::default() };
    let producer = match Producer::new(&connection, &options) {
        Ok(producer) => producer,
        Err(error) => return tracing::warn!(%error, "the status of this stage can't be published"),
    };
    loop {
        let status = board.snapshot();
        let key = format!("{}/{}", status.stage, status.instance);
        let value = serde_json::to_vec(&status).unwrap_or_default();
        let mut sending = producer.begin();
        let record = Record {
            topic: topics::STATUS,
            partition: None,
            key: Some(key.as_bytes()),
            value: &value,
            headers: &[],
            timestamp_ms: None,
        };
        let delivery = async {
            sending.push(&record).await.map_err(|error| (0, error))?;
            sending.acknowledged().await
        };
        match shutdown.unless(delivery).await {
            None => return,
            Some(Ok(_)) => {}
            Some(Err((_, error))) => tracing::debug!(%error, "status not published"),
        }
        if shutdown.unless(tokio::time::sleep(EVERY)).await.is_none() {
            return;
        }
    }
}
