//! The events behind hits: sources as they were sent, filtered when asked, and single fields of them.

use jiff::tz::TimeZone;
use logmill_indexer_api::text;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use tantivy::DocId;

use super::error::EsError;
use super::fields;
use super::request::{FieldFormat, SourceFilter};
use crate::dates::{self, Formats};
use crate::store::Part;
use crate::store::registry::{FieldType, Mapping};

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

/// The `fields` of a hit: every value of the fields that were asked for, as arrays.
pub(crate) fn fields(event: &Value, mapping: &Mapping, wanted: &[FieldFormat], into: &mut Map<String, Value>) {
    text::each_leaf(event, &mut |name, value| {
        for format in wanted {
            // A keyword's virtual name answers as the keyword itself.
            let suffixed = format!("{name}.keyword");
            let by_suffix = !format.pattern.matches(name) && format.pattern.matches(&suffixed);
            if !by_suffix && !format.pattern.matches(name) {
                continue;
            }
            if !format.unmapped && !mapping.contains_key(name) {
                continue;
            }
            let shown = if by_suffix { suffixed.as_str() } else { name };
            let value = formatted(value, mapping, name, format.format.as_ref());
            match into.entry(shown.to_owned()).or_insert_with(|| Value::Array(Vec::new())) {
                Value::Array(values) => values.push(value),
                other => *other = value,
            }
            return;
        }
    });
}

/// Dates are read by the formats of their mapping, and written by the asked one or the mapping's first.
fn formatted(value: &Value, mapping: &Mapping, name: &str, asked: Option<&Formats>) -> Value {
    if mapping.get(name) != Some(&FieldType::Date) {
        return value.clone();
    }
    let declared = mapping.field(name).map(|field| &field.formats);
    let nanos = match value {
        Value::String(text) => instant(text).or_else(|| declared?.parse(text)),
        other => match declared {
            Some(formats) => formats.parse(&other.to_string()),
            None => other.as_i64().and_then(|millis| millis.checked_mul(1_000_000)),
        },
    };
    let Some(nanos) = nanos else { return value.clone() };
    asked.or(declared).map_or_else(|| dates::rfc3339(nanos), |formats| formats.print(nanos, &TimeZone::UTC)).into()
}

/// Nanoseconds of an instant in RFC 3339, as nearly all are.
fn instant(text: &str) -> Option<i64> {
    i64::try_from(text.parse::<jiff::Timestamp>().ok()?.as_nanosecond()).ok()
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
