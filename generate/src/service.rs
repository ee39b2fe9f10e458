//! Writes the workload at its rate until it is done or asked to stop.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use jiff::Zoned;
use logmill_core::Shutdown;

use crate::format::write_event;
use crate::ledger::Ledger;
use crate::rotate::LogFile;
use crate::world::World;
use crate::{Config, Kind};

/// Lines are written in steps this long: short enough to look like a stream, long enough to cost little.
const STEP: Duration = Duration::from_millis(10);

/// The workload could not be written.
#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    /// A file or folder refused.
    #[error("can't write logs to {}: {source}", path.display())]
    Write {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The thread that writes died.
    #[error("the generator stopped unexpectedly: {0}")]
    Died(String),
}

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Summary {
    /// Lines.
    pub lines: u64,
    /// Bytes.
    pub bytes: u64,
}

/// Writes logs.
#[derive(Debug)]
pub struct Service {
    config: Config,
}

impl Service {
    /// A workload that has not begun.
    #[must_use]
    pub const fn build(config: Config) -> Self {
        Self { config }
    }

    /// Writes until the workload is done or stopping is asked for.
    ///
    /// # Errors
    /// When a file can't be written.
    pub async fn run(self, shutdown: Shutdown) -> Result<Summary, GenerateError> {
        let out = self.config.out.clone();
        let write = move || write_all(&self.config, &shutdown);
        match tokio::task::spawn_blocking(write).await {
            Ok(result) => result.map_err(|source| GenerateError::Write { path: out, source }),
            Err(died) => Err(GenerateError::Died(died.to_string())),
        }
    }
}

fn write_all(config: &Config, shutdown: &Shutdown) -> std::io::Result<Summary> {
    let mut files = Vec::new();
    for kind in &config.kinds {
        files.push((*kind, LogFile::open(&config.out, *kind, &config.rotation)?));
    }
    let mut ledger = Ledger::open(config.ledger.as_deref())?;
    let mut world = World::new(config.seed, config.burst_every.0, config.burst_length.0);
    let mut summary = Summary::default();
    let start = Instant::now();
    // The log's own clock begins in the past and catches up step by step, without waiting.
    let begins = Zoned::now().saturating_sub(config.ago.0);
    let mut skipped = Duration::ZERO;
    let mut buffer = Vec::new();
    loop {
        let elapsed = start.elapsed() + skipped;
        let timed_out = !config.duration.0.is_zero() && elapsed >= config.duration.0;
        let limit = if config.lines == 0 { u64::MAX } else { config.lines };
        if shutdown.requested() || timed_out || summary.lines >= limit {
            ledger.flush()?;
            return Ok(summary);
        }
        world.advance(elapsed);
        let due = (elapsed.as_secs_f64() * config.rate as f64) as u64;
        let now = begins.saturating_add(elapsed);
        while summary.lines < due.min(limit) {
            let Some((kind, file)) = pick_file(&mut files, &mut world) else { break };
            buffer.clear();
            let (first, mut lines) = (summary.lines, 0);
            // A handful of events at a time to one file, as buffered loggers write them.
            let burst = 1 + (due - summary.lines).min(64) / 8;
            for _ in 0..burst {
                lines += write_event(kind, &mut world, &now, first + lines, &mut buffer)?;
            }
            file.append(&buffer)?;
            ledger.record(first, lines, jiff::Timestamp::now().as_microsecond(), kind)?;
            summary.lines += lines;
            summary.bytes += buffer.len() as u64;
        }
        if skipped < config.ago.0 {
            // A step that no line is due in would be for nothing.
            let step = STEP.max(Duration::from_secs(1) / u32::try_from(config.rate.max(1)).unwrap_or(u32::MAX));
            skipped += step.min(config.ago.0 - skipped);
            continue;
        }
        ledger.flush()?;
        std::thread::sleep(STEP.saturating_sub((start.elapsed() + skipped).saturating_sub(elapsed)));
    }
}

fn pick_file<'f>(files: &'f mut [(Kind, LogFile)], world: &mut World) -> Option<(Kind, &'f mut LogFile)> {
    let index = world.rng.usize(..files.len().max(1));
    files.get_mut(index).map(|(kind, file)| (*kind, file))
}

#[cfg(test)]
mod tests {
    use logmill_core::config::Period;

    use super::*;

    #[tokio::test]
    async fn a_log_that_begins_in_the_past_has_lines_of_all_its_time() {
        let folder = tempfile::tempdir().unwrap();
        let config = Config {
            out: folder.path().to_owned(),
            rate: 1,
            lines: 3_600,
            ago: Period::secs(2 * 3_600),
            kinds: vec![Kind::Json],
            ..Config::default()
        };
        let before = jiff::Timestamp::now();
        Service::build(config).run(Shutdown::new()).await.unwrap();
        let text = std::fs::read_to_string(folder.path().join(Kind::Json.file())).unwrap();
        let time = |line: &str| -> jiff::Timestamp {
            let event: serde_json::Value = serde_json::from_str(line).unwrap();
            event.get("time").or_else(|| event.get("@timestamp")).unwrap().as_str().unwrap().parse().unwrap()
        };
        let first = time(text.lines().next().unwrap());
        let last = time(text.lines().last().unwrap());
        let seconds = |earlier: jiff::Timestamp, later: jiff::Timestamp| later.duration_since(earlier).as_secs();
        assert!((7_190..=7_210).contains(&seconds(first, before)), "{first}");
        assert!((3_500..=3_700).contains(&seconds(first, last)), "{first} {last}");
    }

    #[tokio::test]
    async fn the_ledger_is_what_the_files_hold() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = folder.path().join("ledger.tsv");
        let config = Config {
            out: folder.path().join("logs"),
            rate: 100_000,
            lines: 5_000,
            ledger: Some(ledger.clone()),
            ..Config::default()
        };
        let summary = Service::build(config.clone()).run(Shutdown::new()).await.unwrap();
        assert!(summary.lines >= 5_000);
        let mut written: Vec<String> = Vec::new();
        for kind in Kind::ALL {
            let text = std::fs::read_to_string(config.out.join(kind.file())).unwrap();
            written.extend(text.lines().map(|line| {
                let start = line.find("lm0").unwrap();
                line[start..start + 12].to_owned()
            }));
        }
        written.sort_unstable();
        let recorded: Vec<String> = std::fs::read_to_string(&ledger)
            .unwrap()
            .lines()
            .map(|line| line.split('\t').next().unwrap().to_owned())
            .collect();
        assert_eq!(written, recorded);
    }
}
