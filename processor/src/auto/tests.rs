//! Handwritten lines of many kinds, and what becomes of them.

use super::*;
use proptest::prelude::*;
use serde_json::json;

fn recognised_in(event: Value) -> Value {
    let mut event = Event::from_value(event).expect("an object");
    let auto = Auto { zone: Zone::Fixed(0), keep_original: false };
    auto.recognise(&mut event, "2026-11-22T13:10:24Z".parse().expect("a time"));
    Value::Object(event.0)
}

fn line(text: &str) -> Value {
    recognised_in(json!({"message": text}))
}

/// Checks `@timestamp`, `log.level`, `message`; an empty expectation means "not there".
fn check(text: &str, time: &str, level: &str, message: &str) -> Value {
    let event = line(text);
    assert_eq!(event["@timestamp"].as_str().unwrap_or_default(), time, "{text}: {event}");
    assert_eq!(event["log"]["level"].as_str().unwrap_or_default(), level, "{text}: {event}");
    assert_eq!(event["message"].as_str().unwrap_or_default(), message, "{text}: {event}");
    event
}

#[test]
fn json_lines() {
    let text =
        r#"{"ts":"2026-11-22T12:00:00.5Z","level":"WARNING","msg":"slow","took":7,"http.status":500,"host":"x"}"#;
    let event = recognised_in(json!({"message": text, "host": {"name": "web-1"}}));
    let expected = json!({
        "message": "slow", "host": {"name": "web-1"}, "@timestamp": "2026-11-22T12:00:00.500Z",
        "log": {"level": "warn"}, "took": 7, "http": {"status": 500}, "json": {"host": "x"},
    });
    assert_eq!(event, expected);

    let text = r#"{"time":1795353024123,"level":50,"msg":"x","pid":7,"service":"shop","err":"no","log":{"file":{"path":"b"}}}"#;
    let event = recognised_in(json!({"message": text, "log": {"file": {"path": "a"}}}));
    assert_eq!(event["@timestamp"], "2026-11-22T13:10:24.123Z");
    assert_eq!(event["log"], json!({"file": {"path": "a"}, "level": "error"}));
    assert_eq!(event["json"], json!({"log": {"file": {"path": "b"}}}));
    assert_eq!((&event["service"]["name"], &event["error"]["message"]), (&json!("shop"), &json!("no")));

    let event = line(r#"{"@timestamp":"soon","a":1}"#);
    assert_eq!(event, json!({"message": r#"{"@timestamp":"soon","a":1}"#, "a": 1, "json": {"@timestamp": "soon"}}));
    let broken = r#"{"a":1"#;
    assert_eq!(line(broken), json!({"message": broken}));
    assert_eq!(
        recognised_in(json!({"msg": "direct", "level": "info"})),
        json!({"message": "direct", "log": {"level": "info"}})
    );
    let ecs = line(r#"{"@timestamp":"2026-11-22T12:00:00Z","log.level":"ERROR","message":"m","log.logger":"a.B"}"#);
    assert_eq!(ecs["log"], json!({"level": "error", "logger": "a.B"}));
}

#[test]
fn containers_hold_lines_of_other_kinds() {
    let text = r#"{"log":"{\"level\":\"error\",\"msg\":\"inner\"}\n","stream":"stderr","time":"2026-11-22T12:00:00Z"}"#;
    let event = check(text, "2026-11-22T12:00:00.000Z", "error", "inner");
    assert_eq!(event["stream"], "stderr");
}

#[test]
fn logfmt_lines() {
    let text = r#"time=2026-11-22T12:00:00Z level=info msg="it works" took=5 version=1.10 ok=true"#;
    let event = check(text, "2026-11-22T12:00:00.000Z", "info", "it works");
    assert_eq!((&event["took"], &event["version"], &event["ok"]), (&json!(5), &json!("1.10"), &json!(true)));
    check("just=one word", "", "", "just=one word");
    check("a=1 b=2", "", "", "a=1 b=2");
}

#[test]
fn syslog_lines() {
    let event = check(
        "<34>Nov 22 12:00:00 web su[7]: 'su root' failed",
        "2026-11-22T12:00:00.000Z",
        "critical",
        "'su root' failed",
    );
    assert_eq!(event["process"], json!({"name": "su", "pid": 7}));
    let syslog = json!({"hostname": "web", "priority": 34, "facility": {"code": 4}, "severity": {"code": 2}});
    assert_eq!(event["log"]["syslog"], syslog);

    let text = r#"<165>1 2026-11-22T12:00:00.003Z host app 12 ID47 [x@1 a="b\"c" d="e"][y] the text"#;
    let event = check(text, "2026-11-22T12:00:00.003Z", "notice", "the text");
    assert_eq!(event["log"]["syslog"]["structured_data"], json!({"x@1": {"a": "b\"c", "d": "e"}, "y": {}}));
    assert_eq!(event["log"]["syslog"]["msgid"], "ID47");
    check("<14>1 - - - - - - bare", "", "info", "bare");

    let event = check(
        "Nov 22 12:00:00 web-1 sshd[77]: Failed password for root",
        "2026-11-22T12:00:00.000Z",
        "",
        "Failed password for root",
    );
    assert_eq!(event["host"], json!({"hostname": "web-1"}));
    check(
        "2026-11-22T12:00:00.123456+01:00 web cron[9]: (root) CMD (x)",
        "2026-11-22T11:00:00.123456Z",
        "",
        "(root) CMD (x)",
    );
    check("Dec 31 23:59:59 web kernel: [1.2] eth0 up", "2025-12-31T23:59:59.000Z", "", "[1.2] eth0 up");
    check("<999>not syslog", "", "", "<999>not syslog");
    check("<14>Nov 22 12:00:00 h app: {\"level\":\"warn\",\"msg\":\"m\"}", "2026-11-22T12:00:00.000Z", "warn", "m");
}

#[test]
fn access_lines() {
    let text = r#"10.0.0.7 - ann [22/Nov/2026:13:00:00 +0100] "GET /a?b=1 HTTP/1.1" 503 12 "-" "curl/8 \"x\"""#;
    let event = check(text, "2026-11-22T12:00:00.000Z", "error", text);
    let expected = json!({
        "version": "1.1", "request": {"method": "GET"}, "response": {"status_code": 503, "body": {"bytes": 12}},
    });
    assert_eq!(event["http"], expected);
    assert_eq!(event["source"], json!({"address": "10.0.0.7", "ip": "10.0.0.7"}));
    assert_eq!(event["url"], json!({"original": "/a?b=1", "path": "/a"}));
    assert_eq!(event["user_agent"]["original"], "curl/8 \\\"x\\\"");
    assert_eq!((&event["event"]["dataset"], &event["user"]["name"]), (&json!("access"), &json!("ann")));
    let common = r#"shop.example:443 host.example - - [22/Nov/2026:12:00:00 +0000] "\x16\x03" 400 -"#;
    let event = check(common, "2026-11-22T12:00:00.000Z", "warn", common);
    assert_eq!(event["url"]["domain"], "shop.example");
    check("1 2 3 [not a date] \"x\" 200 5", "", "", "1 2 3 [not a date] \"x\" 200 5");
}

#[test]
fn lines_with_a_time_and_a_level() {
    let noon = "2026-11-22T12:00:00.000Z";
    let noon_ms = "2026-11-22T12:00:00.123Z";
    let event = check("2026-11-22 12:00:00,123 ERROR [main] org.example.App - no luck", noon_ms, "error", "no luck");
    assert_eq!(
        (&event["process"]["thread"]["name"], &event["log"]["logger"]),
        (&json!("main"), &json!("org.example.App"))
    );
    let event = check("2026-11-22 12:00:00,123 - shop.cart - WARNING - too slow", noon_ms, "warn", "too slow");
    assert_eq!(event["log"]["logger"], "shop.cart");
    let event = check(
        "2026-11-22T12:00:00.123Z  INFO 77 --- [  main] o.s.Boot   : Started App",
        noon_ms,
        "info",
        "Started App",
    );
    assert_eq!((&event["process"]["pid"], &event["log"]["logger"]), (&json!(77), &json!("o.s.Boot")));
    check("[2026-11-22 12:00:00] production.ERROR: x", noon, "", "[2026-11-22 12:00:00] production.ERROR: x");
    check("[2026-11-22 12:00:00,123] INFO Starting (kafka.Server)", noon_ms, "info", "Starting (kafka.Server)");
    check("2026/11/22 12:00:00 [error] 31#31: *7 open() failed", noon, "error", "31#31: *7 open() failed");
    check("2026/11/22 12:00:00 listening on :80", noon, "", "2026/11/22 12:00:00 listening on :80");
    check("2026-11-22T12:00:00.123Z DEBUG app::db: connected", noon_ms, "debug", "app::db: connected");
    check("26/11/22 12:00:00 INFO Executor: Finished", noon, "info", "Executor: Finished");
    check("22-Nov-2026 12:00:00.123 SEVERE [main] org.Start.start Failed", noon_ms, "error", "org.Start.start Failed");
    check("[Sun Nov 22 12:00:00 2026] [error] [client 1.2.3.4] File missing", noon, "error", "File missing");
    check("Sun Nov 22 12:00:00 2026 WARN x", noon, "warn", "x");
    check("E1122 12:00:00.123456   77 server.go:12] no luck", "2026-11-22T12:00:00.123456Z", "error", "no luck");
    check("1795348800.123 ERROR late", noon_ms, "error", "late");
    check("12:00:00.123 [main] INFO  a.B - up", "", "info", "up");
    check("ERROR: disk is full", "", "error", "ERROR: disk is full");
    check("[WARN] careful", "", "warn", "[WARN] careful");
    check("Error while reading", "", "", "Error while reading");
    check("INFORMATION wants to be free", "", "info", "INFORMATION wants to be free");
    check("\u{1b}[2m2026-11-22T12:00:00.123Z\u{1b}[0m \u{1b}[32m INFO\u{1b}[0m up", noon_ms, "info", "up");
}

#[test]
fn text_stays_as_it_is() {
    for text in ["", " ", "hello world", "[", "<", "{", "12", "2026-11-22", "a: b: c", "ü", "at [x] \"y\" 1"] {
        assert_eq!(line(text), json!({"message": text}));
    }
    assert_eq!(recognised_in(json!({"message": 5})), json!({"message": 5}));
    assert_eq!(recognised_in(json!({"a": 1})), json!({"a": 1}));
}

#[test]
fn stack_traces() {
    let text = "2026-11-22 12:00:00,123 ERROR [main] a.B - failed\njava.lang.IllegalStateException: no state\n\tat a.B.c(B.java:1)\nCaused by: x.Y: z\n\tat d";
    let event = line(text);
    assert_eq!(event["error"]["type"], "java.lang.IllegalStateException");
    assert_eq!(event["error"]["message"], "no state");
    let trace = event["error"]["stack_trace"].as_str().unwrap_or_default();
    assert!(trace.starts_with("java.lang.Ill") && trace.ends_with("at d"), "{trace}");
    assert!(event["message"].as_str().is_some_and(|message| message.starts_with("failed\njava.lang")), "{event}");

    let text =
        "ERROR x\nTraceback (most recent call last):\n  File \"a.py\", line 1, in f\n    g()\nValueError: bad: 5";
    assert_eq!(line(text)["error"]["type"], "ValueError");
    assert_eq!(line(text)["error"]["message"], "bad: 5");
    let text = "panic: nil map\n\ngoroutine 1 [running]:\nmain.main()\n\t/x.go:5";
    assert_eq!(line(text)["error"]["message"], "nil map");
    assert_eq!(line("two\nlines")["error"], Value::Null);
}

#[test]
fn the_original_is_kept_on_demand() {
    let auto = Auto { zone: Zone::Fixed(0), keep_original: true };
    let text = r#"{"msg":"short"}"#;
    let mut event = Event::from_value(json!({"message": text})).expect("an object");
    auto.recognise(&mut event, Timestamp::default());
    assert_eq!(Value::Object(event.0), json!({"message": "short", "event": {"original": text}}));
}

proptest! {
    #[test]
    fn any_text_is_survived(text: String) {
        line(&text);
    }

    #[test]
    fn damaged_lines_are_survived(
        text in prop::sample::select(vec![
            "<34>1 2026-11-22T12:00:00Z h a 1 ID [x a=\"b\"] text", "Nov 22 12:00:00 web sshd[7]: x",
            "1.2.3.4 - - [22/Nov/2026:13:00:00 +0100] \"GET / HTTP/1.1\" 200 5 \"-\" \"x\"",
            "2026-11-22 12:00:00,123 ERROR [main] a.B - x", "a=1 b=\"x\\\"\" c", "E1122 12:00:00.1 7 a.go:1] x",
            "{\"level\":\"info\",\"msg\":\"x\",\"time\":1}", "x.Error: y\n\tat z",
        ]),
        cut in 0usize..80, insert in "[ -~ü\n]{0,4}",
    ) {
        let mut damaged: String = text.chars().take(cut).collect();
        damaged.push_str(&insert);
        damaged.extend(text.chars().skip(cut + 1));
        line(&damaged);
    }
}
