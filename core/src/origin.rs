//! Where an event came from, carried in record headers so that the value stays the bare event.
//!
//! Encoded as decimal text, so that any Kafka tool shows it: `logmill-source: <id>` and
//! `logmill-origin: <generation>:<start>:<end>:<part>`; after the processor also
//! `logmill-raw: <topic>/<partition>/<offset>`.

use std::fmt;
use std::str::FromStr;

/// Header: the id of the source (a file's random 128-bit id in hex, or another input's stable name).
pub const SOURCE_HEADER: &str = "logmill-source";
/// Header: the place within the source.
pub const ORIGIN_HEADER: &str = "logmill-origin";
/// Header: the record of the raw topic that an event was made of.
pub const RAW_HEADER: &str = "logmill-raw";
/// Header: the index that the event is to be stored in.
pub const INDEX_HEADER: &str = "logmill-index";
/// Header: the document id that a client chose through `_bulk`.
pub const ID_HEADER: &str = "logmill-id";
/// Header: the operation that a client chose through `_bulk` (`create`, `index`, `delete`); absent means `create`.
/// A record that deletes has no value.
pub const OP_HEADER: &str = "logmill-op";
/// Header: how often the document of the id has been written, in decimal; absent means once.
pub const VERSION_HEADER: &str = "logmill-version";

/// Source ids longer than this are refused: watermarks are kept per source.
pub const SOURCE_BYTES_MAX: usize = 64;

/// A stretch of a source that became one event. Of two origins of one source the later one is greater,
/// so "already stored" is one comparison with the highest stored origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Origin {
    /// Counts how often the source began anew (a file truncated in place).
    pub generation: u32,
    /// First byte (or sequence number, for inputs that are not files) of the stretch.
    pub start: u64,
    /// One past its last byte.
    pub end: u64,
    /// Counts the events that one stretch became, from 0, when a pipeline sends it to several places.
    pub part: u32,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}:{}", self.generation, self.start, self.end, self.part)
    }
}

/// The header does not hold `generation:start:end:part`.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("an origin is generation:start:end:part in decimal, not {0:?}")]
pub struct OriginError(String);

impl FromStr for Origin {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, OriginError> {
        let refused = || OriginError(text.chars().take(80).collect());
        let mut parts = text.split(':');
        let mut next = || parts.next().and_then(|part| part.parse::<u64>().ok()).ok_or_else(refused);
        let (generation, start, end, part) = (next()?, next()?, next()?, next()?);
        let narrow = |wide: u64| u32::try_from(wide).map_err(|_| refused());
        let origin = Self { generation: narrow(generation)?, start, end, part: narrow(part)? };
        if parts.next().is_some() || start > end { Err(refused()) } else { Ok(origin) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn prints_and_parses_back(generation: u32, start: u64, length in 0u64..1 << 40, part: u32) {
            let origin = Origin { generation, start, end: start.saturating_add(length), part };
            prop_assert_eq!(origin.to_string().parse(), Ok(origin));
        }

        #[test]
        fn later_stretches_are_greater(generation in 0u32..9, start in 0u64..1 << 40, length in 1u64..1 << 20) {
            let first = Origin { generation, start, end: start + length, part: 0 };
            let again = Origin { part: 1, ..first };
            let next = Origin { start: first.end, end: first.end + 1, ..first };
            let regrown = Origin { generation: generation + 1, start: 0, end: 1, part: 0 };
            prop_assert!(first < again && again < next && next < regrown);
        }

        #[test]
        fn junk_is_refused_not_panicked_on(text: String) {
            let _ = text.parse::<Origin>();
        }
    }

    #[test]
    fn refuses_what_is_not_an_origin() {
        for text in ["", "1:2:3", "1:2:3:4:5", "1:9:3:0", "-1:0:0:0", "4294967296:0:0:0", "a:b:c:d"] {
            assert!(text.parse::<Origin>().is_err(), "{text}");
        }
    }
}
