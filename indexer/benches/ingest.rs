//! How many events a second one core indexes, with and without searches beside it:
//! `cargo bench -p logmill-indexer --features bench --bench ingest -- [events] [events a second, 0 for as fast as it goes]`.
//! It says what it measured; what was measured where is recorded in docs/BENCHMARKS.md.

fn main() {
    let mut numbers = std::env::args().skip(1).filter_map(|word| word.parse().ok());
    let events = numbers.next().unwrap_or(500_000);
    let rate = numbers.next().unwrap_or(0);
    logmill_indexer::bench::ingest(events, rate);
}
