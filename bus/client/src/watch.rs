//! Remembers why a client can't reach its brokers: the library tells that aside, never with the error of a request.

use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

/// The context of clients whose errors a person reads.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    last_failure: Mutex<Option<String>>,
    hopeless: AtomicBool,
}

impl Watch {
    /// What was last said about a broker that can't be reached.
    pub(crate) fn last_failure(&self) -> Option<String> {
        self.last_failure.lock().clone()
    }

    /// Whether every broker was tried in vain, or one refused to talk: waiting longer changes nothing.
    pub(crate) fn is_hopeless(&self) -> bool {
        self.hopeless.load(Ordering::Acquire)
    }
}

impl ClientContext for Watch {
    fn log(&self, _: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(facility, message, "the bus client");
        if matches!(facility, "FAIL" | "ERROR") {
            *self.last_failure.lock() = Some(shorten(message).to_owned());
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "the bus client");
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::AllBrokersDown) => self.hopeless.store(true, Ordering::Release),
            Some(RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SSL) => {
                *self.last_failure.lock() = Some(shorten(reason).to_owned());
                self.hopeless.store(true, Ordering::Release);
            }
            _ => *self.last_failure.lock() = Some(shorten(reason).to_owned()),
        }
    }
}

/// Without the library's thread and how often it repeated itself:
/// `[thrd:host:9092/bootstrap]: host:9092/bootstrap: Connect to … failed: Connection refused (after 0ms in state CONNECT)`.
fn shorten(message: &str) -> &str {
    let message = match message.strip_prefix("[thrd:").and_then(|rest| rest.split_once("]: ")) {
        Some((_, rest)) => rest,
        None => message,
    };
    let message = message.split(" (after ").next().unwrap_or(message);
    match message.split_once(": ") {
        Some((broker, rest)) if broker.contains("/bootstrap") => rest,
        _ => message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_told_in_short() {
        let long = "[thrd:127.0.0.1:1/bootstrap]: 127.0.0.1:1/bootstrap: Connect to ipv4#127.0.0.1:1 failed: \
                    Connection refused (after 0ms in state CONNECT, 1 identical error(s) suppressed)";
        assert_eq!(shorten(long), "Connect to ipv4#127.0.0.1:1 failed: Connection refused");
        assert_eq!(shorten("plain"), "plain");
        assert_eq!(shorten("[thrd:app]: no broker"), "no broker");
    }
}
