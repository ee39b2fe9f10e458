//! Indexes: what there is, making and removing them, waiting for what was written.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use serde_json::{Map, Value, json};

use super::Api;
use super::answer::{self, Answer};
use super::choice::Absent;
use super::named::Indices;
use super::params::Params;
use super::templates::said::read_body;
use crate::query::error::EsError;
use crate::query::execute::Shards;
use crate::query::strict::Members;
use crate::store::directory::{Body as Asked, FactsError};
use crate::store::facts::backing_name;
use crate::store::mapping::{MappingError, render};
use crate::store::names::Expand;
use crate::store::settings::SettingsError;
use crate::store::{ChangeError, View};

/// How long `_refresh` waits for what was written through this API.
const REFRESH_WAIT: Duration = Duration::from_secs(30);

/// The chosen indexes, no parts.
pub(super) fn chosen(api: &Api, index: &str, params: &mut Params) -> Result<View, EsError> {
    let (absent, expand) = (Absent::read(params)?, params.expand(Expand::Visible)?);
    let ask = |expression: &str| api.store.view_expanding(expression, expand, Some(&super::NO_PARTS));
    absent.choose(index, ask, |view: &View| view.mappings.is_empty())
}

impl From<ChangeError> for EsError {
    fn from(error: ChangeError) -> Self {
        let reason = error.to_string();
        match error {
            ChangeError::Exists(name) => {
                Self { index: Some(name), ..Self::new(400, "resource_already_exists_exception", reason) }
            }
            ChangeError::Missing(missing) => Self::no_index(&missing.0),
            ChangeError::Facts(error) => error.into(),
            ChangeError::Name(_) | ChangeError::IsAlias(_) => Self::new(400, "invalid_index_name_exception", reason),
            _ => Self::internal(reason),
        }
    }
}

impl From<MappingError> for EsError {
    fn from(error: MappingError) -> Self {
        // A field's type can't be changed: the mapping itself is one.
        if error.0.contains("cannot be changed from type") {
            return Self::argument(error.0);
        }
        Self::mapping(error.0)
    }
}

impl From<SettingsError> for EsError {
    fn from(error: SettingsError) -> Self {
        Self::argument(error.to_string())
    }
}

impl From<FactsError> for EsError {
    fn from(error: FactsError) -> Self {
        match error {
            FactsError::Mapping(error) => error.into(),
            FactsError::Settings(error) => error.into(),
            FactsError::Invalid(reason) => Self::argument(reason),
        }
    }
}

pub(super) async fn create(State(api): State<Api>, Path(index): Path<String>, query: RawQuery, body: Body) -> Answer {
    let mut params = Params::new(query.0.as_deref());
    params.ignore(&["timeout"]);
    params.end("/{index}")?;
    let body = api.bodies.read_json(body).await?;
    let mut asked = Asked::default();
    if !body.is_null() {
        let mut members = Members::new(body, "the index")?;
        asked = read_body(&mut members)?;
        members.end()?;
    }
    if api.store.directory().template_for(&index).is_some_and(|(_, template)| template.data_stream.is_some()) {
        let reason = format!(
            "cannot create index with name [{index}], because it matches with template that creates data streams only, use create data stream api instead"
        );
        return Err(EsError::argument(reason));
    }
    let name = index.clone();
    super::changing(&api, move |store| Ok(store.create_with(&name, &asked, false)?)).await?;
    Ok(answer::json(&json!({ "acknowledged": true, "shards_acknowledged": true, "index": index })))
}

/// Removes an index with what is on its way to it.
pub(super) async fn remove(api: &Api, name: &str) -> Result<(), EsError> {
    // What was acknowledged before goes too, and must not make the index anew when it arrives.
    let _ = api.store.wait_visible(&api.writer.written(), REFRESH_WAIT).await;
    match api.store.delete_index(name).await {
        // Nothing of a data stream may ever have been there.
        Ok(()) | Err(ChangeError::Missing(_)) => {}
        Err(error) => return Err(error.into()),
    }
    api.writer.forget_index(name);
    Ok(())
}

pub(super) async fn delete(State(api): State<Api>, Path(index): Path<String>, query: RawQuery) -> Answer {
    let mut params = Params::new(query.0.as_deref());
    params.ignore(&["timeout"]);
    let found = super::chosen_facts(&api, &index, Expand::Visible, &mut params)?;
    params.end("/{index}")?;
    if index.contains(['*', '?']) || index == "_all" {
        return Err(EsError::argument(
            "Wildcard expressions or all indices are not allowed: name the indexes to delete",
        ));
    }
    for name in index.split(',') {
        if found.iter().any(|known| known.facts.aliases.contains_key(name)) {
            let reason = format!(
                "The provided expression [{name}] matches an alias, specify the corresponding concrete indices instead."
            );
            return Err(EsError::argument(reason));
        }
        if let Some(stream) = found.iter().find(|known| {
            known.facts.data_stream.is_some() && (known.name.as_ref() == name || name.starts_with(".ds-"))
        }) {
            let reason = format!(
                "The provided expression [{name}] matches a data stream [{}], use DELETE /_data_stream/{} instead.",
                stream.name, stream.name
            );
            return Err(EsError::argument(reason));
        }
    }
    for known in found {
        remove(&api, &known.name).await?;
    }
    Ok(answer::json(&json!({ "acknowledged": true })))
}

/// `GET` and `HEAD <index>`.
pub(super) async fn describe(State(api): State<Api>, Path(index): Path<String>, query: RawQuery) -> Answer {
    let mut params = Params::new(query.0.as_deref());
    let flat = params.flag("flat_settings")?.unwrap_or(false);
    params.ignore(&["include_defaults", "features"]);
    let found = super::chosen_facts(&api, &index, Expand::Visible, &mut params)?;
    params.end("/{index}")?;
    let mut shown = Map::new();
    for known in found {
        let view = api.store.view(&known.name, Some(&super::NO_PARTS)).unwrap_or_default();
        let mapping = view.mappings.get(&known.name).map(|mapping| render::shown(mapping)).unwrap_or_default();
        let settings = super::settings::all_of(&known);
        let settings = if flat { settings.flat() } else { settings.nested() };
        let mut one = json!({ "aliases": known.facts.aliases, "mappings": mapping, "settings": settings });
        let mut name = known.name.to_string();
        if let (Some(_), Some(one)) = (&known.facts.data_stream, one.as_object_mut()) {
            one.insert("data_stream".to_owned(), name.into());
            name = backing_name(&known.name, known.created_ms);
        }
        shown.insert(name, one);
    }
    Ok(answer::json(&Value::Object(shown)))
}

pub(super) async fn resolve(State(api): State<Api>, Path(index): Path<String>, query: RawQuery) -> Answer {
    let mut params = Params::new(query.0.as_deref());
    let found = super::chosen_facts(&api, &index, Expand::Visible, &mut params)?;
    params.end("/_resolve/index")?;
    let (mut indices, mut streams) = (Vec::new(), Vec::new());
    let mut aliases: std::collections::BTreeMap<String, Vec<String>> = std::collections::BTreeMap::new();
    for known in &found {
        if known.facts.data_stream.is_some() {
            let backing = backing_name(&known.name, known.created_ms);
            streams.push(
                json!({ "name": known.name.as_ref(), "backing_indices": [backing], "timestamp_field": "@timestamp" }),
            );
        } else {
            let mut one = json!({ "name": known.name.as_ref(), "attributes": ["open"] });
            let names: Vec<&String> = known.facts.aliases.keys().collect();
            if let (false, Some(one)) = (names.is_empty(), one.as_object_mut()) {
                one.insert("aliases".to_owned(), json!(names));
            }
            indices.push(one);
        }
        for alias in known.facts.aliases.keys() {
            aliases.entry(alias.clone()).or_default().push(known.name.to_string());
        }
    }
    let aliases: Vec<Value> =
        aliases.into_iter().map(|(name, indices)| json!({ "name": name, "indices": indices })).collect();
    Ok(answer::json(&json!({ "indices": indices, "aliases": aliases, "data_streams": streams })))
}

/// Waits until everything that was written through this API can be found.
pub(super) async fn refresh(State(api): State<Api>, Indices(index): Indices, query: RawQuery) -> Answer {
    let mut params = Params::new(query.0.as_deref());
    let asked = Absent::read(&mut params)?;
    let expand = params.expand(Expand::Visible)?;
    params.end("/_refresh")?;
    let written = api.writer.written();
    if !written.is_empty() && !api.store.wait_visible(&written, REFRESH_WAIT).await {
        return Err(EsError::new(
            503,
            "timeout_exception",
            "the index is far behind the bus; what was written is not searchable yet",
        ));
    }
    // Looked up afterwards: the first document of an index makes it.
    let ask = |expression: &str| api.store.view_expanding(expression, expand, Some(&super::NO_PARTS));
    let view = asked.choose(&index, ask, |view: &View| view.mappings.is_empty())?;
    Ok(answer::json(&json!({ "_shards": Shards::of(view.mappings.len()) })))
}
