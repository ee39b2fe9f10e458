//! The whole body of a search. Apart from the request itself, because aggregations read requests for hits.

use serde_json::Value;

use super::error::EsError;
use super::request::SearchRequest;
use crate::aggregate;

impl SearchRequest {
    /// Reads a body; null stands for none.
    pub(crate) fn read(body: Value) -> Result<Self, EsError> {
        Self::read_with(body, aggregate::read_all)
    }
}
