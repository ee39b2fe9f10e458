mod away;

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use logmill_core::config::{ByteSize, Period};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::config::{Cold, Retention, Snapshots};
use crate::query::execute;
use crate::query::limits::Allowance;
use crate::query::matching::matching;
use crate::query::request::SearchRequest;
use crate::query::tests::{search, try_search};
use crate::store::erase::Doomed;
use crate::store::manifest::Location;
use crate::store::objects::tests::{Faults, faulty};
use crate::store::seal::Force;
use crate::store::{failpoint, testing};

const DAY_MS: u64 = 86_400_000;
const START_MS: u64 = 1_767_225_600_000;
/// Long after all events.
const LATER_NS: i64 = (START_MS as i64 + 1000 * DAY_MS as i64) * 1_000_000;

fn config(folder: &Path) -> Config {
    let url = Some(format!("file://{}", folder.join("objects").display()));
    let cold = Cold { url, after: Some(Period::secs(86_400)), cache_bytes: ByteSize(16 << 20), ..Cold::default() };
    let snapshots = Snapshots { paths: vec![folder.join("kept")] };
    Config { cold, snapshots, ..Config::default() }
}

fn open(folder: &Path) -> Store {
    Store::open(&folder.join("store"), config(folder)).unwrap().0
}

/// A store whose object store fails when it is told to.
fn open_faulty(folder: &Path) -> (Store, Arc<Faults>) {
    let (objects, faults) = faulty(&folder.join("objects"));
    (Store::open_over(&folder.join("store"), config(folder), Some(objects)).unwrap().0, faults)
}

fn events(numbers: std::ops::Range<u64>) -> Vec<Value> {
    let event = |n: u64| {
        json!({
            "@timestamp": START_MS + n * DAY_MS / 100, "n": n, "message": format!("request {n} took {} ms", n * 7 % 90),
            "log": {"level": if n.is_multiple_of(3) { "error" } else { "info" }}, "host": {"name": format!("web-{}", n % 5)},
        })
    };
    numbers.map(event).collect()
}

/// A day an index is one sealed split.
fn fill(store: &Store, index: &str, days: std::ops::Range<u64>) {
    for day in days {
        testing::add(store, index, &events(day * 100..day * 100 + 100), 40);
        store.force_merge(index, Force::default()).unwrap();
    }
}

fn freeze_all(store: &Store) -> usize {
    let mut frozen = 0;
    while store.freeze_one(LATER_NS).unwrap() {
        frozen += 1;
    }
    frozen
}

fn searches() -> Vec<Value> {
    let day = |day: u64| START_MS + day * DAY_MS;
    vec![
        json!({"size": 20}),
        json!({"query": {"match": {"message": "request"}}, "size": 7, "sort": [{"n": "asc"}]}),
        json!({"query": {"match_phrase": {"message": "took 21 ms"}}, "size": 50}),
        json!({"query": {"term": {"host.name": "web-3"}}, "track_total_hits": true, "size": 3, "fields": ["n"]}),
        json!({"query": {"range": {"@timestamp": {"gte": day(1), "lt": day(2)}}}, "size": 100}),
        json!({"size": 0, "aggs": {"t": {"date_histogram": {"field": "@timestamp", "fixed_interval": "6h"},
            "aggs": {"l": {"terms": {"field": "log.level"}}, "s": {"sum": {"field": "n"}}}}}}),
        json!({"size": 0, "aggs": {"h": {"terms": {"field": "host.name"}}, "p": {"percentiles": {"field": "n"}},
            "c": {"cardinality": {"field": "host.name"}}}}),
        json!({"query": {"wildcard": {"host.name": "web-*"}}, "highlight": {"fields": {"*": {}}}, "size": 5}),
        json!({"query": {"query_string": {"query": "log.level:error AND NOT host.name:web-0"}}, "size": 30}),
    ]
}

fn answers(store: &Store) -> Vec<Value> {
    let answer = |body: Value| {
        let mut found = search(store, body);
        found.as_object_mut().unwrap().remove("took");
        found
    };
    searches().into_iter().map(answer).collect()
}

fn numbers(store: &Store) -> BTreeSet<u64> {
    let found = search(store, json!({"size": 10_000, "track_total_hits": true}));
    let hits = found["hits"]["hits"].as_array().unwrap();
    let numbers: BTreeSet<u64> = hits.iter().map(|hit| hit["_source"]["n"].as_u64().unwrap()).collect();
    assert_eq!(numbers.len(), hits.len(), "no document is there twice");
    assert_eq!(found["hits"]["total"]["value"], hits.len());
    assert_eq!(found["_shards"]["failed"], 0);
    numbers
}

/// The keys of the splits that the object store holds.
fn keys(folder: &Path) -> BTreeSet<String> {
    let mut keys = BTreeSet::new();
    let mut left = vec![folder.join("objects")];
    while let Some(next) = left.pop() {
        for entry in std::fs::read_dir(next).into_iter().flatten().map(Result::unwrap) {
            match entry.path().is_dir() {
                true => left.push(entry.path()),
                // The marker belongs to no split.
                false if entry.file_name() == "store" => {}
                false => drop(
                    keys.insert(entry.path().parent().unwrap().file_name().unwrap().to_string_lossy().into_owned()),
                ),
            }
        }
    }
    keys
}

fn named_keys(store: &Store) -> BTreeSet<String> {
    named(store.manifest.lock().state()).map(|(_, cold)| head_name(&cold.key).to_owned()).collect()
}

fn local_splits(folder: &Path) -> usize {
    std::fs::read_dir(folder.join("store/splits")).unwrap().count()
}

fn doomed(store: &Store, wanted: impl Fn(u64) -> bool) -> Vec<Doomed> {
    let view = store.view("_all", None).unwrap();
    let of = |part: &Arc<Part>| {
        let column = part.reader.fast_fields().i64("keyword.n").unwrap();
        let is_wanted = |document: &u32| wanted(column.first(*document).unwrap() as u64);
        Doomed { part: part.clone(), documents: part.reader.doc_ids_alive().filter(is_wanted).collect() }
    };
    view.parts.iter().map(of).filter(|one| !one.documents.is_empty()).collect()
}

#[test]
fn all_searches_answer_as_before_with_any_cache() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    fill(&store, "logs-a", 0..3);
    testing::add(&store, "logs-a", &events(300..330), 10);
    store.flush().unwrap();
    let before = answers(&store);
    let held = store.view("_all", None).unwrap();
    assert_eq!(freeze_all(&store), 3);
    assert_eq!((local_splits(folder.path()), keys(folder.path())), (1, named_keys(&store)));
    assert_eq!(answers(&store), before);
    let tally = store.cold_tally().unwrap().1;
    assert!(tally.fetched_bytes > 0 && tally.bytes > 0);
    assert_eq!(answers(&store), before);
    assert_eq!(store.cold_tally().unwrap().1.fetched_bytes, tally.fetched_bytes, "all of it is in the cache");
    // Who has held the splits since before still reads their files.
    let column = held.parts.last().unwrap().reader.fast_fields().i64("keyword.n").unwrap();
    assert_eq!(column.first(0), Some(0));
    drop((store, held));
    let store = open(folder.path());
    assert_eq!(answers(&store), before);
    assert_eq!(store.cold_tally().unwrap().1.fetched_bytes, 0, "the cache outlives the process");
    drop(store);
    // A torn cache, and none.
    let cache = folder.path().join("store/cold/cache");
    let mut bytes = std::fs::read(&cache).unwrap();
    bytes.iter_mut().step_by(10_000).for_each(|byte| *byte ^= 1);
    bytes.truncate(bytes.len() * 2 / 3);
    std::fs::write(&cache, &bytes).unwrap();
    assert_eq!(answers(&open(folder.path())), before);
    std::fs::remove_dir_all(folder.path().join("store/cold")).unwrap();
    assert_eq!(answers(&open(folder.path())), before);
}

#[test]
fn opening_asks_for_nothing_and_a_search_only_for_its_time() {
    let folder = tempfile::tempdir().unwrap();
    let (store, faults) = open_faulty(folder.path());
    fill(&store, "logs-a", 0..3);
    freeze_all(&store);
    let reads = || faults.reads.load(Ordering::Relaxed);
    let before = reads();
    for (split, cold) in named(&store.manifest.lock().state().clone()) {
        store.cold.as_ref().unwrap().open_split(&"logs-a".into(), split, cold).unwrap();
    }
    let later = json!({"gte": START_MS + 50 * DAY_MS});
    let nothing = search(
        &store,
        json!({"query": {"range": {"@timestamp": later}}, "aggs": {"t": {"terms": {"field": "host.name"}}}}),
    );
    assert_eq!((nothing["hits"]["total"]["value"].as_u64(), reads()), (Some(0), before));
    let first = json!({"range": {"@timestamp": {"lt": START_MS + DAY_MS}}});
    assert_eq!(search(&store, json!({"query": first, "size": 0}))["hits"]["total"]["value"], 100);
    let one = reads() - before;
    search(&store, json!({"query": {"match_all": {}}, "size": 50, "sort": [{"n": "asc"}]}));
    assert!(one <= 1 && reads() > before + one, "{one}");
}

#[test]
fn while_the_object_store_is_away_shards_fail_and_everything_else_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let (store, faults) = open_faulty(folder.path());
    fill(&store, "logs-a", 0..2);
    freeze_all(&store);
    faults.away.store(true, Ordering::Relaxed);
    testing::add(&store, "logs-a", &events(200..220), 10);
    testing::add(&store, "logs-a", &[json!({"_id": "x", "n": 1000, "@timestamp": START_MS + 2 * DAY_MS})], 1);
    testing::add(&store, "logs-a", &[json!({"_id": "x", "n": 1001, "@timestamp": START_MS + 2 * DAY_MS})], 1);
    store.flush().unwrap();
    let recent = doomed_local(&store, 201);
    assert_eq!(store.erase(&recent).unwrap(), 1);
    store.settle_erased(&recent).unwrap();
    let all = json!({"query": {"match": {"message": "request"}}, "size": 100, "track_total_hits": true});
    let found = search(&store, all.clone());
    assert_eq!((found["_shards"]["total"].as_u64(), found["_shards"]["failed"].as_u64()), (Some(1), Some(1)));
    assert_eq!(found["_shards"]["failures"][0]["index"], "logs-a");
    let reason = found["_shards"]["failures"][0]["reason"]["reason"].as_str().unwrap();
    assert!(reason.contains("told to fail"), "{reason}");
    assert_eq!(found["hits"]["total"]["value"], 19);
    let aggregated = search(&store, json!({"size": 0, "aggs": {"h": {"terms": {"field": "log.level"}}}}));
    assert_eq!(aggregated["_shards"]["failed"], 1);
    let only_cold = json!({"query": {"bool": {"must": [{"match": {"message": "request"}}],
        "filter": [{"range": {"@timestamp": {"lt": START_MS + DAY_MS, "gt": START_MS}}}]}}});
    let refused = try_search(&store, only_cold.clone()).unwrap_err();
    assert_eq!((refused.status, refused.kind), (503, "no_shard_available_action_exception"));
    assert_eq!(refused.to_json()["error"]["type"], "search_phase_execution_exception");
    let mut strict = SearchRequest::read(all.clone()).unwrap();
    strict.partial = false;
    let (view, allowance) = (store.view("_all", None).unwrap(), Allowance::new(None, Arc::default()));
    assert_eq!(execute::search(&view, &strict, &allowance).unwrap_err().status, 503);
    drop(view);
    assert!(store.freeze_one(LATER_NS).is_ok_and(|frozen| !frozen), "what is hot stays");
    store.force_merge("logs-a", Force::default()).unwrap();
    assert!(store.freeze_one(LATER_NS).is_err());
    assert!(store.sweep_cold().is_err());
    assert_eq!(store.remove_cold().unwrap(), 0, "nothing was begun");
    faults.away.store(false, Ordering::Relaxed);
    *store.cold.as_ref().unwrap().objects.away_since() = None;
    assert_eq!(search(&store, all)["hits"]["total"]["value"], 219);
    assert_eq!(search(&store, only_cold)["hits"]["total"]["value"], 99);
    store.remove_cold().unwrap();
    store.sweep_cold().unwrap();
    assert_eq!(keys(folder.path()), named_keys(&store));
}

fn doomed_local(store: &Store, number: u64) -> Vec<Doomed> {
    let view = store.view("_all", None).unwrap();
    let parts = view
        .parts
        .iter()
        .filter(|part| part.place != Place::Cold && part.reader.fast_fields().i64("keyword.n").is_ok());
    let of = |part: &Arc<Part>| {
        let column = part.reader.fast_fields().i64("keyword.n").unwrap();
        let wanted = |document: &u32| column.first(*document) == Some(number as i64);
        Doomed { part: part.clone(), documents: part.reader.doc_ids_alive().filter(wanted).collect() }
    };
    parts.map(of).filter(|one| !one.documents.is_empty()).collect()
}

#[test]
fn what_is_erased_of_a_cold_split_is_gone_at_once_and_in_time_from_the_object_store() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    fill(&store, "logs-a", 0..2);
    // One on its way: erased on the disk, and not yet in the manifest when the split goes cold.
    assert_eq!(store.erase(&doomed(&store, |n| n == 5)).unwrap(), 1);
    freeze_all(&store);
    let gone = doomed(&store, |n| n == 7 || n == 107);
    assert_eq!(store.erase(&gone).unwrap(), 2);
    assert_eq!(store.erase(&gone).unwrap(), 0);
    let left: BTreeSet<u64> = (0..200).filter(|n| ![5, 7, 107].contains(n)).collect();
    assert_eq!(numbers(&store), left);
    store.settle_erased(&gone).unwrap();
    let deleted: usize =
        store.manifest.lock().state().splits().map(|split| split.deleted.len().min(split.gone.len())).sum();
    assert_eq!(deleted, 3);
    drop((store, gone));
    let store = open(folder.path());
    assert_eq!(numbers(&store), left);
    let old = keys(folder.path());
    let now = crate::store::now_ms() + 100_000_000;
    assert!(!store.rewrite_erased(now).unwrap(), "that is for the thread that waits for the object store");
    while store.rewrite_cold_erased(now).unwrap() {}
    assert_eq!((numbers(&store), local_splits(folder.path())), (left.clone(), 2));
    store.remove_cold().unwrap();
    assert_eq!(keys(folder.path()), BTreeSet::new());
    assert_eq!(freeze_all(&store), 2);
    assert!(keys(folder.path()).is_disjoint(&old));
    assert_eq!((numbers(&store), local_splits(folder.path())), (left, 0));
}

#[test]
fn retention_and_deletion_reach_the_object_store_when_nobody_reads_any_more() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(folder.path());
    fill(&store, "logs-a", 0..3);
    fill(&store, "logs-b", 3..4);
    freeze_all(&store);
    store.config.retention =
        Retention { age: Some(Period::secs(86_400)), bytes: Some(ByteSize(1)), ..Retention::default() };
    let now = (START_MS as i64 + 3 * DAY_MS as i64) * 1_000_000;
    let held = store.view("logs-a", None).unwrap();
    assert_eq!(store.retain(now).unwrap(), 2, "by age; cold splits take no disk space");
    assert_eq!(numbers(&store).len(), 200);
    assert_eq!((store.remove_cold().unwrap(), keys(folder.path()).len()), (0, 4), "they are still read");
    store.sweep_cold().unwrap();
    assert_eq!(held.parts.last().unwrap().reader.fast_fields().i64("keyword.n").unwrap().first(0), Some(0));
    drop(held);
    assert_eq!((store.remove_cold().unwrap(), keys(folder.path())), (2, named_keys(&store)));
    store.delete("logs-b").unwrap();
    store.remove_cold().unwrap();
    assert_eq!(
        (keys(folder.path()).len(), std::fs::read_dir(folder.path().join("store/cold/heads")).unwrap().count()),
        (1, 1)
    );
    // What another installation has under the same URL is not touched.
    let other = folder.path().join("objects/other-store/0000000000000001-x/a.0");
    std::fs::create_dir_all(other.parent().unwrap()).unwrap();
    std::fs::write(&other, b"x").unwrap();
    assert_eq!(store.sweep_cold().unwrap(), 0);
    assert!(other.exists());
}

#[test]
fn a_changed_object_is_a_failed_shard_and_then_in_quarantine() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    fill(&store, "logs-a", 0..2);
    freeze_all(&store);
    let meta = store.manifest.lock().state().splits().next().unwrap().clone();
    let key = folder.path().join("objects").join(&meta.cold.as_ref().unwrap().key);
    let docstore = meta.files.iter().find(|file| file.name.ends_with(".store")).unwrap();
    let path = key.join(format!("{}.0", docstore.name));
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[10] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let found = search(&store, json!({"size": 200}));
    let reason = found["_shards"]["failures"][0]["reason"]["reason"].as_str().unwrap();
    assert!(reason.contains("not as it was written"), "{reason}");
    assert_eq!(found["hits"]["hits"].as_array().unwrap().len(), 100, "the other split is shown");
    let verified = serde_json::to_value(store.verify(|_| true, || true)).unwrap();
    assert_eq!((verified["checked"].as_u64(), verified["damaged"].as_array().unwrap().len()), (Some(2), 1));
    let damages = store.damages();
    assert_eq!(
        damages[0].held.as_ref().map(crate::store::seqs::Seqs::len),
        Some(100),
        "it can be read again from the bus"
    );
    assert_eq!(numbers(&store).len(), 100);
    // Its objects stay for as long as it may be repaired.
    store.sweep_cold().unwrap();
    assert!(path.exists());
    store.delete("logs-a").unwrap();
    store.remove_cold().unwrap();
    store.sweep_cold().unwrap();
    assert_eq!(keys(folder.path()), BTreeSet::new());
}

#[test]
fn what_is_too_old_goes_also_where_it_can_not_be_searched() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    fill(&store, "logs-a", 0..2);
    freeze_all(&store);
    fill(&store, "logs-a", 2..3);
    drop(store);
    for entry in std::fs::read_dir(folder.path().join("store/cold/heads")).unwrap() {
        std::fs::write(entry.unwrap().path(), b"torn").unwrap();
    }
    std::fs::rename(folder.path().join("objects"), folder.path().join("elsewhere")).unwrap();
    let retention = Retention { age: Some(Period::secs(1)), ..Retention::default() };
    let config = Config { retention, ..config(folder.path()) };
    let store = Store::open(&folder.path().join("store"), config).unwrap().0;
    let view = store.view("_all", None).unwrap();
    assert!(!view.absent.is_empty() && !view.parts.is_empty());
    assert_eq!(store.retain(i64::MAX).unwrap(), view.absent.len() + view.parts.len());
    let view = store.view("_all", None).unwrap();
    assert_eq!((view.absent.len(), view.parts.len()), (0, 0));
}

#[test]
fn a_lost_head_is_fetched_and_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    fill(&store, "logs-a", 0..2);
    freeze_all(&store);
    let before = answers(&store);
    drop(store);
    let (objects, heads) = (folder.path().join("objects"), folder.path().join("store/cold/heads"));
    for entry in std::fs::read_dir(&heads).unwrap() {
        std::fs::write(entry.unwrap().path(), b"torn").unwrap();
    }
    std::fs::rename(&objects, folder.path().join("elsewhere")).unwrap();
    let store = open(folder.path());
    assert_eq!(try_search(&store, json!({})).unwrap_err().status, 503);
    // Whoever deletes what matches must have looked everywhere.
    let (view, all) = (store.view("_all", None).unwrap(), SearchRequest::default().query);
    assert_eq!(matching(&view, &all, u64::MAX, &Allowance::new(None, Arc::default())).unwrap_err().status, 503);
    assert!(store.reopen_absent().is_err());
    std::fs::remove_dir_all(&objects).unwrap();
    std::fs::rename(folder.path().join("elsewhere"), &objects).unwrap();
    store.reopen_absent().unwrap();
    assert_eq!(answers(&store), before);
    drop(store);
    assert_eq!(answers(&open(folder.path())), before);
    // Without a place, they are away and nothing is removed.
    let store = Store::open(&folder.path().join("store"), Config::default()).unwrap().0;
    let refused = try_search(&store, json!({})).unwrap_err();
    assert!(refused.reason.contains("indexer.cold.url"), "{refused}");
    drop(store);
    assert_eq!(answers(&open(folder.path())), before);
}

#[test]
fn snapshots_hold_what_is_cold_and_bring_it_back_to_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    fill(&store, "logs-a", 0..2);
    freeze_all(&store);
    store.register_repository("keep", &Location::Folder("keep".into())).unwrap();
    let repository = store.repository("keep").unwrap();
    let make = |name| store.create_snapshot(&repository, name, Value::Null, &|_| true, &|| true).unwrap();
    assert_eq!((make("one").copied_splits, make("two").copied_splits), (2, 0));
    let before = numbers(&store);
    store.delete("logs-a").unwrap();
    store.remove_cold().unwrap();
    assert_eq!(keys(folder.path()), BTreeSet::new());
    let described = repository.read("one").unwrap();
    store.restore_snapshot(&repository, &described, &[("logs-a".into(), "logs-a".into())], &|| true).unwrap();
    assert_eq!((numbers(&store), local_splits(folder.path())), (before.clone(), 2));
    assert_eq!((freeze_all(&store), numbers(&store)), (2, before));
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Add,
    Freeze,
    Erase(u64),
    Rewrite,
    Retain(u64),
    Remove,
    Sweep,
    FailAt(u64),
}

fn steps() -> impl Strategy<Value = Vec<(Step, Option<usize>)>> {
    let step = prop_oneof![
        4 => Just(Step::Add),
        6 => Just(Step::Freeze),
        3 => (0u64..400).prop_map(Step::Erase),
        2 => Just(Step::Rewrite),
        1 => (0u64..4).prop_map(Step::Retain),
        2 => Just(Step::Remove),
        1 => Just(Step::Sweep),
        1 => (1u64..30).prop_map(Step::FailAt),
    ];
    prop::collection::vec((step, prop::option::weighted(0.5, 0..failpoint::NAMES.len())), 1..14)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Whatever is done, wherever the process dies and whichever request fails: every document that was on the disk is
    /// found once, what was erased never, and in the end the object store has what the manifest names and nothing else.
    #[test]
    fn nothing_is_lost_or_doubled_wherever_it_dies(steps in steps()) {
        let folder = tempfile::tempdir().unwrap();
        let (mut store, mut faults) = open_faulty(folder.path());
        let (mut expected, mut day, mut kept_from) = (BTreeSet::new(), 0u64, 0u64);
        for (step, crash) in steps {
            if let Step::Add = step {
                fill(&store, "logs-a", day..day + 1);
                expected.extend(day * 100..day * 100 + 100);
                day += 1;
            }
            if let Step::Retain(days) = step {
                kept_from = kept_from.max(day.saturating_sub(days));
                store.config.retention.age = Some(Period::secs(1));
            }
            let gone = if let Step::Erase(n) = step { doomed(&store, |number| number % 400 == n) } else { Vec::new() };
            let mut settled = false;
            let work = || match step {
                Step::Freeze => drop(store.freeze_one(LATER_NS)),
                Step::Erase(_) => {
                    store.erase(&gone).unwrap();
                    store.settle_erased(&gone).unwrap();
                    settled = true;
                }
                Step::Rewrite => drop(store.rewrite_cold_erased(i64::MAX)),
                // Everything that ended before the day.
                Step::Retain(_) => drop(store.retain((START_MS + kept_from * DAY_MS + 1000) as i64 * 1_000_000).unwrap()),
                Step::Remove => drop(store.remove_cold()),
                Step::Sweep => drop(store.sweep_cold()),
                Step::FailAt(at) => faults.fail_at.store(at, Ordering::Relaxed),
                Step::Add => {}
            };
            if let Some(place) = crash {
                failpoint::tests::arm(place);
            }
            let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
            failpoint::tests::disarm();
            let gone: BTreeSet<u64> = match step { Step::Erase(n) => expected.iter().copied().filter(|number| number % 400 == n).collect(), _ => BTreeSet::new() };
            if let Err(panic) = ran {
                prop_assert!(panic.is::<failpoint::tests::Crash>());
                drop(store);
                (store, faults) = open_faulty(folder.path());
            }
            faults.fail_at.store(0, Ordering::Relaxed);
            *store.cold.as_ref().unwrap().objects.away_since() = None;
            let found = numbers(&store);
            if let Step::Erase(_) = step {
                // Told or not: it is gone, or nobody was told.
                if settled || found.is_disjoint(&gone) {
                    expected.retain(|number| !gone.contains(number));
                }
            }
            if let Step::Retain(_) = step {
                expected.retain(|number| found.contains(number) || *number >= kept_from * 100);
            }
            prop_assert_eq!(&found, &expected);
        }
        store.remove_cold().unwrap();
        store.sweep_cold().unwrap();
        store.remove_cold().unwrap();
        prop_assert_eq!(keys(folder.path()), named_keys(&store));
        prop_assert_eq!(numbers(&store), expected.clone());
        drop(store);
        let (store, _) = open_faulty(folder.path());
        prop_assert_eq!(numbers(&store), expected);
    }
}
