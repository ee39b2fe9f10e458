//! The measured loops of `benches/`: records as the processor leaves them, through parsing, segments, merges, flushes and
//! sealing, without a bus. Not part of the program.
#![allow(clippy::print_stdout, clippy::expect_used, missing_docs)]

mod events;
mod machine;
mod run;
mod sizes;

use std::sync::Arc;
use std::time::Instant;

use crate::config::Config;
use crate::store::Store;
use crate::store::seal::Force;
use events::Workload;
use run::{Pace, Running};

/// What a run is asked to do.
#[derive(Debug)]
pub struct Options {
    /// Events to index; ignored with a file.
    pub events: u64,
    /// Events a second; 0 for as fast as it goes.
    pub rate: u64,
    /// Searches that run beside ingest, one thread each.
    pub searchers: usize,
    /// One event a line, each `{"index": …, "event": {…}}` or the event alone, instead of generated ones.
    pub file: Option<String>,
    /// As fast as it goes, but as if records came one by one.
    pub fresh: bool,
    /// Only access logs, as in older records.
    pub access_only: bool,
    /// Seals everything and measures that.
    pub seal: bool,
    /// Seals without what the columns know.
    pub synthetic: bool,
    /// Blocks of sealed splits.
    pub block_bytes: Option<u64>,
}

/// Indexes and says how it went.
pub fn run(options: &Options) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut config = Config::default();
    if options.synthetic {
        config.source = crate::config::SourceMode::Synthetic;
    }
    if let Some(bytes) = options.block_bytes {
        config.seal.block_bytes.0 = bytes;
    }
    let (store, _) = Store::open(folder.path(), config).expect("an empty store");
    let store = Arc::new(store);
    let workload = match &options.file {
        Some(path) => events::read(path),
        None => events::generate(options.events, options.access_only),
    };
    println!("{} events of {} bytes", workload.events, workload.bytes / workload.events.max(1));
    let pace = Pace { rate: options.rate, searchers: options.searchers, fresh: options.fresh };
    let running = Running::start(&store);
    run::ingest(&store, &workload, pace);
    store.flush().expect("a flush");
    let stopped = running.stop();
    stopped.print(&workload);
    sizes::print("hot", folder.path(), &store, &workload);
    run::fetch("hot", &store);
    if options.seal {
        seal(&store, &workload);
        sizes::print("sealed", folder.path(), &store, &workload);
        run::fetch("sealed", &store);
    }
}

fn seal(store: &Arc<Store>, workload: &Workload) {
    let running = Running::start(store);
    let (begun, cpu) = (Instant::now(), machine::cpu_time("/proc/self/stat"));
    let names: Vec<_> = store.indices().into_iter().map(|index| index.name).collect();
    for name in names {
        store.force_merge(&name, Force::default()).expect("everything sealed");
    }
    let cpu = machine::cpu_time("/proc/self/stat") - cpu;
    let peak = running.stop().rss_peak;
    println!(
        "seal: {:.1} s, {:.1} µs CPU an event, RSS up to {} MiB ({} MiB of it not mapped files)",
        begun.elapsed().as_secs_f64(),
        cpu * 1e6 / workload.events as f64,
        peak.total >> 20,
        peak.anonymous >> 20,
    );
}
