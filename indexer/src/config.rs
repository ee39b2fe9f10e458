//! The `indexer` section of the configuration.

pub(crate) mod objects;

use logmill_core::config::{ByteSize, Checked, Period};
use logmill_core::indexer_access::IndexerAccess;
use logmill_core::tls::TlsConfig;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::access::Auth;
pub(crate) use objects::{Cold, S3};

/// Where events are kept and how they are searched.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where the Elasticsearch REST API listens, `host:port`; port 0 picks a free one.
    pub listen: String,
    /// The address that the certificate is for, `host:port`: how Logmill's other processes reach the indexer.
    pub advertised: Option<String>,
    /// Speaks TLS on `listen`. With it and a login the listener may be reachable from other machines.
    pub tls: Option<TlsConfig>,
    /// Who may use the API; by default everybody who reaches it.
    pub auth: Auth,
    /// Allows `listen` to be reachable from other machines without TLS and authentication.
    pub insecure: bool,
    /// An existing Elasticsearch, OpenSearch or Quickwit to use instead of the embedded store: events are written to
    /// its `_bulk`, and searched there.
    pub url: Option<String>,
    /// As which engine the API presents itself, for programs that talk to one only.
    pub identity: Identity,
    /// How Logmill's own parts reach the indexer, the embedded one or the one at `url`.
    pub client: IndexerAccess,
    /// How events are written to `url`.
    pub remote: Remote,
    /// The topic that is indexed.
    pub topic: String,
    /// The consumer group under which offsets are committed, so that the lag can be seen; the store keeps its own.
    pub group: String,
    /// How long an event may wait before it is searchable. While more waits on the bus than is read in that time,
    /// segments become larger, at most 3 s of reading.
    pub refresh_interval: Period,
    /// Memory for documents that are not on disk yet, in all. Beyond it, reading from the bus pauses. While the indexer
    /// catches up, segments that are being built may take half as much besides.
    pub memory: ByteSize,
    /// How often documents go from memory to disk; also how much is read again after a crash.
    pub flush_interval: Period,
    /// Documents also go to disk when they fill so much memory.
    pub flush_bytes: ByteSize,
    /// No split is merged beyond this size.
    pub split_bytes_max: ByteSize,
    /// When events are written for good, and how.
    pub seal: Seal,
    /// How sealed splits keep events: as they were sent, or without what their columns know. What is shown is the
    /// same, byte for byte; `synthetic` takes less space, and somewhat longer to show many events.
    pub source: SourceMode,
    /// What is deleted, and when.
    pub retention: Retention,
    /// Documents that were erased by a query are found no more at once; within this time they are gone from the
    /// disk, too.
    pub erase_within: Period,
    /// Copies of indexes.
    pub snapshots: Snapshots,
    /// How buckets are reached, for snapshots and cold splits.
    pub s3: S3,
    /// Old splits that are kept on an object store.
    pub cold: Cold,
    /// Free disk space that is left alone; what happens below it is told by `disk_policy`.
    pub disk_reserve: ByteSize,
    /// What is done when less than that is free.
    pub disk_policy: DiskPolicy,
    /// Paths that an index may have; values of further paths are kept but not searchable.
    pub fields_max: u32,
    /// Indexes that the store may have; events for further ones go to `logs-generic-default`.
    pub indices_max: u32,
}

/// An engine whose name the API may go by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Identity {
    /// Elasticsearch 8, whose clients look for a header in every answer.
    #[default]
    Elasticsearch,
    /// OpenSearch 2.
    Opensearch,
}

/// How events are written to an existing engine. A batch goes when it reaches the first of its bounds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Remote {
    /// Bytes of a request before it is compressed; a request that the engine finds too large is halved.
    pub batch_bytes: ByteSize,
    /// Events of a request.
    pub batch_events: usize,
    /// How long an event waits for others to be sent with it.
    pub batch_delay: Period,
    /// Requests that wait for their answer at a time.
    pub requests: usize,
    /// Compresses requests.
    pub gzip: bool,
    /// Makes an index template for `logs-*` where the engine has none called `logmill-logs`.
    pub template: bool,
}

impl Default for Remote {
    fn default() -> Self {
        Self {
            // What Elasticsearch's guide gives as a good size lies between 5 and 15 MB.
            batch_bytes: ByteSize(8 << 20),
            batch_events: 5000,
            batch_delay: Period::millis(200),
            requests: 2,
            gzip: true,
            template: true,
        }
    }
}

/// How sealed splits keep events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SourceMode {
    /// As they were sent.
    #[default]
    Exact,
    /// Put together from columns and what is not in them.
    Synthetic,
}

/// When events are written for good, and how: the splits of a stretch of time that is over are written once more,
/// with hard compression.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Seal {
    /// The length of a stretch, by the events' own time. Splits of different stretches are kept apart while there are
    /// few, so it is also how finely old events can be deleted.
    pub window: Period,
    /// A stretch is sealed this long after its end, and after the last event that came late for it.
    pub grace: Period,
    /// Events are compressed together in blocks of this size: larger ones take less space, smaller ones are
    /// shown sooner.
    pub block_bytes: ByteSize,
}

impl Default for Seal {
    fn default() -> Self {
        Self { window: Period::secs(86_400), grace: Period::secs(3600), block_bytes: ByteSize(256 << 10) }
    }
}

/// What is deleted, and when. By default nothing is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Retention {
    /// Splits whose newest event is older are deleted.
    pub age: Option<Period>,
    /// The oldest splits are deleted while all together take more than this on disk.
    pub bytes: Option<ByteSize>,
    /// Limits of some indexes; the first rule that names an index counts. What it leaves out is as for all.
    pub indices: Vec<IndexRetention>,
}

/// Copies of indexes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Snapshots {
    /// The folders below which clients may keep repositories of snapshots; none may be kept while there are none.
    pub paths: Vec<std::path::PathBuf>,
}

/// What is deleted of some indexes, and when.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct IndexRetention {
    /// The indexes and data streams: a name, or a pattern with `*`.
    pub index: String,
    /// Their splits whose newest event is older are deleted.
    pub age: Option<Period>,
    /// Their oldest splits are deleted while they take more than this on disk, all of the rule together.
    pub bytes: Option<ByteSize>,
}

/// What is done when the disk is low.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DiskPolicy {
    /// Reading from the bus pauses until there is room again. Nothing is lost that the bus still has.
    #[default]
    BackPressure,
    /// The oldest splits of all indexes are deleted.
    DropOldest,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:9200".to_owned(),
            advertised: None,
            tls: None,
            auth: Auth::default(),
            insecure: false,
            url: None,
            identity: Identity::default(),
            client: IndexerAccess::default(),
            remote: Remote::default(),
            topic: logmill_core::topics::PARSED.to_owned(),
            group: "indexer".to_owned(),
            refresh_interval: Period::millis(100),
            memory: ByteSize(256 << 20),
            flush_interval: Period::secs(10),
            flush_bytes: ByteSize(64 << 20),
            split_bytes_max: ByteSize(512 << 20),
            seal: Seal::default(),
            source: SourceMode::default(),
            retention: Retention::default(),
            erase_within: Period::secs(86_400),
            snapshots: Snapshots::default(),
            s3: S3::default(),
            cold: Cold::default(),
            disk_reserve: ByteSize(512 << 20),
            disk_policy: DiskPolicy::default(),
            fields_max: 1000,
            indices_max: 1000,
        }
    }
}

impl Checked for Config {
    fn problems(&self) -> Vec<(String, String)> {
        let mut problems = Vec::new();
        let mut refuse = |wrong: bool, key: &str, message: &str| {
            if wrong {
                problems.push((key.to_owned(), message.to_owned()));
            }
        };
        let refresh_ms = self.refresh_interval.0.as_millis();
        refuse(!(10..=60_000).contains(&refresh_ms), "refresh_interval", "must be between 10ms and 1m");
        refuse(self.flush_interval.0.as_millis() < 100, "flush_interval", "must be at least 100ms");
        refuse(self.memory.0 < 16 << 20, "memory", "must be at least 16 MiB");
        refuse(
            self.flush_bytes.0 < 1 << 20 || self.flush_bytes.0 > self.memory.0 / 2,
            "flush_bytes",
            "must be at least 1 MiB and at most half of `memory`: while one half is written the other fills",
        );
        refuse(self.split_bytes_max.0 < 1 << 20, "split_bytes_max", "must be at least 1 MiB");
        refuse(self.erase_within.0.as_secs() < 1, "erase_within", "must be at least 1s");
        refuse(self.seal.window.0.as_secs() < 60, "seal.window", "must be at least 1m");
        refuse(
            !(16 << 10..=16 << 20).contains(&self.seal.block_bytes.0),
            "seal.block_bytes",
            "must be between 16 KiB and 16 MiB: each event that is shown takes a whole block to be read",
        );
        refuse(self.fields_max < 10, "fields_max", "must be at least 10");
        refuse(self.indices_max < 1, "indices_max", "must be at least 1");
        let relative = self.snapshots.paths.iter().any(|path| !path.is_absolute());
        refuse(relative, "snapshots.paths", "must be absolute paths");
        let nameless = self.retention.indices.iter().any(|rule| rule.index.is_empty());
        refuse(nameless, "retention.indices", "every rule needs an `index`: a name or a pattern");
        refuse(self.topic.is_empty(), "topic", "must not be empty");
        refuse(self.group.is_empty(), "group", "must not be empty");
        let is_address = |url: &String| url.starts_with("http://") || url.starts_with("https://");
        refuse(self.url.as_ref().is_some_and(|url| !is_address(url)), "url", "write it as https://host:9200");
        refuse(
            !(64 << 10..=100 << 20).contains(&self.remote.batch_bytes.0),
            "remote.batch_bytes",
            "must be between 64 KiB and 100 MiB, the most that Elasticsearch takes at once",
        );
        refuse(!(1..=100_000).contains(&self.remote.batch_events), "remote.batch_events", "must be 1 to 100000");
        refuse(self.remote.batch_delay.0.as_secs() > 60, "remote.batch_delay", "must be at most 1m");
        refuse(!(1..=32).contains(&self.remote.requests), "remote.requests", "must be 1 to 32");
        let s3 = self.s3.problems().into_iter().map(|(key, message)| ("s3", key, message));
        let cold = self.cold.problems().into_iter().map(|(key, message)| ("cold", key, message));
        problems.extend(s3.chain(cold).map(|(part, key, message)| (format!("{part}.{key}"), message.to_owned())));
        for (part, message) in self.tls.iter().flat_map(TlsConfig::problems) {
            problems.push((format!("tls{part}"), message.to_owned()));
        }
        problems.extend(self.auth.problems().into_iter().map(|(key, message)| (format!("auth.{key}"), message)));
        let within = |(key, message): (String, String)| (format!("client.{key}"), message);
        problems.extend(self.client.problems().into_iter().map(within));
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_fine_and_wrong_bounds_are_told() {
        assert_eq!(Config::default().problems(), []);
        let wrong = Config { flush_bytes: ByteSize(1 << 30), url: Some("x:9200".into()), ..Config::default() };
        let keys: Vec<_> = wrong.problems().into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys, ["flush_bytes", "url"]);
    }
}
