//! `min`, `max`, `sum`, `avg`, `value_count`, `stats`, `extended_stats`: one running statistic, shown in part or whole.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use tantivy::DocId;

use super::values::{as_string, kind_of, numbers_of, single, slot, stand_in};
use crate::aggregate::aggregator::{Aggregation, Aggregator};
use crate::aggregate::collect::{Collect, Opened, Place, Siblings};
use crate::aggregate::format::Format;
use crate::aggregate::partial::Partial;
use crate::aggregate::read;
use crate::aggregate::shown::{Answer, Shown};
use crate::aggregate::stats::{Stats, ValueKind};
use crate::query::columns::{Values, each_value, json_f64};
use crate::query::error::EsError;
use crate::query::strict::Members;

#[derive(Debug)]
pub(super) struct Numbers {
    kind: Kind,
    field: String,
    missing: Option<Value>,
    format: Option<Format>,
    /// How many standard deviations the bounds lie from the mean.
    sigma: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Min,
    Max,
    Sum,
    Avg,
    ValueCount,
    Stats,
    ExtendedStats,
}

impl Kind {
    pub(super) fn of(name: &str) -> Option<Self> {
        use Kind::{Avg, ExtendedStats, Max, Min, Stats, Sum, ValueCount};
        [Min, Max, Sum, Avg, ValueCount, Stats, ExtendedStats].into_iter().find(|kind| kind.name() == name)
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Min => "min",
            Self::Max => "max",
            Self::Sum => "sum",
            Self::Avg => "avg",
            Self::ValueCount => "value_count",
            Self::Stats => "stats",
            Self::ExtendedStats => "extended_stats",
        }
    }
}

impl Numbers {
    pub(super) fn read(kind: Kind, mut members: Members) -> Result<Arc<dyn Aggregator>, EsError> {
        members.ignore(&["value_type"]);
        let sigma = match kind {
            Kind::ExtendedStats => members.float("sigma")?.unwrap_or(2.0),
            _ => 2.0,
        };
        if sigma < 0.0 {
            return Err(EsError::argument(format!("[sigma] must be greater than or equal to 0. Found [{sigma}]")));
        }
        let found = Self {
            kind,
            field: read::field(&mut members)?,
            missing: members.take("missing"),
            format: read::format(&mut members)?,
            sigma,
        };
        members.end()?;
        Ok(Arc::new(found))
    }
}

/// One of the numbers by its name; `None` for another name, or where there are no values.
pub(in crate::aggregate) fn number(stats: &Stats, name: &str, sigma: f64) -> Option<f64> {
    let deviation = |variance: f64, sign: f64| stats.avg() + sign * variance.sqrt() * sigma;
    Some(match name {
        "count" => return Some(stats.count as f64),
        "sum" => return Some(stats.sum),
        _ if stats.count == 0 => return None,
        "min" => stats.min,
        "max" => stats.max,
        "avg" => stats.avg(),
        "sum_of_squares" => stats.sum_of_squares,
        "variance" | "variance_population" => stats.variance_population(),
        "variance_sampling" => stats.variance_sampling(),
        "std_deviation" | "std_deviation_population" => stats.variance_population().sqrt(),
        "std_deviation_sampling" => stats.variance_sampling().sqrt(),
        "std_upper" | "std_upper_population" => deviation(stats.variance_population(), 1.0),
        "std_lower" | "std_lower_population" => deviation(stats.variance_population(), -1.0),
        "std_upper_sampling" => deviation(stats.variance_sampling(), 1.0),
        "std_lower_sampling" => deviation(stats.variance_sampling(), -1.0),
        _ => return None,
    })
}

const NAMES: [&str; 5] = ["count", "min", "max", "avg", "sum"];
const EXTENDED_NAMES: [&str; 7] = [
    "sum_of_squares",
    "variance",
    "variance_population",
    "variance_sampling",
    "std_deviation",
    "std_deviation_population",
    "std_deviation_sampling",
];
const BOUND_NAMES: [&str; 6] = [
    "std_upper",
    "std_lower",
    "std_upper_population",
    "std_lower_population",
    "std_upper_sampling",
    "std_lower_sampling",
];

impl Aggregator for Numbers {
    fn name(&self) -> &'static str {
        self.kind.name()
    }

    fn open<'a>(&'a self, place: Place<'a>, _: Siblings<'a>) -> Opened<'a> {
        let counts_only = self.kind == Kind::ValueCount;
        let (values, missing) = if counts_only {
            (Values::open(place.part, place.target.mapping, &self.field)?, self.missing.as_ref().map(|_| 0.0))
        } else {
            (numbers_of(place, &self.field, self.name())?, stand_in(self.missing.as_ref(), place)?)
        };
        if !counts_only && matches!(values, Values::Numbers(..)) {
            Format::check(self.format.as_ref(), kind_of(&values) == ValueKind::Date, &self.field)?;
        }
        Ok(Box::new(StatsCollector { values, missing, found: Vec::new() }))
    }

    fn empty(&self) -> Partial {
        Partial::Stats(Stats::default())
    }

    fn show(&self, _: &[Aggregation], partial: Partial, _: &mut Shown) -> Result<Answer, EsError> {
        let Partial::Stats(stats) = partial else { return Err(EsError::internal("a metric without a number")) };
        let format = self.format.as_ref();
        Ok(Answer::Members(match self.kind {
            Kind::ValueCount => {
                let mut members = Map::new();
                members.insert("value".to_owned(), stats.count.into());
                if let Some(format) = format {
                    members.insert("value_as_string".to_owned(), format.number(stats.count as f64).into());
                }
                members
            }
            Kind::Stats => shown(&stats, format),
            Kind::ExtendedStats => extended(&stats, self.sigma, format),
            single_valued => single(number(&stats, single_valued.name(), self.sigma), stats.kind, format),
        }))
    }

    fn number(&self, partial: &Partial, property: Option<&str>) -> Option<f64> {
        let Partial::Stats(stats) = partial else { return None };
        match self.kind {
            Kind::ValueCount => Some(stats.count as f64),
            Kind::Stats | Kind::ExtendedStats => number(stats, property?, self.sigma),
            single => number(stats, single.name(), self.sigma),
        }
    }

    fn has_number(&self, property: Option<&str>) -> bool {
        match (self.kind, property) {
            (Kind::Stats, Some(name)) => NAMES.contains(&name),
            (Kind::ExtendedStats, Some(name)) => {
                NAMES.contains(&name) || EXTENDED_NAMES.contains(&name) || BOUND_NAMES.contains(&name)
            }
            (Kind::Stats | Kind::ExtendedStats, None) => false,
            (_, property) => property.is_none_or(|name| name == "value"),
        }
    }
}

/// The answer of `stats`.
pub(in crate::aggregate) fn shown(stats: &Stats, format: Option<&Format>) -> Map<String, Value> {
    let mut members = Map::new();
    for name in NAMES {
        let value = match name {
            "count" => stats.count.into(),
            name => number(stats, name, 0.0).map_or(Value::Null, json_f64),
        };
        members.insert(name.to_owned(), value);
    }
    if stats.count > 0 {
        for name in ["min", "max", "avg", "sum"] {
            let text = number(stats, name, 0.0).and_then(|number| as_string(number, stats.kind, format));
            if let Some(text) = text {
                members.insert(format!("{name}_as_string"), text.into());
            }
        }
    }
    members
}

/// The answer of `extended_stats`.
pub(in crate::aggregate) fn extended(stats: &Stats, sigma: f64, format: Option<&Format>) -> Map<String, Value> {
    let mut members = shown(stats, format);
    // What a single value gives no sample of is no number, and written as such.
    let shown = |name: &str| match number(stats, name, sigma) {
        None => Value::Null,
        Some(number) if number.is_nan() => "NaN".into(),
        Some(number) => json_f64(number),
    };
    for name in EXTENDED_NAMES {
        members.insert(name.to_owned(), shown(name));
    }
    let bounds: Map<String, Value> =
        BOUND_NAMES.iter().map(|name| (name.strip_prefix("std_").unwrap_or(name).to_owned(), shown(name))).collect();
    members.insert("std_deviation_bounds".to_owned(), bounds.into());
    if let (Some(format), true) = (format, stats.count > 0) {
        let mut texts = Map::new();
        for name in EXTENDED_NAMES {
            if let Some(number) = number(stats, name, sigma).filter(|number| number.is_finite()) {
                members.insert(format!("{name}_as_string"), json!(format.number(number)));
            }
        }
        for name in BOUND_NAMES {
            if let Some(number) = number(stats, name, sigma).filter(|number| number.is_finite()) {
                texts.insert(name.strip_prefix("std_").unwrap_or(name).to_owned(), format.number(number).into());
            }
        }
        members.insert("std_deviation_bounds_as_string".to_owned(), texts.into());
    }
    members
}

/// Collects running statistics.
pub(super) struct StatsCollector {
    pub(super) values: Values,
    pub(super) missing: Option<f64>,
    pub(super) found: Vec<Stats>,
}

impl Collect for StatsCollector {
    fn collect(&mut self, docs: &[DocId], owners: &[u32]) -> Result<(), EsError> {
        for (doc, owner) in docs.iter().zip(owners) {
            let Some(stats) = slot(&mut self.found, *owner) else { continue };
            let before = stats.count;
            match &self.values {
                Values::Numbers(column, kind) => each_value(column, *doc, |bits| stats.add(kind.as_f64(bits))),
                Values::Strings(column) => stats.count += column.term_ords(*doc).count() as u64,
                Values::Constant(_) => stats.count += 1,
                Values::Nothing => {}
            }
            if let (Some(missing), true) = (self.missing, stats.count == before) {
                stats.add(missing);
            }
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>, owners: usize) -> Result<Vec<Partial>, EsError> {
        let kind = kind_of(&self.values);
        self.found.resize_with(owners, Stats::default);
        self.found.iter_mut().for_each(|stats| stats.kind = kind);
        Ok(self.found.into_iter().map(Partial::Stats).collect())
    }
}
