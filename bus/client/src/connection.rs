//! Which cluster to talk to, and what can go wrong with it.

use rdkafka::config::{ClientConfig, RDKafkaLogLevel};

/// How to reach a Kafka cluster.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Bootstrap servers, `host:port` each.
    pub brokers: Vec<String>,
    /// How this client names itself to the brokers, for their logs and quotas.
    pub client_id: String,
    /// Settings of the client library, laid over ours: what a person asks for at the terminal.
    pub properties: Vec<(String, String)>,
}

/// A request to the cluster failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No broker was configured.
    #[error("`bus.brokers` is empty: name at least one Kafka broker as host:port")]
    NoBrokers,
    /// No broker answers.
    #[error("no Kafka broker answers at {brokers}: {reason}")]
    Away {
        /// Which were asked.
        brokers: String,
        /// What is known of why.
        reason: String,
    },
    /// The cluster said no, in its own words.
    #[error("{action}: {reason}")]
    Refused {
        /// What was tried.
        action: String,
        /// What was answered.
        reason: String,
    },
    /// The library or the cluster said no.
    #[error("{action}: {cause}")]
    Kafka {
        /// What was tried.
        action: String,
        /// What the library said.
        cause: rdkafka::error::KafkaError,
    },
}

impl ClientError {
    pub(crate) fn during(action: impl Into<String>) -> impl FnOnce(rdkafka::error::KafkaError) -> Self {
        let action = action.into();
        move |cause| Self::Kafka { action, cause }
    }

    pub(crate) fn refused(action: impl Into<String>) -> impl FnOnce(String) -> Self {
        let action = action.into();
        move |reason| Self::Refused { action, reason }
    }
}

impl Connection {
    /// A connection to `brokers` under the name `client_id`.
    #[must_use]
    pub fn new(brokers: Vec<String>, client_id: &str) -> Self {
        Self { brokers, client_id: client_id.to_owned(), properties: Vec::new() }
    }

    /// The same with settings of the client library laid over ours.
    #[must_use]
    pub fn with_properties(self, properties: Vec<(String, String)>) -> Self {
        Self { properties, ..self }
    }

    pub(crate) fn config(&self) -> Result<ClientConfig, ClientError> {
        if self.brokers.is_empty() {
            return Err(ClientError::NoBrokers);
        }
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", self.brokers.join(","))
            .set("client.id", &self.client_id)
            // A restarted neighbour is back within a second; the library's default waits up to ten.
            .set("reconnect.backoff.ms", "50")
            .set("reconnect.backoff.max.ms", "1000")
            .set("socket.keepalive.enable", "true")
            // Small batches must not wait for the peer's delayed acknowledgement.
            .set("socket.nagle.disable", "true")
            .set("topic.metadata.refresh.interval.ms", "30000")
            .set_log_level(RDKafkaLogLevel::Warning);
        for (key, value) in &self.properties {
            config.set(key, value);
        }
        Ok(config)
    }
}
