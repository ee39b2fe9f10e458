//! What a client is told when a request can't be served: Elasticsearch's status, type and reason.

use serde_json::{Value, json};

/// A refused request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind}: {reason}")]
pub(crate) struct EsError {
    pub(crate) status: u16,
    pub(crate) kind: &'static str,
    pub(crate) reason: String,
    /// The index that it is about.
    pub(crate) index: Option<String>,
    /// The phase of a search in which every shard failed with it.
    pub(crate) phase: Option<&'static str>,
}

impl EsError {
    pub(crate) fn new(status: u16, kind: &'static str, reason: impl Into<String>) -> Self {
        Self { status, kind, reason: reason.into(), index: None, phase: None }
    }

    /// The request's JSON is not what the API takes.
    pub(crate) fn parsing(reason: impl Into<String>) -> Self {
        Self::new(400, "parsing_exception", reason)
    }

    /// A value makes no sense, or something is not supported.
    pub(crate) fn argument(reason: impl Into<String>) -> Self {
        Self::new(400, "illegal_argument_exception", reason)
    }

    /// The one who asked is gone, or somebody has cancelled the search.
    pub(crate) fn cancelled() -> Self {
        Self::new(400, "task_cancelled_exception", "the search was cancelled")
    }

    /// A mapping can't be used.
    pub(crate) fn mapping(reason: impl Into<String>) -> Self {
        Self::new(400, "mapper_parsing_exception", reason)
    }

    pub(crate) fn no_index(name: &str) -> Self {
        let mut error = Self::new(404, "index_not_found_exception", format!("no such index [{name}]"));
        error.index = Some(name.to_owned());
        error
    }

    /// The store failed: not the client's fault.
    pub(crate) fn internal(reason: impl std::fmt::Display) -> Self {
        Self::new(500, "exception", reason.to_string())
    }

    /// The same, found out while a search ran and not when its request was read: Elasticsearch then tells of shards.
    pub(crate) fn in_phase(mut self, phase: &'static str) -> Self {
        let of_shards = matches!(
            self.kind,
            "query_shard_exception"
                | "illegal_argument_exception"
                | "illegal_state_exception"
                | "parse_exception"
                | "circuit_breaking_exception"
                | "search_context_missing_exception"
                | "no_shard_available_action_exception"
        );
        self.phase = of_shards.then_some(phase);
        self
    }

    /// The `error` member and the status, as every Elasticsearch client expects them.
    pub(crate) fn to_json(&self) -> Value {
        let mut cause = json!({ "type": self.kind, "reason": self.reason });
        if let (Some(index), Some(cause)) = (&self.index, cause.as_object_mut()) {
            cause.insert("resource.type".to_owned(), "index_or_alias".into());
            cause.insert("resource.id".to_owned(), index.as_str().into());
            cause.insert("index".to_owned(), index.as_str().into());
        }
        if let Some(phase) = self.phase {
            let mut failed = json!({ "shard": 0, "node": "logmill", "reason": cause });
            if let (Some(index), Some(failed)) = (&self.index, failed.as_object_mut()) {
                failed.insert("index".to_owned(), index.as_str().into());
            }
            let error = json!({
                "root_cause": [cause],
                "type": "search_phase_execution_exception",
                "reason": "all shards failed",
                "phase": phase,
                "grouped": true,
                "failed_shards": [failed],
            });
            return json!({ "error": error, "status": self.status });
        }
        let mut error = cause.clone();
        if let Some(error) = error.as_object_mut() {
            error.insert("root_cause".to_owned(), json!([cause]));
        }
        json!({ "error": error, "status": self.status })
    }
}

impl From<tantivy::TantivyError> for EsError {
    fn from(error: tantivy::TantivyError) -> Self {
        Self::internal(error)
    }
}

impl From<std::io::Error> for EsError {
    fn from(error: std::io::Error) -> Self {
        Self::internal(error)
    }
}

impl From<crate::store::NoSuchIndex> for EsError {
    fn from(error: crate::store::NoSuchIndex) -> Self {
        Self::no_index(&error.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_the_shape_that_clients_read() {
        let error = EsError::argument("no").to_json();
        assert_eq!(error["error"]["type"], error["error"]["root_cause"][0]["type"]);
        let in_phase = EsError::argument("no").in_phase("query").to_json();
        assert_eq!(in_phase["error"]["type"], "search_phase_execution_exception");
        assert_eq!(in_phase["error"]["root_cause"][0]["type"], "illegal_argument_exception");
        assert_eq!(in_phase["error"]["failed_shards"][0]["reason"]["reason"], "no");
        assert_eq!(EsError::no_index("a").in_phase("query"), EsError::no_index("a"));
    }
}
