//! The one tree that both grammars parse to. Trees are kept in a normal form by the constructors: no `And` directly
//! in an `And`, no `Or` directly in an `Or`, none of either with fewer than two members.

/// A query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ast {
    /// Every event.
    All,
    /// Events that match each member.
    And(Vec<Ast>),
    /// Events that match some member.
    Or(Vec<Ast>),
    /// Events that don't match.
    Not(Box<Ast>),
    /// The same events, of which the score counts more or less.
    Boosted {
        /// What matches.
        member: Box<Ast>,
        /// The factor, as it was written: digits and at most one point.
        by: String,
    },
    /// One condition.
    Leaf {
        /// On which field.
        field: Field,
        /// Which condition.
        test: Test,
    },
}

/// The field that a condition is on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Field {
    /// None was written: the default fields.
    Default,
    /// A dotted name.
    Named(String),
    /// Every field whose dotted name matches the pattern (`*`, `?`, escaped by `\`).
    Pattern(String),
}

/// A condition on a field's values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Test {
    /// Text fields: any of the words. Other fields: equal.
    Words(String),
    /// Text fields: these words in this order. Other fields: equal.
    Phrase {
        /// The phrase.
        text: String,
        /// How many words may lie between, in all.
        slop: u32,
    },
    /// `*` any run of characters, `?` one, `\` takes the next character as it is. Text fields: on any one word.
    Pattern(String),
    /// A regular expression that must cover the whole value (text fields: a whole word).
    Regex(String),
    /// Within so many edits.
    Fuzzy {
        /// The word.
        text: String,
        /// The edits, at most 2.
        distance: u8,
    },
    /// Within bounds.
    Range(Range),
    /// There is a value.
    Exists,
}

/// Bounds, of which at least one is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Range {
    /// Lower bound.
    pub lower: Option<Bound>,
    /// Upper bound.
    pub upper: Option<Bound>,
}

/// A bound, as it was written: a number, a date, date math, or text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    /// The value.
    pub value: String,
    /// Whether the value itself is within.
    pub inclusive: bool,
}

impl Ast {
    /// All of these; `All` when there are none.
    #[must_use]
    pub fn and(members: Vec<Ast>) -> Self {
        let mut flat = Vec::with_capacity(members.len());
        for member in members {
            match member {
                Self::And(inner) => flat.extend(inner),
                other => flat.push(other),
            }
        }
        if flat.len() > 1 { Self::And(flat) } else { flat.pop().unwrap_or(Self::All) }
    }

    /// Any of these; `All` when there are none.
    #[must_use]
    pub fn or(members: Vec<Ast>) -> Self {
        let mut flat = Vec::with_capacity(members.len());
        for member in members {
            match member {
                Self::Or(inner) => flat.extend(inner),
                other => flat.push(other),
            }
        }
        if flat.len() > 1 { Self::Or(flat) } else { flat.pop().unwrap_or(Self::All) }
    }

    /// Not this.
    #[must_use]
    #[allow(clippy::should_implement_trait)] // it is a constructor, not an operator on a value
    pub fn not(member: Ast) -> Self {
        Self::Not(Box::new(member))
    }

    /// The field equals the text, or holds it as a phrase: what a filter pill says.
    #[must_use]
    pub fn is(field: &str, text: &str) -> Self {
        let test = Test::Phrase { text: text.to_owned(), slop: 0 };
        Self::Leaf { field: Field::Named(field.to_owned()), test }
    }

    /// The field has a value.
    #[must_use]
    pub fn exists(field: &str) -> Self {
        Self::Leaf { field: Field::Named(field.to_owned()), test: Test::Exists }
    }

    /// The names of the fields that conditions are on, each once, in order.
    #[must_use]
    pub fn fields(&self) -> Vec<&str> {
        let mut names = Vec::new();
        self.collect_fields(&mut names);
        names
    }

    fn collect_fields<'a>(&'a self, names: &mut Vec<&'a str>) {
        match self {
            Self::All => {}
            Self::And(members) | Self::Or(members) => {
                for member in members {
                    member.collect_fields(names);
                }
            }
            Self::Not(member) | Self::Boosted { member, .. } => member.collect_fields(names),
            Self::Leaf { field: Field::Named(name), .. } if !names.contains(&name.as_str()) => names.push(name),
            Self::Leaf { .. } => {}
        }
    }
}
