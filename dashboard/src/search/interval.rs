//! Widths of histogram bars that people can read off an axis.

const SECOND: i64 = 1000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// Each divides the next larger unit of a clock or calendar as people use them.
const STEPS_MS: [i64; 30] = [
    1,
    2,
    5,
    10,
    20,
    50,
    100,
    200,
    500,
    SECOND,
    2 * SECOND,
    5 * SECOND,
    10 * SECOND,
    15 * SECOND,
    30 * SECOND,
    MINUTE,
    2 * MINUTE,
    5 * MINUTE,
    10 * MINUTE,
    15 * MINUTE,
    30 * MINUTE,
    HOUR,
    2 * HOUR,
    3 * HOUR,
    6 * HOUR,
    12 * HOUR,
    DAY,
    7 * DAY,
    30 * DAY,
    365 * DAY,
];

/// The smallest step that cuts `span_ms` into at most `wanted` bars (and one more where the ends don't fall on edges).
pub(super) fn interval_ms(span_ms: i64, wanted: u32) -> i64 {
    let (span, wanted) = (span_ms.max(1), i64::from(wanted.max(1)));
    let fits = |step: i64| span <= step.saturating_mul(wanted);
    let year = 365 * DAY;
    STEPS_MS.into_iter().find(|step| fits(*step)).unwrap_or_else(|| {
        // Centuries: whole years, as many as it takes.
        let years = (span / wanted) / year + 1;
        years.saturating_mul(year)
    })
}

/// As the Elasticsearch API writes it.
pub(super) fn written(interval_ms: i64) -> String {
    if interval_ms % SECOND == 0 { format!("{}s", interval_ms / SECOND) } else { format!("{interval_ms}ms") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn usual_ranges_get_the_bars_that_people_expect() {
        for (span, wanted, expected) in [
            (15 * MINUTE, 60, 15 * SECOND),
            (15 * MINUTE, 100, 10 * SECOND),
            (HOUR, 60, MINUTE),
            (DAY, 96, 15 * MINUTE),
            (7 * DAY, 84, 2 * HOUR),
            (30 * DAY, 60, 12 * HOUR),
            (0, 60, 1),
            (100 * 365 * DAY, 10, 11 * 365 * DAY),
        ] {
            assert_eq!(interval_ms(span, wanted), expected, "{span} ms in {wanted}");
        }
        assert_eq!((written(15 * SECOND), written(200)), ("15s".to_owned(), "200ms".to_owned()));
    }

    proptest! {
        #[test]
        fn never_more_bars_than_wanted_and_not_needlessly_few(span in 1i64..20_000 * DAY, wanted in 1u32..1000) {
            let step = interval_ms(span, wanted);
            prop_assert!(span <= step * i64::from(wanted));
            // No step is more than about four times the one before it.
            prop_assert!(step == 1 || span > step / 13 * i64::from(wanted) - step);
        }
    }
}
