//! Segments leave from the front, whole, and stay gone.

use super::*;
use crate::{LogError, Retention};

const DAY: Duration = Duration::from_secs(24 * 3600);
const DAY_MS: i64 = 24 * 3600 * 1000;

fn filled(root: &Path) -> (LogStore, Arc<Partition>) {
    let (store, _) = open(root);
    let partition = store.create("t", 0).unwrap();
    for at in 0..60 {
        keep(&partition, Sample { value_bytes: 100, time_ms: at * 1_000, ..Default::default() });
    }
    (store, partition)
}

#[test]
fn by_size_the_oldest_go_and_the_wanted_bytes_stay() {
    let root = tempfile::tempdir().unwrap();
    let (store, partition) = filled(root.path());
    let before = partition.size_bytes();
    let policy = Retention { max_bytes: Some(5_000), max_age: None };
    let removed = partition.retain(60_000, &policy).unwrap();
    assert!(removed.segments > 0);
    assert_eq!(partition.size_bytes(), before - removed.bytes);
    assert!((5_000..7_100).contains(&partition.size_bytes()));
    let start = partition.log_start();
    assert_eq!(offsets(&partition), (start..60).collect::<Vec<_>>());
    assert!(matches!(partition.read(start - 1, 1, 60, true), Err(crate::ReadError::OutOfRange { .. })));
    assert_eq!(partition.retain(60_000, &policy).unwrap(), crate::Removed::default());
    drop((partition, store));
    let (store, _) = open(root.path());
    assert_eq!(store.get("t", 0).unwrap().log_start(), start);
}

#[test]
fn by_age_even_the_segment_that_is_written_leaves_once_it_is_old() {
    let root = tempfile::tempdir().unwrap();
    let (_store, partition) = filled(root.path());
    let policy = Retention { max_age: Some(DAY), max_bytes: None };
    assert_eq!(partition.retain(60_000, &policy).unwrap().segments, 0);
    let removed = partition.retain(DAY_MS + 30_000, &policy).unwrap();
    assert!(removed.segments > 0);
    assert!((15..=30).contains(&partition.log_start()), "{}", partition.log_start());
    assert!(partition.retain(DAY_MS + 60_000, &policy).unwrap().segments > 0);
    assert_eq!((partition.log_start(), partition.log_end(), partition.size_bytes()), (60, 60, 0));
    assert_eq!(keep(&partition, Sample::default()).base_offset, 60);
}

#[test]
fn a_slow_partition_gets_segments_that_can_leave() {
    let root = tempfile::tempdir().unwrap();
    let (store, _) = LogStore::open(root.path(), LogOptions::default()).unwrap();
    let partition = store.create("t", 0).unwrap();
    let policy = Retention { max_age: Some(DAY), max_bytes: None };
    for hour in 0..72 {
        let time_ms = hour * 3_600_000;
        keep(&partition, Sample { time_ms, ..Default::default() });
        partition.retain(time_ms, &policy).unwrap();
    }
    assert!((40..48).contains(&partition.log_start()), "{}", partition.log_start());
}

#[test]
fn deleted_records_stay_deleted() {
    let root = tempfile::tempdir().unwrap();
    let (store, partition) = filled(root.path());
    let before = partition.size_bytes();
    partition.delete_before(33).unwrap();
    partition.delete_before(20).unwrap();
    assert_eq!(partition.log_start(), 33);
    assert!(partition.size_bytes() < before);
    assert!(matches!(partition.delete_before(61), Err(LogError::OutOfRange { durable_end: 60, .. })));
    drop((partition, store));
    let (store, _) = open(root.path());
    let partition = store.get("t", 0).unwrap();
    assert_eq!(offsets(&partition), (33..60).collect::<Vec<_>>());
    partition.delete_before(60).unwrap();
    assert_eq!((partition.log_start(), partition.size_bytes()), (60, 0));
    partition.delete_before(60).unwrap();
    partition.retain(i64::MAX, &Retention { max_age: Some(DAY), max_bytes: Some(0) }).unwrap();
    drop((partition, store));
    let (store, _) = open(root.path());
    assert_eq!(keep(&store.get("t", 0).unwrap(), Sample::default()).base_offset, 60);
}
