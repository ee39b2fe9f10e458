//! `_field_caps`: which fields there are, of which types, and what can be done with them. Answered from the types of
//! the indexes, never from their columns.

use std::collections::{BTreeMap, BTreeSet};

use axum::body::Body;
use axum::extract::{RawQuery, State};
use logmill_indexer_api::text::Wildcard;
use serde_json::{Map, Value, json};

use super::Api;
use super::answer::{self, Answer};
use super::named::Indices;
use super::params::Params;
use crate::query::error::EsError;
use crate::query::strict::Members;
use crate::store::View;
use crate::store::mapping::Kept;
use crate::store::registry::{FieldType, Mapping};

pub(super) async fn of_index(State(api): State<Api>, Indices(index): Indices, query: RawQuery, body: Body) -> Answer {
    let mut params = Params::new(query.0.as_deref());
    let mut wanted = params.list("fields").unwrap_or_default();
    let include_unmapped = params.flag("include_unmapped")?.unwrap_or(false);
    // Fields that no document has yet are told too: there may be more, never fewer.
    params.ignore(&["include_empty_fields"]);
    let narrowed = Narrowed::read(&mut params)?;
    let view = super::indices::chosen(&api, &index, &mut params)?;
    params.end("/_field_caps")?;
    let body = api.bodies.read_json(body).await?;
    if !body.is_null() {
        let mut members = Members::new(body, "[_field_caps]")?;
        wanted.extend(members.strings("fields")?.unwrap_or_default());
        // Narrows which indexes are looked at; without it there may be more fields, never fewer.
        members.ignore(&["index_filter", "runtime_mappings"]);
        members.end()?;
    }
    if wanted.is_empty() {
        return Err(EsError::new(
            400,
            "action_request_validation_exception",
            "Validation Failed: 1: no fields specified;",
        ));
    }
    let patterns: Vec<Wildcard> = wanted.iter().map(|name| Wildcard::new(name)).collect();
    let indices: Vec<&str> = view.mappings.keys().map(AsRef::as_ref).collect();
    let fields = capabilities(&view, &patterns, &narrowed, include_unmapped);
    Ok(answer::json(&json!({ "indices": indices, "fields": fields })))
}

/// `types` and `filters`: which of the fields are told.
struct Narrowed {
    /// Names of types; none means all.
    types: Vec<String>,
    metadata: bool,
    others: bool,
    multi_fields: bool,
}

impl Narrowed {
    fn read(params: &mut Params) -> Result<Self, EsError> {
        let types = params.list("types").unwrap_or_default();
        let mut narrowed = Self { types, metadata: true, others: true, multi_fields: true };
        for filter in params.list("filters").unwrap_or_default() {
            match filter.as_str() {
                "+metadata" => narrowed.others = false,
                "-metadata" => narrowed.metadata = false,
                "-multifield" => narrowed.multi_fields = false,
                // There are no objects among the fields, and nothing is nested.
                "-parent" | "-nested" => {}
                other => return Err(EsError::argument(format!("Unknown field caps filter [{other}]"))),
            }
        }
        Ok(narrowed)
    }

    fn has_type(&self, kind: &str) -> bool {
        self.types.is_empty() || self.types.iter().any(|wanted| wanted == kind)
    }

    fn has(&self, mapping: &Mapping, name: &str, kind: &str) -> bool {
        let is_sub = |(parent, own): (&str, &str)| {
            mapping.field(parent).is_some_and(|field| field.subs.iter().any(|(sub, _)| sub == own))
        };
        self.others && self.has_type(kind) && (self.multi_fields || !name.rsplit_once('.').is_some_and(is_sub))
    }
}

/// A kind of field, and whether it can be searched and aggregated.
type Ability<'m> = (&'m str, bool, bool);

fn abilities<'m>(mapping: &'m Mapping, wanted: &dyn Fn(&str) -> bool) -> Vec<(&'m str, Ability<'m>)> {
    let mut found = Vec::new();
    for (name, field_type) in mapping.iter().filter(|(name, _)| wanted(name)) {
        let kind = mapping.es_name(name).unwrap_or_else(|| field_type.es_name());
        let aggregatable = mapping.field(name).map_or(*field_type != FieldType::Text, |field| field.aggregatable);
        found.push((name.as_str(), (kind, true, aggregatable)));
    }
    for (name, field) in mapping.declared().each().filter(|(name, _)| wanted(name)) {
        match &field.kept {
            Kept::As(_) => {}
            Kept::InSource => found.push((name, (field.es_type.as_str(), false, false))),
            Kept::Flattened => found.push((name, (field.es_type.as_str(), true, true))),
            Kept::Under(target) => {
                let ability = abilities(mapping, &|name| name == target).into_iter().next();
                found.extend(ability.map(|(_, ability)| (name, ability)));
            }
        }
    }
    found
}

fn capabilities(view: &View, patterns: &[Wildcard], narrowed: &Narrowed, include_unmapped: bool) -> Map<String, Value> {
    let is_wanted = |name: &str| patterns.iter().any(|pattern| pattern.matches(name));
    let mut found: BTreeMap<&str, BTreeMap<Ability<'_>, BTreeSet<&str>>> = BTreeMap::new();
    for (index, mapping) in &view.mappings {
        for (name, ability) in abilities(mapping, &is_wanted) {
            if !narrowed.has(mapping, name, ability.0) {
                continue;
            }
            found.entry(name).or_default().entry(ability).or_default().insert(index);
        }
    }
    let mut fields = Map::new();
    for (name, types) in found {
        let with: BTreeSet<&str> = types.values().flatten().copied().collect();
        let several = types.len() > 1 || include_unmapped && with.len() < view.mappings.len();
        let mut shown = Map::new();
        for ((kind, searchable, aggregatable), indices) in &types {
            let mut one = json!({ "type": kind, "metadata_field": false, "searchable": searchable, "aggregatable": aggregatable });
            if let (true, Some(map)) = (several, one.as_object_mut()) {
                map.insert("indices".to_owned(), json!(indices));
            }
            shown.insert((*kind).to_owned(), one);
        }
        if include_unmapped && with.len() < view.mappings.len() {
            let without: Vec<&str> =
                view.mappings.keys().map(AsRef::as_ref).filter(|index| !with.contains(index)).collect();
            let unmapped = json!({ "type": "unmapped", "metadata_field": false, "searchable": false, "aggregatable": false, "indices": without });
            shown.insert("unmapped".to_owned(), unmapped);
        }
        fields.insert(name.to_owned(), Value::Object(shown));
    }
    for (name, kind, aggregatable) in [("_id", "_id", false), ("_index", "_index", true), ("_source", "_source", false)]
    {
        let is_told = narrowed.metadata && narrowed.has_type(kind);
        if is_told && is_wanted(name) && !view.mappings.is_empty() {
            let one = json!({ "type": kind, "metadata_field": true, "searchable": name != "_source", "aggregatable": aggregatable });
            fields.insert(name.to_owned(), json!({ kind: one }));
        }
    }
    fields
}
