//! Standard patterns on the lines they are for, and the fast paths held against a backtracking engine.

use std::collections::BTreeMap;

use super::engine::for_backtracking;
use super::patterns::Definitions;
use super::translate::expand;
use super::*;
use logmill_core::Event;
use proptest::prelude::*;
use serde_json::json;

fn grok(pattern: &str) -> Grok {
    Grok::compile(&[pattern.to_owned()], &BTreeMap::new()).unwrap_or_else(|(_, error)| panic!("{pattern}: {error}"))
}

fn fields(grok: &Grok, text: &str) -> Option<Value> {
    let mut scratch = Scratch::default();
    let found = grok.find(text, &mut scratch)?;
    let mut event = Event::default();
    for (capture, text) in found.iter() {
        if let Some(value) = capture.kind.value(text) {
            event.set(&capture.path, value).expect("no conflict");
        }
    }
    Some(Value::Object(event.0))
}

const COMBINED: &str = r#"203.0.113.9 - alice [22/Nov/2026:13:10:24 +0000] "GET /a?b=c HTTP/1.1" 404 153 "https://example.com/" "Mozilla/5.0 (X11; \"x\")""#;

#[test]
fn every_standard_pattern_compiles_for_the_linear_engine() {
    for name in Definitions::names() {
        let expanded = expand(&format!("%{{{name}}}"), &Definitions::standard(), false);
        let expanded = expanded.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(!expanded.lookaround, "{name} uses look-around");
        grok(&format!("^%{{{name}:x_whole}}$"));
    }
}

#[test]
fn combined_lines_become_ecs_fields() {
    let expected = json!({
        "source": {"address": "203.0.113.9"}, "user": {"name": "alice"}, "timestamp": "22/Nov/2026:13:10:24 +0000",
        "http": {"request": {"method": "GET", "referrer": "https://example.com/"}, "version": "1.1",
                 "response": {"status_code": 404, "body": {"bytes": 153}}},
        "url": {"original": "/a?b=c"}, "user_agent": {"original": "Mozilla/5.0 (X11; \\\"x\\\")"},
    });
    for pattern in ["%{COMBINEDAPACHELOG}", "^%{HTTPD_COMBINEDLOG}$", "%{NGINXACCESS}"] {
        assert_eq!(fields(&grok(pattern), COMBINED).expect("a match"), expected, "{pattern}");
    }
    let broken = r#"203.0.113.9 - - [22/Nov/2026:13:10:24 +0000] "\x16\x03\x01" 400 - "-" "-""#;
    let found = fields(&grok("%{COMBINEDAPACHELOG}"), broken).expect("a match");
    assert_eq!(found["http"], json!({"response": {"status_code": 400}}));
}

#[test]
fn known_names_match_what_they_are_for() {
    let cases: &[(&str, &str, bool)] = &[
        ("IP", "10.255.0.1", true),
        ("IP", "::1", true),
        ("IP", "2001:db8::8a2e:370:7334", true),
        ("IP", "fe80::1%eth0", true),
        ("IP", "::ffff:192.0.2.1", true),
        ("IPV4", "256.1.1.1", false),
        ("IPV4", "1.2.3", false),
        ("IPV6", "1:2:3:4:5:6:7:8:9", false),
        ("HOSTNAME", "web-01.example.com", true),
        ("HOSTPORT", "localhost:8080", true),
        ("EMAILADDRESS", "a.b+c@example.com", true),
        ("NUMBER", "-12.5", true),
        ("BASE16NUM", "0xdeadBEEF", true),
        ("UUID", "123e4567-e89b-12d3-a456-426614174000", true),
        ("QUOTEDSTRING", r#""a \" b""#, true),
        ("MAC", "00:1A:2b:3c:4D:5e", true),
        ("MAC", "001A.2b3c.4D5e", true),
        ("PATH", "/var/log/syslog.1", true),
        ("PATH", r"C:\Windows\System32\x.dll", true),
        ("URI", "https://user@example.com:8443/p/a?q=1&r=[2]", true),
        ("TIMESTAMP_ISO8601", "2026-11-22T13:10:24.123+01:00", true),
        ("TIMESTAMP_ISO8601", "2026-11-22 13:10:24,123", true),
        ("HTTPDATE", "22/Nov/2026:13:10:24 +0000", true),
        ("SYSLOGTIMESTAMP", "Nov  2 03:04:05", true),
        ("DATESTAMP_RFC2822", "Sun, 22 Nov 2026 13:10:24 +0000", true),
        ("DATE", "11/22/2026", true),
        ("LOGLEVEL", "WARNING", true),
        ("LOGLEVEL", "severe", true),
        ("JAVACLASS", "org.example.App$Inner", true),
        ("JAVASTACKTRACEPART", "\tat org.example.App.main(App.java:12)", true),
        ("JAVASTACKTRACEPART", "    at org.example.App.<init>(Unknown Source)", true),
        ("MONTH", "Dezember", true),
        ("SYSLOGLINE", "Nov 22 13:10:24 web sshd[77]: Failed password for root", true),
        ("SYSLOG5424LINE", "<34>1 2026-11-22T13:10:24Z host su 12 ID47 - 'su root' failed", true),
        ("CRONLOG", "Nov 22 13:10:24 web CRON[77]: (root) CMD (run-parts /etc/cron.hourly)", true),
        ("CATALINALOG", "22-Nov-2026 13:10:24.123 INFO [main] org.apache.Start.start Server startup", true),
        ("NGINX_ERROR", "2026/11/22 13:10:24 [error] 31#31: *7 open() failed", true),
        ("REDIS_LOG", "1:M 22 Nov 2026 13:10:24.123 * Ready to accept connections", true),
        ("GLOG", "E1122 13:10:24.123456   77 server.go:12] no luck", true),
    ];
    for (name, text, matches) in cases {
        let whole = grok(&format!(r"\A(?:%{{{name}}})\z"));
        assert_eq!(fields(&whole, text).is_some(), *matches, "{name}: {text}");
    }
}

#[test]
fn captures_may_be_typed_nested_repeated_and_named_by_group() {
    let found = fields(&grok(r"%{INT:a:int} %{NUMBER:[b][c]:float} (?<d.e>\w+) %{WORD:f:boolean}"), "1 2.5 x true");
    assert_eq!(found, Some(json!({"a": 1, "b": {"c": 2.5}, "d": {"e": "x"}, "f": true})));
    let repeated = grok("%{WORD:w} %{WORD:w}");
    let mut scratch = Scratch::default();
    let texts: Vec<_> = repeated.find("one two", &mut scratch).expect("a match").iter().map(|(_, text)| text).collect();
    assert_eq!(texts, ["one", "two"]);
}

#[test]
fn own_definitions_and_order_of_patterns() {
    let own = BTreeMap::from([("ORDER".to_owned(), "[A-Z]{2}-%{INT}".to_owned())]);
    let patterns = ["^%{INT:number}$", "%{ORDER:order}", "%{GREEDYDATA:rest}"].map(str::to_owned);
    let grok = Grok::compile(&patterns, &own).expect("compiles");
    assert_eq!(fields(&grok, "17"), Some(json!({"number": "17"})));
    assert_eq!(fields(&grok, "order AB-17"), Some(json!({"order": "AB-17"})));
    assert_eq!(fields(&grok, "else"), Some(json!({"rest": "else"})));
    let circle = BTreeMap::from([("A".to_owned(), "%{A}".to_owned())]);
    assert_eq!(Grok::compile(&["%{A}".to_owned()], &circle).map(drop), Err((0, GrokError::Circle)));
    let unknown = Grok::compile(&["%{NUMBR:x}".to_owned()], &own).map(drop).expect_err("unknown");
    assert!(unknown.1.to_string().contains("did you mean %{NUMBER}?"), "{}", unknown.1);
}

#[test]
fn anchors_are_those_of_lines_and_look_around_works_with_a_warning() {
    let second = grok("^second %{WORD:w}$");
    assert_eq!(fields(&second, "first a\nsecond b\nthird"), Some(json!({"w": "b"})));
    assert_eq!(fields(&second, "first second b"), None);
    let look = grok(r"(?<!x)%{INT:n:int}(?=ms)");
    assert_eq!(look.lints().len(), 1);
    assert_eq!(fields(&look, "x9 12ms"), Some(json!({"n": 12})));
    let bomb = grok(r"^(?=(?<a>(?:a|aa)+)$)b");
    assert_eq!(fields(&bomb, &"a".repeat(5_000)), None);
}

/// The same pattern in an engine that backtracks, made to do so by a look-around that is always true.
fn backtracking(pattern: &str, text: &str) -> Option<Vec<Option<String>>> {
    let expanded = expand(pattern, &Definitions::standard(), false).expect("expands");
    let regex = fancy_regex::Regex::new(&for_backtracking(&format!("(?=){}(?=)", expanded.regex))).expect("compiles");
    let groups = regex.captures(text).expect("within the limit")?;
    Some((1..groups.len()).map(|index| groups.get(index).map(|group| group.as_str().to_owned())).collect())
}

fn linear(pattern: &str, text: &str) -> Option<Vec<Option<String>>> {
    let grok = grok(pattern);
    let mut scratch = Scratch::default();
    let found = grok.find(text, &mut scratch)?;
    Some(found.all())
}

const SAMPLES: &[&str] = &[
    COMBINED,
    r#"::1 - - [01/Jan/2026:00:00:00 +0100] "POST / HTTP/2.0" 200 0 "-" "curl/8""#,
    r#"host.example - - [1/Jan/2026:00:00:00 +0100] "-" - - "-" "-""#,
    "Nov  2 03:04:05 web-1 sshd[77]: Failed password for invalid user a b from 10.0.0.1 port 22 ssh2",
    "2026-11-22 13:10:24,123 ERROR [main] org.example.App - counter x",
    "<34>1 2026-11-22T13:10:24Z host su 12 ID47 [a b=\"c\"] text",
    "10.0.0.1 10.0.0.256 1.2.3.4.5 x1.2.3.4",
    "",
    "  \t ",
];

#[test]
fn agrees_with_a_backtracking_engine_on_samples() {
    for pattern in [
        "%{COMBINEDAPACHELOG}",
        "^%{HTTPD_COMBINEDLOG}$",
        "%{SYSLOGLINE}",
        "%{SYSLOG5424LINE}",
        "%{LOG4J}",
        "%{IP:ip}",
        "%{NUMBER:n} %{DATA:rest}:",
        "%{TIMESTAMP_ISO8601:t} %{LOGLEVEL:l}",
        "%{QUOTEDSTRING:q}",
        "%{SSHD_FAILED}",
    ] {
        for text in SAMPLES {
            assert_eq!(linear(pattern, text), backtracking(pattern, text), "{pattern} on {text}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn agrees_with_a_backtracking_engine_on_damaged_lines(
        index in 0..SAMPLES.len(), cut in 0usize..200, insert in "[ -~]{0,3}",
        pattern in prop::sample::select(vec!["%{COMBINEDAPACHELOG}", "%{SYSLOGLINE}", "%{IPORHOST:h}", "%{URI:u}"]),
    ) {
        let mut text: String = SAMPLES[index].chars().take(cut).collect();
        text.push_str(&insert);
        text.extend(SAMPLES[index].chars().skip(cut + 1));
        prop_assert_eq!(linear(pattern, &text), backtracking(pattern, &text));
    }
}
