//! Sends batches to the bus, in order, and brings back what it says.
//!
//! A batch that was not stored ends this producer: what was sent after it must not be stored before it.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel};
use std::time::Duration;

use logmill_bus_client::{Compression, Connection, DeliveryError, Producer, ProducerOptions, Record, Sending};
use logmill_core::origin::{ORIGIN_HEADER, SOURCE_HEADER};
use logmill_core::retry::Backoff;
use logmill_core::{Origin, Shutdown, StatusBoard};
use tokio::runtime::Handle;

use super::{Answer, Batch, Output};

/// What a record costs beside its value: key, headers, bookkeeping.
const RECORD_BYTES_EXTRA: usize = 200;

/// After a refusal the reader waits at most so long: it is deaf meanwhile, also to a shutdown.
const RESTART_DELAY_MAX: Duration = Duration::from_secs(2);

/// The bus as an output.
pub(crate) struct BusOutput {
    runtime: Handle,
    connection: Connection,
    options: ProducerOptions,
    topic: String,
    producer: Option<Producer>,
    /// Counts producers: answers of an earlier one are of no interest.
    epoch: u64,
    /// Stops the tasks that wait for answers of this producer.
    waiting: Shutdown,
    under_way_bytes: usize,
    queue_bytes: usize,
    answers: Receiver<(u64, usize, Answer)>,
    answered: Sender<(u64, usize, Answer)>,
    /// Wakes the reader.
    wake: SyncSender<()>,
    shutdown: Shutdown,
    board: Arc<StatusBoard>,
    backoff: Backoff,
}

impl BusOutput {
    pub(crate) fn new(
        connection: &Connection,
        topic: &str,
        compression: crate::config::Compression,
        queue_bytes: usize,
        wake: SyncSender<()>,
        shutdown: Shutdown,
        board: Arc<StatusBoard>,
    ) -> Self {
        let (answered, answers) = channel();
        let compression = match compression {
            crate::config::Compression::None => Compression::None,
            crate::config::Compression::Lz4 => Compression::Lz4,
            crate::config::Compression::Zstd => Compression::Zstd,
        };
        // The bound is kept here, by bytes of this file's records; the library's only has to stay out of its way.
        let queue_bytes_library = queue_bytes * 2 + (32 << 20);
        let options = ProducerOptions {
            compression,
            queue_bytes: queue_bytes_library,
            gapless: true,
            ..ProducerOptions::default()
        };
        Self {
            runtime: Handle::current(),
            connection: connection.clone(),
            options,
            topic: topic.to_owned(),
            producer: None,
            epoch: 0,
            waiting: shutdown.child(),
            under_way_bytes: 0,
            queue_bytes,
            answers,
            answered,
            wake,
            shutdown,
            board,
            backoff: Backoff::new(Duration::from_millis(100), RESTART_DELAY_MAX),
        }
    }

    fn producer(&mut self) -> Option<Producer> {
        if self.producer.is_none() {
            match Producer::new(&self.connection, &self.options) {
                Ok(producer) => self.producer = Some(producer),
                Err(error) => self.board.set_problem("bus", Some(error.to_string())),
            }
        }
        self.producer.clone()
    }

    fn push(&self, sending: &mut Sending, batch: &Batch<'_>) -> Result<bool, DeliveryError> {
        let source = batch.source.to_string();
        for record in batch.records {
            let origin = Origin { generation: batch.generation, start: record.start, end: record.end, part: 0 };
            let origin = origin.to_string();
            let record = Record {
                topic: &self.topic,
                partition: None,
                key: Some(source.as_bytes()),
                value: batch.bytes.get(record.value.clone()).unwrap_or_default(),
                headers: &[(SOURCE_HEADER, source.as_bytes()), (ORIGIN_HEADER, origin.as_bytes())],
                timestamp_ms: None,
            };
            if !sending.push_blocking(&record, &|| self.shutdown.requested())? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl Output for BusOutput {
    fn has_room(&self) -> bool {
        self.under_way_bytes < self.queue_bytes
    }

    fn send(&mut self, batch: &Batch<'_>) -> bool {
        let Some(producer) = self.producer() else { return false };
        let mut sending = producer.begin();
        drop(producer);
        let mut answer = Answer { number: batch.number, source: batch.source, refused: None };
        let bytes = batch.bytes.len() + batch.records.len() * RECORD_BYTES_EXTRA;
        let (epoch, answered, wake) = (self.epoch, self.answered.clone(), self.wake.clone());
        match self.push(&mut sending, batch) {
            Ok(true) => {}
            Ok(false) => return false,
            Err(error) => {
                answer.refused = Some(error.to_string());
                self.under_way_bytes += bytes;
                // Fails only when this output is gone.
                let _ = answered.send((epoch, bytes, answer));
                return true;
            }
        }
        self.under_way_bytes += bytes;
        let waiting = self.waiting.clone();
        self.runtime.spawn(async move {
            let Some(outcome) = waiting.unless(sending.acknowledged()).await else { return };
            answer.refused = outcome.err().map(|(_, error)| error.to_string());
            let _ = answered.send((epoch, bytes, answer));
            let _ = wake.try_send(());
        });
        true
    }

    fn answers(&mut self, answers: &mut Vec<Answer>) {
        while let Ok((epoch, bytes, answer)) = self.answers.try_recv() {
            if epoch != self.epoch {
                continue;
            }
            self.under_way_bytes = self.under_way_bytes.saturating_sub(bytes);
            if answer.refused.is_none() {
                self.backoff.reset();
                self.board.set_problem("refused", None);
            }
            answers.push(answer);
        }
    }

    fn restart(&mut self, reason: &str) {
        tracing::warn!(reason, "the bus did not store a batch; sending again from the last acknowledged place");
        self.board.set_problem("refused", Some(format!("the bus did not store a batch: {reason}")));
        self.epoch += 1;
        self.under_way_bytes = 0;
        // The producer goes with the last task that waits for it; what it had not sent yet goes too.
        self.waiting.trigger();
        self.waiting = self.shutdown.child();
        self.producer = None;
        std::thread::sleep(self.backoff.next_delay());
    }
}
