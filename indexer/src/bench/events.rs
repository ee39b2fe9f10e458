//! What is indexed: events as the built-in pipeline leaves them, of four kinds, the same for every run; or those of
//! a file.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::BufRead as _;

use bytes::Bytes;
use fastrand::Rng;
use logmill_bus_client::Message;
use logmill_core::origin::{INDEX_HEADER, ORIGIN_HEADER, SOURCE_HEADER};

const BATCH: usize = 500;
const HOSTS: u64 = 16;
/// 2026-11-18: no event lies in the future.
const START_MS: i64 = 1_795_000_000_000;
/// Events a second of the events' own time.
const DENSITY: u64 = 2000;

pub(super) struct Workload {
    pub(super) batches: Vec<Vec<Message>>,
    pub(super) events: u64,
    pub(super) bytes: u64,
    pub(super) by_index: BTreeMap<String, u64>,
}

/// Generated events.
pub(super) fn generate(events: u64, access_only: bool) -> Workload {
    let mut random = Rng::with_seed(7);
    let kinds: [(&str, Kind); 4] = [
        ("logs-nginx.access-default", access),
        ("logs-shop-default", java),
        ("logs-cart-default", json),
        ("logs-syslog-default", syslog),
    ];
    collect((0..events).map(|number| {
        let place = if access_only { 0 } else { [0, 0, 0, 0, 1, 1, 1, 2, 2, 3][random.usize(..10)] };
        let (index, kind) = kinds[place];
        let at = jiff::Timestamp::from_millisecond(START_MS + (number * 1000 / DENSITY) as i64).unwrap_or_default();
        (index.to_owned(), kind(&mut random, number, at))
    }))
}

/// The events of a file, one a line.
pub(super) fn read(path: &str) -> Workload {
    let file = std::io::BufReader::new(std::fs::File::open(path).expect("the file of events"));
    collect(file.lines().map(|line| {
        let line = line.expect("a line");
        match serde_json::from_str::<serde_json::Value>(&line) {
            Ok(serde_json::Value::Object(mut map)) if map.contains_key("event") && map.contains_key("index") => {
                let index = map.get("index").and_then(|index| index.as_str()).unwrap_or_default().to_owned();
                (index, map.remove("event").map(|event| event.to_string()).unwrap_or_default())
            }
            _ => ("logs-generic-default".to_owned(), line),
        }
    }))
}

fn collect(events: impl Iterator<Item = (String, String)>) -> Workload {
    let mut workload = Workload { batches: Vec::new(), events: 0, bytes: 0, by_index: BTreeMap::new() };
    let mut batch = Vec::with_capacity(BATCH);
    for (index, value) in events {
        let number = workload.events;
        workload.events += 1;
        workload.bytes += value.len() as u64;
        *workload.by_index.entry(index.clone()).or_default() += value.len() as u64;
        batch.push(Message {
            topic: "logs.parsed".into(),
            partition: 0,
            offset: number as i64,
            timestamp_ms: Some(START_MS),
            key: None,
            value: Bytes::from(value),
            headers: vec![
                (SOURCE_HEADER.into(), Bytes::from_static(b"0123456789abcdef0123456789abcdef")),
                (ORIGIN_HEADER.into(), Bytes::from(format!("0:{number}:{}:0", number + 1))),
                (INDEX_HEADER.into(), Bytes::from(index)),
            ],
        });
        if batch.len() == BATCH {
            workload.batches.push(std::mem::replace(&mut batch, Vec::with_capacity(BATCH)));
        }
    }
    workload.batches.push(batch);
    workload
}

type Kind = fn(&mut Rng, u64, jiff::Timestamp) -> String;

/// One of many, the first far more often than the last.
fn skewed(random: &mut Rng, many: u32) -> u32 {
    let share = random.f64();
    (share * share * share * f64::from(many)) as u32
}

fn envelope(at: jiff::Timestamp, number: u64, file: &str, dataset: &str, level: &str, service: &str) -> String {
    format!(
        r#"{{"@timestamp":"{at:.3}","log":{{"file":{{"path":"{file}"}},"offset":{},"level":"{level}"}},"host":{{"name":"web-{:02}"}},"agent":{{"type":"logmill","version":"0.1.0"}},"input":{{"type":"filestream"}},"ecs":{{"version":"8.11.0"}},"event":{{"dataset":"{dataset}"}},"service":{{"name":"{service}"}},"#,
        number * 137,
        number % HOSTS,
    )
}

fn access(random: &mut Rng, number: u64, at: jiff::Timestamp) -> String {
    const AGENTS: [&str; 5] = [
        "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0",
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1",
        "curl/8.10.1",
        "kube-probe/1.31",
    ];
    let status = [200, 200, 200, 200, 200, 201, 301, 304, 404, 500][random.usize(..10)];
    let method = ["GET", "GET", "GET", "GET", "POST", "PUT"][random.usize(..6)];
    let path = match random.u8(..4) {
        0 => format!("/static/app.{:08x}.js", skewed(random, 40).wrapping_mul(2_654_435_761)),
        1 => format!("/shop/items/{}", skewed(random, 50_000)),
        2 => format!("/api/v1/orders/{}", random.u32(100_000..999_999)),
        _ => ["/", "/shop", "/login", "/search", "/healthz"][random.usize(..5)].to_owned(),
    };
    let client = skewed(random, 20_000).wrapping_mul(2_654_435_761).to_be_bytes();
    let ip = format!("{}.{}.{}.{}", client[0] % 223 + 1, client[1], client[2], client[3]);
    let (bytes, agent) = (random.u32(120..60_000), AGENTS[skewed(random, 5) as usize]);
    let clock = at.strftime("%d/%b/%Y:%H:%M:%S +0000");
    let mut event = envelope(at, number, "/var/log/nginx/access.log", "nginx.access", "info", "nginx");
    let _ = write!(
        event,
        r#""message":"{ip} - - [{clock}] \"{method} {path} HTTP/1.1\" {status} {bytes} \"-\" \"{agent}\"","source":{{"address":"{ip}"}},"http":{{"request":{{"method":"{method}"}},"response":{{"status_code":{status},"body":{{"bytes":{bytes}}}}},"version":"1.1"}},"url":{{"original":"{path}"}},"user_agent":{{"original":"{agent}"}}}}"#
    );
    event
}

fn java(random: &mut Rng, number: u64, at: jiff::Timestamp) -> String {
    let level = ["INFO", "INFO", "INFO", "INFO", "DEBUG", "WARN", "ERROR"][random.usize(..7)];
    let logger = ["CartService", "OrderService", "PaymentClient", "UserRepository", "HttpFilter"][random.usize(..5)];
    let (cart, user, took) = (random.u32(1000..99_999), skewed(random, 5000), random.u32(1..900));
    let text = match random.u8(..6) {
        0 => format!("loaded cart {cart} of user u{user} in {took} ms"),
        1 => format!("order {} confirmed for user u{user}, {took} items left", random.u32(100_000..999_999)),
        2 => format!("cache miss for key session:{:016x}", random.u64(..)),
        3 => format!("retrying payment {cart} after {took} ms: connection reset by peer"),
        4 => format!("query took {took} ms: select * from carts where id = {cart}"),
        _ => format!("request GET /cart/{cart} done with 200 in {took} ms"),
    };
    let trace = (level == "ERROR").then(|| {
        format!(
            "java.lang.IllegalStateException: cart {cart} is gone\\n\\tat org.example.shop.{logger}.load({logger}.java:{})\\n\\tat org.example.shop.CartController.show(CartController.java:87)\\n\\tat java.base/java.lang.Thread.run(Thread.java:1583)",
            took % 300
        )
    });
    let mut event = envelope(at, number, "/var/log/shop/shop.log", "shop", level, "shop");
    let _ = write!(
        event,
        r#""message":"{text}","process":{{"thread":{{"name":"http-nio-8080-exec-{}"}}}},"log.logger":"org.example.shop.{logger}","trace":{{"id":"{:032x}"}}"#,
        random.u8(1..20),
        random.u128(..),
    );
    if let Some(trace) = trace {
        let _ = write!(event, r#","error":{{"type":"java.lang.IllegalStateException","stack_trace":"{trace}"}}"#);
    }
    event.push('}');
    event
}

fn json(random: &mut Rng, number: u64, at: jiff::Timestamp) -> String {
    let action = ["add", "remove", "view", "checkout"][random.usize(..4)];
    let (user, cart) = (skewed(random, 5000), random.u32(1000..99_999));
    let mut event = envelope(at, number, "/var/log/cart/cart.json", "cart", "info", "cart");
    let _ = write!(
        event,
        r#""message":"cart {action}","event.action":"{action}","user":{{"id":"u{user}"}},"cart":{{"id":{cart},"items":{},"total":{:.2}}},"took_ms":{:.3},"tags":["web","{}"],"cached":{}}}"#,
        random.u8(..9),
        random.f64() * 400.0,
        random.f64() * 30.0,
        ["eu", "us"][random.usize(..2)],
        random.bool(),
    );
    event
}

fn syslog(random: &mut Rng, number: u64, at: jiff::Timestamp) -> String {
    let ip = format!("203.0.113.{}", random.u8(..));
    let (process, text) = match random.u8(..4) {
        0 => ("sshd", format!("Failed password for invalid user admin from {ip} port {} ssh2", random.u16(1024..))),
        1 => (
            "sshd",
            format!(
                "Accepted publickey for deploy from {ip} port {} ssh2: RSA SHA256:{:043x}",
                random.u16(1024..),
                random.u128(..)
            ),
        ),
        2 => ("CRON", format!("(root) CMD (/usr/lib/sysstat/sa1 1 1 # {})", random.u8(..60))),
        _ => (
            "kernel",
            format!("[{}.{:06}] oom-kill: task=java,pid={},uid=1000", number, random.u32(..999_999), random.u16(..)),
        ),
    };
    let mut event = envelope(at, number, "/var/log/syslog", "syslog", "notice", process);
    let _ = write!(
        event,
        r#""message":"{text}","process":{{"name":"{process}","pid":{}}},"syslog":{{"facility":{{"code":4}},"severity":{{"code":{}}}}}}}"#,
        random.u16(..),
        random.u8(2..7),
    );
    event
}
