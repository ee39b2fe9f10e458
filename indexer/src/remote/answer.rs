//! What another engine says of a `_bulk` request, and what that means for each item. Pure: bytes in, verdicts out.

use std::time::Duration;

use logmill_indexer_api::client::Answer;
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::collections::HashMap;

use super::record::{Item, Op};

/// What becomes of an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Stored,
    /// It was stored before: by an attempt whose answer was lost, or before a restart.
    Known,
    /// The engine can't take it now.
    Later(String),
    /// The engine will never take it.
    Refused(Reason),
}

/// Why an item is refused, in the engine's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reason {
    pub(super) kind: String,
    pub(super) reason: String,
    pub(super) status: u16,
}

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// A verdict for each item, in order.
    Answered(Vec<Verdict>),
    /// The request is larger than the engine, or what stands before it, takes.
    TooLarge(Reason),
    /// The engine can't read it: one of its items may be why.
    Malformed(Reason),
    /// Nothing was taken, and the same request may be taken later.
    Later { reason: String, after: Option<Duration> },
}

#[derive(Deserialize)]
struct Bulk {
    errors: bool,
    #[serde(default)]
    items: Vec<HashMap<String, Entry>>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    status: u16,
    error: Option<Cause>,
}

/// An error: an object, or with some engines just text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Cause {
    Told {
        #[serde(rename = "type", default)]
        kind: String,
        #[serde(default)]
        reason: Option<String>,
    },
    Text(String),
    Other(IgnoredAny),
}

impl Cause {
    fn reason(self, status: u16) -> Reason {
        let (kind, reason) = match self {
            Self::Told { kind, reason } => (kind, reason.unwrap_or_default()),
            Self::Text(reason) => (String::new(), reason),
            Self::Other(_) => (String::new(), String::new()),
        };
        Reason { kind, reason, status }
    }
}

/// The whole request's error.
#[derive(Deserialize)]
struct Failure {
    error: Option<Cause>,
}

/// Reads an answer to a request of these items.
pub(super) fn read(answer: &Answer, items: &[Item]) -> Outcome {
    let failure = || {
        let told = serde_json::from_slice::<Failure>(&answer.body).ok().and_then(|failure| failure.error);
        let text = || Cause::Text(String::from_utf8_lossy(&answer.body).chars().take(300).collect());
        told.unwrap_or_else(text).reason(answer.status)
    };
    match answer.status {
        200..=299 => verdicts(answer, items),
        413 => Outcome::TooLarge(failure()),
        400 => Outcome::Malformed(failure()),
        // A login that is not let in, an address that is wrong, an engine in trouble: none of it is the items' fault.
        status => {
            let Reason { kind, reason, .. } = failure();
            Outcome::Later { reason: format!("status {status} {kind} {reason}"), after: answer.retry_after }
        }
    }
}

fn verdicts(answer: &Answer, items: &[Item]) -> Outcome {
    let unusable = |what: String| Outcome::Later { reason: format!("the answer can't be used: {what}"), after: None };
    let bulk: Bulk = match serde_json::from_slice(&answer.body) {
        Ok(bulk) => bulk,
        Err(error) => return unusable(error.to_string()),
    };
    if !bulk.errors {
        return Outcome::Answered(vec![Verdict::Stored; items.len()]);
    }
    if bulk.items.len() != items.len() {
        return unusable(format!("{} items were sent and {} are answered", items.len(), bulk.items.len()));
    }
    let entries = bulk.items.into_iter().map(|item| item.into_values().next());
    Outcome::Answered(entries.zip(items).map(|(entry, item)| verdict(entry, item)).collect())
}

fn verdict(entry: Option<Entry>, item: &Item) -> Verdict {
    let Some(Entry { status, error }) = entry else { return Verdict::Later("an item has no answer".to_owned()) };
    let reason = |error: Option<Cause>| error.unwrap_or(Cause::Other(IgnoredAny)).reason(status);
    match status {
        200..=299 => Verdict::Stored,
        409 if item.op == Op::Create => Verdict::Known,
        404 if item.op == Op::Delete => Verdict::Known,
        // Neither is the document's fault, so it is not given up for it: somebody has to let us in, or to lift a block.
        401 | 403 | 408 | 429 | 0..=199 | 500.. => {
            let Reason { kind, reason, .. } = reason(error);
            Verdict::Later(format!("status {status} {kind} {reason}"))
        }
        _ => Verdict::Refused(reason(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::{Made, item, message};
    use super::*;

    fn items(count: usize) -> Vec<Item> {
        let one = || match item(message("{\"@timestamp\":1}", &[])) {
            Made::Item(item) => item,
            other => panic!("{other:?}"),
        };
        (0..count).map(|_| one()).collect()
    }

    fn answer(status: u16, body: &str) -> Answer {
        Answer { status, retry_after: Some(Duration::from_secs(2)), body: body.to_owned().into() }
    }

    #[test]
    fn each_item_has_a_verdict_of_its_own() {
        let body = r#"{"errors":true,"items":[{"create":{"status":201}},{"create":{"status":409,"error":{"type":"version_conflict_engine_exception","reason":"there"}}},
            {"create":{"status":429,"error":{"type":"es_rejected_execution_exception","reason":"full"}}},
            {"create":{"status":400,"error":{"type":"document_parsing_exception","reason":"bad date"}}},
            {"create":{"status":403,"error":{"type":"cluster_block_exception","reason":"read-only"}}},{"create":{"status":503}}]}"#;
        let Outcome::Answered(verdicts) = read(&answer(200, body), &items(6)) else { panic!("no answer") };
        assert_eq!(verdicts[..2], [Verdict::Stored, Verdict::Known]);
        assert!(matches!(&verdicts[2], Verdict::Later(why) if why.contains("full")));
        let bad = Reason { kind: "document_parsing_exception".into(), reason: "bad date".into(), status: 400 };
        assert_eq!(verdicts[3], Verdict::Refused(bad));
        assert!(matches!((&verdicts[4], &verdicts[5]), (Verdict::Later(_), Verdict::Later(_))));
    }

    #[test]
    fn without_errors_everything_is_stored() {
        for body in [r#"{"errors":false}"#, r#"{"took":3,"errors":false,"items":[]}"#] {
            assert_eq!(read(&answer(200, body), &items(2)), Outcome::Answered(vec![Verdict::Stored; 2]));
        }
    }

    #[test]
    fn requests_fail_as_a_whole() {
        let told = r#"{"error":{"root_cause":[],"type":"x_exception","reason":"why"},"status":0}"#;
        let later = |status| matches!(read(&answer(status, told), &items(1)), Outcome::Later { reason, after: Some(_) } if reason.contains("why"));
        assert!([401, 403, 404, 408, 429, 500, 502, 503, 504].into_iter().all(later));
        assert!(
            matches!(read(&answer(413, "<html>too large</html>"), &items(1)), Outcome::TooLarge(why) if why.reason.contains("html"))
        );
        assert!(matches!(read(&answer(400, told), &items(1)), Outcome::Malformed(why) if why.kind == "x_exception"));
        for unusable in ["", "{}", "<html>", r#"{"errors":true,"items":[]}"#, r#"{"errors":true}"#] {
            assert!(matches!(read(&answer(200, unusable), &items(1)), Outcome::Later { .. }), "{unusable}");
        }
    }
}
