//! A client logs in, a message at a time.

use std::sync::Arc;

use bytes::Bytes;
use logmill_bus_protocol::messages::{SaslAuthenticateRequest, SaslAuthenticateResponse};

use super::{Call, text};
use crate::broker::Broker;
use crate::security::session::{Answered, Session};

pub(super) async fn handle(
    broker: &Arc<Broker>,
    call: &Call,
    request: SaslAuthenticateRequest,
) -> SaslAuthenticateResponse {
    let response = SaslAuthenticateResponse::default().with_error_message(None);
    match step(broker, &call.session, call.peer, request.auth_bytes).await {
        Ok(Answered { token, lifetime }) => response
            .with_auth_bytes(token.into())
            .with_session_lifetime_ms(i64::try_from(lifetime.as_millis()).unwrap_or(i64::MAX)),
        // Why is not told: nobody learns which names there are.
        Err(code) => response.with_error_code(code).with_error_message(Some(text("authentication failed"))),
    }
}

/// A step of a login, however it came in.
pub(crate) async fn step(
    broker: &Broker,
    session: &Session,
    peer: std::net::SocketAddr,
    token: Bytes,
) -> Result<Answered, i16> {
    let outcome = session.step(&broker.logins, token).await;
    outcome.map_err(|(error, reason)| {
        broker.meters.failed_logins.add(1);
        tracing::warn!(%peer, listener = session.listener().name, reason, "a client could not log in");
        error.code()
    })
}
