//! One watcher: which events it wants, how many a screen can show, and how they are written to the browser (SSE).

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use logmill_core::Shutdown;
use logmill_indexer_api::text::Wildcard;
use logmill_indexer_api::{Ast, Matcher};
use serde_json::{Value, json};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc};
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::{Batch, TailEvent};

/// A screen shows some 40 rows; four screens a second are more than anybody reads.
const TICK: Duration = Duration::from_millis(250);
const HITS_PER_TICK: u32 = 50;
/// Proxies cut connections that are silent for longer.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// A larger event is counted, not shown: a screen of them would be megabytes.
const EVENT_BYTES_MAX: usize = 256 << 10;

/// Which events a watcher wants.
#[derive(Debug)]
pub(crate) struct Viewing {
    matcher: Matcher,
    wanted: Vec<Wildcard>,
    unwanted: Vec<Wildcard>,
}

impl Viewing {
    /// Events that match, on their way to indices that match (`logs-*,-logs-noise`).
    pub(crate) fn new(ast: &Ast, index: &str) -> Self {
        let (unwanted, wanted): (Vec<_>, Vec<_>) = index.split(',').partition(|name| name.starts_with('-'));
        Self {
            matcher: Matcher::new(ast),
            wanted: wanted.into_iter().map(Wildcard::new).collect(),
            unwanted: unwanted.into_iter().filter_map(|name| name.strip_prefix('-')).map(Wildcard::new).collect(),
        }
    }

    fn shows(&self, event: &TailEvent) -> bool {
        // An event that names no index goes to the indexer's default one, which is a log's too.
        let indexed = event.index.is_empty()
            || (self.wanted.iter().any(|pattern| pattern.matches(&event.index))
                && !self.unwanted.iter().any(|pattern| pattern.matches(&event.index)));
        indexed && self.matcher.matches(&event.source)
    }
}

/// Writes what the watcher wants to `out` until it goes away or the program stops.
pub(crate) async fn watch(
    viewing: Viewing,
    recent: Vec<Arc<Batch>>,
    mut batches: broadcast::Receiver<Arc<Batch>>,
    out: mpsc::Sender<Bytes>,
    shutdown: Shutdown,
) {
    let (mut ticks, mut keep_alive) = (steady(TICK), steady(KEEP_ALIVE));
    let mut screen = Screen { out: out.clone(), room: HITS_PER_TICK, skipped: 0 };
    for batch in recent {
        if let Batch::Events(events) = batch.as_ref() {
            events.iter().filter(|event| viewing.shows(event)).for_each(|event| screen.show(event));
        }
    }
    loop {
        tokio::select! {
            () = shutdown.wait() => return,
            () = out.closed() => return,
            _ = ticks.tick() => screen.refresh(),
            _ = keep_alive.tick() => screen.write(Bytes::from_static(b": still here\n\n")),
            batch = batches.recv() => match batch.as_deref() {
                Ok(Batch::Events(events)) => {
                    for event in events.iter().filter(|event| viewing.shows(event)) {
                        screen.show(event);
                    }
                    // Testing a flood of events must not keep the other tasks of this thread waiting.
                    tokio::task::yield_now().await;
                }
                Ok(Batch::Problem(problem)) => screen.write(frame("error", &json!({ "message": problem }))),
                // Whole batches were missed; how many of their events were wanted nobody knows any more.
                Err(RecvError::Lagged(missed)) => screen.skipped += missed,
                Err(RecvError::Closed) => return,
            },
        }
    }
}

fn steady(period: Duration) -> Interval {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

struct Screen {
    out: mpsc::Sender<Bytes>,
    room: u32,
    skipped: u64,
}

impl Screen {
    fn show(&mut self, event: &TailEvent) {
        if self.room == 0 || event.bytes > EVENT_BYTES_MAX {
            self.skipped += 1;
            return;
        }
        let hit = json!({ "id": event.id, "index": event.index, "source": event.source });
        if self.out.try_send(frame("hit", &hit)).is_ok() {
            self.room -= 1;
        } else {
            self.skipped += 1;
        }
    }

    fn refresh(&mut self) {
        self.room = HITS_PER_TICK;
        if self.skipped > 0 && self.out.try_send(frame("skipped", &json!({ "count": self.skipped }))).is_ok() {
            self.skipped = 0;
        }
    }

    fn write(&self, frame: Bytes) {
        // A browser that is too slow even for this gets it next time.
        let _ = self.out.try_send(frame);
    }
}

/// One server-sent event; JSON has no line breaks of its own.
fn frame(event: &str, data: &Value) -> Bytes {
    format!("event: {event}\ndata: {data}\n\n").into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use logmill_indexer_api::kql;

    fn event(index: &str, source: Value) -> TailEvent {
        TailEvent { id: "0-1".to_owned(), index: index.to_owned(), bytes: 10, source }
    }

    #[test]
    fn a_watcher_sees_what_its_query_and_its_indices_say() {
        let viewing = Viewing::new(&kql::parse("log.level: error").unwrap(), "logs-*,-logs-noise-*");
        let bad = json!({"log": {"level": "error"}});
        assert!(viewing.shows(&event("logs-app-default", bad.clone())));
        assert!(viewing.shows(&event("", bad.clone())));
        assert!(!viewing.shows(&event("logs-noise-x", bad.clone())));
        assert!(!viewing.shows(&event("metrics", bad)));
        assert!(!viewing.shows(&event("logs-app-default", json!({"log": {"level": "info"}}))));
    }

    #[tokio::test]
    async fn a_flood_is_thinned_and_counted() {
        let (sender, batches) = broadcast::channel(4);
        let (out, mut shown) = mpsc::channel(256);
        let shutdown = Shutdown::new();
        let task = tokio::spawn(watch(Viewing::new(&Ast::All, "*"), Vec::new(), batches, out, shutdown.clone()));
        tokio::task::yield_now().await;
        let events = (0..500).map(|n| event("logs-a", json!({ "n": n }))).collect();
        sender.send(Arc::new(Batch::Events(events))).unwrap();
        tokio::time::sleep(TICK * 3).await;
        shutdown.trigger();
        task.await.unwrap();
        let (mut hits, mut skipped) = (0, 0);
        while let Some(bytes) = shown.recv().await {
            let text = String::from_utf8(bytes.to_vec()).unwrap();
            if text.starts_with("event: hit\n") {
                hits += 1;
            } else if let Some(data) = text.strip_prefix("event: skipped\ndata: ") {
                skipped += serde_json::from_str::<Value>(data).unwrap()["count"].as_u64().unwrap();
            }
        }
        assert!(hits >= u64::from(HITS_PER_TICK) && hits <= 3 * u64::from(HITS_PER_TICK), "{hits}");
        assert_eq!(hits + skipped, 500);
    }
}
