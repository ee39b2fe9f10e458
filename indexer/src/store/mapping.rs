//! What is known of an index's fields: the type of every path, and what was asked for by mappings and templates.

pub(crate) mod declared;
pub(crate) mod dynamic;
mod error;
pub(crate) mod field;
pub(crate) mod ip;
pub(crate) mod render;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

pub(crate) use declared::Declared;
pub(crate) use error::MappingError;
pub(crate) use field::{Field, Kept};

/// How the values of a path are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum FieldType {
    /// A string, compared as a whole.
    Keyword,
    /// A string, searched by its words.
    Text,
    /// A whole number.
    Long,
    /// A number.
    Double,
    /// True or false.
    Boolean,
    /// An instant.
    Date,
    /// An address, kept as [`ip`] writes it.
    Ip,
}

impl FieldType {
    /// The name in an Elasticsearch mapping.
    pub(crate) const fn es_name(self) -> &'static str {
        match self {
            Self::Keyword => "keyword",
            Self::Text => "text",
            Self::Long => "long",
            Self::Double => "double",
            Self::Boolean => "boolean",
            Self::Date => "date",
            Self::Ip => "ip",
        }
    }
}

/// The fields of an index. By itself it is the types by dotted path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mapping {
    types: BTreeMap<String, FieldType>,
    /// Paths that a dynamic template made, with the mapping that it gave them.
    made: BTreeMap<String, Arc<Field>>,
    /// What mappings asked for.
    declared: Arc<Declared>,
}

impl Mapping {
    pub(crate) fn new(
        types: BTreeMap<String, FieldType>,
        made: BTreeMap<String, Arc<Field>>,
        declared: Arc<Declared>,
    ) -> Self {
        let mut mapping = Self { types, made, declared };
        for (path, field) in mapping.declared.clone().each() {
            if let Kept::As(field_type) = field.kept {
                mapping.types.insert(path.to_owned(), field_type);
            }
        }
        mapping
    }

    /// The same paths with other declarations.
    pub(crate) fn with_declared(&self, declared: Arc<Declared>) -> Self {
        Self::new(self.types.clone(), self.made.clone(), declared)
    }

    pub(crate) fn declared(&self) -> &Arc<Declared> {
        &self.declared
    }

    pub(crate) const fn made(&self) -> &BTreeMap<String, Arc<Field>> {
        &self.made
    }

    /// What a mapping or a dynamic template says of a path.
    pub(crate) fn field(&self, path: &str) -> Option<&Arc<Field>> {
        self.declared.field(path).or_else(|| self.made.get(path)).or_else(|| {
            // A field beside one that a dynamic template made: `name.keyword`.
            let (parent, name) = path.rsplit_once('.')?;
            self.made.get(parent)?.subs.iter().find(|(sub, _)| sub == name).map(|(_, field)| field)
        })
    }

    /// The name of a path's type in an Elasticsearch mapping.
    pub(crate) fn es_name(&self, path: &str) -> Option<&str> {
        match self.field(path) {
            Some(field) => Some(&field.es_type),
            None => self.types.get(path).map(|field_type| field_type.es_name()),
        }
    }
}

impl std::ops::Deref for Mapping {
    type Target = BTreeMap<String, FieldType>;

    fn deref(&self) -> &Self::Target {
        &self.types
    }
}

impl<const N: usize> From<[(String, FieldType); N]> for Mapping {
    fn from(types: [(String, FieldType); N]) -> Self {
        Self { types: types.into(), ..Self::default() }
    }
}

/// A path is written as its type, or as its type and the mapping that a dynamic template gave it. What was declared
/// is kept elsewhere.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Type(FieldType),
    Made { kept: Option<FieldType>, made: Map<String, Value> },
}

impl Serialize for Mapping {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let types = self.types.iter().filter(|(path, _)| !self.made.contains_key(*path));
        let types = types.map(|(path, field_type)| (path, Written::Type(*field_type)));
        let made = self.made.iter().map(|(path, field)| {
            (path, Written::Made { kept: self.types.get(path).copied(), made: field.shown.clone() })
        });
        serializer.collect_map(types.chain(made))
    }
}

impl<'de> Deserialize<'de> for Mapping {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut mapping = Self::default();
        for (path, written) in BTreeMap::<String, Written>::deserialize(deserializer)? {
            match written {
                Written::Type(field_type) => drop(mapping.types.insert(path, field_type)),
                Written::Made { kept, made } => {
                    let field = Field::read(&path, &made).map_err(serde::de::Error::custom)?;
                    if let Some(kept) = kept {
                        mapping.types.insert(path.clone(), kept);
                    }
                    mapping.made.insert(path, Arc::new(field));
                }
            }
        }
        Ok(mapping)
    }
}
