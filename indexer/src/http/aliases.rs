//! Aliases: further names of indexes, and which index is written to by them.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::{Method, StatusCode};
use axum::response::IntoResponse;
use logmill_indexer_api::text::Wildcard;
use serde_json::{Map, Value, json};

use super::Api;
use super::answer::{self, Answer};
use super::params::Params;
use crate::query::error::EsError;
use crate::query::strict::Members;
use crate::store::catalog::Catalog;
use crate::store::facts::{Alias, Facts};
use crate::store::names;
use crate::store::names::Expand;

/// Actions of one request.
const ACTIONS_MAX: usize = 1000;

/// One step of a change.
enum Action {
    Add { indexes: String, names: Vec<String>, alias: Alias, must_exist: bool },
    Remove { indexes: String, names: Vec<String>, must_exist: bool },
    RemoveIndex { indexes: String },
}

/// An alias, as a template or a request for an index writes it.
pub(super) fn read_alias(value: Value) -> Result<Alias, EsError> {
    let mut members = Members::new(if value.is_null() { json!({}) } else { value }, "[alias]")?;
    let alias = read_members(&mut members)?;
    members.end()?;
    Ok(alias)
}

fn read_members(members: &mut Members) -> Result<Alias, EsError> {
    if members.take("filter").is_some() {
        return Err(EsError::argument(
            "[filter] of an alias is not supported: an alias stands for whole indexes; put the filter into the search",
        ));
    }
    let routing = members.string("routing")?;
    Ok(Alias {
        index_routing: members.string("index_routing")?.or_else(|| routing.clone()),
        search_routing: members.string("search_routing")?.or(routing),
        is_write_index: members.boolean("is_write_index")?,
        is_hidden: members.boolean("is_hidden")?,
    })
}

/// A name that an alias may have: as an index, but upper case is fine.
pub(super) fn valid_name(name: String) -> Result<String, EsError> {
    if names::is_valid(&name.to_lowercase()) {
        return Ok(name);
    }
    Err(EsError::new(400, "invalid_alias_name_exception", format!("Invalid alias name [{name}]")))
}

/// `GET _alias`, `<index>/_alias`, `_alias/<name>`, `<index>/_alias/<name>`.
async fn show(api: &Api, method: &Method, index: &str, name: Option<&str>, query: RawQuery) -> Answer {
    let mut params = Params::new(query.0.as_deref());
    let facts = super::chosen_facts(api, index, Expand::All, &mut params)?;
    params.end("/_alias")?;
    let patterns: Vec<Wildcard> = name.unwrap_or("*").split(',').map(Wildcard::new).collect();
    let fits =
        |alias: &str| name.is_none_or(|name| name == "_all") || patterns.iter().any(|pattern| pattern.matches(alias));
    let mut shown = Map::new();
    for index in facts {
        let aliases: Map<String, Value> = index
            .facts
            .aliases
            .iter()
            .filter(|(alias, _)| fits(alias))
            .map(|(alias, facts)| (alias.clone(), json!(facts)))
            .collect();
        if name.is_none() || !aliases.is_empty() {
            shown.insert(index.name.to_string(), json!({ "aliases": aliases }));
        }
    }
    let wanted =
        name.into_iter().flat_map(|name| name.split(',')).filter(|name| !name.contains('*') && *name != "_all");
    let missing: Vec<&str> = wanted
        .filter(|wanted| {
            !shown.values().any(|index| index.pointer("/aliases").is_some_and(|map| map.get(wanted).is_some()))
        })
        .collect();
    if *method == Method::HEAD {
        let found = missing.is_empty() && !(name.is_some() && shown.is_empty());
        return Ok(if found { StatusCode::OK } else { StatusCode::NOT_FOUND }.into_response());
    }
    if missing.is_empty() {
        return Ok(answer::json(&Value::Object(shown)));
    }
    shown.insert("error".to_owned(), format!("alias [{}] missing", missing.join(",")).into());
    shown.insert("status".to_owned(), 404.into());
    Ok(answer::json_with(StatusCode::NOT_FOUND, &Value::Object(shown)))
}

pub(super) async fn all(State(api): State<Api>, method: Method, query: RawQuery) -> Answer {
    show(&api, &method, "_all", None, query).await
}

pub(super) async fn of_index(
    State(api): State<Api>,
    method: Method,
    Path(index): Path<String>,
    query: RawQuery,
) -> Answer {
    show(&api, &method, &index, None, query).await
}

pub(super) async fn by_name(
    State(api): State<Api>,
    method: Method,
    Path(name): Path<String>,
    query: RawQuery,
) -> Answer {
    show(&api, &method, "_all", Some(&name), query).await
}

pub(super) async fn of_index_by_name(
    State(api): State<Api>,
    method: Method,
    Path((index, name)): Path<(String, String)>,
    query: RawQuery,
) -> Answer {
    show(&api, &method, &index, Some(&name), query).await
}

/// `POST _aliases`: several steps, done together or not at all.
pub(super) async fn change(State(api): State<Api>, query: RawQuery, body: Body) -> Answer {
    let mut params = Params::new(query.0.as_deref());
    params.ignore(&["timeout"]);
    params.end("/_aliases")?;
    let mut members = Members::new(api.bodies.read_json(body).await?, "[aliases]")?;
    let Value::Array(list) = members.required("actions")? else {
        return Err(EsError::parsing("[aliases] [actions] must be an array"));
    };
    members.end()?;
    if list.is_empty() || list.len() > ACTIONS_MAX {
        return Err(EsError::argument(format!("[aliases] takes between 1 and {ACTIONS_MAX} actions")));
    }
    let actions = list.into_iter().map(read_action).collect::<Result<Vec<_>, _>>()?;
    apply(&api, actions).await
}

fn read_action(value: Value) -> Result<Action, EsError> {
    let mut outer = Members::new(value, "[actions]")?;
    let (kind, inner) = outer.take_one().ok_or_else(|| EsError::argument("an action names what is to be done"))?;
    outer.end()?;
    let mut members = Members::new(inner, format!("[{kind}]"))?;
    let list = |members: &mut Members, one: &str, many: &str| -> Result<Vec<String>, EsError> {
        let mut found = members.strings(many)?.unwrap_or_default();
        found.extend(members.string(one)?);
        Ok(found)
    };
    let indexes = list(&mut members, "index", "indices")?;
    if indexes.is_empty() {
        return Err(EsError::argument("One of [index] or [indices] is required"));
    }
    let indexes = indexes.join(",");
    let action = match kind.as_str() {
        "add" | "remove" => {
            let names = list(&mut members, "alias", "aliases")?;
            if names.is_empty() {
                return Err(EsError::argument("One of [alias] or [aliases] is required"));
            }
            let must_exist = members.boolean("must_exist")?;
            if kind == "add" {
                let names = names.into_iter().map(valid_name).collect::<Result<_, _>>()?;
                let must_exist = must_exist.unwrap_or(false);
                Action::Add { indexes, names, alias: read_members(&mut members)?, must_exist }
            } else {
                Action::Remove { indexes, names, must_exist: must_exist.unwrap_or(true) }
            }
        }
        "remove_index" => {
            members.boolean("must_exist")?;
            Action::RemoveIndex { indexes }
        }
        other => {
            return Err(EsError::argument(format!("[aliases] has no action [{other}]: add, remove or remove_index")));
        }
    };
    members.end()?;
    Ok(action)
}

pub(super) async fn put(
    State(api): State<Api>,
    Path((indexes, name)): Path<(String, String)>,
    query: RawQuery,
    body: Body,
) -> Answer {
    let mut params = Params::new(query.0.as_deref());
    params.ignore(&["timeout"]);
    params.end("/_alias")?;
    let alias = read_alias(api.bodies.read_json(body).await?)?;
    let names = vec![valid_name(name)?];
    apply(&api, vec![Action::Add { indexes, names, alias, must_exist: false }]).await
}

pub(super) async fn delete(
    State(api): State<Api>,
    Path((indexes, name)): Path<(String, String)>,
    query: RawQuery,
) -> Answer {
    let mut params = Params::new(query.0.as_deref());
    params.ignore(&["timeout"]);
    params.end("/_alias")?;
    let names = name.split(',').map(str::to_owned).collect();
    apply(&api, vec![Action::Remove { indexes, names, must_exist: true }]).await
}

async fn apply(api: &Api, actions: Vec<Action>) -> Answer {
    let removed = super::changing(api, move |store| {
        let mut removed = Vec::new();
        store.amend(|catalog| {
            let (changed, gone) = changed(catalog, &actions)?;
            removed = gone;
            Ok::<_, EsError>(changed)
        })?;
        Ok(removed)
    })
    .await?;
    for name in removed {
        api.store.delete_index(&name).await?;
        api.writer.forget_index(&name);
    }
    Ok(answer::json(&json!({ "acknowledged": true, "errors": false })))
}

type Changed = (BTreeMap<Arc<str>, Facts>, Vec<Arc<str>>);

/// The facts that the actions change, and the indexes that they remove.
fn changed(catalog: &Catalog, actions: &[Action]) -> Result<Changed, EsError> {
    let mut facts: BTreeMap<Arc<str>, Facts> =
        catalog.indexes.iter().map(|(name, state)| (name.clone(), Facts::clone(&state.facts))).collect();
    let mut removed: Vec<Arc<str>> = Vec::new();
    for action in actions {
        match action {
            Action::RemoveIndex { indexes } => removed.extend(catalog.resolve_indexes(indexes)?.into_iter().cloned()),
            Action::Add { indexes, names, alias, must_exist } => {
                for index in catalog.resolve(indexes)? {
                    for name in names {
                        if catalog.indexes.contains_key(name.as_str())
                            && !removed.iter().any(|gone| gone.as_ref() == name)
                        {
                            let reason = format!(
                                "Invalid alias name [{name}]: an index or data stream exists with the same name as the alias"
                            );
                            return Err(EsError::new(400, "invalid_alias_name_exception", reason));
                        }
                        if let Some(facts) = facts.get_mut(index) {
                            if *must_exist && !facts.aliases.contains_key(name) {
                                return Err(missing(name));
                            }
                            facts.aliases.insert(name.clone(), alias.clone());
                        }
                    }
                }
            }
            Action::Remove { indexes, names, must_exist } => {
                for name in names {
                    let pattern = Wildcard::new(name);
                    let mut found = false;
                    for index in catalog.resolve(indexes)? {
                        let Some(facts) = facts.get_mut(index) else { continue };
                        let before = facts.aliases.len();
                        facts.aliases.retain(|alias, _| !pattern.matches(alias));
                        found |= facts.aliases.len() < before;
                    }
                    if !found && *must_exist {
                        return Err(missing(name));
                    }
                }
            }
        }
    }
    facts.retain(|index, facts| {
        !removed.contains(index) && catalog.indexes.get(index).is_some_and(|state| *state.facts != *facts)
    });
    one_write_index(catalog, &facts)?;
    Ok((facts, removed))
}

/// An alias has at most one index that is written to.
fn one_write_index(catalog: &Catalog, changed: &BTreeMap<Arc<str>, Facts>) -> Result<(), EsError> {
    let mut writers: BTreeMap<&str, &str> = BTreeMap::new();
    for (index, state) in &catalog.indexes {
        let facts = changed.get(index).unwrap_or(&state.facts);
        for (name, _) in facts.aliases.iter().filter(|(_, alias)| alias.is_write_index == Some(true)) {
            if let Some(other) = writers.insert(name, index) {
                let reason = format!("alias [{name}] has more than one write index [{other},{index}]");
                return Err(EsError::new(400, "illegal_state_exception", reason));
            }
        }
    }
    Ok(())
}

fn missing(name: &str) -> EsError {
    EsError::new(404, "aliases_not_found_exception", format!("aliases [{name}] missing"))
}

/// `_cat/aliases`, one line an alias and index.
pub(super) fn rows(api: &Api, wanted: Option<&str>) -> Vec<(String, String, Alias)> {
    let patterns: Vec<Wildcard> = wanted.unwrap_or("*").split(',').map(Wildcard::new).collect();
    let mut rows = Vec::new();
    for index in api.store.facts("_all").unwrap_or_default() {
        for (name, alias) in &index.facts.aliases {
            if patterns.iter().any(|pattern| pattern.matches(name)) {
                rows.push((name.clone(), index.name.to_string(), alias.clone()));
            }
        }
    }
    rows.sort_by(|one, other| (&one.0, &one.1).cmp(&(&other.0, &other.1)));
    rows
}
