use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::ingest::parse::{self, RecordFacts};
use crate::schema::{earlier_schema, schema};
use crate::store::registry::Registry;
use crate::store::seal::Force;
use crate::store::source::Sources;
use crate::store::{Store, testing};

fn read(settings: &Value) -> Result<Order, SettingsError> {
    Order::of(&Settings::read(settings)?)
}

#[test]
fn what_does_not_fit_together_is_refused_by_name() {
    assert_eq!(read(&json!({})), Ok(Order::default()));
    let order =
        read(&json!({"index": {"sort": {"field": ["a", "b"], "order": ["desc", "asc"], "missing": "_first,_last"}}}));
    assert!(order.is_ok_and(|order| order.levels.len() == 2 && order.levels[0].missing_first));
    for (settings, told) in [
        (json!({"sort.field": ["a", "b"], "sort.order": "asc"}), "size mismatch"),
        (json!({"sort.order": "asc"}), "size mismatch"),
        (json!({"sort.field": "a", "sort.order": "down"}), "Illegal sort order:[down]"),
        (json!({"sort.field": "a", "sort.mode": "sum"}), "Illegal sort mode: [sum]"),
        (json!({"sort.field": "a", "sort.missing": "0"}), "Illegal missing value: [0]"),
        (json!({"sort.field": "a,b,c,d,e,f,g,h,i"}), "at most 8"),
    ] {
        let error = read(&settings).unwrap_err().to_string();
        assert!(error.contains(told), "{error}");
    }
}

#[test]
fn a_new_index_must_have_what_it_is_sorted_by() {
    let store = testing::empty();
    let create = |name: &str, field: &str| {
        let properties = json!({"host": {"type": "keyword"}, "text": {"type": "text"}, "at": {"type": "date"}});
        let body = json!({"settings": {"index.sort.field": field}, "mappings": {"properties": properties}});
        testing::create(&store, name, &body).map_err(|error| error.to_string())
    };
    for (number, field) in ["host", "host.keyword", "at", "@timestamp", "host,at,@timestamp"].iter().enumerate() {
        assert_eq!(create(&format!("i{number}"), field), Ok(()));
    }
    for (field, told) in [
        ("none", "unknown index sort field:[none]"),
        ("text", "invalid index sort field:[text]"),
        ("message", "invalid index sort field:[message]"),
    ] {
        assert!(create("j", field).unwrap_err().contains(told));
    }
}

/// A document's levels, compared plainly.
fn compare(one: &Value, other: &Value, order: &Order) -> std::cmp::Ordering {
    let value = |event: &Value, level: &Level| {
        if level.field == TIMESTAMP {
            return Some(json!(event[TIMESTAMP].as_i64().unwrap() / 60_000));
        }
        let values = match event.get(level.field.as_str()) {
            None => return None,
            Some(Value::Array(items)) => items.clone(),
            Some(single) => vec![single.clone()],
        };
        let least = values.iter().min_by(|a, b| plain(a, b)).cloned();
        let greatest = values.iter().max_by(|a, b| plain(a, b)).cloned();
        if level.greatest { greatest } else { least }
    };
    for level in &order.levels {
        let ordering = match (value(one, level), value(other, level)) {
            (None, None) => std::cmp::Ordering::Equal,
            (Some(one), Some(other)) if level.descending => plain(&other, &one),
            (Some(one), Some(other)) => plain(&one, &other),
            (None, Some(_)) if level.missing_first => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (Some(_), None) if level.missing_first => std::cmp::Ordering::Greater,
            (Some(_), None) => std::cmp::Ordering::Less,
        };
        if ordering.is_ne() {
            return ordering;
        }
    }
    std::cmp::Ordering::Equal
}

fn plain(one: &Value, other: &Value) -> std::cmp::Ordering {
    match (one, other) {
        (Value::String(one), Value::String(other)) => one.cmp(other),
        (Value::Bool(one), Value::Bool(other)) => one.cmp(other),
        _ => one.as_f64().unwrap().total_cmp(&other.as_f64().unwrap()),
    }
}

fn event() -> impl Strategy<Value = Value> {
    let text = prop::sample::select(&["", "a", "ab", "a\u{0}b", "b", "Zürich"][..]);
    let texts =
        prop_oneof![text.clone().prop_map(Value::from), prop::collection::vec(text, 1..3).prop_map(Value::from)];
    let number = prop_oneof![
        (-3i64..3).prop_map(Value::from),
        (-8i64..8).prop_map(|quarters| json!(quarters as f64 / 4.0)),
        Just(json!(1e18))
    ];
    (0i64..400_000, prop::option::of(texts), prop::option::of(number), prop::option::of(any::<bool>())).prop_map(
        |(at_ms, text, number, truth)| {
            let mut event = json!({ TIMESTAMP: 1_767_225_600_000 + at_ms });
            for (name, value) in [("text", text), ("number", number), ("truth", truth.map(Value::from))] {
                if let Some(value) = value {
                    event[name] = value;
                }
            }
            event
        },
    )
}

fn settings() -> impl Strategy<Value = Value> {
    let level = (
        prop::sample::select(&["text", "number", "truth", TIMESTAMP][..]),
        prop::sample::select(&["asc", "desc"][..]),
        prop::sample::select(&["min", "max"][..]),
        prop::sample::select(&["_first", "_last"][..]),
    );
    prop::collection::vec(level, 1..4).prop_map(|levels| {
        let each = |part: fn(&(&str, &str, &str, &str)) -> String| levels.iter().map(part).collect::<Vec<_>>();
        json!({"index": {"sort": {
            "field": each(|level| level.0.to_owned()), "order": each(|level| level.1.to_owned()),
            "mode": each(|level| level.2.to_owned()), "missing": each(|level| level.3.to_owned()),
        }}})
    })
}

fn body(settings: &Value) -> Value {
    let properties = json!({"text": {"type": "keyword"}, "number": {"type": "double"}, "truth": {"type": "boolean"}});
    json!({ "settings": settings, "mappings": { "properties": properties } })
}

/// The events of each part as they lie in it.
fn parts_of(store: &Store) -> Vec<Vec<Value>> {
    let parts = store.view("_all", None).unwrap().parts;
    let events = |part: &Arc<crate::store::Part>| {
        let mut sources = Sources::open(part).unwrap();
        let docs = part.reader.doc_ids_alive();
        docs.map(|doc| serde_json::from_slice(&sources.get(doc).unwrap()).unwrap()).collect()
    };
    parts.iter().map(events).collect()
}

/// Whether every part lies in order, its events as its columns; by time an order is exact.
fn assert_sorted(store: &Store, order: &Order) {
    for part in store.view("_all", None).unwrap().parts {
        let mut sources = Sources::open(&part).unwrap();
        let numbers = part.reader.fast_fields().i64("keyword.n").unwrap();
        for doc in part.reader.doc_ids_alive() {
            let event: Value = serde_json::from_slice(&sources.get(doc).unwrap()).unwrap();
            assert_eq!(numbers.first(doc), event["n"].as_i64());
        }
    }
    for events in parts_of(store) {
        for pair in events.windows(2) {
            if order.is_by_time() {
                let at = |event: &Value| event[TIMESTAMP].as_i64().unwrap();
                let (one, other) = (at(&pair[0]), at(&pair[1]));
                let is_sorted = if order.levels[0].descending { one >= other } else { one <= other };
                assert!(is_sorted, "{one} {other}");
            } else {
                assert!(compare(&pair[0], &pair[1], order).is_le(), "{} {} {order:?}", pair[0], pair[1]);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn keys_compare_as_values_do(one in event(), other in event(), settings in settings()) {
        let order = read(&settings).unwrap();
        let key = |event: &Value| {
            let facts = RecordFacts { time_ns: 0, seq: 0, id: None, version: 1 };
            let declared = crate::store::mapping::Declared::read(body(&settings)["mappings"].as_object().unwrap()).unwrap();
            let mut registry = Registry::new(Arc::new(Mapping::default().with_declared(Arc::new(declared))), 100);
            order.key(&parse::document(&event.to_string().into(), facts, &mut registry).0)
        };
        if !order.is_by_time() {
            prop_assert_eq!(key(&one).cmp(&key(&other)), compare(&one, &other, &order));
        }
    }

    #[test]
    fn every_part_lies_in_order_and_nothing_is_lost(
        events in prop::collection::vec(event(), 1..60),
        docs_a_part in 1usize..20,
        flushes in 1usize..4,
        settings in settings(),
        (synthetic, seals) in any::<(bool, bool)>(),
    ) {
        let order = read(&settings).unwrap();
        let mut settings = settings;
        settings["index"]["mapping"] = json!({"source": {"mode": if synthetic { "synthetic" } else { "stored" }}});
        let store = testing::empty();
        testing::create(&store, "logs-a", &body(&settings)).unwrap();
        let mut expected = Vec::new();
        for (round, chunk) in events.chunks(events.len().div_ceil(flushes)).enumerate() {
            // Every third has an id, half of which come again.
            let named = |(at, event): (usize, &Value)| {
                let mut event = event.clone();
                event["n"] = json!(expected.len() + at);
                if at % 3 == 0 {
                    event["_id"] = json!(format!("id{}", if at % 2 == 0 { at } else { round * 1000 + at }));
                }
                event
            };
            let chunk: Vec<Value> = chunk.iter().enumerate().map(named).collect();
            testing::add(&store, "logs-a", &chunk, docs_a_part);
            expected.extend(chunk);
            while store.merge_memory().unwrap() {}
            assert_sorted(&store, &order);
            store.flush().unwrap();
            assert_sorted(&store, &order);
            if seals {
                store.force_merge("logs-a", Force::default()).unwrap();
                assert_sorted(&store, &order);
            }
        }
        store.force_merge("logs-a", Force { splits_max: Some(1), ..Force::default() }).unwrap();
        assert_sorted(&store, &order);
        let left = expected.iter().enumerate().filter(|(at, event)| {
            event.get("_id").is_none_or(|id| expected[at + 1..].iter().all(|later| later.get("_id") != Some(id)))
        });
        let mut left: Vec<Value> = left.map(|(_, event)| event.clone()).collect();
        left.iter_mut().for_each(|event| drop(event.as_object_mut().unwrap().shift_remove("_id")));
        let found = parts_of(&store);
        prop_assert_eq!(found.len(), 1);
        let mut found: Vec<Value> = found.into_iter().flatten().collect();
        found.sort_by_key(|event| event["n"].as_u64());
        prop_assert_eq!(found, left);
    }
}

#[test]
fn numbers_that_come_again_are_told_apart() {
    let store = testing::empty();
    testing::create(&store, "logs-a", &json!({"settings": {"sort.field": TIMESTAMP}, "mappings": {}})).unwrap();
    for round in 0..2i64 {
        let event = |n: i64| json!({ TIMESTAMP: 1_767_225_600_000_i64 + n / 3 * 3 + round, "n": round * 100 + n });
        // As if the bus had been replaced.
        store.next_seq.store(0, std::sync::atomic::Ordering::Relaxed);
        testing::add_on(&store, "logs-a", &(0..100).map(event).collect::<Vec<_>>(), 100);
        store.flush().unwrap();
    }
    store.force_merge("logs-a", Force { splits_max: Some(1), ..Force::default() }).unwrap();
    assert_sorted(&store, &Order::of(&Settings::read(&json!({"sort.field": TIMESTAMP})).unwrap()).unwrap());
}

#[test]
fn splits_from_before_there_was_an_order_are_read_and_merged() {
    let folder = tempfile::tempdir().unwrap();
    let open = || Arc::new(Store::open(folder.path(), crate::config::Config::default()).unwrap().0);
    let store = open();
    let events: Vec<Value> = (0..40).map(|n| json!({TIMESTAMP: 1_767_225_600_000_i64 + n, "n": n})).collect();
    testing::add(&store, "logs-a", &events[..20], 5);
    store.flush().unwrap();
    // What the split says of itself is written as it was then.
    let part = store.view("_all", None).unwrap().parts[0].clone();
    let meta = store.splits_folder().join(format!("{:016x}/meta.json", part.id));
    let mut known: Value = serde_json::from_slice(&std::fs::read(&meta).unwrap()).unwrap();
    known["schema"] = serde_json::to_value(earlier_schema()).unwrap();
    drop((store, part));
    std::fs::write(&meta, serde_json::to_vec(&known).unwrap()).unwrap();
    let label = crate::store::part::Label::in_memory(0, "logs-a".into(), 0..=1, 0);
    let part = crate::store::Part::on_disk(label, meta.parent().unwrap(), 0, Arc::default()).unwrap();
    assert_eq!((part.docs(), part.segment.schema() == schema().0), (20, true));
    let added = testing::empty();
    testing::add(&added, "logs-a", &events[20..], 20);
    let parts = [Arc::new(part), added.view("_all", None).unwrap().parts[0].clone()];
    let merged = crate::store::part::merge(
        &parts,
        crate::store::part::memory_settings(),
        tantivy::directory::RamDirectory::create(),
    );
    let merged = merged.unwrap().searchable_segment_metas().unwrap();
    assert_eq!(merged.iter().map(tantivy::SegmentMeta::num_docs).sum::<u32>(), 40);
}
