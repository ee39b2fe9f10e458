//! The files of a machine that rotates them in every way, a shipper that is killed at any step, and a bus that may
//! answer late, refuse, or store without answering: afterwards every line is there exactly once.

mod faults;
mod storm;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use logmill_core::{Origin, StatusBoard};
use parking_lot::Mutex;

use super::discover::{Pattern, Wanted};
use super::identity::FileId;
use super::{Moment, Settings, Tail};
use crate::checkpoint::Checkpoint;
use crate::config::Filestream;
use crate::output::{Answer, Batch, Output};

struct Sent {
    number: u64,
    source: FileId,
    records: Vec<(Origin, Vec<u8>)>,
}

/// A bus in memory, with the watermarks that the indexer keeps behind it.
#[derive(Default)]
struct Memory {
    /// Sent, not stored yet.
    queue: VecDeque<Sent>,
    answers: Vec<Answer>,
    highest: HashMap<FileId, Origin>,
    /// Messages by path, in order.
    stored: Vec<(String, String)>,
    repeated: usize,
    full: bool,
}

#[derive(Clone, Default)]
struct Bus(Arc<Mutex<Memory>>);

impl Memory {
    fn store(&mut self, answered: bool) -> bool {
        let Some(sent) = self.queue.pop_front() else { return false };
        for (origin, value) in sent.records {
            let highest = self.highest.entry(sent.source).or_default();
            if origin <= *highest {
                self.repeated += 1;
                continue;
            }
            assert!(origin.start >= highest.end, "{origin} overlaps {highest}");
            *highest = origin;
            let event: serde_json::Value = serde_json::from_slice(&value).unwrap();
            let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
            self.stored.push((text(&event["log"]["file"]["path"]), text(&event["message"])));
        }
        if answered {
            self.answers.push(Answer { number: sent.number, source: sent.source, refused: None });
        }
        true
    }
}

impl Output for Bus {
    fn has_room(&self) -> bool {
        let memory = self.0.lock();
        !memory.full && memory.queue.len() < 100
    }

    fn send(&mut self, batch: &Batch<'_>) -> bool {
        let records = batch.records.iter().map(|record| {
            let origin = Origin { generation: batch.generation, start: record.start, end: record.end, part: 0 };
            (origin, batch.bytes[record.value.clone()].to_vec())
        });
        let sent = Sent { number: batch.number, source: batch.source, records: records.collect() };
        self.0.lock().queue.push_back(sent);
        true
    }

    fn answers(&mut self, answers: &mut Vec<Answer>) {
        answers.append(&mut self.0.lock().answers);
    }

    fn restart(&mut self, _: &str) {
        let mut memory = self.0.lock();
        memory.queue.clear();
        memory.answers.clear();
    }
}

/// A machine: a folder of logs, a shipper over it, a clock.
struct Machine {
    logs: tempfile::TempDir,
    data: tempfile::TempDir,
    config: Filestream,
    patterns: Vec<String>,
    open_max: usize,
    bus: Bus,
    board: Arc<StatusBoard>,
    tail: Option<Tail<Bus>>,
    now: Moment,
}

fn folder() -> tempfile::TempDir {
    // In memory where that exists: thousands of syncs are waited for.
    let shm = Path::new("/dev/shm");
    if shm.is_dir() { tempfile::tempdir_in(shm).unwrap() } else { tempfile::tempdir().unwrap() }
}

impl Machine {
    fn new(pattern: &str) -> Self {
        Self::with(pattern, Filestream::default())
    }

    fn with(pattern: &str, config: Filestream) -> Self {
        let _ = tracing_subscriber::fmt()
            .with_test_writer()
            .with_env_filter(std::env::var("STORM_LOG").unwrap_or_else(|_| "debug".into()))
            .try_init();
        let (logs, data) = (folder(), folder());
        let patterns = vec![format!("{}/{pattern}", logs.path().display())];
        let now = Moment { ms: 1_000_000, wall: jiff::Timestamp::now() };
        let board = Arc::new(StatusBoard::new("shipper"));
        let mut machine =
            Self { logs, data, config, patterns, open_max: 64, bus: Bus::default(), board, tail: None, now };
        machine.start();
        machine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.logs.path().join(name)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        tracing::trace!(name, bytes = text.as_ref().len(), "written");
        use std::io::Write;
        let mut file = std::fs::OpenOptions::new().append(true).create(true).open(self.path(name)).unwrap();
        file.write_all(text.as_ref()).unwrap();
    }

    fn rename(&self, from: &str, to: &str) {
        tracing::trace!(from, to, "renamed");
        std::fs::rename(self.path(from), self.path(to)).unwrap();
    }

    fn copy(&self, from: &str, to: &str) {
        std::fs::copy(self.path(from), self.path(to)).unwrap();
    }

    fn truncate(&self, name: &str) {
        tracing::trace!(name, "truncated");
        std::fs::OpenOptions::new().write(true).open(self.path(name)).unwrap().set_len(0).unwrap();
    }

    fn remove(&self, name: &str) {
        tracing::trace!(name, "removed");
        std::fs::remove_file(self.path(name)).unwrap();
    }

    fn gzip(&self, name: &str) -> Vec<u8> {
        use std::io::Write;
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&std::fs::read(self.path(name)).unwrap()).unwrap();
        encoder.finish().unwrap()
    }

    fn start(&mut self) {
        let patterns = self.patterns.iter().map(|pattern| Pattern::new(pattern).unwrap()).collect();
        let input = crate::input::file::file_input(&self.config, "test", Wanted { patterns, ..Wanted::default() });
        let settings = Settings { scan_ms: 1000, open_max: self.open_max, forget_after_s: 86_400 };
        let checkpoint = Checkpoint::open(self.data.path()).unwrap();
        let board = self.board.clone();
        self.tail = Some(Tail::new(vec![input], settings, self.bus.clone(), checkpoint, board, &self.now));
    }

    /// kill -9: what was sent and not stored is gone, and so is every answer on its way.
    fn kill(&mut self) {
        tracing::trace!("killed");
        self.tail = None;
        let mut memory = self.bus.0.lock();
        memory.queue.clear();
        memory.answers.clear();
    }

    fn restart(&mut self) {
        self.kill();
        self.start();
    }

    fn step(&mut self, ms: u64) {
        self.now.ms += ms;
        self.now.wall += jiff::SignedDuration::from_millis(ms as i64);
        if let Some(tail) = &mut self.tail {
            tail.step(&self.now);
        }
    }

    fn deliver(&mut self) {
        while self.bus.0.lock().store(true) {}
    }

    /// So many seconds in steps of 100 ms, with a bus that answers at once.
    fn run(&mut self, seconds: u64) {
        for _ in 0..seconds * 10 {
            self.step(100);
            self.deliver();
        }
    }

    fn messages(&self) -> Vec<String> {
        self.bus.0.lock().stored.iter().map(|(_, message)| message.clone()).collect()
    }

    fn sorted(&self) -> Vec<String> {
        let mut messages = self.messages();
        messages.sort();
        messages
    }
}

fn lines(range: std::ops::Range<usize>) -> String {
    range.map(|number| format!("{number:06} a line with its number\n")).collect()
}

fn texts(range: std::ops::Range<usize>) -> Vec<String> {
    lines(range).lines().map(str::to_owned).collect()
}
