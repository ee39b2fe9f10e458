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
