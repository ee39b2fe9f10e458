//! The standard pattern names, and a user's own over them.
//!
//! The names and what they mean are those that grok users know; the definitions are written for a linear-time
//! engine: no look-around, no back-references, no atomic groups. Fields follow ECS.

mod base;
mod middleware;
mod syslog;
mod time;
mod web;

use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

/// A named pattern.
#[derive(Clone, Copy, Debug)]
pub(super) struct Definition<'d> {
    pub(super) text: &'d str,
    /// A twin for the usual shape that the one-pass engine can run. Whatever it matches, `text` matches too, with
    /// the same captures; what it does not match is left to `text`.
    pub(super) fast: Option<&'d str>,
}

/// Rows of a table: name and definition.
type Table = &'static [(&'static str, &'static str)];

static STANDARD: LazyLock<HashMap<&'static str, Definition<'static>>> = LazyLock::new(|| {
    let tables = [base::TABLE, time::TABLE, syslog::TABLE, web::TABLE, middleware::TABLE];
    let rows = tables.into_iter().flatten();
    let mut known: HashMap<_, _> = rows.map(|(name, text)| (*name, Definition { text, fast: None })).collect();
    for (name, fast) in web::FAST {
        if let Some(definition) = known.get_mut(name) {
            definition.fast = Some(fast);
        }
    }
    known
});

/// All patterns that may be named.
#[derive(Debug)]
pub(super) struct Definitions<'d> {
    own: Option<&'d BTreeMap<String, String>>,
}

impl<'d> Definitions<'d> {
    #[cfg(test)]
    pub(super) const fn standard() -> Self {
        Self { own: None }
    }

    pub(super) const fn with(own: &'d BTreeMap<String, String>) -> Self {
        Self { own: Some(own) }
    }

    pub(super) fn find(&self, name: &str) -> Option<Definition<'_>> {
        match self.own.and_then(|own| own.get(name)) {
            Some(text) => Some(Definition { text, fast: None }),
            None => STANDARD.get(name).copied(),
        }
    }

    /// `; did you mean …?` when a known name is near.
    pub(super) fn nearest(&self, name: &str) -> String {
        let own = self.own.into_iter().flatten().map(|(name, _)| name.as_str());
        let near = own
            .chain(STANDARD.keys().copied())
            .map(|known| (strsim::damerau_levenshtein(name, known), known))
            .min()
            .filter(|(distance, _)| *distance <= 1 + name.len() / 3);
        near.map_or_else(String::new, |(_, known)| format!("; did you mean %{{{known}}}?"))
    }

    #[cfg(test)]
    pub(super) fn names() -> impl Iterator<Item = &'static str> {
        STANDARD.keys().copied()
    }
}
