//! Random events and random queries: the index, the evaluator in memory and plain counting must agree.

mod scores;

use std::collections::BTreeMap;

use jiff::Timestamp;
use logmill_indexer_api::{Ast, Bound, Field, Range, Test};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::tests::search;
use crate::store::testing::{erase, store_in_some_order};

const WORDS: [&str; 6] = ["get", "Cart", "timeout", "user-12", "Zürich", "reset"];
const LEVELS: [&str; 4] = ["info", "error", "Warn", "in fo"];

fn event() -> impl Strategy<Value = Value> {
    let message = prop::option::weighted(0.9, prop::collection::vec(prop::sample::select(&WORDS[..]), 0..5));
    let level = prop::option::weighted(0.8, prop::sample::select(&LEVELS[..]));
    let tags = prop::collection::vec(prop::sample::select(&["a", "b", "c"][..]), 0..3);
    (0i64..500, message, level, prop::option::of(0i64..6), prop::option::of(-8i64..8), any::<bool>(), tags).prop_map(
        |(seconds, message, level, status, eighths, ok, tags)| {
            let mut map = Map::new();
            let time = Timestamp::from_second(1_767_225_600 + seconds * 60).unwrap();
            map.insert("@timestamp".into(), time.to_string().into());
            map.extend(message.map(|words| ("message".to_owned(), words.join(" ").into())));
            map.extend(level.map(|level| ("log".to_owned(), json!({ "level": level }))));
            map.extend(status.map(|status| ("status".to_owned(), status.into())));
            map.extend(eighths.map(|eighths| ("took".to_owned(), (eighths as f64 / 2.0).into())));
            map.insert("ok".into(), ok.into());
            if !tags.is_empty() {
                map.insert("tags".into(), tags.into());
            }
            Value::Object(map)
        },
    )
}

fn leaf() -> impl Strategy<Value = Ast> {
    let text = prop_oneof![
        prop::sample::select(
            &[
                "get",
                "CART",
                "timeout reset",
                "user",
                "12",
                "zürich",
                "info",
                "error",
                "in fo",
                "a",
                "b",
                "true",
                "3",
                "0.5",
                "-1"
            ][..]
        )
        .prop_map(str::to_owned),
    ];
    let pattern = prop::sample::select(&["*o*", "get*", "Cart", "?n*", "user-1*", "*r", "a", "t*t z*"][..])
        .prop_map(str::to_owned);
    let number = prop::sample::select(&["0", "3", "-1.5", "2.0", "5"][..]);
    let time = (0i64..500).prop_map(|minute| Timestamp::from_second(1_767_225_600 + minute * 60).unwrap().to_string());
    let field = prop::sample::select(
        &["message", "log.level", "tags", "status", "took", "ok", "log.level.keyword", "none"][..],
    );
    let named = |name: &str| Field::Named(name.to_owned());
    let bound = |value: String, inclusive| Some(Bound { value, inclusive });
    prop_oneof![
        4 => (field.clone(), text.clone()).prop_map(move |(field, text)| Ast::Leaf { field: named(field), test: Test::Words(text) }),
        2 => (field.clone(), text.clone(), 0u32..3).prop_map(move |(field, text, slop)| Ast::Leaf { field: named(field), test: Test::Phrase { text, slop } }),
        2 => (prop::sample::select(&["message", "log.level", "tags"][..]), pattern).prop_map(move |(field, pattern)| Ast::Leaf { field: named(field), test: Test::Pattern(pattern) }),
        1 => text.clone().prop_map(|text| Ast::Leaf { field: Field::Default, test: Test::Words(text) }),
        1 => text.prop_map(|text| Ast::Leaf { field: Field::Pattern("log.*".into()), test: Test::Words(text) }),
        1 => field.prop_map(move |field| Ast::Leaf { field: named(field.strip_suffix(".keyword").unwrap_or(field)), test: Test::Exists }),
        2 => (prop::sample::select(&["status", "took"][..]), number, any::<bool>(), any::<bool>()).prop_map(move |(field, number, inclusive, lower)| {
            let bound = bound(number.to_owned(), inclusive);
            let range = if lower { Range { lower: bound, upper: None } } else { Range { lower: None, upper: bound } };
            Ast::Leaf { field: named(field), test: Test::Range(range) }
        }),
        2 => (time.clone(), time, any::<bool>(), any::<bool>()).prop_map(move |(from, to, first, last)| {
            let range = Range { lower: bound(from, first), upper: bound(to, last) };
            Ast::Leaf { field: named("@timestamp"), test: Test::Range(range) }
        }),
    ]
}

fn query() -> impl Strategy<Value = Ast> {
    leaf().prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..4).prop_map(Ast::and),
            prop::collection::vec(inner.clone(), 2..4).prop_map(Ast::or),
            inner.prop_map(Ast::not),
        ]
    })
}

/// The numbers of the events that match, by evaluating each.
fn expected(events: &[Value], ast: &Ast) -> Vec<usize> {
    (0..events.len()).filter(|number| ast.matches(&events[*number])).collect()
}

fn seq_of(hit: &Value) -> usize {
    hit["_id"].as_str().unwrap().trim_start_matches("0-").parse().unwrap()
}

fn minute_of(event: &Value) -> i64 {
    event["@timestamp"].as_str().unwrap().parse::<Timestamp>().unwrap().as_second() / 60
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn index_and_evaluator_agree(
        events in prop::collection::vec(event(), 1..40),
        queries in prop::collection::vec(query(), 1..6),
        docs_a_part in 1usize..20,
    ) {
        let store = store_in_some_order("logs-a", &events, docs_a_part);
        for ast in queries {
            let expected = expected(&events, &ast);
            for dsl in [ast.to_dsl(), json!({"query_string": {"query": ast.to_lucene(), "fields": ["message"]}})] {
                let found = search(&store, json!({"query": dsl, "size": 100}));
                let mut seqs: Vec<usize> = found["hits"]["hits"].as_array().unwrap().iter().map(seq_of).collect();
                seqs.sort_unstable();
                prop_assert_eq!(&seqs, &expected, "{}: {}", ast.to_lucene(), dsl);
                prop_assert_eq!(found["hits"]["total"]["value"].as_u64(), Some(expected.len() as u64));
            }
        }
    }

    #[test]
    fn buckets_and_pages_agree_with_counting(
        events in prop::collection::vec(event(), 1..60),
        ast in query(),
        docs_a_part in 1usize..20,
        size in 1usize..7,
        descending: bool,
        gone in 0usize..8,
        counted in prop_oneof![Just(json!(false)), Just(json!(true)), (0u64..30).prop_map(Value::from)],
    ) {
        let store = store_in_some_order("logs-a", &events, docs_a_part);
        // One in five is erased, or none.
        let is_gone = |number: &usize| number % 5 == gone;
        erase(&store, &(0..events.len()).filter(is_gone).map(|number| number as u64).collect::<Vec<_>>());
        let matching: Vec<usize> = expected(&events, &ast).into_iter().filter(|number| !is_gone(number)).collect();
        let found = search(&store, json!({"query": ast.to_dsl(), "size": 0, "aggs": {
            "tags": {"terms": {"field": "tags", "order": {"_key": "asc"}}, "aggs": {"took": {"stats": {"field": "took"}}}},
            "status": {"terms": {"field": "status", "missing": -1, "order": {"_key": "asc"}}},
            "hours": {"date_histogram": {"field": "@timestamp", "fixed_interval": "1h", "min_doc_count": 1}},
            "distinct": {"cardinality": {"field": "log.level"}},
        }}));
        let mut tags: BTreeMap<String, (u64, u64, f64)> = BTreeMap::new();
        let mut status: BTreeMap<i64, u64> = BTreeMap::new();
        let mut hours: BTreeMap<i64, u64> = BTreeMap::new();
        let mut levels = std::collections::BTreeSet::new();
        for event in matching.iter().map(|number| &events[*number]) {
            let distinct: std::collections::BTreeSet<&str> = event["tags"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            for tag in distinct {
                let entry = tags.entry(tag.to_owned()).or_default();
                entry.0 += 1;
                if let Some(took) = event["took"].as_f64() {
                    entry.1 += 1;
                    entry.2 += took;
                }
            }
            *status.entry(event["status"].as_i64().unwrap_or(-1)).or_default() += 1;
            *hours.entry(minute_of(event) / 60 * 3_600_000).or_default() += 1;
            levels.extend(event.pointer("/log/level").and_then(Value::as_str));
        }
        let aggregations = &found["aggregations"];
        let numbered = |name: &str| -> BTreeMap<i64, u64> {
            let buckets = aggregations[name]["buckets"].as_array().unwrap();
            buckets.iter().map(|bucket| (bucket["key"].as_i64().unwrap(), bucket["doc_count"].as_u64().unwrap())).collect()
        };
        let found_tags: BTreeMap<String, (u64, u64, f64)> = aggregations["tags"]["buckets"].as_array().unwrap().iter().map(|bucket| {
            let took = &bucket["took"];
            (bucket["key"].as_str().unwrap().to_owned(), (bucket["doc_count"].as_u64().unwrap(), took["count"].as_u64().unwrap(), took["sum"].as_f64().unwrap()))
        }).collect();
        prop_assert_eq!(found_tags, tags);
        prop_assert_eq!(numbered("status"), status);
        prop_assert_eq!(numbered("hours"), hours);
        prop_assert_eq!(aggregations["distinct"]["value"].as_u64(), Some(levels.len() as u64));

        let order = if descending { "desc" } else { "asc" };
        let mut sorted = matching.clone();
        sorted.sort_by_key(|number| (minute_of(&events[*number]), *number));
        if descending {
            sorted.reverse();
        }
        let (mut paged, mut after) = (Vec::new(), None::<Value>);
        loop {
            let mut body = json!({"query": ast.to_dsl(), "size": size, "sort": [{"@timestamp": order}, {"_doc": order}], "track_total_hits": counted});
            if let Some(after) = &after {
                body["search_after"] = after.clone();
            }
            let page = search(&store, body);
            let (total, all) = (&page["hits"]["total"], matching.len() as u64);
            match (total["value"].as_u64(), total["relation"].as_str()) {
                (None, _) => prop_assert_eq!(&counted, &json!(false)),
                (value, Some("eq")) => prop_assert_eq!(value, Some(all)),
                (Some(value), _) => prop_assert!(value <= all && counted.as_u64().is_some_and(|wanted| value >= wanted)),
            }
            let hits = page["hits"]["hits"].as_array().unwrap();
            paged.extend(hits.iter().map(seq_of));
            match hits.last() {
                Some(last) => after = Some(last["sort"].clone()),
                None => break,
            }
        }
        prop_assert_eq!(paged, sorted);
    }
}
