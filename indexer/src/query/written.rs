//! Queries that people write, in KQL or Lucene's syntax, as clauses.

use logmill_indexer_api::{Ast, Field, Test, regexp};
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
    /// A field whose type can't take a value is passed over, also where it is the only one.
    pub(crate) lenient: bool,
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
            lenient: false,
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
        let inner = defaults.inner();
        let each = |members: &[Ast]| members.iter().map(|ast| Self::from_ast(ast, &inner)).collect();
        match ast {
            Ast::All => Self::All,
            Ast::And(members) => Self::all(each(members)),
            Ast::Or(members) => match &defaults.minimum {
                Some(minimum) if defaults.at_top => Self::at_least(each(members), minimum),
                _ => Self::any(each(members)),
            },
            Ast::Not(member) => Self::not(Self::from_ast(member, &inner)),
            Ast::Boosted { member, by } => Self::from_ast(member, defaults).boosted(by.parse().unwrap_or(1.0)),
            Ast::Leaf { field, test } => {
                let (condition, boost) = (Condition::from_test(test, defaults), 1.0);
                let among = |fields: Vec<Weighted>, test| Self::OnAny { fields, test, combine: defaults.combine };
                match field {
                    // An escaped star still stands for any letters of a name: `book.\\*:quick`.
                    Field::Named(name) if defaults.lenient || name.contains('*') => {
                        among(vec![Weighted { name: name.clone(), boost }], condition)
                    }
                    Field::Named(name) => Self::On { field: name.clone(), test: condition },
                    Field::Pattern(pattern) => among(vec![Weighted { name: pattern.clone(), boost }], condition),
                    Field::Default => match defaults.fields.as_slice() {
                        [only] if !only.name.contains('*') && !defaults.lenient => {
                            Self::On { field: only.name.clone(), test: condition }.boosted(only.boost)
                        }
                        several => among(several.to_vec(), condition),
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
                    let minimum = defaults.minimum.clone().filter(|_| defaults.at_top);
                    Self::Match(Words { minimum, ..words })
                }
            },
            Test::Phrase { text, slop } => phrase(text, *slop),
            Test::Pattern(pattern) => Self::WordPattern(pattern.clone()),
            // What can't be translated was refused where it was read.
            Test::Regex(pattern) => Self::Regexp {
                pattern: regexp::translated(pattern, regexp::Operators::default()).unwrap_or_default(),
                case_insensitive: false,
            },
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
