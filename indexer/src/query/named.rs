//! Under which names the values of a document are asked for: their own, those of fields made of the same values, and
//! aliases of all of these.

use std::collections::BTreeMap;

use super::fields::{self, Place};
use crate::schema::TIMESTAMP;
use crate::store::mapping::{Field, Kept};
use crate::store::registry::{FieldType, Mapping};

/// The names of the fields of one index.
#[derive(Debug)]
pub(crate) struct Names<'m> {
    mapping: &'m Mapping,
    /// Aliases by what they stand for.
    aliases: BTreeMap<&'m str, Vec<&'m str>>,
    /// Fields that every document has with one value.
    pub(crate) constants: Vec<(&'m str, &'m str)>,
    /// Objects that are one field.
    pub(crate) flattened: Vec<&'m str>,
}

/// A name of a value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Name<'n> {
    pub(crate) name: &'n str,
    /// The field that it stands for: itself, where it is no alias.
    pub(crate) real: &'n str,
    /// `.keyword` behind a keyword that nobody declared: it is there for who asks for it, and never told.
    pub(crate) is_virtual: bool,
}

impl<'m> Names<'m> {
    pub(crate) fn of(mapping: &'m Mapping) -> Self {
        let mut names = Self { mapping, aliases: BTreeMap::new(), constants: Vec::new(), flattened: Vec::new() };
        for (name, field) in mapping.declared().each() {
            match &field.kept {
                Kept::Under(target) => names.aliases.entry(target).or_default().push(name),
                Kept::Flattened => names.flattened.push(name),
                Kept::As(_) | Kept::InSource => {
                    names.constants.extend(field.constant.as_deref().map(|value| (name, value)));
                }
            }
        }
        names
    }

    pub(crate) fn aliases(&self, field: &str) -> &[&'m str] {
        self.aliases.get(field).map_or(&[], Vec::as_slice)
    }

    /// Calls `each` with every name of a value that the source has under `own`.
    pub(crate) fn each(&self, own: &str, each: &mut dyn FnMut(Name<'_>)) {
        let mut with_aliases = |real: &str| {
            each(Name { name: real, real, is_virtual: false });
            for name in self.aliases(real) {
                each(Name { name, real, is_virtual: false });
            }
        };
        with_aliases(own);
        let subs = self.mapping.field(own).map_or(&[][..], |field| field.subs.as_slice());
        for (sub, _) in subs {
            with_aliases(&format!("{own}.{sub}"));
        }
        if self.mapping.get(own) == Some(&FieldType::Keyword) && !subs.iter().any(|(sub, _)| sub == "keyword") {
            each(Name { name: &format!("{own}.keyword"), real: own, is_virtual: true });
        }
    }

    /// The type of a field and what is said of it; `None` for what the index does not know as searchable.
    pub(crate) fn kind(&self, name: &str) -> Option<(FieldType, Option<&'m Field>)> {
        let said = |path: &str| self.mapping.field(path).map(AsRef::as_ref);
        match fields::place(self.mapping, name) {
            Place::Time => Some((FieldType::Date, said(TIMESTAMP))),
            Place::Message => Some((FieldType::Text, None)),
            Place::Text(path) => Some((FieldType::Text, said(&path))),
            Place::Value(path, field_type) => Some((field_type, said(&path))),
            Place::Id | Place::Index | Place::InSource(_) | Place::Nowhere => None,
        }
    }

    /// Whether the index has a field of this name, also one that is in the source alone.
    pub(crate) fn knows(&self, name: &str) -> bool {
        fields::place(self.mapping, name) != Place::Nowhere
    }
}
