//! Events a second on one core, from a raw record's bytes to a parsed record's bytes: decode, steps, encode.
//! `cargo bench -p logmill-processor`; a program, not a timed test: the numbers are for people to read.

use std::hint::black_box;
use std::time::{Duration, Instant};

use logmill_processor::{Trial, raw_record};

/// Long enough for the clock's speed to settle.
const RUN: Duration = Duration::from_secs(2);
const BATCH: i64 = 1_000;

const COMBINED: &str = r#"203.0.113.195 - - [22/Nov/2026:13:10:24 +0000] "GET /shop/items/4711?ref=mail HTTP/1.1" 200 5316 "https://www.example.com/start" "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0""#;
const JAVA: &str = "2026-11-22 12:00:00,123 ERROR [http-nio-8080-exec-7] org.example.shop.CartService - could not load cart 4711 for user ann";
const JSON: &str = r#"{"ts":"2026-11-22T12:00:00.123Z","level":"info","logger":"shop.cart","msg":"item added","cart":4711,"user_id":"ann","took_ms":12.5,"tags":["a","b"]}"#;
const SYSLOG: &str = "<34>1 2026-11-22T12:00:00.123456Z web-1 sshd 7741 - - Failed password for invalid user admin from 203.0.113.9 port 53122 ssh2";
const LOGFMT: &str =
    r#"time=2026-11-22T12:00:00Z level=info msg="request done" method=GET path=/shop status=200 took=5.25 user=ann"#;
const PLAIN: &str = "the quick brown fox jumps over the lazy dog, again and again, until the line is long enough";

const GROK: &str = "steps: [{grok: {patterns: ['^%{HTTPD_COMBINEDLOG}$']}}]";
const GROK_UNANCHORED: &str = "steps: [{grok: {patterns: ['%{COMBINEDAPACHELOG}']}}]";
const GROK_MISS: &str = "steps: [{grok: {patterns: ['^%{SYSLOGLINE}$']}}]";
const GROK_JAVA: &str = "steps: [{grok: {patterns: ['^%{TIMESTAMP_ISO8601:timestamp} %{LOGLEVEL:log.level} +\\[%{DATA:thread}\\] %{JAVACLASS:log.logger} - %{GREEDYDATA:msg}$']}}]";
const DISSECT: &str = "steps: [{dissect: {pattern: '%{ts} %{+ts} %{log.level} [%{thread}] %{log.logger} - %{msg}'}}]";
const NGINX: &str = r#"
steps:
- switch:
  - if: .log.file.path == "/var/log/app/current.log"
    steps:
    - grok: {patterns: ['^%{HTTPD_COMBINEDLOG}$']}
    - date: {field: timestamp, formats: ['dd/MMM/yyyy:HH:mm:ss Z']}
    - remove: {fields: [timestamp]}
    - drop: {if: .url.original == "/healthz"}
out: [{topic: logs.parsed, index: 'logs-{service.name}-default'}]
"#;

fn main() {
    let cases: [(&str, Option<&str>, &str); 13] = [
        ("no steps, plain text", Some("id: none"), PLAIN),
        ("grok, combined", Some(GROK), COMBINED),
        ("grok, combined, no anchor", Some(GROK_UNANCHORED), COMBINED),
        ("grok, java", Some(GROK_JAVA), JAVA),
        ("grok, no match", Some(GROK_MISS), COMBINED),
        ("dissect, java", Some(DISSECT), JAVA),
        ("nginx pipeline", Some(NGINX), COMBINED),
        ("auto, combined", None, COMBINED),
        ("auto, java", None, JAVA),
        ("auto, JSON", None, JSON),
        ("auto, syslog", None, SYSLOG),
        ("auto, logfmt", None, LOGFMT),
        ("auto, plain text", None, PLAIN),
    ];
    for (name, yaml, line) in cases {
        let event = serde_json::json!({
            "@timestamp": "2026-11-22T13:10:25.017Z", "message": line,
            "log": {"file": {"path": "/var/log/app/current.log"}, "offset": 1_000_000},
            "host": {"name": "web-1"}, "agent": {"type": "logmill", "version": "0.1.0"}, "input": {"type": "filestream"},
        });
        let value = serde_json::to_vec(&event).unwrap_or_default();
        let messages: Vec<_> = (0..BATCH).map(|offset| raw_record(&value, offset)).collect();
        let mut trial = match yaml.map_or_else(|| Trial::load(None), Trial::parse) {
            Ok(trial) => trial,
            Err(problem) => {
                report(&format!("{name}: {problem}"));
                continue;
            }
        };
        black_box(trial.run_batch(&messages));
        let (begun, mut events) = (Instant::now(), 0u64);
        while begun.elapsed() < RUN {
            events += black_box(trial.run_batch(&messages)).len() as u64;
        }
        let seconds = begun.elapsed().as_secs_f64();
        let rate = events as f64 / seconds;
        let size = value.len() as f64;
        report(&format!("{name:28} {rate:>10.0} events/s {:>7.2} µs {:>7.1} MB/s", 1e6 / rate, rate * size / 1e6));
    }
}

#[allow(clippy::print_stdout)]
fn report(line: &str) {
    println!("{line}");
}
