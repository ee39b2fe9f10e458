//! A request as the handlers see it, and what they make of it.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use logmill_bus_log::FileSlice;
use logmill_bus_protocol::{ApiKey, BodyError, EncodeError, Piece, RequestHeader, Versioned, encode_answer};

use crate::security::{Principal, Session};

/// A request apart from its body, and where it came in.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) header: RequestHeader,
    /// Who asks.
    pub(crate) principal: Principal,
    pub(crate) session: Arc<Session>,
    pub(crate) local: SocketAddr,
    pub(crate) peer: SocketAddr,
}

impl Call {
    pub(crate) const fn version(&self) -> i16 {
        self.header.api_version
    }

    /// Where the client is told to connect.
    pub(crate) fn address(&self) -> (String, u16) {
        self.session.listener().address_for(self.local)
    }

    /// The answer's bytes.
    pub(crate) fn answer<R: Versioned>(&self, answer: &R::Response) -> Result<Bytes, Refused> {
        Ok(encode_answer::<R>(self.header.correlation_id, self.header.api_version, answer)?)
    }
}

/// What becomes of a request.
pub(crate) enum Answer {
    /// To be written now.
    Now(Bytes),
    /// The same, with records that are in files yet.
    Fetched(Vec<Piece<FileSlice>>),
    /// The next request may be read; the answer comes when the disk is done.
    Later(Pin<Box<dyn Future<Output = Result<Bytes, Refused>> + Send>>),
    /// The client wants none.
    None,
}

/// The connection can't go on: what came in has no answer in the protocol.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    #[error("a request with API key {0}, which is not served")]
    UnknownApi(i16),
    #[error("a {api:?} request of version {version}; versions {min} to {max} are served")]
    UnknownVersion { api: ApiKey, version: i16, min: i16, max: i16 },
    #[error(transparent)]
    Body(#[from] BodyError),
    #[error(transparent)]
    Encode(#[from] EncodeError),
}
