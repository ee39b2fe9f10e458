//! The API as a browser meets it: through the router, cookies and all.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use logmill_bus_client::Connection;
use logmill_core::Stage;
use logmill_core::telemetry::Metrics;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::*;
use crate::service::Service;
use crate::testing::{Engine, Inbox};

struct Site {
    _folder: tempfile::TempDir,
    engine: Arc<Engine>,
    app: Shared,
    router: Router,
    link: Option<String>,
}

async fn site(demo: bool) -> Site {
    let folder = tempfile::tempdir().unwrap();
    let (engine, url) = Engine::start().await;
    let config = Config { listen: "127.0.0.1:0".to_owned(), demo, ..Config::default() };
    let stage = Stage::new("dashboard", folder.path().to_owned()).unwrap();
    let bus = Connection::new(vec!["127.0.0.1:1".to_owned()], "test");
    let indexer = logmill_indexer_api::Client::new(&url).unwrap();
    let service = Service::build(config, bus, indexer, stage, Metrics::install()).await.unwrap();
    let (link, app) = (service.login_link(), service.app.clone());
    Site { _folder: folder, engine, router: router(&app), app, link }
}

impl Site {
    fn token(&self) -> String {
        self.link.as_ref().unwrap().split_once("token=").unwrap().1.to_owned()
    }
}

/// A browser: keeps cookies and the token against forged requests.
#[derive(Default)]
struct Browser {
    cookies: std::collections::BTreeMap<String, String>,
    csrf: String,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }
}

impl Browser {
    async fn send(&mut self, site: &Site, method: Method, path: &str, body: Option<Value>) -> Answer {
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, "dash");
        let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        request = request.header(header::COOKIE, cookies.join("; "));
        if !self.csrf.is_empty() {
            request = request.header("x-csrf-token", &self.csrf);
        }
        let body = match body {
            Some(body) => {
                request = request.header(header::CONTENT_TYPE, "application/json");
                Body::from(body.to_string())
            }
            None => Body::empty(),
        };
        let response = site.router.clone().oneshot(request.body(body).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        for cookie in parts.headers.get_all(header::SET_COOKIE) {
            let (name, rest) = cookie.to_str().unwrap().split_once('=').unwrap();
            let value = rest.split(';').next().unwrap();
            assert!(rest.contains("HttpOnly") && rest.contains("SameSite="), "{rest}");
            if value.is_empty() {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        let bytes = to_bytes(body, 1 << 20).await.unwrap();
        let answer =
            Answer { status: parts.status, headers: parts.headers, text: String::from_utf8(bytes.to_vec()).unwrap() };
        if let Ok(Value::String(csrf)) =
            serde_json::from_str::<Value>(&answer.text).map(|body| body.get("csrf").cloned().unwrap_or_default())
        {
            self.csrf = csrf;
        }
        answer
    }

    async fn get(&mut self, site: &Site, path: &str) -> Answer {
        self.send(site, Method::GET, path, None).await
    }

    async fn post(&mut self, site: &Site, path: &str, body: Value) -> Answer {
        self.send(site, Method::POST, path, Some(body)).await
    }

    /// A browser that is logged in by a demo's link.
    async fn in_demo(site: &Site) -> Self {
        let mut browser = Self::default();
        let answer = browser.get(site, &format!("/setup?token={}", site.token())).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER);
        browser.get(site, "/api/session").await;
        browser
    }
}

#[tokio::test]
async fn the_first_administrator_is_made_by_the_link_and_by_nothing_else() {
    let site = site(false).await;
    let mut browser = Browser::default();
    let session = browser.get(&site, "/api/session").await.json();
    assert_eq!((&session["user"], &session["setup_required"]), (&Value::Null, &json!(true)));
    let asked = |token: &str, password: &str| json!({"token": token, "name": "Ann", "password": password});
    let refused = browser.post(&site, "/api/setup", asked("guess", "long enough")).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    let short = browser.post(&site, "/api/setup", asked(&site.token(), "short")).await;
    assert_eq!(short.status, StatusCode::BAD_REQUEST);
    let page = browser.get(&site, &format!("/setup?token={}", site.token())).await;
    assert!(page.status == StatusCode::OK && page.headers[header::CONTENT_TYPE].to_str().unwrap().contains("html"));
    let made = browser.post(&site, "/api/setup", asked(&site.token(), "long enough")).await;
    assert_eq!(made.json()["user"], json!({"name": "Ann", "role": "administrator"}));
    assert_eq!(browser.get(&site, "/api/saved").await.status, StatusCode::OK);
    let again = browser.post(&site, "/api/setup", asked(&site.token(), "long enough")).await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    // No link is printed at the next start.
    assert!(site.app.auth.issue_setup_link().await.unwrap().is_none());
}

#[tokio::test]
async fn logging_out_and_in() {
    let site = site(false).await;
    let mut browser = Browser::default();
    browser.get(&site, "/api/session").await;
    let ann = json!({"name": "ann", "password": "long enough"});
    let set_up = json!({"token": site.token(), "name": "Ann", "password": "long enough"});
    browser.post(&site, "/api/setup", set_up).await;
    let session = browser.cookies["logmill_session"].clone();
    let out = browser.post(&site, "/api/logout", json!({})).await;
    assert_eq!(out.json()["user"], Value::Null);
    assert!(!browser.cookies.contains_key("logmill_session"));
    browser.cookies.insert("logmill_session".to_owned(), session);
    assert_eq!(browser.get(&site, "/api/saved").await.status, StatusCode::UNAUTHORIZED, "the session itself ended");
    browser.cookies.remove("logmill_session");
    browser.get(&site, "/api/session").await;
    let wrong = browser.post(&site, "/api/login", json!({"name": "ann", "password": "wrong"})).await;
    assert_eq!(wrong.status, StatusCode::UNAUTHORIZED);
    let right = browser.post(&site, "/api/login", ann).await;
    assert_eq!(right.json()["user"]["name"], "Ann");
    browser.post(&site, "/api/logout", json!({})).await;
    for _ in 0..8 {
        browser.post(&site, "/api/login", json!({"name": "ann", "password": "wrong"})).await;
    }
    let slowed = browser.post(&site, "/api/login", json!({"name": "ann", "password": "wrong"})).await;
    assert_eq!(slowed.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(slowed.headers.contains_key(header::RETRY_AFTER));
}

#[tokio::test]
async fn forged_requests_are_refused() {
    let site = site(true).await;
    let mut browser = Browser::in_demo(&site).await;
    let good = std::mem::take(&mut browser.csrf);
    let body = json!({"query": "", "language": "kql"});
    assert_eq!(browser.post(&site, "/api/query/check", body.clone()).await.status, StatusCode::FORBIDDEN);
    browser.csrf = "AAAA".to_owned();
    assert_eq!(browser.post(&site, "/api/query/check", body.clone()).await.status, StatusCode::FORBIDDEN);
    // Another visitor's token does not do either.
    let mut other = Browser::default();
    other.get(&site, "/api/session").await;
    browser.csrf = other.csrf;
    assert_eq!(browser.post(&site, "/api/query/check", body.clone()).await.status, StatusCode::FORBIDDEN);
    browser.csrf = good;
    assert_eq!(browser.post(&site, "/api/query/check", body).await.status, StatusCode::OK);
}

#[tokio::test]
async fn every_answer_carries_the_security_headers() {
    let site = site(true).await;
    let mut browser = Browser::default();
    for path in ["/", "/alerts", "/assets/none.js", "/api/session", "/api/none", "/healthz", "/metrics"] {
        let headers = browser.get(&site, path).await.headers;
        let policy = headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.contains("default-src 'self'") && policy.contains("frame-ancestors 'none'"), "{path}");
        assert!(!policy.contains("unsafe"), "{path}");
        assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff", "{path}");
        assert!(headers.contains_key(header::REFERRER_POLICY), "{path}");
    }
}

#[tokio::test]
async fn strangers_get_nothing_and_the_chain_is_not_ready_without_news() {
    let site = site(false).await;
    let mut stranger = Browser::default();
    stranger.get(&site, "/api/session").await;
    for path in ["fields", "saved", "alerts/rules", "alerts/deliveries", "status", "tail?scope=%7B%7D"] {
        assert_eq!(stranger.get(&site, &format!("/api/{path}")).await.status, StatusCode::UNAUTHORIZED, "{path}");
    }
    let refused = stranger.post(&site, "/api/search", json!({"from": "now-1h", "to": "now"})).await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    let health = stranger.get(&site, "/healthz").await;
    assert_eq!(health.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(health.json()["problems"].as_array().unwrap().len(), 4);
}

#[tokio::test]
async fn a_viewer_may_look_and_not_touch() {
    let site = site(true).await;
    let mut browser = Browser::in_demo(&site).await;
    let demote = "UPDATE users SET role = 'viewer'";
    site.app.db.call(move |db| Ok(db.execute(demote, []).map(drop)?)).await.unwrap();
    assert_eq!(browser.get(&site, "/api/alerts/rules").await.status, StatusCode::OK);
    let saved =
        json!({"name": "x", "scope": {"query": "", "language": "kql", "filters": [], "from": "now-1h", "to": "now"}});
    let refused = browser.post(&site, "/api/saved", saved).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert!(refused.text.contains("editor"), "{}", refused.text);
}

#[tokio::test]
async fn a_search_with_its_histogram_and_freshness() {
    let site = site(true).await;
    let mut browser = Browser::in_demo(&site).await;
    *site.engine.freshness.lock() = json!({"indexed_up_to": "2026-11-22T10:00:00Z", "behind": 3});
    site.engine.answers.lock().push_back(json!({
        "took": 4, "hits": {"total": {"value": 2, "relation": "eq"}, "hits": [
            {"_id": "a", "_index": "logs-x", "_source": {"message": "<b>"}, "sort": [1, 2], "highlight": {"message": ["<em>b</em>"]}}]},
        "aggregations": {"over_time": {"buckets": []}},
    }));
    let asked = json!({"query": "message: b", "language": "kql", "from": "now-15m", "to": "now", "buckets": 60,
        "filters": [{"field": "host.name", "op": "is", "value": "web-1"}]});
    let answer = browser.post(&site, "/api/search", asked).await.json();
    assert_eq!((&answer["total"], &answer["took_ms"]), (&json!(2), &json!(4)));
    assert_eq!(answer["hits"][0]["highlight"]["message"][0], "<em>b</em>");
    assert_eq!(answer["freshness"], json!({"indexed_up_to": "2026-11-22T10:00:00Z", "behind": 3}));
    assert_eq!(answer["histogram"]["interval_ms"], 15_000);
    assert!(answer["histogram"]["buckets"].as_array().unwrap().len() >= 60);
    let (index, sent) = site.engine.asked.lock()[0].clone();
    assert_eq!(index, "logs-*");
    assert_eq!(sent, answer["request"]["body"]);
    assert!(sent.to_string().contains("web-1"), "{sent}");
}

#[tokio::test]
async fn a_faulty_query_is_marked() {
    let site = site(true).await;
    let mut browser = Browser::in_demo(&site).await;
    let asked = json!({"query": "level: (a or", "language": "kql", "filters": [], "from": "now-15m", "to": "now"});
    for path in ["/api/search", "/api/query/check"] {
        let answer = browser.post(&site, path, asked.clone()).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
        assert!(answer.json()["error"]["span"].is_array(), "{}", answer.text);
    }
    assert!(site.engine.asked.lock().is_empty(), "the engine is not asked");
    let broken = browser.send(&site, Method::POST, "/api/search", Some(json!("text"))).await;
    assert_eq!(broken.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(broken.json()["error"]["message"].is_string());
}

#[tokio::test]
async fn exports_page_through_everything() {
    let site = site(true).await;
    let mut browser = Browser::in_demo(&site).await;
    let page = |from: u64, count: u64| {
        let hit = |n| json!({"_id": "x", "_index": "i", "_source": {"message": format!("={n}")}, "sort": [n, 0]});
        json!({"hits": {"hits": (from..from + count).map(hit).collect::<Vec<_>>()}})
    };
    let scope = "%7B%22query%22:%22%22,%22from%22:%22now-1h%22,%22to%22:%22now%22%7D";
    site.engine.answers.lock().extend([page(0, 1000), page(1000, 5)]);
    let csv = browser.get(&site, &format!("/api/export?format=csv&columns=message&scope={scope}")).await;
    assert!(csv.headers[header::CONTENT_DISPOSITION].to_str().unwrap().contains("logs.csv"));
    let lines: Vec<_> = csv.text.lines().collect();
    assert_eq!((lines.len(), lines[0], lines[1], lines[1005]), (1006, "message", "\"'=0\"", "\"'=1004\""));
    assert_eq!(site.engine.asked.lock()[1].1["search_after"], json!([999, 0]));
    site.engine.answers.lock().push_back(page(0, 2));
    let ndjson = browser.get(&site, &format!("/api/export?format=ndjson&scope={scope}")).await;
    assert_eq!(ndjson.text, "{\"message\":\"=0\"}\n{\"message\":\"=1\"}\n");
}

#[tokio::test]
async fn rules_and_saved_searches_are_kept() {
    let site = site(true).await;
    let mut browser = Browser::in_demo(&site).await;
    let (inbox, hook) = Inbox::start().await;
    let mut rule = json!({
        "name": "errors", "enabled": true, "type": "threshold",
        "scope": {"query": "log.level: error", "language": "kql", "filters": []},
        "window_s": 60, "every_s": 5, "threshold": {"op": ">", "value": 3}, "webhook": {"url": hook},
    });
    let made = browser.post(&site, "/api/alerts/rules", rule.clone()).await;
    assert_eq!(made.status, StatusCode::CREATED);
    let (id, secret) = (made.json()["rule"]["id"].clone(), made.json()["secret"].as_str().unwrap().to_owned());
    assert_eq!(made.json()["rule"]["state"]["status"], "normal");
    let listed = browser.get(&site, "/api/alerts/rules").await;
    assert!(!listed.text.contains(&secret) && listed.json()[0]["webhook"]["has_secret"] == json!(true));
    let tested = browser.post(&site, &format!("/api/alerts/rules/{id}/test"), json!({})).await.json();
    assert_eq!((&tested["status"], tested["attempts"].as_array().unwrap().len()), (&json!("delivered"), 1));
    assert_eq!(inbox.got.lock().len(), 1);
    let resend = format!("/api/alerts/deliveries/{}/resend", tested["id"].as_str().unwrap());
    let resent = browser.post(&site, &resend, json!({})).await;
    assert_eq!(resent.json()["attempts"].as_array().unwrap().len(), 2);
    rule["webhook"]["url"] = json!("http://169.254.169.254/");
    let refused = browser.post(&site, "/api/alerts/rules", rule).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    let gone = browser.send(&site, Method::DELETE, &format!("/api/alerts/rules/{id}"), None).await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT);
    assert_eq!(browser.get(&site, &format!("/api/alerts/rules/{id}")).await.status, StatusCode::NOT_FOUND);

    let search = json!({"name": " mine ", "columns": ["a"],
        "scope": {"query": "x", "language": "lucene", "filters": [], "from": "now-1h", "to": "now"}});
    let kept = browser.post(&site, "/api/saved", search).await.json();
    assert_eq!(kept["name"], "mine");
    assert_eq!(browser.get(&site, "/api/saved").await.json(), json!([kept]));
    let gone = browser.send(&site, Method::DELETE, &format!("/api/saved/{}", kept["id"]), None).await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT);
    assert_eq!(browser.get(&site, "/api/saved").await.json(), json!([]));
}

#[tokio::test]
async fn a_demos_link_logs_in_again_and_again() {
    let site = site(true).await;
    for _ in 0..2 {
        let mut browser = Browser::in_demo(&site).await;
        let session = browser.get(&site, "/api/session").await.json();
        assert_eq!(session["user"], json!({"name": "demo", "role": "administrator"}));
        assert_eq!(session["demo"], json!(true));
    }
    let mut guesser = Browser::default();
    assert_eq!(guesser.get(&site, "/setup?token=guess").await.status, StatusCode::OK, "the page, and no session");
    assert!(!guesser.cookies.contains_key("logmill_session"));
}
