//! What the shipper says of its files.

use serde_json::json;

use super::source::Source;
use super::tail::{Moment, Tail};
use crate::output::Output;

/// More files than this are not listed one by one; those furthest behind come first.
const FILES_MAX: usize = 50;

impl<O: Output> Tail<O> {
    /// Brings the board up to date.
    pub(crate) fn report_status(&self, now: &Moment) {
        let lag = |source: &Source| if source.entry.short { 0 } else { source.size.saturating_sub(source.entry.acked) };
        let total: u64 = self.sources.values().map(lag).sum();
        let oldest = self.sources.values().map(|source| source.oldest_ms(now.ms)).max().unwrap_or(0);
        self.board.set_gauge("files_open", self.open_files as f64);
        self.board.set_gauge("files_known", self.sources.len() as f64);
        self.board.set_gauge("files_held_back", self.strangers.len() as f64);
        self.board.set_gauge("lag_bytes", total as f64);
        self.board.set_gauge("oldest_unacked_ms", oldest as f64);
        let mut files: Vec<_> = self.sources.values().filter(|source| source.missing == 0).collect();
        files.sort_by_key(|source| (std::cmp::Reverse(lag(source)), !source.is_open(), &source.path));
        let list = files.iter().take(FILES_MAX).map(|source| {
            json!({
                "id": source.entry.id.to_string(),
                "path": source.path.to_string_lossy(),
                "size": source.size,
                "acked": source.entry.acked,
                "lag_bytes": lag(source),
                "open": source.is_open(),
                "gzip": source.entry.gzip,
            })
        });
        self.board.set_details(json!({ "files": list.collect::<Vec<_>>() }));
    }
}
