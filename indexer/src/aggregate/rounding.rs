//! Buckets of time, of a fixed or a calendar's width, in any time zone.

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, Zoned};
use logmill_indexer_api::datemath;

/// The width of time buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Interval {
    /// Milliseconds.
    Fixed(i64),
    /// `y`, `Q`, `M`, `w`, `d`, `h`, `m` or `s` of the calendar.
    Calendar(char),
}

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
    pub(super) fn new(interval: Interval, zone: &TimeZone, offset_ms: i64) -> Self {
        Self { interval, zone: zone.clone(), offset_ms, is_utc: *zone == TimeZone::UTC, last: None }
    }

    /// The start of the bucket.
    #[inline]
    pub(super) fn start(&mut self, ms: i64) -> i64 {
        let shifted = ms.saturating_sub(self.offset_ms);
        if let (Interval::Fixed(width), true) = (self.interval, self.is_utc) {
            return (shifted.div_euclid(width) * width).saturating_add(self.offset_ms);
        }
        if let Some((start, end)) = self.last
            && (start..end).contains(&shifted)
        {
            return start.saturating_add(self.offset_ms);
        }
        let bucket = self.bucket(shifted).unwrap_or((shifted, shifted.saturating_add(1)));
        self.last = Some(bucket);
        bucket.0.saturating_add(self.offset_ms)
    }

    /// The bucket of a bound: as Elasticsearch does, the bound itself is not moved by the offset, its bucket is.
    pub(super) fn bound(&self, ms: i64) -> i64 {
        let mut plain = Self::new(self.interval, &self.zone, 0);
        plain.start(ms).saturating_add(self.offset_ms)
    }

    /// The start of the bucket after the one that starts at `start`.
    pub(super) fn next(&self, start: i64) -> i64 {
        let shifted = start.saturating_sub(self.offset_ms);
        if let (Interval::Fixed(width), true) = (self.interval, self.is_utc) {
            return start.saturating_add(width);
        }
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
                let end = self.of_local(local.checked_add(width)?)?.max(ms + 1);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn rounding(interval: Interval, zone: &str, offset_ms: i64) -> Rounding {
        Rounding::new(interval, &datemath::zone_from(zone).unwrap(), offset_ms)
    }

    fn ms(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_millisecond()
    }

    #[test]
    fn starts_and_ends() {
        const HOUR: i64 = 3_600_000;
        let (hour, half_day) = (Interval::Fixed(HOUR), Interval::Fixed(12 * HOUR));
        for (interval, zone, offset, at, start, next) in [
            (hour, "UTC", 0, "2026-01-02T03:04:05Z", "2026-01-02T03:00:00Z", "2026-01-02T04:00:00Z"),
            (half_day, "+02:00", 0, "2026-01-02T03:04:05Z", "2026-01-01T22:00:00Z", "2026-01-02T10:00:00Z"),
            (hour, "UTC", 60_000, "2026-01-02T03:00:05Z", "2026-01-02T02:01:00Z", "2026-01-02T03:01:00Z"),
            // The night when the clocks go forward has an hour less.
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
