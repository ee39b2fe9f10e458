//! `string_stats`: lengths of strings, and how their characters are distributed.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value};
use tantivy::DocId;

use crate::aggregate::aggregator::{Aggregation, Aggregator};
use crate::aggregate::collect::{Collect, Opened, Place, Siblings};
use crate::aggregate::format::Format;
use crate::aggregate::keys::KeyColumn;
use crate::aggregate::mix::MixMap;
use crate::aggregate::partial::{Partial, State, own};
use crate::aggregate::read;
use crate::aggregate::shown::{Answer, Shown};
use crate::query::columns::{Values, json_f64};
use crate::query::error::EsError;
use crate::query::limits::Allowance;
use crate::query::strict::Members;

#[derive(Debug)]
pub(super) struct StringStats {
    field: String,
    show_distribution: bool,
    missing: Option<Value>,
    format: Option<Format>,
}

impl StringStats {
    pub(super) fn read(mut members: Members) -> Result<Arc<dyn Aggregator>, EsError> {
        let found = Self {
            field: read::field(&mut members)?,
            show_distribution: members.boolean("show_distribution")?.unwrap_or(false),
            missing: members.take("missing"),
            format: read::format(&mut members)?,
        };
        members.end()?;
        Ok(Arc::new(found))
    }
}

#[derive(Clone, Debug, Default)]
struct Lengths {
    count: u64,
    total: u64,
    min: Option<u64>,
    max: Option<u64>,
    characters: BTreeMap<char, u64>,
}

impl Lengths {
    /// Adds a string that is there so many times.
    fn add(&mut self, text: &str, times: u64) {
        let length = text.chars().count() as u64;
        self.count += times;
        self.total += length * times;
        self.min = Some(self.min.map_or(length, |min| min.min(length)));
        self.max = Some(self.max.map_or(length, |max| max.max(length)));
        for character in text.chars() {
            *self.characters.entry(character).or_default() += times;
        }
    }

    fn number(&self, name: &str) -> Option<f64> {
        match name {
            "count" => Some(self.count as f64),
            "min_length" => self.min.map(|min| min as f64),
            "max_length" => self.max.map(|max| max as f64),
            "avg_length" => (self.count > 0).then(|| self.total as f64 / self.count as f64),
            // Shannon's, over all characters, in bits.
            "entropy" => Some(
                self.characters
                    .values()
                    .map(|number| *number as f64 / self.total as f64)
                    .map(|share| -share * share.log2())
                    .sum::<f64>()
                    + 0.0,
            ),
            _ => None,
        }
    }
}

impl State for Lengths {
    fn merge(&mut self, other: Box<dyn State>, _: &Allowance) -> Result<(), EsError> {
        let other: Self = own(other);
        self.count += other.count;
        self.total += other.total;
        self.min = self.min.into_iter().chain(other.min).min();
        self.max = self.max.into_iter().chain(other.max).max();
        for (character, number) in other.characters {
            *self.characters.entry(character).or_default() += number;
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

const NAMES: [&str; 5] = ["count", "min_length", "max_length", "avg_length", "entropy"];

impl Aggregator for StringStats {
    fn name(&self) -> &'static str {
        "string_stats"
    }

    fn open<'a>(&'a self, place: Place<'a>, _: Siblings<'a>) -> Opened<'a> {
        let column = KeyColumn::open(place, &self.field, self.missing.as_ref())?;
        if matches!(column.values, Values::Numbers(..)) {
            return Err(read::wrong_type(&self.field, column.type_name(), self.name()));
        }
        let (found, seen, allowance) = (Vec::new(), Vec::new(), place.allowance);
        Ok(Box::new(LengthsCollector { column, found, seen, allowance }))
    }

    fn empty(&self) -> Partial {
        Partial::Other(Box::new(Lengths::default()))
    }

    fn show(&self, _: &[Aggregation], partial: Partial, _: &mut Shown) -> Result<Answer, EsError> {
        let Partial::Other(state) = partial else { return Err(EsError::internal("a metric without a state")) };
        let lengths: Lengths = own(state);
        let mut members = Map::new();
        for name in NAMES {
            let value = match name {
                "count" => lengths.count.into(),
                "min_length" => lengths.min.into(),
                "max_length" => lengths.max.into(),
                name => lengths.number(name).map_or(Value::Null, json_f64),
            };
            members.insert(name.to_owned(), value);
        }
        if let (Some(format), true) = (&self.format, lengths.count > 0) {
            for name in NAMES.iter().skip(1) {
                if let Some(number) = lengths.number(name) {
                    members.insert(format!("{name}_as_string"), format.number(number).into());
                }
            }
        }
        if self.show_distribution {
            let mut shares: Vec<(char, u64)> = lengths.characters.into_iter().collect();
            // The most frequent first.
            shares.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
            let share = |number: u64| json_f64(number as f64 / lengths.total as f64);
            let shares: Map<String, Value> =
                shares.into_iter().map(|(character, number)| (character.to_string(), share(number))).collect();
            members.insert("distribution".to_owned(), shares.into());
        }
        Ok(Answer::Members(members))
    }

    fn number(&self, partial: &Partial, property: Option<&str>) -> Option<f64> {
        let Partial::Other(state) = partial else { return None };
        own::<Lengths>(state.clone()).number(property?)
    }

    fn has_number(&self, property: Option<&str>) -> bool {
        property.is_some_and(|name| NAMES.contains(&name))
    }
}

/// Counts how often each string is there; the strings are read at the end.
struct LengthsCollector<'a> {
    column: KeyColumn,
    found: Vec<MixMap<u64, u64>>,
    seen: Vec<u64>,
    allowance: &'a Allowance,
}

impl Collect for LengthsCollector<'_> {
    fn collect(&mut self, docs: &[DocId], owners: &[u32]) -> Result<(), EsError> {
        for (doc, owner) in docs.iter().zip(owners) {
            self.column.bits(*doc, &mut self.seen);
            let Some(found) = super::values::slot(&mut self.found, *owner) else { continue };
            for bits in &self.seen {
                let known = found.len();
                *found.entry(*bits).or_default() += 1;
                if found.len() > known {
                    self.allowance.take_buckets(1)?;
                }
            }
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>, owners: usize) -> Result<Vec<Partial>, EsError> {
        self.found.resize_with(owners, MixMap::default);
        let keys = self.column.keys(self.found.iter().flat_map(|found| found.keys().copied()))?;
        let mut partials = Vec::with_capacity(owners);
        for found in &self.found {
            let mut lengths = Lengths::default();
            for (bits, times) in found {
                lengths.add(&keys.key(*bits).text(None), *times);
            }
            self.allowance.give_back_buckets(found.len());
            partials.push(Partial::Other(Box::new(lengths)));
        }
        Ok(partials)
    }
}
