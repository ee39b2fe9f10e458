//! Dynamic templates: rules that give fields a mapping when they first come up, by name, path and kind of value.

use logmill_indexer_api::text::Wildcard;
use serde_json::{Map, Value};

use super::error::MappingError;
use super::field::Field;

/// Shippers' templates have about ten; each is tried for each new path.
const TEMPLATES_MAX: usize = 1000;
/// Compiled regular expressions may take so much memory.
const REGEX_BYTES_MAX: usize = 1 << 20;

/// A rule.
#[derive(Clone, Debug)]
pub(crate) struct DynamicTemplate {
    name: String,
    /// Kinds of values; any when empty.
    kinds: Vec<String>,
    unkinds: Vec<String>,
    names: Vec<Pattern>,
    unnames: Vec<Pattern>,
    paths: Vec<Pattern>,
    unpaths: Vec<Pattern>,
    mapping: Map<String, Value>,
    shown: Value,
}

impl PartialEq for DynamicTemplate {
    fn eq(&self, other: &Self) -> bool {
        self.shown == other.shown
    }
}

impl Eq for DynamicTemplate {}

#[derive(Clone, Debug)]
enum Pattern {
    Simple(Wildcard),
    Regex(regex::Regex),
}

impl Pattern {
    fn matches(&self, text: &str) -> bool {
        match self {
            Self::Simple(wildcard) => wildcard.matches(text),
            Self::Regex(regex) => regex.is_match(text),
        }
    }
}

impl DynamicTemplate {
    /// Reads the list of a mapping.
    ///
    /// # Errors
    /// When a rule is none, or gives a mapping that is none.
    pub(crate) fn read_all(value: &Value) -> Result<Vec<Self>, MappingError> {
        let list = value.as_array().ok_or_else(|| MappingError::new("[dynamic_templates] must be an array"))?;
        if list.len() > TEMPLATES_MAX {
            return Err(MappingError::new(format!("more than {TEMPLATES_MAX} [dynamic_templates]")));
        }
        let read = |value: &Value| {
            let rule = value.as_object().filter(|map| map.len() == 1).and_then(|map| map.iter().next());
            let (name, rule) =
                rule.ok_or_else(|| MappingError::new("A dynamic template must be defined with a name"))?;
            Self::read(name, rule)
        };
        list.iter().map(read).collect()
    }

    fn read(name: &str, shown: &Value) -> Result<Self, MappingError> {
        let refused = |why: &str| MappingError::new(format!("dynamic template [{name}] {why}"));
        let rule = shown.as_object().ok_or_else(|| refused("must be an object"))?;
        let is_regex = rule.get("match_pattern").and_then(Value::as_str) == Some("regex");
        let list = |key: &str| -> Vec<String> {
            match rule.get(key) {
                Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
                Some(Value::String(text)) => vec![text.clone()],
                _ => Vec::new(),
            }
        };
        let patterns = |key: &str| -> Result<Vec<Pattern>, MappingError> {
            let read = |text: &String| {
                if !is_regex || key.starts_with("path") || key.starts_with("unpath") || key == "path_unmatch" {
                    return Ok(Pattern::Simple(Wildcard::new(text)));
                }
                let regex = regex::RegexBuilder::new(&format!("^(?:{text})$")).size_limit(REGEX_BYTES_MAX).build();
                regex.map(Pattern::Regex).map_err(|_| refused(&format!("has a pattern [{text}] that is none")))
            };
            list(key).iter().map(read).collect()
        };
        if let Some(key) = rule.keys().find(|key| {
            !matches!(
                key.as_str(),
                "match"
                    | "unmatch"
                    | "path_match"
                    | "path_unmatch"
                    | "match_mapping_type"
                    | "unmatch_mapping_type"
                    | "match_pattern"
                    | "mapping"
            )
        }) {
            return Err(refused(&format!("has [{key}], which is not supported")));
        }
        let mapping = match rule.get("mapping") {
            Some(Value::Object(mapping)) => mapping.clone(),
            _ => return Err(refused("needs a [mapping]")),
        };
        let without_any = |list: Vec<String>| list.into_iter().filter(|kind| kind != "*").collect::<Vec<_>>();
        let template = Self {
            name: name.to_owned(),
            kinds: without_any(list("match_mapping_type")),
            unkinds: list("unmatch_mapping_type"),
            names: patterns("match")?,
            unnames: patterns("unmatch")?,
            paths: patterns("path_match")?,
            unpaths: patterns("path_unmatch")?,
            mapping,
            shown: shown.clone(),
        };
        // Every kind that it is for must come out as a field.
        for kind in ["string", "long", "double", "boolean", "date"] {
            if template.kinds.is_empty() || template.kinds.iter().any(|known| known == kind) {
                template.made("name", kind)?;
            }
        }
        Ok(template)
    }

    /// The field that the first rule for it makes of a new path.
    pub(crate) fn field_for(templates: &[Self], path: &str, kind: &str) -> Option<Field> {
        let name = path.rsplit('.').next().unwrap_or(path);
        let any = |patterns: &[Pattern], text: &str| patterns.iter().any(|pattern| pattern.matches(text));
        let matching = |template: &&Self| {
            (template.kinds.is_empty() || template.kinds.iter().any(|known| known == kind))
                && !template.unkinds.iter().any(|known| known == kind)
                && (template.names.is_empty() || any(&template.names, name))
                && !any(&template.unnames, name)
                && (template.paths.is_empty() || any(&template.paths, path))
                && !any(&template.unpaths, path)
        };
        templates.iter().find(matching)?.made(path, kind).ok()
    }

    /// The rule's mapping with its placeholders filled in.
    fn made(&self, path: &str, kind: &str) -> Result<Field, MappingError> {
        let name = path.rsplit('.').next().unwrap_or(path);
        let default = match kind {
            "string" => "keyword",
            other => other,
        };
        let mut mapping = self.mapping.clone();
        mapping.entry("type").or_insert_with(|| "{dynamic_type}".into());
        fill(&mut mapping, name, default);
        if mapping.get("type").and_then(Value::as_str) == Some("object") {
            // What was to become an object turned out to be a value.
            mapping.insert("type".to_owned(), default.into());
        }
        Field::read(path, &mapping)
            .map_err(|error| MappingError::new(format!("dynamic template [{}]: {error}", self.name)))
    }
}

fn fill(mapping: &mut Map<String, Value>, name: &str, kind: &str) {
    for value in mapping.values_mut() {
        match value {
            Value::String(text) if text.contains('{') => {
                *text = text.replace("{name}", name).replace("{dynamic_type}", kind).replace("{dynamicType}", kind);
            }
            Value::Object(inner) => fill(inner, name, kind),
            _ => {}
        }
    }
}
