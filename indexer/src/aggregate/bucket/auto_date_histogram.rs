//! `auto_date_histogram`: buckets of time, as narrow as a number of buckets allows. The widths to choose from and the
//! way of choosing are Elasticsearch's.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use jiff::tz::TimeZone;
use serde_json::{Map, Value};
use tantivy::DocId;

use super::date_histogram::{dates, millis, missing_ms, row};
use crate::aggregate::aggregator::{Aggregation, Aggregator, Holds};
use crate::aggregate::buckets::Buckets;
use crate::aggregate::collect::{Collect, Opened, Place, Siblings};
use crate::aggregate::format::Format;
use crate::aggregate::partial::{Bucket, Partial, State, add_to_series, own};
use crate::aggregate::read;
use crate::aggregate::rounding::{Interval, Rounding};
use crate::aggregate::shown::{Answer, Shown, Span, fill, too_many_buckets};
use crate::query::columns::{Values, each_value};
use crate::query::error::EsError;
use crate::query::limits::{Allowance, BUCKETS_MAX};
use crate::query::strict::Members;

/// A unit of the calendar, how its widths are written, and how many of it may be one bucket.
struct Level {
    unit: char,
    name: &'static str,
    abbreviation: &'static str,
    steps: &'static [usize],
    /// About.
    millis: i64,
}

const fn level(
    unit: char,
    name: &'static str,
    abbreviation: &'static str,
    steps: &'static [usize],
    millis: i64,
) -> Level {
    Level { unit, name, abbreviation, steps, millis }
}

const LEVELS: [Level; 6] = [
    level('s', "second", "s", &[1, 5, 10, 30], 1_000),
    level('m', "minute", "m", &[1, 5, 10, 30], 60_000),
    level('h', "hour", "h", &[1, 3, 12], 3_600_000),
    level('d', "day", "d", &[1, 7], 86_400_000),
    level('M', "month", "M", &[1, 3], 2_592_000_000),
    level('y', "year", "y", &[1, 5, 10, 20, 50, 100], 31_536_000_000),
];

/// More can't be asked for: with the widest steps it stays below what a search may show.
const TARGET_MAX: usize = BUCKETS_MAX / 30;

#[derive(Debug)]
pub(super) struct AutoDateHistogram {
    field: String,
    target: usize,
    /// The finest level.
    least: usize,
    zone: TimeZone,
    format: Option<Format>,
    missing: Option<Value>,
}

impl AutoDateHistogram {
    pub(super) fn read(mut members: Members) -> Result<Arc<dyn Aggregator>, EsError> {
        let least = match members.string("minimum_interval")? {
            None => 0,
            Some(name) => LEVELS.iter().position(|level| level.name == name).ok_or_else(|| {
                let names: Vec<&str> = LEVELS.iter().map(|level| level.name).collect();
                EsError::argument(format!("[minimum_interval] must be one of {names:?}, not [{name}]"))
            })?,
        };
        let histogram = Self {
            field: read::field(&mut members)?,
            target: read::size(&mut members, "buckets", 10, TARGET_MAX)?,
            least,
            zone: read::zone(&mut members)?,
            format: read::format(&mut members)?,
            missing: members.take("missing"),
        };
        Format::check(histogram.format.as_ref(), true, &histogram.field)?;
        members.end()?;
        Ok(Arc::new(histogram))
    }

    fn rounding(&self, level: usize) -> Rounding {
        let unit = LEVELS.get(level).map_or('y', |level| level.unit);
        Rounding::new(Interval::Calendar(unit), &self.zone, 0)
    }

    /// Buckets of a level that can still be made few enough by taking several as one.
    fn most(&self, level: usize) -> usize {
        let widest = LEVELS.get(level).and_then(|level| level.steps.last()).copied().unwrap_or(1);
        self.target.saturating_mul(widest)
    }

    /// The level at which all buckets between two instants are few enough.
    fn level_for(&self, first: i64, last: i64, from: usize) -> usize {
        let mut at = from;
        while at + 1 < LEVELS.len() {
            let rounding = self.rounding(at);
            let most = self.most(at);
            let millis = LEVELS.get(at).map_or(1, |level| level.millis);
            // Far too many need not be counted one by one.
            let roughly = usize::try_from(last.saturating_sub(first) / millis).unwrap_or(usize::MAX);
            if roughly <= most.saturating_mul(2) {
                let mut number = 1;
                let mut start = rounding.clone().start(first);
                while number <= most {
                    start = rounding.next(start);
                    if start > last {
                        return at;
                    }
                    number += 1;
                }
            }
            at += 1;
        }
        at
    }
}

/// Buckets at some level.
#[derive(Clone, Debug, Default)]
struct Times {
    level: usize,
    /// UTC when none is given.
    zone: Option<TimeZone>,
    buckets: BTreeMap<i64, Bucket>,
}

impl Times {
    /// Goes to a wider level.
    fn widen(&mut self, level: usize, allowance: Option<&Allowance>) -> Result<(), EsError> {
        if level <= self.level {
            return Ok(());
        }
        self.level = level;
        let unit = LEVELS.get(level).map_or('y', |level| level.unit);
        let zone = self.zone.clone().unwrap_or(TimeZone::UTC);
        let mut rounding = Rounding::new(Interval::Calendar(unit), &zone, 0);
        let fallback = Allowance::new(None, Arc::default());
        for (start, bucket) in std::mem::take(&mut self.buckets) {
            add_to_series(&mut self.buckets, rounding.start(start), bucket, allowance.unwrap_or(&fallback))?;
        }
        Ok(())
    }
}

impl State for Times {
    fn merge(&mut self, other: Box<dyn State>, allowance: &Allowance) -> Result<(), EsError> {
        let mut other: Self = own(other);
        let level = self.level.max(other.level);
        self.widen(level, Some(allowance))?;
        other.widen(level, Some(allowance))?;
        for (start, bucket) in other.buckets {
            add_to_series(&mut self.buckets, start, bucket, allowance)?;
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

impl Aggregator for AutoDateHistogram {
    fn name(&self) -> &'static str {
        "auto_date_histogram"
    }

    fn holds(&self) -> Holds {
        Holds::Series
    }

    fn open<'a>(&'a self, place: Place<'a>, children: Siblings<'a>) -> Opened<'a> {
        let values = dates(place, &self.field, self.name())?;
        let missing = missing_ms(self.missing.as_ref(), &self.zone, place)?;
        let roundings = (0..LEVELS.len()).map(|level| self.rounding(level)).collect();
        let buckets = Buckets::new(children, place.allowance);
        Ok(Box::new(AutoCollector {
            request: self,
            values,
            missing,
            roundings,
            owners: Vec::new(),
            buckets,
            starts: Vec::new(),
            place,
        }))
    }

    fn empty(&self) -> Partial {
        Partial::Other(Box::new(Times { level: self.least, zone: Some(self.zone.clone()), buckets: BTreeMap::new() }))
    }

    fn show(&self, children: &[Aggregation], partial: Partial, shown: &mut Shown) -> Result<Answer, EsError> {
        let Partial::Other(state) = partial else { return Err(EsError::internal("a histogram without buckets")) };
        let mut times: Times = own(state);
        let ends = times.buckets.keys().next().copied().zip(times.buckets.keys().next_back().copied());
        if let Some((first, last)) = ends {
            times.widen(self.level_for(first, last, times.level), None)?;
        }
        let rounding = self.rounding(times.level);
        fill(&mut times.buckets, (None, None), |start| rounding.next(start))?;
        let Some(level) = LEVELS.get(times.level) else { return Err(EsError::internal("no such level")) };
        let number = times.buckets.len();
        let step = if number <= self.target {
            1
        } else {
            level
                .steps
                .iter()
                .copied()
                .find(|step| number.div_ceil(*step) <= self.target)
                .ok_or_else(too_many_buckets)?
        };
        let mut rows = Vec::new();
        let mut buckets = times.buckets.into_iter();
        let allowance = Allowance::new(None, Arc::default());
        while let Some((start_ms, mut bucket)) = buckets.next() {
            let mut end_ms = rounding.next(start_ms);
            for (start, more) in buckets.by_ref().take(step - 1) {
                end_ms = rounding.next(start);
                bucket.merge(more, &allowance)?;
            }
            let months = match level.unit {
                'M' => u32::try_from(step).ok(),
                'y' => u32::try_from(step * 12).ok(),
                _ => None,
            };
            let span = Span { start_ms, end_ms, months };
            rows.push(row(span, (self.format.as_ref(), &self.zone), children, bucket, shown)?);
        }
        let mut members = Map::new();
        members.insert("interval".to_owned(), format!("{step}{}", level.abbreviation).into());
        Ok(Answer::Buckets { members, rows, keyed: false })
    }
}

struct AutoCollector<'a> {
    request: &'a AutoDateHistogram,
    values: Values,
    /// Milliseconds.
    missing: Option<i64>,
    /// One for each level.
    roundings: Vec<Rounding>,
    /// For each owner its level, and the starts seen at that.
    owners: Vec<(usize, HashSet<i64>)>,
    buckets: Buckets<'a>,
    starts: Vec<i64>,
    place: Place<'a>,
}

impl AutoCollector<'_> {
    fn start(&mut self, owner: u32, ms: i64) -> i64 {
        let at = owner as usize;
        if at >= self.owners.len() {
            self.owners.resize_with(at + 1, || (self.request.least, HashSet::new()));
        }
        let Some((level, seen)) = self.owners.get_mut(at) else { return ms };
        let Some(rounding) = self.roundings.get_mut(*level) else { return ms };
        let start = rounding.start(ms);
        if seen.insert(start) && seen.len() > self.request.most(*level) && *level + 1 < LEVELS.len() {
            // What is there already is widened at the end.
            *level += 1;
            if let Some(wider) = self.roundings.get_mut(*level) {
                *seen = seen.iter().map(|start| wider.start(*start)).collect();
                return wider.start(ms);
            }
        }
        start
    }
}

impl Collect for AutoCollector<'_> {
    fn collect(&mut self, docs: &[DocId], owners: &[u32]) -> Result<(), EsError> {
        let mut dates = Vec::new();
        for (doc, owner) in docs.iter().zip(owners) {
            dates.clear();
            if let Values::Numbers(column, kind) = &self.values {
                each_value(column, *doc, |bits| dates.push(millis(*kind, bits)));
            }
            if dates.is_empty() {
                dates.extend(self.missing);
            }
            self.starts.clear();
            // All at one level, so that a document is not counted twice into what becomes one bucket.
            for ms in &dates {
                self.start(*owner, *ms);
            }
            for ms in &dates {
                let start = self.start(*owner, *ms);
                self.starts.push(start);
            }
            self.starts.sort_unstable();
            self.starts.dedup();
            for start in &self.starts {
                self.buckets.add_signed(*doc, *owner, *start)?;
            }
        }
        self.buckets.flush()
    }

    fn finish(self: Box<Self>, owners: usize) -> Result<Vec<Partial>, EsError> {
        let Self { request, buckets, place, owners: levels, .. } = *self;
        let rows = buckets.finish_signed(owners)?;
        let mut partials = Vec::with_capacity(rows.len());
        for (at, row) in rows.into_iter().enumerate() {
            let level = levels.get(at).map_or(request.least, |(level, _)| *level);
            let mut rounding = request.rounding(level);
            let mut times = Times { level, zone: Some(request.zone.clone()), buckets: BTreeMap::new() };
            for (key, bucket) in row {
                let start = rounding.start(key);
                add_to_series(&mut times.buckets, start, bucket, place.allowance)?;
            }
            partials.push(Partial::Other(Box::new(times)));
        }
        Ok(partials)
    }
}
