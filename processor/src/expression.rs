//! The conditions of pipelines: small, typed and total. Any event gives an answer, in time linear in the event;
//! what can't be true (a text compared with a number) is refused when the expression is read, not when it runs.

mod eval;
mod parse;
mod print;
mod token;

use std::sync::Arc;

use logmill_core::{Event, FieldPath};
use serde_json::Number;

/// A condition, ready to be asked.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Expression(Term);

/// What is wrong with an expression, and where: a byte offset into it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} (at character {column}: `{near}`){}", hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default())]
pub(crate) struct ExpressionError {
    pub(crate) message: String,
    /// Counted from 1.
    pub(crate) column: usize,
    pub(crate) near: String,
    pub(crate) hint: Option<String>,
}

impl Expression {
    /// Reads an expression.
    pub(crate) fn parse(text: &str) -> Result<Self, ExpressionError> {
        parse::parse(text).map(Self)
    }

    /// Whether the expression is true of the event. A field that holds no boolean is not true by itself.
    pub(crate) fn is_true(&self, event: &Event) -> bool {
        eval::is_true(&self.0, event)
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Term {
    Literal(Literal),
    Field(FieldPath),
    Not(Box<Term>),
    And(Box<Term>, Box<Term>),
    Or(Box<Term>, Box<Term>),
    Compare(Comparison, Box<Term>, Box<Term>),
    In(Box<Term>, Vec<Literal>),
    Call(Function, Vec<Term>),
    Matches(Box<Term>, Pattern),
}

#[derive(Clone, Debug, PartialEq)]
enum Literal {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparison {
    const ALL: [(&'static str, Self); 6] = [
        ("==", Self::Equal),
        ("!=", Self::NotEqual),
        ("<=", Self::LessOrEqual),
        (">=", Self::GreaterOrEqual),
        ("<", Self::Less),
        (">", Self::Greater),
    ];

    fn word(self) -> &'static str {
        Self::ALL.iter().find(|(_, known)| *known == self).map_or("==", |(word, _)| word)
    }

    const fn is_order(self) -> bool {
        !matches!(self, Self::Equal | Self::NotEqual)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Function {
    Exists,
    Contains,
    StartsWith,
    EndsWith,
    Matches,
    Length,
    Lower,
    Upper,
    IsText,
    IsNumber,
    IsList,
    IsObject,
}

impl Function {
    const ALL: [(&'static str, Self); 12] = [
        ("exists", Self::Exists),
        ("contains", Self::Contains),
        ("starts_with", Self::StartsWith),
        ("ends_with", Self::EndsWith),
        ("matches", Self::Matches),
        ("length", Self::Length),
        ("lower", Self::Lower),
        ("upper", Self::Upper),
        ("is_text", Self::IsText),
        ("is_number", Self::IsNumber),
        ("is_list", Self::IsList),
        ("is_object", Self::IsObject),
    ];

    fn word(self) -> &'static str {
        Self::ALL.iter().find(|(_, known)| *known == self).map_or("exists", |(word, _)| word)
    }

    const fn arguments(self) -> usize {
        match self {
            Self::Contains | Self::StartsWith | Self::EndsWith | Self::Matches => 2,
            _ => 1,
        }
    }

    const fn kind(self) -> Kind {
        match self {
            Self::Length => Kind::Number,
            Self::Lower | Self::Upper => Kind::Text,
            _ => Kind::Bool,
        }
    }
}

/// What a term gives, as far as can be told without an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Any,
    Null,
    Bool,
    Number,
    Text,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Any => "a field",
            Self::Null => "null",
            Self::Bool => "true or false",
            Self::Number => "a number",
            Self::Text => "text",
        }
    }
}

impl Term {
    const fn kind(&self) -> Kind {
        match self {
            Self::Literal(Literal::Null) => Kind::Null,
            Self::Literal(Literal::Number(_)) => Kind::Number,
            Self::Literal(Literal::Text(_)) => Kind::Text,
            Self::Field(_) => Kind::Any,
            Self::Call(function, _) => function.kind(),
            _ => Kind::Bool,
        }
    }
}

/// A regular expression with its text, so that it can be printed and compared.
#[derive(Clone, Debug)]
struct Pattern {
    text: String,
    regex: Arc<regex::Regex>,
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

#[cfg(test)]
mod tests;
