//! What was said about an index besides its documents: mappings, settings, aliases, whether it is a data stream.
//! It is kept in the manifest, and read as it was put.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::settings::Settings;

/// Facts of an index.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Facts {
    /// The mapping as it was put.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub(crate) mappings: Map<String, Value>,
    /// `index.*` by their full names.
    #[serde(skip_serializing_if = "Settings::is_empty")]
    pub(crate) settings: Settings,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) aliases: BTreeMap<String, Alias>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) data_stream: Option<DataStream>,
    /// Events older than this are to be deleted: what the lifecycle policy or the data stream's lifecycle says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) retention_age_ms: Option<u64>,
}

impl Facts {
    /// Whether wildcards pass the index by unless they are told not to.
    pub(crate) fn is_hidden(&self) -> bool {
        self.settings.get("index.hidden") == Some("true")
            || self.data_stream.as_ref().is_some_and(|stream| stream.hidden)
    }
}

/// Another name of an index.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Alias {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) index_routing: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) search_routing: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) is_write_index: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) is_hidden: Option<bool>,
}

/// The index is a data stream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct DataStream {
    /// The template that it was made by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) template: Option<String>,
    pub(crate) hidden: bool,
    /// `data_retention` and `enabled`, as they were put.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) lifecycle: Option<Value>,
}

/// What a data stream's one index is called where Elasticsearch would show a backing index. Rollover is implicit
/// here, so it is always the first.
pub(crate) fn backing_name(stream: &str, created_ms: i64) -> String {
    let day = jiff::Timestamp::from_millisecond(created_ms).unwrap_or_default().strftime("%Y.%m.%d").to_string();
    format!(".ds-{stream}-{day}-000001")
}

/// The data stream of a backing index; `None` when the name is not written so.
pub(crate) fn stream_of(backing: &str) -> Option<&str> {
    let rest = backing.strip_prefix(".ds-")?;
    let (rest, number) = rest.rsplit_once('-')?;
    let (stream, day) = rest.rsplit_once('-')?;
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    (number.len() == 6 && digits(number) && day.len() == 10 && digits(day)).then_some(stream)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backing_indexes_tell_their_stream() {
        let name = backing_name("logs-a-b", 1_767_323_045_678);
        assert_eq!(name, ".ds-logs-a-b-2026.01.02-000001");
        assert_eq!(stream_of(&name), Some("logs-a-b"));
        assert_eq!(stream_of(".ds-logs-a-b"), None);
        assert_eq!(stream_of("logs-a-b-2026.01.02-000001"), None);
    }
}
