//! Aggregations over small stores in memory, in Elasticsearch's shapes.

use serde_json::{Value, json};

use crate::query::tests::{search, try_search};
use crate::store::Store;
use crate::store::testing::store_of;
use std::sync::Arc;

fn store() -> Arc<Store> {
    let event = |n: i64| {
        let mut event = json!({
            "@timestamp": format!("2026-01-0{}T0{}:00:00Z", n / 4 + 1, n % 4),
            "n": n, "took": n as f64 / 2.0, "ok": n % 3 == 0, "level": (["info", "error", "warn"][n as usize % 3]),
            "message": "some words", "at": "2026-02-01T00:00:00Z",
        });
        if n % 2 == 0 {
            event["tags"] = json!(["even", format!("n{n}")]);
            event["status"] = json!(200 + n);
        }
        event
    };
    store_of("logs-a", &(0..12).map(event).collect::<Vec<_>>(), 5)
}

/// The result of one aggregation over everything.
#[allow(clippy::needless_pass_by_value)] // so that json!() can stand where it is called
fn of(aggregation: Value) -> Value {
    search(&store(), json!({"size": 0, "aggs": {"a": aggregation}}))["aggregations"]["a"].clone()
}

/// Keys and counts of the buckets.
fn counts(result: &Value) -> Vec<(Value, u64)> {
    let buckets = result["buckets"].as_array().unwrap();
    buckets.iter().map(|bucket| (bucket["key"].clone(), bucket["doc_count"].as_u64().unwrap())).collect()
}

#[test]
fn terms_in_every_order() {
    let levels = of(json!({"terms": {"field": "level"}}));
    assert_eq!(levels["doc_count_error_upper_bound"], 0);
    assert_eq!(counts(&levels), [(json!("error"), 4), (json!("info"), 4), (json!("warn"), 4)]);
    let tags = of(json!({"terms": {"field": "tags", "size": 2}}));
    assert_eq!((counts(&tags), &tags["sum_other_doc_count"]), (vec![(json!("even"), 6), (json!("n0"), 1)], &json!(5)));
    let by_key = of(json!({"terms": {"field": "level.keyword", "order": {"_key": "desc"}, "size": 1}}));
    assert_eq!(counts(&by_key), [(json!("warn"), 4)]);
    let by_metric =
        of(json!({"terms": {"field": "level", "order": {"most": "desc"}}, "aggs": {"most": {"max": {"field": "n"}}}}));
    assert_eq!(by_metric["buckets"][0], json!({"key": "warn", "doc_count": 4, "most": {"value": 11.0}}));
    let missing = of(json!({"terms": {"field": "status", "missing": 0, "size": 1}}));
    assert_eq!(counts(&missing), [(json!(0), 6)]);
    let chosen = of(
        json!({"terms": {"field": "tags", "include": "n.*", "exclude": ["n2", "n4"], "order": [{"_count": "desc"}, {"_key": "desc"}]}}),
    );
    assert_eq!(counts(&chosen), [(json!("n8"), 1), (json!("n6"), 1), (json!("n10"), 1), (json!("n0"), 1)]);
    let flags = of(json!({"terms": {"field": "ok"}}));
    assert_eq!(flags["buckets"][1], json!({"key": 1, "key_as_string": "true", "doc_count": 4}));
    let dates = of(json!({"terms": {"field": "at"}}));
    assert_eq!(
        dates["buckets"][0],
        json!({"key": 1_769_904_000_000_i64, "key_as_string": "2026-02-01T00:00:00.000Z", "doc_count": 12})
    );
    let floats = of(json!({"terms": {"field": "took", "size": 1, "order": {"_key": "asc"}}}));
    assert_eq!(floats["buckets"][0]["key"].to_string(), "0.0");
    assert_eq!(counts(&of(json!({"terms": {"field": "_index"}}))), [(json!("logs-a"), 12)]);
    assert_eq!(counts(&of(json!({"terms": {"field": "nothing"}}))), []);
    assert_eq!(counts(&of(json!({"terms": {"field": "status", "min_doc_count": 2}}))), []);
}

#[test]
fn time_buckets() {
    let days =
        of(json!({"date_histogram": {"field": "@timestamp", "calendar_interval": "day", "format": "yyyy-MM-dd"}}));
    let shown: Vec<_> =
        days["buckets"].as_array().unwrap().iter().map(|bucket| bucket["key_as_string"].as_str().unwrap()).collect();
    assert_eq!(shown, ["2026-01-01", "2026-01-02", "2026-01-03"]);
    let hours = of(json!({"date_histogram": {"field": "@timestamp", "fixed_interval": "12h", "min_doc_count": 0,
        "extended_bounds": {"min": "2025-12-31T12:00:00Z", "max": 1767484800000i64}}}));
    let counted: Vec<u64> = counts(&hours).into_iter().map(|(_, count)| count).collect();
    assert_eq!(counted, [0, 4, 0, 4, 0, 4, 0, 0]);
    assert_eq!(hours["buckets"][0]["key_as_string"], "2025-12-31T12:00:00.000Z");
    let zoned =
        of(json!({"date_histogram": {"field": "@timestamp", "calendar_interval": "1d", "time_zone": "-02:00"}}));
    assert_eq!(zoned["buckets"][0]["key_as_string"], "2025-12-31T00:00:00.000-02:00");
    let counted: Vec<u64> = counts(&zoned).into_iter().map(|(_, count)| count).collect();
    assert_eq!(counted, [2, 4, 4, 2]);
    let keyed = of(
        json!({"date_histogram": {"field": "@timestamp", "fixed_interval": "1d", "keyed": true}, "aggs": {"l": {"terms": {"field": "level"}}}}),
    );
    let second = &keyed["buckets"]["2026-01-02T00:00:00.000Z"];
    assert_eq!(
        (&second["doc_count"], &second["l"]["buckets"][0]),
        (&json!(4), &json!({"key": "error", "doc_count": 2}))
    );
}

#[test]
fn numbers_about_values() {
    assert_eq!(of(json!({"min": {"field": "n"}})), json!({"value": 0.0}));
    assert_eq!(of(json!({"max": {"field": "took"}})), json!({"value": 5.5}));
    assert_eq!(of(json!({"avg": {"field": "n"}})), json!({"value": 5.5}));
    assert_eq!(of(json!({"sum": {"field": "status", "missing": 1}})), json!({"value": 1236.0}));
    assert_eq!(of(json!({"value_count": {"field": "tags"}})), json!({"value": 12}));
    assert_eq!(of(json!({"cardinality": {"field": "tags"}})), json!({"value": 7}));
    assert_eq!(of(json!({"cardinality": {"field": "took"}})), json!({"value": 12}));
    assert_eq!(
        of(json!({"stats": {"field": "nothing"}})),
        json!({"count": 0, "min": null, "max": null, "avg": null, "sum": 0.0})
    );
    let max = of(json!({"max": {"field": "@timestamp"}}));
    assert_eq!(max, json!({"value": 1_767_409_200_000.0, "value_as_string": "2026-01-03T03:00:00.000Z"}));
    let extended = of(json!({"extended_stats": {"field": "n"}}));
    assert!((extended["variance"].as_f64().unwrap() - 143.0 / 12.0).abs() < 1e-9, "{extended}");
    assert_eq!(
        of(json!({"percentiles": {"field": "n", "percents": [0, 50, 100]}})),
        json!({"values": {"0.0": 0.0, "50.0": 5.5, "100.0": 11.0}})
    );
    let list = of(json!({"percentiles": {"field": "n", "percents": [50], "keyed": false}}));
    assert_eq!(list, json!({"values": [{"key": 50.0, "value": 5.5}]}));
}

#[test]
fn buckets_that_are_named_beforehand() {
    assert_eq!(
        of(json!({"filter": {"term": {"level": "info"}}, "aggs": {"s": {"sum": {"field": "n"}}}})),
        json!({"doc_count": 4, "s": {"value": 18.0}})
    );
    let filters = of(
        json!({"filters": {"filters": {"e": {"term": {"level": "error"}}, "t": {"exists": {"field": "tags"}}}, "other_bucket_key": "rest"}}),
    );
    assert_eq!(filters["buckets"], json!({"e": {"doc_count": 4}, "t": {"doc_count": 6}, "rest": {"doc_count": 4}}));
    let ranges = of(
        json!({"range": {"field": "n", "ranges": [{"to": 3}, {"from": 3, "to": 10, "key": "middle"}, {"from": 100}]}}),
    );
    assert_eq!(counts(&ranges), [(json!("*-3.0"), 3), (json!("middle"), 7), (json!("100.0-*"), 0)]);
    let dates = of(json!({"date_range": {"field": "@timestamp", "ranges": [{"from": "2026-01-02"}]}}));
    assert_eq!(dates["buckets"][0]["doc_count"], 8);
    assert_eq!(of(json!({"missing": {"field": "status"}})), json!({"doc_count": 6}));
    let histogram = of(json!({"histogram": {"field": "n", "interval": 5}}));
    assert_eq!(counts(&histogram), [(json!(0.0), 5), (json!(5.0), 5), (json!(10.0), 2)]);
}

#[test]
fn aggregations_nest_to_any_depth() {
    let nested = of(json!({"terms": {"field": "level"}, "aggs": {
        "d": {"date_histogram": {"field": "@timestamp", "calendar_interval": "day"}, "aggs": {
            "t": {"terms": {"field": "tags"}, "aggs": {"p": {"percentiles": {"field": "n", "percents": [50]}}, "c": {"cardinality": {"field": "level"}}}},
        }},
    }}));
    let third = &nested["buckets"][1]["d"]["buckets"][1]["t"]["buckets"];
    assert_eq!(third[0], json!({"key": "even", "doc_count": 1, "p": {"values": {"50.0": 6.0}}, "c": {"value": 1}}));
}

#[test]
fn results_without_any_part_have_their_shape() {
    let empty = crate::store::testing::empty();
    let found = search(
        &empty,
        json!({"aggs": {"t": {"terms": {"field": "a"}}, "f": {"filters": {"filters": [{"match_all": {}}]}}, "m": {"max": {"field": "a"}, "meta": {"x": 1}}}}),
    );
    assert_eq!(
        found["aggregations"],
        json!({
            "t": {"doc_count_error_upper_bound": 0, "sum_other_doc_count": 0, "buckets": []},
            "f": {"buckets": [{"doc_count": 0}]}, "m": {"value": null, "meta": {"x": 1}},
        })
    );
}

#[test]
fn what_can_not_be_aggregated_is_refused() {
    for (aggregation, named) in [
        (json!({"terms": {"field": "message"}}), "Fielddata is disabled on [message]"),
        (json!({"sum": {"field": "level"}}), "[keyword] is not supported for aggregation [sum]"),
        (json!({"terms": {"field": "level", "order": {"x": "asc"}}}), "[x]"),
        (json!({"terms": {"field": "level", "size": 0}}), "[size]"),
        (json!({"date_histogram": {"field": "@timestamp"}}), "interval"),
        (json!({"date_histogram": {"field": "@timestamp", "fixed_interval": "1 parsec"}}), "1 parsec"),
        (json!({"date_histogram": {"field": "@timestamp", "fixed_interval": "1ms"}}), "too many buckets"),
        (json!({"max": {"field": "n"}, "aggs": {"x": {"min": {"field": "n"}}}}), "sub-aggregations"),
        (json!({"moving_fn": {"buckets_path": "_count", "window": 1, "script": "1"}}), "moving_fn"),
        (json!({"nested": {"path": "a"}}), "[nested] is not supported"),
        (json!({"odd": {}}), "Unknown aggregation type [odd]"),
        (json!({"rate": {"unit": "day"}}), "date histogram"),
        (json!({"composite": {"sources": []}}), "[sources]"),
        (
            json!({"terms": {"field": "level"}, "aggs": {"c": {"composite": {"sources": [{"l": {"terms": {"field": "level"}}}]}}}}),
            "parentAggregation of type: [terms]",
        ),
        (json!({"terms": {"field": "n", "include": "1.*"}}), "regular expression"),
        (json!({"terms": {"field": "level"}, "aggs": {"d": {"derivative": {"buckets_path": "_count"}}}}), "histogram"),
        (
            json!({"terms": {"field": "level"}, "aggs": {"s": {"bucket_script": {"buckets_path": {"x": "gone"}, "script": "params.x"}}}}),
            "No aggregation found for path [gone]",
        ),
        (json!({"terms": {"field": "a", "odd": 1}}), "[odd]"),
    ] {
        let error = try_search(&store(), json!({"aggs": {"a": aggregation}})).unwrap_err();
        assert!(error.status == 400 && error.reason.contains(named), "{aggregation}: {error}");
    }
}
