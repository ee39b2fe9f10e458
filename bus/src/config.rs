//! How the broker is configured.

mod disk;
mod security;

use logmill_core::bus_access::BusAccess;
use logmill_core::config::{ByteSize, Checked, Period};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(crate) use disk::Watermark;
pub use disk::{DiskConfig, DiskPolicy};
pub use security::{AclConfig, ClientCertificate, ListenerConfig, Mechanism, OauthConfig, TlsConfig, UserConfig};

/// The bus between the stages: an embedded broker that speaks Kafka's protocol, or a Kafka cluster that is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where the embedded broker listens, `host:port`; port 0 picks a free one.
    pub listen: String,
    /// Allows the broker to listen beyond this machine although it has neither TLS nor authentication.
    pub insecure: bool,
    /// The address that clients are told to connect to, `host:port`; by default the one they came in on.
    pub advertised: Option<String>,
    /// An existing Kafka or Redpanda cluster to use instead of the embedded broker, `host:port` each. When this is
    /// set no broker is started and every other setting here is ignored.
    pub brokers: Vec<String>,
    /// Partitions of a topic for which no number was given.
    pub default_partitions: u16,
    /// Makes a topic when a client first asks for it.
    pub auto_create_topics: bool,
    /// How long and how much is kept where a topic has no settings of its own.
    pub retention: RetentionConfig,
    /// What happens when the disk runs full.
    pub disk: DiskConfig,
    /// A log is kept in files of this size; the oldest file is what retention removes.
    pub segment_bytes: ByteSize,
    /// The largest request that is read.
    pub request_bytes_max: ByteSize,
    /// The largest batch of records where a topic has no setting of its own (`max.message.bytes`).
    pub message_bytes_max: ByteSize,
    /// Clients that may be connected at a time; further ones are turned away.
    pub connections_max: usize,
    /// The same from one address; no limit of its own by default.
    pub connections_per_address_max: Option<usize>,
    /// How long TLS and authentication may take, and the first request may be waited for.
    pub handshake_timeout: Period,
    /// A connection on which nothing was asked for so long is closed (`connections.max.idle.ms`).
    pub idle_timeout: Period,
    /// Addresses to listen on in place of `listen`, each with its own rules for who may come in.
    pub listeners: Vec<ListenerConfig>,
    /// Users that log in with a password. Those that Kafka's tools make (SCRAM credentials) come on top.
    pub users: Vec<UserConfig>,
    /// Which bearer tokens are believed (OAUTHBEARER).
    pub oauth: Option<OauthConfig>,
    /// What clients may do.
    pub acls: AclConfig,
    /// How the program's own stages and commands reach the bus.
    pub client: BusAccess,
    /// Limits of transactions.
    pub transactions: TransactionsConfig,
}

/// Limits of transactions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TransactionsConfig {
    /// The longest timeout that a producer may ask for (`transaction.max.timeout.ms`): for so long an open transaction
    /// can hold up those who read committed records.
    pub timeout_max: Period,
    /// A transactional id that was not used for so long is forgotten (`transactional.id.expiration.ms`).
    pub ids_kept: Period,
}

impl Default for TransactionsConfig {
    fn default() -> Self {
        // As Kafka.
        Self { timeout_max: Period::secs(15 * 60), ids_kept: Period::secs(7 * 86_400) }
    }
}

/// How long and how much is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RetentionConfig {
    /// Records older than this are removed (`retention.ms`).
    pub period: Period,
    /// The oldest records of a partition are removed beyond this size (`retention.bytes`); none by default.
    pub bytes: Option<ByteSize>,
    /// The oldest records of the largest partitions are removed when all of them together take more than this;
    /// none by default.
    pub total_bytes: Option<ByteSize>,
    /// Consumer groups whose unread records are removed last: they outlive `period` and `bytes`, and go only when
    /// `total_bytes` or the disk leaves no other choice, with an alert. A group counts for the topics that it has
    /// committed an offset in.
    pub pinned_groups: Vec<String>,
    /// What a consumer group has committed is forgotten when the group had no members for so long
    /// (`offsets.retention.minutes`); of topics that a live group no longer reads, so long after the commit.
    pub offsets: Period,
}

impl Default for RetentionConfig {
    fn default() -> Self {
        // A week, as Kafka: long enough for a weekend's outage of whoever reads.
        let week = Period::secs(7 * 86_400);
        Self { period: week, bytes: None, total_bytes: None, pinned_groups: Vec::new(), offsets: week }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:9092".to_owned(),
            insecure: false,
            advertised: None,
            brokers: Vec::new(),
            // One worker a core on small machines; few enough that a group commit stays a few fsyncs.
            default_partitions: 4,
            auto_create_topics: true,
            retention: RetentionConfig::default(),
            disk: DiskConfig::default(),
            // Small enough that retention frees disk in useful steps, large enough that files stay few.
            segment_bytes: ByteSize(256 << 20),
            // As Kafka's `socket.request.max.bytes`.
            request_bytes_max: ByteSize(100 << 20),
            // Sixteen times Kafka's default: a multi-line event may be long, and a batch holds many.
            message_bytes_max: ByteSize(16 << 20),
            connections_max: 1000,
            connections_per_address_max: None,
            handshake_timeout: Period::secs(30),
            // As Kafka's.
            idle_timeout: Period::secs(600),
            listeners: Vec::new(),
            users: Vec::new(),
            oauth: None,
            acls: AclConfig::default(),
            client: BusAccess::default(),
            transactions: TransactionsConfig::default(),
        }
    }
}

/// Below this no client could even fetch metadata of a few topics.
const REQUEST_BYTES_LEAST: u64 = 64 << 10;
/// Smaller files would mean a file every few batches.
const SEGMENT_BYTES_LEAST: u64 = 1 << 20;
/// Positions in a segment's index are 32 bits.
const SEGMENT_BYTES_MOST: u64 = 1 << 30;

impl Checked for Config {
    fn problems(&self) -> Vec<(String, String)> {
        let mut problems = Vec::new();
        let mut refuse = |key: &str, message: String| problems.push((key.to_owned(), message));
        if self.default_partitions == 0 {
            refuse("default_partitions", "a topic has at least one partition".to_owned());
        }
        if self.request_bytes_max.0 < REQUEST_BYTES_LEAST || self.request_bytes_max.0 > i32::MAX as u64 {
            refuse("request_bytes_max", format!("{} is not between 64 KiB and 2 GiB", self.request_bytes_max));
        }
        if self.message_bytes_max.0 > self.request_bytes_max.0 {
            refuse(
                "message_bytes_max",
                format!(
                    "{} would not fit into a request of `request_bytes_max` ({})",
                    self.message_bytes_max, self.request_bytes_max
                ),
            );
        }
        if !(SEGMENT_BYTES_LEAST..=SEGMENT_BYTES_MOST).contains(&self.segment_bytes.0) {
            refuse("segment_bytes", format!("{} is not between 1 MiB and 1 GiB", self.segment_bytes));
        }
        if self.connections_max == 0 {
            refuse("connections_max", "at least one client must be able to connect".to_owned());
        }
        if self.transactions.timeout_max.0.as_millis() > i32::MAX as u128 {
            refuse("transactions.timeout_max", "a timeout is at most 24 days".to_owned());
        }
        if let Some(advertised) = &self.advertised
            && host_and_port(advertised).is_none()
        {
            refuse("advertised", format!("`{advertised}` is not host:port"));
        }
        if let Err(problem) = self.disk.low_watermark() {
            refuse("disk.low_watermark", problem);
        }
        if self.connections_per_address_max == Some(0) {
            refuse("connections_per_address_max", "at least one client must be able to connect".to_owned());
        }
        problems.extend(security::problems(self));
        problems
    }
}

/// Splits `host:port`; an IPv6 address stands in brackets, which are taken off.
pub(crate) fn host_and_port(address: &str) -> Option<(String, u16)> {
    let (host, port) = address.rsplit_once(':')?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if host.is_empty() {
        return None;
    }
    Some((host.to_owned(), port.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_sound_and_nonsense_is_named() {
        assert_eq!(Config::default().problems(), []);
        let config = Config {
            default_partitions: 0,
            advertised: Some("nowhere".into()),
            segment_bytes: ByteSize(1),
            message_bytes_max: ByteSize(1 << 40),
            connections_max: 0,
            ..Config::default()
        };
        let keys: Vec<_> = config.problems().into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys, ["default_partitions", "message_bytes_max", "segment_bytes", "connections_max", "advertised"]);
    }

    #[test]
    fn addresses_of_both_families() {
        assert_eq!(host_and_port("bus.example:9092"), Some(("bus.example".into(), 9092)));
        assert_eq!(host_and_port("[::1]:9092"), Some(("::1".into(), 9092)));
        assert_eq!(host_and_port(":9092"), None);
        assert_eq!(host_and_port("host:"), None);
    }
}
