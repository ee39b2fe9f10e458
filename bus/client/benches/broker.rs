//! Loads any broker that speaks Kafka's protocol and prints one JSON object with what it measured.
//!
//! `cargo bench -p logmill-bus-client --bench broker -- produce BROKERS TOPIC RECORDS BYTES ACKS [RECORDS_PER_S]`
//! `cargo bench -p logmill-bus-client --bench broker -- consume BROKERS TOPIC RECORDS`
//!
//! With a rate, records leave at equal distances and their latency is from the time at which each was due (so that a
//! broker that stalls is charged for all that waits) to its acknowledgement. tests/bench/bus drives it.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::panic, missing_docs)]

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use serde_json::json;

const PATIENCE: Duration = Duration::from_secs(120);

/// Collects when each record was acknowledged.
struct Acknowledged {
    begun: Instant,
    latencies_us: Mutex<Vec<u32>>,
    failed: AtomicU64,
}

impl ClientContext for Acknowledged {}

impl ProducerContext for Acknowledged {
    /// When the record was due, in microseconds since the run began.
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, due_us: usize) {
        let now_us = self.begun.elapsed().as_micros() as u64;
        if result.is_err() {
            self.failed.fetch_add(1, Ordering::Relaxed);
        }
        self.latencies_us.lock().unwrap().push(now_us.saturating_sub(due_us as u64) as u32);
    }
}

fn produce(brokers: &str, topic: &str, records: usize, bytes: usize, acks: &str, rate: Option<f64>) {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", brokers)
        .set("acks", acks)
        .set("queue.buffering.max.messages", "1000000")
        .set("queue.buffering.max.kbytes", "524288")
        .set("batch.size", "1000000")
        // What the throughput of any client needs; at a fixed rate the record leaves at once.
        .set("linger.ms", if rate.is_some() { "0" } else { "5" });
    let context = Acknowledged {
        begun: Instant::now(),
        latencies_us: Mutex::new(Vec::with_capacity(records)),
        failed: AtomicU64::new(0),
    };
    let producer: ThreadedProducer<Acknowledged> = config.create_with_context(context).unwrap();
    // So that connecting is not measured.
    producer.client().fetch_metadata(Some(topic), PATIENCE).unwrap();
    let payload: Vec<u8> = (0..bytes).map(|at| b"abcdefghijklmnopqrstuvwxyz0123456789 /:.-"[at * 7 % 41]).collect();
    let (begun, cpu) = (producer.context().begun, cpu_seconds());
    let first_us = begun.elapsed().as_micros() as u64;
    for number in 0..records {
        let due_us = match rate {
            Some(rate) => {
                let due = first_us + (number as f64 * 1e6 / rate) as u64;
                while let Some(early) = due.checked_sub(begun.elapsed().as_micros() as u64).filter(|early| *early > 0) {
                    std::thread::sleep(Duration::from_micros(early.min(500)));
                }
                due
            }
            None => begun.elapsed().as_micros() as u64,
        };
        let mut record = BaseRecord::<(), [u8], usize>::with_opaque_to(topic, due_us as usize).payload(&payload);
        while let Err((error, unsent)) = producer.send(record) {
            assert!(matches!(error, KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull)), "{error}");
            record = unsent;
            std::thread::sleep(Duration::from_micros(200));
        }
    }
    producer.flush(PATIENCE).unwrap();
    let seconds = (begun.elapsed().as_micros() as u64 - first_us) as f64 / 1e6;
    let context = producer.context();
    let mut latencies = context.latencies_us.lock().unwrap();
    latencies.sort_unstable();
    let at = |part: f64| latencies.get(((latencies.len() as f64 * part) as usize).min(latencies.len() - 1));
    let ms = |part: f64| at(part).map(|us| f64::from(*us) / 1e3);
    println!(
        "{}",
        json!({
            "records": latencies.len(), "failed": context.failed.load(Ordering::Relaxed), "seconds": seconds,
            "records_per_s": records as f64 / seconds, "mb_per_s": (records * bytes) as f64 / seconds / 1e6,
            "p50_ms": ms(0.5), "p99_ms": ms(0.99), "p999_ms": ms(0.999), "client_cpu_s": cpu_seconds() - cpu,
        })
    );
}

fn consume(brokers: &str, topic: &str, records: usize) {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "benchmark")
        .set("enable.auto.commit", "false")
        .set("fetch.message.max.bytes", "4194304")
        .set("fetch.queue.backoff.ms", "1")
        .set("queued.min.messages", "1000000")
        .create()
        .unwrap();
    let metadata = consumer.fetch_metadata(Some(topic), PATIENCE).unwrap();
    let mut partitions = TopicPartitionList::new();
    for partition in metadata.topics()[0].partitions() {
        partitions.add_partition_offset(topic, partition.id(), Offset::Beginning).unwrap();
    }
    let (begun, cpu) = (Instant::now(), cpu_seconds());
    consumer.assign(&partitions).unwrap();
    let (mut count, mut bytes) = (0, 0);
    while count < records {
        match consumer.poll(PATIENCE) {
            Some(Ok(message)) => {
                count += 1;
                bytes += message.payload_len();
            }
            Some(Err(error)) => panic!("{error}"),
            None => panic!("nothing came for {PATIENCE:?} after {count} records"),
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    println!(
        "{}",
        json!({
            "records": count, "seconds": seconds, "records_per_s": count as f64 / seconds,
            "mb_per_s": bytes as f64 / seconds / 1e6, "client_cpu_s": cpu_seconds() - cpu,
        })
    );
}

/// User and system time of this process.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    // utime and stime, in clock ticks of a hundredth of a second.
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["produce", brokers, topic, records, bytes, acks, rate @ ..] => {
            let rate = rate.first().map(|rate| rate.parse().unwrap());
            produce(brokers, topic, records.parse().unwrap(), bytes.parse().unwrap(), acks, rate);
        }
        ["consume", brokers, topic, records] => consume(brokers, topic, records.parse().unwrap()),
        _ => println!("see the head of bus/client/benches/broker.rs for its arguments"),
    }
}
