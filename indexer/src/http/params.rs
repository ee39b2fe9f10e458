//! The parameters of an address, read strictly like bodies.

use std::collections::BTreeMap;

use logmill_indexer_api::percent::decode_query;

use crate::query::error::EsError;
use crate::store::names::Expand;

/// Parameters that every endpoint takes, and those that only tell clusters and clients how to go about it.
const HARMLESS: [&str; 24] = [
    "pretty",
    "human",
    "error_trace",
    "filter_path",
    "format",
    "preference",
    "routing",
    "stats",
    "request_cache",
    "search_type",
    "allow_no_indices",
    "ignore_throttled",
    "ccs_minimize_roundtrips",
    "pre_filter_shard_size",
    "max_concurrent_shard_requests",
    "max_concurrent_searches",
    "batched_reduce_size",
    "allow_partial_search_results",
    "local",
    "master_timeout",
    "cluster_manager_timeout",
    "wait_for_active_shards",
    "include_type_name",
    "typed_mappings",
];

/// The parameters that are still to be taken.
#[derive(Clone, Debug, Default)]
pub(super) struct Params(BTreeMap<String, String>);

impl Params {
    pub(super) fn new(query: Option<&str>) -> Self {
        let mut map = BTreeMap::new();
        for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            map.insert(decode_query(key), decode_query(value));
        }
        Self(map)
    }

    pub(super) fn take(&mut self, key: &str) -> Option<String> {
        self.0.remove(key)
    }

    /// A parameter without a value is true.
    pub(super) fn flag(&mut self, key: &str) -> Result<Option<bool>, EsError> {
        match self.take(key).as_deref() {
            None => Ok(None),
            Some("" | "true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(other) => Err(EsError::argument(format!(
                "Failed to parse value [{other}] for [{key}]: only true and false are allowed"
            ))),
        }
    }

    pub(super) fn list(&mut self, key: &str) -> Option<Vec<String>> {
        self.take(key)
            .map(|text| text.split(',').map(|item| item.trim().to_owned()).filter(|item| !item.is_empty()).collect())
    }

    /// `expand_wildcards`, or what holds without it.
    pub(super) fn expand(&mut self, default: Expand) -> Result<Expand, EsError> {
        self.take("expand_wildcards").map_or(Ok(default), |text| expand(&text))
    }

    pub(super) fn ignore(&mut self, keys: &[&str]) {
        for key in keys {
            self.0.remove(*key);
        }
    }

    /// Everything must have been taken.
    pub(super) fn end(mut self, path: &str) -> Result<(), EsError> {
        // Where nothing is chosen by wildcards it changes nothing, but must still be one.
        self.expand(Expand::All)?;
        self.ignore(&HARMLESS);
        match self.0.keys().next() {
            None => Ok(()),
            Some(key) => Err(EsError::argument(format!("request [{path}] contains unsupported parameter: [{key}]"))),
        }
    }
}

/// Reads `expand_wildcards`.
pub(super) fn expand(text: &str) -> Result<Expand, EsError> {
    Expand::read(text).map_err(|word| EsError::argument(format!("No valid expand wildcard value [{word}]")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded_and_none_is_overlooked() {
        let mut params = Params::new(Some("q=a%3Ab+c%&pretty&size=5&x=1"));
        assert_eq!(params.take("q").as_deref(), Some("a:b c%"));
        assert_eq!(params.take("size").as_deref(), Some("5"));
        assert!(params.end("/_search").unwrap_err().reason.contains("[x]"));
    }
}
