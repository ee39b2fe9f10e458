//! Settings of topics under Kafka's names: which there are, what they default to, what they amount to.

use std::collections::BTreeMap;
use std::time::Duration;

use logmill_bus_log::{Codec, Compaction, Retention, Rules, Stamp, Tuning};

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

/// Default of `segment.ms`, a week, as Kafka's.
const SEGMENT_MS: i64 = 604_800_000;
/// One partition is compacted at a time: about 800,000 keys a round.
const COMPACTION_MEMORY_BYTES: usize = 64 << 20;
/// Kept for tools that always send it.
const NO_EFFECT: &str = "taken for the sake of tools that set it; without effect on a broker that stands alone";

/// All that may be set.
pub(crate) const SETTINGS: &[Setting] = &[
    Setting {
        name: "cleanup.policy",
        kind: Kind::List,
        default: "delete",
        allowed: Some(&["delete", "compact"]),
        about: "how old records go: `delete` removes them by time and size, `compact` keeps the last of each key",
    },
    one_of(
        "compression.type",
        "producer",
        &["producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"],
        "how batches are stored: as the `producer` compressed them, or compressed anew",
    ),
    setting("delete.retention.ms", Kind::Long, "86400000", "how long compaction keeps the mark of a deleted key"),
    setting("file.delete.delay.ms", Kind::Long, "60000", NO_EFFECT),
    setting("flush.messages", Kind::Long, "9223372036854775807", NO_EFFECT),
    setting("flush.ms", Kind::Long, "9223372036854775807", NO_EFFECT),
    setting("index.interval.bytes", Kind::Int, "4096", NO_EFFECT),
    setting(
        "max.compaction.lag.ms",
        Kind::Long,
        "9223372036854775807",
        "records are compacted after this time at the latest, however few there are",
    ),
    setting("max.message.bytes", Kind::Int, "", "the largest batch of records that is taken"),
    // Gone with Kafka 4, still sent by tools that were made for 3.
    one_of("message.downconversion.enable", "true", &["true", "false"], NO_EFFECT),
    setting("message.format.version", Kind::Text, "3.0-IV1", NO_EFFECT),
    setting(
        "message.timestamp.after.max.ms",
        Kind::Long,
        "9223372036854775807",
        "how far a producer's time may lie after the broker's; with CreateTime only",
    ),
    setting(
        "message.timestamp.before.max.ms",
        Kind::Long,
        "9223372036854775807",
        "how far a producer's time may lie before the broker's; with CreateTime only",
    ),
    one_of(
        "message.timestamp.type",
        "CreateTime",
        &["CreateTime", "LogAppendTime"],
        "whose clock stamps records: the producer's or the broker's",
    ),
    setting(
        "min.cleanable.dirty.ratio",
        Kind::Double,
        "0.5",
        "compaction begins when this part of the log was not compacted yet",
    ),
    setting("min.compaction.lag.ms", Kind::Long, "0", "records younger than this are not compacted"),
    one_of("min.insync.replicas", "1", &["1"], "there is one replica"),
    one_of("preallocate", "true", &["true", "false"], NO_EFFECT),
    setting("retention.bytes", Kind::Long, "", "the oldest records of a partition go beyond this size; -1 is never"),
    setting("retention.ms", Kind::Long, "", "records older than this go; -1 is never"),
    setting("segment.bytes", Kind::Int, "", "a log is kept in files of this size, of at least 4096"),
    setting("segment.index.bytes", Kind::Int, "10485760", NO_EFFECT),
    setting("segment.jitter.ms", Kind::Long, "0", NO_EFFECT),
    setting("segment.ms", Kind::Long, "604800000", "a file is closed so long after its first record came"),
    one_of("unclean.leader.election.enable", "false", &["true", "false"], NO_EFFECT),
    Setting {
        name: "write.caching",
        kind: Kind::Bool,
        default: "false",
        allowed: Some(&["true", "false"]),
        about: "acknowledges records before they are on disk (within 100 ms they are)",
    },
];

/// The words of a value: of a list each of them, of anything else the whole.
fn words<'v>(setting: &Setting, value: &'v str) -> impl Iterator<Item = &'v str> {
    let is_list = setting.kind == Kind::List;
    value.split(move |letter| is_list && letter == ',').map(move |word| if is_list { word.trim() } else { word })
}

/// What is wrong with settings, if anything.
pub(crate) fn check_settings(settings: &BTreeMap<String, String>) -> Result<(), String> {
    for (name, value) in settings {
        let Some(known) = SETTINGS.iter().find(|setting| setting.name == name) else {
            return Err(format!("there is no topic setting `{name}`"));
        };
        if let Some(allowed) = known.allowed
            && !words(known, value).all(|word| allowed.contains(&word))
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
            // There is one such setting, and it is a part of a whole.
            Kind::Double => value.parse::<f64>().is_ok_and(|part| (0.0..=1.0).contains(&part)),
            Kind::Bool | Kind::Text | Kind::List => true,
        };
        if !fits {
            let most = if known.kind == Kind::Double { " and at most 1" } else { "" };
            return Err(format!("`{name}` must be a number of at least {least}{most}, not `{value}`"));
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
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Limits {
    /// Nothing where the topic is only compacted.
    pub(crate) retention: Retention,
    pub(crate) message_bytes_max: usize,
    pub(crate) stamp: Stamp,
    /// What is asked of batches besides.
    pub(crate) rules: Rules,
    /// How the logs' files are cut.
    pub(crate) tuning: Tuning,
    /// How the topic is compacted, if it is.
    pub(crate) compaction: Option<Compaction>,
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
        // So long that it is never.
        let unless_endless = |name: &str| Some(number(name, i64::MAX)).filter(|value| *value < i64::MAX);
        let policy = settings.get("cleanup.policy").map_or("delete", String::as_str);
        let does = |what: &str| policy.split(',').any(|word| word.trim() == what);
        let retention = Retention {
            max_age: limit(number("retention.ms", self.retention_ms)).map(Duration::from_millis),
            max_bytes: limit(number("retention.bytes", self.retention_bytes)),
        };
        // A record can only be compacted once its segment is closed.
        let mut segment_ms = number("segment.ms", SEGMENT_MS);
        if does("compact") {
            segment_ms = segment_ms.min(number("max.compaction.lag.ms", i64::MAX));
        }
        Limits {
            retention: if does("delete") { retention } else { Retention::default() },
            message_bytes_max: usize::try_from(number("max.message.bytes", self.message_bytes_max)).unwrap_or(0),
            stamp: match is("message.timestamp.type", "LogAppendTime") {
                true => Stamp::LogAppendTime,
                false => Stamp::CreateTime,
            },
            rules: Rules {
                compression: settings.get("compression.type").and_then(|name| codec(name)),
                keyed: does("compact"),
                before_max_ms: unless_endless("message.timestamp.before.max.ms"),
                after_max_ms: unless_endless("message.timestamp.after.max.ms"),
            },
            tuning: Tuning {
                segment_bytes: limit(number("segment.bytes", self.segment_bytes)).unwrap_or(u64::MAX),
                segment_age: limit(segment_ms).map(Duration::from_millis),
            },
            compaction: does("compact").then(|| compaction(settings)),
            write_caching: is("write.caching", "true"),
        }
    }
}

fn compaction(settings: &BTreeMap<String, String>) -> Compaction {
    let value = |name: &str| {
        let own = settings.get(name).map(String::as_str);
        own.or_else(|| SETTINGS.iter().find(|setting| setting.name == name).map(|setting| setting.default))
    };
    let millis = |name: &str| value(name).and_then(|value| value.parse::<u64>().ok());
    Compaction {
        dirty_ratio_min: value("min.cleanable.dirty.ratio").and_then(|value| value.parse().ok()).unwrap_or(0.5),
        lag_min: Duration::from_millis(millis("min.compaction.lag.ms").unwrap_or(0)),
        lag_max: millis("max.compaction.lag.ms").filter(|lag| *lag < i64::MAX as u64).map(Duration::from_millis),
        tombstones_for: Duration::from_millis(millis("delete.retention.ms").unwrap_or(0)),
        memory_bytes: COMPACTION_MEMORY_BYTES,
    }
}

fn codec(name: &str) -> Option<Codec> {
    match name {
        "uncompressed" => Some(Codec::None),
        "gzip" => Some(Codec::Gzip),
        "snappy" => Some(Codec::Snappy),
        "lz4" => Some(Codec::Lz4),
        "zstd" => Some(Codec::Zstd),
        _ => None,
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
        for wrong in [("retention.ms", "soon"), ("no.such", "1"), ("cleanup.policy", "shrink"), ("segment.ms", "-5")] {
            assert!(check_settings(&set(&[wrong])).is_err(), "{wrong:?}");
        }
    }
    #[test]
    fn settings_of_compaction_compression_and_files_take_effect() {
        let defaults = Defaults::new(&Config::default());
        let plain = defaults.limits(&set(&[]));
        assert_eq!((plain.rules, plain.tuning.segment_bytes), (Rules::default(), 256 << 20));
        let own = set(&[
            ("cleanup.policy", "compact, delete"),
            ("compression.type", "lz4"),
            ("segment.bytes", "70000"),
            ("segment.ms", "9000"),
            ("max.compaction.lag.ms", "5000"),
            ("message.timestamp.before.max.ms", "77"),
            ("min.cleanable.dirty.ratio", "0.1"),
        ]);
        assert_eq!(check_settings(&own), Ok(()));
        let own = defaults.limits(&own);
        let rules = Rules { compression: Some(Codec::Lz4), keyed: true, before_max_ms: Some(77), after_max_ms: None };
        assert_eq!(own.rules, rules);
        assert_eq!(own.tuning, Tuning { segment_bytes: 70_000, segment_age: Some(Duration::from_secs(5)) });
        assert!(own.retention.max_age.is_some());
        let compaction = own.compaction.unwrap();
        assert_eq!((compaction.dirty_ratio_min, compaction.lag_max), (0.1, Some(Duration::from_secs(5))));
        assert_eq!((compaction.lag_min, compaction.tombstones_for), (Duration::ZERO, Duration::from_secs(86_400)));
        assert_eq!(plain.compaction, None);
        let compacted = defaults.limits(&set(&[("cleanup.policy", "compact"), ("retention.ms", "1")]));
        assert_eq!(compacted.retention, Retention::default(), "time removes nothing that is only compacted");
        for wrong in [("cleanup.policy", ""), ("min.cleanable.dirty.ratio", "1.5"), ("compression.type", "gzip,lz4")] {
            assert!(check_settings(&set(&[wrong])).is_err(), "{wrong:?}");
        }
    }
}
