//! When a delivery is tried again: the schedule that Standard Webhooks recommends, spread so that many deliveries
//! to one recovering receiver do not come back in step.

use std::time::Duration;

/// Waits after the first, second, … failed attempt, in seconds; then it is given up.
const SCHEDULE_S: [u64; 9] = [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400];
/// A receiver that asks for longer is asked again once a day all the same.
const RETRY_AFTER_S_MAX: u64 = 86_400;

/// How long to wait after `failed` failed attempts, `None` to give up. `luck` is from 0 to 1.
pub(super) fn wait_after(failed: u32, retry_after: Option<Duration>, luck: f64) -> Option<Duration> {
    let place = usize::try_from(failed).ok()?.checked_sub(1)?;
    let planned = Duration::from_secs(*SCHEDULE_S.get(place)?);
    let spread = planned.mul_f64(1.0 + luck.clamp(0.0, 1.0) / 5.0);
    let asked = retry_after.map(|wait| wait.min(Duration::from_secs(RETRY_AFTER_S_MAX)));
    Some(spread.max(asked.unwrap_or_default()))
}

/// `Retry-After`, as seconds or as a date.
pub(super) fn retry_after(header: &str, now: jiff::Timestamp) -> Option<Duration> {
    if let Ok(seconds) = header.trim().parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let at = jiff::fmt::rfc2822::parse(header.trim()).ok()?.timestamp();
    Duration::try_from(at.duration_since(now)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_end() {
        let waits: Vec<_> = (1..=9).map(|failed| wait_after(failed, None, 0.0).unwrap().as_secs()).collect();
        assert_eq!(waits, SCHEDULE_S);
        assert_eq!(wait_after(10, None, 0.5), None);
        assert_eq!(wait_after(1, None, 1.0), Some(Duration::from_secs(6)));
    }

    #[test]
    fn the_receiver_may_ask_for_more_time_but_not_for_ever() {
        let asked = |seconds| wait_after(1, Some(Duration::from_secs(seconds)), 0.0).unwrap().as_secs();
        assert_eq!((asked(1), asked(120), asked(9_999_999)), (5, 120, 86_400));
        let now = "2026-11-22T10:00:00Z".parse().unwrap();
        assert_eq!(retry_after("Sun, 22 Nov 2026 10:01:30 GMT", now), Some(Duration::from_secs(90)));
        assert_eq!(retry_after(" 7 ", now), Some(Duration::from_secs(7)));
        assert_eq!(retry_after("Sun, 22 Nov 2026 09:00:00 GMT", now), None);
        assert_eq!(retry_after("soon", now), None);
    }
}
