//! The events behind hits: sources as they were sent, filtered when asked, and single fields of them.

use jiff::tz::TimeZone;
use logmill_indexer_api::text;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use tantivy::DocId;

use super::columns;
use super::error::EsError;
use super::fields;
use super::named::{Name, Names};
use super::parse::plain_text;
use super::request::{FieldFormat, SourceFilter};
use crate::dates::{self, Formats};
use crate::store::Part;
use crate::store::mapping::{Field, ip};
use crate::store::registry::FieldType;

/// The id of a document.
pub(crate) fn id(part: &Part, doc: DocId) -> Result<String, EsError> {
    let columns = part.reader.fast_fields();
    if let Some(ids) = columns.str("id")?
        && let Some(ord) = ids.ords().first(doc)
    {
        let mut id = String::new();
        if ids.ord_to_str(ord, &mut id)? {
            return Ok(id);
        }
    }
    Ok(columns.u64("seq")?.first(doc).map(fields::id_of).unwrap_or_default())
}

/// What a hit shows as `_source`.
pub(crate) fn shown(source: &[u8], filter: &SourceFilter) -> Option<Box<RawValue>> {
    if filter.hidden {
        return None;
    }
    let text = std::str::from_utf8(source).ok()?;
    if filter.is_whole() {
        return RawValue::from_string(text.to_owned()).ok();
    }
    let Value::Object(map) = serde_json::from_str(text).ok()? else { return None };
    let kept = filtered(map, "", false, filter, 0);
    serde_json::value::to_raw_value(&kept).ok()
}

/// `included`: an object further out was named, and with it everything below.
fn filtered(
    map: Map<String, Value>,
    at: &str,
    included: bool,
    filter: &SourceFilter,
    depth: usize,
) -> Map<String, Value> {
    let mut kept = Map::new();
    for (key, value) in map {
        let path = if at.is_empty() { key.clone() } else { format!("{at}.{key}") };
        if filter.excludes.iter().any(|pattern| pattern.matches(&path)) {
            continue;
        }
        let included =
            included || filter.includes.is_empty() || filter.includes.iter().any(|pattern| pattern.matches(&path));
        match value {
            Value::Object(inner) if depth < text::DEPTH_MAX => {
                let was_empty = inner.is_empty();
                let inner = filtered(inner, &path, included, filter, depth + 1);
                if !inner.is_empty() || was_empty && included {
                    kept.insert(key, Value::Object(inner));
                }
            }
            Value::Array(members) if members.iter().any(Value::is_object) && depth < text::DEPTH_MAX => {
                let members: Vec<Value> = members
                    .into_iter()
                    .filter_map(|member| match member {
                        Value::Object(inner) => {
                            let inner = filtered(inner, &path, included, filter, depth + 1);
                            (!inner.is_empty()).then_some(Value::Object(inner))
                        }
                        plain => included.then_some(plain),
                    })
                    .collect();
                if !members.is_empty() {
                    kept.insert(key, Value::Array(members));
                }
            }
            plain if included => {
                kept.insert(key, plain);
            }
            _ => {}
        }
    }
    kept
}

/// The `fields` of a hit: every value of the fields that were asked for, as arrays, each as its type is written.
pub(crate) fn fields(event: &Value, names: &Names<'_>, wanted: &[FieldFormat], into: &mut Map<String, Value>) {
    let mut add =
        |name: &str, value: Value| match into.entry(name.to_owned()).or_insert_with(|| Value::Array(Vec::new())) {
            Value::Array(values) => values.push(value),
            other => *other = value,
        };
    text::each_leaf(event, &mut |own, value| {
        names.each(own, &mut |Name { name, is_virtual, .. }| {
            let is_wanted =
                |format: &&FieldFormat| format.pattern.matches(name) && !(is_virtual && format.pattern.matches(own));
            let Some(format) = wanted.iter().find(is_wanted) else { return };
            match names.kind(name) {
                None if format.unmapped || names.knows(name) => add(name, value.clone()),
                None => {}
                Some((kind, said)) => match formatted(value, kind, said, format.format.as_ref()) {
                    Some(value) => add(name, value),
                    // What is not of the field's type is a keyword beside it.
                    None if name == own && said.is_none_or(|field| field.ignore_above.is_none()) => {
                        add(&format!("{name}.str"), plain_text(value).into());
                    }
                    None => {}
                },
            }
        });
    });
    let is_wanted = |name: &str| wanted.iter().any(|format| format.pattern.matches(name));
    for name in names.flattened.iter().filter(|name| is_wanted(name)) {
        text::each_value(event, name, &mut |value| add(name, value.clone()));
    }
    for (name, value) in names.constants.iter().filter(|(name, _)| is_wanted(name)) {
        into.entry((*name).to_owned()).or_insert_with(|| Value::Array(vec![(*value).into()]));
    }
}

/// A value as its field's type is written; `None` when it is none of the type.
fn formatted(value: &Value, kind: FieldType, said: Option<&Field>, format: Option<&Formats>) -> Option<Value> {
    let number = || match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok().filter(|number: &f64| number.is_finite()),
        _ => None,
    };
    match kind {
        FieldType::Keyword => {
            let text = plain_text(value);
            let most = said.and_then(|field| field.ignore_above).unwrap_or(usize::MAX);
            (text.len() <= most || text.chars().count() <= most).then(|| text.into())
        }
        FieldType::Text => Some(plain_text(value).into()),
        FieldType::Long => match value {
            Value::Number(whole) if whole.is_i64() || whole.is_u64() => Some(value.clone()),
            Value::String(text) if text.trim().parse::<i64>().is_ok() => {
                text.trim().parse::<i64>().ok().map(Into::into)
            }
            // Fractions are cut off where that was declared; elsewhere a number that has one does not fit.
            _ if said.is_some_and(|field| field.coerce) => {
                number().filter(|number| number.abs() < 9e18).map(|number| (number.trunc() as i64).into())
            }
            _ => None,
        },
        FieldType::Double => number().map(columns::json_f64),
        FieldType::Boolean => match value {
            Value::Bool(_) => Some(value.clone()),
            Value::String(text) if text == "true" => Some(true.into()),
            Value::String(text) if text == "false" || text.is_empty() => Some(false.into()),
            _ => None,
        },
        FieldType::Ip => ip::parse(value.as_str()?).and_then(|term| ip::decode(&term)).map(Into::into),
        FieldType::Date => {
            let formats = said.map(|field| &field.formats);
            let by_default = Formats::default();
            let nanos = match value {
                Value::Bool(_) => None,
                other => formats.unwrap_or(&by_default).parse(&plain_text(other)),
            }?;
            let format = format.or(formats.filter(|formats| **formats != by_default));
            Some(format.map_or_else(|| dates::rfc3339(nanos), |format| format.print(nanos, &TimeZone::UTC)).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn sources_are_filtered_by_patterns() {
        let source = json!({"a": {"b": 1, "c": {"d": 2}}, "x": [{"y": 1, "z": 2}], "m": "text"});
        for (filter, expected) in [
            (json!(["a.b"]), json!({"a": {"b": 1}})),
            (json!("a"), json!({"a": {"b": 1, "c": {"d": 2}}})),
            (json!({"excludes": ["a.c", "x"]}), json!({"a": {"b": 1}, "m": "text"})),
            (json!({"includes": ["a.*", "x.y"], "excludes": ["*.d"]}), json!({"a": {"b": 1}, "x": [{"y": 1}]})),
        ] {
            let filter = SourceFilter::read(filter).unwrap();
            let shown = shown(source.to_string().as_bytes(), &filter).unwrap();
            assert_eq!(serde_json::from_str::<Value>(shown.get()).unwrap(), expected);
        }
    }
}
