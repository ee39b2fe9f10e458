//! Random events, queries and trees of aggregations: what the store answers must be what counting by hand says,
//! however the events are spread over parts, and whatever was replaced.

mod naive;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::query::tests::search;
use crate::store::testing::store_in_some_order;

/// 2026-02-27: February and March are near.
const START_MS: i64 = 1_772_150_400_000;

/// Some events share an id: later ones replace earlier ones.
fn event() -> impl Strategy<Value = Value> {
    let words = prop::collection::vec(prop::sample::select(&["a", "b", "c", "d"][..]), 0..3);
    let numbers = prop::collection::vec(-6i64..20, 0..3);
    (
        0i64..4 * 24 * 60,
        words,
        numbers,
        prop::option::of(-40i64..40),
        prop::option::of(any::<bool>()),
        prop::option::weighted(0.3, 0u8..6),
    )
        .prop_map(|(minute, words, numbers, eighths, flag, id)| {
            let mut map = Map::new();
            let time = jiff::Timestamp::from_millisecond(START_MS + minute * 60_000).unwrap();
            map.insert("@timestamp".into(), time.to_string().into());
            if !words.is_empty() {
                map.insert("k".into(), words.into());
            }
            if !numbers.is_empty() {
                map.insert("n".into(), numbers.into());
            }
            // Eighths are exact, and never whole in the first event, so that the type is known.
            map.extend(eighths.map(|eighths| ("d".to_owned(), (eighths as f64 / 8.0).into())));
            map.extend(flag.map(|flag| ("b".to_owned(), flag.into())));
            map.extend(id.map(|id| ("_id".to_owned(), format!("id{id}").into())));
            Value::Object(map)
        })
}

/// The types of all fields are settled by an event of the first part.
fn first() -> Value {
    json!({"@timestamp": "2026-02-28T00:00:00Z", "k": ["z"], "n": [1], "d": 0.125, "b": true, "_id": "first"})
}

fn query() -> impl Strategy<Value = Value> {
    prop_oneof![
        2 => Just(json!({"match_all": {}})),
        1 => prop::sample::select(&["a", "b", "z"][..]).prop_map(|word| json!({"term": {"k": word}})),
        1 => (-6i64..10).prop_map(|least| json!({"range": {"n": {"gte": least}}})),
        1 => any::<bool>().prop_map(|flag| json!({"term": {"b": flag}})),
    ]
}

fn metric() -> impl Strategy<Value = Value> {
    let field = prop::sample::select(&["n", "d"][..]);
    let simple = prop::sample::select(&["min", "max", "sum", "avg", "value_count", "stats", "extended_stats"][..]);
    prop_oneof![
        4 => (simple, field.clone(), prop::option::weighted(0.3, -3i64..3)).prop_map(|(kind, field, missing)| {
            let mut body = json!({ "field": field });
            if let Some(missing) = missing {
                body["missing"] = missing.into();
            }
            json!({ kind: body })
        }),
        1 => prop::sample::select(&["k", "n", "d", "b"][..]).prop_map(|field| json!({"cardinality": {"field": field}})),
        1 => field.clone().prop_map(|field| json!({"percentiles": {"field": field, "percents": [0, 10, 50, 99.9, 100]}})),
        1 => field.prop_map(|field| json!({"median_absolute_deviation": {"field": field}})),
        1 => Just(json!({"weighted_avg": {"value": {"field": "n"}, "weight": {"field": "d", "missing": 1}}})),
        1 => Just(json!({"top_metrics": {"metrics": [{"field": "d"}], "sort": {"@timestamp": "asc"}, "size": 2}})),
    ]
}

fn bucket() -> impl Strategy<Value = Value> {
    let any_field = prop::sample::select(&["k", "n", "d", "b"][..]);
    let order = prop::sample::select(&["_count", "_key", "m"][..]);
    let direction = prop::sample::select(&["asc", "desc"][..]);
    prop_oneof![
        3 => (any_field.clone(), order, direction.clone(), 1usize..6, 1u64..3).prop_map(|(field, order, direction, size, least)| {
            json!({"terms": {"field": field, "order": {order: direction}, "size": size, "min_doc_count": least}})
        }),
        1 => any_field.clone().prop_map(|field| json!({"rare_terms": {"field": field, "max_doc_count": 2}})),
        1 => any_field.clone().prop_map(|field| json!({"missing": {"field": field}})),
        1 => (any_field, prop::sample::select(&["k", "b"][..])).prop_map(|(one, other)| {
            json!({"multi_terms": {"terms": [{"field": one}, {"field": other}], "size": 5}})
        }),
        1 => (prop::sample::select(&["n", "d"][..]), 1i64..5, 0i64..3, 0u64..2).prop_map(|(field, interval, offset, least)| {
            json!({"histogram": {"field": field, "interval": interval, "offset": offset, "min_doc_count": least}})
        }),
        2 => (prop::sample::select(&["1h", "12h", "1d"][..]), prop::sample::select(&["UTC", "+05:30", "-03:00"][..]), 1u64..2).prop_map(|(interval, zone, least)| {
            json!({"date_histogram": {"field": "@timestamp", "fixed_interval": interval, "time_zone": zone, "min_doc_count": least}})
        }),
        1 => prop::sample::select(&["day", "month"][..]).prop_map(|interval| {
            json!({"date_histogram": {"field": "@timestamp", "calendar_interval": interval}})
        }),
        1 => (-5i64..5, 5i64..15).prop_map(|(low, high)| {
            json!({"range": {"field": "n", "ranges": [{"to": low}, {"from": low, "to": high}, {"from": high}, {"from": 0}]}})
        }),
        1 => query().prop_map(|query| json!({ "filter": query })),
        1 => (query(), query()).prop_map(|(one, other)| json!({"filters": {"filters": {"x": one, "y": other}, "other_bucket_key": "z"}})),
        1 => (query(), query()).prop_map(|(one, other)| json!({"adjacency_matrix": {"filters": {"x": one, "y": other}}})),
    ]
}

/// A tree: each bucket has the metric `m` (by which it may be ordered), another, and perhaps more buckets below.
fn tree() -> impl Strategy<Value = Value> {
    metric().prop_recursive(3, 6, 1, |inner| {
        let by = prop::sample::select(&[("min", "n"), ("max", "d"), ("sum", "n"), ("avg", "d")][..]);
        (bucket(), by, metric(), inner).prop_map(|(mut bucket, (kind, field), other, inner)| {
            bucket["aggs"] = json!({"m": {kind: {"field": field}}, "x": other, "y": inner});
            bucket
        })
    })
}

/// Whether two answers are the same but for the last digits of numbers.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => {
            let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
            (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1e-3)
        }
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        _ => a == b,
    }
}

/// What is left when later events have replaced earlier ones of the same id.
fn living(events: &[Value]) -> Vec<Value> {
    let id = |event: &Value| event.get("_id").cloned();
    let replaced = |at: usize| {
        id(&events[at]).is_some_and(|own| events[at + 1..].iter().any(|later| id(later).as_ref() == Some(&own)))
    };
    (0..events.len()).filter(|at| !replaced(*at)).map(|at| events[at].clone()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn answers_are_what_counting_says(
        more in prop::collection::vec(event(), 0..50),
        trees in prop::collection::vec(tree(), 1..5),
        query in query(),
        docs_a_part in 1usize..30,
    ) {
        let events: Vec<Value> = std::iter::once(first()).chain(more).collect();
        let store = store_in_some_order("logs-a", &events, docs_a_part);
        let living = living(&events);
        let matching: Vec<&Value> = living.iter().filter(|event| naive::matches(event, &query)).collect();
        for tree in trees {
            let found = search(&store, json!({"size": 0, "query": query, "aggs": {"a": tree}}));
            let found = &found["aggregations"]["a"];
            let expected = naive::aggregate(&tree, &matching);
            prop_assert!(same(found, &expected), "{tree}\nfound    {found}\nexpected {expected}");
        }
    }

    #[test]
    fn pages_of_a_composite_are_all_combinations_in_order(
        more in prop::collection::vec(event(), 0..50),
        fields in prop::sample::subsequence(vec!["k", "n", "d", "b"], 1..4),
        descending: bool,
        missing: bool,
        docs_a_part in 1usize..30,
        size in 1usize..8,
    ) {
        let events: Vec<Value> = std::iter::once(first()).chain(more).collect();
        let store = store_in_some_order("logs-a", &events, docs_a_part);
        let living = living(&events);
        let expected = naive::combinations(&fields, descending, missing, &living);
        let order = if descending { "desc" } else { "asc" };
        let sources: Vec<Value> = fields.iter().map(|field| {
            json!({*field: {"terms": {"field": field, "order": order, "missing_bucket": missing}}})
        }).collect();
        let (mut found, mut after) = (Vec::new(), Value::Null);
        loop {
            let mut body = json!({"composite": {"sources": sources, "size": size}, "aggs": {"s": {"sum": {"field": "n"}}}});
            if !after.is_null() {
                body["composite"]["after"] = after.clone();
            }
            let page = search(&store, json!({"size": 0, "aggs": {"c": body}}));
            let page = &page["aggregations"]["c"];
            let buckets = page["buckets"].as_array().unwrap();
            prop_assert!(buckets.len() <= size);
            found.extend(buckets.iter().cloned());
            match page.get("after_key") {
                Some(key) => after = key.clone(),
                None => break,
            }
        }
        prop_assert!(same(&Value::Array(found.clone()), &Value::Array(expected.clone())), "{found:?}\nexpected {expected:?}");
    }

    #[test]
    fn automatic_widths_are_the_narrowest_that_fit(
        more in prop::collection::vec(event(), 0..50),
        target in 1i64..60,
        docs_a_part in 1usize..30,
    ) {
        let events: Vec<Value> = std::iter::once(first()).chain(more).collect();
        let store = store_in_some_order("logs-a", &events, docs_a_part);
        let found = search(&store, json!({"size": 0, "aggs": {"a": {"auto_date_histogram": {"field": "@timestamp", "buckets": target}}}}));
        let mut times: Vec<i64> = living(&events).iter().map(naive::time).collect();
        times.sort_unstable();
        let (oldest, newest) = (times[0], times[times.len() - 1]);
        // Days and weeks are wide enough for the four days that there are.
        let (unit, step, name) = [("s", 1000, &[1, 5, 10, 30][..]), ("m", 60_000, &[1, 5, 10, 30][..]), ("h", 3_600_000, &[1, 3, 12][..]), ("d", 86_400_000, &[1, 7][..])]
            .into_iter()
            .flat_map(|(letter, unit, steps)| steps.iter().map(move |step| (unit, *step, format!("{step}{letter}"))))
            .find(|(unit, step, _)| (newest.div_euclid(*unit) - oldest.div_euclid(*unit)) / step < target)
            .unwrap();
        let start = oldest.div_euclid(unit) * unit;
        let number = (newest.div_euclid(unit) - oldest.div_euclid(unit)) / step + 1;
        let buckets: Vec<(i64, u64)> = (0..number).map(|at| {
            let (from, to) = (start + at * step * unit, start + (at + 1) * step * unit);
            (from, times.iter().filter(|time| (from..to).contains(*time)).count() as u64)
        }).collect();
        let shown: Vec<(i64, u64)> = found["aggregations"]["a"]["buckets"].as_array().unwrap().iter()
            .map(|bucket| (bucket["key"].as_i64().unwrap(), bucket["doc_count"].as_u64().unwrap())).collect();
        prop_assert_eq!(&found["aggregations"]["a"]["interval"], &json!(name));
        prop_assert_eq!(shown, buckets);
    }

    #[test]
    fn pipelines_agree_with_the_buckets_that_they_read(
        more in prop::collection::vec(event(), 0..50),
        width in 1usize..4,
        docs_a_part in 1usize..30,
    ) {
        let events: Vec<Value> = std::iter::once(first()).chain(more).collect();
        let store = store_in_some_order("logs-a", &events, docs_a_part);
        let found = search(&store, json!({"size": 0, "aggs": {
            "a": {"date_histogram": {"field": "@timestamp", "fixed_interval": "6h"}, "aggs": {
                "s": {"sum": {"field": "n"}},
                "total": {"cumulative_sum": {"buckets_path": "s"}},
                "change": {"derivative": {"buckets_path": "s", "gap_policy": "insert_zeros"}},
                "moving": {"moving_fn": {"buckets_path": "_count", "window": width, "script": "MovingFunctions.max(values)"}},
                "twice": {"bucket_script": {"buckets_path": {"n": "_count"}, "script": "params.n * 2 > 4 ? params.n : -1"}},
            }},
            "most": {"max_bucket": {"buckets_path": "a>_count"}},
            "mean": {"avg_bucket": {"buckets_path": "a>_count"}},
        }}));
        let buckets = found["aggregations"]["a"]["buckets"].as_array().unwrap();
        let counts: Vec<f64> = buckets.iter().map(|bucket| bucket["doc_count"].as_f64().unwrap()).collect();
        let sums: Vec<f64> = buckets.iter().map(|bucket| bucket["s"]["value"].as_f64().unwrap()).collect();
        let close = |value: &Value, expected: f64| value["value"].as_f64().is_some_and(|value| (value - expected).abs() < 1e-9);
        for (at, bucket) in buckets.iter().enumerate() {
            prop_assert!(close(&bucket["total"], sums[..=at].iter().sum()), "{bucket}");
            if at > 0 {
                prop_assert!(close(&bucket["change"], sums[at] - sums[at - 1]), "{bucket}");
            }
            let window = &counts[at.saturating_sub(width)..at];
            if window.is_empty() {
                prop_assert_eq!(&bucket["moving"]["value"], &Value::Null);
            } else {
                prop_assert!(close(&bucket["moving"], window.iter().copied().fold(0.0, f64::max)), "{bucket}");
            }
            prop_assert!(close(&bucket["twice"], if counts[at] > 2.0 { counts[at] } else { -1.0 }), "{bucket}");
        }
        let aggregations = &found["aggregations"];
        prop_assert!(close(&aggregations["most"], counts.iter().copied().fold(0.0, f64::max)));
        prop_assert!(close(&aggregations["mean"], counts.iter().sum::<f64>() / counts.len() as f64));
    }
}
