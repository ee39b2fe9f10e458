//! The indexes that an address names, alone and with the rest of a request.

use axum::body::Body;
use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{FromRequest, FromRequestParts, RawPathParams, Request};
use axum::http::HeaderMap;
use axum::http::request::Parts;

use super::params::Params;

/// What stands for `{index}` in a route: an expression, or all indexes where the route has none.
pub(super) struct Indices(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for Indices {
    type Rejection = RawPathParamsRejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let params = RawPathParams::from_request_parts(parts, state).await?;
        let named = params.iter().find(|(name, _)| *name == "index");
        Ok(Self(named.map_or("_all", |(_, expression)| expression).to_owned()))
    }
}

/// A request about indexes; what the address asks for and the body are still to be read.
pub(super) struct Call {
    pub(super) index: String,
    pub(super) params: Params,
    pub(super) headers: HeaderMap,
    pub(super) body: Body,
}

impl<S: Send + Sync> FromRequest<S> for Call {
    type Rejection = RawPathParamsRejection;

    async fn from_request(request: Request, state: &S) -> Result<Self, Self::Rejection> {
        let (mut parts, body) = request.into_parts();
        let Indices(index) = Indices::from_request_parts(&mut parts, state).await?;
        Ok(Self { index, params: Params::new(parts.uri.query()), headers: parts.headers, body })
    }
}
