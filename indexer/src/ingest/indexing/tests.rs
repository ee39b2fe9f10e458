use bytes::Bytes;

use super::*;
use crate::store::testing;

const TOPIC: &str = "logs.parsed";

fn message(partition: i32, offset: i64, value: &str, headers: &[(&str, &str)]) -> Message {
    Message {
        topic: TOPIC.into(),
        partition,
        offset,
        timestamp_ms: Some(1_795_000_000_000),
        key: None,
        value: Bytes::copy_from_slice(value.as_bytes()),
        headers: headers
            .iter()
            .map(|(name, value)| ((*name).into(), Bytes::copy_from_slice(value.as_bytes())))
            .collect(),
    }
}

fn indexing(store: &Arc<Store>) -> Indexing {
    Indexing::new(store.clone(), 1000, 3)
}

fn take(indexing: &mut Indexing, messages: &[Message]) -> Tally {
    indexing.take(messages, Instant::now(), 100).unwrap();
    indexing.tick().unwrap()
}

fn docs(store: &Store, index: &str) -> u64 {
    store.indices().iter().find(|summary| summary.name.as_ref() == index).map_or(0, |summary| summary.docs)
}

#[test]
fn the_header_names_the_index_and_what_can_not_be_one_goes_elsewhere() {
    let store = testing::empty();
    let mut indexing = indexing(&store);
    let tally = take(
        &mut indexing,
        &[
            message(0, 0, "{}", &[(INDEX_HEADER, "logs-a")]),
            message(0, 1, "{}", &[(INDEX_HEADER, "NO GOOD")]),
            message(0, 2, "{}", &[]),
            message(0, 3, "", &[]),
            message(1, 0, "not json", &[(INDEX_HEADER, "logs-a")]),
        ],
    );
    assert_eq!((tally.events, tally.not_json, tally.empty), (4, 1, 1));
    assert_eq!((docs(&store, "logs-a"), docs(&store, FALLBACK_INDEX)), (2, 2));
    take(
        &mut indexing,
        &[message(0, 4, "{}", &[(INDEX_HEADER, "logs-b")]), message(0, 5, "{}", &[(INDEX_HEADER, "logs-c")])],
    );
    take(&mut indexing, &[message(0, 6, "{}", &[(INDEX_HEADER, "logs-d")])]);
    assert_eq!(docs(&store, "logs-d"), 0);
    assert_eq!(store.indices().iter().map(|index| index.docs).sum::<u64>(), 7);
    assert!(store.progress.borrow().shows(&[logmill_bus_client::Position { partition: 0, offset: 6 }]));
}

#[test]
fn doubles_by_origin_or_offset_are_dropped() {
    let store = testing::empty();
    let mut indexing = indexing(&store);
    let at =
        |partition, offset, origin| message(partition, offset, "{}", &[(SOURCE_HEADER, "s"), (ORIGIN_HEADER, origin)]);
    let first = [at(0, 0, "0:0:5:0"), at(0, 1, "0:5:9:0"), at(1, 0, "0:9:12:0")];
    assert_eq!(take(&mut indexing, &first).events, 3);
    // Sent again by the shipper, and read again by us.
    let again = [at(0, 1, "0:5:9:0"), at(0, 2, "0:5:9:0"), at(0, 3, "0:9:12:0"), at(1, 1, "1:0:3:0")];
    let tally = take(&mut indexing, &again);
    assert_eq!((tally.events, tally.duplicates), (2, 2));
}

#[test]
fn of_one_id_the_last_indexed_counts_and_the_first_created() {
    let store = testing::empty();
    let mut indexing = indexing(&store);
    let with =
        |offset, id, op, n: u8| message(0, offset, &format!("{{\"n\":{n}}}"), &[(ID_HEADER, id), (OP_HEADER, op)]);
    let tally = take(
        &mut indexing,
        &[with(0, "a", "create", 1), with(1, "a", "create", 2), with(2, "b", "index", 3), with(3, "b", "index", 4)],
    );
    assert_eq!((tally.events, tally.id_conflicts), (3, 1));
    assert_eq!(docs(&store, FALLBACK_INDEX), 2);
    store.flush().unwrap();
    let tally = take(&mut indexing, &[with(4, "a", "create", 5), with(5, "a", "index", 6), with(6, "b", "index", 7)]);
    assert_eq!((tally.events, tally.id_conflicts), (2, 1));
    assert_eq!(docs(&store, FALLBACK_INDEX), 2);
    store.flush().unwrap();
    assert_eq!(docs(&store, FALLBACK_INDEX), 2);
    let view = store.view("_all", None).unwrap();
    let mut numbers: Vec<i64> = Vec::new();
    for part in &view.parts {
        let column = part.reader.fast_fields().i64("keyword.n").unwrap();
        numbers.extend(part.reader.doc_ids_alive().filter_map(|document| column.first(document)));
    }
    numbers.sort_unstable();
    assert_eq!(numbers, [6, 7]);
}

#[test]
fn what_is_deleted_in_the_tick_of_its_making_is_gone_in_any_order() {
    let store = testing::empty();
    let mut indexing = indexing(&store);
    let with = |offset, id, op| message(0, offset, "{}", &[(ID_HEADER, id), (OP_HEADER, op)]);
    let made = ["a", "b", "c", "d"].into_iter().zip(0..).map(|(id, offset)| with(offset, id, "index"));
    let gone = ["d", "b", "a"].into_iter().zip(4..).map(|(id, offset)| with(offset, id, "delete"));
    take(&mut indexing, &made.chain(gone).collect::<Vec<_>>());
    let there: Vec<_> = ["a", "b", "c", "d"].map(|id| store.has_id(FALLBACK_INDEX, id).unwrap()).into();
    assert_eq!(there, [false, false, true, false]);
    assert_eq!(take(&mut indexing, &[with(7, "b", "create")]).id_conflicts, 0);
}

#[tokio::test]
async fn an_index_made_anew_in_the_midst_of_a_tick_has_its_types_from_the_next_on() {
    let store = testing::empty();
    let mut indexing = indexing(&store);
    take(&mut indexing, &[message(0, 0, r#"{"n":1}"#, &[])]);
    indexing.take(&[message(0, 1, r#"{"n":2}"#, &[])], Instant::now(), 100).unwrap();
    store.delete_index(FALLBACK_INDEX).await.unwrap();
    let mappings = serde_json::json!({"mappings": {"properties": {"m": {"type": "keyword"}}}});
    store.create_with(FALLBACK_INDEX, &serde_json::from_value(mappings).unwrap(), false).unwrap();
    indexing.tick().unwrap();
    take(&mut indexing, &[message(0, 2, r#"{"m":3}"#, &[])]);
    let view = store.view(FALLBACK_INDEX, None).unwrap();
    let newest = view.parts.iter().find(|part| part.reader.fast_fields().u64("seq").unwrap().first(0) == Some(2));
    let columns = newest.unwrap().reader.fast_fields().clone();
    assert!(columns.str("keyword.m").unwrap().is_some(), "the type of the new index is not honoured");
}

#[tokio::test]
async fn an_index_made_anew_has_types_of_its_own() {
    let store = testing::empty();
    let mut indexing = indexing(&store);
    take(&mut indexing, &[message(0, 0, r#"{"n":1}"#, &[])]);
    take(&mut indexing, &[message(0, 1, r#"{"n":2}"#, &[])]);
    store.delete_index(FALLBACK_INDEX).await.unwrap();
    assert_eq!(store.indices(), []);
    take(&mut indexing, &[message(0, 2, r#"{"n":"text"}"#, &[])]);
    let view = store.view("_all", None).unwrap();
    let types = view.mappings.values().next().unwrap();
    assert_eq!(types.get("n"), Some(&crate::store::registry::FieldType::Keyword));
    assert_eq!(docs(&store, FALLBACK_INDEX), 1);
}

#[test]
fn deletes_and_versions_follow_the_order_of_the_bus() {
    let store = testing::empty();
    let mut indexing = indexing(&store);
    let with = |offset, id, op, version| {
        let value = if op == "delete" { "" } else { "{}" };
        message(0, offset, value, &[(ID_HEADER, id), (OP_HEADER, op), (VERSION_HEADER, version)])
    };
    // Made, deleted and made again in one tick; then once more over what is published.
    let same_tick = [with(0, "a", "create", "1"), with(1, "a", "delete", "2"), with(2, "a", "create", "3")];
    let tally = take(&mut indexing, &same_tick);
    assert_eq!((tally.events, tally.deletes, tally.id_conflicts, tally.empty), (2, 1, 0, 0));
    assert_eq!(docs(&store, FALLBACK_INDEX), 1);
    take(&mut indexing, &[with(3, "a", "delete", "4"), with(4, "a", "create", "5"), with(5, "b", "index", "1")]);
    assert_eq!(docs(&store, FALLBACK_INDEX), 2);
    let versions = |store: &Store| -> Vec<u64> {
        let view = store.view("_all", None).unwrap();
        let alive = |part: &Arc<crate::store::Part>| -> Vec<u64> {
            part.reader.doc_ids_alive().map(|document| part.version_of(document).unwrap()).collect()
        };
        let mut versions: Vec<u64> = view.parts.iter().flat_map(alive).collect();
        versions.sort_unstable();
        versions
    };
    assert_eq!(versions(&store), [1, 5]);
    store.flush().unwrap();
    assert_eq!(versions(&store), [1, 5]);
    take(&mut indexing, &[with(6, "a", "delete", "6")]);
    store.flush().unwrap();
    assert_eq!(docs(&store, FALLBACK_INDEX), 1);
    // A delete makes no index.
    take(&mut indexing, &[message(0, 7, "", &[(INDEX_HEADER, "logs-none"), (ID_HEADER, "a"), (OP_HEADER, "delete")])]);
    assert_eq!(store.index_count(), 1);
}

#[test]
fn documents_without_a_chosen_id_go_by_their_place_also_when_read_again() {
    for ticks in [1, 3] {
        let store = testing::empty();
        let mut indexing = indexing(&store);
        let messages = [
            message(2, 7, r#"{"n":1}"#, &[]),
            message(2, 8, r#"{"n":2}"#, &[(ID_HEADER, "2-7"), (OP_HEADER, "index"), (VERSION_HEADER, "2")]),
            message(2, 9, r#"{"n":3}"#, &[]),
        ];
        for chunk in messages.chunks(messages.len().div_ceil(ticks)) {
            take(&mut indexing, chunk);
        }
        assert_eq!(docs(&store, FALLBACK_INDEX), 2, "{ticks} ticks");
        let gone = ["2-7", "2-9"]
            .map(|id| message(2, if id == "2-7" { 10 } else { 11 }, "", &[(ID_HEADER, id), (OP_HEADER, "delete")]));
        take(&mut indexing, &gone);
        assert_eq!(docs(&store, FALLBACK_INDEX), 0, "{ticks} ticks");
        assert!(!store.has_id(FALLBACK_INDEX, "2-8").unwrap());
    }
}

#[test]
fn who_catches_up_makes_segments_that_go_to_the_disk_as_they_are() {
    let store = testing::empty();
    let mut indexing = indexing(&store);
    let refresh = Duration::from_millis(100);
    // Two make a segment that is worth a split: what can't be compressed, and is not indexed.
    let noise: String = (1..=60_000u64).map(|n| format!("{:016x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15))).collect();
    let record = |offset: i64| message(0, offset, &format!(r#"{{"message":"late","noise":"{noise}"}}"#), &[]);
    let segments = || -> Vec<_> {
        let parts = store.view("_all", None).unwrap().parts;
        parts.iter().map(|part| (part.segment.id(), part.docs())).collect()
    };
    store.looked(Some((jiff::Timestamp::now(), [(0, 1_000_000)].into())));
    // That more waits is known from the first batch on.
    take(&mut indexing, &[record(0)]);
    store.flush().unwrap();
    let before = segments();
    indexing.take(&[record(1), record(2)], Instant::now(), 100).unwrap();
    assert!(indexing.rest(refresh).is_some_and(|rest| rest > 5 * refresh) && !indexing.is_due(refresh));
    indexing.tick().unwrap();
    let in_memory = segments();
    assert_eq!(in_memory.iter().map(|(_, docs)| docs).collect::<Vec<_>>(), [&1, &2]);
    store.flush().unwrap();
    assert_eq!(segments(), in_memory);
    assert!(store.hot_bytes() == 0 && before.len() == 1);
    let part = store.view("_all", None).unwrap().parts.pop().unwrap();
    let mut sources = crate::store::source::Sources::open(&part).unwrap();
    assert_eq!(sources.get(1).unwrap(), record(2).value);
    // What lost a document meanwhile is written anew without it.
    indexing.take(&[record(3), record(4)], Instant::now(), 100).unwrap();
    indexing.tick().unwrap();
    take(&mut indexing, &[message(0, 5, "", &[(ID_HEADER, "0-3"), (OP_HEADER, "delete")])]);
    store.flush().unwrap();
    assert_eq!(segments().iter().map(|(_, docs)| docs).collect::<Vec<_>>(), [&1, &2, &1]);
    // Nothing waits any more: the next tick is as short as ever.
    store.looked(Some((jiff::Timestamp::now(), [(0, 7)].into())));
    indexing.take(&[record(6)], Instant::now(), 100).unwrap();
    assert!(indexing.rest(refresh).is_some_and(|rest| rest <= refresh));
}
