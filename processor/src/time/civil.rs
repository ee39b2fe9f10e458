//! A date and time of day, and how they become a point in time.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// What a text said about a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Civil {
    pub(crate) year: Option<i16>,
    pub(crate) month: u8,
    pub(crate) day: u8,
    pub(crate) hour: u8,
    pub(crate) minute: u8,
    pub(crate) second: u8,
    pub(crate) nanos: u32,
    /// Seconds east of Greenwich, when the text says so.
    pub(crate) offset: Option<i32>,
}

/// The zone of texts that name none.
#[derive(Clone, Debug)]
pub(crate) enum Zone {
    Fixed(i32),
    Named(TimeZone),
}

impl Zone {
    /// `UTC`, `local`, `+02:00` or a name of the time zone database.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        match name {
            "UTC" | "utc" | "Z" | "GMT" => return Some(Self::Fixed(0)),
            "local" => return Some(Self::Named(TimeZone::system())),
            _ => {}
        }
        if let Some((seconds, "")) = parse_offset(name) {
            return Some(Self::Fixed(seconds));
        }
        TimeZone::get(name).ok().map(Self::Named)
    }
}

/// `+hh`, `+hhmm`, `+hh:mm` or `Z` at the start; the seconds east of Greenwich, and what follows.
pub(crate) fn parse_offset(text: &str) -> Option<(i32, &str)> {
    let bytes = text.as_bytes();
    let sign = match bytes.first()? {
        b'Z' | b'z' => return Some((0, text.get(1..)?)),
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let pair = |at: usize| -> Option<i32> {
        let (tens, ones) = (bytes.get(at)?, bytes.get(at + 1)?);
        (tens.is_ascii_digit() && ones.is_ascii_digit()).then(|| i32::from(tens - b'0') * 10 + i32::from(ones - b'0'))
    };
    let hours = pair(1)?;
    let (minutes, length) = match bytes.get(3) {
        Some(b':') => (pair(4)?, 6),
        _ => pair(3).map_or((0, 3), |minutes| (minutes, 5)),
    };
    (hours <= 18 && minutes < 60).then_some(())?;
    Some((sign * (hours * 3_600 + minutes * 60), text.get(length..)?))
}

/// Days since 1970-01-01 of a date of the proleptic Gregorian calendar: years counted from March, so that the leap
/// day comes last, in eras of 400 years.
const fn days_of_date(year: i64, month: u8, day: u8) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month as i64 + 9) % 12) + 2) / 5 + day as i64 - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// The inverse of [`days_of_date`].
pub(super) const fn date_of_days(days: i64) -> (i64, u8, u8) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = (day_of_year - (153 * month_from_march + 2) / 5 + 1) as u8;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 } as u8;
    (era * 400 + year_of_era + (month <= 2) as i64, month, day)
}

const fn days_in_month(year: i64, month: u8) -> u8 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

impl Civil {
    /// The point in time; `None` when there is no such date or time.
    pub(crate) fn timestamp(self, zone: &Zone, now: Timestamp) -> Option<Timestamp> {
        match self.year {
            Some(year) => self.in_year(i64::from(year), zone),
            None => self.in_nearest_year(zone, now),
        }
    }

    fn in_year(self, year: i64, zone: &Zone) -> Option<Timestamp> {
        let in_range = (1..=12).contains(&self.month)
            && (1..=days_in_month(year, self.month)).contains(&self.day)
            && self.hour <= 24
            && self.minute <= 59
            && self.second <= 60
            && (self.hour < 24 || (self.minute == 0 && self.second == 0));
        if !in_range {
            return None;
        }
        // A leap second is told as the second before it: the calendar of computers has none.
        let second = i64::from(self.second.min(59));
        let of_day = i64::from(self.hour) * 3_600 + i64::from(self.minute) * 60 + second;
        let local = days_of_date(year, self.month, self.day) * 86_400 + of_day;
        let fixed = self.offset.or(match zone {
            Zone::Fixed(seconds) => Some(*seconds),
            Zone::Named(_) => None,
        });
        match (fixed, zone) {
            (Some(offset), _) => Timestamp::new(local - i64::from(offset), self.nanos.cast_signed()).ok(),
            (None, Zone::Named(zone)) => {
                let at = Timestamp::new(local, self.nanos.cast_signed()).ok()?;
                let civil: DateTime = TimeZone::UTC.to_datetime(at);
                // A time that a clock change skipped or repeated is taken as most clocks would have shown it.
                zone.to_ambiguous_timestamp(civil).compatible().ok()
            }
            (None, Zone::Fixed(_)) => None,
        }
    }

    /// The year that puts the time nearest to now, at most a day ahead: logs tell of the past.
    fn in_nearest_year(self, zone: &Zone, now: Timestamp) -> Option<Timestamp> {
        let (year, ..) = date_of_days(now.as_second().div_euclid(86_400));
        let ahead_max = now.as_second() + 86_400;
        [year + 1, year, year - 1]
            .into_iter()
            .filter_map(|year| self.in_year(year, zone))
            .find(|at| at.as_second() <= ahead_max)
            // The 29th of February of a year that has none near: the last leap year.
            .or_else(|| (2..=8).find_map(|back| self.in_year(year - back, zone)))
    }
}

/// Days from 1970-01-01 to the first day of `year`.
pub(super) const fn days_before_year(year: i64) -> i64 {
    days_of_date(year, 1, 1)
}
