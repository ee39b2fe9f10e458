//! What one durable append costs: appenders in closed loops, each append waited for.
//! `cargo bench -p logmill-bus-log --bench append -- [directory on the disk to measure]`
#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs)]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use bytes::{BufMut, BytesMut};
use logmill_bus_log::{LogOptions, LogStore, Partition, Stamp};

const RUN: Duration = Duration::from_secs(3);

/// A batch of one record with so many bytes of body (which the log never looks into).
fn batch(body_bytes: usize) -> BytesMut {
    let mut covered = BytesMut::new();
    covered.put_i16(0);
    covered.put_i32(0);
    covered.put_i64(1);
    covered.put_i64(1);
    covered.put_i64(-1);
    covered.put_i16(-1);
    covered.put_i32(-1);
    covered.put_i32(1);
    covered.put_bytes(0x5a, body_bytes);
    let mut batch = BytesMut::new();
    batch.put_i64(0);
    batch.put_i32((covered.len() + 9) as i32);
    batch.put_i32(-1);
    batch.put_i8(2);
    batch.put_u32(crc32c::crc32c(&covered));
    batch.extend_from_slice(&covered);
    batch
}

fn appender(runtime: &tokio::runtime::Runtime, partition: &Arc<Partition>, template: &BytesMut) -> Vec<Duration> {
    let mut latencies = Vec::new();
    let until = Instant::now() + RUN;
    while Instant::now() < until {
        let begun = Instant::now();
        let appended = partition.append(template.clone(), 0, 1, Stamp::CreateTime).unwrap();
        runtime.block_on(partition.wait_durable(appended.end_offset)).unwrap();
        latencies.push(begun.elapsed());
    }
    latencies
}

fn measure(root: &Path, name: &str, options: LogOptions, partitions: i32, appenders: usize, body_bytes: usize) {
    let dir = root.join("logmill-bus-log-bench");
    let _ = std::fs::remove_dir_all(&dir);
    let (store, _) = LogStore::open(&dir, options).unwrap();
    let logs: Vec<_> = (0..partitions).map(|number| store.create("bench", number).unwrap()).collect();
    let template = batch(body_bytes);
    let mut latencies: Vec<Duration> = thread::scope(|scope| {
        let start = |number: usize| {
            let (log, template) = (&logs[number % logs.len()], &template);
            scope.spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                appender(&runtime, log, template)
            })
        };
        let running: Vec<_> = (0..appenders).map(start).collect();
        running.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    latencies.sort();
    let at = |part: f64| latencies[((latencies.len() - 1) as f64 * part) as usize];
    println!(
        "{name:<28} {partitions} partitions {appenders:>3} appenders {body_bytes:>6} B: {:>6.0} appends/s  p50 {:?}  p99 {:?}  max {:?}",
        latencies.len() as f64 / RUN.as_secs_f64(),
        at(0.5),
        at(0.99),
        at(1.0),
    );
    store.close().unwrap();
    std::fs::remove_dir_all(&dir).unwrap();
}

fn main() {
    let root =
        std::env::args().skip(1).find(|word| !word.starts_with('-')).map_or_else(std::env::temp_dir, PathBuf::from);
    let reserved = LogOptions::default();
    let plain = LogOptions { preallocate_bytes: 0, ..LogOptions::default() };
    for (partitions, appenders) in [(1, 1), (1, 8), (1, 64), (8, 8), (8, 64)] {
        measure(&root, "reserved 16 MiB ahead", reserved.clone(), partitions, appenders, 16 << 10);
    }
    measure(&root, "nothing reserved", plain.clone(), 1, 1, 16 << 10);
    measure(&root, "nothing reserved", plain, 8, 8, 16 << 10);
    measure(&root, "reserved 16 MiB ahead", reserved, 1, 8, 1 << 20);
}
