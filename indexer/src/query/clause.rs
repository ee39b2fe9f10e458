//! A query as a tree of plain data: what the DSL, KQL and Lucene's syntax all become before fields are looked up.

mod condition;

pub(crate) use condition::{Bounds, Condition, Edits, Fuzzy, Minimum, Words};

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
            // From 0, for the sum of nothing is -0.0 and would be shown so.
            Self::Bool { must, should, .. } if should.is_empty() => {
                must.iter().try_fold(0.0, |sum, member| Some(sum + member.same_score()?))
            }
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
