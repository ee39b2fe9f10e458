//! Who sends a request: read from its cookies before any handler runs, and asked for by handlers as a role.
//! Every unsafe request must show the token that goes with its cookie and come from our own pages.

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::Response;

use super::{Role, Token, User};
use crate::http::{ApiError, Shared};

/// The cookie of a session.
const SESSION_COOKIE: &str = "logmill_session";
/// The cookie of somebody who is not logged in, so that the login form is protected too.
const VISITOR_COOKIE: &str = "logmill_visitor";

/// Who sends a request.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) user: Option<User>,
    /// The token of the session, when there is one that lasts.
    pub(crate) session: Option<String>,
    visitor: Option<String>,
}

impl Caller {
    /// A caller who has just logged in.
    pub(crate) fn logged_in(user: User, token: String) -> Self {
        Self { user: Some(user), session: Some(token), visitor: None }
    }

    /// A caller without a session; a new visitor's token is made where there is none.
    pub(crate) fn visitor(visitor: Option<String>) -> Self {
        let visitor = visitor.unwrap_or_else(|| Token::new().into_text());
        Self { user: None, session: None, visitor: Some(visitor) }
    }

    /// The same caller after logging out.
    pub(crate) fn logged_out() -> Self {
        Self::visitor(None)
    }

    /// The cookie value that the token against forged requests is bound to.
    pub(crate) fn bound_to(&self) -> &str {
        self.session.as_deref().or(self.visitor.as_deref()).unwrap_or_default()
    }

    /// The `Set-Cookie` values that make the browser send what this caller is.
    pub(crate) fn cookies(&self, lifetime: std::time::Duration, https: bool) -> [String; 2] {
        let secure = if https { "; Secure" } else { "" };
        let cookie = |name: &str, value: Option<&str>, site: &str| match value {
            Some(value) => {
                format!("{name}={value}; Path=/; HttpOnly; SameSite={site}; Max-Age={}{secure}", lifetime.as_secs())
            }
            None => format!("{name}=; Path=/; HttpOnly; SameSite={site}; Max-Age=0{secure}"),
        };
        // Lax: whoever follows a link to a search from a chat is logged in there.
        [
            cookie(SESSION_COOKIE, self.session.as_deref(), "Lax"),
            cookie(VISITOR_COOKIE, self.visitor.as_deref(), "Strict"),
        ]
    }
}

/// Finds out who sends the request and refuses forged ones.
pub(crate) async fn identify(
    State(app): State<Shared>,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let session = cookie(request.headers(), SESSION_COOKIE);
    let user = match &session {
        Some(token) => app.auth.user_of(token).await?,
        None => None,
    };
    let visitor = cookie(request.headers(), VISITOR_COOKIE);
    let caller = match (user, session) {
        (Some(user), Some(token)) => Caller::logged_in(user, token),
        _ => Caller { user: None, session: None, visitor },
    };
    if ![Method::GET, Method::HEAD, Method::OPTIONS].contains(request.method()) {
        let shown = request.headers().get("x-csrf-token").and_then(|value| value.to_str().ok()).unwrap_or_default();
        if caller.bound_to().is_empty() || !app.auth.csrf.fits(caller.bound_to(), shown) {
            return Err(ApiError::forbidden("the request lacks a valid x-csrf-token")
                .hint("GET /api/session answers the token that goes with the cookies"));
        }
        if !is_same_origin(request.headers(), app.config.public_url.as_deref()) {
            return Err(ApiError::forbidden("the request comes from a page of another site"));
        }
    }
    request.extensions_mut().insert(caller);
    Ok(next.run(request).await)
}

/// Whether the page that sent the request is ours, as far as the browser tells; programs other than browsers tell nothing.
fn is_same_origin(headers: &HeaderMap, public_url: Option<&str>) -> bool {
    let text = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    if headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site") {
        return false;
    }
    let Some(origin) = text(header::ORIGIN) else { return true };
    let authority = origin.split_once("://").map(|(_, authority)| authority);
    let public = public_url.and_then(|url| reqwest::Url::parse(url).ok()).map(|url| url.origin().ascii_serialization());
    public.as_deref() == Some(origin) || (authority.is_some() && authority == text(header::HOST))
}

fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let pairs = headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    pairs
        .flat_map(|pairs| pairs.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(key, value)| *key == name && !value.is_empty() && value.len() <= COOKIE_BYTES_MAX)
        .map(|(_, value)| value.to_owned())
}

/// Ours have 43.
const COOKIE_BYTES_MAX: usize = 128;

macro_rules! required_role {
    ($(#[$doc:meta])* $name:ident, $role:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub(crate) struct $name;

        impl FromRequestParts<Shared> for $name {
            type Rejection = ApiError;

            async fn from_request_parts(parts: &mut Parts, _: &Shared) -> Result<Self, ApiError> {
                required(parts, $role).map(|_| Self)
            }
        }
    };
}

required_role!(
    /// The caller may look.
    Viewer,
    Role::Viewer
);
required_role!(
    /// The caller may keep searches and rules.
    Editor,
    Role::Editor
);

fn required(parts: &Parts, role: Role) -> Result<(), ApiError> {
    let user = parts.extensions.get::<Caller>().and_then(|caller| caller.user.as_ref());
    match user {
        None => Err(ApiError::unauthorized("log in first")),
        Some(user) if user.role < role => {
            Err(ApiError::forbidden(format!("{} may not do this: it takes the role {}", user.name, role.as_str())))
        }
        Some(_) => Ok(()),
    }
}

impl FromRequestParts<Shared> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &Shared) -> Result<Self, ApiError> {
        let found = parts.extensions.get::<Self>().cloned();
        Ok(found.map_or_else(
            || Self::visitor(None),
            |caller| match caller.session {
                Some(_) => caller,
                None => Self::visitor(caller.visitor),
            },
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn pages_of_other_sites_are_told_apart() {
        let ours = [("host", "127.0.0.1:5601"), ("origin", "http://127.0.0.1:5601"), ("sec-fetch-site", "same-origin")];
        assert!(is_same_origin(&headers(&ours), None));
        assert!(is_same_origin(&headers(&[("host", "127.0.0.1:5601")]), None));
        assert!(!is_same_origin(&headers(&[("host", "a:1"), ("origin", "http://evil.example")]), None));
        assert!(!is_same_origin(&headers(&[("host", "a:1"), ("origin", "null")]), None));
        assert!(!is_same_origin(&headers(&[("host", "a:1"), ("sec-fetch-site", "cross-site")]), None));
        let behind = [("host", "127.0.0.1:5601"), ("origin", "https://logs.example.org")];
        assert!(is_same_origin(&headers(&behind), Some("https://logs.example.org/")));
    }

    #[test]
    fn cookies_are_found_among_others() {
        let headers = headers(&[("cookie", "a=1; logmill_session=tok; b=2")]);
        assert_eq!(cookie(&headers, SESSION_COOKIE).as_deref(), Some("tok"));
        assert_eq!(cookie(&headers, "session"), None);
    }
}
