//! Slows down whoever guesses passwords: a bucket of failures a name and a bucket an address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Wrong passwords in a row before waiting begins; a person who forgot one needs fewer.
const NAME_BURST: f64 = 8.0;
/// One address may be a whole office behind one router.
const ADDRESS_BURST: f64 = 40.0;
/// Then one more try in so many seconds: 8,640 a day against one name.
const REFILL_SECONDS: f64 = 10.0;
/// Buckets kept; beyond it the full (harmless) ones are dropped, and then all.
const BUCKETS_MAX: usize = 10_000;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Name(String),
    Address(IpAddr),
}

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

/// Failures so far.
#[derive(Debug, Default)]
pub(crate) struct LoginLimit(Mutex<HashMap<Key, Bucket>>);

impl LoginLimit {
    /// How long to wait before this login may be tried, if at all.
    pub(crate) fn wait_for(&self, name: &str, address: Option<IpAddr>) -> Option<Duration> {
        self.wait_at(name, address, Instant::now())
    }

    /// Counts a failure.
    pub(crate) fn failed(&self, name: &str, address: Option<IpAddr>) {
        self.failed_at(name, address, Instant::now());
    }

    /// Forgets the failures of a name that has logged in.
    pub(crate) fn succeeded(&self, name: &str) {
        self.0.lock().remove(&Key::Name(name.trim().to_lowercase()));
    }

    fn wait_at(&self, name: &str, address: Option<IpAddr>, now: Instant) -> Option<Duration> {
        let buckets = self.0.lock();
        let missing = keys(name, address).filter_map(|(key, burst)| {
            let tokens = buckets.get(&key)?.filled(burst, now);
            (tokens < 1.0).then(|| Duration::from_secs_f64((1.0 - tokens) * REFILL_SECONDS))
        });
        missing.max()
    }

    fn failed_at(&self, name: &str, address: Option<IpAddr>, now: Instant) {
        let mut buckets = self.0.lock();
        if buckets.len() >= BUCKETS_MAX {
            buckets.retain(|key, bucket| bucket.filled(burst_of(key), now) < burst_of(key));
            if buckets.len() >= BUCKETS_MAX {
                buckets.clear();
            }
        }
        for (key, burst) in keys(name, address) {
            let bucket = buckets.entry(key).or_insert(Bucket { tokens: burst, at: now });
            bucket.tokens = (bucket.filled(burst, now) - 1.0).max(0.0);
            bucket.at = now;
        }
    }
}

impl Bucket {
    fn filled(&self, burst: f64, now: Instant) -> f64 {
        let since = now.saturating_duration_since(self.at).as_secs_f64();
        (self.tokens + since / REFILL_SECONDS).min(burst)
    }
}

const fn burst_of(key: &Key) -> f64 {
    match key {
        Key::Name(_) => NAME_BURST,
        Key::Address(_) => ADDRESS_BURST,
    }
}

fn keys(name: &str, address: Option<IpAddr>) -> impl Iterator<Item = (Key, f64)> {
    // Names longer than any user's are cut: they can't succeed and must not fill memory.
    let name = Key::Name(name.trim().to_lowercase().chars().take(64).collect());
    let keys = [Some(name), address.map(Key::Address)];
    keys.into_iter().flatten().map(|key| {
        let burst = burst_of(&key);
        (key, burst)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guessing_is_slowed_down_by_name_and_forgiven_after_a_while() {
        let (limit, start) = (LoginLimit::default(), Instant::now());
        for _ in 0..8 {
            assert_eq!(limit.wait_at("ann", None, start), None);
            limit.failed_at("Ann ", None, start);
        }
        let wait = limit.wait_at("ANN", None, start).unwrap();
        assert!(wait > Duration::from_secs(9) && wait <= Duration::from_secs(10), "{wait:?}");
        assert_eq!(limit.wait_at("bob", None, start), None);
        assert_eq!(limit.wait_at("ann", None, start + Duration::from_secs(11)), None);
        limit.succeeded("ann");
        assert_eq!(limit.wait_at("ann", None, start), None);
    }

    #[test]
    fn an_address_that_tries_many_names_is_slowed_down_too() {
        let (limit, start) = (LoginLimit::default(), Instant::now());
        let address = Some(IpAddr::from([192, 0, 2, 1]));
        for number in 0..40 {
            limit.failed_at(&format!("user{number}"), address, start);
        }
        assert!(limit.wait_at("fresh", address, start).is_some());
        assert_eq!(limit.wait_at("fresh", None, start), None);
    }
}
