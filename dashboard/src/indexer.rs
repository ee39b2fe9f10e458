//! The questions that the dashboard asks the search engine, whichever it is, over its REST API.

use futures::future::join_all;
use logmill_indexer_api::{Client, ClientError, encode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// How complete answers are: everything the bus held up to `indexed_up_to` is in them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Freshness {
    /// RFC 3339; absent where the engine does not tell.
    #[serde(default)]
    pub(crate) indexed_up_to: Option<String>,
    /// Events that the bus holds and answers do not.
    #[serde(default)]
    pub(crate) behind: Option<u64>,
}

/// How far alert rules may look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Watermark {
    /// Everything that was on the bus then is in the answers.
    UpTo(jiff::Timestamp),
    /// The engine does not know yet.
    NotYet,
    /// The engine (not ours) does not tell.
    Untold,
}

/// An index, as the status page shows it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct IndexInfo {
    pub(crate) index: String,
    pub(crate) docs: u64,
    pub(crate) bytes: u64,
    pub(crate) oldest: Option<String>,
    pub(crate) newest: Option<String>,
}

/// The search engine.
#[derive(Clone, Debug)]
pub(crate) struct Indexer(Client);

/// Indices whose ends are asked for: a page shows no more at once.
const ENDS_ASKED_MAX: usize = 64;

impl Indexer {
    /// Reached by this client.
    pub(crate) const fn new(client: Client) -> Self {
        Self(client)
    }

    /// `_search`.
    pub(crate) async fn search(&self, index: &str, body: &Value) -> Result<Value, ClientError> {
        self.0.search(index, body).await
    }

    /// `_count`.
    pub(crate) async fn count(&self, index: &str, query: &Value) -> Result<u64, ClientError> {
        self.0.count(index, query).await
    }

    /// `_field_caps` of all fields.
    pub(crate) async fn field_caps(&self, index: &str) -> Result<Value, ClientError> {
        self.0.field_caps(index, "*").await
    }

    /// How far the engine is behind the bus. Engines other than ours don't know: then nothing is said.
    pub(crate) async fn freshness(&self) -> Freshness {
        let answer = self.0.get("_logmill/freshness").await;
        answer.ok().and_then(|answer| serde_json::from_value(answer).ok()).unwrap_or_default()
    }

    /// As [`freshness`](Self::freshness), for those who must know why nothing is said.
    pub(crate) async fn watermark(&self) -> Result<Watermark, ClientError> {
        match self.0.get("_logmill/freshness").await {
            Ok(answer) => {
                let freshness: Freshness = serde_json::from_value(answer).unwrap_or_default();
                let told = freshness.indexed_up_to.and_then(|time| time.parse().ok());
                Ok(told.map_or(Watermark::NotYet, Watermark::UpTo))
            }
            // Elasticsearch refuses names with a leading underscore in one of these ways.
            Err(error) if matches!(error.status(), Some(400 | 404 | 405)) => Ok(Watermark::Untold),
            Err(error) => Err(error),
        }
    }

    /// The indices that match, with their sizes and ends.
    pub(crate) async fn indices(&self, pattern: &str) -> Result<Vec<IndexInfo>, ClientError> {
        let answer = self.0.get(&format!("_cat/indices/{}?format=json&bytes=b", encode(pattern))).await?;
        let mut found: Vec<IndexInfo> = answer.as_array().into_iter().flatten().filter_map(index_info).collect();
        found.sort_by(|a, b| a.index.cmp(&b.index));
        let ends = join_all(found.iter().take(ENDS_ASKED_MAX).map(|info| self.ends(&info.index))).await;
        for (info, (oldest, newest)) in found.iter_mut().zip(ends) {
            (info.oldest, info.newest) = (oldest, newest);
        }
        Ok(found)
    }

    async fn ends(&self, index: &str) -> (Option<String>, Option<String>) {
        let end = |way: &str| json!({ way: { "field": "@timestamp" } });
        let body = json!({ "size": 0, "aggs": { "oldest": end("min"), "newest": end("max") } });
        let Ok(answer) = self.0.search(index, &body).await else { return (None, None) };
        let time = |name: &str| {
            let ms = answer.pointer(&format!("/aggregations/{name}/value"))?.as_f64()?;
            Some(crate::database::rfc3339(ms as i64))
        };
        (time("oldest"), time("newest"))
    }
}

/// A row of `_cat/indices`; numbers are text in it.
fn index_info(row: &Value) -> Option<IndexInfo> {
    let number = |key: &str| match row.get(key) {
        Some(Value::String(text)) => text.parse().unwrap_or(0),
        Some(Value::Number(number)) => number.as_u64().unwrap_or(0),
        _ => 0,
    };
    let index = row.get("index")?.as_str()?.to_owned();
    Some(IndexInfo { index, docs: number("docs.count"), bytes: number("store.size"), oldest: None, newest: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_cat_indices_are_read() {
        let row = json!({"index": "logs-app-default", "docs.count": "12", "store.size": "3456", "health": "green"});
        let info = index_info(&row).unwrap();
        assert_eq!((info.index.as_str(), info.docs, info.bytes), ("logs-app-default", 12, 3456));
    }
}
