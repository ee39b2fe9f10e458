//! Where a field that a request names is kept, by the types of the index.

use logmill_indexer_api::text::Wildcard;

use super::clause::Weighted;
use super::error::EsError;
use crate::schema::{MESSAGE, TIMESTAMP};
pub(crate) use crate::store::ids::{id_of, seq_of};
use crate::store::mapping::Kept;
use crate::store::registry::{FieldType, Mapping};

/// Elasticsearch's bound for fields that a pattern may stand for.
const EXPANDED_MAX: usize = 1024;

/// Where a field is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// `@timestamp`.
    Time,
    /// `message`.
    Message,
    /// Words of another text field.
    Text(String),
    /// A value of the type, indexed and in a column.
    Value(String, FieldType),
    /// `_id`.
    Id,
    /// `_index`.
    Index,
    /// A field of a type that is kept in the source alone.
    InSource(String),
    /// The index has no such field, or nothing of it can be searched (`message.keyword`).
    Nowhere,
}

/// Looks a field up.
pub(crate) fn place(mapping: &Mapping, name: &str) -> Place {
    match name {
        "_id" => return Place::Id,
        "_index" => return Place::Index,
        TIMESTAMP => return Place::Time,
        _ => {}
    }
    let declared = mapping.declared().field(name);
    if let Some(Kept::Under(target)) = declared.map(|field| &field.kept) {
        // Aliases of aliases are refused, so this ends.
        return if mapping.declared().field(target).is_some_and(|field| matches!(field.kept, Kept::Under(_))) {
            Place::Nowhere
        } else {
            place(mapping, target)
        };
    }
    match mapping.get(name) {
        Some(FieldType::Text) | None if name == MESSAGE => Place::Message,
        Some(FieldType::Text) => Place::Text(name.to_owned()),
        Some(field_type) => Place::Value(name.to_owned(), *field_type),
        None if declared.is_some_and(|field| field.kept == Kept::Flattened) => {
            Place::Value(name.to_owned(), FieldType::Keyword)
        }
        None if mapping.field(name).is_some_and(|field| field.kept == Kept::InSource) => {
            Place::InSource(mapping.es_name(name).unwrap_or_default().to_owned())
        }
        None => match name.strip_suffix(".keyword") {
            Some(bare) if mapping.get(bare) == Some(&FieldType::Keyword) => {
                Place::Value(bare.to_owned(), FieldType::Keyword)
            }
            _ => Place::Nowhere,
        },
    }
}

/// The fields that names and patterns stand for; all fields when there are none.
pub(crate) fn expand(mapping: &Mapping, names: &[String]) -> Result<Vec<String>, EsError> {
    let mut found: Vec<String> = Vec::new();
    if names.is_empty() {
        found.extend(mapping.keys().filter(|name| *name != TIMESTAMP).cloned());
    }
    for name in names {
        if name.contains('*') {
            let pattern = Wildcard::new(name);
            found.extend(mapping.keys().filter(|field| pattern.matches(field)).cloned());
        } else {
            found.push(name.clone());
        }
    }
    found.sort_unstable();
    found.dedup();
    if found.len() > EXPANDED_MAX {
        let reason = format!("field expansion matches too many fields, limit: {EXPANDED_MAX}, got: {}", found.len());
        return Err(EsError::argument(reason));
    }
    Ok(found)
}

/// The same with weights; where several patterns mean a field, the last that does weighs it.
pub(crate) fn expand_weighted(mapping: &Mapping, names: &[Weighted]) -> Result<Vec<Weighted>, EsError> {
    let weighted = |name: String, boost: f32| Weighted { name, boost };
    if names.is_empty() {
        return Ok(expand(mapping, &[])?.into_iter().map(|name| weighted(name, 1.0)).collect());
    }
    let mut found = std::collections::BTreeMap::new();
    for Weighted { name, boost } in names {
        for field in expand(mapping, std::slice::from_ref(name))? {
            found.insert(field, *boost);
        }
    }
    if found.len() > EXPANDED_MAX {
        let reason = format!("field expansion matches too many fields, limit: {EXPANDED_MAX}, got: {}", found.len());
        return Err(EsError::argument(reason));
    }
    Ok(found.into_iter().map(|(name, boost)| weighted(name, boost)).collect())
}

/// The name itself, or the names of all fields below it when it is an object.
pub(crate) fn with_children<'m>(mapping: &'m Mapping, name: &str) -> Vec<&'m str> {
    if let Some((known, _)) = mapping.get_key_value(name) {
        return vec![known];
    }
    let below = format!("{name}.");
    mapping
        .range(below.clone()..)
        .map(|(field, _)| field.as_str())
        .take_while(|field| field.starts_with(&below))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_with_and_without_suffix() {
        let mapping: Mapping = [
            ("a".to_owned(), FieldType::Keyword),
            ("m.text".to_owned(), FieldType::Text),
            ("n".to_owned(), FieldType::Long),
        ]
        .into();
        assert_eq!(place(&mapping, "a.keyword"), Place::Value("a".into(), FieldType::Keyword));
        assert_eq!(place(&mapping, "n.keyword"), Place::Nowhere);
        assert_eq!(place(&mapping, "message.keyword"), Place::Nowhere);
        assert_eq!(place(&mapping, "m.text"), Place::Text("m.text".into()));
        assert_eq!(with_children(&mapping, "m"), ["m.text"]);
        assert_eq!(expand(&mapping, &["*t".into(), "x".into()]), Ok(vec!["m.text".to_owned(), "x".into()]));
    }
}
