//! Files that grow and are rotated: found, told apart, read, and kept track of until the bus has them.

mod adopt;
mod content;
pub(crate) mod discover;
pub(crate) mod identity;
mod save;
mod scan;
mod source;
mod status;
mod strangers;
mod tail;
mod turn;
pub(crate) mod watch;

pub(crate) use tail::{FileInput, Moment, Settings, Tail};

use regex::bytes::Regex;

use crate::config::{Filestream, Joins, StartAt};
use crate::encode::Shape;
use crate::split::{Join, Newline, Rules};
use discover::Wanted;

/// Makes an input ready. Patterns that were refused with the configuration count as absent here.
pub(crate) fn file_input(config: &Filestream, host: &str, wanted: Wanted) -> FileInput {
    let label = config.encoding.as_deref().unwrap_or("utf-8");
    let encoding = encoding_rs::Encoding::for_label(label.as_bytes()).unwrap_or(encoding_rs::UTF_8);
    let newline = if encoding == encoding_rs::UTF_16LE {
        Newline::Wide
    } else if encoding == encoding_rs::UTF_16BE {
        Newline::WideBig
    } else {
        Newline::Byte
    };
    let join = config.joined().and_then(|rule| {
        let pattern = Regex::new(&rule.pattern).ok()?;
        Some(Join { pattern, negate: rule.negate, before: rule.joins == Joins::Before, lines_max: rule.max_lines })
    });
    let millis = |period: logmill_core::config::Period| u64::try_from(period.0.as_millis()).unwrap_or(u64::MAX);
    let bytes_max = usize::try_from(config.max_bytes.0).unwrap_or(usize::MAX);
    FileInput {
        wanted,
        join_timeout_ms: config.joined().map(|rule| millis(rule.timeout)),
        rules: Rules { newline, encoding, join, bytes_max },
        shape: Shape::new(config, host, encoding),
        include_lines: regexes(&config.include_lines),
        exclude_lines: regexes(&config.exclude_lines),
        incomplete_ms: millis(config.incomplete_line_timeout),
        ignore_older_ms: millis(config.ignore_older),
        close_inactive_ms: millis(config.close_inactive),
        copy_hold_ms: millis(config.copy_hold),
        from_end: config.start_at == StartAt::End,
    }
}

pub(crate) fn regexes(patterns: &[String]) -> Vec<Regex> {
    patterns.iter().filter_map(|pattern| Regex::new(pattern).ok()).collect()
}

#[cfg(test)]
mod tests;
