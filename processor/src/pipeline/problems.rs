//! What is wrong with a pipeline, collected with the key of each place, so that all of it is told at once.

use logmill_core::FieldPath;

use super::route::Template;
use crate::expression::Expression;
use crate::time::Zone;

#[derive(Debug, Default)]
pub(crate) struct Problems {
    key: Vec<String>,
    pub(crate) found: Vec<(String, String)>,
    pub(crate) lints: Vec<String>,
}

impl Problems {
    /// Does `work` one level deeper.
    pub(crate) fn within<R>(&mut self, part: &str, work: impl FnOnce(&mut Self) -> R) -> R {
        self.key.push(part.to_owned());
        let result = work(self);
        self.key.pop();
        result
    }

    /// The present place, dotted.
    pub(crate) fn key(&self) -> String {
        self.key.join(".")
    }

    /// Adds a problem of `below` the present place.
    pub(crate) fn add(&mut self, below: &str, message: impl Into<String>) {
        let key = self.below(below);
        self.found.push((key, message.into()));
    }

    /// Adds a warning.
    pub(crate) fn lint(&mut self, below: &str, message: &str) {
        let key = self.below(below);
        self.lints.push(format!("{key}: {message}"));
    }

    fn below(&self, below: &str) -> String {
        let parts = self.key.iter().map(String::as_str).chain(Some(below).filter(|part| !part.is_empty()));
        parts.collect::<Vec<_>>().join(".")
    }

    pub(crate) fn field(&mut self, below: &str, text: &str) -> Option<FieldPath> {
        FieldPath::parse(text).map_err(|error| self.add(below, error.to_string())).ok()
    }

    /// `None` after a problem.
    #[allow(clippy::option_option)]
    pub(crate) fn optional_field(&mut self, below: &str, text: Option<&str>) -> Option<Option<FieldPath>> {
        match text {
            None => Some(None),
            Some(text) => self.field(below, text).map(Some),
        }
    }

    /// `None` when there is none, or after a problem.
    pub(crate) fn condition(&mut self, text: Option<&str>) -> Option<Expression> {
        Expression::parse(text?).map_err(|error| self.add("if", error.to_string())).ok()
    }

    pub(crate) fn template(&mut self, below: &str, text: &str) -> Option<Template> {
        Template::parse(text).map_err(|message| self.add(below, message)).ok()
    }

    pub(crate) fn zone(&mut self, below: &str, name: &str) -> Option<Zone> {
        let zone = Zone::parse(name);
        if zone.is_none() {
            self.add(below, format!("`{name}` is no time zone: write UTC, local, +02:00 or Europe/Paris"));
        }
        zone
    }
}
