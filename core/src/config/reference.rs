//! The reference page of the guide, made of the same schema that checks a configuration.

use std::fmt::Write;

use schemars::JsonSchema;
use serde_json::{Map, Value};

/// A Markdown table a section: every key, its kind, its default and what its doc comment says.
#[must_use]
pub fn reference_page<T: JsonSchema + Default + serde::Serialize>() -> String {
    let schema = schemars::schema_for!(T).to_value();
    let defaults = serde_json::to_value(T::default()).unwrap_or_default();
    let empty = Map::new();
    let definitions = schema.get("$defs").and_then(Value::as_object).unwrap_or(&empty);
    let mut page = String::new();
    section(&mut page, definitions, &schema, &defaults, "");
    page
}

fn section(page: &mut String, definitions: &Map<String, Value>, schema: &Value, defaults: &Value, path: &str) {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return };
    let mut inner = Vec::new();
    let mut rows = String::new();
    for (name, property) in properties {
        let key = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        let resolved = resolve(definitions, property);
        let default = defaults.get(name).unwrap_or(&Value::Null);
        if resolved.get("properties").is_some() && resolved.get("oneOf").is_none() {
            inner.push((key, resolved, default));
            continue;
        }
        let text = property.get("description").or_else(|| resolved.get("description")).and_then(Value::as_str);
        let text = text.unwrap_or_default().replace('\n', " ").replace('|', "\\|");
        let default = if default.is_null() { String::new() } else { format!("`{default}`") };
        let _ = writeln!(rows, "| `{key}` | {} | {default} | {text} |", kind(definitions, resolved));
    }
    if !rows.is_empty() {
        let title = if path.is_empty() { "Top level" } else { path };
        let _ = writeln!(page, "### {title}\n\n| key | kind | default | meaning |\n|---|---|---|---|\n{rows}");
    }
    for (key, schema, default) in inner {
        section(page, definitions, schema, default, &key);
    }
}

fn resolve<'s>(definitions: &'s Map<String, Value>, schema: &'s Value) -> &'s Value {
    let reference = schema.get("$ref").and_then(Value::as_str).and_then(|path| path.strip_prefix("#/$defs/"));
    reference.and_then(|name| definitions.get(name)).unwrap_or(schema)
}

fn kind(definitions: &Map<String, Value>, schema: &Value) -> String {
    let words = |list: &[Value]| {
        list.iter().filter_map(Value::as_str).map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
    };
    if let Some(format) = schema.get("format").and_then(Value::as_str).filter(|format| format.contains(' ')) {
        return format.to_owned();
    }
    if let Some(list) = schema.get("enum").and_then(Value::as_array) {
        return words(list);
    }
    if let Some(branches) = schema.get("oneOf").or_else(|| schema.get("anyOf")).and_then(Value::as_array) {
        let kinds: Vec<_> = branches
            .iter()
            .map(|branch| resolve(definitions, branch))
            .filter(|branch| branch.get("type").and_then(Value::as_str) != Some("null"))
            .map(|branch| match branch.get("const").and_then(Value::as_str) {
                Some(word) => format!("`{word}`"),
                None => kind(definitions, branch),
            })
            .collect();
        return kinds.join(" or ");
    }
    match schema.get("type") {
        Some(Value::String(one)) if one == "array" => schema.get("items").map_or_else(
            || "list".to_owned(),
            |items| format!("list of {}", kind(definitions, resolve(definitions, items))),
        ),
        Some(Value::String(one)) if one == "object" => "keys and values".to_owned(),
        Some(Value::String(one)) => one.clone(),
        Some(Value::Array(several)) => {
            several.iter().filter_map(Value::as_str).filter(|kind| *kind != "null").collect::<Vec<_>>().join(" or ")
        }
        _ => "any".to_owned(),
    }
}
