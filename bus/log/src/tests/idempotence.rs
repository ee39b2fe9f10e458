//! A producer's repeats are answered with their first offsets, across restarts of every kind.

use super::*;

fn from(sequence: i32, records: i32) -> Sample {
    Sample { records, producer: Some((5, 0, sequence)), value_bytes: 100, ..Default::default() }
}

#[test]
fn repeats_and_gaps_are_told_apart_across_restarts() {
    for clean in [true, false] {
        let root = tempfile::tempdir().unwrap();
        let (store, _) = open(root.path());
        let partition = store.create("t", 0).unwrap();
        for at in 0..40 {
            keep(&partition, from(at * 2, 2));
            if at == 20 {
                partition.checkpoint().unwrap();
            }
        }
        for round in 0..3 {
            let partition = if round == 0 { Arc::clone(&partition) } else { store.get("t", 0).unwrap() };
            let again = keep(&partition, from(76, 2));
            assert_eq!((again.base_offset, again.end_offset, again.duplicate), (76, 78, true));
        }
        if clean {
            store.shutdown().unwrap();
        }
        drop((partition, store));
        let (store, _) = open(root.path());
        let partition = store.get("t", 0).unwrap();
        let again = keep(&partition, from(70, 2));
        assert_eq!((again.base_offset, again.duplicate), (70, true), "clean: {clean}");
        assert!(matches!(append(&partition, from(10, 2)), Err(AppendError::DuplicateTooOld { .. })));
        assert!(matches!(append(&partition, from(82, 2)), Err(AppendError::OutOfOrderSequence { expected: 80, .. })));
        assert_eq!(partition.log_end(), 80);
        let next = keep(&partition, from(80, 1));
        assert_eq!((next.base_offset, next.duplicate), (80, false));
        let newer = Sample { producer: Some((5, 1, 0)), ..Default::default() };
        assert_eq!(keep(&partition, newer).base_offset, 81);
        assert!(matches!(append(&partition, from(81, 1)), Err(AppendError::ProducerFenced { .. })));
    }
}

#[test]
fn what_is_new_beside_repeats_is_written() {
    let root = tempfile::tempdir().unwrap();
    let (store, _) = open(root.path());
    let partition = store.create("t", 0).unwrap();
    keep(&partition, from(0, 2));
    let mut both = from(0, 2).build();
    both.extend_from_slice(&from(2, 3).build());
    let appended = partition.append(both.clone(), 0, 0, Stamp::CreateTime).unwrap();
    assert_eq!((appended.base_offset, appended.end_offset, appended.duplicate), (0, 5, false));
    let appended = partition.append(both, 0, 0, Stamp::CreateTime).unwrap();
    assert_eq!((appended.base_offset, appended.end_offset, appended.duplicate), (0, 5, true));
    block_on(partition.wait_durable(5)).unwrap();
    assert_eq!(offsets(&partition), [0, 2]);
}
