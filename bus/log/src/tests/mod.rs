//! The log as its users see it: each file one promise, kept through crashes and a failing disk.

mod faults;
mod fixture;
mod idempotence;
mod kill;
mod power;
mod recovery;
mod retention;
mod roundtrip;
mod together;
mod transactions;

use std::fs;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use crate::batch::tests::Sample;
use crate::{AppendError, Appended, LogOptions, LogStore, Partition, RecoveryReport, Stamp};

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for a future without a runtime, as the log needs none.
fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        assert!(Instant::now() < until, "nothing came");
        thread::park_timeout(Duration::from_millis(100));
    }
}

/// Small segments and a dense index, so that a few batches meet every case.
fn small() -> LogOptions {
    LogOptions { segment_bytes: 2_000, index_interval_bytes: 150, preallocate_bytes: 8 << 10, ..LogOptions::default() }
}

fn open(dir: &Path) -> (LogStore, RecoveryReport) {
    LogStore::open(dir, small()).unwrap()
}

fn append(partition: &Partition, sample: Sample) -> Result<Appended, AppendError> {
    partition.append(sample.build(), 0, sample.time_ms, Stamp::CreateTime)
}

/// Appends and waits until it is durable.
fn keep(partition: &Partition, sample: Sample) -> Appended {
    let appended = append(partition, sample).unwrap();
    block_on(partition.wait_durable(appended.end_offset)).unwrap();
    appended
}

/// A slice with its bytes.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) bytes: Bytes,
    pub(crate) base_offset: i64,
    pub(crate) next_offset: i64,
}

impl Partition {
    /// What a client gets of [`slice`](Self::slice).
    pub(crate) fn read(
        &self,
        from: i64,
        max_bytes: usize,
        until: i64,
        min_one: bool,
    ) -> Result<Loaded, crate::ReadError> {
        let slice = self.slice(from, max_bytes, until, min_one)?;
        let mut bytes = vec![0; slice.len()];
        slice.read_at(0, &mut bytes).unwrap();
        Ok(Loaded { bytes: bytes.into(), base_offset: slice.base_offset, next_offset: slice.next_offset })
    }
}

/// Base offsets and bytes of all batches from `from` on, by as many reads as it takes.
fn read_all(partition: &Partition, mut from: i64, max_bytes: usize) -> Vec<(i64, BytesMut)> {
    let mut batches = Vec::new();
    loop {
        let slice = partition.read(from, max_bytes, i64::MAX, true).unwrap();
        if slice.bytes.is_empty() {
            return batches;
        }
        let mut bytes = BytesMut::from(slice.bytes);
        while !bytes.is_empty() {
            let header = crate::batch::BatchHeader::parse_stored(&bytes).unwrap();
            batches.push((header.base_offset, bytes.split_to(header.size())));
        }
        assert!(slice.next_offset > from);
        from = slice.next_offset;
    }
}

fn offsets(partition: &Partition) -> Vec<i64> {
    read_all(partition, partition.log_start(), 1).into_iter().map(|(offset, _)| offset).collect()
}

fn segments(dir: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| path.extension().is_some_and(|found| found.to_string_lossy().starts_with(extension)));
    found.sort();
    found
}

/// The directory of the only partition that most tests have.
fn partition_dir(root: &Path) -> PathBuf {
    root.join("t").join("0")
}
