//! What a template or a request for an index says of it: settings, a mapping, aliases, how long events are kept.

use serde_json::{Map, Value, json};

use super::super::aliases;
use crate::query::error::EsError;
use crate::query::strict::Members;
use crate::store::directory::{Body, duration_ms};
use crate::store::mapping::Declared;
use crate::store::settings::Settings;

/// Components and patterns of one template.
const LIST_MAX: usize = 1000;

/// What a template or a request for an index says of it. `_doc` around the mapping is how version 6 wrote it.
pub(in crate::http) fn read_body(members: &mut Members) -> Result<Body, EsError> {
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
        body.lifecycle = Some(read_lifecycle(lifecycle)?);
    }
    Ok(body)
}

/// A mapping, read and found to be one.
pub(in crate::http) fn read_mapping(value: Value) -> Result<Map<String, Value>, EsError> {
    let Value::Object(mut map) = value else { return Err(EsError::mapping("a mapping must be an object")) };
    if map.len() == 1
        && let Some(Value::Object(inner)) = map.get("_doc")
    {
        map = inner.clone();
    }
    Declared::read(&map)?;
    Ok(map)
}

pub(super) fn shown_body(body: &Body) -> Map<String, Value> {
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

/// A data stream's lifecycle, found to be one.
pub(in crate::http) fn read_lifecycle(value: Value) -> Result<Value, EsError> {
    let mut members = Members::new(value.clone(), "[lifecycle]")?;
    members.boolean("enabled")?;
    if let Some(retention) = members.string("data_retention")?
        && duration_ms(&retention).is_none()
    {
        return Err(EsError::argument(format!("[data_retention] can't be [{retention}]: a time like 30d or 12h")));
    }
    if members.take("downsampling").is_some_and(|value| value != json!([])) {
        return Err(EsError::argument("[downsampling] is not supported: events are kept as they are, or deleted"));
    }
    members.end()?;
    Ok(value)
}

/// A list of names.
pub(super) fn strings(members: &mut Members, key: &str) -> Result<Vec<String>, EsError> {
    let list = members.strings(key)?.unwrap_or_default();
    if list.len() > LIST_MAX {
        return Err(EsError::argument(format!("[{key}] has more than {LIST_MAX} members")));
    }
    Ok(list)
}
