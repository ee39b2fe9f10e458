//! `_template`: templates as they were before they could be composed.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use super::super::answer::{self, Answer};
use super::super::params::Params;
use super::family::Family;
use super::said::{read_body, shown_body, strings};
use crate::query::error::EsError;
use crate::query::strict::Members;
use crate::store::directory::{Body, Directory, LegacyTemplate};
use crate::store::order::Order;

pub(super) struct Legacy;

impl Family for Legacy {
    type Template = LegacyTemplate;

    const PATH: &'static str = "/_template";
    const KIND: &'static str = "index_template";

    fn of(directory: &Directory) -> &BTreeMap<String, LegacyTemplate> {
        &directory.legacy_templates
    }

    fn of_mut(directory: &mut Directory) -> &mut BTreeMap<String, LegacyTemplate> {
        &mut directory.legacy_templates
    }

    fn read(body: Value, params: &mut Params) -> Result<LegacyTemplate, EsError> {
        let order = params.take("order").and_then(|order| order.parse().ok());
        let mut members = Members::new(body, "[template]")?;
        let mut template = LegacyTemplate {
            index_patterns: strings(&mut members, "index_patterns")?,
            order: members.whole("order")?.or(order).unwrap_or(0),
            version: members.whole("version")?,
            template: Body::default(),
        };
        template.template = read_body(&mut members)?;
        members.end()?;
        if template.index_patterns.is_empty() {
            return Err(EsError::argument("Validation Failed: 1: index patterns are missing;"));
        }
        Ok(template)
    }

    fn show(found: Vec<(&String, &LegacyTemplate)>) -> Value {
        let one = |(name, template): (&String, &LegacyTemplate)| {
            let mut shown = json!({ "order": template.order, "index_patterns": template.index_patterns,
                "settings": {}, "mappings": {}, "aliases": {} });
            if let Some(map) = shown.as_object_mut() {
                map.extend(template.version.map(|version| ("version".to_owned(), version.into())));
                map.extend(shown_body(&template.template));
            }
            (name.clone(), shown)
        };
        Value::Object(found.into_iter().map(one).collect::<Map<String, Value>>())
    }

    fn check_put(directory: &Directory, name: &str) -> Result<(), EsError> {
        let Some(template) = directory.legacy_templates.get(name) else { return Ok(()) };
        Order::of(&template.template.settings)?;
        Ok(())
    }

    /// The older API answers an empty object.
    fn none_to_show(_: EsError) -> Answer {
        Ok(answer::json_with(StatusCode::NOT_FOUND, &json!({})))
    }

    fn none_to_delete(name: &str) -> EsError {
        EsError::new(404, "index_template_missing_exception", format!("index_template [{name}] missing"))
    }
}
