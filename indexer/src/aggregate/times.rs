//! `date_histogram`: buckets of a fixed or a calendar's width, in any time zone.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, Zoned};
use logmill_indexer_api::datemath;
use tantivy::DocId;

use super::buckets::Buckets;
use super::request::{DateHistogram, Interval};
use super::{Collect, Partial, Place, Siblings};
use crate::query::columns::{NumberKind, Values, each_value};
use crate::query::error::EsError;
use crate::query::parse::plain_text;

/// Finds the bucket that an instant lies in; all in milliseconds.
#[derive(Clone, Debug)]
pub(super) struct Rounding {
    interval: Interval,
    zone: TimeZone,
    offset_ms: i64,
    is_utc: bool,
    /// The last bucket, because neighbours mostly lie in the same: start and end without the offset.
    last: Option<(i64, i64)>,
}

impl Rounding {
    pub(super) fn new(request: &DateHistogram) -> Self {
        let is_utc = request.zone == TimeZone::UTC;
        Self {
            interval: request.interval,
            zone: request.zone.clone(),
            offset_ms: request.offset_ms,
            is_utc,
            last: None,
        }
    }

    /// The start of the bucket.
    #[inline]
    pub(super) fn start(&mut self, ms: i64) -> i64 {
        let shifted = ms.saturating_sub(self.offset_ms);
        if let (Interval::Fixed(width), true) = (self.interval, self.is_utc) {
            return shifted.div_euclid(width) * width + self.offset_ms;
        }
        if let Some((start, end)) = self.last
            && (start..end).contains(&shifted)
        {
            return start + self.offset_ms;
        }
        let bucket = self.bucket(shifted).unwrap_or((shifted, shifted + 1));
        self.last = Some(bucket);
        bucket.0 + self.offset_ms
    }

    /// The start of the bucket after the one that starts at `start`.
    pub(super) fn next(&self, start: i64) -> i64 {
        let shifted = start.saturating_sub(self.offset_ms);
        let end = self.bucket(shifted).map_or(shifted.saturating_add(1), |(_, end)| end);
        end.max(shifted.saturating_add(1)).saturating_add(self.offset_ms)
    }

    fn bucket(&self, ms: i64) -> Option<(i64, i64)> {
        let moment = Timestamp::from_millisecond(ms).ok()?.to_zoned(self.zone.clone());
        match self.interval {
            Interval::Fixed(width) => {
                let offset = i64::from(moment.offset().seconds()) * 1000;
                let local = (ms + offset).div_euclid(width) * width;
                // The offset may have changed since the bucket began, and may change before it ends.
                let start = self.of_local(local)?.min(ms);
                let end = self.of_local(local + width)?.max(ms + 1);
                Some((start, end))
            }
            Interval::Calendar(unit) => {
                let start = datemath::floor(&moment, unit)?;
                let end = after(&start, unit)?;
                Some((start.timestamp().as_millisecond(), end.timestamp().as_millisecond()))
            }
        }
    }

    /// The instant of a local time, given in milliseconds as if it were UTC.
    fn of_local(&self, local: i64) -> Option<i64> {
        let civil = TimeZone::UTC.to_datetime(Timestamp::from_millisecond(local).ok()?);
        Some(self.zone.to_timestamp(civil).ok()?.as_millisecond())
    }
}

fn after(start: &Zoned, unit: char) -> Option<Zoned> {
    let span = match unit {
        'y' => 1.year(),
        'Q' => 3.months(),
        'M' => 1.month(),
        'w' => 1.week(),
        'd' => 1.day(),
        'h' => 1.hour(),
        'm' => 1.minute(),
        _ => 1.second(),
    };
    start.checked_add(span).ok()
}

pub(super) struct TimesCollector<'a> {
    request: &'a DateHistogram,
    values: Values,
    rounding: Rounding,
    /// The start given to documents without a value.
    missing: Option<i64>,
    buckets: Buckets<'a>,
    starts: Vec<i64>,
}

/// Keys are starts, shifted so that none is negative and equal starts have equal keys.
const KEY_BASE: i64 = i64::MIN;

impl<'a> TimesCollector<'a> {
    pub(super) fn open(request: &'a DateHistogram, place: Place<'a>, children: Siblings<'a>) -> Result<Self, EsError> {
        let values = Values::open(place.part, place.target.mapping, &request.field)?;
        if matches!(values, Values::Strings(_) | Values::Numbers(_, NumberKind::Boolean | NumberKind::Double)) {
            return Err(EsError::argument(format!(
                "Field [{}] is not a date and is not supported for aggregation [date_histogram]",
                request.field
            )));
        }
        let mut rounding = Rounding::new(request);
        let missing = match &request.missing {
            None => None,
            Some(value) => {
                let text = plain_text(value);
                let instant = datemath::parse_rounded(&text, place.target.now, &request.zone, false);
                let instant = instant.map_err(|error| EsError::new(400, "parse_exception", error.to_string()))?;
                Some(rounding.start(instant.as_millisecond()))
            }
        };
        Ok(Self {
            request,
            values,
            rounding,
            missing,
            buckets: Buckets::new(children, place.allowance),
            starts: Vec::new(),
        })
    }
}

impl Collect for TimesCollector<'_> {
    fn collect(&mut self, docs: &[DocId], owners: &[u32]) -> Result<(), EsError> {
        let bounds = self.request.hard_bounds.unwrap_or_default();
        for (doc, owner) in docs.iter().zip(owners) {
            self.starts.clear();
            if let Values::Numbers(column, kind) = &self.values {
                each_value(column, *doc, |bits| {
                    let value = kind.as_i64(bits);
                    let ms = if *kind == NumberKind::Date { value.div_euclid(1_000_000) } else { value };
                    if bounds.0.is_none_or(|least| ms >= least) && bounds.1.is_none_or(|most| ms <= most) {
                        let start = self.rounding.start(ms);
                        if self.starts.last() != Some(&start) {
                            self.starts.push(start);
                        }
                    }
                });
            }
            if self.starts.is_empty() {
                self.starts.extend(self.missing);
            } else if self.starts.len() > 1 {
                self.starts.sort_unstable();
                self.starts.dedup();
            }
            for start in &self.starts {
                self.buckets.add(*doc, *owner, start.wrapping_sub(KEY_BASE) as u64)?;
            }
        }
        self.buckets.flush()
    }

    fn finish(self: Box<Self>, owners: usize) -> Result<Vec<Partial>, EsError> {
        let rows = self.buckets.finish(owners)?;
        let start = |key: u64| (key as i64).wrapping_add(KEY_BASE);
        let times = |row: Vec<_>| row.into_iter().map(|(key, bucket)| (start(key), bucket)).collect::<BTreeMap<_, _>>();
        Ok(rows.into_iter().map(|row| Partial::Times(times(row))).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rounding(interval: Interval, zone: &str, offset_ms: i64) -> Rounding {
        let zone = datemath::zone_from(zone).unwrap();
        let is_utc = zone == TimeZone::UTC;
        Rounding { interval, zone, offset_ms, is_utc, last: None }
    }

    fn ms(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_millisecond()
    }

    #[test]
    fn starts_and_ends() {
        const HOUR: i64 = 3_600_000;
        for (interval, zone, offset, at, start, next) in [
            (Interval::Fixed(HOUR), "UTC", 0, "2026-01-02T03:04:05Z", "2026-01-02T03:00:00Z", "2026-01-02T04:00:00Z"),
            (
                Interval::Fixed(24 * HOUR),
                "+02:00",
                0,
                "2026-01-02T03:04:05Z",
                "2026-01-01T22:00:00Z",
                "2026-01-02T22:00:00Z",
            ),
            (
                Interval::Fixed(HOUR),
                "UTC",
                60_000,
                "2026-01-02T03:00:05Z",
                "2026-01-02T02:01:00Z",
                "2026-01-02T03:01:00Z",
            ),
            (
                Interval::Calendar('d'),
                "Europe/Berlin",
                0,
                "2026-03-29T12:00:00Z",
                "2026-03-28T23:00:00Z",
                "2026-03-29T22:00:00Z",
            ),
            (Interval::Calendar('M'), "UTC", 0, "2026-02-10T00:00:00Z", "2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z"),
            (Interval::Calendar('w'), "UTC", 0, "2026-11-22T00:00:00Z", "2026-11-16T00:00:00Z", "2026-11-23T00:00:00Z"),
            (Interval::Calendar('Q'), "UTC", 0, "2026-11-22T00:00:00Z", "2026-10-01T00:00:00Z", "2027-01-01T00:00:00Z"),
        ] {
            let mut rounding = rounding(interval, zone, offset);
            assert_eq!(rounding.start(ms(at)), ms(start), "{interval:?} {zone} {at}");
            assert_eq!(rounding.start(ms(at) + 1), ms(start));
            assert_eq!(rounding.next(ms(start)), ms(next), "{interval:?} {zone} {at}");
        }
    }

    #[test]
    fn instants_before_1970_round_down() {
        assert_eq!(rounding(Interval::Fixed(1000), "UTC", 0).start(-1), -1000);
    }
}
