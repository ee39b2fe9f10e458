use serde_json::json;

use super::*;
use crate::config::{Config, Snapshots};
use crate::store::failpoint;
use crate::store::testing;

fn open(folder: &std::path::Path) -> Store {
    let snapshots = Snapshots { paths: vec![folder.join("kept")] };
    Store::open(&folder.join("store"), Config { snapshots, ..Config::default() }).unwrap().0
}

fn add(store: &Store, index: &str, numbers: std::ops::Range<u64>) {
    let documents: Vec<_> = numbers.map(|n| json!({"@timestamp": 1_767_225_600_000u64 + n, "n": n})).collect();
    testing::add(store, index, &documents, 10);
}

fn numbers(store: &Store, index: &str) -> Vec<i64> {
    let mut found = Vec::new();
    for part in store.view(index, None).unwrap().parts {
        let column = part.reader.fast_fields().i64("keyword.n").unwrap();
        found.extend(part.reader.doc_ids_alive().map(|document| column.first(document).unwrap()));
    }
    found.sort_unstable();
    found
}

fn make(store: &Store, name: &str) -> Result<Created, SnapshotError> {
    let repository = store.repository("keep").unwrap();
    store.create_snapshot(&repository, name, json!({"by": "test"}), &|index| index != "other", &|| true)
}

fn restore(store: &Store, name: &str, wanted: &[(&str, &str)]) -> Result<Restored, SnapshotError> {
    let repository = store.repository("keep").unwrap();
    let described = repository.read(name)?;
    let wanted: Vec<_> = wanted.iter().map(|(from, to)| ((*from).to_owned(), (*to).to_owned())).collect();
    store.restore_snapshot(&repository, &described, &wanted, &|| true)
}

fn splits_kept(folder: &std::path::Path) -> usize {
    std::fs::read_dir(folder.join("kept/keep/splits")).unwrap().count()
}

#[test]
fn what_was_kept_is_restored_under_another_name_and_copied_once() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.register_repository("keep", &Location::Folder("keep".into())).unwrap();
    add(&store, "logs-a", 0..20);
    add(&store, "other", 0..5);
    let first = make(&store, "one").unwrap();
    assert_eq!((first.copied_splits, first.described.indexes.len()), (1, 1));
    assert!(matches!(make(&store, "one"), Err(SnapshotError::Exists { .. })));
    add(&store, "logs-a", 20..30);
    assert_eq!(make(&store, "two").unwrap().copied_splits, 1);
    assert_eq!(make(&store, "three").unwrap().copied_bytes, 0);
    assert!(!folder.path().join("store/snapshotting").exists());
    assert!(matches!(restore(&store, "one", &[("logs-a", "logs-a")]), Err(SnapshotError::InTheWay(_))));
    assert!(matches!(restore(&store, "one", &[("logs-a", "UPPER")]), Err(SnapshotError::Refused(_))));
    restore(&store, "one", &[("logs-a", "logs-old")]).unwrap();
    restore(&store, "two", &[("logs-a", "logs-new")]).unwrap();
    assert_eq!(numbers(&store, "logs-old"), (0..20).collect::<Vec<_>>());
    assert_eq!(numbers(&store, "logs-new"), (0..30).collect::<Vec<_>>());
    // What is restored lasts, takes part in everything, and needs the repository no more.
    let repository = store.repository("keep").unwrap();
    for name in ["one", "two"] {
        store.delete_snapshot(&repository, name).unwrap();
    }
    assert_eq!(splits_kept(folder.path()), 2, "the third needs both");
    store.delete_snapshot(&repository, "three").unwrap();
    assert_eq!(splits_kept(folder.path()), 0);
    assert!(matches!(repository.read("one"), Err(SnapshotError::NoSnapshot { .. })));
    add(&store, "logs-old", 40..41);
    drop(store);
    let store = open(folder.path());
    assert_eq!(numbers(&store, "logs-new"), (0..30).collect::<Vec<_>>());
    while store.merge_splits(i64::MAX / 2).unwrap() {}
    assert_eq!(numbers(&store, "logs-old"), (0..20).collect::<Vec<_>>());
    store.forget_repository("keep").unwrap();
    assert!(matches!(store.repository("keep"), Err(SnapshotError::NoRepository(_))));
}

#[test]
fn damage_and_lies_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.register_repository("keep", &Location::Folder("keep".into())).unwrap();
    add(&store, "logs-a", 0..20);
    make(&store, "one").unwrap();
    make(&store, "two").unwrap();
    let split = std::fs::read_dir(folder.path().join("kept/keep/splits")).unwrap().next().unwrap().unwrap().path();
    let victim = std::fs::read_dir(&split)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.to_string_lossy().ends_with(".store"))
        .unwrap();
    let mut bytes = std::fs::read(&victim).unwrap();
    bytes[7] ^= 1;
    std::fs::write(&victim, &bytes).unwrap();
    let before = store.split_ids();
    assert!(matches!(restore(&store, "one", &[("logs-a", "logs-b")]), Err(SnapshotError::Damaged(_))));
    assert_eq!(store.split_ids(), before);
    assert!(store.view("logs-b", None).is_err());
    // A description cut anywhere is none.
    let path = folder.path().join("kept/keep/snapshots/two");
    let whole = std::fs::read(&path).unwrap();
    for cut in 0..whole.len() {
        std::fs::write(&path, &whole[..cut]).unwrap();
        assert!(matches!(restore(&store, "two", &[]), Err(SnapshotError::Damaged(_))));
    }
    let repository = store.repository("keep").unwrap();
    // Which splits it needs nobody knows: nothing goes but what is asked for, and that is refused, too.
    assert!(matches!(store.delete_snapshot(&repository, "one"), Err(SnapshotError::Damaged(_))));
    store.delete_snapshot(&repository, "two").unwrap();
    store.delete_snapshot(&repository, "one").unwrap();
    assert_eq!(splits_kept(folder.path()), 0);
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        match entry.path().is_dir() {
            true => copy(&entry.path(), &to.join(entry.file_name())),
            false => drop(std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap()),
        }
    }
}

#[test]
fn a_store_put_back_to_an_older_state_spoils_no_snapshot() {
    let folder = tempfile::tempdir().unwrap();
    let (data, older) = (folder.path().join("store"), folder.path().join("older"));
    let store = open(folder.path());
    store.register_repository("keep", &Location::Folder("keep".into())).unwrap();
    add(&store, "logs-a", 0..5);
    store.flush().unwrap();
    drop(store);
    copy(&data, &older);
    let store = open(folder.path());
    add(&store, "logs-a", 5..100);
    make(&store, "one").unwrap();
    let expected = numbers(&store, "logs-a");
    drop(store);
    std::fs::remove_dir_all(&data).unwrap();
    std::fs::rename(&older, &data).unwrap();
    let store = open(folder.path());
    add(&store, "logs-a", 500..595);
    assert!(matches!(make(&store, "two"), Err(SnapshotError::Refused(_))));
    restore(&store, "one", &[("logs-a", "logs-b")]).unwrap();
    assert_eq!(numbers(&store, "logs-b"), expected);
    store.delete_snapshot(&store.repository("keep").unwrap(), "one").unwrap();
    make(&store, "two").unwrap();
}

#[test]
fn only_allowed_folders_are_taken() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    std::fs::create_dir_all(folder.path().join("kept")).unwrap();
    std::os::unix::fs::symlink(folder.path(), folder.path().join("kept/link")).unwrap();
    for wrong in ["", "../elsewhere", "/tmp", "a/../../b", "link/store"] {
        let refused = store.register_repository("keep", &Location::Folder(wrong.into()));
        assert!(matches!(refused, Err(SnapshotError::Refused(_))), "{wrong}: {refused:?}");
    }
    let absolute = folder.path().join("kept/deep/er").display().to_string();
    store.register_repository("keep", &Location::Folder(absolute)).unwrap();
    for wrong in ["", ".hidden", "UP", "a/b", "-a"] {
        assert!(matches!(make(&store, wrong), Err(SnapshotError::Refused(_))), "{wrong}");
    }
}

#[test]
fn a_snapshot_that_was_killed_is_none_and_can_be_made_again() {
    let folder = tempfile::tempdir().unwrap();
    for place in ["snapshot.between_splits", "snapshot.before_description"] {
        let store = open(folder.path());
        store.register_repository("keep", &Location::Folder("keep".into())).unwrap();
        add(&store, "logs-a", 0..20);
        store.flush().unwrap();
        failpoint::tests::arm(failpoint::NAMES.iter().position(|name| *name == place).unwrap());
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| make(&store, "one"))).is_err());
        drop(store);
        let store = open(folder.path());
        let repository = store.repository("keep").unwrap();
        assert_eq!(repository.names().unwrap(), Vec::<String>::new(), "{place}");
        make(&store, "one").unwrap();
        restore(&store, "one", &[("logs-a", "logs-b")]).unwrap();
        assert_eq!(numbers(&store, "logs-b"), numbers(&store, "logs-a"));
        store.delete_snapshot(&repository, "one").unwrap();
        assert_eq!(splits_kept(folder.path()), 0);
        store.delete("logs-b").unwrap();
    }
}
