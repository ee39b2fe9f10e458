//! A mapping as it was put, compiled: which fields were declared, what becomes of others, and in which objects.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::FieldType;
use super::dynamic::DynamicTemplate;
use super::error::MappingError;
use super::field::{Field, Kept};
use crate::schema::{MESSAGE, TIMESTAMP};

/// Elasticsearch's `index.mapping.depth.limit`.
const DEPTH_MAX: usize = 20;
/// Fields that a mapping may declare: shippers' templates have up to five thousand.
const FIELDS_MAX: usize = 10_000;

/// What becomes of a field that no mapping names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Dynamic {
    /// Its first value decides.
    #[default]
    Yes,
    /// It stays in the source.
    No,
    /// The document is refused.
    Strict,
}

/// What is said of an object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Object {
    /// `None`: as in the object around it.
    pub(crate) dynamic: Option<Dynamic>,
    /// Nothing in it is looked at.
    pub(crate) disabled: bool,
}

/// A mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Declared {
    fields: BTreeMap<String, Arc<Field>>,
    /// Objects of which more is said than that they are there; the whole document has the empty path.
    objects: BTreeMap<String, Object>,
    pub(crate) templates: Vec<DynamicTemplate>,
    /// Strings that are instants become dates.
    pub(crate) date_detection: bool,
    /// As it was put.
    pub(crate) shown: Map<String, Value>,
}

impl Default for Declared {
    fn default() -> Self {
        Self {
            fields: BTreeMap::new(),
            objects: BTreeMap::new(),
            templates: Vec::new(),
            date_detection: true,
            shown: Map::new(),
        }
    }
}

impl Declared {
    /// Reads a mapping: the object with `properties`.
    ///
    /// # Errors
    /// When something in it is not known or not supported.
    pub(crate) fn read(shown: &Map<String, Value>) -> Result<Self, MappingError> {
        let mut declared = Self { shown: shown.clone(), ..Self::default() };
        let mut root = Object::default();
        for (key, value) in shown {
            match key.as_str() {
                "properties" => declared.properties("", value, 0)?,
                "dynamic" => root.dynamic = Some(dynamic(value)?),
                "dynamic_templates" => declared.templates = DynamicTemplate::read_all(value)?,
                "date_detection" => declared.date_detection = value != &json!(false) && value != &json!("false"),
                "_source" => source(value)?,
                "_routing" if value.get("required") == Some(&json!(true)) => {
                    return Err(MappingError::new("[_routing] can't be required: there is one shard"));
                }
                "numeric_detection" if value == &json!(false) => {}
                "runtime" if value.as_object().is_some_and(Map::is_empty) => {}
                "_meta"
                | "_routing"
                | "_data_stream_timestamp"
                | "_field_names"
                | "subobjects"
                | "dynamic_date_formats" => {}
                "runtime" => return Err(MappingError::new("[runtime] fields are not supported")),
                other => {
                    let reason = format!("Root mapping definition has unsupported parameters:  [{other} : {value}]");
                    return Err(MappingError::new(reason));
                }
            }
        }
        declared.objects.extend((root != Object::default()).then(|| (String::new(), root)));
        declared.check()?;
        Ok(declared)
    }

    fn properties(&mut self, outer: &str, value: &Value, depth: usize) -> Result<(), MappingError> {
        if depth > DEPTH_MAX {
            return Err(MappingError::new(format!(
                "Limit of mapping depth [{DEPTH_MAX}] has been exceeded due to object field [{outer}]"
            )));
        }
        let members = value.as_object().ok_or_else(|| {
            MappingError::new(format!("Expected map for property [properties] on field [{outer}] but got {value}"))
        })?;
        for (name, value) in members {
            if name.is_empty() || name.bytes().any(|byte| byte <= 1) {
                return Err(MappingError::new("field name cannot be an empty string"));
            }
            let path = if outer.is_empty() { name.clone() } else { format!("{outer}.{name}") };
            let shown = value
                .as_object()
                .ok_or_else(|| MappingError::new(format!("Expected map for property [{name}] but got {value}")))?;
            match shown.get("type").and_then(Value::as_str) {
                None | Some("object" | "nested") => self.object(&path, shown, depth)?,
                Some("passthrough") => self.object(&path, shown, depth)?,
                Some(_) => {
                    let field = Field::read(&path, shown)?;
                    for (name, sub) in &field.subs {
                        self.fields.insert(format!("{path}.{name}"), sub.clone());
                    }
                    self.fields.insert(path, Arc::new(field));
                }
            }
            if self.fields.len() > FIELDS_MAX {
                return Err(MappingError::new(format!("a mapping has more than {FIELDS_MAX} fields")));
            }
        }
        Ok(())
    }

    fn object(&mut self, path: &str, shown: &Map<String, Value>, depth: usize) -> Result<(), MappingError> {
        let mut object = Object::default();
        for (key, value) in shown {
            match key.as_str() {
                "properties" => self.properties(path, value, depth + 1)?,
                "dynamic" => object.dynamic = Some(dynamic(value)?),
                "enabled" => object.disabled = value == &json!(false) || value == &json!("false"),
                "type"
                | "include_in_parent"
                | "include_in_root"
                | "subobjects"
                | "priority"
                | "time_series_dimension"
                | "synthetic_source_keep" => {}
                other => {
                    let reason =
                        format!("Mapping definition for [{path}] has unsupported parameters:  [{other} : {value}]");
                    return Err(MappingError::new(reason));
                }
            }
        }
        self.objects.extend((object != Object::default()).then(|| (path.to_owned(), object)));
        Ok(())
    }

    /// What fits no other field, and what is kept in places of its own.
    fn check(&self) -> Result<(), MappingError> {
        for (path, field) in &self.fields {
            if let Kept::Under(target) = &field.kept {
                match self.fields.get(target).map(|field| &field.kept) {
                    Some(Kept::Under(_)) => {
                        let reason = format!(
                            "Invalid [path] value [{target}] for field alias [{path}]: an alias cannot refer to another alias."
                        );
                        return Err(MappingError::new(reason));
                    }
                    _ if target == path => {
                        let reason = format!(
                            "Invalid [path] value [{target}] for field alias [{path}]: an alias cannot refer to itself."
                        );
                        return Err(MappingError::new(reason));
                    }
                    // It may be found in documents later.
                    _ => {}
                }
            }
        }
        if let Some(field) = self.fields.get(TIMESTAMP).filter(|field| field.kept != Kept::As(FieldType::Date)) {
            let reason = format!("field [{TIMESTAMP}] is the event's time, and can't be of type [{}]", field.es_type);
            return Err(MappingError::new(reason));
        }
        if let Some(field) = self.fields.get(MESSAGE)
            && !matches!(field.kept, Kept::As(FieldType::Text | FieldType::Keyword))
        {
            let reason = format!("field [{MESSAGE}] is the event's text, and can't be of type [{}]", field.es_type);
            return Err(MappingError::new(reason));
        }
        Ok(())
    }

    /// What was declared of a path.
    pub(crate) fn field(&self, path: &str) -> Option<&Arc<Field>> {
        self.fields.get(path)
    }

    /// Whether there is an object of this path: one that was said something about, or one around fields.
    pub(crate) fn knows_object(&self, path: &str) -> bool {
        let below = format!("{path}.");
        self.objects.contains_key(path)
            || self.fields.range(below.clone()..).next().is_some_and(|(next, _)| next.starts_with(&below))
    }

    /// Every field, also those beside others.
    pub(crate) fn each(&self) -> impl Iterator<Item = (&str, &Arc<Field>)> {
        self.fields.iter().map(|(path, field)| (path.as_str(), field))
    }

    /// Whether any object is treated in a way of its own.
    pub(crate) fn has_objects(&self) -> bool {
        self.objects.keys().any(|path| !path.is_empty())
            || self.fields.values().any(|field| matches!(field.kept, Kept::Flattened | Kept::InSource))
    }

    /// Whether an object's members are not looked at.
    pub(crate) fn is_opaque(&self, path: &str) -> bool {
        self.objects.get(path).is_some_and(|object| object.disabled)
            || self.fields.get(path).is_some_and(|field| field.kept == Kept::InSource)
    }

    /// What becomes of an unknown path, by the objects around it.
    pub(crate) fn dynamic_for(&self, path: &str) -> Dynamic {
        if self.objects.is_empty() {
            return Dynamic::Yes;
        }
        let mut outer = path;
        while let Some((parent, _)) = outer.rsplit_once('.') {
            if let Some(object) = self.objects.get(parent) {
                if object.disabled {
                    return Dynamic::No;
                }
                if let Some(dynamic) = object.dynamic {
                    return dynamic;
                }
            }
            outer = parent;
        }
        self.objects.get("").and_then(|root| root.dynamic).unwrap_or_default()
    }

    /// Whether some documents are refused.
    pub(crate) fn is_strict(&self) -> bool {
        self.objects.values().any(|object| object.dynamic == Some(Dynamic::Strict))
    }

    /// This mapping with what another one adds.
    ///
    /// # Errors
    /// When that gives a field another type, or is no mapping.
    pub(crate) fn merged(&self, with: &Map<String, Value>) -> Result<Self, MappingError> {
        let other = Self::read(with)?;
        for (path, field) in &other.fields {
            if let Some(known) = self.fields.get(path).filter(|known| known.es_type != field.es_type) {
                let reason =
                    format!("mapper [{path}] cannot be changed from type [{}] to [{}]", known.es_type, field.es_type);
                return Err(MappingError::new(reason));
            }
        }
        let mut shown = self.shown.clone();
        merge(&mut shown, with);
        Self::read(&shown)
    }
}

/// Merges mappings: objects member by member, everything else is replaced. Dynamic templates of one name replace
/// each other in place, new ones come last, as Elasticsearch does it.
pub(crate) fn merge(into: &mut Map<String, Value>, from: &Map<String, Value>) {
    for (key, value) in from {
        match (into.get_mut(key), value) {
            (Some(Value::Object(inner)), Value::Object(value)) => merge(inner, value),
            (Some(Value::Array(known)), Value::Array(more)) if key == "dynamic_templates" => {
                for template in more {
                    let name = template.as_object().and_then(|map| map.keys().next());
                    let same = |other: &&mut Value| other.as_object().and_then(|map| map.keys().next()) == name;
                    match known.iter_mut().find(same) {
                        Some(same) => *same = template.clone(),
                        None => known.push(template.clone()),
                    }
                }
            }
            _ => drop(into.insert(key.clone(), value.clone())),
        }
    }
}

fn dynamic(value: &Value) -> Result<Dynamic, MappingError> {
    match value.as_str().map_or_else(|| value.to_string(), str::to_owned).as_str() {
        "true" => Ok(Dynamic::Yes),
        "false" => Ok(Dynamic::No),
        "strict" => Ok(Dynamic::Strict),
        other => Err(MappingError::new(format!("[dynamic] can be true, false or strict here, not [{other}]"))),
    }
}

/// The source is always kept, in a way that the index's settings choose.
fn source(value: &Value) -> Result<(), MappingError> {
    let members = value.as_object().ok_or_else(|| MappingError::new("[_source] must be an object"))?;
    for (key, value) in members {
        let fine = match key.as_str() {
            "enabled" => value == &json!(true) || value == &json!("true"),
            "mode" => matches!(value.as_str(), Some("stored" | "synthetic")),
            "includes" | "excludes" => value.as_array().is_some_and(Vec::is_empty),
            _ => false,
        };
        if !fine {
            return Err(MappingError::new(format!("[_source] [{key}] can't be {value}: the whole event is kept")));
        }
    }
    Ok(())
}
