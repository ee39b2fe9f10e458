//! A query as a tree of plain data: what the DSL, KQL and Lucene's syntax all become before fields are looked up.

use logmill_indexer_api::{Ast, Field, Test};
use serde_json::Value;

/// A query.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Clause {
    All,
    None,
    Bool {
        must: Vec<Clause>,
        should: Vec<Clause>,
        must_not: Vec<Clause>,
        minimum_should_match: usize,
    },
    /// One condition on one field.
    On {
        field: String,
        test: Condition,
    },
    /// One condition on any of several fields; names may be patterns, and no name at all means every field.
    OnAny {
        fields: Vec<String>,
        test: Condition,
    },
    Ids(Vec<String>),
}

/// A condition on a field.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Condition {
    /// Words on text fields, the whole value elsewhere.
    Match {
        text: String,
        all: bool,
    },
    Phrase {
        text: String,
        slop: u32,
        prefix: bool,
    },
    Term {
        value: Value,
        case_insensitive: bool,
    },
    Terms(Vec<Value>),
    Range(Bounds),
    Exists,
    Prefix {
        text: String,
        case_insensitive: bool,
    },
    Wildcard {
        pattern: String,
        case_insensitive: bool,
    },
    /// A wildcard that means words on text fields, as KQL and Lucene's syntax have it.
    WordPattern(String),
    Regexp {
        pattern: String,
        case_insensitive: bool,
    },
    Fuzzy {
        text: String,
        distance: u8,
    },
}

/// Bounds as they were written.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Bounds {
    /// The lower bound, and whether it is included.
    pub(crate) lower: Option<(Value, bool)>,
    pub(crate) upper: Option<(Value, bool)>,
    pub(crate) time_zone: Option<String>,
    pub(crate) format: Option<String>,
}

impl Clause {
    pub(crate) fn any(mut members: Vec<Clause>) -> Self {
        match members.len() {
            0 => Self::None,
            1 => members.pop().unwrap_or(Self::None),
            _ => Self::Bool { must: vec![], should: members, must_not: vec![], minimum_should_match: 1 },
        }
    }

    pub(crate) fn all(mut members: Vec<Clause>) -> Self {
        match members.len() {
            0 => Self::All,
            1 => members.pop().unwrap_or(Self::All),
            _ => Self::Bool { must: members, should: vec![], must_not: vec![], minimum_should_match: 0 },
        }
    }

    pub(crate) fn not(member: Clause) -> Self {
        Self::Bool { must: vec![], should: vec![], must_not: vec![member], minimum_should_match: 0 }
    }

    /// A parsed KQL or Lucene query; bare words are searched in `default_fields`.
    pub(crate) fn from_ast(ast: &Ast, default_fields: &[String], all_words: bool) -> Self {
        let each = |members: &[Ast]| members.iter().map(|ast| Self::from_ast(ast, default_fields, all_words)).collect();
        match ast {
            Ast::All => Self::All,
            Ast::And(members) => Self::all(each(members)),
            Ast::Or(members) => Self::any(each(members)),
            Ast::Not(member) => Self::not(Self::from_ast(member, default_fields, all_words)),
            Ast::Leaf { field, test } => {
                let test = Condition::from_test(test, all_words);
                match field {
                    Field::Named(name) => Self::On { field: name.clone(), test },
                    Field::Pattern(pattern) => Self::OnAny { fields: vec![pattern.clone()], test },
                    Field::Default => match default_fields {
                        [only] if !only.contains('*') => Self::On { field: only.clone(), test },
                        several => Self::OnAny { fields: several.to_vec(), test },
                    },
                }
            }
        }
    }

    /// The same, and `filter` besides; scores stay as they are.
    pub(crate) fn within(self, filter: Clause) -> Self {
        Self::Bool { must: vec![self, filter], should: vec![], must_not: vec![], minimum_should_match: 0 }
    }

    /// The same matches, without what only changes their scores.
    pub(crate) fn without_scores(self) -> Self {
        self
    }

    /// The score of every match, when all have the same.
    pub(crate) fn same_score(&self) -> Option<f32> {
        Some(1.0)
    }

    /// How many conditions there are.
    pub(crate) fn size(&self) -> usize {
        match self {
            Self::Bool { must, should, must_not, .. } => {
                1 + [must, should, must_not].into_iter().flatten().map(Self::size).sum::<usize>()
            }
            _ => 1,
        }
    }
}

impl Condition {
    fn from_test(test: &Test, all_words: bool) -> Self {
        let written = |text: &String| Value::String(text.clone());
        match test {
            Test::Words(text) => Self::Match { text: text.clone(), all: all_words },
            Test::Phrase { text, slop } => Self::Phrase { text: text.clone(), slop: *slop, prefix: false },
            Test::Pattern(pattern) => Self::WordPattern(pattern.clone()),
            Test::Regex(pattern) => Self::Regexp { pattern: pattern.clone(), case_insensitive: false },
            Test::Fuzzy { text, distance } => Self::Fuzzy { text: text.clone(), distance: *distance },
            Test::Exists => Self::Exists,
            Test::Range(range) => Self::Range(Bounds {
                lower: range.lower.as_ref().map(|bound| (written(&bound.value), bound.inclusive)),
                upper: range.upper.as_ref().map(|bound| (written(&bound.value), bound.inclusive)),
                ..Bounds::default()
            }),
        }
    }
}
