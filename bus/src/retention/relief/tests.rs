//! Who gives, how much, and that the pinned give last.

use logmill_bus_log::{LogOptions, LogStore, Stamp, Tuning};

use super::*;

/// A batch of one record of about a kilobyte, by hand: the format is fixed since Kafka 0.11.
fn batch() -> bytes::BytesMut {
    use bytes::BufMut;
    let mut checked = bytes::BytesMut::new();
    checked.put_i16(0);
    checked.put_i32(0);
    checked.put_slice(&[0; 16]);
    checked.put_i64(-1);
    checked.put_i16(-1);
    checked.put_i32(-1);
    checked.put_i32(1);
    checked.put_slice(&[b'x'; 1000]);
    let mut out = bytes::BytesMut::new();
    out.put_i64(0);
    out.put_i32(i32::try_from(checked.len() + 9).unwrap());
    out.put_i32(-1);
    out.put_u8(2);
    out.put_u32(crc32c::crc32c(&checked));
    out.put_slice(&checked);
    out
}

fn holding(store: &LogStore, partition: i32, batches: usize, pinned_from: i64) -> Holding {
    let log = store.create("t", partition).unwrap();
    log.tune(Tuning { segment_bytes: 10_000, segment_age: None });
    for _ in 0..batches {
        log.append(batch(), 0, 0, Stamp::CreateTime).unwrap();
    }
    Holding { topic: "t".into(), log, pinned_from }
}

#[test]
fn the_largest_give_their_oldest_and_the_pinned_last() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = LogStore::open(folder.path(), LogOptions::default()).unwrap();
    let holdings = [holding(&store, 0, 300, 0), holding(&store, 1, 100, i64::MAX), holding(&store, 2, 50, i64::MAX)];
    let before = size(&holdings);
    assert_eq!(make_room(&holdings, 20_000), 0);
    assert!((20_000..31_000).contains(&(before - size(&holdings))));
    assert_eq!((holdings[0].log.log_start(), holdings[2].log.log_start()), (0, 0), "the largest is pinned");
    assert!(holdings[1].log.log_start() > 0);
    // More than all that nobody pinned can give: what is written stays, it is not worth closing.
    let free = holdings[1].log.size_bytes() + holdings[2].log.size_bytes();
    let dropped = make_room(&holdings, free);
    assert!(dropped > 0 && i64::try_from(dropped).unwrap() == holdings[0].log.log_start());
    assert!(holdings[1].log.oldest().is_none() && holdings[2].log.oldest().is_none());
}

#[test]
fn only_what_is_read_goes_while_that_is_enough() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = LogStore::open(folder.path(), LogOptions::default()).unwrap();
    let holdings = [holding(&store, 0, 100, 45)];
    assert_eq!(make_room(&holdings, 30_000), 0);
    let start = holdings[0].log.log_start();
    assert!((28..=45).contains(&start), "{start}");
    let dropped = make_room(&holdings, 40_000);
    assert_eq!(i64::try_from(dropped).unwrap(), holdings[0].log.log_start() - 45);
}

#[test]
fn what_is_written_is_closed_when_nothing_else_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = LogStore::open(folder.path(), LogOptions::default()).unwrap();
    let holdings = [holding(&store, 0, 0, i64::MAX)];
    holdings[0].log.tune(Tuning { segment_bytes: 1 << 20, segment_age: None });
    for _ in 0..200 {
        holdings[0].log.append(batch(), 0, 0, Stamp::CreateTime).unwrap();
    }
    assert_eq!(make_room(&holdings, 1), 0);
    assert_eq!((holdings[0].log.log_start(), holdings[0].log.size_bytes()), (200, 0));
}
