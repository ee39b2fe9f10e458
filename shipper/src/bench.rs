//! The reader without a bus, for measurements: everything but compression and the network.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use logmill_core::StatusBoard;

use crate::checkpoint::Checkpoint;
use crate::config::Filestream;
use crate::input::file::discover::{Pattern, Wanted};
use crate::input::file::{Moment, Settings, Tail, file_input};
use crate::output::{Answer, Batch, Output};

/// What was read.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    /// Bytes of the files.
    pub bytes: u64,
    /// Events made of them.
    pub events: u64,
    /// How long it took.
    pub took: Duration,
}

/// Stores nothing and acknowledges everything.
#[derive(Default)]
struct Nowhere(Vec<Answer>);

impl Output for Nowhere {
    fn has_room(&self) -> bool {
        true
    }

    fn send(&mut self, batch: &Batch<'_>) -> bool {
        self.0.push(Answer { number: batch.number, source: batch.source, refused: None });
        true
    }

    fn answers(&mut self, answers: &mut Vec<Answer>) {
        answers.append(&mut self.0);
    }

    fn restart(&mut self, _: &str) {}
}

/// Reads all files that `pattern` matches from their beginnings, with a new checkpoint in `data`.
///
/// # Errors
/// When the checkpoint or the pattern can't be used.
pub fn read(pattern: &str, data: &Path) -> Result<Reading, Box<dyn std::error::Error>> {
    let wanted = Wanted { patterns: vec![Pattern::new(pattern)?], ..Wanted::default() };
    let input = file_input(&Filestream::default(), "bench", wanted);
    let settings = Settings { scan_ms: 10_000, open_max: 512, forget_after_s: 86_400 };
    let board = Arc::new(StatusBoard::new("shipper"));
    let begin = Instant::now();
    let now =
        || Moment { ms: u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX), wall: jiff::Timestamp::now() };
    let checkpoint = Checkpoint::open(data)?;
    let mut tail = Tail::new(vec![input], settings, Nowhere::default(), checkpoint, board.clone(), &now());
    let mut idle = 0;
    // A new file's first turn only introduces it.
    while idle < 3 {
        idle = if tail.step(&now()) { 0 } else { idle + 1 };
    }
    let took = begin.elapsed();
    Ok(Reading { bytes: board.counter("bytes").total(), events: board.counter("events").total(), took })
}
