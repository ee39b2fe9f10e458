//! Settings of topics under Kafka's names: which there are, what they default to, what they amount to.

use std::collections::BTreeMap;
use std::time::Duration;

use logmill_bus_log::{Retention, Stamp};

use crate::config::Config;

/// How a setting is described to clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Bool,
    Text,
    Int,
    Long,
    List,
    Double,
}

impl Kind {
    /// The number that DescribeConfigs uses.
    pub(crate) const fn code(self) -> i8 {
        match self {
            Self::Bool => 1,
            Self::Text => 2,
            Self::Int => 3,
            Self::Long => 5,
            Self::Double => 6,
            Self::List => 7,
        }
    }
}

/// One setting.
#[derive(Debug)]
pub(crate) struct Setting {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// What holds where nothing is set and the broker's configuration has no say.
    pub(crate) default: &'static str,
    /// The values taken: `None` is any of the kind.
    allowed: Option<&'static [&'static str]>,
    /// What it does here, for clients that ask for documentation.
    pub(crate) about: &'static str,
}

const fn setting(name: &'static str, kind: Kind, default: &'static str, about: &'static str) -> Setting {
    Setting { name, kind, default, allowed: None, about }
}

const fn one_of(
    name: &'static str,
    default: &'static str,
    allowed: &'static [&'static str],
    about: &'static str,
) -> Setting {
    Setting { name, kind: Kind::Text, default, allowed: Some(allowed), about }
}

/// Kept for tools that always send it.
const NO_EFFECT: &str = "taken for the sake of tools that set it; without effect on a broker that stands alone";

/// All that may be set.
pub(crate) const SETTINGS: &[Setting] = &[
    Setting {
        name: "cleanup.policy",
        kind: Kind::List,
        default: "delete",
        allowed: Some(&["delete"]),
        about: "how old records go: `delete` removes them by time and size; compaction is not offered",
    },
    one_of("compression.type", "producer", &["producer"], "batches are kept as the producer compressed them"),
    setting("delete.retention.ms", Kind::Long, "86400000", NO_EFFECT),
    setting("file.delete.delay.ms", Kind::Long, "60000", NO_EFFECT),
    setting("flush.messages", Kind::Long, "9223372036854775807", NO_EFFECT),
    setting("flush.ms", Kind::Long, "9223372036854775807", NO_EFFECT),
    setting("index.interval.bytes", Kind::Int, "4096", NO_EFFECT),
    setting("max.compaction.lag.ms", Kind::Long, "9223372036854775807", NO_EFFECT),
    setting("max.message.bytes", Kind::Int, "", "the largest batch of records that is taken"),
    setting("message.timestamp.after.max.ms", Kind::Long, "9223372036854775807", NO_EFFECT),
    setting("message.timestamp.before.max.ms", Kind::Long, "9223372036854775807", NO_EFFECT),
    one_of(
        "message.timestamp.type",
        "CreateTime",
        &["CreateTime", "LogAppendTime"],
        "whose clock stamps records: the producer's or the broker's",
    ),
    setting("min.cleanable.dirty.ratio", Kind::Double, "0.5", NO_EFFECT),
    setting("min.compaction.lag.ms", Kind::Long, "0", NO_EFFECT),
    one_of("min.insync.replicas", "1", &["1"], "there is one replica"),
    one_of("preallocate", "true", &["true", "false"], NO_EFFECT),
    setting("retention.bytes", Kind::Long, "", "the oldest records of a partition go beyond this size; -1 is never"),
    setting("retention.ms", Kind::Long, "", "records older than this go; -1 is never"),
    setting("segment.bytes", Kind::Int, "", "size of a log's files; the broker's own setting holds for all topics"),
    setting("segment.index.bytes", Kind::Int, "10485760", NO_EFFECT),
    setting("segment.jitter.ms", Kind::Long, "0", NO_EFFECT),
    setting("segment.ms", Kind::Long, "604800000", NO_EFFECT),
    one_of("unclean.leader.election.enable", "false", &["true", "false"], NO_EFFECT),
    Setting {
        name: "write.caching",
        kind: Kind::Bool,
        default: "false",
        allowed: Some(&["true", "false"]),
        about: "acknowledges records before they are on disk (within 100 ms they are)",
    },
];

/// What is wrong with settings, if anything.
pub(crate) fn check_settings(settings: &BTreeMap<String, String>) -> Result<(), String> {
    for (name, value) in settings {
        let Some(known) = SETTINGS.iter().find(|setting| setting.name == name) else {
            return Err(format!("there is no topic setting `{name}`"));
        };
        if let Some(allowed) = known.allowed
            && !allowed.contains(&value.as_str())
        {
            return Err(format!("`{name}` can't be `{value}` here, only {}", allowed.join(" or ")));
        }
        let least = match name.as_str() {
            "retention.ms" | "retention.bytes" => -1,
            _ => 0,
        };
        let fits = match known.kind {
            Kind::Int => value.parse::<i32>().is_ok_and(|value| i64::from(value) >= least),
            Kind::Long => value.parse::<i64>().is_ok_and(|value| value >= least),
            Kind::Double => value.parse::<f64>().is_ok(),
            Kind::Bool | Kind::Text | Kind::List => true,
        };
        if !fits {
            return Err(format!("`{name}` must be a number of at least {least}, not `{value}`"));
        }
    }
    Ok(())
}

/// What holds where a topic sets nothing, from the broker's configuration.
#[derive(Clone, Debug)]
pub(crate) struct Defaults {
    pub(crate) partitions: i32,
    retention_ms: i64,
    retention_bytes: i64,
    message_bytes_max: i64,
    segment_bytes: i64,
}

/// What the settings of a topic amount to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) retention: Retention,
    pub(crate) message_bytes_max: usize,
    pub(crate) stamp: Stamp,
    /// Acknowledge before the disk has it.
    pub(crate) write_caching: bool,
}

impl Defaults {
    pub(crate) fn new(config: &Config) -> Self {
        let long = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        Self {
            partitions: i32::from(config.default_partitions),
            retention_ms: i64::try_from(config.retention.period.0.as_millis()).unwrap_or(i64::MAX),
            retention_bytes: config.retention.bytes.map_or(-1, |size| long(size.0)),
            message_bytes_max: long(config.message_bytes_max.0),
            segment_bytes: long(config.segment_bytes.0),
        }
    }

    /// What a setting is where a topic does not set it.
    pub(crate) fn of(&self, setting: &Setting) -> String {
        match setting.name {
            "retention.ms" => self.retention_ms.to_string(),
            "retention.bytes" => self.retention_bytes.to_string(),
            "max.message.bytes" => self.message_bytes_max.to_string(),
            "segment.bytes" => self.segment_bytes.to_string(),
            _ => setting.default.to_owned(),
        }
    }

    /// What `settings` amount to over these defaults.
    pub(crate) fn limits(&self, settings: &BTreeMap<String, String>) -> Limits {
        let number = |name: &str, default: i64| {
            settings.get(name).and_then(|value| value.parse::<i64>().ok()).unwrap_or(default)
        };
        let is = |name: &str, value: &str| settings.get(name).is_some_and(|set| set == value);
        // Negative is without limit.
        let limit = |value: i64| u64::try_from(value).ok();
        Limits {
            retention: Retention {
                max_age: limit(number("retention.ms", self.retention_ms)).map(Duration::from_millis),
                max_bytes: limit(number("retention.bytes", self.retention_bytes)),
            },
            message_bytes_max: usize::try_from(number("max.message.bytes", self.message_bytes_max)).unwrap_or(0),
            stamp: match is("message.timestamp.type", "LogAppendTime") {
                true => Stamp::LogAppendTime,
                false => Stamp::CreateTime,
            },
            write_caching: is("write.caching", "true"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn settings_override_the_defaults_and_nonsense_is_refused() {
        let defaults = Defaults::new(&Config::default());
        let plain = defaults.limits(&set(&[]));
        assert_eq!(plain.retention.max_age, Some(Duration::from_secs(7 * 86_400)));
        assert_eq!((plain.retention.max_bytes, plain.stamp), (None, Stamp::CreateTime));
        let own = set(&[
            ("retention.ms", "-1"),
            ("retention.bytes", "1000"),
            ("message.timestamp.type", "LogAppendTime"),
            ("max.message.bytes", "500"),
        ]);
        assert_eq!(check_settings(&own), Ok(()));
        let own = defaults.limits(&own);
        assert_eq!((own.retention.max_age, own.retention.max_bytes), (None, Some(1000)));
        assert_eq!((own.stamp, own.message_bytes_max), (Stamp::LogAppendTime, 500));
        for wrong in [("retention.ms", "soon"), ("no.such", "1"), ("cleanup.policy", "compact"), ("segment.ms", "-5")] {
            assert!(check_settings(&set(&[wrong])).is_err(), "{wrong:?}");
        }
    }
}
