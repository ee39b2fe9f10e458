//! Queries that people write, in KQL or Lucene's syntax, as clauses.

use logmill_indexer_api::{Ast, Field, Test};
use serde_json::Value;

use super::clause::{Bounds, Clause, Combine, Condition, Edits, Fuzzy, Minimum, Weighted, Words};

/// What a query in Lucene's syntax leaves open.
#[derive(Clone, Debug)]
pub(crate) struct Defaults {
    pub(crate) fields: Vec<Weighted>,
    pub(crate) combine: Combine,
    pub(crate) all_words: bool,
    pub(crate) minimum: Option<Minimum>,
    pub(crate) fuzzy: Fuzzy,
    pub(crate) phrase_slop: u32,
    pub(crate) time_zone: Option<String>,
    /// Whether conditions without a field are phrases (`type: phrase`), or phrases whose end is open.
    pub(crate) phrases: Option<bool>,
    /// The minimum is for the conditions on top only.
    pub(crate) at_top: bool,
}

impl Default for Defaults {
    fn default() -> Self {
        Self {
            fields: Vec::new(),
            combine: Combine::Best(0.0),
            all_words: false,
            minimum: None,
            fuzzy: Fuzzy::with(Edits::Auto(3, 6)),
            phrase_slop: 0,
            time_zone: None,
            phrases: None,
            at_top: true,
        }
    }
}

impl Defaults {
    fn inner(&self) -> Self {
        Self { at_top: false, ..self.clone() }
    }
}

impl Clause {
    /// A parsed KQL or Lucene query; bare words are searched in the fields of `defaults`.
    pub(crate) fn from_ast(ast: &Ast, defaults: &Defaults) -> Self {
        let each = |members: &[Ast]| members.iter().map(|ast| Self::from_ast(ast, defaults)).collect();
        match ast {
            Ast::All => Self::All,
            Ast::And(members) => Self::all(each(members)),
            Ast::Or(members) => match &defaults.minimum {
                Some(minimum) if defaults.at_top => Self::at_least(each(members), minimum),
                _ => Self::any(each(members)),
            },
            Ast::Not(member) => Self::not(Self::from_ast(member, &defaults.inner())),
            Ast::Boosted { member, by } => Self::from_ast(member, defaults).boosted(by.parse().unwrap_or(1.0)),
            Ast::Leaf { field, test } => {
                let (condition, boost) = (Condition::from_test(test, defaults), 1.0);
                match field {
                    Field::Named(name) => Self::On { field: name.clone(), test: condition },
                    Field::Pattern(pattern) => {
                        let fields = vec![Weighted { name: pattern.clone(), boost }];
                        Self::OnAny { fields, test: condition, combine: defaults.combine }
                    }
                    Field::Default => match defaults.fields.as_slice() {
                        [only] if !only.name.contains('*') => {
                            Self::On { field: only.name.clone(), test: condition }.boosted(only.boost)
                        }
                        several => Self::OnAny { fields: several.to_vec(), test: condition, combine: defaults.combine },
                    },
                }
            }
        }
    }

    fn at_least(should: Vec<Self>, minimum: &Minimum) -> Self {
        let minimum_should_match = minimum.of(should.len()).max(1);
        Self::Bool { must: vec![], filter: vec![], should, must_not: vec![], minimum_should_match }
    }
}

impl Condition {
    fn from_test(test: &Test, defaults: &Defaults) -> Self {
        let written = |text: &String| Value::String(text.clone());
        let phrase = |text: &String, slop: u32| Self::Phrase {
            text: text.clone(),
            slop: if slop == 0 { defaults.phrase_slop } else { slop },
            prefix: None,
            all_when_empty: false,
        };
        match test {
            Test::Words(text) => match defaults.phrases {
                Some(open) => Self::Phrase {
                    text: text.clone(),
                    slop: defaults.phrase_slop,
                    prefix: open.then_some(defaults.fuzzy.most),
                    all_when_empty: false,
                },
                None => {
                    let words = Words::of(text, defaults.all_words);
                    Self::Match(Words { minimum: defaults.minimum.clone(), ..words })
                }
            },
            Test::Phrase { text, slop } => phrase(text, *slop),
            Test::Pattern(pattern) => Self::WordPattern(pattern.clone()),
            Test::Regex(pattern) => Self::Regexp { pattern: pattern.clone(), case_insensitive: false },
            Test::Fuzzy { text, distance } => {
                let how = Fuzzy { edits: Edits::Exactly(*distance), ..defaults.fuzzy.clone() };
                Self::Fuzzy { text: text.clone(), how }
            }
            Test::Exists => Self::Exists,
            Test::Range(range) => Self::Range(Bounds {
                lower: range.lower.as_ref().map(|bound| (written(&bound.value), bound.inclusive)),
                upper: range.upper.as_ref().map(|bound| (written(&bound.value), bound.inclusive)),
                time_zone: defaults.time_zone.clone(),
                format: None,
            }),
        }
    }
}
