//! Mappings: showing them, and adding to them.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use logmill_indexer_api::text::Wildcard;
use serde_json::{Map, Value, json};

use super::Api;
use super::answer::{self, Answer};
use super::named::Indices;
use super::params::Params;
use super::templates::said::read_mapping;
use crate::query::error::EsError;
use crate::store::facts::Facts;
use crate::store::mapping::{Declared, Kept, render};
use crate::store::names::Expand;

pub(super) async fn of_index(State(api): State<Api>, Indices(index): Indices, query: RawQuery) -> Answer {
    let mut params = Params::new(query.0.as_deref());
    let view = super::indices::chosen(&api, &index, &mut params)?;
    params.end("/_mapping")?;
    let shown: Map<String, Value> = view
        .mappings
        .iter()
        .map(|(name, mapping)| (name.to_string(), json!({ "mappings": render::shown(mapping) })))
        .collect();
    Ok(answer::json(&Value::Object(shown)))
}

/// `_mapping/field/<names>`.
pub(super) async fn of_fields(
    State(api): State<Api>,
    Path((index, fields)): Path<(String, String)>,
    query: RawQuery,
) -> Answer {
    let mut params = Params::new(query.0.as_deref());
    params.ignore(&["include_defaults"]);
    let view = super::indices::chosen(&api, &index, &mut params)?;
    params.end("/_mapping/field")?;
    let patterns: Vec<Wildcard> = fields.split(',').map(Wildcard::new).collect();
    let mut shown = Map::new();
    for (name, mapping) in &view.mappings {
        let mut found = Map::new();
        for (path, field_type) in
            mapping.iter().filter(|(path, _)| patterns.iter().any(|pattern| pattern.matches(path)))
        {
            let last = path.rsplit('.').next().unwrap_or(path);
            let one = mapping
                .field(path)
                .map_or_else(|| json!({ "type": field_type.es_name() }), |field| field.shown.clone().into());
            found.insert(path.clone(), json!({ "full_name": path, "mapping": { last: one } }));
        }
        shown.insert(name.to_string(), json!({ "mappings": found }));
    }
    Ok(answer::json(&Value::Object(shown)))
}

/// Adds fields, or changes what may be changed of them.
pub(super) async fn put(State(api): State<Api>, Path(index): Path<String>, query: RawQuery, body: Body) -> Answer {
    let mut params = Params::new(query.0.as_deref());
    params.ignore(&["timeout", "ignore_unavailable", "write_index_only"]);
    let expand = params.expand(Expand::Visible)?;
    params.end("/_mapping")?;
    let more = read_mapping(api.bodies.read_json(body).await?)?;
    super::changing(&api, move |store| {
        store.amend(|catalog| {
            let mut changed = BTreeMap::new();
            for name in catalog.resolve_expanding(&index, expand)? {
                let Some(state) = catalog.indexes.get(name) else { continue };
                let merged = state.mapping.declared().merged(&more)?;
                check(&merged, &state.mapping)?;
                changed.insert(name.clone(), Facts { mappings: merged.shown, ..Facts::clone(&state.facts) });
            }
            Ok::<_, EsError>(changed)
        })
    })
    .await?;
    Ok(answer::json(&json!({ "acknowledged": true })))
}

/// What documents have made a field already stays so.
fn check(merged: &Declared, known: &crate::store::registry::Mapping) -> Result<(), EsError> {
    for (path, field) in merged.each() {
        if let (Kept::As(wanted), Some(kept)) = (&field.kept, known.get(path))
            && wanted != kept
        {
            let reason = format!(
                "mapper [{path}] cannot be changed from type [{}] to [{}]",
                known.es_name(path).unwrap_or_default(),
                field.es_type
            );
            return Err(EsError::argument(reason));
        }
    }
    Ok(())
}
