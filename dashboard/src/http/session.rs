//! Logging in and out, and the set-up link.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, Query, State};
use axum::http::{Extensions, HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use serde_json::json;

use super::error::Body;
use super::{ApiError, App, Shared, assets};
use crate::auth::{AuthError, Caller};

/// `GET /api/session`: who the caller is.
pub(super) async fn show(State(app): State<Shared>, caller: Caller) -> Result<Response, ApiError> {
    answer(&app, &caller).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SetUp {
    token: String,
    name: String,
    password: String,
}

/// `POST /api/setup`: makes the first administrator.
pub(super) async fn set_up(State(app): State<Shared>, Body(asked): Body<SetUp>) -> Result<Response, ApiError> {
    let login = app.auth.set_up(asked.token, &asked.name, asked.password).await?;
    tracing::info!(name = login.user.name, "the first administrator was made");
    answer(&app, &Caller::logged_in(login.user, login.token)).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LogIn {
    name: String,
    password: String,
}

/// `POST /api/login`.
pub(super) async fn log_in(
    State(app): State<Shared>,
    extensions: Extensions,
    Body(asked): Body<LogIn>,
) -> Result<Response, ApiError> {
    let address = address_of(&extensions);
    if let Some(wait) = app.auth.limit.wait_for(&asked.name, address) {
        return Err(ApiError::too_many("too many wrong passwords; wait a little and try again", wait));
    }
    match app.auth.log_in(&asked.name, asked.password).await {
        Ok(login) => {
            app.auth.limit.succeeded(&asked.name);
            answer(&app, &Caller::logged_in(login.user, login.token)).await
        }
        Err(error) => {
            if matches!(error, AuthError::Credentials) {
                app.auth.limit.failed(&asked.name, address);
                tracing::warn!(name = asked.name, address = ?address, "a login was refused");
            }
            Err(error.into())
        }
    }
}

/// `POST /api/logout`.
pub(super) async fn log_out(State(app): State<Shared>, caller: Caller) -> Result<Response, ApiError> {
    if let Some(token) = &caller.session {
        app.auth.log_out(token).await?;
    }
    answer(&app, &Caller::logged_out()).await
}

#[derive(Deserialize)]
pub(super) struct Link {
    #[serde(default)]
    token: String,
}

/// `GET /setup?token=…`: in a demo the link logs in; otherwise the page asks for a name and a password.
pub(super) async fn follow_link(
    State(app): State<Shared>,
    Query(link): Query<Link>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    match app.auth.log_in_by_link(link.token).await? {
        Some(login) => {
            let caller = Caller::logged_in(login.user, login.token);
            Ok(with_cookies(&app, &caller, Redirect::to("/").into_response()))
        }
        None => Ok(assets::page(&headers)),
    }
}

async fn answer(app: &App, caller: &Caller) -> Result<Response, ApiError> {
    let body = json!({
        "user": caller.user,
        "setup_required": app.auth.setup_required().await?,
        "csrf": app.auth.csrf.token_for(caller.bound_to()),
        "version": env!("CARGO_PKG_VERSION"),
        "demo": app.config.demo,
    });
    Ok(with_cookies(app, caller, axum::Json(body).into_response()))
}

fn with_cookies(app: &App, caller: &Caller, mut response: Response) -> Response {
    for cookie in caller.cookies(app.auth.lifetime(), app.config.is_https()) {
        if let Ok(value) = HeaderValue::from_str(&cookie) {
            response.headers_mut().append(header::SET_COOKIE, value);
        }
    }
    response
}

/// The caller's address; absent where a router is driven without a socket.
fn address_of(extensions: &Extensions) -> Option<IpAddr> {
    extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(address)| address.ip())
}
