//! Deliveries to an engine that is moody, over real HTTP.

use std::collections::BTreeMap;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use flate2::read::GzDecoder;
use logmill_bus_client::Connection;
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::super::record::{Made, item, message};
use super::*;

/// An engine that keeps documents by id.
#[derive(Default)]
struct Engine {
    stored: Mutex<BTreeMap<String, Value>>,
    /// How the next requests are answered before any is taken.
    moods: Mutex<VecDeque<Mood>>,
    /// More items than this are too large.
    items_max: usize,
    requests: AtomicUsize,
}

enum Mood {
    Status(u16),
    /// Every second item has no room.
    HalfFull,
    /// The documents are stored, and the answer is lost.
    Mute,
}

async fn bulk(State(engine): State<Arc<Engine>>, headers: HeaderMap, body: Bytes) -> (StatusCode, String) {
    engine.requests.fetch_add(1, Ordering::Relaxed);
    assert_eq!(headers["content-encoding"], "gzip");
    let text = std::io::read_to_string(GzDecoder::new(&body[..])).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    if lines.len() / 2 > engine.items_max {
        return (StatusCode::PAYLOAD_TOO_LARGE, "too large".to_owned());
    }
    let mood = engine.moods.lock().pop_front();
    if let Some(Mood::Status(status)) = mood {
        return (StatusCode::from_u16(status).unwrap(), String::new());
    }
    let mut items = Vec::new();
    for (at, pair) in lines.chunks(2).enumerate() {
        let id = pair[0]["create"]["_id"].as_str().unwrap().to_owned();
        let status = if matches!(mood, Some(Mood::HalfFull)) && at % 2 == 0 {
            429
        } else if engine.stored.lock().insert(id, pair[1].clone()).is_some() {
            409
        } else {
            201
        };
        items.push(json!({ "create": { "status": status } }));
    }
    if matches!(mood, Some(Mood::Mute)) {
        return (StatusCode::BAD_GATEWAY, String::new());
    }
    let errors = items.iter().any(|item| item["create"]["status"] != 201);
    (StatusCode::OK, json!({ "errors": errors, "items": items }).to_string())
}

async fn delivery(engine: &Arc<Engine>) -> Delivery {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let routes = Router::new().route("/_bulk", post(bulk)).with_state(engine.clone());
    tokio::spawn(async move { axum::serve(listener, routes).await });
    let bus = Connection::new(vec!["127.0.0.1:1".to_owned()], "test");
    let board = Arc::new(StatusBoard::new("indexer"));
    Delivery::new(Client::new(&url).unwrap(), Letters::new(&bus).unwrap(), true, 8 << 20, board)
}

fn items(count: i64) -> Vec<Item> {
    let one = |offset| match item(Message { offset, ..message("{\"@timestamp\":1}", &[]) }) {
        Made::Item(item) => item,
        other => panic!("{other:?}"),
    };
    (0..count).map(one).collect()
}

#[tokio::test]
async fn everything_is_stored_once_whatever_the_mood() {
    let moods = [Mood::Status(503), Mood::HalfFull, Mood::Status(429), Mood::HalfFull, Mood::Mute, Mood::Status(401)];
    let engine = Arc::new(Engine { moods: Mutex::new(moods.into()), items_max: 1000, ..Engine::default() });
    let delivery = delivery(&engine).await;
    delivery.deliver(items(100), &Shutdown::new()).await.unwrap();
    assert_eq!(engine.stored.lock().len(), 100);
    let counters = delivery.board.snapshot().counters;
    // What was stored by the request whose answer was lost is known when it is sent again.
    let (events, known) = (counters["events"], counters["dropped_duplicates"]);
    assert!(events + known == 100 && known > 0, "{counters:?}");
    assert!(delivery.board.snapshot().problems.is_empty() && delivery.board.is_ready());
}

#[tokio::test]
async fn what_is_too_large_goes_in_halves() {
    let engine = Arc::new(Engine { items_max: 10, ..Engine::default() });
    let delivery = delivery(&engine).await;
    delivery.deliver(items(64), &Shutdown::new()).await.unwrap();
    assert_eq!(engine.stored.lock().len(), 64);
    // One of 64, two of 32, four of 16, eight of 8.
    assert_eq!(engine.requests.load(Ordering::Relaxed), 15);
    assert_eq!(delivery.request_bytes.load(Ordering::Relaxed), REQUEST_BYTES_MIN);
}

#[tokio::test]
async fn a_stop_leaves_what_is_not_accepted() {
    let moods: VecDeque<Mood> = (0..1000).map(|_| Mood::Status(503)).collect();
    let engine = Arc::new(Engine { moods: Mutex::new(moods), items_max: 1000, ..Engine::default() });
    let delivery = delivery(&engine).await;
    let shutdown = Shutdown::new();
    let asked = shutdown.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(500)).await;
        asked.trigger();
    });
    let stopped = tokio::time::timeout(Duration::from_secs(10), delivery.deliver(items(3), &shutdown)).await;
    assert!(matches!(stopped, Ok(Err(Stopped))));
    let problems = delivery.board.snapshot().problems;
    assert!(problems.iter().any(|problem| problem.contains("does not take events: status 503")), "{problems:?}");
}
