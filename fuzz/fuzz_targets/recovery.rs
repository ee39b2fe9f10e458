//! A folder as a broken disk may leave it: a real log of which files are cut, overwritten, removed or made up. Opening
//! it must end, and what it says it holds must be readable; what is appended then must be there.
#![no_main]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use logmill_bus_log::{LogOptions, LogStore, Stamp};

/// One plain record, as a producer sends it.
fn batch(number: u8) -> BytesMut {
    let mut record = vec![0, 0, 0, 1, 2, number, 0];
    record.insert(0, u8::try_from(record.len() * 2).unwrap_or(0));
    let mut batch = vec![0; 61];
    batch[8..12].copy_from_slice(&u32::try_from(61 - 12 + record.len()).unwrap_or(0).to_be_bytes());
    batch[16] = 2;
    batch[43..57].fill(0xff);
    batch[57..61].copy_from_slice(&1u32.to_be_bytes());
    batch.extend(record);
    let crc = crc32c::crc32c(&batch[21..]);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
    BytesMut::from(&batch[..])
}

fn options() -> LogOptions {
    LogOptions { segment_bytes: 4 << 10, index_interval_bytes: 256, preallocate_bytes: 0, ..LogOptions::default() }
}

/// The files of a log of some segments, left without a clean end: relative path and content.
static SOUND: LazyLock<Vec<(PathBuf, Vec<u8>)>> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a folder");
    let (store, _) = LogStore::open(folder.path(), options()).expect("a store");
    let log = store.create("topic", 0).expect("a partition");
    for number in 0..200 {
        log.append(batch(number), 1, 1_700_000_000_000, Stamp::CreateTime).expect("an append");
    }
    let mut files = Vec::new();
    collect(folder.path(), folder.path(), &mut files);
    files.sort();
    files
});

fn collect(root: &Path, folder: &Path, files: &mut Vec<(PathBuf, Vec<u8>)>) {
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(root, &path, files);
        } else if let (Ok(relative), Ok(content)) = (path.strip_prefix(root), fs::read(&path)) {
            files.push((relative.to_path_buf(), content));
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let folder = tempfile::tempdir().expect("a folder");
    let mut files = SOUND.clone();
    // Three bytes say which file, where and what; the rest of a damage is its bytes.
    let mut rest = data;
    while let [which, place, how, more @ ..] = rest {
        let at_file = usize::from(*which) % files.len();
        let length = usize::from(how >> 2).min(more.len());
        let (bytes, after) = more.split_at(length);
        let content = &mut files[at_file].1;
        let at = content.len() * usize::from(*place) / 256;
        match how & 3 {
            0 => content.truncate(at),
            1 => content.iter_mut().skip(at).zip(bytes).for_each(|(old, new)| *old = *new),
            2 => content.extend_from_slice(bytes),
            _ => drop(files.remove(at_file)),
        }
        rest = after;
        if files.is_empty() {
            break;
        }
    }
    for (path, content) in &files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().expect("it lies in the folder")).expect("a folder");
        fs::write(path, content).expect("a file");
    }
    let Ok((store, _)) = LogStore::open(folder.path(), options()) else { return };
    let Ok(log) = store.create("topic", 0) else { return };
    let (mut next, end) = (log.log_start(), log.log_end());
    assert!(next <= end);
    let mut reads = 0;
    while next < end {
        let Ok(slice) = log.read(next, 1 << 20, i64::MAX, true) else { break };
        if slice.bytes.is_empty() {
            break;
        }
        reads += 1;
        assert!(reads < 10_000, "reading goes on");
        next = next.max(slice.next_offset);
    }
    if let Ok(taken) = log.append(batch(1), 2, 1_700_000_000_000, Stamp::CreateTime) {
        assert_eq!(taken.base_offset, end);
        assert_eq!(log.log_end(), end + 1);
    }
    let _ = store.close();
});
