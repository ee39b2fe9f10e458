//! Rules from the first look to the receiver, over restarts and failures.

use std::sync::Arc;

use logmill_core::{Shutdown, StatusBoard};
use serde_json::{Value, json};

use super::rule::tests::rule;
use super::*;
use crate::config::Config;
use crate::database::{Database, now_ms, rfc3339};
use crate::indexer::Indexer;
use crate::testing::{Engine, Inbox};

struct Bench {
    folder: tempfile::TempDir,
    engine: Arc<Engine>,
    engine_url: String,
    inbox: Arc<Inbox>,
    hook: String,
    db: Database,
    bells: Arc<Bells>,
    board: Arc<StatusBoard>,
    sender: Arc<Sender>,
}

impl Bench {
    async fn new() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        let (engine, engine_url) = Engine::start().await;
        let (inbox, hook) = Inbox::start().await;
        let db = Database::open(&folder.path().join("d.db")).unwrap();
        let sender = Arc::new(Sender::new(AllowList::parse(["127.0.0.0/8"].into_iter()).unwrap()));
        let (bells, board) = (Arc::default(), Arc::new(StatusBoard::new("dashboard")));
        Self { folder, engine, engine_url, inbox, hook, db, bells, board, sender }
    }

    /// As after a crash: everything in memory is gone.
    fn restart(&mut self) {
        self.db = Database::open(&self.folder.path().join("d.db")).unwrap();
        self.bells = Arc::default();
    }

    async fn add(&self, kind: &str) -> (i64, String) {
        let mut rule = rule(kind);
        rule.webhook.url = self.hook.clone();
        let (view, secret) = self.db.call(|db| add_rule(db, rule, now_ms())).await.unwrap().unwrap();
        (view.rule.id.unwrap(), secret)
    }

    /// One look at `second`, when `count` events are there.
    async fn look(&self, id: i64, second: i64, count: u64) {
        let base = now_ms() / 100_000 * 100_000 - 1_000_000;
        *self.engine.freshness.lock() = json!({ "indexed_up_to": rfc3339(base + second * 1000), "behind": 0 });
        *self.engine.count.lock() = count;
        let indexer = Indexer::new(logmill_indexer_api::Client::new(&self.engine_url).unwrap());
        let (db, bells, board) = (self.db.clone(), self.bells.clone(), self.board.clone());
        let evaluator = Evaluator::new(db, indexer, bells, board, &Config::default(), "http://dash");
        evaluator.evaluate(id).await;
    }

    async fn log(&self) -> Vec<Delivery> {
        self.db.read(|db| deliveries(db, None)).await.unwrap()
    }

    async fn state(&self, id: i64) -> Value {
        let view = self.db.read(move |db| super::rule(db, id)).await.unwrap().unwrap();
        serde_json::to_value(view).unwrap()["state"].clone()
    }

    /// Lets the queue run until nothing is due and nothing is under way (leased for a minute).
    async fn deliver(&self) {
        let (db, sender, bells, board) = (self.db.clone(), self.sender.clone(), self.bells.clone(), self.board.clone());
        let shutdown = Shutdown::new();
        let task = tokio::spawn(deliver_all(db, sender, bells, board, shutdown.clone()));
        let open = "SELECT count(*) FROM deliveries WHERE status = 'pending'
                    AND (next_attempt_at <= ?1 OR next_attempt_at BETWEEN ?1 + 10000 AND ?1 + 61000)";
        for _ in 0..1000 {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            let left: i64 =
                self.db.read(move |db| Ok(db.query_row(open, [now_ms()], |row| row.get(0))?)).await.unwrap();
            if left == 0 {
                break;
            }
        }
        shutdown.trigger();
        task.await.unwrap();
    }

    /// Makes what waits for its next attempt due now.
    async fn make_due(&self) {
        let all = "UPDATE deliveries SET next_attempt_at = 0 WHERE status = 'pending'";
        self.db.call(move |db| Ok(db.execute(all, []).map(drop)?)).await.unwrap();
    }
}

#[tokio::test]
async fn a_threshold_rule_fires_a_signed_message_and_resolves() {
    let bench = Bench::new().await;
    let (id, secret) = bench.add("threshold").await;
    for (second, count) in [(0, 1), (5, 9), (10, 9), (15, 0), (20, 0)] {
        bench.look(id, second, count).await;
    }
    let log = bench.log().await;
    let events: Vec<_> = log.iter().rev().map(|delivery| delivery.event.as_str()).collect();
    assert_eq!(events, ["alert.firing", "alert.resolved"]);
    bench.deliver().await;
    assert!(bench.log().await.iter().all(|delivery| delivery.status == "delivered"));
    let place = bench.inbox.got.lock().iter().position(|(_, body)| body.contains("alert.firing")).unwrap();
    let body = bench.inbox.got.lock()[place].1.clone();
    let (msg, at) = (bench.inbox.header(place, "webhook-id"), bench.inbox.header(place, "webhook-timestamp"));
    let expected = sign::signature(&secret, &msg, at.parse().unwrap(), &body).unwrap();
    assert_eq!(bench.inbox.header(place, "webhook-signature"), expected);
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((&body["data"]["value"], &body["data"]["threshold"]["op"]), (&json!(9), &json!(">")));
    assert!(body["data"]["url"].as_str().unwrap().starts_with("http://dash/?q=log.level%3A+error&from="), "{body}");
}

#[tokio::test]
async fn a_match_rule_counts_what_is_new_late_events_included() {
    let bench = Bench::new().await;
    let (id, _) = bench.add("match").await;
    // What was there before the rule is no news.
    bench.look(id, 0, 40).await;
    bench.look(id, 5, 40).await;
    assert!(bench.log().await.is_empty());
    bench.look(id, 10, 43).await;
    let log = bench.log().await;
    assert_eq!((log.len(), log[0].event.as_str(), &log[0].body["data"]["count"]), (1, "alert.firing", &json!(3)));
    assert_eq!(bench.state(id).await["status"], "firing");
    bench.look(id, 15, 50).await;
    assert_eq!(bench.log().await.len(), 1, "it says so once");
}

#[tokio::test]
async fn nothing_is_evaluated_twice_up_to_the_same_watermark() {
    let bench = Bench::new().await;
    let (id, _) = bench.add("threshold").await;
    bench.look(id, 5, 1).await;
    let asked = bench.engine.asked.lock().len();
    bench.look(id, 5, 9).await;
    bench.look(id, 4, 9).await;
    assert_eq!(bench.engine.asked.lock().len(), asked);
}

#[tokio::test]
async fn a_restart_neither_floods_nor_forgets() {
    let mut bench = Bench::new().await;
    let (id, _) = bench.add("threshold").await;
    bench.inbox.answers.lock().extend([500, 302]);
    bench.look(id, 5, 9).await;
    bench.restart();
    bench.look(id, 10, 9).await;
    assert_eq!(bench.log().await.len(), 1, "it was firing before");
    bench.deliver().await;
    let log = bench.log().await;
    assert_eq!((log[0].status.as_str(), log[0].attempts.len()), ("pending", 1));
    assert_eq!(log[0].attempts[0].status, Some(500));
    // Redirects are not followed: they are failures too.
    for tries in 2..=3 {
        bench.restart();
        bench.make_due().await;
        bench.deliver().await;
        assert_eq!(bench.log().await[0].attempts.len(), tries);
    }
    assert_eq!(bench.log().await[0].status, "delivered");
    let ids: Vec<_> = (0..3).map(|place| bench.inbox.header(place, "webhook-id")).collect();
    assert!(ids.iter().all(|id| *id == log[0].id), "{ids:?}");
}

#[tokio::test]
async fn a_receiver_that_is_gone_switches_the_rule_off() {
    let bench = Bench::new().await;
    let (id, _) = bench.add("threshold").await;
    bench.inbox.answers.lock().push_back(410);
    bench.look(id, 5, 9).await;
    bench.deliver().await;
    let log = bench.log().await;
    assert_eq!((log[0].status.as_str(), &log[0].next_attempt_at), ("failed", &None));
    let state = bench.state(id).await;
    assert_eq!(state["status"], "paused");
    assert!(state["error"].as_str().unwrap().contains("410"), "{state}");
}

#[tokio::test]
async fn internal_receivers_are_refused_at_once_and_secrets_stay_out_of_the_log() {
    let mut bench = Bench::new().await;
    let (id, secret) = bench.add("threshold").await;
    let trial = bench.db.call(move |db| queue_test(db, id, "http://dash", now_ms())).await.unwrap().unwrap();
    let sent = deliver_one(&bench.db, &bench.sender, &bench.bells, &bench.board, &trial).await.unwrap().unwrap();
    assert_eq!((sent.status.as_str(), sent.event.as_str()), ("delivered", "alert.test"));
    assert!(!serde_json::to_string(&sent).unwrap().contains(&secret));
    bench.sender = Arc::new(Sender::new(AllowList::default()));
    assert!(bench.db.call(move |db| queue_again(db, &trial, now_ms())).await.unwrap());
    bench.deliver().await;
    let log = bench.log().await;
    assert_eq!((log[0].status.as_str(), log[0].attempts.len()), ("failed", 2));
    assert!(log[0].attempts[1].error.as_ref().unwrap().contains("allow_internal"));
}

#[tokio::test]
async fn an_engine_that_is_away_is_an_error_of_the_rule_and_heals() {
    let mut bench = Bench::new().await;
    let (id, _) = bench.add("threshold").await;
    bench.look(id, 5, 9).await;
    let url = std::mem::replace(&mut bench.engine_url, "http://127.0.0.1:1".to_owned());
    bench.look(id, 10, 9).await;
    let state = bench.state(id).await;
    assert_eq!(state["status"], "error");
    assert!(state["error"].as_str().unwrap().contains("127.0.0.1:1"), "{state}");
    bench.engine_url = url;
    bench.look(id, 15, 9).await;
    assert_eq!(bench.state(id).await["status"], "firing");
    assert_eq!(bench.log().await.len(), 1);
}

#[tokio::test]
async fn changing_what_is_counted_begins_anew_and_changing_the_name_does_not() {
    let bench = Bench::new().await;
    let (id, secret) = bench.add("threshold").await;
    bench.look(id, 5, 9).await;
    let mut renamed = rule("threshold");
    renamed.name = "other".to_owned();
    renamed.webhook.url = bench.hook.clone();
    let mut narrowed = renamed.clone();
    narrowed.scope.query = "log.level: fatal".to_owned();
    bench.db.call(move |db| replace_rule(db, id, renamed, now_ms())).await.unwrap();
    assert_eq!(bench.state(id).await["status"], "firing");
    bench.db.call(move |db| replace_rule(db, id, narrowed, now_ms())).await.unwrap();
    assert_eq!(bench.state(id).await["status"], "normal");
    bench.deliver().await;
    let (msg, at) = (bench.inbox.header(0, "webhook-id"), bench.inbox.header(0, "webhook-timestamp"));
    let body = bench.inbox.got.lock()[0].1.clone();
    let expected = sign::signature(&secret, &msg, at.parse().unwrap(), &body).unwrap();
    assert_eq!(bench.inbox.header(0, "webhook-signature"), expected, "the secret stayed");
}
