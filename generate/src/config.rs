//! What is written, where and how fast.

use std::path::PathBuf;
use std::time::Duration;

use logmill_core::config::{ByteSize, Checked, Period};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Ten years: calendars and tests of retention need no more.
const AGO_MAX: Duration = Duration::from_secs(3650 * 86_400);

/// A workload.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The folder that the log files are written to; made if it is missing.
    pub out: PathBuf,
    /// Lines a second, all kinds together.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub rate: u64,
    /// Stops after so many lines; 0 goes on until stopped.
    pub lines: u64,
    /// Stops after so long; 0 goes on until stopped.
    pub duration: Period,
    /// The log begins so far in the past; that part is written as fast as it goes, at `rate` lines for each of its seconds.
    pub ago: Period,
    /// Two runs with the same seed write the same events; only their times differ.
    pub seed: u64,
    /// Which kinds of logs.
    pub kinds: Vec<Kind>,
    /// When and how the files are rotated.
    pub rotation: Rotation,
    /// How often a burst of errors begins, on average; 0 for none.
    pub burst_every: Period,
    /// How long a burst lasts.
    pub burst_length: Period,
    /// Where every line written is recorded (`id`, microseconds since 1970, kind; separated by tabs); no ledger when absent.
    pub ledger: Option<PathBuf>,
}

/// When and how files are rotated. How depends on the kind, so that every way is met: nginx and key=value logs
/// are renamed, Java logs renamed and compressed one rotation later, JSON logs copied and truncated, syslog
/// copied, truncated and compressed later.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Rotation {
    /// A file is rotated when it has grown to this; 0 never rotates.
    pub size: ByteSize,
    /// Rotated files that are kept of each kind; the oldest goes beyond it.
    #[schemars(range(min = 1, max = 10_000))]
    pub keep: u32,
}

/// A kind of log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// nginx access log, combined format.
    Nginx,
    /// Java (logback) with multi-line stack traces.
    Java,
    /// One JSON object a line.
    Json,
    /// RFC 5424 syslog.
    Syslog,
    /// key=value (logfmt).
    Kv,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Nginx, Self::Java, Self::Json, Self::Syslog, Self::Kv];

    /// The file's folder and name below `out`.
    #[must_use]
    pub const fn file(self) -> &'static str {
        match self {
            Self::Nginx => "nginx/access.log",
            Self::Java => "shop/shop.log",
            Self::Json => "payments/payments.log",
            Self::Syslog => "syslog/messages.log",
            Self::Kv => "gateway/gateway.log",
        }
    }

    /// The name in the ledger.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Java => "java",
            Self::Json => "json",
            Self::Syslog => "syslog",
            Self::Kv => "kv",
        }
    }
}

impl Default for Rotation {
    fn default() -> Self {
        Self { size: ByteSize(16 << 20), keep: 5 }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            out: PathBuf::from("logs"),
            rate: 200,
            lines: 0,
            duration: Period::secs(0),
            ago: Period::secs(0),
            seed: 1,
            kinds: Kind::ALL.to_vec(),
            rotation: Rotation::default(),
            burst_every: Period::secs(45),
            burst_length: Period::secs(6),
            ledger: None,
        }
    }
}

impl Checked for Config {
    fn problems(&self) -> Vec<(String, String)> {
        let mut problems = Vec::new();
        if self.kinds.is_empty() {
            problems.push(("kinds".into(), "name at least one kind: nginx, java, json, syslog, kv".into()));
        }
        if self.ago.0 > AGO_MAX {
            problems.push(("ago".into(), "must be at most 3650d".into()));
        }
        problems
    }
}
