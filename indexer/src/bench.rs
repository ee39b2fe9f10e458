//! The measured loop of `benches/ingest`: records as the processor leaves them, through parsing, segments, merges
//! and flushes, without a bus. Not part of the program.
#![allow(clippy::print_stdout, clippy::expect_used, missing_docs)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use logmill_bus_client::Message;
use logmill_core::StatusBoard;
use logmill_core::origin::{INDEX_HEADER, ORIGIN_HEADER, SOURCE_HEADER};

use crate::config::Config;
use crate::ingest::indexing::Indexing;
use crate::store::Store;
use crate::store::upkeep::Upkeep;

const TICK: Duration = Duration::from_millis(100);
const BATCH: usize = 500;

/// An access-log event of about 480 bytes, as the built-in pipeline leaves it.
fn event(random: &mut fastrand::Rng, number: u64, millis: u64) -> String {
    let status = [200, 200, 200, 200, 201, 301, 304, 404, 500][random.usize(..9)];
    let method = ["GET", "GET", "GET", "POST", "PUT", "DELETE"][random.usize(..6)];
    let path = format!(
        "/api/v1/{}/{}",
        ["users", "orders", "items", "carts", "search"][random.usize(..5)],
        random.u32(..50_000)
    );
    let (ip, bytes) = (format!("10.{}.{}.{}", random.u8(..4), random.u8(..), random.u8(..)), random.u32(200..90_000));
    let at = jiff::Timestamp::from_millisecond(1_795_000_000_000 + millis as i64).unwrap_or_default();
    format!(
        r#"{{"@timestamp":"{at:.3}","message":"{ip} - - \"{method} {path} HTTP/1.1\" {status} {bytes}","log":{{"file":{{"path":"/var/log/nginx/access.log"}},"offset":{},"level":"info"}},"host":{{"name":"web-{:02}"}},"agent":{{"type":"logmill"}},"service":{{"name":"nginx"}},"source":{{"ip":"{ip}"}},"http":{{"request":{{"method":"{method}"}},"response":{{"status_code":{status},"bytes":{bytes}}}}},"url":{{"path":"{path}"}},"event":{{"dataset":"nginx.access","duration":{}}},"tags":["web"]}}"#,
        number * 120,
        number % 8,
        random.u32(1000..9_000_000),
    )
}

fn batches(events: u64, per_second: u64) -> Vec<Vec<Message>> {
    let mut random = fastrand::Rng::with_seed(7);
    let mut messages = (0..events).map(|number| Message {
        topic: "logs.parsed".into(),
        partition: 0,
        offset: number as i64,
        timestamp_ms: Some(1_795_000_000_000),
        key: None,
        value: Bytes::from(event(&mut random, number, number * 1000 / per_second.max(20_000))),
        headers: vec![
            (SOURCE_HEADER.into(), Bytes::from_static(b"0123456789abcdef0123456789abcdef")),
            (ORIGIN_HEADER.into(), Bytes::from(format!("0:{number}:{}:0", number + 1))),
            (INDEX_HEADER.into(), Bytes::from_static(b"logs-nginx.access-default")),
        ],
    });
    let mut all = Vec::new();
    loop {
        let batch: Vec<_> = messages.by_ref().take(BATCH).collect();
        if batch.is_empty() {
            return all;
        }
        all.push(batch);
    }
}

/// Indexes `events` at `rate` a second (0: as fast as it goes) and says how it went.
pub fn ingest(events: u64, rate: u64) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (store, _) = Store::open(folder.path(), Config::default()).expect("an empty store");
    let store = Arc::new(store);
    let batches = batches(events, rate);
    let bytes: usize = batches.iter().flatten().map(|message| message.value.len()).sum();
    let upkeep = Upkeep::start(&store, &Arc::new(StatusBoard::new("indexer"))).expect("threads");
    let mut indexing = Indexing::new(store.clone(), 1000, 10);
    let (begun, cpu, own) = (Instant::now(), cpu_time("/proc/self/stat"), cpu_time("/proc/thread-self/stat"));
    let (mut taken, mut ticks) = (0u64, Vec::new());
    for batch in &batches {
        if rate > 0 {
            let due = Duration::from_secs_f64(taken as f64 / rate as f64);
            std::thread::sleep(due.saturating_sub(begun.elapsed()));
        }
        indexing.take(batch, Instant::now(), 1).expect("documents");
        taken += batch.len() as u64;
        if indexing.since().is_some_and(|since| since.elapsed() >= TICK) || indexing.is_full() {
            let since = indexing.since();
            indexing.tick().expect("a tick");
            ticks.extend(since.map(|since| since.elapsed()));
            while !store.has_room() {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }
    indexing.tick().expect("a tick");
    let (took, own) = (begun.elapsed(), cpu_time("/proc/thread-self/stat") - own);
    store.flush().expect("a flush");
    upkeep.stop();
    let cpu = cpu_time("/proc/self/stat") - cpu;
    ticks.sort_unstable();
    let tick = |share: f64| ticks.get((ticks.len() as f64 * share) as usize).map_or(0, Duration::as_millis);
    let disk: u64 = store.indices().iter().map(|index| index.bytes).sum();
    println!("{events} events of {} bytes in {took:.2?}", bytes as u64 / events.max(1));
    println!(
        "  {:.0} events/s, {:.1} MB/s",
        events as f64 / took.as_secs_f64(),
        bytes as f64 / took.as_secs_f64() / 1e6
    );
    println!(
        "  indexing thread: {:.1} µs CPU an event ({:.0} events/s a core)",
        own * 1e6 / events as f64,
        events as f64 / own
    );
    println!(
        "  with merges and flushes: {:.1} µs CPU an event ({:.0} events/s a core)",
        cpu * 1e6 / events as f64,
        events as f64 / cpu
    );
    println!("  taken up to searchable: p50 {} ms, p99 {} ms", tick(0.5), tick(0.99));
    println!("  disk: {:.3} of the JSON", disk as f64 / bytes as f64);
}

/// CPU seconds, user and system, of a process or thread.
fn cpu_time(stat: &str) -> f64 {
    let line = std::fs::read_to_string(stat).unwrap_or_default();
    // The name may hold spaces; what follows its closing bracket is plain.
    let fields: Vec<&str> = line.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |place: usize| fields.get(place).and_then(|field| field.parse::<f64>().ok()).unwrap_or_default();
    // A hundred ticks a second on every Linux that matters.
    (ticks(11) + ticks(12)) / 100.0
}
