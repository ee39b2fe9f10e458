//! A query as a tree of plain data: what the DSL, KQL and Lucene's syntax all become before fields are looked up.

use logmill_indexer_api::{Ast, Field, Test};
use serde_json::Value;

use crate::dates::Formats;

/// A query.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Clause {
    All,
    None,
    Bool {
        must: Vec<Clause>,
        /// As `must`, without a say in scores.
        filter: Vec<Clause>,
        should: Vec<Clause>,
        must_not: Vec<Clause>,
        minimum_should_match: usize,
    },
    /// One condition on one field.
    On {
        field: String,
        test: Condition,
    },
    /// One condition on several fields; names may be patterns, and no name at all means every field.
    OnAny {
        fields: Vec<Weighted>,
        test: Condition,
        combine: Combine,
    },
    Ids(Vec<String>),
    /// The score is multiplied.
    Boosted(Box<Clause>, f32),
    /// Every match has this score.
    Constant(Box<Clause>, f32),
    /// Any of these; the score of the best, and a share of the others'.
    BestOf {
        members: Vec<Clause>,
        tie_breaker: f32,
    },
    /// What also matches `negative` scores less.
    Demoted {
        positive: Box<Clause>,
        negative: Box<Clause>,
        by: f32,
    },
    /// Hits tell that they match this.
    Named(String, Box<Clause>),
}

/// A field's name or pattern, and how much its score counts.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Weighted {
    pub(crate) name: String,
    pub(crate) boost: f32,
}

impl From<&str> for Weighted {
    /// `name` or `name^2`; what is no number belongs to the name.
    fn from(text: &str) -> Self {
        let parts = text.rsplit_once('^').and_then(|(name, boost)| Some((name, boost.parse::<f32>().ok()?)));
        match parts {
            Some((name, boost)) if boost.is_finite() && boost >= 0.0 => Self { name: name.to_owned(), boost },
            _ => Self { name: text.to_owned(), boost: 1.0 },
        }
    }
}

/// How the scores of several fields become one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Combine {
    /// The best field's, and a share of the others'.
    Best(f32),
    /// All of them together.
    Sum,
    /// Word by word: each is looked for in all fields of words, as if they were one.
    Cross(f32),
}

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

impl Clause {
    pub(crate) fn any(mut members: Vec<Clause>) -> Self {
        match members.len() {
            0 => Self::None,
            1 => members.pop().unwrap_or(Self::None),
            _ => {
                Self::Bool { must: vec![], filter: vec![], should: members, must_not: vec![], minimum_should_match: 1 }
            }
        }
    }

    pub(crate) fn all(mut members: Vec<Clause>) -> Self {
        match members.len() {
            0 => Self::All,
            1 => members.pop().unwrap_or(Self::All),
            _ => {
                Self::Bool { must: members, filter: vec![], should: vec![], must_not: vec![], minimum_should_match: 0 }
            }
        }
    }

    pub(crate) fn not(member: Clause) -> Self {
        Self::Bool { must: vec![], filter: vec![], should: vec![], must_not: vec![member], minimum_should_match: 0 }
    }

    /// The same, and `filter` besides; scores stay as they are.
    pub(crate) fn within(self, filter: Clause) -> Self {
        Self::Bool { must: vec![self], filter: vec![filter], should: vec![], must_not: vec![], minimum_should_match: 0 }
    }

    pub(crate) fn boosted(self, boost: f32) -> Self {
        if (boost - 1.0).abs() < f32::EPSILON { self } else { Self::Boosted(Box::new(self), boost) }
    }

    pub(crate) fn named(self, name: Option<String>) -> Self {
        match name {
            Some(name) => Self::Named(name, Box::new(self)),
            None => self,
        }
    }

    /// The same matches, without what only changes their scores.
    pub(crate) fn without_scores(self) -> Self {
        let each = |members: Vec<Self>| members.into_iter().map(Self::without_scores).collect::<Vec<_>>();
        match self {
            Self::Bool { must, filter, should, must_not, minimum_should_match } => {
                let filter = each(must.into_iter().chain(filter).collect());
                let optional = minimum_should_match == 0 && !filter.is_empty();
                Self::Bool {
                    must: Vec::new(),
                    filter,
                    should: if optional { Vec::new() } else { each(should) },
                    must_not: each(must_not),
                    minimum_should_match,
                }
            }
            Self::Boosted(inner, _) | Self::Constant(inner, _) | Self::Named(_, inner) => inner.without_scores(),
            Self::BestOf { members, .. } => Self::any(each(members)),
            Self::Demoted { positive, .. } => positive.without_scores(),
            other => other,
        }
    }

    /// The score of every match, when all have the same whatever the fields are.
    pub(crate) fn same_score(&self) -> Option<f32> {
        match self {
            Self::All | Self::Ids(_) | Self::None => Some(1.0),
            Self::Bool { must, should, .. } if should.is_empty() => must.iter().map(Self::same_score).sum(),
            Self::Bool { must, filter, should, minimum_should_match, .. } => match should.as_slice() {
                [only] if must.is_empty() && (filter.is_empty() || *minimum_should_match > 0) => only.same_score(),
                _ => None,
            },
            Self::On { test, .. } => test.same_score(),
            Self::OnAny { fields, test, .. } => match fields.as_slice() {
                [only] if !only.name.contains('*') => test.same_score().map(|score| score * only.boost),
                _ => None,
            },
            Self::Boosted(inner, boost) => inner.same_score().map(|score| score * boost),
            Self::Constant(_, score) => Some(*score),
            Self::BestOf { .. } | Self::Demoted { .. } => None,
            Self::Named(_, inner) => inner.same_score(),
        }
    }

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

    /// How many conditions there are.
    pub(crate) fn size(&self) -> usize {
        match self {
            Self::Bool { must, filter, should, must_not, .. } => {
                1 + [must, filter, should, must_not].into_iter().flatten().map(Self::size).sum::<usize>()
            }
            Self::BestOf { members, .. } => 1 + members.iter().map(Self::size).sum::<usize>(),
            Self::Demoted { positive, negative, .. } => 1 + positive.size() + negative.size(),
            Self::Boosted(inner, _) | Self::Constant(inner, _) | Self::Named(_, inner) => inner.size(),
            _ => 1,
        }
    }

    /// What a document costs to look at, roughly: 1 where the index answers by itself, more where terms are tried one by
    /// one or words compared by their places.
    pub(crate) fn cost(&self) -> u64 {
        let all = |members: &[Self]| members.iter().map(Self::cost).sum::<u64>();
        match self {
            Self::Bool { must, filter, should, must_not, .. } => all(must) + all(filter) + all(should) + all(must_not),
            Self::BestOf { members, .. } => all(members),
            Self::Demoted { positive, negative, .. } => positive.cost() + negative.cost(),
            Self::Boosted(inner, _) | Self::Constant(inner, _) | Self::Named(_, inner) => inner.cost(),
            Self::On { test, .. } => test.cost(),
            Self::OnAny { test, .. } => test.cost() * 4,
            Self::All | Self::None | Self::Ids(_) => 1,
        }
    }

    /// Calls `each` with every clause that has a name.
    pub(crate) fn each_named<'c>(&'c self, each: &mut dyn FnMut(&'c str, &'c Clause)) {
        match self {
            Self::Bool { must, filter, should, must_not, .. } => {
                [must, filter, should, must_not].into_iter().flatten().for_each(|member| member.each_named(each));
            }
            Self::BestOf { members, .. } => members.iter().for_each(|member| member.each_named(each)),
            Self::Demoted { positive, negative, .. } => {
                positive.each_named(each);
                negative.each_named(each);
            }
            Self::Boosted(inner, _) | Self::Constant(inner, _) => inner.each_named(each),
            Self::Named(name, inner) => {
                each(name, inner);
                inner.each_named(each);
            }
            _ => {}
        }
    }
}

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

    fn same_score(&self) -> Option<f32> {
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

    const fn cost(&self) -> u64 {
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
