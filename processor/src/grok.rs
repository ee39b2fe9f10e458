//! Grok: named building blocks of regular expressions that cut a line into fields.
//!
//! Nothing a log line contains may take more than linear time. Only a user's own look-around is given to the
//! backtracking engine, with a limit on its steps.

mod engine;
mod patterns;
mod translate;

use logmill_core::FieldPath;
use serde_json::{Number, Value};

pub(crate) use engine::{Grok, Scratch};
pub(crate) use translate::translate;

/// Why a grok pattern can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum GrokError {
    #[error("the pattern %{{{name}}} is not known{known}; define it in pattern_definitions")]
    UnknownPattern { name: String, known: String },
    #[error("the pattern refers to itself")]
    Circle,
    #[error("the pattern expands to more than {0} bytes")]
    TooLarge(usize),
    #[error("it ends in a lone backslash")]
    LoneBackslash,
    #[error("back-references can't be matched in linear time; capture twice and compare with `if`")]
    BackReference,
    #[error("\\{0} is not supported")]
    Unsupported(char),
    #[error("a [ without its closing ]")]
    OpenClass,
    #[error("a ( without its closing )")]
    OpenGroup,
    #[error("a %{{ without its closing }}")]
    OpenReference,
    #[error("`{0}` is not a field: write %{{WORD:user.name}} or %{{WORD:[user][name]}}")]
    Field(String),
    #[error("`{0}` is not a type: use int, float, boolean or string")]
    Kind(String),
    #[error("not a regular expression: {0}")]
    Regex(String),
}

/// A named group: where its text goes, and as what.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Capture {
    pub(crate) path: FieldPath,
    pub(crate) kind: Kind,
}

/// What a captured text becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Int,
    Float,
    Bool,
    /// Text, unless it is the lone `-` by which access logs say "nothing".
    NotDash,
}

impl Kind {
    fn parse(word: &str) -> Result<Self, GrokError> {
        match word {
            "string" | "text" | "keyword" => Ok(Self::Text),
            "int" | "integer" | "long" => Ok(Self::Int),
            "float" | "double" => Ok(Self::Float),
            "bool" | "boolean" => Ok(Self::Bool),
            "notdash" => Ok(Self::NotDash),
            _ => Err(GrokError::Kind(word.to_owned())),
        }
    }

    /// The value of a captured text; a text that is no number stays a text, so that nothing is lost.
    /// `None` for what is not worth a field: nothing was captured.
    pub(crate) fn value(self, text: &str) -> Option<Value> {
        let kept = || Value::String(text.to_owned());
        match self {
            _ if text.is_empty() => None,
            Self::NotDash if text == "-" => None,
            Self::Text | Self::NotDash => Some(kept()),
            Self::Int => Some(match text.parse::<i64>() {
                Ok(number) => Value::from(number),
                // Logstash cuts a fraction off.
                Err(_) => match text.parse::<f64>() {
                    Ok(number) if number.abs() < 9e15 => Value::from(number as i64),
                    _ => kept(),
                },
            }),
            Self::Float => Some(text.parse().ok().and_then(Number::from_f64).map_or_else(kept, Value::Number)),
            Self::Bool => Some(match text {
                "true" | "TRUE" | "True" => Value::Bool(true),
                "false" | "FALSE" | "False" => Value::Bool(false),
                _ => kept(),
            }),
        }
    }
}

#[cfg(test)]
mod tests;
