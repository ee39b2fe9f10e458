use std::sync::Arc;

use logmill_core::Origin;

use super::*;

fn split(id: u64) -> SplitMeta {
    let files = vec![SplitFile { name: "a.store".into(), bytes: 7, crc32c: 9 }];
    SplitMeta {
        id,
        docs: 3,
        bytes: 7,
        oldest_ns: -1,
        newest_ns: 5,
        files,
        deleted: vec![],
        deleted_since_ms: None,
        gone: vec![],
        sealed: id.is_multiple_of(2),
        arrived_ms: 9,
        cold: None,
    }
}

fn bucket() -> crate::store::objects::Bucket {
    crate::store::objects::Bucket { bucket: "logs".into(), region: Some("eu".into()), ..Default::default() }
}

fn flush(number: u64) -> Edit {
    let meta = IndexMeta {
        uuid: "u".into(),
        created_ms: 1,
        mapping: Arc::default(),
        splits: [(number, split(number))].into(),
        max_age_ms: None,
        restored: false,
        facts: Arc::default(),
    };
    let origin = Origin { generation: 0, start: number, end: number + 1, part: 0 };
    Edit::Flush {
        next: [(0, number as i64 * 10)].into(),
        marks: vec![MarkMeta { partition: 0, source: "s".into(), origin, day: number as u32 }],
        indexes: [("logs".into(), meta)].into(),
        deleted: [(1, vec![number as u32])].into(),
        gone: [(1, vec![number << 48])].into(),
        at_ms: 1000 + number as i64,
    }
}

fn edits() -> Vec<Edit> {
    vec![
        flush(1),
        flush(2),
        Edit::Replace { index: "logs".into(), removed: vec![1, 2], added: vec![split(3)] },
        flush(4),
        Edit::Create {
            index: "new".into(),
            meta: IndexMeta {
                uuid: "v".into(),
                created_ms: 2,
                mapping: Arc::default(),
                splits: Default::default(),
                max_age_ms: None,
                restored: false,
                facts: Arc::default(),
            },
        },
        Edit::Forget { before_day: 3 },
        Edit::Repository { name: "keep".into(), location: Some(Location::Folder("/mnt/keep".into())) },
        Edit::Repository { name: "far".into(), location: Some(Location::Bucket(bucket())) },
        Edit::StoreId("s".into()),
        Edit::Cold {
            index: "logs".into(),
            split: 3,
            cold: ColdMeta { key: "s/3-x".into(), head: SplitFile { name: "head".into(), bytes: 8, crc32c: 1 } },
        },
        Edit::Repository { name: "old".into(), location: None },
        Edit::Quarantine { index: "logs".into(), split: 4, reason: "cut".into() },
        Edit::Repair { split: 4, added: vec![split(5)] },
        Edit::Quarantine { index: "logs".into(), split: 5, reason: "cut".into() },
        Edit::Age { index: "logs".into(), max_age_ms: Some(1000) },
        Edit::Delete { index: "new".into() },
    ]
}

/// The states after 0, 1, ... edits.
fn states() -> Vec<State> {
    let mut all = vec![State::default()];
    for edit in edits() {
        let mut next = all.last().unwrap().clone();
        next.apply(&edit);
        all.push(next);
    }
    all
}

#[test]
fn a_manifest_cut_at_any_byte_is_the_state_of_its_whole_records() {
    let folder = tempfile::tempdir().unwrap();
    let (mut manifest, recovery) = Manifest::open(folder.path()).unwrap();
    assert_eq!(recovery, Recovery::default());
    let path = folder.path().join("manifest");
    let mut ends = vec![std::fs::metadata(&path).unwrap().len()];
    for edit in edits() {
        manifest.append(&edit).unwrap();
        ends.push(std::fs::metadata(&path).unwrap().len());
    }
    drop(manifest);
    let whole = std::fs::read(&path).unwrap();
    for cut in 0..=whole.len() {
        let other = tempfile::tempdir().unwrap();
        std::fs::write(other.path().join("manifest"), &whole[..cut]).unwrap();
        let (mut manifest, recovery) = Manifest::open(other.path()).unwrap();
        let records = ends.iter().filter(|end| **end <= cut as u64).count().saturating_sub(1);
        assert_eq!(manifest.state(), &states()[records], "cut at {cut}");
        assert!(!recovery.damaged);
        manifest.append(&flush(9)).unwrap();
        let expected = manifest.state().clone();
        drop(manifest);
        assert_eq!(Manifest::open(other.path()).unwrap().0.state(), &expected);
    }
}

#[test]
fn a_damaged_middle_is_told_and_kept_aside() {
    let folder = tempfile::tempdir().unwrap();
    let (mut manifest, _) = Manifest::open(folder.path()).unwrap();
    let path = folder.path().join("manifest");
    let start = std::fs::metadata(&path).unwrap().len() as usize;
    for edit in edits() {
        manifest.append(&edit).unwrap();
    }
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[start + 20] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let (manifest, recovery) = Manifest::open(folder.path()).unwrap();
    assert!(recovery.damaged);
    assert_eq!(manifest.state(), &State::default());
    assert_eq!(std::fs::read(folder.path().join("manifest.damaged")).unwrap(), bytes);
}

/// A block that was never written, or torn, wherever it begins: the records behind it make it damage, and then the name
/// under which cold splits are kept is given up, for nobody knows any more which there are.
#[test]
fn zeros_in_the_middle_are_damage_and_at_the_end_a_torn_tail() {
    let folder = tempfile::tempdir().unwrap();
    let (mut manifest, _) = Manifest::open(folder.path()).unwrap();
    let path = folder.path().join("manifest");
    let length = || std::fs::metadata(&path).unwrap().len() as usize;
    manifest.append(&Edit::StoreId("s".into())).unwrap();
    let start = length();
    for edit in edits() {
        manifest.append(&edit).unwrap();
    }
    let last = length();
    manifest.append(&flush(9)).unwrap();
    drop(manifest);
    let whole = std::fs::read(&path).unwrap();
    for from in (start..last).step_by(7) {
        for to in [from + 1, from + 40, last] {
            let mut bytes = whole.clone();
            bytes[from..to.min(last)].fill(0);
            if bytes == whole {
                continue;
            }
            std::fs::write(&path, &bytes).unwrap();
            let (manifest, recovery) = Manifest::open(folder.path()).unwrap();
            assert!(recovery.damaged, "{from}..{to}");
            assert_eq!(manifest.state().store_id, None);
        }
        let mut bytes = whole.clone();
        bytes[from..].fill(0);
        std::fs::write(&path, &bytes).unwrap();
        let (manifest, recovery) = Manifest::open(folder.path()).unwrap();
        assert!(!recovery.damaged && recovery.cut_bytes > 0, "{from}..");
        assert_eq!(manifest.state().store_id.as_deref(), Some("s"));
    }
}

#[test]
fn what_an_append_in_doubt_left_is_gone_once_that_is_settled() {
    let folder = tempfile::tempdir().unwrap();
    let (mut manifest, _) = Manifest::open(folder.path()).unwrap();
    manifest.append(&flush(1)).unwrap();
    let expected = manifest.state().clone();
    manifest.append_in_doubt(&flush(2));
    let in_the_way = folder.path().join("manifest.new");
    std::fs::create_dir(&in_the_way).unwrap();
    assert!(manifest.settle().is_err() && manifest.settle().is_err());
    std::fs::remove_dir(&in_the_way).unwrap();
    manifest.settle().unwrap();
    drop(manifest);
    assert_eq!(Manifest::open(folder.path()).unwrap().0.state(), &expected);
}

#[test]
fn foreign_and_newer_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("manifest");
    std::fs::write(&path, b"something else entirely").unwrap();
    assert!(matches!(Manifest::open(folder.path()), Err(ManifestError::NotOne { .. })));
    let mut header = MAGIC.to_vec();
    header.extend_from_slice(&(VERSION + 1).to_le_bytes());
    header.extend_from_slice(&crc32c::crc32c(&header).to_le_bytes());
    std::fs::write(&path, &header).unwrap();
    assert!(matches!(Manifest::open(folder.path()), Err(ManifestError::Version { found, .. }) if found == VERSION + 1));
}

#[test]
fn the_log_is_rewritten_before_it_grows_without_bound() {
    let folder = tempfile::tempdir().unwrap();
    let (mut manifest, _) = Manifest::open(folder.path()).unwrap();
    for round in 0..150 {
        manifest.append(&Edit::Forget { before_day: round }).unwrap();
        manifest
            .append(&Edit::Replace { index: "logs".into(), removed: vec![], added: (0..200).map(split).collect() })
            .unwrap();
    }
    assert!(std::fs::metadata(folder.path().join("manifest")).unwrap().len() < 2 * GROWTH_BYTES);
}

/// A manifest as the first version wrote it: a snapshot, and one change of each kind that it had.
fn first_version() -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&1u32.to_le_bytes());
    bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
    let split = |id: u32, deleted: &str| {
        let files = r#"[{"name":"a.store","bytes":7,"crc32c":9}]"#;
        format!(r#"{{"id":{id},"docs":3,"bytes":7,"oldest_ns":-1,"newest_ns":5,"files":{files}{deleted}}}"#)
    };
    let index = |split: &str| {
        format!(
            r#"{{"uuid":"u","created_ms":1,"mapping":{{"@timestamp":"date","message":"text"}},"splits":{{{split}}}}}"#
        )
    };
    let first = index(&format!(r#""1":{}"#, split(1, r#","deleted":[0,2]"#)));
    let second = index(&format!(r#""2":{}"#, split(2, "")));
    let mark = r#"{"partition":0,"source":"s","origin":"0:1:2:0","day":3}"#;
    for payload in [
        format!(r#"{{"snapshot":{{"next":{{"0":10}},"marks":[{mark}],"indexes":{{"logs":{first}}}}}}}"#),
        format!(
            r#"{{"flush":{{"next":{{"0":20}},"marks":[{mark}],"indexes":{{"logs":{second}}},"deleted":{{"1":[1]}}}}}}"#
        ),
        format!(r#"{{"create":{{"index":"new","meta":{}}}}}"#, index("")),
        r#"{"delete":{"index":"new"}}"#.to_owned(),
        format!(r#"{{"replace":{{"index":"logs","removed":[2],"added":[{}]}}}}"#, split(3, "")),
        r#"{"forget":{"before_day":1}}"#.to_owned(),
    ] {
        bytes.extend_from_slice(&u32::try_from(payload.len()).unwrap().to_le_bytes());
        bytes.extend_from_slice(&crc32c::crc32c(payload.as_bytes()).to_le_bytes());
        bytes.extend_from_slice(payload.as_bytes());
    }
    bytes
}

#[test]
fn a_manifest_of_the_first_version_is_read_and_written_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("manifest");
    std::fs::write(&path, first_version()).unwrap();
    let (manifest, recovery) = Manifest::open(folder.path()).unwrap();
    assert_eq!(recovery, Recovery::default());
    let state = manifest.state();
    assert_eq!(state.next, [(0, 20)].into());
    assert_eq!(state.marks.len(), 1);
    let logs = &state.indexes[&Arc::<str>::from("logs")];
    assert_eq!(logs.splits.keys().copied().collect::<Vec<_>>(), [1, 3]);
    assert_eq!(logs.splits[&1].deleted, [0, 1, 2]);
    assert_eq!(logs.max_age_ms, None);
    let written = std::fs::read(&path).unwrap();
    assert_eq!(u32_at(&written, 8), Some(VERSION));
}

/// A manifest as the second version wrote it: with the members and changes that the first did not have.
fn second_version() -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&2u32.to_le_bytes());
    bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
    let files = r#"[{"name":"a.store","bytes":7,"crc32c":9}]"#;
    let split = |id: u32| {
        format!(
            r#"{{"id":{id},"docs":3,"bytes":7,"oldest_ns":-1,"newest_ns":5,"files":{files},"deleted":[0],"deleted_since_ms":4,"gone":[8],"sealed":true,"arrived_ms":9}}"#
        )
    };
    let index = format!(
        r#"{{"uuid":"u","created_ms":1,"mapping":{{"@timestamp":"date"}},"splits":{{"1":{}}},"max_age_ms":5,"restored":true,"facts":{{}}}}"#,
        split(1)
    );
    for payload in [
        format!(
            r#"{{"snapshot":{{"next":{{"0":10}},"marks":[],"indexes":{{"logs":{index}}},"directory":{{"index_templates":{{}},"component_templates":{{}},"legacy_templates":{{}},"policies":{{}}}},"repositories":{{"keep":"/mnt/keep"}}}}}}"#
        ),
        r#"{"repository":{"name":"other","location":"/mnt/other"}}"#.to_owned(),
        r#"{"repository":{"name":"keep","location":null}}"#.to_owned(),
        format!(r#"{{"replace":{{"index":"logs","removed":[],"added":[{}]}}}}"#, split(2)),
        r#"{"quarantine":{"index":"logs","split":2,"reason":"cut"}}"#.to_owned(),
    ] {
        bytes.extend_from_slice(&u32::try_from(payload.len()).unwrap().to_le_bytes());
        bytes.extend_from_slice(&crc32c::crc32c(payload.as_bytes()).to_le_bytes());
        bytes.extend_from_slice(payload.as_bytes());
    }
    bytes
}

#[test]
fn a_manifest_of_the_second_version_is_read_and_written_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("manifest");
    std::fs::write(&path, second_version()).unwrap();
    let (manifest, recovery) = Manifest::open(folder.path()).unwrap();
    assert_eq!(recovery, Recovery::default());
    let state = manifest.state();
    assert_eq!(state.repositories, [("other".to_owned(), Location::Folder("/mnt/other".into()))].into());
    let logs = &state.indexes[&Arc::<str>::from("logs")];
    assert_eq!((logs.splits.len(), logs.splits[&1].sealed, &logs.splits[&1].cold), (1, true, &None));
    assert_eq!((state.quarantine[&2].split.gone.as_slice(), &state.store_id), (&[8][..], &None));
    let written = std::fs::read(&path).unwrap();
    assert_eq!(u32_at(&written, 8), Some(VERSION));
}
