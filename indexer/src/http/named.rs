//! The indexes that an address names.

use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;

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
