//! For tests: a search engine that answers what it is told to, and a receiver of webhooks that remembers.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{any, get, post};
use axum::{Json, Router};
use parking_lot::Mutex;
use serde_json::{Value, json};

/// Serves a router on a port of its own until the test ends.
pub(crate) async fn serve(router: Router) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

/// What the search engine answers and was asked.
#[derive(Debug, Default)]
pub(crate) struct Engine {
    pub(crate) count: Mutex<u64>,
    /// `null`: an engine that knows no freshness.
    pub(crate) freshness: Mutex<Value>,
    /// Answers to searches in turn; then empty ones.
    pub(crate) answers: Mutex<VecDeque<Value>>,
    pub(crate) asked: Mutex<Vec<(String, Value)>>,
}

impl Engine {
    /// Starts it; its address is an URL.
    pub(crate) async fn start() -> (Arc<Self>, String) {
        let engine = Arc::new(Self::default());
        let router = Router::new()
            .route("/_logmill/freshness", get(freshness))
            .route("/{index}/_count", post(count))
            .route("/{index}/_search", post(search))
            .with_state(engine.clone());
        let address = serve(router).await;
        (engine, format!("http://{address}"))
    }
}

async fn freshness(State(engine): State<Arc<Engine>>) -> (StatusCode, Json<Value>) {
    let freshness = engine.freshness.lock().clone();
    let status = if freshness.is_null() { StatusCode::NOT_FOUND } else { StatusCode::OK };
    (status, Json(freshness))
}

async fn count(State(engine): State<Arc<Engine>>, Path(index): Path<String>, body: Json<Value>) -> Json<Value> {
    engine.asked.lock().push((index, body.0));
    Json(json!({ "count": *engine.count.lock() }))
}

async fn search(State(engine): State<Arc<Engine>>, Path(index): Path<String>, body: Json<Value>) -> Json<Value> {
    engine.asked.lock().push((index, body.0));
    let empty = json!({ "took": 1, "hits": { "total": { "value": 0, "relation": "eq" }, "hits": [] } });
    Json(engine.answers.lock().pop_front().unwrap_or(empty))
}

/// What came to a receiver of webhooks, and what it answers.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    pub(crate) got: Mutex<Vec<(HeaderMap, String)>>,
    /// Answers in turn; then 200.
    pub(crate) answers: Mutex<VecDeque<u16>>,
}

impl Inbox {
    /// Starts it; its address is an URL.
    pub(crate) async fn start() -> (Arc<Self>, String) {
        let inbox = Arc::new(Self::default());
        let router = Router::new().route("/hook", any(receive)).with_state(inbox.clone());
        let address = serve(router).await;
        (inbox, format!("http://{address}/hook"))
    }

    /// A header of the message at this place.
    pub(crate) fn header(&self, place: usize, name: &str) -> String {
        self.got.lock()[place].0[name].to_str().unwrap().to_owned()
    }
}

async fn receive(State(inbox): State<Arc<Inbox>>, headers: HeaderMap, body: String) -> (StatusCode, HeaderMap, String) {
    let echoed = body.clone();
    inbox.got.lock().push((headers, body));
    let status = inbox.answers.lock().pop_front().unwrap_or(200);
    let mut headers = HeaderMap::new();
    if (300..400).contains(&status) {
        headers.insert("location", "/hook".parse().unwrap());
    }
    (StatusCode::from_u16(status).unwrap(), headers, echoed)
}
