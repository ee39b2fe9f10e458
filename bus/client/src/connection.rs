//! Which cluster to talk to, and what can go wrong with it.

use std::fmt;

use logmill_core::bus_access::{BusAccess, BusTls, LoginMechanism};
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};

/// How to reach a Kafka cluster.
#[derive(Clone)]
pub struct Connection {
    /// Bootstrap servers, `host:port` each.
    pub brokers: Vec<String>,
    /// How this client names itself to the brokers, for their logs and quotas.
    pub client_id: String,
    /// Settings of the client library, laid over ours: what a person asks for at the terminal.
    pub properties: Vec<(String, String)>,
    /// TLS and the login.
    access: BusAccess,
}

impl fmt::Debug for Connection {
    /// Without the properties' values: a password may be among them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.properties.iter().map(|(name, _)| name).collect();
        f.debug_struct("Connection")
            .field("brokers", &self.brokers)
            .field("client_id", &self.client_id)
            .field("properties", &names)
            .field("access", &self.access)
            .finish()
    }
}

/// A request to the cluster failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No broker was configured.
    #[error("`bus.brokers` is empty: name at least one Kafka broker as host:port")]
    NoBrokers,
    /// The password can't be had.
    #[error("the password for the bus can't be read: {0}")]
    Password(std::io::Error),
    /// The library was built without OpenSSL.
    #[error("`bus.client` asks for {0}, which this program was built without: build it with the cargo feature `tls`")]
    NoTls(&'static str),
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
        Self { brokers, client_id: client_id.to_owned(), properties: Vec::new(), access: BusAccess::default() }
    }

    /// The same with settings of the client library laid over ours.
    #[must_use]
    pub fn with_properties(self, properties: Vec<(String, String)>) -> Self {
        Self { properties, ..self }
    }

    /// The same with TLS and a login.
    #[must_use]
    pub fn with_access(self, access: BusAccess) -> Self {
        Self { access, ..self }
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
        self.secure(&mut config)?;
        for (key, value) in &self.properties {
            config.set(key, value);
        }
        Ok(config)
    }

    fn secure(&self, config: &mut ClientConfig) -> Result<(), ClientError> {
        let BusAccess { tls, sasl } = &self.access;
        if let Some(tls) = tls {
            secure_by_tls(config, tls)?;
        }
        if let Some(sasl) = sasl {
            // The proofs of SCRAM are made by OpenSSL as well.
            if !HAS_TLS && sasl.mechanism != LoginMechanism::Plain {
                return Err(ClientError::NoTls(sasl.mechanism.name()));
            }
            // Read each time: a new password is taken with the next client that is made.
            let password = sasl.secret().map_err(ClientError::Password)?;
            config
                .set("sasl.mechanism", sasl.mechanism.name())
                .set("sasl.username", &sasl.username)
                .set("sasl.password", password.reveal());
        }
        let protocol = match (tls.is_some(), sasl.is_some()) {
            (false, false) => return Ok(()),
            (true, false) => "ssl",
            (false, true) => "sasl_plaintext",
            (true, true) => "sasl_ssl",
        };
        config.set("security.protocol", protocol);
        Ok(())
    }
}

/// Whether the client library was built with OpenSSL.
const HAS_TLS: bool = cfg!(feature = "tls");

fn secure_by_tls(config: &mut ClientConfig, tls: &BusTls) -> Result<(), ClientError> {
    if !HAS_TLS {
        return Err(ClientError::NoTls("TLS"));
    }
    let path = |path: &std::path::Path| path.to_string_lossy().into_owned();
    // The library knows where systems keep their authorities; its own OpenSSL does not.
    config.set("ssl.ca.location", tls.ca.as_deref().map_or_else(|| "probe".to_owned(), path));
    if let (Some(certificate), Some(key)) = (&tls.certificate, &tls.key) {
        config.set("ssl.certificate.location", path(certificate)).set("ssl.key.location", path(key));
    }
    if !tls.verify {
        config.set("enable.ssl.certificate.verification", "false");
        config.set("ssl.endpoint.identification.algorithm", "none");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use logmill_core::bus_access::BusSasl;
    use logmill_core::config::Secret;

    use super::*;

    fn login(mechanism: LoginMechanism) -> BusSasl {
        let password = Some(Secret::new("geheim".to_owned()));
        BusSasl { mechanism, username: "one".to_owned(), password, password_file: None }
    }

    #[test]
    fn a_login_is_told_to_the_library_and_to_nobody_else() -> Result<(), ClientError> {
        let access = BusAccess { tls: None, sasl: Some(login(LoginMechanism::Plain)) };
        let connection = Connection::new(vec!["broker:9092".to_owned()], "test").with_access(access);
        let config = connection.config()?;
        assert_eq!(config.get("security.protocol"), Some("sasl_plaintext"));
        assert_eq!((config.get("sasl.username"), config.get("sasl.password")), (Some("one"), Some("geheim")));
        let properties = vec![("sasl.password".to_owned(), "geheim".to_owned())];
        let shown = format!("{:?}", connection.with_properties(properties));
        assert!(!shown.contains("geheim") && shown.contains("sasl.password"), "{shown}");
        Ok(())
    }

    #[test]
    fn what_it_was_built_without_is_said() {
        let tls = BusTls { verify: false, ..BusTls::default() };
        let access = BusAccess { tls: Some(tls), sasl: Some(login(LoginMechanism::ScramSha256)) };
        let config = Connection::new(vec!["broker:9092".to_owned()], "test").with_access(access).config();
        if HAS_TLS {
            let config = config.ok();
            let get = |key: &str| config.as_ref().and_then(|config| config.get(key).map(str::to_owned));
            assert_eq!(get("security.protocol").as_deref(), Some("sasl_ssl"));
            assert_eq!(get("enable.ssl.certificate.verification").as_deref(), Some("false"));
        } else {
            assert!(matches!(config, Err(ClientError::NoTls("TLS"))), "{config:?}");
        }
    }
}
