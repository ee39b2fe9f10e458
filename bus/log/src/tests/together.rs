//! Everything at once, from many threads.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use super::*;
use crate::{ReadError, Retention};

#[test]
fn appends_reads_lookups_retention_and_checkpoints_do_not_disturb_each_other() {
    let root = tempfile::tempdir().unwrap();
    let (store, _) = open(root.path());
    let partition = store.create("t", 0).unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let appenders: Vec<_> = (0..3)
            .map(|id| {
                let partition = &partition;
                scope.spawn(move || {
                    for sequence in 0..300 {
                        let producer = Some((id, 0, sequence));
                        let sample =
                            Sample { producer, value_bytes: 50, time_ms: sequence.into(), ..Default::default() };
                        if sequence % 20 == 0 {
                            keep(partition, sample)
                        } else {
                            append(partition, sample).unwrap()
                        };
                    }
                })
            })
            .collect();
        for _ in 0..2 {
            scope.spawn(|| {
                let mut next = 0;
                while !done.load(SeqCst) {
                    match partition.read(next, 1_000, i64::MAX, true) {
                        Ok(slice) => {
                            assert!(slice.bytes.is_empty() || slice.base_offset == next, "{slice:?} at {next}");
                            assert!(slice.next_offset <= partition.durable_end());
                            next = slice.next_offset;
                        }
                        Err(ReadError::OutOfRange { log_start, .. }) => next = log_start.max(next),
                        Err(error) => panic!("{error}"),
                    }
                }
            });
        }
        scope.spawn(|| {
            let policy = Retention { max_bytes: Some(20_000), max_age: None };
            while !done.load(SeqCst) {
                partition.retain(0, &policy).unwrap();
                partition.checkpoint().unwrap();
                partition.offset_for_time(200).unwrap();
                partition.delete_before(partition.log_start()).unwrap();
            }
        });
        appenders.into_iter().for_each(|appender| appender.join().unwrap());
        done.store(true, SeqCst);
    });
    assert_eq!(partition.log_end(), 900);
    assert!(segments(&partition_dir(root.path()), "quarantined").is_empty());
    let left = (partition.log_start()..900).collect::<Vec<_>>();
    block_on(partition.wait_durable(900)).unwrap();
    assert_eq!(offsets(&partition), left);
    drop((partition, store));
    let (store, report) = open(root.path());
    assert!(report.is_clean(), "{report:?}");
    assert_eq!(offsets(&store.get("t", 0).unwrap()), left);
}
