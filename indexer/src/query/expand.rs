//! Looks up the words of an index that near words and open phrases stand for. Done once for each index before its parts
//! are searched, so that every part is asked for the same words and all of them are scored alike.

use std::collections::BTreeMap;
use std::sync::Arc;

use logmill_indexer_api::text;
use tantivy::schema::Field;

use super::clause::{Clause, Combine, Condition, Fuzzy, Weighted, Words};
use super::compile::{near, text_path};
use super::error::EsError;
use super::failures::Failures;
use super::fields::{self, Place, place};
use super::limits::Allowance;
use super::pattern::successor;
use crate::schema::schema;
use crate::store::part::Place as Stored;
use crate::store::registry::{FieldType, Mapping};
use crate::store::{Part, View};

/// Terms between two looks at the clock.
const TERMS_BETWEEN_CHECKS: usize = 1 << 12;

/// A clause with the words of an index that it stands for. Where a cold part can't be read, which is noted, with those
/// of the others.
pub(super) fn with_words(
    clause: &Clause,
    view: &View,
    index: &Arc<str>,
    time_ns: (i64, i64),
    failures: &Failures,
    allowance: &Allowance,
) -> Result<Clause, EsError> {
    let Some(mapping) = view.mappings.get(index) else { return Ok(clause.clone()) };
    let parts = view.parts.iter().filter(|part| part.index == *index).map(AsRef::as_ref);
    let mut parts: Vec<&Part> = parts.filter(|part: &&Part| !part.is_cold_outside(time_ns)).collect();
    let expanded = |parts: Vec<&Part>| Lookup { parts, mapping, allowance }.expand(clause);
    match expanded(parts.clone()) {
        Err(error) if error.status == 500 && allowance.stopped().is_none() => {
            // Which of them it is shows when each is asked by itself.
            parts.retain(|part| part.place != Stored::Cold || expanded(vec![part]).is_ok());
            failures.note(index, &error.reason);
            expanded(parts)
        }
        expanded => expanded,
    }
}

/// Where words are looked up.
struct Lookup<'l> {
    parts: Vec<&'l Part>,
    mapping: &'l Mapping,
    allowance: &'l Allowance,
}

impl Clause {
    /// Whether anything must be looked up.
    pub(crate) fn needs_terms(&self) -> bool {
        match self {
            Self::On { test, .. } | Self::OnAny { test, .. } => test.needs_terms(),
            Self::Bool { must, filter, should, must_not, .. } => {
                [must, filter, should, must_not].into_iter().flatten().any(Self::needs_terms)
            }
            Self::BestOf { members, .. } => members.iter().any(Self::needs_terms),
            Self::Demoted { positive, negative, .. } => positive.needs_terms() || negative.needs_terms(),
            Self::Boosted(inner, _) | Self::Constant(inner, _) | Self::Named(_, inner) => inner.needs_terms(),
            Self::All | Self::None | Self::Ids(_) => false,
        }
    }
}

impl Lookup<'_> {
    /// The same query with the words of this index.
    fn expand(&self, clause: &Clause) -> Result<Clause, EsError> {
        let each = |members: &[Clause]| members.iter().map(|member| self.expand(member)).collect::<Result<Vec<_>, _>>();
        let one = |inner: &Clause| self.expand(inner).map(Box::new);
        Ok(match clause {
            untouched if !untouched.needs_terms() => untouched.clone(),
            Clause::On { field, test } => self.on(field, test)?,
            Clause::OnAny { fields, test, combine } => {
                let fields = fields::expand_weighted(self.mapping, fields)?;
                let on = |field: &Weighted| {
                    Ok(match self.on(&field.name, test)? {
                        // Not looked up, for the field's type is another: among several it is passed over.
                        Clause::On { field: name, test } if test.needs_terms() => {
                            let fields = vec![Weighted { name, boost: field.boost }];
                            Clause::OnAny { fields, test, combine: *combine }
                        }
                        looked_up => looked_up.boosted(field.boost),
                    })
                };
                let members = fields.iter().map(on).collect::<Result<Vec<_>, EsError>>()?;
                match combine {
                    _ if members.is_empty() => Clause::None,
                    Combine::Sum => Clause::any(members),
                    Combine::Best(tie_breaker) | Combine::Cross(tie_breaker) => {
                        Clause::BestOf { members, tie_breaker: *tie_breaker }
                    }
                }
            }
            Clause::Bool { must, filter, should, must_not, minimum_should_match } => Clause::Bool {
                must: each(must)?,
                filter: each(filter)?,
                should: each(should)?,
                must_not: each(must_not)?,
                minimum_should_match: *minimum_should_match,
            },
            Clause::BestOf { members, tie_breaker } => {
                Clause::BestOf { members: each(members)?, tie_breaker: *tie_breaker }
            }
            Clause::Demoted { positive, negative, by } => {
                Clause::Demoted { positive: one(positive)?, negative: one(negative)?, by: *by }
            }
            Clause::Boosted(inner, boost) => Clause::Boosted(one(inner)?, *boost),
            Clause::Constant(inner, score) => Clause::Constant(one(inner)?, *score),
            Clause::Named(name, inner) => Clause::Named(name.clone(), one(inner)?),
            other => other.clone(),
        })
    }

    fn on(&self, field: &str, test: &Condition) -> Result<Clause, EsError> {
        let keeping = schema().1;
        let on = |test: Condition| Clause::On { field: field.to_owned(), test };
        let (kept, path, is_words) = match place(self.mapping, field) {
            Place::Message => (keeping.message, None, true),
            Place::Text(path) => (keeping.text, Some(path), true),
            Place::Value(path, FieldType::Keyword | FieldType::Text) => (keeping.keyword, Some(path), false),
            _ => return Ok(on(test.clone())),
        };
        let terms = |prefix: &str, test: &dyn Fn(&str) -> bool, most: usize| {
            self.terms(kept, path.as_deref(), prefix, test, most)
        };
        let nearest = |word: &str, how: &Fuzzy| -> Result<Condition, EsError> {
            let (prefix, passes) = near(word, how);
            let found = terms(&prefix, &*passes, usize::MAX)?;
            Ok(Condition::AnyOf(nearest_first(found, word, how)))
        };
        Ok(match test {
            Condition::Fuzzy { text, how } => {
                on(nearest(&if is_words { text::lower(text) } else { text.clone() }, how)?)
            }
            Condition::Match(Words { fuzzy: Some(how), text, .. }) if !is_words => on(nearest(text, how)?),
            Condition::Match(words) => match &words.fuzzy {
                Some(how) => {
                    let found: Vec<String> = text::words(&words.text).map(|(_, word)| word).collect();
                    let last = found.len().saturating_sub(1);
                    let mut members = Vec::with_capacity(found.len());
                    for (at, word) in found.iter().enumerate() {
                        let open = words.prefix_last && at == last;
                        members.push(on(if open {
                            Condition::Prefix { text: word.clone(), case_insensitive: false }
                        } else {
                            nearest(word, how)?
                        }));
                    }
                    let minimum = match &words.minimum {
                        _ if words.all => members.len(),
                        Some(minimum) => minimum.of(members.len()).max(1),
                        None => 1,
                    };
                    match members.len() {
                        0 if words.all_when_empty => Clause::All,
                        0 => Clause::None,
                        _ => Clause::Bool {
                            must: Vec::new(),
                            filter: Vec::new(),
                            should: members,
                            must_not: Vec::new(),
                            minimum_should_match: minimum,
                        },
                    }
                }
                None => on(test.clone()),
            },
            Condition::Phrase { text, slop, prefix: Some(most), all_when_empty } if is_words => {
                match text::words(text).last() {
                    None if *all_when_empty => Clause::All,
                    None => Clause::None,
                    Some((_, last)) => {
                        let lasts = terms(&last, &|_| true, *most)?;
                        on(Condition::PhraseOf { text: text.clone(), slop: *slop, lasts })
                    }
                }
            }
            other => on(other.clone()),
        })
    }

    /// The first terms of the index, in their order, that pass.
    fn terms(
        &self,
        field: Field,
        path: Option<&str>,
        prefix: &str,
        passes: &dyn Fn(&str) -> bool,
        most: usize,
    ) -> Result<Vec<String>, EsError> {
        let start = text_path(field, path);
        let lower = [&start, prefix.as_bytes()].concat();
        let upper = successor(lower.clone());
        let mut found: BTreeMap<String, ()> = BTreeMap::new();
        let mut looked_at = 0usize;
        for part in &self.parts {
            let inverted = part.reader.inverted_index(field)?;
            let mut range = inverted.terms().range().ge(&lower);
            if let Some(upper) = &upper {
                range = range.lt(upper);
            }
            let mut terms = range.into_stream()?;
            while terms.advance() {
                looked_at += 1;
                if looked_at.is_multiple_of(TERMS_BETWEEN_CHECKS) {
                    self.allowance.check()?;
                }
                let text = terms.key().get(start.len()..).and_then(|bytes| std::str::from_utf8(bytes).ok());
                let Some(text) = text else { continue };
                if found.len() >= most && found.last_key_value().is_none_or(|(last, ())| text > last.as_str()) {
                    break;
                }
                if passes(text) {
                    found.insert(text.to_owned(), ());
                    if found.len() > most {
                        found.pop_last();
                    }
                }
            }
        }
        Ok(found.into_keys().collect())
    }
}

/// The nearest words, as many as are wanted, each counting less the farther it is.
fn nearest_first(found: Vec<String>, word: &str, how: &Fuzzy) -> Vec<(String, f32)> {
    let length = word.chars().count();
    let weigh = |term: String| {
        let edits = text::edits_between(&term, word, how.edits.of(word), how.swaps).unwrap_or(0);
        let shorter = length.min(term.chars().count()).max(1);
        (1.0 - edits as f32 / shorter as f32, term)
    };
    let mut weighed: Vec<(f32, String)> = found.into_iter().map(weigh).collect();
    weighed.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    weighed.truncate(how.most);
    weighed.into_iter().map(|(boost, term)| (term, boost.max(0.0))).collect()
}
