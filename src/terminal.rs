//! What a person at a terminal sees: the status line, events, and where a query is wrong.

mod table;

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::time::Duration;

use logmill_core::{Shutdown, StatusBoard};
use logmill_indexer_api::QueryError;
use serde_json::Value;
use tokio::task::JoinHandle;

pub(crate) use table::{Table, or_dash};

/// A line at the bottom of the terminal that is written over every second. Nothing where there is no terminal.
pub(crate) struct StatusLine {
    stop: Shutdown,
    task: Option<JoinHandle<()>>,
}

impl StatusLine {
    /// Shows how the stages behind `boards` are doing.
    pub(crate) fn start(boards: Vec<Arc<StatusBoard>>) -> Self {
        let stop = Shutdown::new();
        let task = std::io::stderr().is_terminal().then(|| tokio::spawn(show(boards, stop.clone())));
        Self { stop, task }
    }

    /// Takes the line away.
    pub(crate) async fn stop(self) {
        self.stop.trigger();
        if let Some(task) = self.task {
            // It only draws; how it ended does not matter.
            let _ = task.await;
        }
    }
}

async fn show(boards: Vec<Arc<StatusBoard>>, stop: Shutdown) {
    const STAGES: [(&str, &str, &str); 4] = [
        ("shipper", "lines", "read"),
        ("bus", "records", "bus"),
        ("processor", "events", "parsed"),
        ("indexer", "events", "indexed"),
    ];
    let mut before = [0_u64; STAGES.len()];
    while stop.unless(tokio::time::sleep(Duration::from_secs(1))).await.is_some() {
        let mut line = String::new();
        for ((stage, counter, word), last) in STAGES.iter().zip(&mut before) {
            let Some(status) = boards.iter().find(|board| board.stage() == *stage).map(|board| board.snapshot()) else {
                continue;
            };
            let total = status.counters.get(*counter).copied().unwrap_or_default();
            line += &format!("{word} {}/s  ", total.saturating_sub(*last));
            *last = total;
            if *stage == "indexer" {
                line += &format!("behind {:.0}  ", status.gauges.get("lag_events").copied().unwrap_or_default());
            }
        }
        if let Some(problem) = boards.iter().flat_map(|board| board.snapshot().problems).next() {
            line += &format!("! {problem}");
        }
        let line: String = line.chars().take(110).collect();
        // The terminal went away: the log still says everything.
        let _ = write!(std::io::stderr(), "\r\x1b[2K{line}");
    }
    let _ = writeln!(std::io::stderr(), "\r\x1b[2Kstopping");
}

/// Prints one event: whole as JSON, or its time, level, service and message.
#[allow(clippy::print_stdout)]
pub(crate) fn print_event(event: &Value, json: bool) {
    if json {
        println!("{event}");
        return;
    }
    let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let message = printable(text("/message"));
    println!("{}  {:<5}  {:<12}  {message}", text("/@timestamp"), text("/log/level"), text("/service/name"));
}

/// Log text may hold escape sequences that would take over the terminal.
pub(crate) fn printable(text: &str) -> String {
    text.chars()
        .map(|letter| if letter.is_control() && !matches!(letter, '\n' | '\t') { '\u{fffd}' } else { letter })
        .collect()
}

/// A query error with the query and a caret under the place.
pub(crate) fn query_error(query: &str, error: &QueryError) -> anyhow::Error {
    let before = query.get(..error.span.start).map_or(0, |text| text.chars().count());
    let hint = error.hint.as_deref().map(|hint| format!("\n{hint}")).unwrap_or_default();
    anyhow::anyhow!("{}\n  {query}\n  {}^{hint}", error.message, " ".repeat(before))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_do_not_reach_the_terminal() {
        assert_eq!(printable("a\x1b[31mb\tc\n"), "a\u{fffd}[31mb\tc\n");
    }
}
