use std::collections::BTreeSet;
use std::path::Path;
use std::time::Instant;

use bytes::Bytes;
use logmill_bus_client::Message;
use logmill_core::config::Period;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::config::Config;
use crate::ingest::indexing::Indexing;
use crate::store::testing;

/// The `seq` of every document that a search would see, ascending.
fn seqs(store: &Store) -> Vec<u64> {
    let view = store.view("_all", None).unwrap();
    let mut found: Vec<u64> = view
        .parts
        .iter()
        .flat_map(|part| part.seqs_of(&part.reader.doc_ids_alive().collect::<Vec<_>>()).unwrap())
        .collect();
    found.sort_unstable();
    found
}

/// Documents whose number leaves `rest` when divided by `by`, as a search finds them now.
fn doomed(store: &Store, by: u64, rest: u64) -> Vec<Doomed> {
    let view = store.view("_all", None).unwrap();
    let of = |part: &Arc<Part>| {
        let column = part.reader.fast_fields().u64("seq").unwrap();
        let wanted = |document: &u32| column.first(*document).unwrap() % by == rest;
        Doomed { part: part.clone(), documents: part.reader.doc_ids_alive().filter(wanted).collect() }
    };
    view.parts.iter().map(of).filter(|one| !one.documents.is_empty()).collect()
}

fn documents(count: usize) -> Vec<serde_json::Value> {
    (0..count).map(|n| json!({"@timestamp": 1_767_225_600_000u64 + n as u64, "n": n})).collect()
}

fn folder_bytes(folder: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => bytes.extend(folder_bytes(&path)),
            false => bytes.extend(std::fs::read(&path).unwrap()),
        }
    }
    bytes
}

#[test]
fn what_is_erased_is_gone_at_once_after_a_restart_and_in_time_from_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config { erase_within: Period::secs(1000), ..Config::default() };
    let (store, _) = Store::open(folder.path(), config.clone()).unwrap();
    let mut events = documents(20);
    events[3] = json!({"@timestamp": 0, "message": "jane.doe@example.org was here"});
    testing::add(&store, "logs-a", &events, 10);
    store.flush().unwrap();
    testing::add(&store, "logs-a", &documents(5), 5);
    let jane = doomed(&store, 1000, 3);
    assert_eq!(store.erase(&jane).unwrap(), 1);
    assert_eq!(store.erase(&jane).unwrap(), 0, "it is gone already");
    assert_eq!(store.erase(&doomed(&store, 1000, 21)).unwrap(), 1);
    let left: Vec<u64> = (0..25).filter(|seq| ![3, 21].contains(seq)).collect();
    assert_eq!(seqs(&store), left);
    store.settle_erased(&jane).unwrap();
    drop(store);
    let (store, findings) = Store::open(folder.path(), config).unwrap();
    assert_eq!(findings.damaged.len(), 0);
    assert_eq!(seqs(&store), left);
    let is_there = || folder_bytes(&folder.path().join("splits")).windows(8).any(|bytes| bytes == b"jane.doe");
    assert!(is_there(), "the blocks of the store are not compressed so small");
    let now = now_ms();
    assert!(!store.rewrite_erased(now + 400_000).unwrap());
    assert!(store.rewrite_erased(now + 501_000).unwrap());
    assert!(!store.rewrite_erased(now + 501_000).unwrap());
    assert!(!is_there());
    assert_eq!(seqs(&store), left);
    // Much of a split is rewritten without waiting, and a split of which nothing is left goes.
    assert!(store.erase(&doomed(&store, 1, 0)).unwrap() > 0);
    store.settle_erased(&[]).unwrap();
    while store.rewrite_erased(now).unwrap() {}
    assert_eq!(std::fs::read_dir(folder.path().join("splits")).unwrap().count(), 0);
}

#[test]
fn a_full_disk_keeps_nobody_from_erasing_what_is_on_it() {
    let mut store = testing::store_of("logs-a", &documents(10), 10);
    store.flush().unwrap();
    Arc::get_mut(&mut store).unwrap().config.disk_reserve = logmill_core::config::ByteSize(u64::MAX);
    testing::add(&store, "logs-a", &documents(10), 10);
    let on_disk = doomed(&store, 1000, 4);
    store.erase(&on_disk).unwrap();
    store.settle_erased(&on_disk).unwrap();
    assert_eq!(store.manifest.lock().state().splits().next().unwrap().deleted, [4]);
    let in_memory = doomed(&store, 1000, 14);
    store.erase(&in_memory).unwrap();
    // Told, because a crash would bring it back from the bus.
    assert!(store.settle_erased(&in_memory).is_err());
    assert_eq!(seqs(&store).len(), 18);
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Read(usize),
    MergeMemory,
    Flush,
    MergeSplits,
    Rewrite,
    /// Finds what is to go now and erases it some steps later, as a slow request does.
    Find(u64, u64),
    Erase,
    /// The next pass of a place is a crash.
    Arm(usize),
    Crash,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (1usize..30).prop_map(Step::Read),
        3 => Just(Step::MergeMemory),
        3 => Just(Step::Flush),
        2 => Just(Step::MergeSplits),
        1 => Just(Step::Rewrite),
        4 => (2u64..30, 0u64..30).prop_map(|(by, rest)| Step::Find(by, rest % by)),
        4 => Just(Step::Erase),
        2 => (0usize..100).prop_map(Step::Arm),
        1 => Just(Step::Crash),
    ];
    prop::collection::vec(step, 1..80)
}

fn message(offset: i64) -> Message {
    Message {
        topic: "logs.parsed".into(),
        partition: 0,
        offset,
        timestamp_ms: Some(offset),
        key: None,
        value: Bytes::from(format!("{{\"n\":{offset}}}")),
        headers: vec![(
            logmill_core::origin::INDEX_HEADER.into(),
            Bytes::from_static(if offset % 3 == 0 { b"logs-a" } else { b"logs-b" }),
        )],
    }
}

/// A store, what feeds it, and what a reader of the whole bus knows must be in it.
struct Trial {
    store: Arc<Store>,
    indexing: Indexing,
    /// The next offset to read.
    at: i64,
    /// What was erased and answered.
    erased: BTreeSet<u64>,
    found: Vec<Doomed>,
}

impl Trial {
    fn open(folder: &Path, erased: BTreeSet<u64>) -> Self {
        let store = Arc::new(Store::open(folder, Config::default()).unwrap().0);
        let at = store.durable_offsets().get(&0).copied().unwrap_or(0);
        Self { indexing: Indexing::new(store.clone(), 1000, 100), store, at, erased, found: Vec::new() }
    }

    fn take(&mut self, step: Step) {
        let Self { store, indexing, at, erased, found } = self;
        match step {
            Step::Read(count) => {
                let messages: Vec<_> = (*at..*at + count as i64).map(message).collect();
                indexing.take(&messages, Instant::now(), 1).unwrap();
                indexing.tick().unwrap();
                *at += count as i64;
            }
            Step::MergeMemory => while store.merge_memory().unwrap() {},
            Step::Flush => store.flush().unwrap(),
            Step::MergeSplits => while store.merge_splits(i64::MAX / 2).unwrap() {},
            Step::Rewrite => while store.rewrite_erased(i64::MAX / 2).unwrap() {},
            Step::Find(by, rest) => *found = doomed(store, by, rest),
            Step::Erase => {
                let seqs: Vec<u64> = seqs_of(found);
                let known = seqs.iter().filter(|seq| erased.contains(*seq)).count();
                assert_eq!(store.erase(found).unwrap(), (seqs.len() - known) as u64);
                store.settle_erased(found).unwrap();
                erased.extend(seqs);
            }
            Step::Arm(place) => failpoint::tests::arm(place),
            Step::Crash => std::panic::resume_unwind(Box::new(failpoint::tests::Crash)),
        }
    }
}

fn seqs_of(found: &[Doomed]) -> Vec<u64> {
    found.iter().flat_map(|one| one.part.seqs_of(&one.documents).unwrap()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    /// Whatever is merged, flushed, rewritten or killed between finding and erasing, at any place: what was answered
    /// stays away, and nothing else does.
    #[test]
    fn erased_documents_never_come_back(steps in steps()) {
        let folder = tempfile::tempdir().unwrap();
        failpoint::tests::disarm();
        let mut trial = Trial::open(folder.path(), BTreeSet::new());
        for step in steps {
            let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| trial.take(step)));
            if let Err(end) = ended {
                if !end.is::<failpoint::tests::Crash>() {
                    std::panic::resume_unwind(end);
                }
                let in_doubt = if matches!(step, Step::Erase) { seqs_of(&trial.found) } else { Vec::new() };
                let Trial { store, indexing, erased, .. } = trial;
                drop((store, indexing));
                trial = Trial::open(folder.path(), erased);
                prop_assert!(trial.erased.iter().all(|seq| *seq < trial.at as u64), "answered before it was durable");
                // A deletion that was not answered may have been done, or in part.
                let there: BTreeSet<u64> = seqs(&trial.store).into_iter().collect();
                trial.erased.extend(in_doubt.into_iter().filter(|seq| *seq < trial.at as u64 && !there.contains(seq)));
            }
            let expected: Vec<u64> = (0..trial.at as u64).filter(|seq| !trial.erased.contains(seq)).collect();
            prop_assert_eq!(seqs(&trial.store), expected);
        }
    }
}

/// Erasing while flushes and merges are at work on other threads: their results must not bring anything back.
#[test]
fn erasing_beside_flushes_and_merges() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(Store::open(folder.path(), Config::default()).unwrap().0);
    let worker = {
        let store = store.clone();
        std::thread::spawn(move || {
            for round in 0..80 {
                testing::add(&store, "logs-a", &documents(20), 10);
                testing::add(&store, "logs-b", &documents(20), 10);
                store.merge_memory().unwrap();
                if round % 5 == 4 {
                    store.flush().unwrap();
                }
                if round % 20 == 19 {
                    while store.merge_splits(i64::MAX / 2).unwrap() {}
                }
            }
        })
    };
    let mut erased = BTreeSet::new();
    let mut rest = 0;
    while !worker.is_finished() {
        let found = doomed(&store, 37, rest % 37);
        rest += 1;
        store.erase(&found).unwrap();
        store.settle_erased(&found).unwrap();
        erased.extend(seqs_of(&found));
        assert!(seqs(&store).iter().all(|seq| !erased.contains(seq)));
    }
    worker.join().unwrap();
    store.flush().unwrap();
    drop(store);
    let store = Store::open(folder.path(), Config::default()).unwrap().0;
    assert!(!erased.is_empty());
    assert!(seqs(&store).iter().all(|seq| !erased.contains(seq)));
}
