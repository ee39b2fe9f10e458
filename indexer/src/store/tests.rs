use std::collections::BTreeSet;
use std::path::Path;
use std::time::Instant;

use bytes::Bytes;
use logmill_bus_client::Message;
use logmill_core::config::{ByteSize, Period};
use logmill_core::origin::{ORIGIN_HEADER, SOURCE_HEADER};
use proptest::prelude::*;
use serde_json::json;
use tantivy::query::{EnableScoring, Query as _, TermQuery};
use tantivy::schema::IndexRecordOption;

use super::*;
use crate::ingest::indexing::Indexing;

fn count(view: &View, query: &TermQuery) -> usize {
    let weight = query.weight(EnableScoring::disabled_from_schema(&crate::schema::schema().0)).unwrap();
    view.parts.iter().map(|part| weight.count(&part.reader).unwrap() as usize).sum()
}

#[test]
fn what_was_added_is_found_by_its_words_and_fields() {
    let documents: Vec<_> = (0..10)
        .map(|n| json!({"@timestamp": format!("2026-01-0{}T00:00:00Z", n % 9 + 1), "message": "Hello World", "n": n, "log": {"level": "INFO"}}))
        .collect();
    let store = testing::store_of("logs-a", &documents, 3);
    for _ in 0..2 {
        let view = store.view("logs-*", None).unwrap();
        let fields = crate::schema::schema().1;
        let word = tantivy::Term::from_field_text(fields.message, "world");
        assert_eq!(count(&view, &TermQuery::new(word, IndexRecordOption::Basic)), 10);
        let mut level = tantivy::Term::from_field_json_path(fields.keyword, "log.level", true);
        level.append_type_and_str("INFO");
        assert_eq!(count(&view, &TermQuery::new(level, IndexRecordOption::Basic)), 10);
        let mut number = tantivy::Term::from_field_json_path(fields.keyword, "n", true);
        number.append_type_and_fast_value(7i64);
        assert_eq!(count(&view, &TermQuery::new(number, IndexRecordOption::Basic)), 1);
        assert_eq!(view.mappings.values().next().unwrap().get("n"), Some(&registry::FieldType::Long));
        let summary = &store.indices()[0];
        assert_eq!((summary.docs, summary.name.as_ref()), (10, "logs-a"));
        // The same again from disk.
        store.flush().unwrap();
        assert_eq!(store.view("logs-*", None).unwrap().parts.len(), 1);
    }
}

#[test]
fn parts_outside_the_asked_time_are_left_out() {
    let documents: Vec<_> = (1..=9).map(|n| json!({"@timestamp": format!("2026-01-0{n}T00:00:00Z")})).collect();
    let store = testing::store_of("logs-a", &documents, 1);
    let day = |n: i64| 1_767_225_600_000_000_000 + (n - 1) * 86_400_000_000_000;
    assert_eq!(store.view("_all", Some(&(day(2)..=day(4)))).unwrap().parts.len(), 3);
    assert_eq!(store.view("_all", Some(&(day(10)..=day(14)))).unwrap().parts.len(), 0);
    assert_eq!(store.view("logs-b", None).unwrap_err(), NoSuchIndex("logs-b".into()));
}

/// The `seq` of every document that a search would see, in order of the parts.
fn seqs(store: &Store) -> Vec<u64> {
    let mut found = Vec::new();
    for part in store.view("_all", None).unwrap().parts {
        let column = part.reader.fast_fields().u64("seq").unwrap();
        found.extend(part.reader.doc_ids_alive().map(|document| column.first(document).unwrap()));
    }
    found
}

/// A bus of two partitions in which some records are doubled, as shippers do after a crash.
fn log(partition: i32, lengths: &[(u64, u64)]) -> Vec<Message> {
    let mut records = Vec::new();
    let mut sent = 0;
    for (back, count) in lengths {
        for number in sent - sent.min(*back)..sent + count {
            records.push(Message {
                topic: "logs.parsed".into(),
                partition,
                offset: records.len() as i64,
                timestamp_ms: Some(number as i64),
                key: None,
                value: Bytes::from(format!("{{\"number\":{number},\"message\":\"line {number}\"}}")),
                headers: vec![
                    (SOURCE_HEADER.into(), Bytes::from_static(b"file")),
                    (ORIGIN_HEADER.into(), Bytes::from(format!("0:{number}:{}:0", number + 1))),
                    (logmill_core::origin::INDEX_HEADER.into(), Bytes::from(format!("logs-{}", number % 3))),
                ],
            });
        }
        sent += count;
    }
    records
}

fn open(folder: &Path) -> Arc<Store> {
    let config = Config { split_bytes_max: ByteSize(64 << 20), ..Config::default() };
    let (store, findings) = Store::open(folder, config).unwrap();
    assert_eq!(findings.damaged, Vec::<String>::new());
    Arc::new(store)
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Read(usize),
    /// So many records are seen on the bus.
    Look(i64),
    Tick,
    MergeMemory,
    Flush,
    MergeSplits,
    Seal,
    Crash,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (1usize..30).prop_map(Step::Read),
        2 => prop_oneof![Just(0i64), Just(1 << 20)].prop_map(Step::Look),
        6 => Just(Step::Tick),
        3 => Just(Step::MergeMemory),
        2 => Just(Step::Flush),
        1 => Just(Step::MergeSplits),
        1 => Just(Step::Seal),
        1 => Just(Step::Crash),
    ];
    prop::collection::vec(step, 1..80)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn whatever_happens_each_origin_is_stored_once(
        steps in steps(),
        one in prop::collection::vec((0u64..15, 1u64..30), 1..8),
        two in prop::collection::vec((0u64..15, 1u64..30), 1..8),
    ) {
        let logs = [log(0, &one), log(1, &two)];
        let total = |lengths: &[(u64, u64)]| lengths.iter().map(|(_, count)| count).sum::<u64>();
        let folder = tempfile::tempdir().unwrap();
        let mut store = open(folder.path());
        let mut indexing = Indexing::new(store.clone(), 1000, 100);
        let mut at = [0usize; 2];
        let finish = (0..40).flat_map(|_| [Step::Read(50), Step::Tick]);
        for step in steps.into_iter().chain(finish) {
            match step {
                Step::Read(count) => for (log, at) in logs.iter().zip(&mut at) {
                    let end = (*at + count).min(log.len());
                    indexing.take(&log[*at..end], Instant::now(), 1).unwrap();
                    *at = end;
                },
                Step::Look(end) => store.looked(Some((Timestamp::now(), [(0, end)].into()))),
                Step::Tick => drop(indexing.tick().unwrap()),
                Step::MergeMemory => while store.merge_memory().unwrap() {},
                Step::Flush => store.flush().unwrap(),
                Step::MergeSplits => while store.merge_splits(0).unwrap() {},
                Step::Seal => while store.seal_splits(i64::MAX / 2).unwrap().is_some() {},
                Step::Crash => {
                    drop(indexing);
                    drop(store);
                    store = open(folder.path());
                    indexing = Indexing::new(store.clone(), 1000, 100);
                    let next = store.durable_offsets();
                    at = [0, 1].map(|partition| next.get(&partition).copied().unwrap_or(0) as usize);
                }
            }
            let seen = seqs(&store);
            prop_assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), seen.len());
        }
        prop_assert_eq!(seqs(&store).len() as u64, total(&one) + total(&two));
        let numbers = |view: &View, wanted: u64| view.parts.iter().flat_map(|part| {
            let column = part.reader.fast_fields().i64("keyword.number").unwrap();
            let seq = part.reader.fast_fields().u64("seq").unwrap();
            part.reader.doc_ids_alive()
                .filter(|document| seq.first(*document).unwrap() >> 48 == wanted)
                .map(|document| column.first(document).unwrap()).collect::<Vec<_>>()
        }).collect::<BTreeSet<_>>();
        let view = store.view("_all", None).unwrap();
        for (partition, lengths) in [(0, &one), (1, &two)] {
            prop_assert_eq!(numbers(&view, partition), (0..total(lengths) as i64).collect());
        }
    }
}

/// Documents for one index: `count` with growing numbers.
fn documents(count: usize) -> Vec<serde_json::Value> {
    (0..count)
        .map(|n| json!({"@timestamp": 1_767_225_600_000u64 + n as u64, "message": format!("line {n}"), "n": n}))
        .collect()
}

#[test]
fn a_view_has_each_document_once_while_parts_are_merged_and_flushed() {
    let store = testing::empty();
    let writer = {
        let store = store.clone();
        std::thread::spawn(move || {
            for round in 0..60 {
                testing::add(&store, "logs-a", &documents(20), 5);
                store.merge_memory().unwrap();
                if round % 7 == 0 {
                    store.flush().unwrap();
                }
                if round % 20 == 0 {
                    store.merge_splits(0).unwrap();
                    store.seal_splits(i64::MAX / 2).unwrap();
                }
            }
        })
    };
    let mut last = 0;
    while !writer.is_finished() {
        let seen = seqs(&store);
        assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), seen.len());
        assert_eq!(seen.iter().max().map_or(0, |seq| *seq as usize + 1), seen.len());
        assert!(seen.len() >= last);
        last = seen.len();
    }
    writer.join().unwrap();
    assert_eq!(seqs(&store).len(), 1200);
    store.flush().unwrap();
    let force = seal::Force { splits_max: Some(1), ..seal::Force::default() };
    store.force_merge("logs-a", force).unwrap();
    assert_eq!(seqs(&store).len(), 1200);
    assert_eq!(store.view("_all", None).unwrap().parts.len(), 1);
    let left = std::fs::read_dir(store.splits_folder()).unwrap().count();
    assert_eq!(left, 1);
}

#[test]
fn a_damaged_split_is_put_aside_and_the_others_are_searched() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    for _ in 0..3 {
        testing::add(&store, "logs-a", &documents(10), 10);
        store.flush().unwrap();
    }
    let ids = store.split_ids();
    drop(store);
    let splits = folder.path().join("splits");
    // One file is cut short, and bytes of another are changed without changing its length.
    let victim = |id: u64, kind: &str| {
        let folder = split::folder_of(&splits, id);
        std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .find(|path| path.to_string_lossy().ends_with(kind))
            .unwrap()
    };
    let store_file = victim(ids[0], ".store");
    let bytes = std::fs::read(&store_file).unwrap();
    std::fs::write(&store_file, &bytes[..bytes.len() / 2]).unwrap();
    let terms = victim(ids[1], ".term");
    let mut bytes = std::fs::read(&terms).unwrap();
    bytes[10] ^= 0xff;
    std::fs::write(&terms, &bytes).unwrap();
    std::fs::create_dir(splits.join("00000000000000ff")).unwrap();
    let (store, findings) = Store::open(folder.path(), Config::default()).unwrap();
    assert_eq!((findings.damaged.len(), findings.orphans), (1, 1), "{findings:?}");
    assert_eq!(seqs(&store).len(), 20);
    assert!(store.verify_split(ids[2]).is_none());
    assert!(store.verify_split(ids[1]).is_some());
    assert_eq!(seqs(&store).len(), 10);
    assert_eq!(std::fs::read_dir(folder.path().join("quarantine")).unwrap().count(), 2);
    drop(store);
    let (store, findings) = Store::open(folder.path(), Config::default()).unwrap();
    // Told at every start until they are repaired.
    assert_eq!(findings.damaged.len(), 2);
    assert_eq!(seqs(&store).len(), 10);
}

#[test]
fn splits_past_their_time_or_beyond_the_size_go() {
    let mut store = testing::empty();
    Arc::get_mut(&mut store).unwrap().config.retention.age = Some(Period::secs(86_400));
    for day in 1..=4 {
        testing::add(&store, "logs-a", &[json!({"@timestamp": format!("2026-01-0{day}T12:00:00Z")})], 1);
        store.flush().unwrap();
    }
    let noon_of_the_fourth = 1_767_225_600_000_000_000 + 3 * 86_400_000_000_000 + 43_200_000_000_000;
    assert_eq!(store.retain(noon_of_the_fourth).unwrap(), 2);
    assert_eq!(seqs(&store).len(), 2);
    Arc::get_mut(&mut store).unwrap().config.retention =
        crate::config::Retention { bytes: Some(ByteSize(1)), ..Default::default() };
    assert_eq!(store.retain(noon_of_the_fourth).unwrap(), 2);
    assert_eq!(std::fs::read_dir(store.splits_folder()).unwrap().count(), 0);
    assert_eq!(store.indices().len(), 1);
}

#[tokio::test]
async fn indexes_are_made_and_removed_for_good() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.create_with("logs-a", &directory::Body::default(), false).unwrap();
    assert!(matches!(store.create_with("logs-a", &directory::Body::default(), false), Err(ChangeError::Exists(_))));
    assert!(matches!(store.create_with("Logs A", &directory::Body::default(), false), Err(ChangeError::Name(_))));
    testing::add(&store, "logs-b", &documents(5), 2);
    store.delete_index("logs-b").await.unwrap();
    assert!(matches!(store.delete_index("logs-b").await, Err(ChangeError::Missing(_))));
    drop(store);
    let store = open(folder.path());
    let names: Vec<_> = store.indices().into_iter().map(|index| index.name.to_string()).collect();
    assert_eq!(names, ["logs-a"]);
    assert!(matches!(Store::open(folder.path(), Config::default()), Err(OpenError::Used(_))));
}

#[test]
fn without_free_disk_nothing_is_written_and_nothing_is_lost() {
    let mut store = testing::empty();
    Arc::get_mut(&mut store).unwrap().config.disk_reserve = ByteSize(u64::MAX);
    testing::add(&store, "logs-a", &documents(10), 5);
    let error = store.flush().unwrap_err().to_string();
    assert!(error.contains("disk_reserve"), "{error}");
    assert_eq!(seqs(&store).len(), 10);
    Arc::get_mut(&mut store).unwrap().config.disk_reserve = ByteSize(0);
    store.flush().unwrap();
    assert_eq!((seqs(&store).len(), store.hot_bytes()), (10, 0));
}

#[test]
fn on_a_low_disk_the_oldest_go_when_told_so() {
    let mut store = testing::empty();
    for day in 1..=3 {
        testing::add(&store, "logs-a", &[json!({"@timestamp": format!("2026-01-0{day}T12:00:00Z")})], 1);
        store.flush().unwrap();
    }
    Arc::get_mut(&mut store).unwrap().config.disk_reserve = ByteSize(u64::MAX / 2);
    assert_eq!(store.retain(0).unwrap(), 0);
    Arc::get_mut(&mut store).unwrap().config.disk_policy = crate::config::DiskPolicy::DropOldest;
    let read = store.view("logs-a", None).unwrap();
    let bytes: u64 = read.parts.iter().map(|part| part.bytes).sum();
    assert_eq!(store.retain(0).unwrap(), 3);
    // The disk has their bytes back when nobody reads them any more; until then no others go in their stead.
    assert_eq!(store.leaving_bytes(), bytes);
    drop(read);
    assert_eq!(store.leaving_bytes(), 0);
}

#[test]
fn a_policy_ages_an_index_also_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    testing::add(&store, "logs-a", &[json!({"@timestamp": "2026-01-01T12:00:00Z"})], 1);
    testing::add(&store, "logs-b", &[json!({"@timestamp": "2026-01-01T12:00:00Z"})], 1);
    store.flush().unwrap();
    store.set_max_age("logs-a", Some(std::time::Duration::from_secs(86_400))).unwrap();
    assert!(matches!(store.set_max_age("none", None), Err(ChangeError::Missing(_))));
    drop(store);
    let store = open(folder.path());
    let days_later = 1_767_225_600_000_000_000 + 5 * 86_400_000_000_000;
    assert_eq!(store.retain(days_later).unwrap(), 1);
    assert_eq!(store.view("logs-b", None).unwrap().parts.len(), 1);
}
