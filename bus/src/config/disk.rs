//! What is done before the disk is full.

use logmill_core::config::ByteSize;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What happens when the disk runs full.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DiskConfig {
    /// The disk counts as low when less than this is free: a size (`2 GiB`) or a part of the file system (`5%`);
    /// `0%` is never. `auto` is 5 %, but not more than 1 GiB.
    pub low_watermark: String,
    /// What is done on a low disk, until a quarter more than the watermark is free.
    pub policy: DiskPolicy,
}

/// What is done on a low disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DiskPolicy {
    /// Producers are told to try again later. Nothing is lost; who produces waits.
    #[default]
    BackPressure,
    /// The oldest records of the largest partitions are removed. Producers go on.
    DropOldest,
}

impl Default for DiskConfig {
    fn default() -> Self {
        Self { low_watermark: "auto".to_owned(), policy: DiskPolicy::default() }
    }
}

/// How much must be free.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Watermark {
    /// The smaller of 5 % and 1 GiB.
    Auto,
    Bytes(u64),
    Percent(f64),
}

impl DiskConfig {
    /// The watermark, or what is wrong with it.
    pub(crate) fn low_watermark(&self) -> Result<Watermark, String> {
        let text = self.low_watermark.trim();
        if text == "auto" {
            return Ok(Watermark::Auto);
        }
        if let Some(percent) = text.strip_suffix('%') {
            return match percent.trim().parse::<f64>() {
                Ok(percent) if (0.0..100.0).contains(&percent) => Ok(Watermark::Percent(percent)),
                _ => Err(format!("`{text}` is not between 0% and 100%")),
            };
        }
        let size = serde_json::from_value::<ByteSize>(serde_json::Value::String(text.to_owned()));
        size.map(|size| Watermark::Bytes(size.0))
            .map_err(|_| format!("`{text}` is no size, no percentage and not `auto`"))
    }
}

impl Watermark {
    /// The bytes that must be free of a file system of `total` bytes.
    pub(crate) fn of(self, total: u64) -> u64 {
        const AUTO_PERCENT: f64 = 5.0;
        const AUTO_BYTES_MAX: u64 = 1 << 30;
        let part = |percent: f64| (total as f64 * percent / 100.0) as u64;
        match self {
            Self::Auto => part(AUTO_PERCENT).min(AUTO_BYTES_MAX),
            Self::Bytes(bytes) => bytes,
            Self::Percent(percent) => part(percent),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Watermark, String> {
        DiskConfig { low_watermark: text.to_owned(), ..DiskConfig::default() }.low_watermark()
    }

    #[test]
    fn sizes_and_parts_are_understood_and_nonsense_is_not() {
        assert_eq!(parsed("2 GiB"), Ok(Watermark::Bytes(2 << 30)));
        assert_eq!(parsed(" 7.5 % "), Ok(Watermark::Percent(7.5)));
        assert_eq!(DiskConfig::default().low_watermark(), Ok(Watermark::Auto));
        for wrong in ["", "much", "-1%", "100%", "NaN%"] {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
        assert_eq!(Watermark::Auto.of(1000), 50);
        assert_eq!(Watermark::Auto.of(1 << 40), 1 << 30);
        assert_eq!((Watermark::Percent(10.0).of(500), Watermark::Bytes(7).of(500)), (50, 7));
    }
}
