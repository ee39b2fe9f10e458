//! The checkpoint under everything that can happen to files: tears at every byte, flipped bits, two owners.

use std::collections::HashMap;

use super::record::Entry;
use super::*;
use crate::input::file::identity::{FileKey, Head};

fn entry(id: u128) -> Entry {
    Entry {
        id: FileId(id),
        generation: 0,
        key: FileKey { device: 1, inode: 2, born_ns: 3 },
        path: "/var/log/app.log".into(),
        head: Head::of(b"first line\n"),
        acked: 0,
        tail: 0,
        cuts: Vec::new(),
        gzip: false,
        whole: 0,
        short: false,
        seen_s: 7,
    }
}

fn entries_of(found: &Found) -> Vec<(u128, u64)> {
    let mut list: Vec<_> = found.entries.values().map(|entry| (entry.id.0, entry.acked)).collect();
    list.sort_unstable();
    list
}

fn acked(id: u128, offset: u64) -> Record {
    Record::Acked { id: FileId(id), offset, tail: 9 }
}

#[test]
fn what_was_added_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (mut checkpoint, found) = Checkpoint::open(folder.path()).unwrap();
    assert!(found.fresh);
    let cut = Record::Cut { id: FileId(1), at: 60 };
    checkpoint
        .append(&[Record::Entry(Box::new(entry(1))), Record::Entry(Box::new(entry(2))), acked(1, 50), cut])
        .unwrap();
    drop(checkpoint);
    for _ in 0..3 {
        let (_, found) = Checkpoint::open(folder.path()).unwrap();
        assert!(!found.fresh);
        assert_eq!(entries_of(&found), [(1, 50), (2, 0)]);
        assert_eq!(found.entries[&FileId(1)].cuts, [60]);
    }
    let (mut checkpoint, found) = Checkpoint::open(folder.path()).unwrap();
    checkpoint.append(&[acked(1, 60), Record::Forget { id: FileId(2) }]).unwrap();
    checkpoint.snapshot(found.entries.values()).unwrap();
    checkpoint.append(&[acked(1, 60), Record::Forget { id: FileId(2) }]).unwrap();
    drop(checkpoint);
    let (_, found) = Checkpoint::open(folder.path()).unwrap();
    assert_eq!(entries_of(&found), [(1, 60)]);
    assert!(found.entries[&FileId(1)].cuts.is_empty());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 5, "two pairs and the lock");
}

#[test]
fn two_shippers_cannot_share_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let first = Checkpoint::open(folder.path()).unwrap();
    assert!(matches!(Checkpoint::open(folder.path()), Err(CheckpointError::InUse(_))));
    drop(first);
    assert!(Checkpoint::open(folder.path()).is_ok());
}

#[test]
fn a_log_torn_at_any_byte_yields_a_prefix_of_what_was_added() {
    let mut log = LOG_MAGIC.to_vec();
    let mut ends = vec![log.len()];
    for offset in 1..=5 {
        frame(&acked(1, offset), &mut log);
        ends.push(log.len());
    }
    for length in 0..log.len() {
        let mut entries = HashMap::from([(FileId(1), entry(1))]);
        let cut = replay(&log[..length], &mut entries);
        let whole = ends.iter().filter(|end| **end <= length).count().saturating_sub(1);
        assert_eq!(entries[&FileId(1)].acked, whole as u64, "{length}");
        let kept = ends.get(whole).filter(|end| **end <= length).copied().unwrap_or(0);
        assert_eq!(cut as usize, length - kept);
        // A file system that had grown the file but not written it leaves zeros.
        let mut entries = HashMap::from([(FileId(1), entry(1))]);
        let mut holed = log[..length].to_vec();
        holed.resize(log.len() + 100, 0);
        replay(&holed, &mut entries);
        assert!(entries[&FileId(1)].acked <= 5);
    }
}

#[test]
fn no_flipped_bit_goes_unnoticed_and_the_second_copy_serves() {
    let folder = tempfile::tempdir().unwrap();
    let (mut checkpoint, _) = Checkpoint::open(folder.path()).unwrap();
    checkpoint.append(&[Record::Entry(Box::new(entry(1))), acked(1, 50)]).unwrap();
    let mut now = entry(1);
    now.acked = 50;
    checkpoint.snapshot([&now].into_iter()).unwrap();
    checkpoint.append(&[acked(1, 70)]).unwrap();
    let number = checkpoint.number;
    drop(checkpoint);
    let path = snapshot_path(folder.path(), number);
    let good = std::fs::read(&path).unwrap();
    for index in 0..good.len() {
        let mut bad = good.clone();
        bad[index] ^= 0x10;
        assert!(read_snapshot(&bad).is_none(), "byte {index}");
        assert!(read_snapshot(&good[..index]).is_none(), "length {index}");
    }
    let mut bad = good.clone();
    bad[20] ^= 1;
    std::fs::write(&path, bad).unwrap();
    let (_, found) = Checkpoint::open(folder.path()).unwrap();
    assert_eq!(entries_of(&found), [(1, 70)], "the older snapshot and both logs");
    assert_eq!(found.cut_bytes, good.len() as u64);
}

#[test]
fn a_later_version_is_refused_and_so_is_a_folder_of_rubble() {
    let folder = tempfile::tempdir().unwrap();
    drop(Checkpoint::open(folder.path()).unwrap());
    let path = snapshot_path(folder.path(), 1);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[8] = 2;
    std::fs::write(&path, &bytes).unwrap();
    assert!(matches!(Checkpoint::open(folder.path()), Err(CheckpointError::TooNew(_))));
    std::fs::write(&path, b"").unwrap();
    assert!(matches!(Checkpoint::open(folder.path()), Err(CheckpointError::Damaged(_))));
}
