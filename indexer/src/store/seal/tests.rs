use std::path::Path;

use logmill_core::config::{ByteSize, Period};
use serde_json::json;

use super::*;
use crate::config::Config;
use crate::store::source::Sources;
use crate::store::testing;

const DAY_NS: i64 = 86_400_000_000_000;
const FIRST_DAY: i64 = 1_767_225_600_000_000_000;

/// Documents of one hour of a day.
fn documents(day: i64, hour: i64, count: usize) -> Vec<serde_json::Value> {
    let start_ms = (FIRST_DAY + day * DAY_NS) / 1_000_000 + hour * 3_600_000;
    let document = |n: usize| json!({"@timestamp": start_ms + n as i64, "message": format!("line {n} of hour {hour}"), "n": n, "day": day});
    (0..count).map(document).collect()
}

/// The messages that a search would see, ascending.
fn messages(store: &Store) -> Vec<String> {
    let mut found = Vec::new();
    for part in store.view("_all", None).unwrap().parts {
        let mut sources = Sources::open(&part).unwrap();
        for doc in part.reader.doc_ids_alive() {
            let event: serde_json::Value = serde_json::from_slice(&sources.get(doc).unwrap()).unwrap();
            found.push(format!("{} {}", event["day"], event["message"]));
        }
    }
    found.sort();
    found
}

fn sealed(store: &Store) -> Vec<bool> {
    store.view("_all", None).unwrap().parts.iter().map(|part| part.sealed).collect()
}

fn reopened(store: Arc<Store>, folder: &Path) -> Arc<Store> {
    drop(store);
    let (store, findings) = Store::open(folder, Config::default()).unwrap();
    assert_eq!(findings.damaged, Vec::<String>::new());
    Arc::new(store)
}

fn seal_all(store: &Store, now_ns: i64) -> usize {
    std::iter::from_fn(|| store.seal_splits(now_ns).unwrap()).count()
}

#[test]
fn a_window_that_is_over_is_sealed_once_and_stays_so() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(folder.path(), Config::default()).unwrap();
    let store = Arc::new(store);
    for hour in 0..4 {
        testing::add(&store, "logs-a", &documents(0, hour, 300), 50);
        testing::add(&store, "logs-b", &documents(1, hour, 30), 50);
        store.flush().unwrap();
    }
    let before = messages(&store);
    let now_ns = i64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap();
    // They have just come: late events are waited for.
    assert_eq!(seal_all(&store, now_ns), 0);
    assert_eq!(seal_all(&store, now_ns + 3_600_000_000_000), 2);
    assert_eq!(sealed(&store), [true, true]);
    assert_eq!(messages(&store), before);
    assert_eq!(seal_all(&store, now_ns + 3_600_000_000_000), 0);
    let store = reopened(store, folder.path());
    assert_eq!(sealed(&store), [true, true]);
    assert_eq!(messages(&store), before);
    assert_eq!(std::fs::read_dir(store.splits_folder()).unwrap().count(), 2);
    // Late events are sealed by themselves.
    testing::add(&store, "logs-a", &documents(0, 9, 30), 30);
    store.flush().unwrap();
    assert_eq!(seal_all(&store, now_ns), 0);
    assert_eq!(seal_all(&store, i64::MAX), 1);
    assert_eq!(sealed(&store), [true, true, true]);
    assert_eq!(messages(&store).len(), before.len() + 30);
}

#[test]
fn what_is_large_is_sealed_at_once() {
    let mut store = testing::empty();
    Arc::get_mut(&mut store).unwrap().config.split_bytes_max = ByteSize(1);
    testing::add(&store, "logs-a", &documents(0, 0, 100), 50);
    store.flush().unwrap();
    assert_eq!(seal_all(&store, FIRST_DAY), 1);
    assert_eq!((sealed(&store), messages(&store).len()), (vec![true], 100));
    assert_eq!(seal_all(&store, FIRST_DAY), 0);
}

#[test]
fn everything_is_sealed_on_demand_and_merged_as_far_as_asked() {
    let store = testing::empty();
    for day in 0..3 {
        for hour in 0..3 {
            testing::add(&store, "logs-a", &documents(day, hour, 40), 40);
            store.flush().unwrap();
        }
    }
    testing::add(&store, "logs-a", &documents(0, 5, 40), 40);
    testing::add(&store, "logs-b", &documents(0, 5, 40), 40);
    let before = messages(&store);
    let done = store.force_merge("logs-a", Force::default()).unwrap();
    assert_eq!(done.docs, 400);
    // What was not asked for is on disk and hot.
    assert_eq!(sealed(&store).iter().filter(|sealed| !**sealed).count(), 1);
    assert_eq!(sealed(&store).len(), 4);
    store.force_merge("logs-a", Force { splits_max: Some(1), ..Force::default() }).unwrap();
    assert_eq!(sealed(&store).len(), 2);
    assert_eq!(messages(&store), before);
    assert_eq!(store.force_merge("logs-a", Force::default()).unwrap(), Sealed::default());
}

fn with_id(id: &str, text: &str) -> serde_json::Value {
    json!({"_id": id, "@timestamp": FIRST_DAY / 1_000_000, "message": text, "day": 0})
}

#[test]
fn documents_replaced_while_their_split_is_sealed_stay_replaced_through_a_crash() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(folder.path(), Config::default()).unwrap();
    let store = Arc::new(store);
    let first: Vec<_> = (0..50).map(|n| with_id(&format!("id-{n}"), &format!("old {n}"))).collect();
    testing::add(&store, "logs-a", &first, 10);
    store.flush().unwrap();
    let rules = store.rules(0);
    let (parts, mut ticket) = store.take_splits(|_, free| rules.seal_all(&candidates(free), None)).unwrap();
    // While these are being sealed, some are replaced, and that gets to disk; then some more, which does not.
    testing::add(&store, "logs-a", &[with_id("id-3", "new 3"), with_id("id-7", "new 7")], 2);
    store.flush().unwrap();
    testing::add(&store, "logs-a", &[with_id("id-9", "new 9")], 1);
    store.rewrite(&parts, &mut ticket, Some(SealedForm { block_bytes: 64 << 10, synthetic: false })).unwrap().unwrap();
    store.changes.lock().give_back(parts.iter(), &ticket);
    let texts = messages(&store);
    assert_eq!(texts.len(), 50);
    for n in [3, 7, 9] {
        assert!(texts.contains(&format!("0 \"new {n}\"")) && !texts.contains(&format!("0 \"old {n}\"")), "{n}");
    }
    let store = reopened(store, folder.path());
    // What was in memory comes from the bus again; what it replaced does not come back.
    let texts = messages(&store);
    assert_eq!(texts.len(), 49, "{texts:?}");
    assert!(texts.contains(&"0 \"new 3\"".to_owned()) && !texts.contains(&"0 \"old 9\"".to_owned()));
    // Only what has something to lose is written anew.
    let done = store.force_merge("logs-a", Force { expunge_only: true, ..Force::default() }).unwrap();
    assert_eq!(done.docs, 47);
    assert!(store.view("_all", None).unwrap().parts.iter().all(|part| part.deleted.is_empty()));
    assert_eq!(messages(&store), texts);
}

#[test]
fn a_stopped_store_leaves_the_sources_and_a_crash_leaves_orphans_only() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(folder.path(), Config::default()).unwrap();
    let store = Arc::new(store);
    testing::add(&store, "logs-a", &documents(0, 0, 20_000), 5000);
    store.flush().unwrap();
    store.stopping.store(true, Ordering::Release);
    let error = store.force_merge("logs-a", Force::default()).unwrap_err().to_string();
    assert!(error.contains("being stopped"), "{error}");
    assert_eq!((sealed(&store), messages(&store).len()), (vec![false], 20_000));
    assert_eq!(std::fs::read_dir(store.splits_folder()).unwrap().count(), 1);
    store.stopping.store(false, Ordering::Release);
    // A crash between the split and the manifest: the split is there, and counts for nothing.
    let parts = store.view("_all", None).unwrap().parts;
    let form = Form {
        sealed: Some(SealedForm { block_bytes: 64 << 10, synthetic: false }),
        stop: Stop::default(),
        arrived_ms: 1,
    };
    split::write(&store.splits_folder(), store.next_part(), &parts, &form).unwrap();
    drop(parts);
    drop(store);
    let (store, findings) = Store::open(folder.path(), Config::default()).unwrap();
    assert_eq!((findings.orphans, findings.damaged.len()), (1, 0));
    assert_eq!(messages(&store).len(), 20_000);
}

#[test]
fn a_merge_that_is_told_so_ends_before_its_result_is_there() {
    for sorted in [json!({}), json!({"sort.field": "n"})] {
        let store = testing::empty();
        let properties = json!({"n": {"type": "long"}});
        let body = json!({"settings": sorted, "mappings": {"properties": properties}});
        testing::create(&store, "logs-a", &body).unwrap();
        testing::add(&store, "logs-a", &documents(0, 0, 20_000), 5000);
        store.flush().unwrap();
        let (parts, mut ticket) = store.take_splits(|_, free| Some(candidates(free))).unwrap();
        ticket.doomed.store(true, Ordering::Release);
        let form = SealedForm { block_bytes: 64 << 10, synthetic: false };
        assert!(store.rewrite(&parts, &mut ticket, Some(form)).unwrap().is_none());
        store.changes.lock().give_back(parts.iter(), &ticket);
        assert_eq!((sealed(&store), messages(&store).len()), (vec![false], 20_000));
        assert_eq!(std::fs::read_dir(store.splits_folder()).unwrap().count(), 1);
    }
}

#[test]
fn sealed_splits_are_smaller_and_are_joined_without_loss() {
    let mut store = testing::empty();
    Arc::get_mut(&mut store).unwrap().config.seal.block_bytes = ByteSize(16 << 10);
    Arc::get_mut(&mut store).unwrap().config.seal.grace = Period::secs(0);
    let mut expected = 0;
    for round in 0..9 {
        testing::add(&store, "logs-a", &documents(0, round, 3000), 3000);
        expected += 3000;
        let done = store.force_merge("logs-a", Force::default()).unwrap();
        assert_eq!(done.docs, 3000);
        assert!(done.bytes_after < done.bytes_before, "{done:?}");
        seal_all(&store, i64::MAX);
        assert!(sealed(&store).len() <= 4, "late splits join each other");
    }
    assert_eq!(messages(&store).len(), expected);
}

#[test]
fn what_is_too_old_goes_also_while_it_is_sealed_and_does_not_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let retention = crate::config::Retention { age: Some(Period::secs(86_400)), ..Default::default() };
    let (store, _) = Store::open(folder.path(), Config { retention, ..Config::default() }).unwrap();
    for day in 0..2 {
        testing::add(&store, "logs-a", &documents(day, 1, 100), 50);
        store.flush().unwrap();
    }
    let (parts, mut ticket) = store.take_splits(|_, free| Some(candidates(free))).unwrap();
    assert_eq!(store.retain(FIRST_DAY + 2 * DAY_NS).unwrap(), 1);
    assert!(ticket.doomed.load(Ordering::Acquire), "the merge must be told");
    assert!(store.rewrite(&parts, &mut ticket, None).unwrap().is_none());
    store.changes.lock().give_back(parts.iter(), &ticket);
    let left = messages(&store);
    assert!(left.len() == 100 && left.iter().all(|message| message.starts_with("1 ")), "{left:?}");
    assert_eq!(store.manifest.lock().state().quarantine.len(), 0);
}
