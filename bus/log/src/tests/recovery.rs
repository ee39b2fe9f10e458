//! After a crash: a torn tail is cut, damage is set aside, lost files of ours are made anew, the rest serves.

use proptest::prelude::*;

use super::*;

/// A partition of one big segment with a few batches, left as by a killed process.
/// Returns where each batch begins, and the segment's bytes.
fn killed(root: &Path, batches: usize) -> (Vec<usize>, Vec<u8>) {
    let (store, _) = LogStore::open(root, LogOptions::default()).unwrap();
    let partition = store.create("t", 0).unwrap();
    let (mut starts, mut bytes) = (Vec::new(), 0);
    for at in 0..batches {
        let sample = Sample { value_bytes: 10 + at, ..Default::default() };
        starts.push(bytes);
        bytes += sample.build().len();
        append(&partition, sample).unwrap();
    }
    block_on(partition.wait_durable(batches as i64)).unwrap();
    drop(store);
    let file = fs::read(segments(&partition_dir(root), "log").remove(0)).unwrap();
    starts.push(bytes);
    (starts, file)
}

#[test]
fn a_log_cut_at_every_byte_of_its_last_batch_loses_only_that() {
    let root = tempfile::tempdir().unwrap();
    let (starts, file) = killed(root.path(), 3);
    let segment = segments(&partition_dir(root.path()), "log").remove(0);
    let checkpoint = partition_dir(root.path()).join("checkpoint");
    let empty_checkpoint = fs::read(&checkpoint).unwrap();
    for zeros in [0, 5_000] {
        for cut in starts[2]..starts[3] {
            let mut bytes = file[..cut].to_vec();
            bytes.resize(cut + zeros, 0);
            // Zeros at the end of what was cut off can't be told from zeros that were reserved.
            let whole = bytes.starts_with(&file[..starts[3]]);
            let torn = !whole && file[starts[2]..cut].iter().any(|byte| *byte != 0);
            fs::write(&segment, bytes).unwrap();
            fs::write(&checkpoint, &empty_checkpoint).unwrap();
            let (store, report) = open(root.path());
            let partition = store.get("t", 0).unwrap();
            assert_eq!(offsets(&partition).len(), 2 + usize::from(whole), "cut at {cut}");
            assert_eq!((report.torn.len(), report.bytes_cut > 0), (usize::from(torn), torn), "cut at {cut}");
            assert!(report.quarantined.is_empty());
            assert_eq!(keep(&partition, Sample::default()).base_offset, 2 + i64::from(whole));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn a_flipped_bit_costs_one_batch_and_the_rest_serves(batches in 2..8_usize, flip: prop::sample::Index) {
        let root = tempfile::tempdir().unwrap();
        let (starts, mut file) = killed(root.path(), batches);
        let dir = partition_dir(root.path());
        let segment = segments(&dir, "log").remove(0);
        let bit = flip.index(starts[batches - 1] * 8);
        let hit = starts.iter().rposition(|start| *start <= bit / 8).unwrap();
        prop_assume!(!(12..16).contains(&(bit / 8 - starts[hit])));
        file[bit / 8] ^= 1 << (bit % 8);
        fs::write(&segment, &file).unwrap();

        let (store, report) = open(root.path());
        let partition = store.get("t", 0).unwrap();
        let expected: Vec<i64> = (0..batches as i64).filter(|offset| *offset != hit as i64).collect();
        prop_assert_eq!(offsets(&partition), expected.clone());
        prop_assert_eq!((report.quarantined.len(), report.torn.len()), (1, 0));
        let quarantined = &report.quarantined[0];
        prop_assert_eq!((quarantined.from_offset, quarantined.to_offset), (hit as i64, hit as i64 + 1));
        prop_assert_eq!(&fs::read(&quarantined.kept_as).unwrap(), &file);
        let read = partition.read(partition.log_start().max(hit as i64), 1, i64::MAX, true).unwrap();
        prop_assert_eq!(read.base_offset, hit as i64 + 1, "a reader at the gap goes on behind it");
        prop_assert_eq!(keep(&partition, Sample::default()).base_offset, batches as i64);
        drop((partition, store));
        let (store, report) = open(root.path());
        prop_assert!(report.is_clean(), "damage is reported once");
        prop_assert_eq!(offsets(&store.get("t", 0).unwrap()).len(), expected.len() + 1);
    }
}

#[test]
fn damage_met_while_reading_is_taken_out_at_once() {
    let root = tempfile::tempdir().unwrap();
    let (store, _) = open(root.path());
    let partition = store.create("t", 0).unwrap();
    for _ in 0..40 {
        keep(&partition, Sample { value_bytes: 60, ..Default::default() });
    }
    // What this process wrote it does not doubt; what it finds at a start it checks when it is read.
    drop(partition);
    store.shutdown().unwrap();
    drop(store);
    let size = Sample { value_bytes: 60, ..Default::default() }.build().len();
    let logs = segments(&partition_dir(root.path()), "log");
    assert!(logs.len() > 2);
    for path in [&logs[0], logs.last().unwrap()] {
        let mut bytes = fs::read(path).unwrap();
        bytes[size + 100] ^= 0x10;
        fs::write(path, bytes).unwrap();
    }
    let active_base = crate::segment::list(&partition_dir(root.path())).unwrap().pop().unwrap();
    let expected: Vec<i64> = (0..40).filter(|offset| ![1, active_base + 1].contains(offset)).collect();
    let (store, report) = open(root.path());
    assert!(report.is_clean(), "after a clean end nothing is read at the start");
    let partition = store.get("t", 0).unwrap();
    assert_eq!(offsets(&partition), expected);
    assert_eq!(segments(&partition_dir(root.path()), "quarantined").len(), 2);
    assert_eq!(keep(&partition, Sample::default()).base_offset, 40);
}

#[test]
fn a_reader_of_an_emptied_end_waits_for_what_comes_next() {
    let root = tempfile::tempdir().unwrap();
    let (store, _) = LogStore::open(root.path(), LogOptions::default()).unwrap();
    let partition = store.create("t", 0).unwrap();
    keep(&partition, Sample { records: 5, ..Default::default() });
    let log = segments(&partition_dir(root.path()), "log").remove(0);
    let length = fs::metadata(&log).unwrap().len() as usize;
    for bytes in [vec![0; length], vec![9; length]] {
        fs::write(segments(&partition_dir(root.path()), "log").pop().unwrap(), bytes).unwrap();
        let from = partition.log_end() - 5;
        assert_eq!(offsets(&partition), Vec::<i64>::new());
        assert!(partition.read(from, 100, i64::MAX, true).unwrap().bytes.is_empty());
        let next = keep(&partition, Sample { records: 5, ..Default::default() });
        assert_eq!(partition.read(from, 100, i64::MAX, true).unwrap().base_offset, next.base_offset);
    }
}

#[test]
fn lost_and_damaged_indexes_are_made_anew() {
    let root = tempfile::tempdir().unwrap();
    let (store, _) = open(root.path());
    let partition = store.create("t", 0).unwrap();
    for at in 0..60 {
        keep(&partition, Sample { value_bytes: 60, time_ms: at, ..Default::default() });
    }
    store.shutdown().unwrap();
    drop((partition, store));
    let dir = partition_dir(root.path());
    let indexes = segments(&dir, "index");
    assert!(indexes.len() > 3);
    fs::remove_file(&indexes[0]).unwrap();
    fs::write(&indexes[1], b"nonsense").unwrap();
    fs::remove_file(indexes.last().unwrap()).unwrap();
    // The entries of this one lie, which nobody notices before following them.
    let mut liar = fs::read(&indexes[2]).unwrap();
    let body = liar.len() - 64;
    liar[64..].copy_from_slice(&vec![7; body]);
    fs::write(&indexes[2], liar).unwrap();

    let (store, report) = open(root.path());
    assert_eq!(report.indexes_rebuilt, 3);
    assert!(report.is_clean() && store.clean_start());
    let partition = store.get("t", 0).unwrap();
    assert_eq!(offsets(&partition), (0..60).collect::<Vec<_>>());
    for offset in 0..60 {
        assert_eq!(partition.read(offset, 1, i64::MAX, true).unwrap().base_offset, offset);
        assert_eq!(partition.offset_for_time(offset).unwrap(), Some((offset, offset)));
    }
    assert!(segments(&dir, "quarantined").is_empty());
}

#[test]
fn a_lost_checkpoint_costs_a_scan_and_nothing_else() {
    let root = tempfile::tempdir().unwrap();
    let (store, _) = open(root.path());
    let partition = store.create("t", 0).unwrap();
    for _ in 0..30 {
        keep(&partition, Sample { value_bytes: 90, ..Default::default() });
    }
    store.shutdown().unwrap();
    drop((partition, store));
    let path = partition_dir(root.path()).join("checkpoint");
    let mut bytes = fs::read(&path).unwrap();
    bytes[20] ^= 1;
    for damaged in [Some(bytes), None] {
        match damaged {
            Some(bytes) => fs::write(&path, bytes).unwrap(),
            None => fs::remove_file(&path).unwrap(),
        }
        let (store, report) = open(root.path());
        assert_eq!(report.checkpoints_lost, 1);
        assert!(report.bytes_scanned > 0 && report.is_clean());
        assert_eq!(offsets(&store.get("t", 0).unwrap()).len(), 30);
    }
}

#[test]
fn lost_segments_never_make_offsets_come_again() {
    let root = tempfile::tempdir().unwrap();
    let (store, _) = open(root.path());
    let partition = store.create("t", 0).unwrap();
    for _ in 0..30 {
        keep(&partition, Sample { value_bytes: 90, ..Default::default() });
    }
    store.shutdown().unwrap();
    drop((partition, store));
    let dir = partition_dir(root.path());
    fs::remove_file(segments(&dir, "log").pop().unwrap()).unwrap();
    let (store, _) = open(root.path());
    assert_eq!(keep(&store.get("t", 0).unwrap(), Sample::default()).base_offset, 30);
    store.shutdown().unwrap();
    drop(store);
    for log in segments(&dir, "log") {
        fs::remove_file(log).unwrap();
    }
    let (store, _) = open(root.path());
    let partition = store.get("t", 0).unwrap();
    assert_eq!((partition.log_start(), partition.log_end()), (31, 31));
}

#[test]
fn one_bad_directory_does_not_keep_the_others_from_serving() {
    let root = tempfile::tempdir().unwrap();
    let (store, _) = open(root.path());
    keep(&store.create("t", 0).unwrap(), Sample::default());
    keep(&store.create("t", 1).unwrap(), Sample::default());
    store.shutdown().unwrap();
    drop(store);
    let log = segments(&partition_dir(root.path()), "log").remove(0);
    fs::remove_file(&log).unwrap();
    fs::create_dir(&log).unwrap();
    fs::create_dir(root.path().join("t/.half-made")).unwrap();
    let (store, report) = open(root.path());
    assert_eq!((report.partitions, report.failed.len()), (1, 1));
    assert!(store.get("t", 0).is_none() && store.create("t", 0).is_err());
    assert_eq!(offsets(&store.get("t", 1).unwrap()), [0]);
    assert!(!root.path().join("t/.half-made").exists());
}
