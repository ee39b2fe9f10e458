//! Settings of an index: known ones are kept and shown, others refused by name. What acts here is read where it acts;
//! the rest (shards, copies, merging) has one answer on one machine.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::config::SourceMode;

/// Settings by their full names (`index.refresh_interval`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Settings(BTreeMap<String, Value>);

/// A setting is not one, or asks for what is not done here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct SettingsError(String);

impl SettingsError {
    pub(super) const fn new(reason: String) -> Self {
        Self(reason)
    }
}

/// The lifecycle policy of an index.
pub(crate) const LIFECYCLE_NAME: &str = "index.lifecycle.name";
/// How an index keeps the source of its events.
const SOURCE_MODE: &str = "index.mapping.source.mode";
/// Objects nested deeper are no settings.
const DEPTH_MAX: usize = 20;

/// First names of the settings that Elasticsearch and OpenSearch have for an index.
const KNOWN: [&str; 62] = [
    "allocation",
    "analysis",
    "analyze",
    "auto_expand_replicas",
    "blocks",
    "bloom_filter_for_id_field",
    "codec",
    "composite_index",
    "creation_date",
    "data_path",
    "default_pipeline",
    "dense_vector",
    "esql",
    "fast_refresh",
    "fielddata",
    "final_pipeline",
    "flush_after_merge",
    "format",
    "gc_deletes",
    "hidden",
    "highlight",
    "indexing",
    "knn",
    "lifecycle",
    "load_fixed_bitset_filters_eagerly",
    "look_ahead_time",
    "look_back_time",
    "mapper",
    "mapping",
    "max_docvalue_fields_search",
    "max_inner_result_window",
    "max_ngram_diff",
    "max_refresh_listeners",
    "max_regex_length",
    "max_rescore_window",
    "max_result_window",
    "max_script_fields",
    "max_shingle_diff",
    "max_slices_per_scroll",
    "max_terms_count",
    "merge",
    "mode",
    "number_of_replicas",
    "number_of_routing_shards",
    "number_of_shards",
    "opendistro",
    "plugins",
    "priority",
    "provided_name",
    "query",
    "query_string",
    "refresh_interval",
    "replication",
    "requests",
    "routing",
    "search",
    "similarity",
    "soft_deletes",
    "sort",
    "store",
    "time_series",
    "translog",
];
/// Further ones that are rarely written.
const KNOWN_TOO: [&str; 12] = [
    "unassigned",
    "uuid",
    "verified_before_close",
    "version",
    "warmer",
    "write",
    "xpack",
    "shard",
    "shard_limit",
    "routing_partition_size",
    "routing_path",
    "top_metrics_max_size",
];

impl Settings {
    /// Reads settings, nested or dotted, with `index.` in front or without.
    ///
    /// # Errors
    /// When one is not known, or asks for something that is not done.
    pub(crate) fn read(value: &Value) -> Result<Self, SettingsError> {
        let mut flat = BTreeMap::new();
        let map = match value {
            Value::Object(map) => map,
            Value::Null => return Ok(Self::default()),
            _ => return Err(SettingsError("[settings] must be an object".to_owned())),
        };
        flatten(map, "", 0, &mut flat)?;
        let mut settings = Self::default();
        for (name, value) in flat {
            let name = if name.starts_with("index.") { name } else { format!("index.{name}") };
            check(&name, &value)?;
            settings.0.insert(name, value);
        }
        Ok(settings)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A setting by its full name, as text.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str)
    }

    /// A setting that is a list, or one text with commas in it.
    pub(super) fn list(&self, name: &str) -> Vec<&str> {
        match self.0.get(name) {
            Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).collect(),
            Some(Value::String(text)) => text.split(',').map(str::trim).filter(|item| !item.is_empty()).collect(),
            _ => Vec::new(),
        }
    }

    /// How the source is kept, where it is said: by itself, or as a part of what makes an index one for logs.
    pub(super) fn source_mode(&self) -> Option<SourceMode> {
        match (self.get(SOURCE_MODE), self.get("index.mode")) {
            (Some("stored"), _) => Some(SourceMode::Exact),
            (Some("synthetic"), _) | (None, Some("logsdb")) => Some(SourceMode::Synthetic),
            _ => None,
        }
    }

    /// Takes over what others say; null takes a setting away.
    pub(crate) fn extend(&mut self, others: &Self) {
        for (name, value) in &others.0 {
            if value.is_null() {
                self.0.remove(name);
            } else {
                self.0.insert(name.clone(), value.clone());
            }
        }
    }

    /// Keeps the settings whose names are wanted.
    pub(crate) fn retain(&mut self, wanted: impl Fn(&str) -> bool) {
        self.0.retain(|name, _| wanted(name));
    }

    /// Takes a setting away.
    pub(crate) fn remove(&mut self, name: &str) {
        self.0.remove(name);
    }

    /// As names by their full names.
    pub(crate) fn flat(&self) -> Map<String, Value> {
        self.0.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
    }

    /// As objects in objects.
    pub(crate) fn nested(&self) -> Map<String, Value> {
        let mut root = Map::new();
        for (name, value) in &self.0 {
            nest(&mut root, name, value);
        }
        root
    }
}

fn nest(into: &mut Map<String, Value>, name: &str, value: &Value) {
    match name.split_once('.') {
        Some((head, tail)) => {
            let inner = into.entry(head.to_owned()).or_insert_with(|| Value::Object(Map::new()));
            match inner.as_object_mut() {
                Some(inner) => nest(inner, tail, value),
                // A setting that is a value and an object both keeps its dots.
                None => drop(into.insert(name.to_owned(), value.clone())),
            }
        }
        None => drop(into.insert(name.to_owned(), value.clone())),
    }
}

fn flatten(
    map: &Map<String, Value>,
    outer: &str,
    depth: usize,
    into: &mut BTreeMap<String, Value>,
) -> Result<(), SettingsError> {
    if depth > DEPTH_MAX {
        return Err(SettingsError("[settings] are nested too deep".to_owned()));
    }
    for (key, value) in map {
        let name = if outer.is_empty() { key.clone() } else { format!("{outer}.{key}") };
        match value {
            Value::Object(inner) => flatten(inner, &name, depth + 1, into)?,
            // Elasticsearch shows every value as text.
            Value::Array(items) => {
                let texts = items.iter().map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned));
                into.insert(name, Value::Array(texts.map(Value::String).collect()));
            }
            Value::Null => drop(into.insert(name, Value::Null)),
            Value::String(text) => drop(into.insert(name, text.as_str().into())),
            other => drop(into.insert(name, other.to_string().into())),
        }
    }
    Ok(())
}

fn check(name: &str, value: &Value) -> Result<(), SettingsError> {
    let rest = name.strip_prefix("index.").unwrap_or(name);
    let first = rest.split('.').next().unwrap_or_default();
    if !KNOWN.contains(&first) && !KNOWN_TOO.contains(&first) {
        return Err(SettingsError(format!(
            "unknown setting [{name}] please check that any required plugins are installed, or check the breaking changes documentation for removed settings"
        )));
    }
    let text = value.as_str().unwrap_or_default();
    match name {
        "index.default_pipeline" | "index.final_pipeline" if !value.is_null() && text != "_none" => {
            Err(SettingsError(format!("[{name}] can't be [{text}]: pipelines run before the index, see [processor]")))
        }
        "index.mode" if !value.is_null() && !matches!(text, "standard" | "logsdb") => {
            Err(SettingsError(format!("[{name}] can't be [{text}] here: standard or logsdb")))
        }
        SOURCE_MODE if !value.is_null() && !matches!(text, "stored" | "synthetic") => {
            Err(SettingsError(format!("[{name}] can't be [{text}] here: stored or synthetic")))
        }
        "index.number_of_shards"
            if !value.is_null() && !text.parse::<u32>().is_ok_and(|shards| (1..=1024).contains(&shards)) =>
        {
            Err(SettingsError(format!(
                "Failed to parse value [{text}] for setting [{name}] must be between 1 and 1024"
            )))
        }
        "index.number_of_replicas" if !value.is_null() && text.parse::<u32>().is_err() => {
            Err(SettingsError(format!("Failed to parse value [{text}] for setting [{name}] must be >= 0")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn settings_are_read_in_every_spelling_and_shown_in_both() {
        let written = json!({"index": {"number_of_replicas": 1, "mapping": {"total_fields.limit": 10_000}}, "index.codec": "best_compression", "refresh_interval": "5s", "query.default_field": ["message", "a"]});
        let mut settings = Settings::read(&written).unwrap();
        assert_eq!(settings.get("index.mapping.total_fields.limit"), Some("10000"));
        assert_eq!(settings.get("index.refresh_interval"), Some("5s"));
        let nested = Value::Object(settings.nested());
        assert_eq!(nested.pointer("/index/mapping/total_fields/limit"), Some(&json!("10000")));
        assert_eq!(nested.pointer("/index/query/default_field"), Some(&json!(["message", "a"])));
        assert_eq!(Settings::read(&nested), Ok(settings.clone()));
        settings.extend(&Settings::read(&json!({"codec": null, "number_of_replicas": "0"})).unwrap());
        assert_eq!((settings.get("index.codec"), settings.get("index.number_of_replicas")), (None, Some("0")));
    }

    #[test]
    fn what_is_not_known_or_not_done_is_refused_by_name() {
        for (settings, named) in [
            (json!({"index": {"odd": 1}}), "[index.odd]"),
            (json!({"default_pipeline": "x"}), "default_pipeline"),
            (json!({"mode": "time_series"}), "time_series"),
            (json!({"mapping.source.mode": "disabled"}), "disabled"),
            (json!({"number_of_shards": 0}), "number_of_shards"),
        ] {
            let error = Settings::read(&settings).unwrap_err();
            assert!(error.to_string().contains(named), "{error}");
        }
        assert!(Settings::read(&json!({"default_pipeline": "_none"})).is_ok());
    }
}
