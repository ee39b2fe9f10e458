//! Object stores that are away, or are another one: nothing is taken for damage, written there, or removed.

use super::*;

/// Moves the place away, as an unmounted folder is, and gives what brings it back.
fn unmount(folder: &Path) -> impl FnOnce() {
    let (objects, elsewhere) = (folder.join("objects"), folder.join("elsewhere"));
    std::fs::rename(&objects, &elsewhere).unwrap();
    std::fs::create_dir(&objects).unwrap();
    move || {
        std::fs::remove_dir_all(&objects).unwrap();
        std::fs::rename(&elsewhere, &objects).unwrap();
    }
}

fn is_empty(folder: &Path) -> bool {
    std::fs::read_dir(folder.join("objects")).unwrap().next().is_none()
}

fn heads(folder: &Path) -> Vec<PathBuf> {
    let mut heads: Vec<PathBuf> =
        std::fs::read_dir(folder.join("store/cold/heads")).unwrap().map(|entry| entry.unwrap().path()).collect();
    heads.sort();
    heads
}

fn tear(head: &Path) {
    std::fs::write(head, b"torn").unwrap();
}

fn absent(store: &Store) -> usize {
    store.catalog.load().indexes.values().map(|state| state.absent.len()).sum()
}

fn later() -> jiff::Timestamp {
    jiff::Timestamp::from_nanosecond(i128::from(LATER_NS)).unwrap()
}

#[test]
fn an_empty_mount_point_is_no_damage_and_is_left_empty() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    fill(&store, "logs-a", 0..2);
    freeze_all(&store);
    fill(&store, "logs-a", 2..3);
    let gone = doomed(&store, |n| n == 7);
    assert_eq!(store.erase(&gone).unwrap(), 1);
    store.settle_erased(&gone).unwrap();
    let mount = unmount(folder.path());
    let verified = store.verify(|_| true, || true);
    assert_eq!((verified.damaged.len(), verified.away.len()), (0, 2), "{verified:?}");
    assert!(verified.away[0].contains("is it mounted"), "{verified:?}");
    assert!(store.rewrite_cold_erased(i64::MAX).is_err());
    assert!(store.freeze_one(LATER_NS).is_err() && store.sweep_cold().is_err());
    assert!(store.damages().is_empty() && is_empty(folder.path()));
    mount();
    assert_eq!((freeze_all(&store), numbers(&store).len()), (1, 299));
    // Where the marker is, what is missing is missing.
    let key = named(store.manifest.lock().state()).next().unwrap().1.key.clone();
    std::fs::remove_dir_all(folder.path().join("objects").join(key)).unwrap();
    assert_eq!(store.verify(|_| true, || true).damaged.len(), 1);
}

#[test]
fn a_marker_that_is_another_ones_is_no_damage_either() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    fill(&store, "logs-a", 0..1);
    freeze_all(&store);
    let id = store.manifest.lock().state().store_id.clone().unwrap();
    let (place, key) = (folder.path().join("objects"), named_keys(&store).pop_first().unwrap());
    std::fs::remove_dir_all(place.join(&id).join(key)).unwrap();
    for other in [&b""[..], b"LMCOLD\0\x02", b"LMCOLD\0\x01 and more"] {
        std::fs::write(place.join(&id).join("store"), other).unwrap();
        assert_eq!(store.verify(|_| true, || true).damaged.len(), 0, "{other:?}");
        assert!(store.sweep_cold().is_err());
    }
}

#[test]
fn a_place_without_cold_splits_may_be_left_for_another() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    assert_eq!(store.sweep_cold().unwrap(), 0, "nothing was ever there");
    let id = || store.manifest.lock().state().store_id.clone();
    assert_eq!((id(), is_empty(folder.path())), (None, true));
    fill(&store, "logs-a", 0..1);
    freeze_all(&store);
    let first = id();
    store.delete("logs-a").unwrap();
    store.remove_cold().unwrap();
    let mount = unmount(folder.path());
    assert_eq!(store.sweep_cold().unwrap(), 0);
    fill(&store, "logs-a", 1..2);
    assert_eq!(freeze_all(&store), 1);
    assert_ne!(id(), first, "the first place must not be taken for this one");
    mount();
    assert!(store.sweep_cold().is_err());
    assert_eq!(store.verify(|_| true, || true).damaged.len(), 0);
}

#[test]
fn a_store_that_is_away_is_asked_once_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = open_faulty(folder.path());
    fill(&store, "logs-a", 0..4);
    freeze_all(&store);
    drop(store);
    for head in heads(folder.path()).iter().skip(1) {
        tear(head);
    }
    let (objects, faults) = faulty(&folder.path().join("objects"));
    faults.away.store(true, Ordering::Relaxed);
    let (store, findings) =
        Store::open_over(&folder.path().join("store"), config(folder.path()), Some(objects)).unwrap();
    assert_eq!((faults.calls.load(Ordering::Relaxed), findings.away.len(), absent(&store)), (1, 3, 3));
    assert!(store.reopen_absent().is_err());
    faults.away.store(false, Ordering::Relaxed);
    store.reopen_absent().unwrap();
    assert_eq!((absent(&store), numbers(&store).len()), (0, 400));
}

#[test]
fn what_fails_for_one_split_holds_up_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = open_faulty(folder.path());
    fill(&store, "logs-a", 0..3);
    freeze_all(&store);
    let keys: Vec<String> = named(store.manifest.lock().state()).map(|(_, at)| at.key.clone()).collect();
    drop(store);
    heads(folder.path()).iter().for_each(|head| tear(head));
    let (place, hidden) = (folder.path().join("objects/pre/fix"), folder.path().join("hidden"));
    std::fs::write(place.join(&keys[0]).join(HEAD), b"torn, too").unwrap();
    std::fs::rename(place.join(&keys[1]).join(HEAD), &hidden).unwrap();
    let (store, _) = open_faulty(folder.path());
    assert_eq!(absent(&store), 2, "the third was fetched");
    std::fs::rename(&hidden, place.join(&keys[1]).join(HEAD)).unwrap();
    let left = place.join(format!("{}-left", keys[0])).join("a.0");
    std::fs::create_dir_all(left.parent().unwrap()).unwrap();
    std::fs::write(&left, b"x").unwrap();
    fill(&store, "logs-a", 3..4);
    let round = store.cold_round(later(), true);
    assert!(matches!(round.failed, Some(ColdError::Objects(ObjectError::Damaged(_)))), "{round:?}");
    assert_eq!((round.swept, round.removed, round.frozen), (true, 1, 1));
    assert!(!left.exists() && absent(&store) == 1);
}

#[test]
fn a_split_that_may_be_named_on_the_disk_is_not_swept() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    fill(&store, "logs-a", 0..1);
    freeze_all(&store);
    fill(&store, "logs-a", 1..2);
    let (id, cold) = {
        let manifest = store.manifest.lock();
        let id = manifest.state().splits().find(|split| split.cold.is_none()).unwrap().id;
        let mut cold = named(manifest.state()).next().unwrap().1.clone();
        cold.key = format!("{}/{id:016x}-doubt", manifest.state().store_id.clone().unwrap());
        (id, cold)
    };
    let object = folder.path().join("objects").join(&cold.key).join("a.0");
    std::fs::create_dir_all(object.parent().unwrap()).unwrap();
    std::fs::write(&object, b"x").unwrap();
    store.manifest.lock().append_in_doubt(&crate::store::manifest::Edit::Cold {
        index: "logs-a".into(),
        split: id,
        cold,
    });
    let in_the_way = folder.path().join("store/manifest.new");
    std::fs::create_dir(&in_the_way).unwrap();
    assert!(store.sweep_cold().is_err() && object.exists());
    std::fs::remove_dir(&in_the_way).unwrap();
    assert_eq!((store.sweep_cold().unwrap(), object.exists()), (1, false));
    drop(store);
    assert_eq!(numbers(&open(folder.path())).len(), 200);
}

#[test]
fn a_split_of_which_the_manifest_forgot_where_it_went_is_not_swept() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    fill(&store, "logs-a", 0..2);
    assert!(store.freeze_one(LATER_NS).unwrap());
    let before = std::fs::metadata(folder.path().join("store/manifest")).unwrap().len();
    assert!(store.freeze_one(LATER_NS).unwrap());
    drop(store);
    // A disk that lost what it had said was written.
    let manifest = std::fs::OpenOptions::new().write(true).open(folder.path().join("store/manifest")).unwrap();
    manifest.set_len(before).unwrap();
    let there = keys(folder.path());
    let store = open(folder.path());
    assert_eq!((store.damages().len(), store.sweep_cold().unwrap()), (1, 0));
    assert_eq!(keys(folder.path()), there);
    store.delete("logs-a").unwrap();
    store.remove_cold().unwrap();
    store.sweep_cold().unwrap();
    assert_eq!(keys(folder.path()), named_keys(&store));
}
