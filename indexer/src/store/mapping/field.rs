//! One field of a mapping: its type in Elasticsearch's words, how its values are kept here, and its parameters.
//! What a parameter asks for and is not done here is refused by name.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::FieldType;
use super::error::MappingError;
use crate::dates::Formats;

/// Fields beside a field: nobody writes more than a handful.
const SUBS_MAX: usize = 16;

/// How the values of a field are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// Searchable by this type.
    As(FieldType),
    /// In the source alone.
    InSource,
    /// Under another name: `alias`.
    Under(String),
    /// An object whose members are all keywords: `flattened`.
    Flattened,
}

/// A field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Field {
    pub(crate) es_type: String,
    pub(crate) kept: Kept,
    /// Longer strings (in characters) are not indexed.
    pub(crate) ignore_above: Option<usize>,
    /// Stands for an explicit null.
    pub(crate) null_value: Option<Value>,
    pub(crate) formats: Formats,
    /// Every document has this value: `constant_keyword`.
    pub(crate) constant: Option<String>,
    /// The least and the greatest whole number that the type holds.
    pub(crate) range: Option<(i128, i128)>,
    /// Fractions of whole numbers are cut off, and strings are read as numbers.
    pub(crate) coerce: bool,
    /// The field can be aggregated and sorted by.
    pub(crate) aggregatable: bool,
    /// Further fields made of the same values: `name.keyword`.
    pub(crate) subs: Vec<(String, Arc<Field>)>,
    /// As it was written.
    pub(crate) shown: Map<String, Value>,
}

/// Types, and how their values are kept.
fn kept_as(es_type: &str) -> Option<Kept> {
    Some(match es_type {
        "keyword" | "wildcard" | "constant_keyword" | "version" => Kept::As(FieldType::Keyword),
        "text" | "match_only_text" | "pattern_text" => Kept::As(FieldType::Text),
        "long" | "integer" | "short" | "byte" | "unsigned_long" => Kept::As(FieldType::Long),
        "double" | "float" | "half_float" | "scaled_float" => Kept::As(FieldType::Double),
        "boolean" => Kept::As(FieldType::Boolean),
        "date" | "date_nanos" => Kept::As(FieldType::Date),
        "ip" => Kept::As(FieldType::Ip),
        "flattened" | "flat_object" => Kept::Flattened,
        // Shippers' templates have these; their values are kept and shown, and queries on them are refused.
        "binary"
        | "geo_point"
        | "geo_shape"
        | "point"
        | "shape"
        | "histogram"
        | "aggregate_metric_double"
        | "integer_range"
        | "long_range"
        | "float_range"
        | "double_range"
        | "date_range"
        | "ip_range"
        | "dense_vector"
        | "sparse_vector"
        | "rank_feature"
        | "rank_features" => Kept::InSource,
        _ => return None,
    })
}

/// Parameters that change nothing here: how Elasticsearch scores, stores or caches, and notes for people.
const HARMLESS: [&str; 26] = [
    "norms",
    "index_options",
    "index_phrases",
    "index_prefixes",
    "store",
    "boost",
    "similarity",
    "eager_global_ordinals",
    "meta",
    "split_queries_on_whitespace",
    "term_vector",
    "position_increment_gap",
    "ignore_malformed",
    "locale",
    "time_series_metric",
    "time_series_dimension",
    "scaling_factor",
    "depth_limit",
    "ignore_z_value",
    "metrics",
    "default_metric",
    "dims",
    "synthetic_source_keep",
    "index_options_type",
    "analyzer_version",
    "fielddata_frequency_filter",
];

impl Field {
    /// Reads the mapping of a field.
    ///
    /// # Errors
    /// When the type is not known, or a parameter is not.
    pub(crate) fn read(path: &str, shown: &Map<String, Value>) -> Result<Self, MappingError> {
        let es_type = match shown.get("type") {
            Some(Value::String(es_type)) => es_type.clone(),
            _ => return Err(MappingError::new(format!("No type specified for field [{path}]"))),
        };
        if es_type == "alias" {
            return Self::alias(path, shown);
        }
        let Some(kept) = kept_as(&es_type) else {
            let reason = format!("No handler for type [{es_type}] declared on field [{}]", last(path));
            return Err(MappingError::new(reason));
        };
        let mut field = Self { range: range_of(&es_type), ..Self::plain(&es_type, kept) };
        field.shown.clone_from(shown);
        let (mut indexed, mut columns) = (true, true);
        for (key, value) in shown {
            match key.as_str() {
                "type" => {}
                "ignore_above" => {
                    let most = whole(value).and_then(|most| usize::try_from(most).ok());
                    field.ignore_above = Some(most.ok_or_else(|| wrong(path, key, value))?);
                }
                "null_value" => field.null_value = Some(value.clone()).filter(|value| !value.is_null()),
                "format" => {
                    let text = value.as_str().ok_or_else(|| wrong(path, key, value))?;
                    let formats = Formats::read(text);
                    field.formats = formats.map_err(|error| MappingError::new(format!("field [{path}]: {error}")))?;
                }
                "value" if es_type == "constant_keyword" => {
                    field.constant = Some(value.as_str().map_or_else(|| value.to_string(), str::to_owned));
                }
                "index" => indexed = flag(value).ok_or_else(|| wrong(path, key, value))?,
                "doc_values" => columns = flag(value).ok_or_else(|| wrong(path, key, value))?,
                "coerce" => field.coerce = flag(value).ok_or_else(|| wrong(path, key, value))?,
                "fields" => field.subs = subs(path, value)?,
                "analyzer" | "search_analyzer" | "search_quote_analyzer"
                    if value.as_str().is_some_and(|name| matches!(name, "standard" | "default")) => {}
                "copy_to" if value.as_array().is_some_and(Vec::is_empty) => {}
                // Written by old clients for what is the default.
                "fielddata" | "include_in_all" if flag(value) == Some(false) => {}
                "copy_to"
                | "script"
                | "normalizer"
                | "analyzer"
                | "search_analyzer"
                | "search_quote_analyzer"
                | "fielddata" => {
                    let reason = format!("parameter [{key}] on field [{path}] of type [{es_type}] is not supported");
                    return Err(MappingError::new(reason));
                }
                key if HARMLESS.contains(&key) => {}
                _ => {
                    let name = last(path);
                    let reason = format!("unknown parameter [{key}] on mapper [{name}] of type [{es_type}]");
                    return Err(MappingError::new(reason));
                }
            }
        }
        let is_text = matches!(field.kept, Kept::As(FieldType::Text));
        field.aggregatable = columns && !is_text && matches!(field.kept, Kept::As(_));
        if !indexed && (is_text || !columns) {
            field.kept = Kept::InSource;
        }
        Ok(field)
    }

    /// A field of a type with all its defaults.
    fn plain(es_type: &str, kept: Kept) -> Self {
        Self {
            es_type: es_type.to_owned(),
            kept,
            ignore_above: None,
            null_value: None,
            formats: Formats::default(),
            constant: None,
            range: None,
            coerce: true,
            aggregatable: false,
            subs: Vec::new(),
            shown: Map::new(),
        }
    }

    fn alias(path: &str, shown: &Map<String, Value>) -> Result<Self, MappingError> {
        let target = shown.get("path").and_then(Value::as_str);
        let target = target
            .ok_or_else(|| MappingError::new(format!("The [path] property must be specified for field [{path}].")))?;
        if let Some(key) = shown.keys().find(|key| !matches!(key.as_str(), "type" | "path" | "meta")) {
            let name = last(path);
            return Err(MappingError::new(format!("unknown parameter [{key}] on mapper [{name}] of type [alias]")));
        }
        Ok(Self { shown: shown.clone(), ..Self::plain("alias", Kept::Under(target.to_owned())) })
    }
}

/// The least and the greatest number of the types that hold whole ones.
fn range_of(es_type: &str) -> Option<(i128, i128)> {
    Some(match es_type {
        "byte" => (i128::from(i8::MIN), i128::from(i8::MAX)),
        "short" => (i128::from(i16::MIN), i128::from(i16::MAX)),
        "integer" => (i128::from(i32::MIN), i128::from(i32::MAX)),
        "long" => (i128::from(i64::MIN), i128::from(i64::MAX)),
        "unsigned_long" => (0, i128::from(u64::MAX)),
        _ => return None,
    })
}

fn subs(path: &str, value: &Value) -> Result<Vec<(String, Arc<Field>)>, MappingError> {
    let members = value.as_object().ok_or_else(|| wrong(path, "fields", value))?;
    if members.len() > SUBS_MAX {
        return Err(MappingError::new(format!("field [{path}] has more than {SUBS_MAX} [fields]")));
    }
    let read = |(name, shown): (&String, &Value)| {
        let path = format!("{path}.{name}");
        let field = Field::read(&path, shown.as_object().ok_or_else(|| wrong(&path, "fields", shown))?)?;
        if !field.subs.is_empty() || !matches!(field.kept, Kept::As(_) | Kept::InSource) {
            return Err(MappingError::new(format!("field [{path}] can't be a field beside another one")));
        }
        Ok((name.clone(), Arc::new(field)))
    };
    members.iter().map(read).collect()
}

fn flag(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(flag) => Some(*flag),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

fn whole(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str().and_then(|text| text.parse().ok()))
}

fn wrong(path: &str, key: &str, value: &Value) -> MappingError {
    MappingError::new(format!("parameter [{key}] of field [{path}] can't be {value}"))
}

/// A path's last name, as Elasticsearch tells it.
fn last(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or(path)
}
