use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::store::directory::Body;
use crate::store::seal::Force;
use crate::store::settings::Settings;
use crate::store::source::Sources;
use crate::store::testing;

/// The events of a store in the order of their arrival, as text.
fn events(store: &crate::store::Store) -> Vec<String> {
    let mut found = Vec::new();
    for part in store.view("_all", None).unwrap().parts {
        let seq = part.reader.fast_fields().u64("seq").unwrap();
        let mut sources = Sources::open(&part).unwrap();
        for doc in part.reader.doc_ids_alive() {
            found.push((seq.first(doc).unwrap(), String::from_utf8(sources.get(doc).unwrap()).unwrap()));
        }
    }
    found.sort();
    found.into_iter().map(|(_, event)| event).collect()
}

/// What the docstore of each sealed document really holds.
fn kept(store: &crate::store::Store) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    for part in store.view("_all", None).unwrap().parts {
        let reader = part.reader.get_store_reader(1).unwrap();
        for doc in part.reader.doc_ids_alive() {
            let stored: crate::store::source::Stored = reader.get(doc).unwrap();
            found.push(stored.0.unwrap());
        }
    }
    found
}

fn synthetic() -> std::sync::Arc<crate::store::Store> {
    let mut store = testing::empty();
    std::sync::Arc::get_mut(&mut store).unwrap().config.source = crate::config::SourceMode::Synthetic;
    store
}

#[test]
fn what_columns_know_is_left_out_and_comes_back_byte_for_byte() {
    let texts = [
        r#"{"@timestamp":"2026-11-22T12:00:00.123Z","message":"Hello","log":{"level":"info","file.path":"/a"},"n":1,"f":1.5,"g":2.50,"yes":true}"#,
        r#"{ "@timestamp" : "2026-11-22T12:00:00Z", "n":-7, "tags":["a","b","a"], "nothing":null, "empty":{}, "none":[] }"#,
        r#"{"@timestamp":"2026-11-22T12:00:00.123456789Z","n":9007199254740993,"n2":18446744073709551615,"f":1e300,"esc":"a\u0041\"\\\n","é":"ü"}"#,
        r#"{"list":[{"a":1,"b":"x"},{"a":2},{"b":"y","a":3}],"deep":[[1,[2,null]],{"x":[]}],"n":1,"n":2,"a.b":1,"a":{"b":2}}"#,
        r#"{"@timestamp":"2026-11-22T13:00:00+01:00","log":{"level":"info"},"n":"12","f":3,"yes":"true","g":-0.0}"#,
        r#"{"@timestamp":1700000000000,"@timestamp":"2026-11-22T12:00:00.000Z","f":7,"n":2.5}"#,
    ];
    let store = synthetic();
    testing::add_texts(&store, "logs-a", &texts, 2);
    store.force_merge("logs-a", Force::default()).unwrap();
    assert_eq!(events(&store), texts);
    let kept = kept(&store);
    assert!(kept.iter().all(|kept| kept.first() == Some(&RESIDUE)), "{kept:?}");
    let first = String::from_utf8_lossy(&kept[0]).into_owned();
    assert_eq!(
        first,
        "\u{1}{\"@timestamp\":\u{7},\"message\":\"Hello\",\"log\":{\"level\":\u{2},\"file.path\":\u{2}},\"n\":\u{3},\
         \"f\":\u{4},\"g\":\u{e}2,\"yes\":\u{5}}"
    );
}

#[test]
fn the_settings_of_an_index_stand_above_the_configuration() {
    let says = |settings: Value| {
        let store = testing::empty();
        let asked = Body { settings: Settings::read(&settings).unwrap(), ..Body::default() };
        store.create_with("logs-a", &asked, false).unwrap();
        let event = json!({"@timestamp": "2026-11-22T12:00:00.123Z", "log": {"level": "information"}, "n": 123_456});
        testing::add(&store, "logs-a", &[event], 1);
        store.force_merge("logs-a", Force::default()).unwrap();
        kept(&store)[0].first() == Some(&RESIDUE)
    };
    assert!(!says(json!({})));
    assert!(says(json!({"index.mapping.source.mode": "synthetic"})));
    assert!(says(json!({"index": {"mode": "logsdb"}})));
    assert!(!says(json!({"index.mode": "logsdb", "index.mapping.source.mode": "stored"})));
}

#[test]
fn residues_survive_being_merged_with_columns_that_widen() {
    let store = synthetic();
    for (round, value) in [json!(1), json!(-3), json!(4_000_000_000_000_000_000u64), json!(0.5)].into_iter().enumerate()
    {
        let documents: Vec<Value> = (0..20).map(|n| json!({"@timestamp": round, "v": value, "n": n})).collect();
        testing::add(&store, "logs-a", &documents, 20);
        store.force_merge("logs-a", Force::default()).unwrap();
    }
    let before = events(&store);
    store.force_merge("logs-a", Force { splits_max: Some(1), ..Force::default() }).unwrap();
    assert_eq!(store.view("_all", None).unwrap().parts.len(), 1);
    assert_eq!(events(&store), before);
}

#[test]
fn damaged_residues_are_errors() {
    let store = synthetic();
    testing::add(&store, "logs-a", &[json!({"a": "x", "n": 1})], 1);
    let view = store.view("_all", None).unwrap();
    let mut columns = Columns::new(view.parts[0].reader.fast_fields().clone());
    for text in [
        "\u{1}{\"b\":\u{2}}",
        "\u{1}{\"a\":\u{3}}",
        "\u{1}{\"a\":\u{2},\"a\":\u{2}}",
        "\u{1}{\"a\":\u{1f}}",
        "\u{1}{\"a\":\u{e}",
        "\u{1}{",
    ] {
        assert!(event(text.as_bytes(), &mut columns, 0).is_err(), "{text:?}");
    }
    for _ in 0..2 {
        assert_eq!(event("\u{1}{\"a\":\u{2}}".as_bytes(), &mut columns, 0).unwrap(), b"{\"a\":\"x\"}");
    }
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-1000i64..1000).prop_map(Value::from),
        any::<f64>().prop_filter_map("finite", |number| serde_json::Number::from_f64(number).map(Value::Number)),
        (-1000i32..1000).prop_map(|number| json!(f64::from(number) / 8.0)),
        "[a-c]{0,3}".prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        Just(json!("2026-01-01T00:00:00.500Z")),
        Just(json!("tab\tquote\"\u{0}\u{7f}")),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(3, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec(("[abc.]{0,3}|é", inner), 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn object() -> impl Strategy<Value = Value> {
    prop::collection::vec(("[abc]{1,2}|a\\.b|@timestamp|message", value()), 0..8)
        .prop_map(|members| Value::Object(members.into_iter().collect()))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn any_events_come_back_byte_for_byte(objects in prop::collection::vec((object(), any::<bool>()), 1..12), per_part in 1usize..6) {
        let text = |(object, pretty): &(Value, bool)| {
            if *pretty { serde_json::to_string_pretty(object).unwrap() } else { object.to_string() }
        };
        let texts: Vec<String> = objects.iter().map(text).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let store = synthetic();
        testing::add_texts(&store, "logs-a", &texts, per_part);
        store.force_merge("logs-a", Force::default()).unwrap();
        prop_assert_eq!(events(&store), texts.clone());
        // Once more, out of residues, together with some more.
        testing::add_texts(&store, "logs-a", &texts, per_part);
        store.force_merge("logs-a", Force { splits_max: Some(1), ..Force::default() }).unwrap();
        prop_assert_eq!(events(&store), [texts.clone(), texts].concat());
    }

    #[test]
    fn any_bytes_are_an_event_an_error_or_a_residue(bytes: Vec<u8>) {
        let store = synthetic();
        testing::add(&store, "logs-a", &[json!({"a": "x", "n": 1})], 1);
        let view = store.view("_all", None).unwrap();
        let mut columns = Columns::new(view.parts[0].reader.fast_fields().clone());
        let _ = event(&bytes, &mut columns, 0);
        let mut columns = Columns::with_digests(view.parts[0].reader.fast_fields().clone());
        if let Some(made) = residue(&bytes, &mut columns, 0) {
            prop_assert_eq!(event(&made, &mut columns, 0).unwrap(), bytes);
        }
    }
}
