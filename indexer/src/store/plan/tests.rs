use proptest::prelude::*;

use super::*;

const DAY_NS: i64 = 86_400_000_000_000;
const HOUR_NS: i64 = DAY_NS / 24;
const MAX: u64 = 512 << 20;

fn rules(now_ns: i64) -> Rules {
    Rules { bytes_max: MAX, window_ns: DAY_NS, grace_ns: HOUR_NS, now_ns }
}

/// A split of a day, written in that day.
fn hot(place: usize, bytes: u64, day: i64) -> Candidate {
    let newest_ns = day * DAY_NS + place as i64;
    Candidate { place, bytes, docs: bytes / 100, newest_ns, arrived_ns: newest_ns, sealed: false }
}

/// Puts the result of a run in its place.
fn replace(splits: &mut Vec<Candidate>, run: &[Candidate], sealed: bool) {
    let bytes = run.iter().map(|split| if sealed { split.sealed_bytes() } else { split.bytes }).sum();
    let result = Candidate {
        place: run[0].place,
        bytes,
        docs: run.iter().map(|split| split.docs).sum(),
        newest_ns: run.iter().map(|split| split.newest_ns).max().unwrap(),
        arrived_ns: run.iter().map(|split| split.arrived_ns).max().unwrap(),
        sealed,
    };
    splits.retain(|split| run.iter().all(|merged| merged.place != split.place));
    splits.push(result);
}

#[test]
fn a_day_becomes_few_splits_that_are_sealed_when_it_is_over() {
    let mut splits: Vec<Candidate> = Vec::new();
    let during = rules(4 * DAY_NS + HOUR_NS - 1);
    // A flush every ten seconds for a day, 1 MiB each.
    for place in 0..8640 {
        splits.push(hot(place, 1 << 20, 3));
        while let Some(run) = during.merge(&splits) {
            replace(&mut splits, &run, false);
        }
        while let Some(run) = during.seal(&splits) {
            assert!(during.is_final(&run));
            replace(&mut splits, &run, true);
        }
        assert!(splits.len() <= 50, "{} splits", splits.len());
    }
    assert!(splits.iter().any(|split| split.sealed) && splits.iter().any(|split| !split.sealed));
    splits.push(hot(8640, 1 << 20, 4));
    let after = rules(4 * DAY_NS + HOUR_NS + 8641);
    assert!(after.merge(&splits).is_none());
    while let Some(run) = after.seal(&splits) {
        assert!(run.iter().all(|split| split.newest_ns / DAY_NS == 3));
        replace(&mut splits, &run, true);
    }
    assert_eq!(splits.iter().filter(|split| !split.sealed).count(), 1);
    assert!(splits.iter().filter(|split| split.sealed).count() <= 8640 * 3 / 5 / 256 + 3, "{splits:?}");
    assert_eq!(splits.iter().map(|split| split.docs).sum::<u64>(), 8641 * ((1 << 20) / 100));
}

#[test]
fn late_events_are_sealed_once_they_stop_and_join_their_like() {
    let day_nine = rules(9 * DAY_NS);
    let mut splits = vec![Candidate { sealed: true, ..hot(0, 400 << 20, 3) }];
    for place in 1..=40 {
        // One late split an hour, for a day long over.
        let arrived_ns = 9 * DAY_NS + place as i64 * HOUR_NS;
        splits.push(Candidate { arrived_ns, ..hot(place, 1 << 20, 3) });
        let soon = Rules { now_ns: arrived_ns + HOUR_NS / 2, ..day_nine };
        assert!(soon.seal(&splits).is_none_or(|run| run.iter().all(|split| split.sealed)));
        let later = Rules { now_ns: arrived_ns + HOUR_NS, ..day_nine };
        while let Some(run) = later.seal(&splits) {
            assert!(run.iter().all(|split| split.bytes < 400 << 20), "the large one is left alone");
            replace(&mut splits, &run, true);
        }
        assert!(splits.iter().all(|split| split.sealed));
        assert!(splits.len() <= 1 + 3 * 3, "{} splits", splits.len());
    }
}

#[test]
fn history_that_is_read_in_is_not_sealed_flush_by_flush() {
    // A year's worth of old events in two hours: a flush every ten seconds, each for another day.
    let mut splits = Vec::new();
    let mut written = 0u64;
    for place in 0..720usize {
        let arrived_ns = 500 * DAY_NS + place as i64 * 10_000_000_000;
        splits.push(Candidate { arrived_ns, ..hot(place, 10 << 20, place as i64 / 2) });
        let rules = rules(arrived_ns);
        while let Some(run) = rules.merge(&splits) {
            written += run.iter().map(|split| split.bytes).sum::<u64>();
            replace(&mut splits, &run, false);
        }
        while let Some(run) = rules.seal(&splits) {
            written += run.iter().map(|split| split.bytes).sum::<u64>();
            replace(&mut splits, &run, true);
        }
    }
    assert!(written < 720 * (10 << 20) * 3, "{} MiB were rewritten", written >> 20);
}

#[test]
fn everything_is_sealed_on_demand() {
    let mut splits: Vec<_> = (0..21).map(|place| hot(place, 20 << 20, place as i64 / 7)).collect();
    let today = rules(0);
    while let Some(run) = today.seal_all(&splits, None) {
        replace(&mut splits, &run, true);
    }
    assert_eq!((splits.len(), splits.iter().all(|split| split.sealed)), (3, true));
    while let Some(run) = today.seal_all(&splits, Some(1)) {
        replace(&mut splits, &run, true);
    }
    assert_eq!(splits.len(), 1);
    // A split beyond the bound is sealed by itself.
    let mut large = vec![hot(0, 5 * MAX, 0), hot(1, 1 << 20, 0)];
    while let Some(run) = today.seal_all(&large, Some(1)) {
        replace(&mut large, &run, true);
    }
    assert_eq!(large.len(), 2);
}

proptest! {
    #[test]
    fn the_work_ends_respects_the_bounds_and_keeps_every_document(
        sizes in prop::collection::vec((1u64..MAX, 0i64..20, any::<bool>(), 0i64..30), 0..150),
        now_day in 0i64..40,
        splits_max in prop::option::of(1usize..10),
    ) {
        let with = |(place, (bytes, day, sealed, arrived)): (usize, &(u64, i64, bool, i64))| Candidate {
            sealed: *sealed, arrived_ns: arrived * DAY_NS, ..hot(place, *bytes, *day)
        };
        let mut splits: Vec<_> = sizes.iter().enumerate().map(with).collect();
        let docs: u64 = splits.iter().map(|split| split.docs).sum();
        let rules = rules(now_day * DAY_NS);
        let mut rounds = 0;
        let forced = move |splits: &[Candidate]| rules.seal_all(splits, splits_max);
        let merge = move |splits: &[Candidate]| rules.merge(splits);
        let seal = move |splits: &[Candidate]| rules.seal(splits);
        type Pick<'p> = &'p dyn Fn(&[Candidate]) -> Option<Run>;
        let works: [(Pick<'_>, bool); 3] = [(&merge, false), (&seal, true), (&forced, true)];
        for (pick, sealed) in works {
            while let Some(run) = pick(&splits) {
                rounds += 1;
                prop_assert!(rounds <= 2 * sizes.len());
                prop_assert!(run.len() > 1 || sealed && !run[0].sealed);
                let places: std::collections::BTreeSet<_> = run.iter().map(|split| split.place).collect();
                prop_assert_eq!(places.len(), run.len());
                replace(&mut splits, &run, sealed);
                let result = splits.last().unwrap();
                prop_assert!(run.len() == 1 || result.bytes <= MAX && result.docs <= SPLIT_DOCS_MAX);
            }
        }
        prop_assert!(splits.iter().all(|split| split.sealed));
        prop_assert_eq!(splits.iter().map(|split| split.docs).sum::<u64>(), docs);
    }
}
