//! `significant_terms`: the values that are more frequent in a bucket than in everything.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::{Map, Value};
use tantivy::DocId;

use super::filters::matching;
use super::terms::{Choices, TermsCollector, row, typed, unified};
use crate::aggregate::aggregator::{Aggregation, Aggregator, Holds};
use crate::aggregate::collect::{Collect, Opened, Place, Siblings};
use crate::aggregate::format::Format;
use crate::aggregate::key::Key;
use crate::aggregate::keys::KeyColumn;
use crate::aggregate::mix::MixMap;
use crate::aggregate::partial;
use crate::aggregate::partial::{Bucket, Partial, State, own};
use crate::aggregate::read;
use crate::aggregate::shown::{Answer, Shown};
use crate::query::clause::Clause;
use crate::query::columns::json_f64;
use crate::query::error::EsError;
use crate::query::limits::{Allowance, BUCKETS_MAX};
use crate::query::strict::Members;

#[derive(Debug)]
pub(super) struct SignificantTerms {
    field: String,
    size: usize,
    min_doc_count: u64,
    choice: Choices,
    heuristic: Heuristic,
    background: Option<Clause>,
    format: Option<Format>,
    /// How often each value is in each part, whatever was asked for: also of parts that the bucket has nothing of.
    behind: Mutex<BTreeMap<u64, Background>>,
}

/// How much more frequent is how significant.
#[derive(Clone, Copy, Debug)]
enum Heuristic {
    Jlh,
    Percentage,
    ChiSquare { include_negatives: bool },
}

/// Counts of a part's documents.
struct Background {
    column: KeyColumn,
    counts: MixMap<u64, u32>,
    total: u64,
}

impl std::fmt::Debug for Background {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Background({} of {})", self.counts.len(), self.total)
    }
}

impl SignificantTerms {
    pub(super) fn read(mut members: Members) -> Result<Arc<dyn Aggregator>, EsError> {
        members.ignore(&["execution_hint", "shard_size", "shard_min_doc_count"]);
        let mut heuristics = Vec::new();
        if let Some(options) = members.take("jlh") {
            Members::new(options, "[jlh]")?.end()?;
            heuristics.push(Heuristic::Jlh);
        }
        if let Some(options) = members.take("percentage") {
            Members::new(options, "[percentage]")?.end()?;
            heuristics.push(Heuristic::Percentage);
        }
        if let Some(options) = members.take("chi_square") {
            let mut options = Members::new(options, "[chi_square]")?;
            let include_negatives = options.boolean("include_negatives")?.unwrap_or(false);
            if !options.boolean("background_is_superset")?.unwrap_or(true) {
                return Err(EsError::argument("[chi_square] supports [background_is_superset] true only"));
            }
            options.end()?;
            heuristics.push(Heuristic::ChiSquare { include_negatives });
        }
        if heuristics.len() > 1 {
            return Err(EsError::parsing("[significant_terms] takes one heuristic"));
        }
        let terms = Self {
            field: read::field(&mut members)?,
            size: read::size(&mut members, "size", 10, BUCKETS_MAX)?,
            min_doc_count: read::least_count(&mut members, 3)?.max(1),
            choice: Choices::read(&mut members)?,
            heuristic: heuristics.pop().unwrap_or(Heuristic::Jlh),
            background: members.take("background_filter").map(Clause::from_dsl).transpose()?,
            format: read::format(&mut members)?,
            behind: Mutex::default(),
        };
        members.end()?;
        Ok(Arc::new(terms))
    }

    /// How often a value is in everything.
    fn frequency(&self, key: &Key) -> Result<u64, EsError> {
        let mut found = 0;
        for part in self.behind.lock().values() {
            if let Some(bits) = part.column.bits_of(key)? {
                found += u64::from(part.counts.get(&bits).copied().unwrap_or_default());
            }
        }
        Ok(found)
    }
}

impl Heuristic {
    /// Of a value that `fg` of `fg_size` documents have, and `bg` of `bg_size` of all.
    fn score(self, fg: f64, fg_size: f64, bg: f64, bg_size: f64) -> f64 {
        if fg_size == 0.0 || bg_size == 0.0 {
            return 0.0;
        }
        // A background of its own may lack what the bucket has.
        let bg = bg.max(1.0);
        let (inside, outside) = (fg / fg_size, bg / bg_size);
        match self {
            Self::Jlh if inside <= outside => 0.0,
            Self::Jlh => (inside - outside) * (inside / outside),
            Self::Percentage => fg / bg,
            Self::ChiSquare { include_negatives } => {
                if !include_negatives && inside <= outside {
                    return f64::NEG_INFINITY;
                }
                let (with, without) = (bg, bg_size - bg);
                let (in_set, out_of_set) = (fg_size, bg_size - fg_size);
                let agree = fg * (out_of_set - (bg - fg)) - (bg - fg) * (fg_size - fg);
                let all = with * without * in_set * out_of_set;
                if all <= 0.0 { 0.0 } else { bg_size * agree * agree / all }
            }
        }
    }
}

/// What one bucket has.
#[derive(Clone, Debug, Default)]
struct Found {
    docs: u64,
    terms: HashMap<Key, Bucket>,
}

impl State for Found {
    fn merge(&mut self, other: Box<dyn State>, allowance: &Allowance) -> Result<(), EsError> {
        let other: Self = own(other);
        self.docs += other.docs;
        for (key, bucket) in other.terms {
            partial::add_keyed(&mut self.terms, key, bucket, allowance)?;
        }
        Ok(())
    }

    fn copy(&self) -> Box<dyn State> {
        Box::new(self.clone())
    }

    fn into_any(self: Box<Self>) -> Box<dyn std::any::Any> {
        self
    }
}

impl Aggregator for SignificantTerms {
    fn name(&self) -> &'static str {
        "significant_terms"
    }

    fn holds(&self) -> Holds {
        Holds::Many
    }

    fn open<'a>(&'a self, place: Place<'a>, children: Siblings<'a>) -> Opened<'a> {
        let column = KeyColumn::open(place, &self.field, None)?;
        self.choice.check(self.name(), &column)?;
        let background = Background::count(column.clone(), self.background.as_ref(), place)?;
        self.behind.lock().insert(place.part.id, background);
        let terms = TermsCollector::new(&self.choice, false, column, place, children);
        Ok(Box::new(SignificantCollector { terms: Box::new(terms), docs: Vec::new() }))
    }

    fn empty(&self) -> Partial {
        Partial::Other(Box::new(Found::default()))
    }

    fn show(&self, children: &[Aggregation], partial: Partial, shown: &mut Shown) -> Result<Answer, EsError> {
        let Partial::Other(state) = partial else { return Err(EsError::internal("terms without a state")) };
        let Found { docs, terms } = own(state);
        let total: u64 = self.behind.lock().values().map(|part| part.total).sum();
        let mut scored = Vec::new();
        for (key, bucket) in unified(terms) {
            if bucket.count < self.min_doc_count {
                continue;
            }
            let behind = self.frequency(&key)?;
            let score = self.heuristic.score(bucket.count as f64, docs as f64, behind as f64, total as f64);
            if score > 0.0 {
                scored.push((score, behind, key, bucket));
            }
        }
        scored.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.2.cmp(&b.2)));
        scored.truncate(self.size);
        let mut rows = Vec::with_capacity(scored.len());
        for (score, behind, key, bucket) in scored {
            let mut row = row(&key, bucket, self.format.as_ref(), children, shown)?;
            row.members.insert("score".to_owned(), json_f64(score));
            row.members.insert("bg_count".to_owned(), behind.into());
            rows.push(row);
        }
        let mut members = Map::new();
        members.insert("doc_count".to_owned(), docs.into());
        members.insert("bg_count".to_owned(), total.into());
        Ok(Answer::Buckets { members, rows, keyed: false })
    }

    fn typed(&self, shown: &Value) -> &'static str {
        typed(shown, ["sigsterms", "siglterms", "siglterms"])
    }

    fn needs_all_parts(&self) -> bool {
        true
    }
}

/// Distinct values that take the memory of one bucket.
const COUNTS_A_BUCKET: usize = 8;

impl Background {
    fn count(column: KeyColumn, filter: Option<&Clause>, place: Place<'_>) -> Result<Self, EsError> {
        let matching = filter.map(|clause| matching(clause, place)).transpose()?;
        let mut found = Self { column, counts: MixMap::default(), total: 0 };
        let mut seen = Vec::new();
        for doc in place.part.reader.doc_ids_alive() {
            if matching.as_ref().is_some_and(|matching| !matching.contains(doc)) {
                continue;
            }
            found.total += 1;
            found.column.bits(doc, &mut seen);
            for bits in &seen {
                *found.counts.entry(*bits).or_default() += 1;
            }
        }
        place.allowance.take_buckets(found.counts.len() / COUNTS_A_BUCKET)?;
        Ok(found)
    }
}

struct SignificantCollector<'a> {
    terms: Box<TermsCollector<'a>>,
    /// Documents of each owner.
    docs: Vec<u64>,
}

impl Collect for SignificantCollector<'_> {
    fn collect(&mut self, docs: &[DocId], owners: &[u32]) -> Result<(), EsError> {
        for owner in owners {
            let at = *owner as usize;
            if at >= self.docs.len() {
                self.docs.resize(at + 1, 0);
            }
            if let Some(count) = self.docs.get_mut(at) {
                *count += 1;
            }
        }
        self.terms.collect(docs, owners)
    }

    fn finish(mut self: Box<Self>, owners: usize) -> Result<Vec<Partial>, EsError> {
        self.docs.resize(owners, 0);
        let terms = self.terms.finish(owners)?;
        let found = terms.into_iter().zip(self.docs).map(|(terms, docs)| {
            let terms = if let Partial::Keyed(terms) = terms { terms } else { HashMap::new() };
            Partial::Other(Box::new(Found { docs, terms }))
        });
        Ok(found.collect())
    }
}
