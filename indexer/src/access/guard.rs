//! Stands in front of every request: who asks, and whether they may. It answers as Elasticsearch does.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

use super::needs::{self, Need};
use super::{Denied, Logins, Principal, Privilege};
use crate::http::body::{BULK_BYTES_MAX, Room};
use crate::query::error::EsError;

/// What the guard works with.
#[derive(Clone, Debug)]
pub(crate) struct Guard {
    logins: Arc<Logins>,
    bodies: Room,
}

impl Guard {
    pub(crate) fn new(logins: Arc<Logins>) -> Self {
        Self { logins, bodies: Room::new() }
    }
}

/// Lets a request through, or says why not.
pub(crate) async fn check(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    let header = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let principal = match guard.logins.authenticate(header.as_deref()).await {
        Ok(principal) => principal,
        // Who keeps the program running may look whether it does, and sees no more than that.
        Err(Denied::Nobody) if request.uri().path() == "/healthz" => return health(&next.run(request).await),
        Err(denied) => return unknown(&denied, &request),
    };
    if request.uri().path().trim_end_matches('/') == "/_security/_authenticate" {
        return myself(&principal);
    }
    match permitted(&guard, &principal, request).await {
        Ok(mut request) => {
            request.extensions_mut().insert(principal);
            next.run(request).await
        }
        Err(error) => error.into_response(),
    }
}

async fn permitted(guard: &Guard, principal: &Principal, request: Request) -> Result<Request, EsError> {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let refused = |privilege: Privilege, index: &str| forbidden(principal, &method, &path, privilege, index);
    let admitted = |is_permitted: bool, privilege: Privilege, index: &str| {
        if is_permitted { Ok(()) } else { Err(refused(privilege, index)) }
    };
    match needs::need(&method, &path) {
        Need::Login => {}
        Need::On(privilege, index) => admitted(principal.may(privilege, &index), privilege, &index)?,
        Need::ReadOrWrite(index) => {
            let may = principal.may(Privilege::Read, &index) || principal.may(Privilege::Write, &index);
            admitted(may, Privilege::Write, &index)?;
        }
        Need::Somewhere(privilege) => admitted(principal.may_somewhere(privilege), privilege, "*")?,
        Need::InBody(bodies, default) => {
            let privilege = bodies.privilege();
            if principal.may(privilege, "*") {
                return Ok(request);
            }
            if !principal.may_somewhere(privilege) {
                return Err(refused(privilege, default.as_deref().unwrap_or("*")));
            }
            let (parts, body) = request.into_parts();
            let payload = guard.bodies.read(body, BULK_BYTES_MAX).await?;
            let named = needs::targets(bodies, &payload.bytes, default.as_deref());
            let named =
                named.ok_or_else(|| EsError::parsing("the request body can't be read for the indexes in it"))?;
            for index in named {
                admitted(principal.may(privilege, &index), privilege, &index)?;
            }
            return Ok(Request::from_parts(parts, Body::from(payload.bytes)));
        }
    }
    Ok(request)
}

fn forbidden(principal: &Principal, method: &Method, path: &str, privilege: Privilege, index: &str) -> EsError {
    let kind = if principal.is_key { "API key" } else { "user" };
    let reason = format!(
        "action [{method} {path}] is unauthorized for {kind} [{}] with effective roles [{}] on indices [{index}], \
         this action is granted by the index privileges [{},manage]",
        principal.name,
        principal.roles.join(","),
        privilege.name()
    );
    EsError::new(403, "security_exception", reason)
}

fn unknown(denied: &Denied, request: &Request) -> Response {
    let path = request.uri().path();
    let reason = match denied {
        Denied::Nobody => format!("missing authentication credentials for REST request [{path}]"),
        Denied::Wrong(name) => {
            tracing::warn!(name, path, "a login is refused");
            format!("unable to authenticate user [{name}] for REST request [{path}]")
        }
    };
    let mut response = EsError::new(401, "security_exception", reason).into_response();
    for way in ["Basic realm=\"logmill\", charset=\"UTF-8\"", "ApiKey"] {
        response.headers_mut().append(header::WWW_AUTHENTICATE, HeaderValue::from_static(way));
    }
    response
}

/// Ready or not, and nothing of the why.
fn health(told: &Response) -> Response {
    let is_ready = told.status() == StatusCode::OK;
    (told.status(), axum::Json(json!({ "ready": is_ready }))).into_response()
}

/// `_security/_authenticate`: who the asker is.
fn myself(principal: &Principal) -> Response {
    let realm = json!({ "name": "logmill", "type": "file" });
    let kind = if principal.is_key { "api_key" } else { "realm" };
    let mut told = json!({
        "username": principal.name,
        "roles": principal.roles,
        "full_name": null,
        "email": null,
        "metadata": {},
        "enabled": true,
        "authentication_realm": realm,
        "lookup_realm": realm,
        "authentication_type": kind,
    });
    if let (true, Some(told)) = (principal.is_key, told.as_object_mut()) {
        told.insert("api_key".to_owned(), json!({ "id": principal.name }));
    }
    axum::Json::<Value>(told).into_response()
}
