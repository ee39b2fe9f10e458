//! Counts over time, stacked by level.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;
use serde_json::{Value, json};

use super::interval::{interval_ms, written};
use super::level::normalised;
use super::scope::Range;

/// A screen has no room for more bars.
const BUCKETS_MAX: u32 = 500;
/// Spellings of levels in one bar; the rest is counted as `other`.
const LEVELS_MAX: u32 = 40;

/// One bar.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Bucket {
    /// Its left edge, milliseconds since 1970.
    pub(crate) t: i64,
    pub(crate) total: u64,
    /// Level → count; `""` for events without one.
    pub(crate) by: BTreeMap<&'static str, u64>,
}

/// The whole of it.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Histogram {
    pub(crate) interval_ms: i64,
    pub(crate) buckets: Vec<Bucket>,
}

/// How a histogram is asked for and read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    range: Range,
    interval_ms: i64,
    /// Bars begin at multiples of the interval plus this.
    offset_ms: i64,
}

impl Plan {
    /// Bars over `range`, about as many as wanted, with edges where people in `zone` expect them.
    pub(super) fn new(range: Range, wanted: u32, zone: &TimeZone) -> Self {
        let interval_ms = interval_ms(range.to_ms - range.from_ms, wanted.clamp(1, BUCKETS_MAX));
        let start = Timestamp::from_millisecond(range.from_ms).unwrap_or_default();
        let zone_ms = i64::from(zone.to_offset(start).seconds()) * 1000;
        Self { range, interval_ms, offset_ms: (-zone_ms).rem_euclid(interval_ms) }
    }

    /// The aggregation.
    pub(super) fn request(&self, level_field: &str) -> Value {
        let mut histogram = json!({
            "field": "@timestamp", "fixed_interval": written(self.interval_ms), "min_doc_count": 1,
        });
        if self.offset_ms != 0 {
            histogram["offset"] = json!(format!("+{}", written(self.offset_ms)));
        }
        json!({
            "date_histogram": histogram,
            "aggs": { "level": { "terms": { "field": level_field, "size": LEVELS_MAX } } },
        })
    }

    /// What came back, with the empty bars put in.
    pub(super) fn read(&self, answer: &Value) -> Histogram {
        let found = answer.get("buckets").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let mut bars: BTreeMap<i64, Bucket> =
            self.edges().map(|t| (t, Bucket { t, total: 0, by: BTreeMap::new() })).collect();
        for bucket in found {
            let Some(t) = bucket.get("key").and_then(Value::as_f64).map(|key| key as i64) else { continue };
            bars.insert(t, read_bucket(t, bucket));
        }
        Histogram { interval_ms: self.interval_ms, buckets: bars.into_values().collect() }
    }

    fn edges(&self) -> impl Iterator<Item = i64> + use<> {
        let Self { range, interval_ms, offset_ms } = *self;
        let first = (range.from_ms - offset_ms).div_euclid(interval_ms) * interval_ms + offset_ms;
        // The interval was chosen so that these are few; the bound holds whatever comes.
        (0..i64::from(BUCKETS_MAX) + 2).map(move |n| first + n * interval_ms).take_while(move |t| *t <= range.to_ms)
    }
}

fn read_bucket(t: i64, bucket: &Value) -> Bucket {
    let number = |value: Option<&Value>| value.and_then(Value::as_u64).unwrap_or(0);
    let total = number(bucket.get("doc_count"));
    let mut by = BTreeMap::new();
    let level = bucket.get("level");
    for term in level.and_then(|level| level.get("buckets")).and_then(Value::as_array).into_iter().flatten() {
        let name = normalised(term.get("key").and_then(Value::as_str).unwrap_or("other"));
        *by.entry(name).or_insert(0) += number(term.get("doc_count"));
    }
    let rest = number(level.and_then(|level| level.get("sum_other_doc_count")));
    if rest > 0 {
        *by.entry("other").or_insert(0) += rest;
    }
    let without = total.saturating_sub(by.values().sum());
    if without > 0 {
        *by.entry("").or_insert(0) += without;
    }
    Bucket { t, total, by }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_gapless_and_levels_add_up() {
        let plan = Plan::new(Range { from_ms: 10_500, to_ms: 14_000 }, 4, &TimeZone::UTC);
        assert_eq!(plan.request("log.level")["date_histogram"]["fixed_interval"], "1s");
        let answer = json!({"buckets": [{"key": 12000.0, "doc_count": 10, "level": {"sum_other_doc_count": 1, "buckets": [
            {"key": "ERROR", "doc_count": 3}, {"key": "err", "doc_count": 2}, {"key": "info", "doc_count": 1}]}}]});
        let histogram = plan.read(&answer);
        let times: Vec<_> = histogram.buckets.iter().map(|bucket| bucket.t).collect();
        assert_eq!(times, [10_000, 11_000, 12_000, 13_000, 14_000]);
        assert_eq!(histogram.buckets[2].by, BTreeMap::from([("error", 5), ("info", 1), ("other", 1), ("", 3)]));
        assert_eq!(histogram.buckets[1].total, 0);
    }

    #[test]
    fn days_begin_at_midnight_of_the_persons_zone() {
        let zone = TimeZone::fixed(jiff::tz::offset(8));
        let from: Timestamp = "2026-11-01T00:00:00+08:00".parse().unwrap();
        let range = Range { from_ms: from.as_millisecond(), to_ms: from.as_millisecond() + 20 * 86_400_000 - 1 };
        let plan = Plan::new(range, 20, &zone);
        assert_eq!(plan.interval_ms, 86_400_000);
        assert_eq!(plan.request("l")["date_histogram"]["offset"], "+57600s");
        let histogram = plan.read(&json!({}));
        assert_eq!((histogram.buckets.len(), histogram.buckets[0].t), (20, range.from_ms));
    }
}
