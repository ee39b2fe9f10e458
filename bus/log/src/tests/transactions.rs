//! Transactions in one partition: what a reader of committed records sees, through restarts, losses and trims.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use proptest::prelude::*;

use super::*;
use crate::batch::BatchHeader;
use crate::{AbortedTransaction, Marker, ReadError};

fn marker(producer_id: i64, commit: bool) -> Marker {
    Marker { producer_id, producer_epoch: 0, coordinator_epoch: 0, commit }
}

fn within(producer_id: i64, sequence: i32) -> Sample {
    Sample { producer: Some((producer_id, 0, sequence)), transactional: true, value_bytes: 100, ..Default::default() }
}

fn finish(partition: &Partition, producer_id: i64, commit: bool) -> Appended {
    let appended = partition.append_marker(&marker(producer_id, commit), 0, 1).unwrap();
    block_on(partition.wait_durable(appended.end_offset)).unwrap();
    appended
}

/// Reads as clients do: what belongs to an aborted transaction is skipped from its first offset to its marker.
fn committed(partition: &Partition, max_bytes: usize) -> Vec<i64> {
    let (mut from, mut kept) = (partition.log_start(), Vec::new());
    loop {
        let slice = partition.read(from, max_bytes, partition.stable_end(), true).unwrap();
        if slice.bytes.is_empty() {
            return kept;
        }
        let mut aborted = partition.aborted(slice.base_offset, slice.next_offset).unwrap();
        aborted.reverse();
        let mut skipped = BTreeSet::new();
        let mut bytes = &slice.bytes[..];
        while let Some(header) = BatchHeader::parse_stored(bytes) {
            while aborted.last().is_some_and(|next| next.first_offset <= header.last_offset()) {
                skipped.insert(aborted.pop().unwrap().producer_id);
            }
            if header.is_control() {
                skipped.remove(&header.producer_id);
            } else if header.last_offset() >= from
                && !(header.is_transactional() && skipped.contains(&header.producer_id))
            {
                kept.push(header.base_offset);
            }
            bytes = &bytes[header.size()..];
        }
        from = slice.next_offset;
    }
}

#[test]
fn committed_records_show_with_their_marker_and_aborted_ones_never() {
    let root = tempfile::tempdir().unwrap();
    let (store, _) = open(root.path());
    let partition = store.create("t", 0).unwrap();
    keep(&partition, Sample::default());
    keep(&partition, within(7, 0));
    keep(&partition, within(8, 0));
    keep(&partition, Sample::default());
    assert_eq!((partition.stable_end(), partition.durable_end()), (1, 4));
    assert_eq!(committed(&partition, 1 << 20), [0]);
    let ended = finish(&partition, 7, false);
    assert_eq!((ended.base_offset, ended.end_offset, ended.duplicate), (4, 5, false));
    assert_eq!((partition.stable_end(), committed(&partition, 1 << 20)), (2, vec![0]));
    finish(&partition, 8, true);
    assert_eq!((partition.stable_end(), committed(&partition, 1 << 20)), (6, vec![0, 2, 3]));
    assert_eq!(partition.aborted(0, 6).unwrap(), [AbortedTransaction { producer_id: 7, first_offset: 1 }]);
    assert_eq!(partition.aborted(5, 6).unwrap(), []);
    assert!(finish(&partition, 8, true).duplicate, "an ended transaction is not ended twice");
    assert_eq!(partition.log_end(), 6);
    let described: Vec<_> = partition.producers().iter().map(|producer| producer.transaction).collect();
    assert_eq!(described, [None, None]);
}

#[test]
fn a_reader_that_waits_hears_of_the_marker_alone() {
    let root = tempfile::tempdir().unwrap();
    let (store, _) = open(root.path());
    let partition = store.create("t", 0).unwrap();
    keep(&partition, within(7, 0));
    let mut changes = partition.stable_changes();
    keep(&partition, Sample::default());
    assert!(!changes.has_changed().unwrap());
    finish(&partition, 7, true);
    assert_eq!((changes.has_changed().unwrap(), *changes.borrow_and_update()), (true, 3));
}

#[test]
fn a_producer_of_whom_only_a_marker_is_left_may_go_on() {
    let root = tempfile::tempdir().unwrap();
    let (store, _) = open(root.path());
    let partition = store.create("t", 0).unwrap();
    for sequence in 0..20 {
        keep(&partition, within(3, sequence));
    }
    for _ in 20..40 {
        keep(&partition, Sample { value_bytes: 100, ..Default::default() });
    }
    finish(&partition, 3, true);
    partition.delete_before(40).unwrap();
    drop((partition, store));
    let dir = partition_dir(root.path());
    fs::remove_file(dir.join("checkpoint")).unwrap();
    let (store, _) = open(root.path());
    let partition = store.get("t", 0).unwrap();
    assert!(partition.log_start() > 19, "the records are gone");
    assert_eq!(append(&partition, within(3, 20)).unwrap().base_offset, 41);
}

#[test]
fn a_log_cut_at_every_byte_of_its_marker_leaves_the_transaction_open() {
    let root = tempfile::tempdir().unwrap();
    let (store, _) = LogStore::open(root.path(), LogOptions::default()).unwrap();
    let partition = store.create("t", 0).unwrap();
    keep(&partition, within(7, 0));
    let before = partition.size_bytes() as usize;
    finish(&partition, 7, false);
    let end = partition.size_bytes() as usize;
    drop((partition, store));
    let dir = partition_dir(root.path());
    let segment = segments(&dir, "log").remove(0);
    let file = fs::read(&segment).unwrap();
    let checkpoint = fs::read(dir.join("checkpoint")).unwrap();
    for cut in before..=end {
        fs::write(&segment, &file[..cut]).unwrap();
        fs::write(dir.join("checkpoint"), &checkpoint).unwrap();
        let (store, report) = LogStore::open(root.path(), LogOptions::default()).unwrap();
        assert!(report.quarantined.is_empty());
        let partition = store.get("t", 0).unwrap();
        let whole = cut == end;
        assert_eq!(partition.stable_end(), if whole { 2 } else { 0 }, "cut at {cut}");
        assert_eq!(finish(&partition, 7, false).duplicate, whole, "cut at {cut}");
        assert_eq!((partition.stable_end(), committed(&partition, 1)), (2, vec![]));
    }
}

#[test]
fn lists_leave_with_their_segments_and_damaged_ones_are_made_anew() {
    let root = tempfile::tempdir().unwrap();
    let (store, _) = open(root.path());
    let partition = store.create("t", 0).unwrap();
    for round in 0..30 {
        keep(&partition, within(7, round));
        finish(&partition, 7, round % 3 == 0);
    }
    let dir = partition_dir(root.path());
    let lists = segments(&dir, "aborted");
    assert!(lists.len() > 2);
    let expected = committed(&partition, 1);
    assert_eq!(expected.len(), 10);
    store.shutdown().unwrap();
    drop((partition, store));
    fs::remove_file(&lists[1]).unwrap();
    let mut damaged = fs::read(&lists[0]).unwrap();
    damaged[20] ^= 1;
    fs::write(&lists[0], damaged).unwrap();

    let (store, report) = open(root.path());
    assert!(report.indexes_rebuilt > 0);
    let partition = store.get("t", 0).unwrap();
    assert_eq!(committed(&partition, 1), expected);
    fs::write(&lists[0], b"short").unwrap();
    assert!(matches!(partition.aborted(0, 5), Err(ReadError::Io { .. })), "never as if nothing had been aborted");
    partition.delete_before(40).unwrap();
    assert_eq!(segments(&dir, "aborted").first().map(|first| *first > lists[1]), Some(true));
    assert_eq!(committed(&partition, 1), expected.into_iter().filter(|offset| *offset >= 40).collect::<Vec<_>>());
}

#[test]
fn many_aborts_close_their_segment() {
    let root = tempfile::tempdir().unwrap();
    let (store, _) = LogStore::open(root.path(), LogOptions::default()).unwrap();
    let partition = store.create("t", 0).unwrap();
    for round in 0..crate::aborted::ABORTED_MAX as i32 + 10 {
        append(&partition, Sample { value_bytes: 1, ..within(7, round) }).unwrap();
        partition.append_marker(&marker(7, false), 0, 1).unwrap();
    }
    assert_eq!(segments(&partition_dir(root.path()), "aborted").len(), 1);
    assert!(partition.shared.read().stability.aborted.len() < 20);
}

#[test]
fn a_partition_of_the_first_format_opens_with_all_that_it_knew() {
    let root = tempfile::tempdir().unwrap();
    drop(open(root.path()).0.create("t", 0).unwrap());
    let dir = partition_dir(root.path());
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/tests/fixtures/partition_v1");
    fs::remove_dir_all(&dir).unwrap();
    fs::create_dir(&dir).unwrap();
    for entry in fs::read_dir(fixture).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, dir.join(path.file_name().unwrap())).unwrap();
    }
    let (store, report) = open(root.path());
    assert!(report.is_clean() && report.checkpoints_lost == 0, "{report:?}");
    assert_eq!(report.bytes_scanned, 0);
    let partition = store.get("t", 0).unwrap();
    assert_eq!((partition.log_start(), partition.log_end(), partition.stable_end()), (5, 16, 16));
    let again = Sample { records: 2, producer: Some((5, 0, 14)), value_bytes: 100, ..Default::default() };
    assert!(keep(&partition, again).duplicate, "the producers are known");
    keep(&partition, within(9, 0));
    assert_eq!(partition.stable_end(), 16);
    partition.checkpoint().unwrap();
    drop((partition, store));
    assert_eq!(open(root.path()).0.get("t", 0).unwrap().stable_end(), 16);
}

#[derive(Clone, Debug)]
enum Act {
    Write(i64),
    Plain,
    End(i64, bool),
    Checkpoint,
    Trim,
    Restart { clean: bool, lose_checkpoint: bool, lose_lists: bool },
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        10 => (0..4_i64).prop_map(Act::Write),
        3 => Just(Act::Plain),
        8 => (0..4_i64, any::<bool>()).prop_map(|(producer, commit)| Act::End(producer, commit)),
        1 => Just(Act::Checkpoint),
        1 => Just(Act::Trim),
        1 => (any::<bool>(), prop::bool::weighted(0.3), prop::bool::weighted(0.3))
            .prop_map(|(clean, lose_checkpoint, lose_lists)| Act::Restart { clean, lose_checkpoint, lose_lists }),
    ]
}

/// What should be seen.
#[derive(Default)]
struct Model {
    sequences: HashMap<i64, i32>,
    /// First offset and records of what is open.
    open: BTreeMap<i64, (i64, Vec<i64>)>,
    committed: BTreeSet<i64>,
}

impl Model {
    fn stable_end(&self, partition: &Partition) -> i64 {
        let firsts = self.open.values().map(|(first, _)| *first);
        firsts.fold(partition.log_end(), i64::min).max(partition.log_start())
    }

    fn check(&self, partition: &Partition) {
        block_on(partition.wait_durable(partition.log_end())).unwrap();
        let (start, end) = (partition.log_start(), self.stable_end(partition));
        assert_eq!(partition.stable_end(), end);
        let expected: Vec<i64> = self.committed.range(start..end.max(start)).copied().collect();
        for max_bytes in [1, 700, 1 << 20] {
            assert_eq!(committed(partition, max_bytes), expected, "in reads of {max_bytes}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn readers_of_committed_records_see_all_of_a_transaction_or_nothing(acts in prop::collection::vec(act(), 1..60)) {
        let root = tempfile::tempdir().unwrap();
        let dir = partition_dir(root.path());
        let mut store = open(root.path()).0;
        let mut partition = store.create("t", 0).unwrap();
        let mut model = Model::default();
        for act in acts {
            match act {
                Act::Write(producer) => {
                    let sequence = model.sequences.entry(producer).or_default();
                    let at = append(&partition, within(producer, *sequence)).unwrap().base_offset;
                    *sequence += 1;
                    model.open.entry(producer).or_insert((at, Vec::new())).1.push(at);
                }
                Act::Plain => {
                    let at = append(&partition, Sample { value_bytes: 90, ..Default::default() }).unwrap().base_offset;
                    model.committed.insert(at);
                }
                Act::End(producer, commit) => {
                    let ended = partition.append_marker(&marker(producer, commit), 0, 1).unwrap();
                    let known = model.open.remove(&producer);
                    prop_assert_eq!(ended.duplicate, known.is_none());
                    model.committed.extend(known.filter(|_| commit).into_iter().flat_map(|(_, records)| records));
                }
                Act::Checkpoint => partition.checkpoint().unwrap(),
                Act::Trim => {
                    // Not into an open transaction: what is left of it would begin later after a lost checkpoint.
                    block_on(partition.wait_durable(partition.log_end())).unwrap();
                    partition.delete_before(model.stable_end(&partition) / 2).unwrap_or(());
                }
                Act::Restart { clean, lose_checkpoint, lose_lists } => {
                    block_on(partition.wait_durable(partition.log_end())).unwrap();
                    let start = partition.log_start();
                    if clean {
                        store.shutdown().unwrap();
                    }
                    drop((partition, store));
                    if lose_lists {
                        segments(&dir, "aborted").iter().for_each(|path| fs::remove_file(path).unwrap());
                    }
                    if lose_checkpoint {
                        fs::remove_file(dir.join("checkpoint")).unwrap();
                    }
                    store = open(root.path()).0;
                    partition = store.get("t", 0).unwrap();
                    prop_assert!(lose_checkpoint || partition.log_start() == start);
                }
            }
        }
        model.check(&partition);
    }
}
