//! Sizes and durations as people write them: `64 MiB`, `1.5s`, `7d`.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A number of bytes: a whole number, or text with a unit (`KiB`, `MiB`, `GiB`, `TiB`, `kB`, `MB`, `GB`, `TB`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(pub u64);

/// A duration: text with a unit (`ms`, `s`, `m`, `h`, `d`), or a whole number of seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Period(pub Duration);

impl Period {
    /// So many milliseconds.
    #[must_use]
    pub const fn millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }

    /// So many seconds.
    #[must_use]
    pub const fn secs(secs: u64) -> Self {
        Self(Duration::from_secs(secs))
    }
}

const BYTE_UNITS: [(&str, u64); 10] = [
    ("B", 1),
    ("kB", 1_000),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];
const TIME_UNITS_MS: [(&str, u64); 5] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

impl ByteSize {
    fn parse(text: &str) -> Option<Self> {
        scaled(text, &BYTE_UNITS).map(Self)
    }
}

impl Period {
    fn parse(text: &str) -> Option<Self> {
        scaled(text, &TIME_UNITS_MS).map(Self::millis)
    }
}

/// `number unit` in the smallest unit; whole numbers exactly, fractions rounded. `None` beyond `u64`.
fn scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let text = text.trim();
    let split = text.find(|letter: char| !letter.is_ascii_digit() && letter != '.')?;
    let (number, unit) = text.split_at(split);
    let factor = units.iter().find(|(name, _)| *name == unit.trim())?.1;
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(factor);
    }
    let scaled = number.parse::<f64>().ok()? * factor as f64;
    (scaled < u64::MAX as f64).then_some(scaled.round() as u64)
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)]
            .into_iter()
            .find(|(_, shift)| self.0 >> shift > 0 && self.0.trailing_zeros() >= *shift);
        match fits {
            Some((unit, shift)) => write!(f, "{} {unit}", self.0 >> shift),
            None => write!(f, "{} B", self.0),
        }
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        let fits =
            TIME_UNITS_MS.iter().rev().find(|(_, factor)| millis > 0 && millis.is_multiple_of(u128::from(*factor)));
        match fits {
            Some((unit, factor)) => write!(f, "{}{unit}", millis / u128::from(*factor)),
            None => write!(f, "{millis}ms"),
        }
    }
}

macro_rules! written_with_units {
    ($type:ident, $from_number:expr, $expected:literal) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Written;
                impl Visitor<'_> for Written {
                    type Value = $type;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expected)
                    }
                    fn visit_u64<E: Error>(self, number: u64) -> Result<$type, E> {
                        Ok($from_number(number))
                    }
                    fn visit_i64<E: Error>(self, number: i64) -> Result<$type, E> {
                        u64::try_from(number).map($from_number).map_err(|_| E::custom(concat!("expected ", $expected)))
                    }
                    fn visit_str<E: Error>(self, text: &str) -> Result<$type, E> {
                        $type::parse(text).ok_or_else(|| E::custom(format!("expected {}, not {text:?}", $expected)))
                    }
                }
                deserializer.deserialize_any(Written)
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": ["integer", "string"], "format": $expected })
            }
            fn inline_schema() -> bool {
                true
            }
        }
    };
}

written_with_units!(ByteSize, ByteSize, "a size like 64 MiB");
written_with_units!(Period, Period::secs, "a duration like 30s");

/// Whether a text is of the kind that a schema's `format` names; unknown formats accept anything.
pub(super) fn text_fits(format: &str, text: &str) -> bool {
    match format {
        "a size like 64 MiB" => ByteSize::parse(text).is_some(),
        "a duration like 30s" => Period::parse(text).is_some(),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_what_people_write() {
        for (text, bytes) in [("64 MiB", 64 << 20), ("1.5KiB", 1536), ("10 GB", 10_000_000_000), ("7B", 7)] {
            assert_eq!(ByteSize::parse(text), Some(ByteSize(bytes)), "{text}");
        }
        for (text, millis) in [("250ms", 250), ("1.5s", 1500), ("7d", 604_800_000), ("2 h", 7_200_000)] {
            assert_eq!(Period::parse(text), Some(Period::millis(millis)), "{text}");
        }
        for text in ["", "MiB", "12", "1 parsec", "99999999999999999999 GiB", "-1s", "1..2s"] {
            assert_eq!((ByteSize::parse(text), Period::parse(text)), (None, None), "{text}");
        }
    }

    proptest! {
        #[test]
        fn prints_and_parses_back(bytes: u64, millis in 0u64..1 << 50) {
            prop_assert_eq!(ByteSize::parse(&ByteSize(bytes).to_string()), Some(ByteSize(bytes)));
            prop_assert_eq!(Period::parse(&Period::millis(millis).to_string()), Some(Period::millis(millis)));
        }
    }
}
