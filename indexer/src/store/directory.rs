//! What is said about indexes that are yet to come: index templates, component templates, lifecycle policies. Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::facts::{Alias, DataStream, Facts};
use super::mapping::{Declared, MappingError, declared};
use super::names;
use super::settings::{LIFECYCLE_NAME, Settings, SettingsError};

/// Templates and policies of each kind: all are kept in memory and in every snapshot of the manifest.
pub(crate) const ENTRIES_MAX: usize = 2000;

/// Templates and policies.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Directory {
    pub(crate) index_templates: BTreeMap<String, IndexTemplate>,
    pub(crate) component_templates: BTreeMap<String, ComponentTemplate>,
    /// Templates of the older kind, which apply where none of the newer does.
    pub(crate) legacy_templates: BTreeMap<String, LegacyTemplate>,
    pub(crate) policies: BTreeMap<String, Policy>,
}

/// What an index gets from a template.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Body {
    #[serde(skip_serializing_if = "Settings::is_empty")]
    pub(crate) settings: Settings,
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub(crate) mappings: Map<String, Value>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) aliases: BTreeMap<String, Alias>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) lifecycle: Option<Value>,
}

/// `_index_template`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct IndexTemplate {
    pub(crate) index_patterns: Vec<String>,
    pub(crate) template: Option<Body>,
    pub(crate) composed_of: Vec<String>,
    pub(crate) ignore_missing_component_templates: Vec<String>,
    pub(crate) priority: Option<i64>,
    pub(crate) version: Option<i64>,
    pub(crate) meta: Option<Value>,
    /// Indexes made by it are data streams.
    pub(crate) data_stream: Option<Value>,
    pub(crate) allow_auto_create: Option<bool>,
}

/// `_component_template`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct ComponentTemplate {
    pub(crate) template: Body,
    pub(crate) version: Option<i64>,
    pub(crate) meta: Option<Value>,
}

/// `_template`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct LegacyTemplate {
    pub(crate) index_patterns: Vec<String>,
    pub(crate) order: i64,
    pub(crate) version: Option<i64>,
    pub(crate) template: Body,
}

/// A lifecycle policy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Policy {
    pub(crate) version: u64,
    pub(crate) modified_ms: i64,
    pub(crate) policy: Value,
    /// After so long events are deleted.
    pub(crate) delete_after_ms: Option<u64>,
}

/// An index can't be made so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FactsError {
    #[error(transparent)]
    Mapping(#[from] MappingError),
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error("{0}")]
    Invalid(String),
}

impl Directory {
    /// The template for an index of this name: that of the highest priority.
    pub(crate) fn template_for(&self, index: &str) -> Option<(&str, &IndexTemplate)> {
        let fits =
            |template: &IndexTemplate| template.index_patterns.iter().any(|pattern| names::matches(pattern, index));
        self.index_templates
            .iter()
            .filter(|(_, template)| fits(template))
            .max_by_key(|(_, template)| template.priority.unwrap_or(0))
            .map(|(name, template)| (name.as_str(), template))
    }

    /// What a template comes to with its components.
    pub(crate) fn composed(&self, template: &IndexTemplate) -> Result<Body, FactsError> {
        let mut body = Body::default();
        for name in &template.composed_of {
            match self.component_templates.get(name) {
                Some(component) => body.extend(&component.template),
                None if template.ignore_missing_component_templates.contains(name) => {}
                None => {
                    return Err(FactsError::Invalid(format!("component template [{name}] does not exist")));
                }
            }
        }
        body.extend(template.template.as_ref().unwrap_or(&Body::default()));
        Declared::read(&body.mappings)?;
        Ok(body)
    }

    /// What an index of this name gets from templates when it comes into being, and from which.
    pub(crate) fn body_for(&self, index: &str) -> Result<(Body, Option<&str>), FactsError> {
        if let Some((name, template)) = self.template_for(index) {
            return Ok((self.composed(template)?, Some(name)));
        }
        let fits =
            |template: &&LegacyTemplate| template.index_patterns.iter().any(|pattern| names::matches(pattern, index));
        let mut fitting: Vec<_> = self.legacy_templates.values().filter(fits).collect();
        fitting.sort_by_key(|template| template.order);
        let mut body = Body::default();
        for template in fitting {
            body.extend(&template.template);
        }
        Declared::read(&body.mappings)?;
        Ok((body, None))
    }

    /// The facts of a new index: what templates say, and then what the request for it says.
    pub(crate) fn facts_for(&self, index: &str, asked: &Body) -> Result<Facts, FactsError> {
        let (mut body, name) = self.body_for(index)?;
        body.extend(asked);
        Declared::read(&body.mappings)?;
        let stream =
            name.and_then(|name| self.index_templates.get(name)).and_then(|template| template.data_stream.as_ref());
        let Body { settings, mappings, aliases, lifecycle } = body;
        let mut facts = Facts { mappings, settings, aliases, ..Facts::default() };
        facts.data_stream = stream.map(|stream| DataStream {
            template: name.map(str::to_owned),
            hidden: stream.get("hidden") == Some(&Value::Bool(true)),
            lifecycle,
        });
        facts.retention_age_ms = self.retention_of(&facts);
        Ok(facts)
    }

    /// How long the events of an index are kept, by its lifecycle policy or its data stream's lifecycle.
    pub(crate) fn retention_of(&self, facts: &Facts) -> Option<u64> {
        let by_policy = || self.policies.get(facts.settings.get(LIFECYCLE_NAME)?)?.delete_after_ms;
        let by_stream = || {
            let lifecycle = facts.data_stream.as_ref()?.lifecycle.as_ref()?;
            if lifecycle.get("enabled") == Some(&Value::Bool(false)) {
                return None;
            }
            lifecycle.get("data_retention")?.as_str().and_then(duration_ms)
        };
        by_policy().into_iter().chain(by_stream()).min()
    }

    /// Whether templates that are used together would be none.
    pub(crate) fn users_of(&self, component: &str) -> Vec<&str> {
        let uses = |template: &IndexTemplate| template.composed_of.iter().any(|name| name == component);
        self.index_templates.iter().filter(|(_, template)| uses(template)).map(|(name, _)| name.as_str()).collect()
    }
}

impl Body {
    /// Takes over what another body says; it wins where both say something.
    pub(crate) fn extend(&mut self, other: &Self) {
        self.settings.extend(&other.settings);
        declared::merge(&mut self.mappings, &other.mappings);
        self.aliases.extend(other.aliases.iter().map(|(name, alias)| (name.clone(), alias.clone())));
        if other.lifecycle.is_some() {
            self.lifecycle.clone_from(&other.lifecycle);
        }
    }
}

/// Milliseconds of a time as Elasticsearch writes it: `30d`, `12h`, `5m`, `10s`, `100ms`.
pub(crate) fn duration_ms(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let number: u64 = number.parse().ok()?;
    let unit_ms = match unit {
        "d" => 86_400_000,
        "h" => 3_600_000,
        "m" => 60_000,
        "s" => 1000,
        "ms" => 1,
        "micros" => return Some(number / 1000),
        "nanos" => return Some(number / 1_000_000),
        _ => return None,
    };
    number.checked_mul(unit_ms)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn body(value: Value) -> Body {
        serde_json::from_value(value).unwrap()
    }

    fn directory() -> Directory {
        let mut directory = Directory::default();
        let component = |value| ComponentTemplate { template: body(value), ..ComponentTemplate::default() };
        directory.component_templates.insert(
            "base".into(),
            component(json!({"settings": {"index.codec": "default", "index.lifecycle.name": "p"},
                "mappings": {"properties": {"a": {"type": "keyword"}, "o": {"properties": {"x": {"type": "long"}}}},
                    "dynamic_templates": [{"one": {"mapping": {"type": "keyword"}}}]}})),
        );
        let template = |patterns: &[&str], priority, value: Value| IndexTemplate {
            index_patterns: patterns.iter().map(|pattern| (*pattern).to_owned()).collect(),
            priority: Some(priority),
            composed_of: vec!["base".into()],
            template: Some(body(value)),
            ..IndexTemplate::default()
        };
        directory.index_templates.insert("low".into(), template(&["logs-*"], 1, json!({})));
        let mut high = template(
            &["logs-app-*", "other"],
            10,
            json!({"settings": {"index.codec": "best"}, "aliases": {"all": {}}, "lifecycle": {"data_retention": "3d"},
                "mappings": {"properties": {"o": {"properties": {"y": {"type": "ip"}}}}, "dynamic_templates": [{"two": {"mapping": {"type": "long"}}}, {"one": {"mapping": {"type": "text"}}}]}}),
        );
        high.data_stream = Some(json!({}));
        directory.index_templates.insert("high".into(), high);
        directory.policies.insert("p".into(), Policy { delete_after_ms: duration_ms("7d"), ..Policy::default() });
        directory
    }

    #[test]
    fn the_template_of_the_highest_priority_is_composed_in_order() {
        let facts = directory().facts_for("logs-app-x", &body(json!({"settings": {"index.priority": "5"}}))).unwrap();
        assert_eq!(
            (facts.settings.get("index.codec"), facts.settings.get("index.priority")),
            (Some("best"), Some("5"))
        );
        assert!(facts.aliases.contains_key("all"));
        let mappings = Value::Object(facts.mappings.clone());
        assert_eq!(mappings.pointer("/properties/o/properties/x/type"), Some(&json!("long")));
        assert_eq!(mappings.pointer("/properties/o/properties/y/type"), Some(&json!("ip")));
        let templates = json!([{"one": {"mapping": {"type": "text"}}}, {"two": {"mapping": {"type": "long"}}}]);
        assert_eq!(mappings.pointer("/dynamic_templates"), Some(&templates));
        assert_eq!(facts.data_stream.as_ref().and_then(|stream| stream.template.as_deref()), Some("high"));
        assert_eq!(facts.retention_age_ms, duration_ms("3d"));
        let low = directory().facts_for("logs-x", &Body::default()).unwrap();
        assert_eq!((low.data_stream.is_some(), low.retention_age_ms), (false, duration_ms("7d")));
        assert_eq!(directory().facts_for("metrics", &Body::default()), Ok(Facts::default()));
    }

    #[test]
    fn older_templates_apply_in_their_order_where_no_newer_one_does() {
        let mut directory = directory();
        for (name, order, codec) in [("b", 1, "first"), ("a", 2, "second")] {
            let template = body(json!({"settings": {"index.codec": codec}}));
            let legacy = LegacyTemplate { index_patterns: vec!["*".into()], order, template, version: None };
            directory.legacy_templates.insert(name.into(), legacy);
        }
        assert_eq!(
            directory.facts_for("metrics", &Body::default()).unwrap().settings.get("index.codec"),
            Some("second")
        );
        assert_eq!(
            directory.facts_for("logs-x", &Body::default()).unwrap().settings.get("index.codec"),
            Some("default")
        );
    }

    #[test]
    fn a_missing_component_is_told() {
        let mut directory = directory();
        directory.component_templates.clear();
        assert!(directory.facts_for("logs-x", &Body::default()).unwrap_err().to_string().contains("[base]"));
    }

    #[test]
    fn times_are_read() {
        assert_eq!(
            (duration_ms("30d"), duration_ms("0ms"), duration_ms("d"), duration_ms("1w")),
            (Some(2_592_000_000), Some(0), None, None)
        );
    }
}
