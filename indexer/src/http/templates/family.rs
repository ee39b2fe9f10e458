//! What the three kinds of templates have in common: they are put, shown and deleted by their names in the same way.

use std::collections::BTreeMap;

use axum::body::Body as HttpBody;
use axum::extract::{Path, RawQuery, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use logmill_indexer_api::text::Wildcard;
use serde_json::{Value, json};

use super::super::answer::{self, Answer};
use super::super::params::Params;
use super::super::{Api, changing};
use crate::query::error::EsError;
use crate::store::catalog::Catalog;
use crate::store::directory::{Directory, ENTRIES_MAX};

/// A kind of templates.
pub(super) trait Family: 'static {
    type Template: Send + 'static;

    /// Where the API has it.
    const PATH: &'static str;
    /// Its name in Elasticsearch's reasons.
    const KIND: &'static str;

    fn of(directory: &Directory) -> &BTreeMap<String, Self::Template>;

    fn of_mut(directory: &mut Directory) -> &mut BTreeMap<String, Self::Template>;

    fn read(body: Value, params: &mut Params) -> Result<Self::Template, EsError>;

    /// Several, as GET answers.
    fn show(found: Vec<(&String, &Self::Template)>) -> Value;

    /// What GET answers when there is none.
    fn none_to_show(error: EsError) -> Answer {
        Err(error)
    }

    /// The error when there is none to delete.
    fn none_to_delete(name: &str) -> EsError {
        not_found(Self::KIND, name)
    }

    /// Refuses a template that has just been put, by what else there is.
    fn check_put(_directory: &Directory, _name: &str) -> Result<(), EsError> {
        Ok(())
    }

    /// Refuses to delete what is in use.
    fn check_delete(_directory: &Directory, _catalog: &Catalog, _name: &str) -> Result<(), EsError> {
        Ok(())
    }
}

/// The verbs on all of a kind.
pub(super) fn on_all<F: Family>() -> MethodRouter<Api> {
    get(show_all::<F>)
}

/// The verbs on those that an address names.
pub(super) fn on_named<F: Family>() -> MethodRouter<Api> {
    get(show_named::<F>).put(put::<F>).post(put::<F>).delete(delete::<F>)
}

async fn show_all<F: Family>(State(api): State<Api>, method: Method, query: RawQuery) -> Answer {
    show::<F>(&api, &method, None, &query)
}

async fn show_named<F: Family>(
    State(api): State<Api>,
    method: Method,
    Path(name): Path<String>,
    query: RawQuery,
) -> Answer {
    show::<F>(&api, &method, Some(&name), &query)
}

fn show<F: Family>(api: &Api, method: &Method, name: Option<&str>, query: &RawQuery) -> Answer {
    let mut params = Params::new(query.0.as_deref());
    params.ignore(&["flat_settings", "include_defaults"]);
    params.end(F::PATH)?;
    let directory = api.store.directory();
    let found = chosen(F::of(&directory), name, |name| not_found(F::KIND, name));
    match found {
        Err(_) if *method == Method::HEAD => Ok(StatusCode::NOT_FOUND.into_response()),
        Ok(_) if *method == Method::HEAD => Ok(StatusCode::OK.into_response()),
        Err(error) => F::none_to_show(error),
        Ok(found) => Ok(answer::json(&F::show(found))),
    }
}

async fn put<F: Family>(State(api): State<Api>, Path(name): Path<String>, query: RawQuery, body: HttpBody) -> Answer {
    let mut params = Params::new(query.0.as_deref());
    params.ignore(&["cause"]);
    let create = params.flag("create")?.unwrap_or(false);
    let template = F::read(api.bodies.read_json(body).await?, &mut params)?;
    params.end(F::PATH)?;
    changing(&api, move |store| {
        store.amend_directory(|directory, _| {
            let all = F::of_mut(directory);
            if create && all.contains_key(&name) {
                return Err(EsError::argument(format!("{} [{name}] already exists", F::KIND)));
            }
            has_room(all.len())?;
            all.insert(name.clone(), template);
            F::check_put(directory, &name)
        })
    })
    .await?;
    Ok(acknowledged())
}

async fn delete<F: Family>(State(api): State<Api>, Path(name): Path<String>) -> Answer {
    changing(&api, move |store| {
        store.amend_directory(|directory, catalog| {
            let gone = chosen(F::of(directory), Some(&name), F::none_to_delete)?;
            let gone: Vec<String> = gone.into_iter().map(|(name, _)| name.clone()).collect();
            for name in gone {
                F::check_delete(directory, catalog, &name)?;
                F::of_mut(directory).remove(&name);
            }
            Ok(())
        })
    })
    .await?;
    Ok(acknowledged())
}

fn acknowledged() -> Response {
    answer::json(&json!({ "acknowledged": true }))
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

pub(super) fn not_found(kind: &str, name: &str) -> EsError {
    EsError::new(404, "resource_not_found_exception", format!("{kind} matching [{name}] not found"))
}
