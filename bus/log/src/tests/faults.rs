//! A disk that fails or fills: never a false promise, never half an append.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use super::*;
use crate::disk::tests::Faulty;

fn on(root: &Path, disk: &Arc<Faulty>) -> LogStore {
    LogStore::open_on(root, small(), Arc::new(Arc::clone(disk))).unwrap().0
}

#[test]
fn a_failed_sync_poisons_the_partition_until_a_restart() {
    let root = tempfile::tempdir().unwrap();
    let disk = Faulty::new();
    let store = on(root.path(), &disk);
    let partition = store.create("t", 0).unwrap();
    let other = store.create("t", 1).unwrap();
    keep(&partition, Sample::default());
    disk.sync_fails.store(true, SeqCst);
    let appended = append(&partition, Sample::default()).unwrap();
    let refused = block_on(partition.wait_durable(appended.end_offset));
    assert!(refused.unwrap_err().reason.contains("fsync failed"));
    disk.sync_fails.store(false, SeqCst);
    assert!(matches!(append(&partition, Sample::default()), Err(AppendError::Poisoned(_))));
    assert!(block_on(partition.wait_durable(2)).is_err(), "a later sync that works proves nothing");
    assert_eq!((partition.durable_end(), offsets(&partition)), (1, vec![0]), "what is durable can still be read");
    keep(&other, Sample::default());
    assert!(store.shutdown().is_err());
    drop((partition, other, store));

    let store = on(root.path(), &disk);
    assert!(!store.clean_start());
    let partition = store.get("t", 0).unwrap();
    assert!(partition.poisoned().is_none());
    assert_eq!(keep(&partition, Sample::default()).base_offset, 2, "what the system still had is written anew");
}

#[test]
fn a_full_disk_refuses_the_append_and_leaves_the_log_usable() {
    let root = tempfile::tempdir().unwrap();
    let disk = Faulty::new();
    let store = on(root.path(), &disk);
    let partition = store.create("t", 0).unwrap();
    let sample = Sample { value_bytes: 300, producer: None, ..Default::default() };
    let size = sample.build().len() as i64;
    let mut written = 0;
    for room in 0..2 * size {
        disk.leave_room(room);
        match append(&partition, sample) {
            Ok(_) => written += 1,
            Err(AppendError::Full { .. }) => {}
            Err(error) => panic!("{error}"),
        }
        assert_eq!(partition.log_end(), written, "room {room}");
        if room % 97 == 0 {
            disk.free();
            keep(&partition, sample);
            written += 1;
        }
    }
    disk.free();
    keep(&partition, sample);
    let expected: Vec<i64> = (0..=written).collect();
    assert_eq!(offsets(&partition), expected);
    drop((partition, store));
    let (store, report) = open(root.path());
    assert!(report.is_clean(), "nothing half written is there: {report:?}");
    assert_eq!(offsets(&store.get("t", 0).unwrap()), expected);
}

#[test]
fn a_refused_append_does_not_count_as_the_producers_last() {
    let root = tempfile::tempdir().unwrap();
    let disk = Faulty::new();
    let store = on(root.path(), &disk);
    let partition = store.create("t", 0).unwrap();
    let first = Sample { producer: Some((1, 0, 0)), ..Default::default() };
    disk.leave_room(10);
    assert!(matches!(append(&partition, first), Err(AppendError::Full { .. })));
    disk.free();
    let appended = keep(&partition, first);
    assert_eq!((appended.base_offset, appended.duplicate), (0, false));
}

#[test]
fn a_write_that_cannot_be_taken_back_poisons() {
    let root = tempfile::tempdir().unwrap();
    let disk = Faulty::new();
    let store = on(root.path(), &disk);
    let partition = store.create("t", 0).unwrap();
    keep(&partition, Sample::default());
    disk.leave_room(10);
    disk.truncate_fails.store(true, SeqCst);
    assert!(matches!(append(&partition, Sample::default()), Err(AppendError::Poisoned(_))));
    disk.truncate_fails.store(false, SeqCst);
    disk.free();
    assert!(matches!(append(&partition, Sample::default()), Err(AppendError::Poisoned(_))));
    drop((partition, store));
    let store = on(root.path(), &disk);
    assert_eq!(keep(&store.get("t", 0).unwrap(), Sample::default()).base_offset, 1);
}

#[test]
fn a_full_disk_can_be_freed_and_refuses_new_partitions_cleanly() {
    let root = tempfile::tempdir().unwrap();
    let disk = Faulty::new();
    let store = on(root.path(), &disk);
    let partition = store.create("t", 0).unwrap();
    for _ in 0..40 {
        keep(&partition, Sample { value_bytes: 100, ..Default::default() });
    }
    disk.leave_room(0);
    assert!(store.create("t", 1).is_err() && store.get("t", 1).is_none());
    let before = segments(&partition_dir(root.path()), "log").len();
    let policy = crate::Retention { max_bytes: Some(3_000), max_age: None };
    assert!(partition.retain(0, &policy).unwrap().segments > 0);
    // The new start can't be noted, but the room is won.
    assert!(partition.delete_before(39).is_err());
    assert_eq!(partition.log_start(), 39);
    assert!(segments(&partition_dir(root.path()), "log").len() < before);
    disk.free();
    partition.delete_before(39).unwrap();
    keep(&partition, Sample::default());
    store.create("t", 1).unwrap();
    drop((partition, store));
    assert_eq!(offsets(&open(root.path()).0.get("t", 0).unwrap()), [39, 40]);
}
