//! Whole pipelines on whole events.

use super::*;
use jiff::Timestamp;
use logmill_core::config::load_str;
use serde_json::{Value, json};

fn pipeline(yaml: &str) -> Pipeline {
    let config: PipelineConfig = load_str("test.yml", yaml).unwrap_or_else(|error| panic!("{error}"));
    config.compile("test").unwrap_or_else(|problems| panic!("{problems:?}"))
}

fn run(yaml: &str, event: Value) -> (End, Value, Vec<Route>) {
    let mut event = Event::from_value(event).expect("an object");
    let mut scene = Scene::at("2026-11-22T13:10:24Z".parse().expect("a time"));
    let (end, routes) = pipeline(yaml).run(&mut event, &mut scene, &mut Tallies::default());
    (end, Value::Object(event.0), routes)
}

const WEB: &str = r#"
id: web
on_error: {to: logs.dead-letter}
steps:
- switch:
  - if: .log.source == "nginx"
    steps:
    - grok: {field: message, patterns: ['^%{HTTPD_COMBINEDLOG}$'], on_error: {tag: _grokparsefailure}}
    - date: {field: timestamp, formats: ['dd/MMM/yyyy:HH:mm:ss Z'], if: exists(.timestamp)}
    - remove: {fields: [timestamp]}
    - drop: {if: .url.original == "/healthz"}
  - if: .log.source == "java"
    steps:
    - dissect: {pattern: '%{ts} %{+ts} %{log.level} [%{thread}] %{log.logger} - %{msg}'}
  - else: true
    steps:
    - json: {into: app, on_error: {steps: [{set: {field: kind, value: plain}}]}}
- lowercase: {field: log.level, ignore_missing: true}
out:
- {if: '.log.level in ["error", "fatal"]', topic: logs.errors, index: errors, continue: true}
- {topic: logs.parsed, index: 'logs-{service.name}-default', key: .host.name}
"#;

#[test]
fn branches_steps_and_routes() {
    let line = r#"1.2.3.4 - - [22/Nov/2026:14:10:24 +0100] "GET /x HTTP/1.1" 200 5 "-" "curl""#;
    let (end, event, routes) = run(
        WEB,
        json!({"message": line, "log": {"source": "nginx"}, "host": {"name": "web-1"}, "service": {"name": "Shop"}}),
    );
    assert!(matches!(end, End::Done), "{end:?}");
    assert_eq!(event["@timestamp"], "2026-11-22T13:10:24.000Z");
    assert_eq!(event["http"]["response"]["status_code"], 200);
    let route = Route { topic: "logs.parsed".into(), index: "logs-shop-default".into(), key: Some("web-1".into()) };
    assert_eq!(routes, [route]);

    let health = line.replace("/x", "/healthz");
    let (end, ..) = run(WEB, json!({"message": health, "log": {"source": "nginx"}}));
    assert!(matches!(end, End::Dropped), "{end:?}");

    let java = "2026-11-22 13:10:24,1 ERROR [main] org.App - no luck";
    let (_, event, routes) = run(WEB, json!({"message": java, "log": {"source": "java"}}));
    assert_eq!(event["log"]["level"], "error");
    let topics: Vec<_> = routes.iter().map(|route| (&*route.topic, route.index.as_str())).collect();
    assert_eq!(topics, [("logs.errors", "errors"), ("logs.parsed", "logs-generic-default")]);
}

#[test]
fn failures_tag_or_become_dead_letters_or_run_steps() {
    let (end, event, _) = run(WEB, json!({"message": "?", "log": {"source": "nginx"}}));
    assert!(matches!(end, End::Done), "{end:?}");
    assert_eq!(event["tags"], json!(["_grokparsefailure"]));
    let (end, ..) = run(WEB, json!({"message": "?", "log": {"source": "java"}}));
    let End::Dead(dead) = end else { panic!("{end:?}") };
    assert_eq!((&*dead.to, dead.step.as_str()), ("logs.dead-letter", "steps.0.switch.1.steps.0.dissect"));
    let (_, event, _) = run(WEB, json!({"message": "{"}));
    assert_eq!(event["kind"], "plain");
    let (_, event, _) = run("steps: [{json: {}}, {date: {field: t, formats: [UNIX]}}]", json!({"message": "{"}));
    assert_eq!(event["tags"], json!(["_jsonparsefailure", "_dateparsefailure"]));
}

#[test]
fn events_that_no_entry_takes_still_go_somewhere() {
    let (_, _, routes) = run("out: [{if: .a == 1, topic: x}]", json!({"a": 2, "event": {"dataset": "nginx.access"}}));
    let route = Route { topic: "logs.parsed".into(), index: "logs-nginx.access-default".into(), key: None };
    assert_eq!(routes, [route]);
}

#[test]
fn steps_are_counted() {
    let pipeline = pipeline("steps: [{json: {tag: reader}}]");
    let (mut scene, mut tallies) = (Scene::at(Timestamp::default()), Tallies::default());
    for message in ["{}", "{", "5"] {
        let mut event = Event::from_value(json!({"message": message})).expect("an object");
        pipeline.run(&mut event, &mut scene, &mut tallies);
    }
    pipeline.settle(&mut tallies);
    let meter = &pipeline.meters[0];
    let counts = [&meter.entered, &meter.left, &meter.failed].map(|count| count.load(Ordering::Relaxed));
    assert_eq!((meter.name.as_str(), counts), ("reader", [3, 2, 1]));
}
