//! Power fails: of what was not synced, each block may or may not be on disk. What was promised must be.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use parking_lot::Mutex;
use proptest::prelude::*;

use super::*;
use crate::disk::{Disk, System};

const BLOCK_BYTES: usize = 4096;

/// A disk that remembers each file as it was at its last sync.
#[derive(Default)]
struct Volatile(Mutex<HashMap<u64, Vec<u8>>>);

impl Disk for Arc<Volatile> {
    fn write_all_at(&self, file: &File, bytes: &[u8], position: u64) -> io::Result<()> {
        System.write_all_at(file, bytes, position)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        // Appends may go on while this reads; what it finds was written before or during the sync, as on a real disk.
        let bytes = fs::read(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
        self.0.lock().insert(file.metadata()?.ino(), bytes);
        Ok(())
    }

    fn reserve(&self, file: &File, bytes: u64) -> io::Result<()> {
        System.reserve(file, bytes)
    }

    fn truncate(&self, file: &File, bytes: u64) -> io::Result<()> {
        System.truncate(file, bytes)
    }

    fn sync_dir(&self, _dir: &Path) -> io::Result<()> {
        Ok(())
    }
}

impl Volatile {
    /// Leaves each file with some of the blocks and one of the lengths that it had since its last sync.
    fn lose_power(&self, dir: &Path, mut keeps: impl FnMut() -> bool) {
        for path in segments(dir, "log").into_iter().chain(segments(dir, "index")).chain([dir.join("checkpoint")]) {
            let old = self.0.lock().get(&fs::metadata(&path).unwrap().ino()).cloned().unwrap_or_default();
            let new = fs::read(&path).unwrap();
            let length = if keeps() { new.len() } else { old.len() };
            let mut left = vec![0; length];
            for (at, block) in left.chunks_mut(BLOCK_BYTES).enumerate() {
                let from = if keeps() { &new } else { &old };
                for (byte, kept) in block.iter_mut().zip(from.iter().skip(at * BLOCK_BYTES)) {
                    *byte = *kept;
                }
            }
            fs::write(&path, left).unwrap();
        }
    }
}

#[derive(Clone, Debug)]
enum Act {
    Append { value_bytes: usize, wait: bool },
    Checkpoint,
    Trim,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        12 => (0..9_000_usize, any::<bool>()).prop_map(|(value_bytes, wait)| Act::Append { value_bytes, wait }),
        1 => Just(Act::Checkpoint),
        1 => Just(Act::Trim),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn nothing_promised_is_lost(
        acts in prop::collection::vec(act(), 1..40), luck in prop::collection::vec(any::<bool>(), 400),
    ) {
        let root = tempfile::tempdir().unwrap();
        let disk = Arc::new(Volatile::default());
        let options = LogOptions { segment_bytes: 40_000, ..small() };
        let (store, _) = LogStore::open_on(root.path(), options.clone(), Arc::new(Arc::clone(&disk))).unwrap();
        let partition = store.create("t", 0).unwrap();
        let mut sequence = 0;
        for act in acts {
            match act {
                Act::Append { value_bytes, wait } => {
                    let sample = Sample { value_bytes, producer: Some((1, 0, sequence)), ..Default::default() };
                    sequence += 1;
                    if wait { keep(&partition, sample) } else { append(&partition, sample).unwrap() };
                }
                Act::Checkpoint => partition.checkpoint().unwrap(),
                Act::Trim => partition.delete_before(partition.durable_end() / 2).unwrap(),
            }
        }
        let (start, promised) = (partition.log_start(), partition.durable_end());
        let mut expected = read_all(&partition, start, 1 << 20);
        // The committer goes on meanwhile, and may have promised more.
        expected.retain(|(offset, _)| *offset < promised);
        drop((partition, store));
        let mut luck = luck.into_iter().cycle();
        disk.lose_power(&partition_dir(root.path()), || luck.next().unwrap_or_default());

        let (store, report) = LogStore::open(root.path(), options).unwrap();
        prop_assert!(report.failed.is_empty() && report.checkpoints_lost == 0, "{:?}", report);
        let partition = store.get("t", 0).unwrap();
        prop_assert_eq!(partition.log_start(), start);
        let mut found = read_all(&partition, start, 1 << 20);
        found.retain(|(offset, _)| *offset < promised);
        prop_assert_eq!(found, expected);
        let end = partition.log_end() as i32;
        prop_assert!(i64::from(end) >= promised);
        if report.quarantined.is_empty() {
            let next = Sample { producer: Some((1, 0, end)), ..Default::default() };
            prop_assert!(!keep(&partition, next).duplicate);
            prop_assert!(keep(&partition, next).duplicate);
        }
    }
}
