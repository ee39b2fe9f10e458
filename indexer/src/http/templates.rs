//! Templates: `_index_template`, `_component_template`, `_template`, and what they would make of a name.

use std::collections::BTreeMap;

use axum::body::Body as HttpBody;
use axum::extract::{Path, RawQuery, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use logmill_indexer_api::text::Wildcard;
use serde_json::{Map, Value, json};

use super::Api;
use super::aliases;
use super::answer::{self, Answer};
use super::params::Params;
use crate::query::error::EsError;
use crate::query::strict::Members;
use crate::store::directory::{Body, ComponentTemplate, Directory, ENTRIES_MAX, IndexTemplate, LegacyTemplate};
use crate::store::mapping::Declared;
use crate::store::names;
use crate::store::settings::Settings;

/// Components and patterns of one template.
const LIST_MAX: usize = 1000;

/// What a template or a request for an index says of it. `_doc` around the mapping is how version 6 wrote it.
pub(super) fn read_body(members: &mut Members) -> Result<Body, EsError> {
    let mut body = Body::default();
    if let Some(settings) = members.take("settings") {
        body.settings = Settings::read(&settings)?;
    }
    if let Some(mappings) = members.take("mappings") {
        body.mappings = read_mapping(mappings)?;
    }
    if let Some(Value::Object(named)) = members.take("aliases") {
        for (name, alias) in named {
            body.aliases.insert(aliases::valid_name(name)?, aliases::read_alias(alias)?);
        }
    }
    if let Some(lifecycle) = members.take("lifecycle") {
        body.lifecycle = Some(super::data_streams::read_lifecycle(lifecycle)?);
    }
    Ok(body)
}

/// A mapping, read and found to be one.
pub(super) fn read_mapping(value: Value) -> Result<Map<String, Value>, EsError> {
    let Value::Object(mut map) = value else { return Err(EsError::mapping("a mapping must be an object")) };
    if map.len() == 1
        && let Some(Value::Object(inner)) = map.get("_doc")
    {
        map = inner.clone();
    }
    Declared::read(&map)?;
    Ok(map)
}

fn shown_body(body: &Body) -> Map<String, Value> {
    let mut shown = Map::new();
    if !body.settings.is_empty() {
        shown.insert("settings".to_owned(), body.settings.nested().into());
    }
    if !body.mappings.is_empty() {
        shown.insert("mappings".to_owned(), body.mappings.clone().into());
    }
    if !body.aliases.is_empty() {
        shown.insert("aliases".to_owned(), json!(body.aliases));
    }
    shown.extend(body.lifecycle.clone().map(|lifecycle| ("lifecycle".to_owned(), lifecycle)));
    shown
}

fn strings(members: &mut Members, key: &str) -> Result<Vec<String>, EsError> {
    let list = members.strings(key)?.unwrap_or_default();
    if list.len() > LIST_MAX {
        return Err(EsError::argument(format!("[{key}] has more than {LIST_MAX} members")));
    }
    Ok(list)
}

fn is_new(params: &mut Params, known: bool, kind: &str, name: &str) -> Result<(), EsError> {
    if params.flag("create")?.unwrap_or(false) && known {
        return Err(EsError::argument(format!("{kind} [{name}] already exists")));
    }
    Ok(())
}

fn has_room(count: usize) -> Result<(), EsError> {
    if count < ENTRIES_MAX {
        return Ok(());
    }
    Err(EsError::argument(format!("there are {ENTRIES_MAX} templates of this kind already; delete some")))
}

/// What the names in an address choose; a name without a wildcard that is not known is an error.
fn chosen<'d, T>(
    all: &'d BTreeMap<String, T>,
    wanted: Option<&str>,
    missing: impl Fn(&str) -> EsError,
) -> Result<Vec<(&'d String, &'d T)>, EsError> {
    let Some(wanted) = wanted else { return Ok(all.iter().collect()) };
    let mut found: BTreeMap<&String, &T> = BTreeMap::new();
    for name in wanted.split(',') {
        let pattern = Wildcard::new(name);
        let matching: Vec<_> = all.iter().filter(|(known, _)| pattern.matches(known)).collect();
        if matching.is_empty() && !name.contains('*') {
            return Err(missing(name));
        }
        found.extend(matching);
    }
    Ok(found.into_iter().collect())
}

fn not_found(kind: &str, name: &str) -> EsError {
    EsError::new(404, "resource_not_found_exception", format!("{kind} matching [{name}] not found"))
}

/// Looks only: what is there is 200, what is not is 404, neither with a body.
fn only_whether(method: &Method, found: Result<Response, EsError>) -> Answer {
    if *method != Method::HEAD {
        return found;
    }
    Ok(if found.is_ok() { StatusCode::OK } else { StatusCode::NOT_FOUND }.into_response())
}

pub(super) async fn get_index_templates(state: State<Api>, method: Method, query: RawQuery) -> Answer {
    show_index_templates(&state, &method, None, &query)
}

pub(super) async fn get_index_template(
    state: State<Api>,
    method: Method,
    Path(name): Path<String>,
    query: RawQuery,
) -> Answer {
    show_index_templates(&state, &method, Some(&name), &query)
}

fn show_index_templates(api: &Api, method: &Method, name: Option<&str>, query: &RawQuery) -> Answer {
    let mut params = Params::new(query.0.as_deref());
    params.ignore(&["flat_settings", "include_defaults"]);
    params.end("/_index_template")?;
    let directory = api.store.directory();
    let found = chosen(&directory.index_templates, name, |name| not_found("index template", name)).map(|found| {
        let list: Vec<Value> = found
            .into_iter()
            .map(|(name, template)| json!({ "name": name, "index_template": shown_index_template(template) }))
            .collect();
        answer::json(&json!({ "index_templates": list }))
    });
    only_whether(method, found)
}

fn shown_index_template(template: &IndexTemplate) -> Map<String, Value> {
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

fn read_index_template(body: Value) -> Result<IndexTemplate, EsError> {
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

pub(super) async fn put_index_template(
    State(api): State<Api>,
    Path(name): Path<String>,
    query: RawQuery,
    body: HttpBody,
) -> Answer {
    let mut params = Params::new(query.0.as_deref());
    params.ignore(&["cause"]);
    let template = read_index_template(api.bodies.read_json(body).await?)?;
    super::changing(&api, move |store| {
        store.amend_directory(|directory, _| {
            is_new(&mut params, directory.index_templates.contains_key(&name), "index template", &name)?;
            params.end("/_index_template")?;
            has_room(directory.index_templates.len())?;
            check_components(directory, &name, &template)?;
            check_priority(directory, &name, &template)?;
            directory.composed(&template)?;
            directory.index_templates.insert(name, template);
            Ok(())
        })
    })
    .await?;
    Ok(answer::json(&json!({ "acknowledged": true })))
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

pub(super) async fn delete_index_template(State(api): State<Api>, Path(name): Path<String>) -> Answer {
    super::changing(&api, move |store| {
        store.amend_directory(|directory, catalog| {
            let gone: Vec<String> =
                chosen(&directory.index_templates, Some(&name), |name| not_found("index_template", name))?
                    .into_iter()
                    .map(|(name, _)| name.clone())
                    .collect();
            for name in gone {
                let used = catalog.indexes.iter().find(|(_, state)| {
                    state.facts.data_stream.as_ref().and_then(|stream| stream.template.as_deref()) == Some(&name)
                });
                if let Some((stream, _)) = used {
                    let reason = format!(
                        "unable to remove composable templates [{name}] as they are in use by a data streams [{stream}]"
                    );
                    return Err(EsError::argument(reason));
                }
                directory.index_templates.remove(&name);
            }
            Ok(())
        })
    })
    .await?;
    Ok(answer::json(&json!({ "acknowledged": true })))
}

/// `_simulate_index/<name>`: what an index of this name would get.
pub(super) async fn simulate_index(State(api): State<Api>, Path(name): Path<String>, body: HttpBody) -> Answer {
    let body = api.bodies.read_json(body).await?;
    let mut directory = Directory::clone(&api.store.directory());
    if !body.is_null() {
        let template = read_index_template(body)?;
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

/// All three members are there, also when nothing is said.
fn simulated(body: &Body) -> Value {
    let mut shown = json!({ "settings": {}, "mappings": {}, "aliases": {} });
    if let Some(map) = shown.as_object_mut() {
        map.extend(shown_body(body));
    }
    shown
}

pub(super) async fn get_component_templates(state: State<Api>, method: Method) -> Answer {
    show_component_templates(&state, &method, None)
}

pub(super) async fn get_component_template(state: State<Api>, method: Method, Path(name): Path<String>) -> Answer {
    show_component_templates(&state, &method, Some(&name))
}

fn show_component_templates(api: &Api, method: &Method, name: Option<&str>) -> Answer {
    let directory = api.store.directory();
    let found = chosen(&directory.component_templates, name, |name| not_found("component template", name));
    let found = found.map(|found| {
        let list: Vec<Value> = found
            .into_iter()
            .map(|(name, component)| {
                let mut shown = json!({ "template": shown_body(&component.template) });
                if let Some(map) = shown.as_object_mut() {
                    map.extend(component.version.map(|version| ("version".to_owned(), version.into())));
                    map.extend(component.meta.clone().map(|meta| ("_meta".to_owned(), meta)));
                }
                json!({ "name": name, "component_template": shown })
            })
            .collect();
        answer::json(&json!({ "component_templates": list }))
    });
    only_whether(method, found)
}

pub(super) async fn put_component_template(
    State(api): State<Api>,
    Path(name): Path<String>,
    query: RawQuery,
    body: HttpBody,
) -> Answer {
    let mut params = Params::new(query.0.as_deref());
    params.ignore(&["cause"]);
    let mut members = Members::new(api.bodies.read_json(body).await?, "[component_template]")?;
    let mut inner = Members::new(members.required("template")?, "[template]")?;
    let component = ComponentTemplate {
        template: read_body(&mut inner)?,
        version: members.whole("version")?,
        meta: members.take("_meta"),
    };
    inner.ignore(&["data_stream_options"]);
    inner.end()?;
    members.ignore(&["deprecated", "allow_auto_create"]);
    members.end()?;
    super::changing(&api, move |store| {
        store.amend_directory(|directory, _| {
            is_new(&mut params, directory.component_templates.contains_key(&name), "component template", &name)?;
            params.end("/_component_template")?;
            has_room(directory.component_templates.len())?;
            directory.component_templates.insert(name.clone(), component);
            // Whatever is composed of it must still come to something.
            let users: Vec<String> = directory.users_of(&name).into_iter().map(str::to_owned).collect();
            for user in users {
                if let Some(template) = directory.index_templates.get(&user) {
                    directory.composed(template)?;
                }
            }
            Ok(())
        })
    })
    .await?;
    Ok(answer::json(&json!({ "acknowledged": true })))
}

pub(super) async fn delete_component_template(State(api): State<Api>, Path(name): Path<String>) -> Answer {
    super::changing(&api, move |store| {
        store.amend_directory(|directory, _| {
            let gone: Vec<String> =
                chosen(&directory.component_templates, Some(&name), |name| not_found("component template", name))?
                    .into_iter()
                    .map(|(name, _)| name.clone())
                    .collect();
            for name in gone {
                let users = directory.users_of(&name);
                if !users.is_empty() {
                    return Err(EsError::argument(format!(
                        "component templates [{name}] cannot be removed as they are still in use by index templates [{}]",
                        users.join(", ")
                    )));
                }
                directory.component_templates.remove(&name);
            }
            Ok(())
        })
    })
    .await?;
    Ok(answer::json(&json!({ "acknowledged": true })))
}

pub(super) async fn get_legacy_templates(state: State<Api>, method: Method) -> Answer {
    show_legacy_templates(&state, &method, None)
}

pub(super) async fn get_legacy_template(state: State<Api>, method: Method, Path(name): Path<String>) -> Answer {
    show_legacy_templates(&state, &method, Some(&name))
}

fn show_legacy_templates(api: &Api, method: &Method, name: Option<&str>) -> Answer {
    let directory = api.store.directory();
    let found = chosen(&directory.legacy_templates, name, |name| not_found("index_template", name)).map(|found| {
        let shown: Map<String, Value> = found
            .into_iter()
            .map(|(name, template)| {
                let mut shown = json!({ "order": template.order, "index_patterns": template.index_patterns,
                    "settings": {}, "mappings": {}, "aliases": {} });
                if let Some(map) = shown.as_object_mut() {
                    map.extend(template.version.map(|version| ("version".to_owned(), version.into())));
                    map.extend(shown_body(&template.template));
                }
                (name.clone(), shown)
            })
            .collect();
        answer::json(&Value::Object(shown))
    });
    match found {
        // The older API answers an empty object.
        Err(_) if *method == Method::GET => Ok(answer::json_with(StatusCode::NOT_FOUND, &json!({}))),
        found => only_whether(method, found),
    }
}

pub(super) async fn put_legacy_template(
    State(api): State<Api>,
    Path(name): Path<String>,
    query: RawQuery,
    body: HttpBody,
) -> Answer {
    let mut params = Params::new(query.0.as_deref());
    params.ignore(&["cause"]);
    let order = params.take("order").and_then(|order| order.parse().ok());
    let mut members = Members::new(api.bodies.read_json(body).await?, "[template]")?;
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
    super::changing(&api, move |store| {
        store.amend_directory(|directory, _| {
            is_new(&mut params, directory.legacy_templates.contains_key(&name), "index_template", &name)?;
            params.end("/_template")?;
            has_room(directory.legacy_templates.len())?;
            directory.legacy_templates.insert(name, template);
            Ok(())
        })
    })
    .await?;
    Ok(answer::json(&json!({ "acknowledged": true })))
}

pub(super) async fn delete_legacy_template(State(api): State<Api>, Path(name): Path<String>) -> Answer {
    super::changing(&api, move |store| {
        store.amend_directory(|directory, _| {
            let gone: Vec<String> = chosen(&directory.legacy_templates, Some(&name), |name| {
                EsError::new(404, "index_template_missing_exception", format!("index_template [{name}] missing"))
            })?
            .into_iter()
            .map(|(name, _)| name.clone())
            .collect();
            gone.iter().for_each(|name| drop(directory.legacy_templates.remove(name)));
            Ok::<_, EsError>(())
        })
    })
    .await?;
    Ok(answer::json(&json!({ "acknowledged": true })))
}
