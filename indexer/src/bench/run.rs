//! Ingest at a pace with searches beside it, and what both took.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use logmill_core::StatusBoard;
use parking_lot::Mutex;
use serde_json::json;

use super::events::Workload;
use super::machine::{Rss, cpu_time, threads};
use crate::ingest::indexing::Indexing;
use crate::query::execute;
use crate::query::limits::Allowance;
use crate::query::request::SearchRequest;
use crate::store::Store;
use crate::store::source::Sources;
use crate::store::upkeep::Upkeep;

const TICK: Duration = Duration::from_millis(100);
/// As the processor's page of live searches asks.
const SEARCH_EVERY: Duration = Duration::from_millis(100);

#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    pub(super) rate: u64,
    pub(super) searchers: usize,
    /// As if nothing waited on the bus.
    pub(super) fresh: bool,
}

/// The store's threads at work, and the memory watched.
pub(super) struct Running {
    upkeep: Option<Upkeep>,
    begun: Instant,
    cpu: f64,
    stop: Arc<AtomicBool>,
    peak: Arc<Mutex<Rss>>,
    watcher: JoinHandle<()>,
}

/// What a run took.
pub(super) struct Stopped {
    took: Duration,
    cpu: f64,
    threads: Vec<(String, f64)>,
    pub(super) rss_peak: Rss,
}

impl Running {
    pub(super) fn start(store: &Arc<Store>) -> Self {
        let upkeep = Upkeep::start(store, &Arc::new(StatusBoard::new("indexer"))).expect("threads");
        Self { upkeep: Some(upkeep), ..Self::watch() }
    }

    fn watch() -> Self {
        let (stop, peak): (Arc<AtomicBool>, Arc<Mutex<Rss>>) = Default::default();
        let watcher = {
            let (stop, peak) = (stop.clone(), peak.clone());
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let now = Rss::now();
                    let mut peak = peak.lock();
                    *peak = peak.max(now);
                    drop(peak);
                    std::thread::sleep(Duration::from_millis(20));
                }
            })
        };
        Self { upkeep: None, begun: Instant::now(), cpu: cpu_time("/proc/self/stat"), stop, peak, watcher }
    }

    pub(super) fn stop(self) -> Stopped {
        let (took, threads) = (self.begun.elapsed(), threads());
        if let Some(upkeep) = self.upkeep {
            upkeep.stop();
        }
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.watcher.join();
        let rss_peak = *self.peak.lock();
        Stopped { took, cpu: cpu_time("/proc/self/stat") - self.cpu, threads, rss_peak }
    }
}

impl Stopped {
    pub(super) fn print(&self, workload: &Workload) {
        let (events, bytes) = (workload.events as f64, workload.bytes as f64);
        println!(
            "all threads, until everything was on disk: {:.1} s, {:.1} µs CPU an event, {:.1} MB/s a core",
            self.took.as_secs_f64(),
            self.cpu * 1e6 / events,
            bytes / self.cpu / 1e6
        );
        for (name, seconds) in self.threads.iter().filter(|(_, seconds)| *seconds > 0.05) {
            println!("  {name}: {:.1} µs an event", seconds * 1e6 / events);
        }
        println!(
            "  RSS up to {} MiB, {} of it not mapped files",
            self.rss_peak.total >> 20,
            self.rss_peak.anonymous >> 20
        );
    }
}

/// Indexes at a pace; says what the indexing thread took, and how long records waited.
pub(super) fn ingest(store: &Arc<Store>, workload: &Workload, pace: Pace) {
    let stop = Arc::new(AtomicBool::new(false));
    let searchers: Vec<_> = (0..pace.searchers)
        .map(|_| {
            let (store, stop) = (store.clone(), stop.clone());
            std::thread::Builder::new().name("search".to_owned()).spawn(move || search(&store, &stop))
        })
        .collect();
    let mut indexing = Indexing::new(store.clone(), 1000, 100);
    if pace.rate == 0 && !pace.fresh {
        // As the program sees them: all are on the bus already.
        store.looked(Some((jiff::Timestamp::now(), [(0, workload.events as i64)].into())));
    }
    let (begun, own) = (Instant::now(), cpu_time("/proc/thread-self/stat"));
    let mut waits = Waits::default();
    let mut taken = 0u64;
    for batch in &workload.batches {
        let due = match pace.rate {
            0 => begun.elapsed(),
            rate => Duration::from_secs_f64(taken as f64 / rate as f64),
        };
        // Between batches the worker wakes for its tick, as the program's does.
        while begun.elapsed() < due {
            if indexing.is_due(TICK) {
                waits.end_tick(&mut indexing, begun);
            }
            let rest = indexing.rest(TICK).unwrap_or(TICK);
            std::thread::sleep(rest.min(due.saturating_sub(begun.elapsed())));
        }
        indexing.take(batch, Instant::now(), 1).expect("documents");
        waits.due.push((due, batch.len()));
        taken += batch.len() as u64;
        if indexing.is_due(TICK) {
            waits.end_tick(&mut indexing, begun);
            while !store.has_room() {
                waits.without_room += 1;
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }
    waits.end_tick(&mut indexing, begun);
    let (took, own) = (begun.elapsed(), cpu_time("/proc/thread-self/stat") - own);
    stop.store(true, Ordering::Relaxed);
    let mut searches: Vec<Duration> = Vec::new();
    for searcher in searchers {
        searches.extend(searcher.expect("a thread").join().expect("searches"));
    }
    let (events, bytes) = (workload.events as f64, workload.bytes as f64);
    println!(
        "indexing thread: {:.1} s, {:.0} events/s, {:.1} MB/s; {:.1} µs CPU an event, {:.1} MB/s a core",
        took.as_secs_f64(),
        events / took.as_secs_f64(),
        bytes / took.as_secs_f64() / 1e6,
        own * 1e6 / events,
        bytes / own / 1e6,
    );
    waits.print();
    if !searches.is_empty() {
        searches.sort_unstable();
        println!(
            "  {} searches beside it: p50 {:.1} ms, p99 {:.1} ms",
            searches.len(),
            share(&searches, 0.5).as_secs_f64() * 1e3,
            share(&searches, 0.99).as_secs_f64() * 1e3
        );
    }
}

/// How long records waited until they could be found, from when they were due.
#[derive(Default)]
struct Waits {
    due: Vec<(Duration, usize)>,
    waits: Vec<Duration>,
    ticks: Vec<Duration>,
    without_room: u64,
}

impl Waits {
    fn end_tick(&mut self, indexing: &mut Indexing, begun: Instant) {
        let started = Instant::now();
        indexing.tick().expect("a tick");
        self.ticks.push(started.elapsed());
        let now = begun.elapsed();
        for (due, events) in self.due.drain(..) {
            self.waits.extend(std::iter::repeat_n(now.saturating_sub(due), events));
        }
    }

    fn print(mut self) {
        self.waits.sort_unstable();
        self.ticks.sort_unstable();
        let ms = |sorted: &[Duration], part| share(sorted, part).as_secs_f64() * 1e3;
        println!(
            "  due to searchable: p50 {:.0} ms, p99 {:.0} ms, p99.9 {:.0} ms, max {:.0} ms; a tick: p50 {:.1}, p99 {:.1}, max {:.1} ms; {} waits for room",
            ms(&self.waits, 0.5),
            ms(&self.waits, 0.99),
            ms(&self.waits, 0.999),
            ms(&self.waits, 1.0),
            ms(&self.ticks, 0.5),
            ms(&self.ticks, 0.99),
            ms(&self.ticks, 1.0),
            self.without_room,
        );
    }
}

fn share(sorted: &[Duration], part: f64) -> Duration {
    let place = (sorted.len() as f64 * part) as usize;
    sorted.get(place.min(sorted.len().saturating_sub(1))).copied().unwrap_or_default()
}

/// What a page of live results asks for, again and again.
fn search(store: &Store, stop: &AtomicBool) -> Vec<Duration> {
    let mut took = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        for body in [
            json!({"size": 50, "sort": [{"@timestamp": "desc"}], "query": {"match_all": {}}}),
            json!({"size": 0, "aggs": {"by_time": {"date_histogram": {"field": "@timestamp", "fixed_interval": "30s"}}}}),
            json!({"size": 0, "aggs": {"levels": {"terms": {"field": "log.level"}}}}),
            json!({"size": 50, "query": {"match_phrase": {"message": "connection reset by peer"}}}),
        ] {
            let begun = Instant::now();
            let request = SearchRequest::read(body).expect("a request");
            let view = store.view("*", None).expect("a view");
            execute::search(&view, &request, &Allowance::new(None, Arc::default())).expect("an answer");
            took.push(begun.elapsed());
            std::thread::sleep(SEARCH_EVERY);
        }
    }
    took
}

/// How long it takes to read the events of a page: the newest of one part, and scattered over everything.
pub(super) fn fetch(name: &str, store: &Store) {
    const PAGE: usize = 50;
    let parts = store.view("*", None).expect("a view").parts;
    let docs: u64 = parts.iter().map(|part| part.docs()).sum();
    let mut random = fastrand::Rng::with_seed(3);
    let (mut newest, mut scattered) = (Vec::new(), Vec::new());
    for _ in 0..20 {
        let begun = Instant::now();
        if let Some(part) = parts.iter().max_by_key(|part| part.docs()) {
            let mut sources = Sources::open(part).expect("sources");
            let end = part.reader.max_doc();
            (end.saturating_sub(PAGE as u32)..end).for_each(|doc| drop(sources.get(doc).expect("an event")));
        }
        newest.push(begun.elapsed());
        let begun = Instant::now();
        let mut chosen: Vec<u64> = (0..PAGE).map(|_| random.u64(..docs.max(1))).collect();
        chosen.sort_unstable();
        let (mut first, mut wanted) = (0u64, chosen.into_iter().peekable());
        for part in &parts {
            let end = first + u64::from(part.reader.max_doc());
            let mut sources = None;
            while let Some(doc) = wanted.next_if(|doc| *doc < end) {
                let sources = sources.get_or_insert_with(|| Sources::open(part).expect("sources"));
                sources.get((doc - first) as u32).expect("an event");
            }
            first = end;
        }
        scattered.push(begun.elapsed());
    }
    newest.sort_unstable();
    scattered.sort_unstable();
    println!(
        "{name}, {} splits, 50 events read: newest of a split {:.1} ms, scattered p50 {:.1} ms, max {:.1} ms",
        parts.len(),
        share(&newest, 0.5).as_secs_f64() * 1e3,
        share(&scattered, 0.5).as_secs_f64() * 1e3,
        share(&scattered, 1.0).as_secs_f64() * 1e3,
    );
}
