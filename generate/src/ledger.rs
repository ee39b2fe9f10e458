//! The record of every line that was written, kept beside the logs and never among them.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use crate::Kind;

/// Writes `id<TAB>microseconds since 1970<TAB>kind` for every line, after the line itself was written.
pub(crate) struct Ledger(Option<BufWriter<File>>);

impl Ledger {
    pub(crate) fn open(path: Option<&Path>) -> std::io::Result<Self> {
        let Some(path) = path else { return Ok(Self(None)) };
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        Ok(Self(Some(BufWriter::new(File::create(path)?))))
    }

    /// Records lines `first..first + count` of `kind`, written at `at_us`.
    pub(crate) fn record(&mut self, first: u64, count: u64, at_us: i64, kind: Kind) -> std::io::Result<()> {
        let Some(file) = &mut self.0 else { return Ok(()) };
        for number in first..first + count {
            writeln!(file, "{}\t{at_us}\t{}", LineId(number), kind.name())?;
        }
        Ok(())
    }

    pub(crate) fn flush(&mut self) -> std::io::Result<()> {
        self.0.as_mut().map_or(Ok(()), BufWriter::flush)
    }
}

/// The id of a line: one word for every tokenizer, of one length, so that ids sort as text.
#[derive(Clone, Copy)]
pub(crate) struct LineId(pub(crate) u64);

impl std::fmt::Display for LineId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "lm{:010}", self.0)
    }
}
