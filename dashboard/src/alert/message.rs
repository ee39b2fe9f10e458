//! What an alert tells its receiver.

use logmill_indexer_api::Ast;
use serde_json::{Value, json};

use super::rule::{Kind, Rule};
use crate::database::rfc3339;
use crate::search::dsl;

/// A message to be sent.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) event: &'static str,
    pub(super) body: Value,
}

/// A stretch of time: after `from_ms`, up to and with `to_ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) from_ms: i64,
    pub(super) to_ms: i64,
}

impl Window {
    pub(super) fn of(self, ast: &Ast) -> Value {
        let time = json!({ "gt": self.from_ms, "lte": self.to_ms, "format": "epoch_millis" });
        dsl(ast, [json!({ "range": { "@timestamp": time } })])
    }
}

/// What a message is about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told<'r> {
    pub(super) rule: &'r Rule,
    pub(super) id: i64,
    /// Where people reach the dashboard.
    pub(super) base_url: &'r str,
    pub(super) now_ms: i64,
}

impl Told<'_> {
    /// The message of a trial.
    pub(super) fn trial(&self) -> Message {
        let window = Window { from_ms: self.now_ms - 1000 * self.rule.window_s as i64, to_ms: self.now_ms };
        self.message("alert.test", 0, window, &[])
    }

    pub(super) fn message(&self, event: &'static str, count: u64, window: Window, sample: &[Value]) -> Message {
        let rule = self.rule;
        let kind = match rule.kind {
            Kind::Match => "match",
            Kind::Threshold => "threshold",
        };
        let body = json!({
            "type": event,
            "timestamp": rfc3339(self.now_ms),
            "data": {
                "rule": { "id": self.id, "name": rule.name, "type": kind },
                "value": count,
                "threshold": if rule.kind == Kind::Threshold { json!(rule.threshold) } else { Value::Null },
                "window": { "from": rfc3339(window.from_ms), "to": rfc3339(window.to_ms) },
                "query": rule.scope.query,
                "count": count,
                "sample": sample,
                "url": link(rule, window, self.base_url),
            },
        });
        Message { event, body }
    }
}

/// The dashboard's search page showing what the rule saw.
fn link(rule: &Rule, window: Window, base_url: &str) -> String {
    let Ok(mut url) = reqwest::Url::parse(&format!("{base_url}/")) else { return base_url.to_owned() };
    {
        let mut pairs = url.query_pairs_mut();
        let scope = &rule.scope;
        if !scope.query.is_empty() {
            pairs.append_pair("q", &scope.query);
        }
        if scope.language == crate::search::Language::Lucene {
            pairs.append_pair("lang", "lucene");
        }
        pairs.append_pair("from", &rfc3339(window.from_ms)).append_pair("to", &rfc3339(window.to_ms));
        for filter in &scope.filters {
            pairs.append_pair("f", &json!(filter).to_string());
        }
        if let Some(index) = &scope.index {
            pairs.append_pair("index", index);
        }
    }
    url.into()
}
