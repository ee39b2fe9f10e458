//! The make-believe company whose logs these are: its hosts, users, paths and bad moments.

use std::time::Duration;

use fastrand::Rng;

/// What all kinds of logs draw from.
pub(crate) struct World {
    pub(crate) rng: Rng,
    bursting_until: Duration,
    next_burst: Duration,
    every: Duration,
    length: Duration,
}

pub(crate) const HOSTS: [&str; 6] = ["web-1", "web-2", "app-1", "app-2", "db-1", "edge-1"];
pub(crate) const USERS: [&str; 12] =
    ["ana", "bo", "chen", "dilara", "emeka", "fatima", "goran", "hana", "ines", "jun", "kofi", "lena"];
pub(crate) const PRODUCTS: [&str; 10] =
    ["kettle", "lamp", "notebook", "backpack", "teapot", "bicycle", "headphones", "desk", "chair", "umbrella"];
const CITIES: [&str; 8] = ["lisbon", "osaka", "lagos", "oslo", "quito", "pune", "leeds", "turin"];
const AGENTS: [&str; 6] = [
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_6) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.2 Safari/605.1.15",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:145.0) Gecko/20100101 Firefox/145.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
    "curl/8.11.0",
    "shop-monitor/2.4 (+https://status.example.com)",
];

impl World {
    pub(crate) fn new(seed: u64, every: Duration, length: Duration) -> Self {
        let mut rng = Rng::with_seed(seed);
        let next_burst = every.mul_f64(0.3 + rng.f64() * 0.4);
        Self { rng, bursting_until: Duration::ZERO, next_burst, every, length }
    }

    /// Moves time on, given as time since the start; bursts begin and end here.
    pub(crate) fn advance(&mut self, now: Duration) {
        if !self.every.is_zero() && now >= self.next_burst {
            self.bursting_until = now + self.length;
            self.next_burst = now + self.every.mul_f64(0.5 + self.rng.f64());
        }
        if now >= self.bursting_until {
            self.bursting_until = Duration::ZERO;
        }
    }

    pub(crate) fn bursting(&self) -> bool {
        !self.bursting_until.is_zero()
    }

    /// Whether the event at hand goes wrong: seldom, and often during a burst.
    pub(crate) fn goes_wrong(&mut self) -> bool {
        let chance = if self.bursting() { 0.35 } else { 0.012 };
        self.rng.f64() < chance
    }

    pub(crate) fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        let index = self.rng.usize(..of.len());
        of.get(index).copied().unwrap_or_default()
    }

    /// An address; a few clients send most of the requests.
    pub(crate) fn address(&mut self) -> String {
        let few = self.rng.f64() < 0.6;
        let client = if few { self.rng.u32(..16) } else { 16 + self.rng.u32(..40_000) };
        format!("203.{}.{}.{}", client % 113, (client / 7) % 256, 1 + client % 254)
    }

    pub(crate) fn path(&mut self) -> String {
        let product = self.pick(&PRODUCTS);
        let number = self.rng.u32(1..900);
        match self.rng.u8(..10) {
            0..=2 => format!("/products/{product}"),
            3..=4 => format!("/api/v1/products/{number}"),
            5 => format!("/api/v1/cart/{number}/items"),
            6 => format!("/search?q={product}&city={}", self.pick(&CITIES)),
            7 => "/healthz".to_owned(),
            8 => format!("/static/img/{product}-{number}.webp"),
            _ => "/".to_owned(),
        }
    }

    pub(crate) fn agent(&mut self) -> &'static str {
        let index = self.rng.usize(..AGENTS.len());
        AGENTS.get(index).copied().unwrap_or("curl/8.11.0")
    }

    /// Milliseconds of a piece of work: a long tail, longer still during a burst.
    pub(crate) fn took_ms(&mut self) -> f64 {
        let tail = 1.0 / (1.0 - self.rng.f64() * 0.985);
        let slow = if self.bursting() { 8.0 } else { 1.0 };
        ((3.0 * tail * slow) * 100.0).round() / 100.0
    }

    pub(crate) fn hex(&mut self, digits: usize) -> String {
        (0..digits).map(|_| char::from_digit(self.rng.u32(..16), 16).unwrap_or('0')).collect()
    }
}
