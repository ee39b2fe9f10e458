//! Results in the shapes that Elasticsearch answers with.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value, json};

use super::order;
use super::partial::{Bucket, Key, Partial, Stats};
use super::request::{Aggregation, DateHistogram, Filters, Histogram, Kind, Metric, MetricKind, Ranges, Terms};
use super::times::Rounding;
use crate::query::columns::{format_date, json_f64};
use crate::query::error::EsError;
use crate::query::limits::BUCKETS_MAX;

/// Shows the results of a request's aggregations; none at all when no part was searched.
pub(crate) fn render(wanted: &[Aggregation], found: Option<Vec<Partial>>) -> Result<Value, EsError> {
    let mut shown = Shown { buckets: 0 };
    shown.all(wanted, found.unwrap_or_default()).map(Value::Object)
}

/// Puts the type before each name (`sterms#levels`), as `typed_keys` asks for it.
pub(crate) fn add_types(wanted: &[Aggregation], shown: &mut Value) {
    let Some(map) = shown.as_object_mut() else { return };
    for aggregation in wanted {
        let Some(mut value) = map.shift_remove(&aggregation.name) else { continue };
        let kind = type_of(&aggregation.kind, &value);
        match value.get_mut("buckets") {
            Some(Value::Array(buckets)) => {
                buckets.iter_mut().for_each(|bucket| add_types(&aggregation.children, bucket));
            }
            Some(Value::Object(buckets)) => {
                buckets.values_mut().for_each(|bucket| add_types(&aggregation.children, bucket));
            }
            _ => add_types(&aggregation.children, &mut value),
        }
        map.insert(format!("{kind}#{}", aggregation.name), value);
    }
}

fn type_of(kind: &Kind, shown: &Value) -> &'static str {
    match kind {
        Kind::Terms(_) => match shown.pointer("/buckets/0/key") {
            Some(Value::Number(number)) if number.is_f64() => "dterms",
            Some(Value::Number(_)) => "lterms",
            _ => "sterms",
        },
        Kind::DateHistogram(_) => "date_histogram",
        Kind::Histogram(_) => "histogram",
        Kind::Ranges(ranges) if ranges.is_date => "date_range",
        Kind::Ranges(_) => "range",
        Kind::Filter(_) => "filter",
        Kind::Filters(_) => "filters",
        Kind::Missing(_) => "missing",
        Kind::Metric(metric) => match metric.kind {
            MetricKind::Percentiles { .. } => "tdigest_percentiles",
            ref other => other.name(),
        },
    }
}

struct Shown {
    buckets: usize,
}

impl Shown {
    fn all(&mut self, wanted: &[Aggregation], found: Vec<Partial>) -> Result<Map<String, Value>, EsError> {
        let mut found = found.into_iter();
        let mut map = Map::new();
        for aggregation in wanted {
            let partial = found.next().unwrap_or_else(|| empty(&aggregation.kind));
            let mut value = self.one(aggregation, partial)?;
            if let (Some(meta), Value::Object(members)) = (&aggregation.meta, &mut value) {
                members.insert("meta".to_owned(), meta.clone());
            }
            map.insert(aggregation.name.clone(), value);
        }
        Ok(map)
    }

    fn one(&mut self, aggregation: &Aggregation, partial: Partial) -> Result<Value, EsError> {
        let children = &aggregation.children;
        match (&aggregation.kind, partial) {
            (Kind::Terms(terms), Partial::Terms(buckets)) => self.terms(terms, children, buckets),
            (Kind::DateHistogram(histogram), Partial::Times(buckets)) => self.times(histogram, children, buckets),
            (Kind::Histogram(histogram), Partial::Numbers(buckets)) => self.numbers(histogram, children, buckets),
            (Kind::Ranges(ranges), Partial::Slots(buckets)) => self.ranges(ranges, children, buckets),
            (Kind::Filters(filters), Partial::Slots(buckets)) => self.filters(filters, children, buckets),
            (Kind::Filter(_) | Kind::Missing(_), Partial::Slots(buckets)) => {
                let bucket = buckets.into_iter().next().unwrap_or_default();
                self.bucket(children, bucket, []).map(Value::Object)
            }
            (Kind::Metric(kind), partial) => Ok(metric(kind, &partial)),
            _ => Err(EsError::internal("a result of another kind than asked for")),
        }
    }

    /// A bucket: its own members, the count, the aggregations below.
    fn bucket<const N: usize>(
        &mut self,
        children: &[Aggregation],
        bucket: Bucket,
        members: [(&str, Option<Value>); N],
    ) -> Result<Map<String, Value>, EsError> {
        self.buckets += 1;
        if self.buckets > BUCKETS_MAX {
            let reason = format!(
                "Trying to create too many buckets. Must be less than or equal to: [{BUCKETS_MAX}]; \
                 use a larger interval, a smaller [size] or a narrower time range"
            );
            return Err(EsError::new(400, "too_many_buckets_exception", reason));
        }
        let mut map = Map::new();
        for (name, value) in members {
            if let Some(value) = value {
                map.insert(name.to_owned(), value);
            }
        }
        map.insert("doc_count".to_owned(), bucket.count.into());
        map.append(&mut self.all(children, bucket.children)?);
        Ok(map)
    }

    fn terms(
        &mut self,
        terms: &Terms,
        children: &[Aggregation],
        buckets: HashMap<Key, Bucket>,
    ) -> Result<Value, EsError> {
        let all: u64 = buckets.values().map(|bucket| bucket.count).sum();
        let mut sorted: Vec<(Key, Bucket)> =
            buckets.into_iter().filter(|(_, bucket)| bucket.count >= terms.min_doc_count).collect();
        sorted.sort_by(|a, b| order::compare(&terms.order, children, (&a.1, &b.1), || a.0.cmp(&b.0)));
        sorted.truncate(terms.size);
        let shown: u64 = sorted.iter().map(|(_, bucket)| bucket.count).sum();
        let mut list = Vec::with_capacity(sorted.len());
        for (key, bucket) in sorted {
            let text = key.as_string(terms.format.as_deref()).map(Value::String);
            list.push(Value::Object(self.bucket(
                children,
                bucket,
                [("key", Some(key.to_json())), ("key_as_string", text)],
            )?));
        }
        Ok(json!({ "doc_count_error_upper_bound": 0, "sum_other_doc_count": all - shown, "buckets": list }))
    }

    fn times(
        &mut self,
        histogram: &DateHistogram,
        children: &[Aggregation],
        mut buckets: BTreeMap<i64, Bucket>,
    ) -> Result<Value, EsError> {
        let mut rounding = Rounding::new(histogram);
        if histogram.min_doc_count == 0 {
            let bounds = histogram.extended_bounds.unwrap_or_default();
            let bounds = (bounds.0.map(|ms| rounding.start(ms)), bounds.1.map(|ms| rounding.start(ms)));
            fill(&mut buckets, bounds, |start| rounding.next(start))?;
        } else {
            buckets.retain(|_, bucket| bucket.count >= histogram.min_doc_count);
        }
        let mut sorted: Vec<(i64, Bucket)> = buckets.into_iter().collect();
        if !histogram.order.is_empty() {
            sorted.sort_by(|a, b| order::compare(&histogram.order, children, (&a.1, &b.1), || a.0.cmp(&b.0)));
        }
        let mut list = Vec::with_capacity(sorted.len());
        for (start, bucket) in sorted {
            let text = zoned(start, histogram);
            let members = [("key_as_string", Some(text.clone().into())), ("key", Some(start.into()))];
            list.push((text, self.bucket(children, bucket, members)?));
        }
        Ok(json!({ "buckets": keyed(list, histogram.keyed) }))
    }

    fn numbers(
        &mut self,
        histogram: &Histogram,
        children: &[Aggregation],
        mut buckets: BTreeMap<i64, Bucket>,
    ) -> Result<Value, EsError> {
        let number = |value: f64| ((value - histogram.offset) / histogram.interval).floor() as i64;
        if histogram.min_doc_count == 0 {
            let bounds = histogram.extended_bounds.unwrap_or_default();
            fill(&mut buckets, (bounds.0.map(number), bounds.1.map(number)), |number| number.saturating_add(1))?;
        } else {
            buckets.retain(|_, bucket| bucket.count >= histogram.min_doc_count);
        }
        let mut sorted: Vec<(i64, Bucket)> = buckets.into_iter().collect();
        if !histogram.order.is_empty() {
            sorted.sort_by(|a, b| order::compare(&histogram.order, children, (&a.1, &b.1), || a.0.cmp(&b.0)));
        }
        let mut list = Vec::with_capacity(sorted.len());
        for (number, bucket) in sorted {
            let key = json_f64(number as f64 * histogram.interval + histogram.offset);
            list.push((key.to_string(), self.bucket(children, bucket, [("key", Some(key))])?));
        }
        Ok(json!({ "buckets": keyed(list, histogram.keyed) }))
    }

    fn ranges(&mut self, ranges: &Ranges, children: &[Aggregation], buckets: Vec<Bucket>) -> Result<Value, EsError> {
        let text = |bound: f64| match ranges.is_date {
            true => format_date((bound as i64).saturating_mul(1_000_000), ranges.format.as_deref()),
            false => json_f64(bound).to_string(),
        };
        let mut list = Vec::with_capacity(buckets.len());
        for (range, bucket) in ranges.ranges.iter().zip(buckets) {
            let (from, to) = (range.from.map(text), range.to.map(text));
            let side = |bound: &Option<String>| bound.clone().unwrap_or_else(|| "*".to_owned());
            let key = range.key.clone().unwrap_or_else(|| format!("{}-{}", side(&from), side(&to)));
            let dates = |text: Option<String>| text.filter(|_| ranges.is_date).map(Value::String);
            let members = [
                ("key", Some(key.clone().into())),
                ("from", range.from.map(json_f64)),
                ("from_as_string", dates(from)),
                ("to", range.to.map(json_f64)),
                ("to_as_string", dates(to)),
            ];
            list.push((key, self.bucket(children, bucket, members)?));
        }
        Ok(json!({ "buckets": keyed(list, ranges.keyed) }))
    }

    fn filters(&mut self, filters: &Filters, children: &[Aggregation], buckets: Vec<Bucket>) -> Result<Value, EsError> {
        let names = filters.filters.iter().map(|(name, _)| name.clone()).chain(filters.other.clone());
        let mut list = Vec::with_capacity(buckets.len());
        for (name, bucket) in names.zip(buckets) {
            list.push((name, self.bucket(children, bucket, [])?));
        }
        Ok(json!({ "buckets": keyed(list, filters.named) }))
    }
}

/// Where no part was searched.
fn empty(kind: &Kind) -> Partial {
    let slots = |number: usize| Partial::Slots((0..number).map(|_| Bucket::default()).collect());
    match kind {
        Kind::Terms(_) => Partial::Terms(HashMap::new()),
        Kind::DateHistogram(_) => Partial::Times(BTreeMap::new()),
        Kind::Histogram(_) => Partial::Numbers(BTreeMap::new()),
        Kind::Ranges(ranges) => slots(ranges.ranges.len()),
        Kind::Filter(_) | Kind::Missing(_) => slots(1),
        Kind::Filters(filters) => slots(filters.filters.len() + usize::from(filters.other.is_some())),
        Kind::Metric(metric) => match metric.kind {
            MetricKind::Cardinality => Partial::Distinct(super::distinct::Distinct::default()),
            MetricKind::Percentiles { .. } => Partial::Quantiles(super::quantiles::Quantiles::default()),
            _ => Partial::Stats(Stats::default()),
        },
    }
}

/// Adds the empty buckets between the first and the last, and out to the bounds.
fn fill(
    buckets: &mut BTreeMap<i64, Bucket>,
    bounds: (Option<i64>, Option<i64>),
    next: impl Fn(i64) -> i64,
) -> Result<(), EsError> {
    let least = |a: Option<i64>, b: Option<i64>| a.into_iter().chain(b).min();
    let most = |a: Option<i64>, b: Option<i64>| a.into_iter().chain(b).max();
    let first = least(buckets.keys().next().copied(), bounds.0);
    let last = most(buckets.keys().next_back().copied(), bounds.1);
    let (Some(first), Some(last)) = (first, last) else { return Ok(()) };
    let mut at = first;
    let mut steps = 0;
    while at <= last {
        buckets.entry(at).or_default();
        at = next(at);
        steps += 1;
        if steps > BUCKETS_MAX {
            let reason = format!(
                "Trying to create too many buckets. Must be less than or equal to: [{BUCKETS_MAX}]; use a larger interval"
            );
            return Err(EsError::new(400, "too_many_buckets_exception", reason));
        }
    }
    Ok(())
}

/// A bucket's start in the zone that was asked for.
fn zoned(ms: i64, histogram: &DateHistogram) -> String {
    let nanos = ms.saturating_mul(1_000_000);
    let format = histogram.format.as_deref();
    let absolute = format.is_some_and(|format| format.starts_with("epoch"));
    let Ok(instant) = jiff::Timestamp::from_millisecond(ms) else { return ms.to_string() };
    let offset = histogram.zone.to_offset(instant);
    if absolute || offset.seconds() == 0 {
        return format_date(nanos, format);
    }
    // The local clock read as if it were UTC, with the true offset in the place of Z.
    let local = format_date(nanos.saturating_add(i64::from(offset.seconds()) * 1_000_000_000), format);
    let minutes = offset.seconds().abs() / 60;
    let sign = if offset.seconds() < 0 { '-' } else { '+' };
    match local.strip_suffix('Z') {
        Some(local) => format!("{local}{sign}{:02}:{:02}", minutes / 60, minutes % 60),
        None => local,
    }
}

/// An object by key, or an array.
fn keyed(list: Vec<(String, Map<String, Value>)>, as_object: bool) -> Value {
    if as_object {
        Value::Object(list.into_iter().map(|(key, bucket)| (key, Value::Object(bucket))).collect())
    } else {
        Value::Array(list.into_iter().map(|(_, bucket)| Value::Object(bucket)).collect())
    }
}

fn metric(metric: &Metric, partial: &Partial) -> Value {
    match partial {
        Partial::Distinct(distinct) => json!({ "value": distinct.count() }),
        Partial::Quantiles(quantiles) => {
            let MetricKind::Percentiles { percents, keyed } = &metric.kind else { return Value::Null };
            let number = |percent: f64| quantiles.percentile(percent).map_or(Value::Null, json_f64);
            if *keyed {
                let members = percents.iter().map(|percent| (json_f64(*percent).to_string(), number(*percent)));
                json!({ "values": members.collect::<Map<_, _>>() })
            } else {
                let members = percents.iter().map(|percent| json!({ "key": percent, "value": number(*percent) }));
                json!({ "values": members.collect::<Vec<_>>() })
            }
        }
        Partial::Stats(stats) => stats_of(&metric.kind, stats),
        _ => Value::Null,
    }
}

fn stats_of(kind: &MetricKind, stats: &Stats) -> Value {
    let some = stats.count > 0;
    let value = |number: f64| if some { json_f64(number) } else { Value::Null };
    let avg = stats.sum / stats.count as f64;
    let single = |number: Value| {
        let mut shown = json!({ "value": number });
        if let (true, true, Some(ms), Some(map)) = (stats.is_date, some, number.as_f64(), shown.as_object_mut()) {
            map.insert(
                "value_as_string".to_owned(),
                format_date((ms * 1e6) as i64 / 1_000_000 * 1_000_000, None).into(),
            );
        }
        shown
    };
    match kind {
        MetricKind::Min => single(value(stats.min)),
        MetricKind::Max => single(value(stats.max)),
        MetricKind::Avg => single(value(avg)),
        MetricKind::Sum => json!({ "value": json_f64(stats.sum) }),
        MetricKind::ValueCount => json!({ "value": stats.count }),
        _ => {
            let mut shown = json!({
                "count": stats.count, "min": value(stats.min), "max": value(stats.max), "avg": value(avg), "sum": json_f64(stats.sum),
            });
            if let (MetricKind::ExtendedStats { sigma }, Some(map)) = (kind, shown.as_object_mut()) {
                extend(map, stats, avg, *sigma);
            }
            shown
        }
    }
}

fn extend(map: &mut Map<String, Value>, stats: &Stats, avg: f64, sigma: f64) {
    let some = stats.count > 0;
    let value = |number: f64| if some { json_f64(number) } else { Value::Null };
    let count = stats.count as f64;
    let squares = (stats.sum_of_squares - stats.sum * avg).max(0.0);
    let (population, sampling) = (squares / count, squares / (count - 1.0));
    let mut put = |name: &str, number: Value| {
        map.insert(name.to_owned(), number);
    };
    put("sum_of_squares", value(stats.sum_of_squares));
    put("variance", value(population));
    put("variance_population", value(population));
    put("variance_sampling", value(sampling));
    put("std_deviation", value(population.sqrt()));
    put("std_deviation_population", value(population.sqrt()));
    put("std_deviation_sampling", value(sampling.sqrt()));
    let (by_population, by_sampling) = (population.sqrt() * sigma, sampling.sqrt() * sigma);
    put(
        "std_deviation_bounds",
        json!({
            "upper": value(avg + by_population), "lower": value(avg - by_population),
            "upper_population": value(avg + by_population), "lower_population": value(avg - by_population),
            "upper_sampling": value(avg + by_sampling), "lower_sampling": value(avg - by_sampling),
        }),
    );
}
