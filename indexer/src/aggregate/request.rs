//! The `aggs` of a search, read strictly.

use jiff::tz::TimeZone;
use logmill_indexer_api::datemath;
use serde_json::Value;

use crate::query::clause::Clause;
use crate::query::columns;
use crate::query::error::EsError;
use crate::query::limits::{BUCKETS_MAX, DEPTH_MAX};
use crate::query::strict::{Members, kind};

/// One aggregation.
#[derive(Clone, Debug)]
pub(crate) struct Aggregation {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) children: Vec<Aggregation>,
    pub(crate) meta: Option<Value>,
}

/// What is aggregated.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Terms(Terms),
    DateHistogram(DateHistogram),
    Histogram(Histogram),
    Ranges(Ranges),
    Filter(Clause),
    Filters(Filters),
    /// Documents without a value in the field.
    Missing(String),
    Metric(Metric),
}

/// `terms`.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    pub(crate) field: String,
    pub(crate) size: usize,
    /// Levels of the order: by what, and whether descending. Equal ones go by key.
    pub(crate) order: Vec<(OrderBy, bool)>,
    pub(crate) include: Option<Choice>,
    pub(crate) exclude: Option<Choice>,
    pub(crate) missing: Option<Value>,
    pub(crate) min_doc_count: u64,
    pub(crate) format: Option<String>,
}

/// What buckets are ordered by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum OrderBy {
    Count,
    Key,
    /// A metric among the children, and which of its numbers.
    Metric(String, Option<String>),
}

/// Which keys are wanted.
#[derive(Clone, Debug)]
pub(crate) enum Choice {
    Values(Vec<String>),
    Pattern(regex::Regex),
}

/// `date_histogram`.
#[derive(Clone, Debug)]
pub(crate) struct DateHistogram {
    pub(crate) field: String,
    pub(crate) interval: Interval,
    pub(crate) zone: TimeZone,
    pub(crate) offset_ms: i64,
    pub(crate) min_doc_count: u64,
    /// Milliseconds.
    pub(crate) extended_bounds: Option<Milliseconds>,
    pub(crate) hard_bounds: Option<Milliseconds>,
    pub(crate) format: Option<String>,
    pub(crate) keyed: bool,
    pub(crate) missing: Option<Value>,
    pub(crate) order: Vec<(OrderBy, bool)>,
}

/// Two bounds, either of which may be missing.
pub(crate) type Milliseconds = (Option<i64>, Option<i64>);

/// The width of time buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interval {
    /// Milliseconds.
    Fixed(i64),
    /// `y`, `Q`, `M`, `w`, `d`, `h` or `m` of the calendar.
    Calendar(char),
}

/// `histogram`.
#[derive(Clone, Debug)]
pub(crate) struct Histogram {
    pub(crate) field: String,
    pub(crate) interval: f64,
    pub(crate) offset: f64,
    pub(crate) min_doc_count: u64,
    pub(crate) extended_bounds: Option<(Option<f64>, Option<f64>)>,
    pub(crate) keyed: bool,
    pub(crate) missing: Option<f64>,
    pub(crate) order: Vec<(OrderBy, bool)>,
}

/// `range` and `date_range`; dates in milliseconds.
#[derive(Clone, Debug)]
pub(crate) struct Ranges {
    pub(crate) field: String,
    pub(crate) ranges: Vec<NumberRange>,
    pub(crate) keyed: bool,
    pub(crate) is_date: bool,
    pub(crate) format: Option<String>,
}

/// From inclusive, to exclusive.
#[derive(Clone, Debug)]
pub(crate) struct NumberRange {
    pub(crate) key: Option<String>,
    pub(crate) from: Option<f64>,
    pub(crate) to: Option<f64>,
}

/// `filters`.
#[derive(Clone, Debug)]
pub(crate) struct Filters {
    pub(crate) filters: Vec<(String, Clause)>,
    /// Named filters are shown as an object, others as an array.
    pub(crate) named: bool,
    /// The name of the bucket for what matches none.
    pub(crate) other: Option<String>,
}

/// A single-valued or small aggregation over a field's values.
#[derive(Clone, Debug)]
pub(crate) struct Metric {
    pub(crate) field: String,
    pub(crate) kind: MetricKind,
    pub(crate) missing: Option<Value>,
}

/// Which metric.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum MetricKind {
    Min,
    Max,
    Sum,
    Avg,
    ValueCount,
    Stats,
    ExtendedStats { sigma: f64 },
    Cardinality,
    Percentiles { percents: Vec<f64>, keyed: bool },
}

impl Aggregation {
    /// Reads `aggs`.
    pub(crate) fn read_all(value: Value, depth: usize) -> Result<Vec<Self>, EsError> {
        if depth > DEPTH_MAX {
            return Err(EsError::parsing(format!("aggregations are nested more than {DEPTH_MAX} levels deep")));
        }
        let mut members = Members::new(value, "[aggs]")?;
        let mut all = Vec::new();
        while let Some((name, body)) = members.take_one() {
            if name.contains(['[', ']', '>']) || name.is_empty() {
                return Err(EsError::parsing(format!(
                    "Invalid aggregation name [{name}]: [, ] and > can't be part of it"
                )));
            }
            all.push(Self::read(name, body, depth)?);
        }
        Ok(all)
    }

    fn read(name: String, body: Value, depth: usize) -> Result<Self, EsError> {
        let mut members = Members::new(body, format!("the aggregation [{name}]"))?;
        let meta = members.take("meta");
        let nested = members.take("aggs").or_else(|| members.take("aggregations"));
        let children = nested.map_or(Ok(Vec::new()), |nested| Self::read_all(nested, depth + 1))?;
        let Some((kind_name, body)) = members.take_one() else {
            return Err(EsError::parsing(format!("Missing definition for aggregation [{name}]")));
        };
        if members.len() > 0 {
            return Err(EsError::parsing(format!("Found two aggregation type definitions in [{name}]")));
        }
        let kind = Kind::read(&kind_name, body)?;
        if matches!(kind, Kind::Metric(_)) && !children.is_empty() {
            let reason = format!("Aggregator [{name}] of type [{kind_name}] cannot accept sub-aggregations");
            return Err(EsError::new(400, "aggregation_initialization_exception", reason));
        }
        let aggregation = Self { name, kind, children, meta };
        aggregation.check_order()?;
        Ok(aggregation)
    }

    fn check_order(&self) -> Result<(), EsError> {
        let order = match &self.kind {
            Kind::Terms(terms) => &terms.order,
            Kind::DateHistogram(histogram) => &histogram.order,
            Kind::Histogram(histogram) => &histogram.order,
            _ => return Ok(()),
        };
        for (by, _) in order {
            let OrderBy::Metric(name, _) = by else { continue };
            let child = self.children.iter().find(|child| child.name == *name);
            if !child.is_some_and(|child| matches!(child.kind, Kind::Metric(_))) {
                let reason = format!(
                    "Invalid aggregator order path [{name}]: there is no metric of this name directly below [{}]",
                    self.name
                );
                return Err(EsError::new(400, "aggregation_execution_exception", reason));
            }
        }
        Ok(())
    }
}

impl Kind {
    fn read(name: &str, body: Value) -> Result<Self, EsError> {
        let what = format!("[{name}] aggregation");
        if name == "filter" {
            return Clause::from_dsl(body).map(Self::Filter);
        }
        let mut members = Members::new(body, what)?;
        let found = match name {
            "terms" => Self::Terms(terms(&mut members)?),
            "date_histogram" => Self::DateHistogram(date_histogram(&mut members)?),
            "histogram" => Self::Histogram(histogram(&mut members)?),
            "range" | "date_range" => Self::Ranges(ranges(&mut members, name == "date_range")?),
            "filters" => Self::Filters(filters(&mut members)?),
            "missing" => Self::Missing(field(&mut members)?),
            _ => Self::Metric(metric(name, &mut members)?),
        };
        members.end()?;
        Ok(found)
    }
}

fn field(members: &mut Members) -> Result<String, EsError> {
    if members.take("script").is_some() {
        return Err(EsError::parsing(format!("{} does not support [script]", members.what())));
    }
    members.string("field")?.ok_or_else(|| EsError::parsing(format!("{} needs [field]", members.what())))
}

fn format(members: &mut Members) -> Result<Option<String>, EsError> {
    let format = members.string("format")?;
    match &format {
        Some(unknown) if !columns::knows_format(unknown) => {
            Err(EsError::argument(format!("{}: the date format [{unknown}] is not supported", members.what())))
        }
        _ => Ok(format),
    }
}

fn least_count(members: &mut Members, default: u64) -> Result<u64, EsError> {
    match members.whole("min_doc_count")? {
        None => Ok(default),
        Some(number) => u64::try_from(number)
            .map_err(|_| EsError::argument(format!("[min_doc_count] must not be negative, was [{number}]"))),
    }
}

fn terms(members: &mut Members) -> Result<Terms, EsError> {
    // How shards share the work, and how values are looked up.
    members.ignore(&[
        "shard_size",
        "shard_min_doc_count",
        "show_term_doc_count_error",
        "execution_hint",
        "collect_mode",
        "value_type",
    ]);
    let size = members.whole("size")?.unwrap_or(10);
    let size = usize::try_from(size).ok().filter(|size| *size > 0);
    let size = size.ok_or_else(|| EsError::argument("[size] must be greater than 0"))?;
    if size > BUCKETS_MAX {
        return Err(EsError::argument(format!("[terms] aggregation: [size] must be at most {BUCKETS_MAX}")));
    }
    Ok(Terms {
        field: field(members)?,
        size,
        order: orders(members.take("order"))?.unwrap_or_else(|| vec![(OrderBy::Count, true)]),
        include: choice(members.take("include"), "include")?,
        exclude: choice(members.take("exclude"), "exclude")?,
        missing: members.take("missing"),
        // Terms that no matching document has are never listed: 0 means 1.
        min_doc_count: least_count(members, 1)?.max(1),
        format: format(members)?,
    })
}

fn choice(value: Option<Value>, key: &str) -> Result<Option<Choice>, EsError> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match value {
        None => Ok(None),
        Some(Value::Array(values)) => Ok(Some(Choice::Values(values.iter().map(text).collect()))),
        Some(Value::String(pattern)) => {
            let regex = regex::RegexBuilder::new(&format!("^(?:{pattern})$")).size_limit(1 << 20).build();
            let refused = |_| EsError::argument(format!("[{key}] is not a regular expression: [{pattern}]"));
            regex.map(|regex| Some(Choice::Pattern(regex))).map_err(refused)
        }
        Some(other) => {
            Err(EsError::parsing(format!("[{key}] needs a pattern or an array of values, not {}", kind(&other))))
        }
    }
}

fn orders(value: Option<Value>) -> Result<Option<Vec<(OrderBy, bool)>>, EsError> {
    let items = match value {
        None => return Ok(None),
        Some(Value::Array(items)) => items,
        Some(single) => vec![single],
    };
    let mut orders = Vec::new();
    for item in items {
        let mut members = Members::new(item, "[order]")?;
        while let Some((by, direction)) = members.take_one() {
            let descending = match direction.as_str().map(str::to_ascii_lowercase).as_deref() {
                Some("asc") => false,
                Some("desc") => true,
                _ => {
                    return Err(EsError::parsing(format!(
                        "[order] by [{by}] needs asc or desc, not {}",
                        kind(&direction)
                    )));
                }
            };
            let by = match by.as_str() {
                "_count" => OrderBy::Count,
                "_key" | "_term" | "_time" => OrderBy::Key,
                path => match path.split_once('.') {
                    Some((name, property)) => OrderBy::Metric(name.to_owned(), Some(property.to_owned())),
                    None => OrderBy::Metric(path.to_owned(), None),
                },
            };
            orders.push((by, descending));
        }
    }
    Ok(Some(orders))
}

fn date_histogram(members: &mut Members) -> Result<DateHistogram, EsError> {
    let fixed = members.string("fixed_interval")?;
    let calendar = members.string("calendar_interval")?;
    let legacy = members.string("interval")?;
    let interval = match (fixed, calendar, legacy) {
        (Some(fixed), None, None) => Interval::Fixed(fixed_interval(&fixed)?),
        (None, Some(calendar), None) => calendar_interval(&calendar).ok_or_else(|| {
            EsError::argument(format!("The supplied interval [{calendar}] could not be parsed as a calendar interval."))
        })?,
        (None, None, Some(either)) => match calendar_interval(&either) {
            Some(calendar) => calendar,
            None => Interval::Fixed(fixed_interval(&either)?),
        },
        (None, None, None) => {
            return Err(EsError::argument(
                "Invalid interval specified, must be non-null and non-empty: write [fixed_interval] or [calendar_interval]",
            ));
        }
        _ => {
            return Err(EsError::argument(
                "Cannot use [fixed_interval] with [calendar_interval] configuration option.",
            ));
        }
    };
    let zone = match members.string("time_zone")? {
        None => TimeZone::UTC,
        Some(name) => {
            datemath::zone_from(&name).ok_or_else(|| EsError::argument(format!("[{name}] is not a time zone")))?
        }
    };
    let offset_ms = match members.string("offset")? {
        None => 0,
        Some(text) => {
            let (sign, bare) = match text.strip_prefix('-') {
                Some(bare) => (-1, bare),
                None => (1, text.strip_prefix('+').unwrap_or(&text)),
            };
            sign * bare.parse::<i64>().map_or_else(|_| fixed_interval(bare), Ok)?
        }
    };
    Ok(DateHistogram {
        field: field(members)?,
        interval,
        offset_ms,
        min_doc_count: least_count(members, 0)?,
        extended_bounds: date_bounds(members, "extended_bounds", &zone)?,
        hard_bounds: date_bounds(members, "hard_bounds", &zone)?,
        zone,
        format: format(members)?,
        keyed: members.boolean("keyed")?.unwrap_or(false),
        missing: members.take("missing"),
        order: orders(members.take("order"))?.unwrap_or_default(),
    })
}

/// `30s`, `12h`, `500ms` in milliseconds.
fn fixed_interval(text: &str) -> Result<i64, EsError> {
    let refused = || {
        EsError::argument(format!(
            "failed to parse setting [fixed_interval] with value [{text}] as a time value: write 30s, 5m, 12h or 1d"
        ))
    };
    let split = text.find(|letter: char| !letter.is_ascii_digit()).ok_or_else(refused)?;
    let (number, unit) = text.split_at(split);
    let number: i64 = number.parse().map_err(|_| refused())?;
    let factor = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        "w" => 7 * 86_400_000,
        _ => return Err(refused()),
    };
    number.checked_mul(factor).filter(|ms| *ms > 0).ok_or_else(refused)
}

fn calendar_interval(text: &str) -> Option<Interval> {
    Some(Interval::Calendar(match text {
        "1y" | "year" => 'y',
        "1q" | "quarter" => 'Q',
        "1M" | "month" => 'M',
        "1w" | "week" => 'w',
        "1d" | "day" => 'd',
        "1h" | "hour" => 'h',
        "1m" | "minute" => 'm',
        "1s" | "second" => 's',
        _ => return None,
    }))
}

fn date_bounds(members: &mut Members, key: &str, zone: &TimeZone) -> Result<Option<Milliseconds>, EsError> {
    let Some(value) = members.take(key) else { return Ok(None) };
    let mut bounds = Members::new(value, format!("[{key}]"))?;
    let mut read = |side: &str| match bounds.take(side) {
        None => Ok(None),
        Some(Value::Number(number)) => Ok(number.as_i64().or_else(|| number.as_f64().map(|float| float as i64))),
        Some(Value::String(text)) => {
            let instant = datemath::parse_rounded(&text, jiff::Timestamp::now(), zone, false);
            instant
                .map(|instant| Some(instant.as_millisecond()))
                .map_err(|error| EsError::new(400, "parse_exception", error.to_string()))
        }
        Some(other) => Err(EsError::parsing(format!("[{key}] needs a date in [{side}], not {}", kind(&other)))),
    };
    let found = (read("min")?, read("max")?);
    bounds.end()?;
    if matches!(found, (Some(min), Some(max)) if min > max) {
        return Err(EsError::argument(format!("[{key}]: min must not be greater than max")));
    }
    Ok(Some(found))
}

fn histogram(members: &mut Members) -> Result<Histogram, EsError> {
    let interval = members.float("interval")?.filter(|interval| *interval > 0.0);
    let extended_bounds = match members.take("extended_bounds") {
        None => None,
        Some(value) => {
            let mut bounds = Members::new(value, "[extended_bounds]")?;
            let found = (bounds.float("min")?, bounds.float("max")?);
            bounds.end()?;
            Some(found)
        }
    };
    Ok(Histogram {
        field: field(members)?,
        interval: interval.ok_or_else(|| EsError::argument("[interval] must be >0 for histogram aggregation"))?,
        offset: members.float("offset")?.unwrap_or(0.0),
        min_doc_count: least_count(members, 0)?,
        extended_bounds,
        keyed: members.boolean("keyed")?.unwrap_or(false),
        missing: members.float("missing")?,
        order: orders(members.take("order"))?.unwrap_or_default(),
    })
}

fn ranges(members: &mut Members, is_date: bool) -> Result<Ranges, EsError> {
    let zone = match members.string("time_zone")? {
        None => TimeZone::UTC,
        Some(name) => {
            datemath::zone_from(&name).ok_or_else(|| EsError::argument(format!("[{name}] is not a time zone")))?
        }
    };
    let items = match members.required("ranges")? {
        Value::Array(items) => items,
        other => return Err(members.wrong("ranges", "an array", &other)),
    };
    let mut ranges = Vec::new();
    for item in items {
        let mut range = Members::new(item, "[ranges]")?;
        let mut bound = |side: &str| -> Result<Option<f64>, EsError> {
            if !is_date {
                return range.float(side);
            }
            let Some(text) = range.string(side)? else { return Ok(None) };
            let instant = datemath::parse_rounded(&text, jiff::Timestamp::now(), &zone, false);
            instant
                .map(|instant| Some(instant.as_millisecond() as f64))
                .map_err(|error| EsError::new(400, "parse_exception", error.to_string()))
        };
        let (from, to) = (bound("from")?, bound("to")?);
        ranges.push(NumberRange { key: range.string("key")?, from, to });
        range.end()?;
    }
    if ranges.is_empty() || ranges.len() > 1024 {
        return Err(EsError::argument(format!("{} needs between 1 and 1024 [ranges]", members.what())));
    }
    Ok(Ranges {
        field: field(members)?,
        ranges,
        keyed: members.boolean("keyed")?.unwrap_or(false),
        is_date,
        format: format(members)?,
    })
}

fn filters(members: &mut Members) -> Result<Filters, EsError> {
    let (filters, named) = match members.required("filters")? {
        Value::Array(items) => {
            let read = |(place, item): (usize, Value)| Clause::from_dsl(item).map(|clause| (place.to_string(), clause));
            (items.into_iter().enumerate().map(read).collect::<Result<Vec<_>, _>>()?, false)
        }
        object => {
            let mut named = Members::new(object, "[filters]")?;
            let mut filters = Vec::new();
            while let Some((name, item)) = named.take_one() {
                filters.push((name, Clause::from_dsl(item)?));
            }
            (filters, true)
        }
    };
    if filters.len() > 1024 {
        return Err(EsError::argument("[filters] aggregation takes at most 1024 filters"));
    }
    let wants_other = members.boolean("other_bucket")?;
    let other_key = members.string("other_bucket_key")?;
    let other = match (wants_other, other_key) {
        (Some(false), _) | (None, None) => None,
        (_, key) => Some(key.unwrap_or_else(|| "_other_".to_owned())),
    };
    Ok(Filters { filters, named: members.boolean("keyed")?.unwrap_or(named) && named, other })
}

fn metric(name: &str, members: &mut Members) -> Result<Metric, EsError> {
    let kind = match name {
        "min" => MetricKind::Min,
        "max" => MetricKind::Max,
        "sum" => MetricKind::Sum,
        "avg" => MetricKind::Avg,
        "value_count" => MetricKind::ValueCount,
        "stats" => MetricKind::Stats,
        "extended_stats" => MetricKind::ExtendedStats { sigma: members.float("sigma")?.unwrap_or(2.0) },
        "cardinality" => {
            members.ignore(&["precision_threshold", "execution_hint", "rehash"]);
            MetricKind::Cardinality
        }
        "percentiles" => {
            members.ignore(&["tdigest", "hdr", "compression"]);
            let percents = match members.take("percents") {
                None => vec![1.0, 5.0, 25.0, 50.0, 75.0, 95.0, 99.0],
                Some(Value::Array(items)) => {
                    let number =
                        |item: &Value| item.as_f64().or_else(|| item.as_str().and_then(|text| text.parse().ok()));
                    let found: Option<Vec<f64>> = items.iter().map(number).collect();
                    let found = found.filter(|found| {
                        found.iter().all(|percent| (0.0..=100.0).contains(percent)) && found.len() <= 1000
                    });
                    found.ok_or_else(|| EsError::argument("[percents] must be numbers from 0 to 100"))?
                }
                Some(other) => return Err(members.wrong("percents", "an array", &other)),
            };
            MetricKind::Percentiles { percents, keyed: members.boolean("keyed")?.unwrap_or(true) }
        }
        unknown => {
            let reason = format!(
                "Unknown aggregation type [{unknown}]: supported are terms, date_histogram, histogram, range, date_range, filter, \
                 filters, missing, min, max, sum, avg, value_count, stats, extended_stats, cardinality and percentiles"
            );
            return Err(EsError::parsing(reason));
        }
    };
    // How the number is written beside the number itself.
    members.ignore(&["format"]);
    Ok(Metric { field: field(members)?, kind, missing: members.take("missing") })
}
