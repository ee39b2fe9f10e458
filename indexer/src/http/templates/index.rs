//! `_index_template`, and what such templates would make of a name.

use std::collections::BTreeMap;

use axum::body::Body as HttpBody;
use axum::extract::{Path, State};
use serde_json::{Map, Value, json};

use super::super::Api;
use super::super::answer::{self, Answer};
use super::super::params::Params;
use super::family::{Family, not_found};
use super::said::{read_body, shown_body, strings};
use crate::query::error::EsError;
use crate::query::strict::Members;
use crate::store::catalog::Catalog;
use crate::store::directory::{Body, Directory, IndexTemplate};
use crate::store::names;
use crate::store::order::Order;

pub(super) struct Index;

impl Family for Index {
    type Template = IndexTemplate;

    const PATH: &'static str = "/_index_template";
    const KIND: &'static str = "index template";

    fn of(directory: &Directory) -> &BTreeMap<String, IndexTemplate> {
        &directory.index_templates
    }

    fn of_mut(directory: &mut Directory) -> &mut BTreeMap<String, IndexTemplate> {
        &mut directory.index_templates
    }

    fn read(body: Value, _: &mut Params) -> Result<IndexTemplate, EsError> {
        read(body)
    }

    fn show(found: Vec<(&String, &IndexTemplate)>) -> Value {
        let one = |(name, template)| json!({ "name": name, "index_template": shown(template) });
        json!({ "index_templates": found.into_iter().map(one).collect::<Vec<_>>() })
    }

    fn check_put(directory: &Directory, name: &str) -> Result<(), EsError> {
        let Some(template) = directory.index_templates.get(name) else { return Ok(()) };
        check_components(directory, name, template)?;
        check_priority(directory, name, template)?;
        Order::of(&directory.composed(template)?.settings)?;
        Ok(())
    }

    fn check_delete(_: &Directory, catalog: &Catalog, name: &str) -> Result<(), EsError> {
        let used = catalog.indexes.iter().find(|(_, state)| {
            state.facts.data_stream.as_ref().and_then(|stream| stream.template.as_deref()) == Some(name)
        });
        match used {
            None => Ok(()),
            Some((stream, _)) => Err(EsError::argument(format!(
                "unable to remove composable templates [{name}] as they are in use by a data streams [{stream}]"
            ))),
        }
    }
}

fn shown(template: &IndexTemplate) -> Map<String, Value> {
    let mut shown = Map::new();
    let mut put = |key: &str, value: Option<Value>| shown.extend(value.map(|value| (key.to_owned(), value)));
    put("index_patterns", Some(json!(template.index_patterns)));
    put("template", template.template.as_ref().map(|body| shown_body(body).into()));
    put("composed_of", Some(json!(template.composed_of)));
    put("priority", template.priority.map(Value::from));
    put("version", template.version.map(Value::from));
    put("_meta", template.meta.clone());
    put("data_stream", template.data_stream.clone());
    put("allow_auto_create", template.allow_auto_create.map(Value::from));
    let lenient = &template.ignore_missing_component_templates;
    put("ignore_missing_component_templates", (!lenient.is_empty()).then(|| json!(lenient)));
    shown
}

fn read(body: Value) -> Result<IndexTemplate, EsError> {
    let mut members = Members::new(body, "[index_template]")?;
    let mut template = IndexTemplate {
        index_patterns: strings(&mut members, "index_patterns")?,
        composed_of: strings(&mut members, "composed_of")?,
        ignore_missing_component_templates: strings(&mut members, "ignore_missing_component_templates")?,
        priority: members.whole("priority")?,
        version: members.whole("version")?,
        meta: members.take("_meta"),
        allow_auto_create: members.boolean("allow_auto_create")?,
        ..IndexTemplate::default()
    };
    if template.index_patterns.is_empty() {
        return Err(EsError::argument("[index_patterns] must name at least one pattern"));
    }
    if let Some(stream) = members.take("data_stream") {
        let mut inner = Members::new(stream.clone(), "[data_stream]")?;
        inner.boolean("hidden")?;
        inner.ignore(&["allow_custom_routing"]);
        if inner.take("timestamp_field").is_some_and(|field| field != json!({"name": "@timestamp"})) {
            return Err(EsError::argument("[timestamp_field] of a data stream can only be [@timestamp]"));
        }
        inner.end()?;
        template.data_stream = Some(stream);
    }
    if let Some(body) = members.take("template") {
        let mut inner = Members::new(body, "[template]")?;
        template.template = Some(read_body(&mut inner)?);
        inner.ignore(&["data_stream_options"]);
        inner.end()?;
    }
    members.ignore(&["deprecated"]);
    members.end()?;
    Ok(template)
}

fn check_components(directory: &Directory, name: &str, template: &IndexTemplate) -> Result<(), EsError> {
    let is_missing = |component: &&String| {
        !directory.component_templates.contains_key(*component)
            && !template.ignore_missing_component_templates.contains(component)
    };
    let missing: Vec<&str> = template.composed_of.iter().filter(is_missing).map(String::as_str).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let reason =
        format!("index template [{name}] specifies component templates [{}] that do not exist", missing.join(", "));
    Err(EsError::new(400, "invalid_index_template_exception", reason))
}

/// Two templates of one priority must not fit one name, or nobody could tell which applies.
fn check_priority(directory: &Directory, name: &str, template: &IndexTemplate) -> Result<(), EsError> {
    let overlap = |one: &String, other: &String| names::matches(one, other) || names::matches(other, one);
    let clash = directory.index_templates.iter().find(|(known, other)| {
        *known != name
            && other.priority.unwrap_or(0) == template.priority.unwrap_or(0)
            && other.index_patterns.iter().any(|one| template.index_patterns.iter().any(|other| overlap(one, other)))
    });
    let Some((known, other)) = clash else { return Ok(()) };
    Err(EsError::argument(format!(
        "index template [{name}] has index patterns [{}] matching patterns from existing templates [{known}] with patterns ({known} => [{}]) that have the same priority [{}], multiple index templates may not match during index creation, please use a different priority",
        template.index_patterns.join(", "),
        other.index_patterns.join(", "),
        template.priority.unwrap_or(0)
    )))
}

/// `_simulate_index/<name>`: what an index of this name would get.
pub(super) async fn simulate_index(State(api): State<Api>, Path(name): Path<String>, body: HttpBody) -> Answer {
    let body = api.bodies.read_json(body).await?;
    let mut directory = Directory::clone(&api.store.directory());
    if !body.is_null() {
        let template = read(body)?;
        check_components(&directory, "simulated", &template)?;
        directory.index_templates.insert("\u{0}simulated".to_owned(), template);
    }
    let overlapping: Vec<Value> = directory
        .index_templates
        .iter()
        .filter(|(_, template)| template.index_patterns.iter().any(|pattern| names::matches(pattern, &name)))
        .filter(|(known, _)| Some(known.as_str()) != directory.template_for(&name).map(|(name, _)| name))
        .map(|(known, template)| json!({ "name": known, "index_patterns": template.index_patterns }))
        .collect();
    let (body, _) = directory.body_for(&name)?;
    Ok(answer::json(&json!({ "template": simulated(&body), "overlapping": overlapping })))
}

/// `_simulate/<name>`: what a template comes to.
pub(super) async fn simulate(State(api): State<Api>, Path(name): Path<String>) -> Answer {
    let directory = api.store.directory();
    let template = directory.index_templates.get(&name).ok_or_else(|| not_found("index template", &name))?;
    let body = directory.composed(template)?;
    Ok(answer::json(&json!({ "template": simulated(&body), "overlapping": [] })))
}

/// `_simulate`: what the template in the body would come to.
pub(super) async fn simulate_new(State(api): State<Api>, body: HttpBody) -> Answer {
    let template = read(api.bodies.read_json(body).await?)?;
    let directory = api.store.directory();
    check_components(&directory, "simulated", &template)?;
    let body = directory.composed(&template)?;
    Order::of(&body.settings)?;
    Ok(answer::json(&json!({ "template": simulated(&body), "overlapping": [] })))
}

/// All three members are there, also when nothing is said.
fn simulated(body: &Body) -> Value {
    let mut shown = json!({ "settings": {}, "mappings": {}, "aliases": {} });
    if let Some(map) = shown.as_object_mut() {
        map.extend(shown_body(body));
    }
    shown
}
