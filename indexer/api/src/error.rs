//! What is wrong with a query, where, and what to write instead.

use std::ops::Range;

/// A query that can't be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, serde::Serialize)]
#[error("{message}")]
pub struct QueryError {
    /// What is wrong, in plain words.
    pub message: String,
    /// Where: bytes of the query's text, on character boundaries; empty at the place where something is missing.
    pub span: Range<usize>,
    /// What to write instead.
    pub hint: Option<String>,
}

impl QueryError {
    pub(crate) fn new(span: Range<usize>, message: impl Into<String>) -> Self {
        Self { message: message.into(), span, hint: None }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The query with a caret line below the faulty place, for terminals.
    #[must_use]
    pub fn caret(&self, text: &str) -> String {
        let start = self.span.start.min(text.len());
        let line_start = text.get(..start).and_then(|before| before.rfind('\n')).map_or(0, |at| at + 1);
        let line = text.get(line_start..).unwrap_or_default().lines().next().unwrap_or_default();
        let before = text.get(line_start..start).unwrap_or_default().chars().count();
        let marked = text.get(self.span.clone()).unwrap_or_default().chars().count().max(1);
        format!("{line}\n{}{}", " ".repeat(before), "^".repeat(marked))
    }
}
