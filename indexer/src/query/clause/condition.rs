//! Conditions on fields.

use serde_json::Value;

use crate::dates::Formats;

/// Words on text fields, the whole value elsewhere.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Words {
    pub(crate) text: String,
    /// Every word must be there.
    pub(crate) all: bool,
    /// How many must be, when not all.
    pub(crate) minimum: Option<Minimum>,
    pub(crate) fuzzy: Option<Fuzzy>,
    /// The last word may be the beginning of one.
    pub(crate) prefix_last: bool,
    /// A text without words matches everything.
    pub(crate) all_when_empty: bool,
}

impl Words {
    pub(crate) fn of(text: &str, all: bool) -> Self {
        Self { text: text.to_owned(), all, ..Self::default() }
    }
}

/// `minimum_should_match`, as it was written.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Minimum(pub(crate) String);

/// What counts as nearly the same word.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Fuzzy {
    pub(crate) edits: Edits,
    /// Letters at the beginning that must be the same.
    pub(crate) prefix: usize,
    /// Words of the index that are taken at most, the nearest first.
    pub(crate) most: usize,
    /// Whether swapping neighbours is one edit.
    pub(crate) swaps: bool,
}

/// How many edits are allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Edits {
    Exactly(u8),
    /// None below the first length, one below the second, two from there.
    Auto(usize, usize),
}

impl Edits {
    pub(crate) fn of(self, word: &str) -> usize {
        match self {
            Self::Exactly(edits) => usize::from(edits),
            Self::Auto(one, two) => match word.chars().count() {
                length if length < one => 0,
                length if length < two => 1,
                _ => 2,
            },
        }
    }
}

impl Fuzzy {
    /// Elasticsearch's defaults.
    pub(crate) const fn with(edits: Edits) -> Self {
        Self { edits, prefix: 0, most: 50, swaps: true }
    }
}

/// A condition on a field.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Condition {
    Match(Words),
    Phrase {
        text: String,
        slop: u32,
        /// The last word may be the beginning of one, of so many in the index.
        prefix: Option<usize>,
        all_when_empty: bool,
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
        how: Fuzzy,
    },
    /// Terms of the index, looked up before, and how much each counts.
    AnyOf(Vec<(String, f32)>),
    /// A phrase and the words of the index that its last one stands for.
    PhraseOf {
        text: String,
        slop: u32,
        lasts: Vec<String>,
    },
}

/// Bounds as they were written.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Bounds {
    /// The lower bound, and whether it is included.
    pub(crate) lower: Option<(Value, bool)>,
    pub(crate) upper: Option<(Value, bool)>,
    pub(crate) time_zone: Option<String>,
    pub(crate) format: Option<Formats>,
}

impl Condition {
    pub(super) fn same_score(&self) -> Option<f32> {
        match self {
            Self::Terms(_)
            | Self::Range(_)
            | Self::Exists
            | Self::Prefix { .. }
            | Self::Wildcard { .. }
            | Self::WordPattern(_)
            | Self::Regexp { .. } => Some(1.0),
            _ => None,
        }
    }

    pub(super) const fn cost(&self) -> u64 {
        match self {
            Self::Wildcard { .. } | Self::WordPattern(_) | Self::Regexp { .. } | Self::Fuzzy { .. } => 8,
            Self::Phrase { .. } | Self::PhraseOf { .. } | Self::Prefix { .. } => 4,
            _ => 1,
        }
    }

    /// Whether words of the index must be looked up before it can be run to the letter.
    pub(crate) const fn needs_terms(&self) -> bool {
        match self {
            Self::Fuzzy { .. } | Self::Phrase { prefix: Some(_), .. } => true,
            Self::Match(words) => words.fuzzy.is_some(),
            _ => false,
        }
    }
}
