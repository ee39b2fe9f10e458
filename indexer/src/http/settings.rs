//! Settings of indexes: showing and changing them.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use logmill_indexer_api::text::Wildcard;
use serde_json::{Map, Value, json};

use super::Api;
use super::answer::{self, Answer};
use super::named::Indices;
use super::params::Params;
use crate::query::error::EsError;
use crate::store::IndexFacts;
use crate::store::facts::Facts;
use crate::store::names::Expand;
use crate::store::settings::Settings;

/// Every setting of an index by its full name: what was put, and what is so anyway.
pub(super) fn all_of(index: &IndexFacts) -> Settings {
    let fixed = json!({ "index": {
        "number_of_shards": "1", "number_of_replicas": "0", "provided_name": index.name.as_ref(), "uuid": index.uuid.as_ref(),
        "creation_date": index.created_ms.to_string(), "version": { "created": "8170000" },
    } });
    let mut all = Settings::read(&fixed).unwrap_or_default();
    all.extend(&index.facts.settings);
    all
}

pub(super) async fn of_all(state: State<Api>, query: RawQuery) -> Answer {
    show(&state, "_all", None, &query)
}

pub(super) async fn of_index(state: State<Api>, Path(index): Path<String>, query: RawQuery) -> Answer {
    show(&state, &index, None, &query)
}

pub(super) async fn of_index_by_name(
    state: State<Api>,
    Path((index, name)): Path<(String, String)>,
    query: RawQuery,
) -> Answer {
    show(&state, &index, Some(&name), &query)
}

fn show(api: &Api, index: &str, name: Option<&str>, query: &RawQuery) -> Answer {
    let mut params = Params::new(query.0.as_deref());
    let flat = params.flag("flat_settings")?.unwrap_or(false);
    let names = params.take("name");
    params.ignore(&["include_defaults"]);
    let found = super::chosen_facts(api, index, Expand::All, &mut params)?;
    params.end("/_settings")?;
    let patterns: Vec<Wildcard> = name.or(names.as_deref()).unwrap_or("*").split(',').map(Wildcard::new).collect();
    let mut shown = Map::new();
    for index in found {
        let mut settings = all_of(&index);
        settings.retain(|name| patterns.iter().any(|pattern| pattern.matches(name)));
        let settings = if flat { settings.flat() } else { settings.nested() };
        shown.insert(index.name.to_string(), json!({ "settings": settings }));
    }
    Ok(answer::json(&Value::Object(shown)))
}

/// Whether a setting stays as it was when the index was made.
fn is_final(name: &str) -> bool {
    matches!(name, "index.number_of_shards" | "index.mode") || name.starts_with("index.sort.")
}

pub(super) async fn put(State(api): State<Api>, Indices(index): Indices, query: RawQuery, body: Body) -> Answer {
    let mut params = Params::new(query.0.as_deref());
    let preserve = params.flag("preserve_existing")?.unwrap_or(false);
    params.ignore(&["timeout", "ignore_unavailable", "reopen", "flat_settings"]);
    let expand = params.expand(Expand::Visible)?;
    params.end("/_settings")?;
    let body = api.bodies.read_json(body).await?;
    let body = body.get("settings").cloned().unwrap_or(body);
    let asked = Settings::read(&body)?;
    let names = asked.flat();
    if let Some(name) = names.keys().find(|name| is_final(name)) {
        return Err(EsError::argument(format!("Can't update non dynamic settings [[{name}]] for open indices")));
    }
    super::changing(&api, move |store| {
        store.amend(|catalog| {
            let mut changed = BTreeMap::new();
            for name in catalog.resolve_expanding(&index, expand)? {
                let Some(state) = catalog.indexes.get(name) else { continue };
                let mut facts = Facts::clone(&state.facts);
                let mut asked = asked.clone();
                if preserve {
                    asked.retain(|name| facts.settings.get(name).is_none());
                }
                facts.settings.extend(&asked);
                changed.insert(name.clone(), facts);
            }
            Ok::<_, EsError>(changed)
        })
    })
    .await?;
    Ok(answer::json(&json!({ "acknowledged": true })))
}
