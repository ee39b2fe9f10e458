//! What a reader of a compacted log sees, against a plain map; and that no crash, no compression and no transaction
//! changes that.

use std::collections::BTreeMap;
use std::path::Path;

use bytes::BytesMut;
use proptest::prelude::*;

use super::*;
use crate::batch::{BatchHeader, check_produced};
use crate::records::{Codec, Parts, put_varint};
use crate::{LogOptions, LogStore, Marker, Stamp};

const DAY: Duration = Duration::from_secs(86_400);
const NEVER: &dyn Fn() -> bool = &|| false;

fn policy() -> Compaction {
    Compaction {
        dirty_ratio_min: 0.0,
        lag_min: Duration::ZERO,
        lag_max: None,
        tombstones_for: DAY,
        memory_bytes: 1 << 20,
    }
}

/// A batch of records, a value of `None` deletes.
fn batch(records: &[(String, Option<String>)], codec: Codec, time_ms: i64, producer: Option<(i64, i32)>) -> BytesMut {
    let mut body = Vec::new();
    for (delta, (key, value)) in records.iter().enumerate() {
        let mut record = vec![0, 0];
        put_varint(&mut record, delta as i64);
        put_varint(&mut record, key.len() as i64);
        record.extend_from_slice(key.as_bytes());
        match value {
            Some(value) => {
                put_varint(&mut record, value.len() as i64);
                record.extend_from_slice(value.as_bytes());
            }
            None => put_varint(&mut record, -1),
        }
        put_varint(&mut record, 0);
        put_varint(&mut body, record.len() as i64);
        body.extend(record);
    }
    let plain = crate::batch::tests::Sample { time_ms, ..Default::default() }.build();
    let header = check_produced(&plain).unwrap()[0].1;
    let parts = Parts {
        base_offset: 0,
        last_offset: records.len() as i64 - 1,
        count: records.len() as i32,
        attributes: if producer.is_some() { crate::batch::TRANSACTIONAL } else { 0 },
        producer: producer.map_or((-1, -1, -1), |(id, sequence)| (id, 0, sequence)),
        ..Parts::of(&header)
    };
    BytesMut::from(&parts.build(codec, &body).unwrap()[..])
}

fn one(key: &str, value: Option<&str>) -> Vec<(String, Option<String>)> {
    vec![(key.to_owned(), value.map(str::to_owned))]
}

fn open_store(root: &Path) -> (LogStore, Arc<Partition>) {
    let options =
        LogOptions { segment_bytes: 600, index_interval_bytes: 150, preallocate_bytes: 0, ..Default::default() };
    let (store, report) = LogStore::open(root, options).unwrap();
    assert!(report.is_clean(), "{report:?}");
    let partition = store.create("t", 0).unwrap();
    (store, partition)
}

fn append(partition: &Partition, batch: BytesMut) -> i64 {
    partition.append(batch, 0, 1_000, Stamp::CreateTime).unwrap().base_offset
}

/// Closes what is written and makes it durable.
fn close(partition: &Partition) {
    let mut writer = partition.writer.lock();
    partition.roll(&mut writer).unwrap();
    drop(writer);
    partition.sync().unwrap();
}

/// Every record that a reader gets: offset, key, value there or not. Checks that batches follow each other.
fn read(partition: &Partition) -> Vec<(i64, String, bool)> {
    let (mut found, mut from) = (Vec::new(), partition.log_start());
    loop {
        let slice = partition.read(from, 400, i64::MAX, true).unwrap();
        if slice.bytes.is_empty() {
            assert_eq!(from, partition.durable_end());
            return found;
        }
        let mut rest: &[u8] = &slice.bytes;
        while let Some(header) = BatchHeader::parse_stored(rest) {
            let (batch, after) = rest.split_at(header.size());
            rest = after;
            if !header.is_control() {
                let bytes = open(&header, batch).unwrap();
                let records: Vec<_> = Records::new(&bytes).collect();
                assert_eq!(records.len() as i32, header.count());
                for record in records {
                    let key = String::from_utf8(record.key.unwrap().to_vec()).unwrap();
                    found.push((header.base_offset + record.offset_delta, key, record.has_value));
                }
            }
        }
        assert!(slice.next_offset > from);
        from = slice.next_offset;
    }
}

fn codec() -> impl Strategy<Value = Codec> {
    prop_oneof![Just(Codec::None), Just(Codec::Gzip), Just(Codec::Snappy), Just(Codec::Lz4), Just(Codec::Zstd)]
}

type Wanted = (Vec<(u8, bool)>, Codec);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn the_last_of_each_key_stays_where_it_was(
        batches in prop::collection::vec((prop::collection::vec((0..12_u8, prop::bool::weighted(0.8)), 1..6), codec()), 1..60),
        rounds in prop::collection::vec(0..60_usize, 0..3),
        memory_bytes in prop_oneof![Just(1 << 20), Just(400_usize)],
    ) {
        let root = tempfile::tempdir().unwrap();
        let (store, partition) = open_store(root.path());
        let mut latest: BTreeMap<String, (i64, bool)> = BTreeMap::new();
        let batches: Vec<Wanted> = batches;
        for (number, (records, codec)) in batches.iter().enumerate() {
            let records: Vec<_> = records
                .iter()
                .map(|(key, there)| (format!("key-{key}"), there.then(|| format!("value {number} {}", "x".repeat(20)))))
                .collect();
            let base = append(&partition, batch(&records, *codec, number as i64, None));
            for (delta, (key, value)) in records.into_iter().enumerate() {
                latest.insert(key, (base + delta as i64, value.is_some()));
            }
            if rounds.contains(&number) {
                partition.sync().unwrap();
                partition.compact(1_000, &policy(), NEVER).unwrap();
            }
        }
        close(&partition);
        let memory = Compaction { memory_bytes, ..policy() };
        let mut turns = 0;
        while let Some(done) = partition.compact(1_000, &memory, NEVER).unwrap() {
            turns += 1;
            prop_assert!(turns < 500);
            if !done.more { break }
        }
        let mut expected: Vec<_> = latest.into_iter().map(|(key, (offset, there))| (offset, key, there)).collect();
        expected.sort();
        prop_assert_eq!(read(&partition), expected.clone());
        let end = partition.log_end();
        drop((partition, store));
        let (_store, partition) = open_store(root.path());
        prop_assert_eq!((read(&partition), partition.log_end()), (expected, end), "and after a crash");
        prop_assert_eq!(partition.log_start(), 0, "who stands anywhere before is not told that it is gone");
        prop_assert_eq!(append(&partition, batch(&one("new", Some("x")), Codec::None, 0, None)), end);
    }
}

#[test]
fn marks_of_deleted_keys_stay_their_time_and_then_go() {
    let root = tempfile::tempdir().unwrap();
    let (_store, partition) = open_store(root.path());
    append(&partition, batch(&one("a", Some("1")), Codec::Zstd, 0, None));
    append(&partition, batch(&one("a", None), Codec::Zstd, 0, None));
    append(&partition, batch(&one("b", Some("1")), Codec::Zstd, 0, None));
    close(&partition);
    partition.compact(5_000, &policy(), NEVER).unwrap().unwrap();
    assert_eq!(read(&partition), [(1, "a".to_owned(), false), (2, "b".to_owned(), true)]);
    let times = partition.offset_for_time(0).unwrap();
    assert_eq!(times, Some((1, 0)), "its time is what it was");
    let day_ms = 86_400_000;
    for (now_ms, left) in [(5_000 + day_ms - 1, 3), (5_000 + day_ms, 2)] {
        append(&partition, batch(&one("c", Some("1")), Codec::None, 0, None));
        close(&partition);
        partition.compact(now_ms, &policy(), NEVER).unwrap().unwrap();
        assert_eq!(read(&partition).len(), left, "{:?}", read(&partition));
    }
}

#[test]
fn transactions_are_settled_and_open_ones_left_alone() {
    let root = tempfile::tempdir().unwrap();
    let (store, partition) = open_store(root.path());
    let end = |id, commit| {
        let marker = Marker { producer_id: id, producer_epoch: 0, coordinator_epoch: 0, commit };
        partition.append_marker(&marker, 0, 1_000).unwrap();
    };
    append(&partition, batch(&one("a", Some("old")), Codec::None, 0, None));
    append(&partition, batch(&one("b", Some("old")), Codec::None, 0, None));
    append(&partition, batch(&one("a", Some("committed")), Codec::None, 0, Some((1, 0))));
    append(&partition, batch(&one("b", Some("aborted")), Codec::None, 0, Some((2, 0))));
    end(1, true);
    end(2, false);
    close(&partition);
    append(&partition, batch(&one("c", Some("open")), Codec::None, 0, Some((2, 1))));
    append(&partition, batch(&one("a", Some("newest")), Codec::None, 0, None));
    close(&partition);
    assert_eq!(partition.stable_end(), 6);
    partition.compact(5_000, &policy(), NEVER).unwrap().unwrap();
    let keys: Vec<_> = read(&partition).into_iter().map(|(offset, key, _)| (offset, key)).collect();
    let expected = [(1, "b"), (2, "a"), (6, "c"), (7, "a")].map(|(offset, key)| (offset, key.to_owned()));
    assert_eq!(keys, expected, "what is open outdates nothing yet");
    let told = partition.aborted(0, 6).unwrap();
    assert_eq!(told.len(), 1, "with its marker still there a reader may be told of it");
    end(2, true);
    close(&partition);
    partition.compact(6_000, &policy(), NEVER).unwrap().unwrap();
    let keys: Vec<_> = read(&partition).into_iter().map(|(offset, key, _)| (offset, key)).collect();
    assert_eq!(keys, [(1, "b"), (6, "c"), (7, "a")].map(|(offset, key)| (offset, key.to_owned())));
    drop((partition, store));
    for lost in [false, true] {
        if lost {
            fs::remove_file(root.path().join("t/0/checkpoint")).unwrap();
        }
        let (_store, partition) = open_store(root.path());
        assert_eq!((read(&partition).len(), partition.stable_end()), (3, 9), "checkpoint lost: {lost}");
    }
}

#[test]
fn small_segments_are_joined_and_a_crash_before_the_old_are_gone_is_healed() {
    let root = tempfile::tempdir().unwrap();
    let (store, partition) = open_store(root.path());
    let dir = root.path().join("t/0");
    for number in 0..40 {
        append(&partition, batch(&one(&format!("k{}", number % 5), Some("some value")), Codec::None, 0, None));
    }
    close(&partition);
    let bases = segment::list(&dir).unwrap();
    assert!(bases.len() > 5);
    let second = segment::log_path(&dir, bases[1]);
    let saved = fs::read(&second).unwrap();
    partition.tune(crate::Tuning { segment_bytes: 1 << 20, segment_age: None });
    partition.compact(0, &policy(), NEVER).unwrap().unwrap();
    let after = read(&partition);
    assert_eq!(after.iter().map(|(offset, _, _)| *offset).collect::<Vec<_>>(), [35, 36, 37, 38, 39]);
    assert_eq!(segment::list(&dir).unwrap().len(), 2, "one for what is left, one that is written");
    drop((partition, store));
    fs::write(&second, saved).unwrap();
    fs::write(dir.join("00000000000000000000.compact.tmp"), b"half").unwrap();
    let (_store, partition) = open_store(root.path());
    assert_eq!(read(&partition), after);
    assert!(!second.exists() && !dir.join("00000000000000000000.compact.tmp").exists());
}

#[test]
fn it_waits_until_it_is_worth_it_and_stops_when_told() {
    let root = tempfile::tempdir().unwrap();
    let (_store, partition) = open_store(root.path());
    let write = |count| {
        for number in 0..count {
            append(&partition, batch(&one(&format!("k{number}"), Some("some value")), Codec::None, 1_000, None));
        }
        close(&partition);
    };
    write(40);
    let half = Compaction { dirty_ratio_min: 0.5, ..policy() };
    let young = Compaction { lag_min: Duration::from_secs(10), ..policy() };
    assert_eq!(partition.compact(9_000, &young, NEVER).unwrap(), None);
    assert_eq!(partition.compact(9_000, &half, &|| true).unwrap(), Some(Compacted::default()));
    assert!(partition.compact(9_000, &half, NEVER).unwrap().is_some());
    write(10);
    assert_eq!(partition.compact(9_000, &half, NEVER).unwrap(), None, "a fifth is not yet half");
    let impatient = Compaction { lag_max: Some(Duration::from_secs(1)), ..half };
    assert!(partition.compact(9_000, &impatient, NEVER).unwrap().is_some());
    assert_eq!(partition.compact(9_000, &impatient, NEVER).unwrap(), None, "nothing new");
}

#[test]
fn readers_go_on_while_their_segments_are_replaced() {
    let root = tempfile::tempdir().unwrap();
    let (_store, partition) = open_store(root.path());
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (partition, done) = (&partition, &done);
        let reader = scope.spawn(move || {
            let mut reads = 0;
            while !done.load(std::sync::atomic::Ordering::SeqCst) {
                read_some(partition);
                reads += 1;
            }
            reads
        });
        for number in 0..400 {
            append(partition, batch(&one(&format!("k{}", number % 7), Some("some value")), Codec::Lz4, 0, None));
            if number % 20 == 19 {
                close(partition);
                partition.compact(0, &policy(), NEVER).unwrap();
            }
        }
        done.store(true, std::sync::atomic::Ordering::SeqCst);
        assert!(reader.join().unwrap() > 0);
    });
    assert_eq!(read(&partition).len(), 7);
    assert!(
        fs::read_dir(root.path().join("t/0"))
            .unwrap()
            .all(|entry| { !entry.unwrap().file_name().to_string_lossy().contains("quarantined") })
    );
}

fn read_some(partition: &Partition) {
    let mut from = partition.log_start();
    while from < partition.durable_end() {
        let slice = partition.read(from, 400, i64::MAX, true).unwrap();
        if slice.bytes.is_empty() {
            return;
        }
        from = slice.next_offset;
    }
}
