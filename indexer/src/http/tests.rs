//! The API over a store in memory, asked through real HTTP.

use std::sync::Arc;

use axum::http::Method;
use logmill_bus_client::Connection;
use logmill_core::StatusBoard;
use logmill_core::telemetry::Metrics;
use logmill_indexer_api::Client;
use serde_json::{Value, json};

use super::{AppState, routes};
use crate::config::Config;
use crate::store::Store;
use crate::store::testing::store_of;

async fn serve(store: Arc<Store>) -> Client {
    let state = AppState {
        store,
        // Nobody listens there: what needs the bus must say so instead of hanging.
        bus: Connection::new(vec!["127.0.0.1:1".to_owned()], "test"),
        config: Arc::new(Config::default()),
        metrics: Metrics::install(),
        board: Arc::new(StatusBoard::new("indexer")),
        logins: None,
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, routes(state)).await });
    Client::new(&format!("http://{address}")).unwrap()
}

fn store() -> Arc<Store> {
    let events: Vec<Value> = (0..20)
        .map(|n| json!({"@timestamp": format!("2026-01-01T00:00:{n:02}Z"), "message": format!("line {n}"), "n": n, "log": {"level": if n % 4 == 0 { "error" } else { "info" }}}))
        .collect();
    store_of("logs-a-default", &events, 7)
}

#[tokio::test]
async fn clients_find_what_they_look_for() {
    let client = serve(store()).await;
    assert_eq!(client.info().await.unwrap()["version"]["build_flavor"], "default");
    let found = client
        .search("logs-*", &json!({"size": 2, "sort": [{"@timestamp": "desc"}], "query": {"term": {"log.level": "error"}},
            "aggs": {"levels": {"terms": {"field": "log.level"}}, "times": {"date_histogram": {"field": "@timestamp", "fixed_interval": "10s"}}}}))
        .await
        .unwrap();
    assert_eq!(found["hits"]["total"], json!({"value": 5, "relation": "eq"}));
    assert_eq!(found["hits"]["hits"][0]["_source"]["n"], 16);
    assert_eq!(found["aggregations"]["levels"]["buckets"], json!([{"key": "error", "doc_count": 5}]));
    assert_eq!(found["aggregations"]["times"]["buckets"][1]["doc_count"], 2);
    assert_eq!(client.count("_all", &json!({"match_phrase": {"message": "line 7"}})).await.unwrap(), 1);
    let both = client.msearch(&[("logs-*", &json!({"size": 0})), ("none", &json!({}))]).await.unwrap();
    assert_eq!((&both[0]["hits"]["total"]["value"], &both[1]["status"]), (&json!(20), &json!(404)));
    let caps = client.field_caps("logs-*", "log.*,n").await.unwrap();
    assert_eq!(caps["fields"]["log.level"]["keyword"]["aggregatable"], true);
    assert_eq!(caps["fields"]["n"]["long"]["searchable"], true);
    for (path, pointer, expected) in [
        ("logs-a-default/_mapping", "/logs-a-default/mappings/properties/log/properties/level/type", json!("keyword")),
        ("_cat/indices?format=json", "/0/docs.count", json!("20")),
        ("_cluster/health", "/timed_out", json!(false)),
        (
            "logs-a-default/_search?q=n:%3E17&size=1&filter_path=hits.total.value",
            "",
            json!({"hits": {"total": {"value": 2}}}),
        ),
        ("logs-a-default/_doc/0-3", "/_source/n", json!(3)),
        ("logs-a-default/_count?q=line", "/count", json!(20)),
        ("_logmill/freshness", "/behind", json!(null)),
        ("_all/_search?rest_total_hits_as_int=true&size=0", "/hits/total", json!(20)),
        ("missing/_search?ignore_unavailable=true", "/hits/total/value", json!(0)),
    ] {
        let answer = client.get(path).await.unwrap_or_else(|error| panic!("{path}: {error}"));
        assert_eq!(answer.pointer(pointer), Some(&expected), "{path}: {answer}");
    }
}

#[tokio::test]
async fn what_is_wrong_is_told_as_elasticsearch_tells_it() {
    let client = serve(store()).await;
    let deep = format!("{{\"query\":{}}}", "{\"bool\":{\"must\":".repeat(10_000));
    for (method, path, body, status, named) in [
        ("GET", "missing/_search", "", 404, "no such index [missing]"),
        ("POST", "_search", "{\"query\":", 400, "not JSON"),
        ("POST", "_search", deep.as_str(), 400, "too deep"),
        ("POST", "_search", "{\"query\":{\"mtch\":{}}}", 400, "[mtch]"),
        ("POST", "_search", "{\"aggs\":{\"a\":{\"terms\":{\"field\":\"message\"}}}}", 400, "Fielddata"),
        ("POST", "_search?scroll=1m", "{\"size\":0}", 400, "scroll context"),
        ("POST", "_search/scroll", "{\"scroll_id\":\"none\"}", 404, "No search context"),
        ("POST", "_search", "{\"pit\":{\"id\":\"none\"}}", 404, "No search context"),
        ("POST", "logs-*/_pit", "", 400, "keep_alive"),
        ("GET", "_tasks/logmill:999", "", 404, "isn't running"),
        ("GET", "_async_search/none", "", 404, "none"),
        ("POST", "_search", "{\"sort\":[\"nothing\"]}", 400, "No mapping found for [nothing]"),
        ("POST", "_search?odd=1", "{}", 400, "[odd]"),
        ("POST", "_bulk", "{\"create\":{}}\n{}\n", 400, "index is missing"),
        ("POST", "_bulk", "nonsense\n", 400, "Malformed action"),
        ("PUT", "_index_template/x", "{}", 400, "[index_patterns]"),
        ("DELETE", "logs-*", "", 400, "name the indexes"),
        ("GET", "a/b/c/d", "", 400, "no handler"),
        ("POST", "_cluster/health", "", 405, "method"),
        ("GET", "logs-a-default/_doc/none", "", 404, "\"found\":false"),
    ] {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let body = (!body.is_empty()).then(|| bytes::Bytes::copy_from_slice(body.as_bytes()));
        let answer = client.raw(method, path, "application/json", body).await.unwrap();
        let text = String::from_utf8_lossy(&answer.body);
        assert_eq!(answer.status, status, "{path}: {text}");
        assert!(text.contains(named), "{path}: {text}");
    }
}
