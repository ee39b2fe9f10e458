//! Who is at the other end of a connection, as far as is known, and what may be asked until it is.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use logmill_bus_protocol::{ApiKey, ResponseError};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::principal::Principal;
use super::sasl::{Exchange, Logins, Step};
use crate::config::Mechanism;
use crate::listener::Listener;

/// What may be asked before it is known who asks.
const BEFORE_LOGIN: [ApiKey; 3] = [ApiKey::ApiVersions, ApiKey::SaslHandshake, ApiKey::SaslAuthenticate];
/// A failed login is answered so late: who guesses does not guess fast.
const FAILURE_DELAY: Duration = Duration::from_millis(300);

/// The state of a connection's login.
#[derive(Debug)]
pub(crate) struct Session {
    listener: Arc<Listener>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    principal: Principal,
    /// Whether requests are answered.
    is_in: bool,
    /// After this the client must have logged in again (KIP-368).
    expires: Option<Instant>,
    /// A login on its way: the mechanism was agreed on.
    exchange: Option<Exchange>,
    /// The exchange goes on without request headers, as before Kafka 1.0.
    is_raw: bool,
    has_failed: bool,
}

/// What a step of a login is answered.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) token: Vec<u8>,
    pub(crate) lifetime: Duration,
}

impl Session {
    /// `known` is who a verified certificate says that the client is.
    pub(crate) fn new(listener: Arc<Listener>, known: Option<Principal>) -> Self {
        let state = State {
            principal: known.unwrap_or_else(Principal::anonymous),
            is_in: listener.sasl.is_empty(),
            expires: None,
            exchange: None,
            is_raw: false,
            has_failed: false,
        };
        Self { listener, state: Mutex::new(state) }
    }

    pub(crate) const fn listener(&self) -> &Arc<Listener> {
        &self.listener
    }

    /// Who asks.
    pub(crate) fn principal(&self) -> Principal {
        self.state.lock().principal.clone()
    }

    /// Whether a request of this API is answered now.
    pub(crate) fn admits(&self, api_key: i16) -> bool {
        let state = self.state.lock();
        let is_current = state.expires.is_none_or(|expires| Instant::now() < expires);
        !state.has_failed && ((state.is_in && is_current) || BEFORE_LOGIN.iter().any(|api| *api as i16 == api_key))
    }

    /// Whether the client has logged in, or need not.
    pub(crate) fn is_in(&self) -> bool {
        self.state.lock().is_in
    }

    /// Whether what comes next is a bare token.
    pub(crate) fn is_raw(&self) -> bool {
        self.state.lock().is_raw
    }

    /// Whether a login has failed: the connection has to end.
    pub(crate) fn has_failed(&self) -> bool {
        self.state.lock().has_failed
    }

    /// Begins a login. Version 0 goes on with bare tokens.
    pub(crate) fn begin(&self, mechanism: &str, version: i16) -> Result<(), ResponseError> {
        if self.listener.sasl.is_empty() {
            return Err(ResponseError::IllegalSaslState);
        }
        let offered = self.listener.sasl.iter().find(|offered| offered.name() == mechanism);
        let mechanism: Mechanism = *offered.ok_or(ResponseError::UnsupportedSaslMechanism)?;
        let mut state = self.state.lock();
        state.exchange = Some(Exchange::Begun(mechanism));
        // Who logs in again does so by requests.
        state.is_raw = version == 0 && !state.is_in;
        Ok(())
    }

    /// Takes a client's message. Errors end the connection once they are answered; the reason is for the log.
    pub(crate) async fn step(&self, logins: &Logins, token: Bytes) -> Result<Answered, (ResponseError, String)> {
        let exchange = self.state.lock().exchange.take();
        let outcome = match exchange {
            None => Err((ResponseError::IllegalSaslState, "no mechanism was agreed on".to_owned())),
            Some(exchange) => match logins.step(exchange, token, self.listener.own.clone()).await {
                Step::Ask(exchange, token) => {
                    self.state.lock().exchange = Some(exchange);
                    return Ok(Answered { token, lifetime: Duration::ZERO });
                }
                Step::In { answer, principal, lifetime } => self
                    .let_in(principal, lifetime)
                    .map(|()| Answered { token: answer, lifetime: lifetime.unwrap_or_default() }),
                Step::Out(reason) => Err((ResponseError::SaslAuthenticationFailed, reason)),
            },
        };
        if outcome.is_err() {
            self.state.lock().has_failed = true;
            tokio::time::sleep(FAILURE_DELAY).await;
        }
        outcome
    }

    fn let_in(&self, principal: Principal, lifetime: Option<Duration>) -> Result<(), (ResponseError, String)> {
        let mut state = self.state.lock();
        if state.is_in && state.principal != principal {
            let reason = format!("{} can't become {principal} on the same connection", state.principal);
            return Err((ResponseError::SaslAuthenticationFailed, reason));
        }
        state.principal = principal;
        state.is_in = true;
        state.is_raw = false;
        // A lifetime that no clock can count to is none.
        state.expires = lifetime.and_then(|lifetime| Instant::now().checked_add(lifetime));
        Ok(())
    }
}
