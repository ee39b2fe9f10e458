//! Searches over small stores in memory.

use std::sync::Arc;

use serde_json::{Value, json};

use tantivy::DocSet as _;

use super::clause::Clause;
use super::compile::{Target, compile};
use super::execute;
use super::limits::Allowance;
use super::request::SearchRequest;
use super::scoring::Scores;
use crate::store::Store;
use crate::store::testing::store_of;

#[allow(clippy::needless_pass_by_value)] // so that json!() can stand where it is called
pub(crate) fn search(store: &Store, body: Value) -> Value {
    try_search(store, body.clone()).unwrap_or_else(|error| panic!("{body}: {error}"))
}

pub(crate) fn try_search(store: &Store, body: Value) -> Result<Value, super::error::EsError> {
    let request = SearchRequest::read(body)?;
    let allowance = Allowance::new(None, Arc::default());
    let view = store.view("_all", None)?;
    Ok(serde_json::to_value(execute::search(&view, &request, &allowance)?).unwrap())
}

/// The `n` of the hits, in their order.
fn hits(store: &Store, body: Value) -> Vec<i64> {
    let found = search(store, body);
    let hits = found["hits"]["hits"].as_array().unwrap();
    assert!(found["hits"]["total"]["value"].as_u64().unwrap() >= hits.len() as u64);
    hits.iter().map(|hit| hit["_source"]["n"].as_i64().unwrap()).collect()
}

#[allow(clippy::needless_pass_by_value)] // so that json!() can stand where it is called
fn matching(store: &Store, query: Value) -> Vec<i64> {
    let mut found = hits(store, json!({"query": query, "size": 100}));
    found.sort_unstable();
    found
}

fn events() -> Vec<Value> {
    vec![
        json!({"n": 0, "@timestamp": "2026-01-01T00:00:00Z", "message": "GET /cart took 12ms", "log": {"level": "info"}, "status": 200, "took": 0.5, "ok": true}),
        json!({"n": 1, "@timestamp": "2026-01-01T01:00:00Z", "message": "Connection reset by peer", "log": {"level": "error"}, "status": 502, "took": 1.0, "ok": false}),
        json!({"n": 2, "@timestamp": "2026-01-02T00:00:00.5Z", "message": "connection refused; GET retried", "log.level": "warn", "tags": ["a", "b"], "at": "2026-01-05T10:00:00Z"}),
        json!({"n": 3, "@timestamp": "2026-01-03T00:00:00Z", "message": "Zürich: user-12 logged in", "log": {"level": "info"}, "user": {"name": "Ann Lee"}, "error": {"message": "Null Pointer"}}),
        json!({"n": 4, "@timestamp": "2026-01-03T00:00:00.000000001Z", "status": 404, "took": 2, "_id": "chosen", "user": {"name": "bob"}}),
    ]
}

fn store() -> Arc<Store> {
    store_of("logs-a", &events(), 2)
}

#[test]
fn every_query_finds_what_it_should() {
    let store = store();
    for (query, expected) in [
        (json!({"match_all": {}}), vec![0, 1, 2, 3, 4]),
        (json!({"match_none": {}}), vec![]),
        (json!({"match": {"message": "CONNECTION cart"}}), vec![0, 1, 2]),
        (json!({"match": {"message": {"query": "connection peer", "operator": "and"}}}), vec![1]),
        (json!({"match": {"log.level": "info"}}), vec![0, 3]),
        (json!({"match": {"status": "502"}}), vec![1]),
        (json!({"match_phrase": {"message": "connection reset"}}), vec![1]),
        (json!({"match_phrase": {"message": "reset connection"}}), vec![]),
        (json!({"match_phrase": {"message": {"query": "connection by", "slop": 1}}}), vec![1]),
        (json!({"match_phrase": {"error.message": "null pointer"}}), vec![3]),
        (json!({"match_phrase": {"user.name": "Ann Lee"}}), vec![3]),
        (json!({"match_phrase_prefix": {"message": "connection re"}}), vec![1, 2]),
        (json!({"multi_match": {"query": "null", "fields": ["message", "error.*"]}}), vec![3]),
        (json!({"term": {"log.level": "warn"}}), vec![2]),
        (json!({"term": {"log.level.keyword": {"value": "warn"}}}), vec![2]),
        (json!({"term": {"log.level": {"value": "WARN", "case_insensitive": true}}}), vec![2]),
        (json!({"term": {"tags": "b"}}), vec![2]),
        (json!({"term": {"status": 404}}), vec![4]),
        (json!({"term": {"took": 1}}), vec![1]),
        (json!({"term": {"took": 2.0}}), vec![4]),
        (json!({"term": {"ok": false}}), vec![1]),
        (json!({"term": {"at": "2026-01-05T10:00:00Z"}}), vec![2]),
        (json!({"term": {"@timestamp": "2026-01-03T00:00:00.000000001Z"}}), vec![4]),
        (json!({"term": {"_id": "chosen"}}), vec![4]),
        (json!({"ids": {"values": ["0-1", "chosen", "0-4"]}}), vec![1, 4]),
        (json!({"term": {"_index": "logs-*"}}), vec![0, 1, 2, 3, 4]),
        (json!({"terms": {"status": [200, "502", "x"]}}), vec![0, 1]),
        (json!({"terms": {"log.level": ["info", "warn"]}}), vec![0, 2, 3]),
        (json!({"range": {"status": {"gte": 404, "lt": 502}}}), vec![4]),
        (json!({"range": {"took": {"gt": 0.5}}}), vec![1, 4]),
        (json!({"range": {"took": {"gt": 0}}}), vec![0, 1, 4]),
        (json!({"range": {"log.level": {"gte": "info", "lt": "j"}}}), vec![0, 3]),
        (json!({"range": {"at": {"gte": "2026-01-05"}}}), vec![2]),
        (json!({"range": {"@timestamp": {"lte": "2026-01-01"}}}), vec![0, 1]),
        (json!({"range": {"@timestamp": {"gt": "2026-01-01", "lt": "2026-01-03"}}}), vec![2]),
        (json!({"range": {"@timestamp": {"gt": 1767398400000i64, "format": "epoch_millis"}}}), vec![4]),
        (
            json!({"range": {"@timestamp": {"gte": "2026-01-01T02:00:00", "lt": "2026-01-01T03:00:00", "time_zone": "+01:00"}}}),
            vec![1],
        ),
        (json!({"range": {"@timestamp": {"gte": "now-1d"}}}), vec![]),
        (json!({"exists": {"field": "user"}}), vec![3, 4]),
        (json!({"exists": {"field": "message"}}), vec![0, 1, 2, 3]),
        (json!({"exists": {"field": "nothing"}}), vec![]),
        (json!({"prefix": {"user.name": "Ann"}}), vec![3]),
        (json!({"prefix": {"message": "conn"}}), vec![1, 2]),
        (json!({"wildcard": {"user.name": "*n L?e"}}), vec![3]),
        (json!({"wildcard": {"user.name": {"value": "ANN*", "case_insensitive": true}}}), vec![3]),
        (json!({"wildcard": {"message": {"value": "z*ch"}}}), vec![3]),
        (json!({"regexp": {"log.level": "(info|w.*)"}}), vec![0, 2, 3]),
        (json!({"fuzzy": {"message": {"value": "conection"}}}), vec![1, 2]),
        (json!({"query_string": {"query": "message:(reset OR refused) AND NOT log.level:warn"}}), vec![1]),
        (json!({"query_string": {"query": "502"}}), vec![1]),
        (json!({"query_string": {"query": "info"}}), vec![0, 3]),
        (json!({"query_string": {"query": "message:User-1*"}}), vec![3]),
        (json!({"query_string": {"query": "status:[404 TO *] OR took:<1", "analyze_wildcard": true}}), vec![0, 1, 4]),
        (
            json!({"query_string": {"query": "reset peer", "default_field": "message", "default_operator": "AND"}}),
            vec![1],
        ),
        (json!({"simple_query_string": {"query": "\"connection refused\" | zür*", "fields": ["message"]}}), vec![2, 3]),
        (json!({"bool": {"must_not": {"exists": {"field": "status"}}}}), vec![2, 3]),
        (json!({"bool": {"should": [{"term": {"status": 200}}, {"term": {"status": 404}}]}}), vec![0, 4]),
        (
            json!({"bool": {"should": [{"term": {"ok": true}}, {"term": {"status": 200}}, {"term": {"n": 1}}], "minimum_should_match": 2}}),
            vec![0],
        ),
        (json!({"bool": {"filter": [{"term": {"log.level": "info"}}], "should": [{"term": {"n": 4}}]}}), vec![0, 3]),
        (json!({"constant_score": {"filter": {"term": {"n": 2}}}}), vec![2]),
    ] {
        assert_eq!(matching(&store, query.clone()), expected, "{query}");
    }
}

#[test]
fn what_can_not_be_understood_is_refused() {
    let store = store();
    for (query, named) in [
        (json!({"range": {"@timestamp": {"gte": "yesterday"}}}), "yesterday"),
        (json!({"range": {"status": {"gte": "many"}}}), "many"),
        (json!({"regexp": {"log.level": "("}}), "not a regular expression"),
        (json!({"wildcard": {"status": "4*"}}), "status"),
    ] {
        let error = try_search(&store, json!({"query": query})).unwrap_err();
        assert_eq!(error.status, 400);
        assert!(error.reason.contains(named), "{error}");
    }
}

#[test]
fn hits_come_in_the_order_asked_for_and_page_by_page() {
    let store = store();
    for (sort, expected) in [
        (json!(null), vec![4, 3, 2, 1, 0]),
        (json!([{"@timestamp": "asc"}]), vec![0, 1, 2, 3, 4]),
        (json!({"@timestamp": {"order": "desc", "unmapped_type": "date"}}), vec![4, 3, 2, 1, 0]),
        (json!(["_doc"]), vec![0, 1, 2, 3, 4]),
        (json!([{"status": "desc"}, {"n": "asc"}]), vec![1, 4, 0, 2, 3]),
        (json!([{"status": {"order": "asc", "missing": "_first"}}, {"n": "desc"}]), vec![3, 2, 0, 4, 1]),
        (json!([{"status": {"order": "asc", "missing": 300}}, "n"]), vec![0, 2, 3, 4, 1]),
        (json!([{"log.level": "asc"}, {"n": "asc"}]), vec![1, 0, 3, 2, 4]),
        (json!([{"took": "desc"}, "n"]), vec![4, 1, 0, 2, 3]),
        (json!([{"tags": "asc"}, {"user.name": "desc"}, "n"]), vec![2, 4, 3, 0, 1]),
    ] {
        let body = |size: usize, more: Value| {
            let mut body = json!({"size": size, "sort": sort});
            body.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
            body
        };
        assert_eq!(hits(&store, body(10, json!({}))), expected, "{sort}");
        assert_eq!(hits(&store, body(2, json!({"from": 1}))), expected[1..3], "{sort}");
        if sort.is_null() {
            continue;
        }
        let mut paged = Vec::new();
        let mut after = Value::Null;
        loop {
            let more = if after.is_null() { json!({}) } else { json!({"search_after": after}) };
            let page = search(&store, body(1, more));
            let Some(hit) = page["hits"]["hits"].get(0) else { break };
            paged.push(hit["_source"]["n"].as_i64().unwrap());
            after = hit["sort"].clone();
        }
        assert_eq!(paged, expected, "paging by {sort}");
    }
}

#[test]
fn hits_show_what_was_asked_for() {
    let store = store();
    let found = search(
        &store,
        json!({
            "query": {"match": {"message": "zürich"}}, "_source": ["user.*"], "fields": ["log.level", {"field": "@timestamp", "format": "epoch_millis"}],
            "docvalue_fields": ["status"], "highlight": {"fields": {"*": {}}}, "version": true, "seq_no_primary_term": true, "sort": ["_doc"],
        }),
    );
    let expected = json!({
        "_index": "logs-a", "_id": "0-3", "_version": 1, "_seq_no": 3, "_primary_term": 1, "_score": null,
        "_source": {"user": {"name": "Ann Lee"}},
        "fields": {"log.level": ["info"], "@timestamp": ["1767398400000"]},
        "highlight": {"message": ["<em>Zürich</em>: user-12 logged in"]},
        "sort": [3],
    });
    assert_eq!(found["hits"]["hits"][0], expected);
    assert_eq!(found["hits"]["total"], json!({"value": 1, "relation": "eq"}));
    assert_eq!(found["_shards"], json!({"total": 1, "successful": 1, "skipped": 0, "failed": 0}));
    let chosen = search(&store, json!({"query": {"term": {"n": 4}}, "_source": false}));
    assert_eq!(chosen["hits"]["hits"][0], json!({"_index": "logs-a", "_id": "chosen", "_score": 1.0}));
    let none = search(&store, json!({"track_total_hits": false, "size": 0}));
    assert_eq!(none["hits"], json!({"max_score": null, "hits": []}));
}

#[test]
fn paths_beyond_the_bound_are_found_by_their_value_and_not_aggregated() {
    let mut event = json!({"n": 7});
    for number in 0..1100 {
        event[format!("k{number:04}")] = json!(format!("v{number}"));
    }
    let store = store_of("logs-wide", &[event, json!({"n": 8, "k1090": "other", "o": {"late": 5}})], 1);
    assert_eq!(matching(&store, json!({"term": {"k0001": "v1"}})), [7]);
    assert_eq!(matching(&store, json!({"term": {"k1090": "v1090"}})), [7]);
    assert_eq!(matching(&store, json!({"terms": {"k1090": ["v1090", "other"]}})), [7, 8]);
    assert_eq!(matching(&store, json!({"exists": {"field": "k1090"}})), [7, 8]);
    assert_eq!(matching(&store, json!({"term": {"o.late": 5}})), [8]);
    assert_eq!(matching(&store, json!({"term": {"k9999": "v"}})), [0; 0]);
    let error = try_search(&store, json!({"size": 0, "aggs": {"a": {"terms": {"field": "k1090"}}}})).unwrap_err();
    assert!(error.status == 400 && error.reason.contains("indexer.fields_max"), "{error}");
    assert!(try_search(&store, json!({"size": 0, "aggs": {"a": {"terms": {"field": "k9999"}}}})).is_ok());
}

#[test]
fn scorers_stop_when_nobody_waits_any_more() {
    let events: Vec<Value> =
        (0..9_000).map(|n| json!({"k": format!("value-{n}"), "message": "one two three two one"})).collect();
    let store = store_of("logs-a", &events, 10_000);
    let view = store.view("_all", None).unwrap();
    let (part, mapping) = (&view.parts[0], &view.mappings["logs-a"]);
    let target = Target { index: "logs-a", mapping, now: jiff::Timestamp::now() };
    let scorer = |query: Value| {
        let query = compile(&Clause::from_dsl(query).unwrap(), target).unwrap();
        Scores::Unwanted.weight(query.as_ref()).unwrap().scorer(&part.reader, 1.0)
    };
    let pattern = json!({"regexp": {"k": ".*9"}});
    // Both words are in every document, but never so.
    let phrase = json!({"match_phrase": {"message": "one three"}});
    let found = json!({"match_phrase": {"message": "three two"}});
    assert_eq!(scorer(pattern.clone()).unwrap().count_including_deleted(), 900);
    assert_eq!(scorer(phrase.clone()).unwrap().doc(), tantivy::TERMINATED);
    assert_eq!(scorer(found.clone()).unwrap().count_including_deleted(), 9_000);
    let cancelled = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let allowance = Allowance::new(None, cancelled);
    let _entered = allowance.enter();
    assert!(scorer(pattern).is_err());
    assert!(scorer(found).unwrap().count_including_deleted() < 9_000);
    let error =
        execute::search(&view, &SearchRequest::read(json!({"query": phrase})).unwrap(), &allowance).unwrap_err();
    assert_eq!(error.kind, "task_cancelled_exception");
}
