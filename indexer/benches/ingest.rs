//! How fast the store takes events up, how soon they are found, what they take on disk and how fast they are read:
//! `cargo bench -p logmill-indexer --features bench --bench ingest -- [events=500000] [rate=0] [searchers=0] [fresh] [access] [seal]
//! [synthetic] [blocks=BYTES] [file=EVENTS.ndjson]`. It says what it measured; what was measured where is recorded in docs/BENCHMARKS.md.

// As in the program, so that both measure the same.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let word = |key: &str| words.iter().find_map(|word| Some(word.strip_prefix(key)?.strip_prefix('=')?.to_owned()));
    let number = |key: &str| word(key).and_then(|text| text.parse().ok());
    let has = |key: &str| words.iter().any(|word| word == key);
    logmill_indexer::bench::run(&logmill_indexer::bench::Options {
        events: number("events").unwrap_or(500_000),
        rate: number("rate").unwrap_or(0),
        searchers: number("searchers").unwrap_or(0) as usize,
        file: word("file"),
        fresh: has("fresh"),
        access_only: has("access"),
        seal: has("seal"),
        synthetic: has("synthetic"),
        block_bytes: number("blocks"),
    });
}
