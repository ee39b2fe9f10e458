//! A client says how it wants to log in.

use std::sync::Arc;

use logmill_bus_protocol::messages::{SaslHandshakeRequest, SaslHandshakeResponse};

use super::{Call, text};
use crate::broker::Broker;

pub(super) async fn handle(_: &Arc<Broker>, call: &Call, request: SaslHandshakeRequest) -> SaslHandshakeResponse {
    let offered = call.session.listener().sasl.iter().map(|mechanism| text(mechanism.name()));
    let code = call.session.begin(&request.mechanism, call.version()).map_or_else(|refused| refused.code(), |()| 0);
    SaslHandshakeResponse::default().with_mechanisms(offered.collect()).with_error_code(code)
}
