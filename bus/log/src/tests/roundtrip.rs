//! What was appended is read back, by offset and by time, durable before it is seen.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::ReadError;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn what_is_appended_is_read_from_any_offset_before_and_after_a_restart(
        shapes in prop::collection::vec((1..5_i32, 0..400_usize), 1..30),
        max_bytes in 0..3_000_usize, clean: bool,
    ) {
        let root = tempfile::tempdir().unwrap();
        let (store, _) = open(root.path());
        let partition = store.create("t", 0).unwrap();
        let mut sent = Vec::new();
        for (records, value_bytes) in shapes {
            let sample = Sample { records, value_bytes, ..Default::default() };
            let appended = append(&partition, sample).unwrap();
            let mut bytes = sample.build();
            crate::batch::patch(&mut bytes, appended.base_offset, 0);
            sent.push((appended.base_offset, bytes));
        }
        let end = partition.log_end();
        block_on(partition.wait_durable(end)).unwrap();
        prop_assert_eq!(&read_all(&partition, 0, max_bytes), &sent);
        if clean { store.shutdown().unwrap() }
        drop((partition, store));

        let (store, report) = open(root.path());
        prop_assert_eq!(store.clean_start(), clean);
        prop_assert!(report.is_clean() && report.indexes_rebuilt == 0 && report.checkpoints_lost == 0);
        prop_assert!(!clean || report.bytes_scanned == 0);
        let partition = store.get("t", 0).unwrap();
        prop_assert_eq!((partition.log_start(), partition.log_end(), partition.durable_end()), (0, end, end));
        for from in 0..end {
            let first = partition.read(from, max_bytes, i64::MAX, true).unwrap();
            let expected = sent.iter().rev().find(|(base, _)| *base <= from).unwrap();
            prop_assert_eq!(first.base_offset, expected.0);
            prop_assert!(first.bytes.starts_with(&expected.1));
        }
    }

    #[test]
    fn times_are_found(times in prop::collection::vec(0..40_i64, 1..40), trim in 0..40_i64) {
        let root = tempfile::tempdir().unwrap();
        let (store, _) = open(root.path());
        let partition = store.create("t", 0).unwrap();
        for time_ms in &times {
            append(&partition, Sample { records: 2, time_ms: *time_ms, ..Default::default() }).unwrap();
        }
        block_on(partition.wait_durable(partition.log_end())).unwrap();
        partition.delete_before(trim.min(partition.log_end())).unwrap();
        let records: Vec<(i64, i64)> = times.iter().enumerate()
            .flat_map(|(at, time)| [(2 * at as i64, *time), (2 * at as i64 + 1, *time + 1)])
            .filter(|(offset, _)| *offset >= partition.log_start()).collect();
        for wanted in 0..45 {
            let expected = records.iter().find(|(_, time)| *time >= wanted).copied();
            prop_assert_eq!(partition.offset_for_time(wanted).unwrap(), expected, "time {}", wanted);
        }
    }
}

#[test]
fn bounds_of_a_read_are_kept() {
    let root = tempfile::tempdir().unwrap();
    let (store, _) = open(root.path());
    let partition = store.create("t", 0).unwrap();
    for _ in 0..3 {
        keep(&partition, Sample { records: 2, ..Default::default() });
    }
    let one = Sample { records: 2, ..Default::default() }.build().len();
    assert!(partition.read(0, one - 1, i64::MAX, false).unwrap().bytes.is_empty());
    assert_eq!(partition.read(0, one - 1, i64::MAX, true).unwrap().next_offset, 2);
    assert_eq!(partition.read(1, 2 * one, i64::MAX, false).unwrap().next_offset, 4);
    assert_eq!(
        partition.read(0, 9 * one, 5, false).unwrap().next_offset,
        4,
        "a batch that reaches the bound is left out"
    );
    assert!(partition.read(6, 9 * one, i64::MAX, true).unwrap().bytes.is_empty());
    for outside in [-1, 7] {
        let refused = partition.read(outside, one, i64::MAX, true);
        assert!(matches!(refused, Err(ReadError::OutOfRange { log_start: 0, log_end: 6, .. })));
    }
    assert_eq!(partition.max_timestamp(), Some((1, 1_001)));
}

#[test]
fn append_time_replaces_the_producers() {
    let root = tempfile::tempdir().unwrap();
    let (store, _) = open(root.path());
    let partition = store.create("t", 0).unwrap();
    let appended = partition.append(Sample::default().build(), 3, 99_000, Stamp::LogAppendTime).unwrap();
    assert_eq!(appended.append_time_ms, Some(99_000));
    block_on(partition.wait_durable(1)).unwrap();
    assert_eq!(partition.offset_for_time(98_000).unwrap(), Some((0, 99_000)));
    let read = partition.read(0, 1, 1, true).unwrap().bytes;
    assert_eq!(read[12..16], 3_i32.to_be_bytes(), "the leader epoch is the broker's");
    assert!(crate::batch::check_produced(&read).is_ok(), "the checksum fits again");
}

#[test]
fn what_nobody_waits_for_becomes_durable_soon() {
    let root = tempfile::tempdir().unwrap();
    let (store, _) = open(root.path());
    let partition = store.create("t", 0).unwrap();
    let mut changes = partition.durable_changes();
    append(&partition, Sample::default()).unwrap();
    assert_eq!(*block_on(changes.wait_for(|end| *end >= 1)).unwrap(), 1);
}

#[test]
fn many_appenders_share_syncs_and_keep_every_record() {
    let root = tempfile::tempdir().unwrap();
    let disk = crate::disk::tests::Faulty::new();
    let (store, _) = LogStore::open_on(root.path(), LogOptions::default(), Arc::new(Arc::clone(&disk))).unwrap();
    let partition = store.create("t", 0).unwrap();
    let before = disk.syncs.load(std::sync::atomic::Ordering::SeqCst);
    thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                for _ in 0..25 {
                    let appended = keep(&partition, Sample::default());
                    assert!(partition.durable_end() >= appended.end_offset);
                }
            });
        }
    });
    let syncs = disk.syncs.load(std::sync::atomic::Ordering::SeqCst) - before;
    assert!(syncs < 300, "{syncs} syncs for 400 appends by 16 threads");
    assert_eq!(offsets(&partition), (0..400).collect::<Vec<_>>());
}

#[test]
fn topics_come_and_go() {
    let root = tempfile::tempdir().unwrap();
    let (store, _) = open(root.path());
    for name in ["", "..", "a/b", "clean", &"x".repeat(129)] {
        assert!(store.create(name, 0).is_err(), "{name:?}");
        assert!(store.delete_topic(name).is_err(), "{name:?}");
    }
    assert!(store.create("t", -1).is_err());
    let partition = store.create("t", 0).unwrap();
    keep(&partition, Sample::default());
    assert!(Arc::ptr_eq(&partition, &store.create("t", 0).unwrap()));
    store.create("t", 1).unwrap();
    assert_eq!(store.partitions().len(), 2);
    assert!(matches!(LogStore::open(root.path(), small()), Err(crate::LogError::Locked(_))));
    store.delete_topic("t").unwrap();
    assert!(store.get("t", 0).is_none() && !root.path().join("t").exists());
    assert!(matches!(append(&partition, Sample::default()), Err(AppendError::Poisoned(_))));
    assert!(block_on(partition.wait_durable(9)).is_err());
    assert_eq!(store.create("t", 0).unwrap().log_end(), 0, "a topic made again begins anew");
}
