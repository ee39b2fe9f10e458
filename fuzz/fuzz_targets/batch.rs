//! Record batches as producers may send them: appended, found by time, read back. The checksum is put right first, or
//! nothing behind it would ever be reached; what was taken must come back as one whole.
#![no_main]

use std::sync::{Arc, LazyLock};

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use logmill_bus_log::{LogOptions, LogStore, Partition, Stamp};

/// Where a v2 batch keeps its length, its checksum and what that covers.
const LENGTH: std::ops::Range<usize> = 8..12;
const MAGIC: usize = 16;
const CRC: std::ops::Range<usize> = 17..21;
const COVERED: usize = 21;

static LOG: LazyLock<(tempfile::TempDir, LogStore, Arc<Partition>)> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a folder");
    // Small segments, so that rolling is part of it; nothing is reserved, because very many are made.
    let options = LogOptions { segment_bytes: 64 << 10, preallocate_bytes: 0, ..LogOptions::default() };
    let (store, _) = LogStore::open(folder.path(), options).expect("a store");
    let partition = store.create("fuzzed", 0).expect("a partition");
    (folder, store, partition)
});

fuzz_target!(|data: &[u8]| {
    let Some((choice, batch)) = data.split_first() else { return };
    let mut batch = BytesMut::from(batch);
    if choice & 1 == 0 && batch.len() > COVERED {
        let length = u32::try_from(batch.len() - LENGTH.end).unwrap_or(0);
        batch[LENGTH].copy_from_slice(&length.to_be_bytes());
        batch[MAGIC] = 2;
        let crc = crc32c::crc32c(&batch[COVERED..]);
        batch[CRC].copy_from_slice(&crc.to_be_bytes());
    }
    let stamp = if choice & 2 == 0 { Stamp::CreateTime } else { Stamp::LogAppendTime };
    let (_, _, log) = &*LOG;
    let before = log.log_end();
    match log.append(batch, i32::from(*choice), 1_700_000_000_000, stamp) {
        Ok(taken) => {
            assert!(taken.base_offset <= taken.end_offset);
            assert_eq!(log.log_end(), if taken.duplicate { before } else { taken.end_offset });
        }
        Err(_) => assert_eq!(log.log_end(), before, "nothing of it is in the log"),
    }
    let _ = log.offset_for_time(i64::from(*choice) << 32);
    let _ = log.read(before.saturating_sub(i64::from(*choice)), 1 << 16, i64::MAX, true);
    let _ = log.max_timestamp();
});
