//! What a client says to log in, and what it is answered: one mechanism after the other, apart from any connection.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use tokio::sync::Semaphore;

use super::oauth::Oauth;
use super::principal::Principal;
use super::scram::{Challenge, ClientFirst, Credential, Hash};
use super::users::{Users, random};
use crate::config::Mechanism;

/// Hashing a password takes milliseconds on purpose: so many at a time, or those who guess would starve the others.
const CHECKS_AT_A_TIME: usize = 2;
/// What a refused token is answered by; the client then ends the exchange (RFC 7628).
const REFUSED_TOKEN: &[u8] = br#"{"status":"invalid_token"}"#;

/// Who may come in.
#[derive(Debug)]
pub(crate) struct Logins {
    pub(crate) users: Arc<Users>,
    oauth: Option<Arc<Oauth>>,
    checks: Semaphore,
}

/// The one user of a listener that only this process knows of.
#[derive(Debug)]
pub(crate) struct Own {
    pub(crate) user: String,
    pub(crate) credential: Credential,
}

/// A login on its way.
#[derive(Debug)]
pub(crate) enum Exchange {
    Begun(Mechanism),
    /// The client has to prove that it knows the password.
    Challenged(Box<Challenge>),
    /// The client has to acknowledge that its token is refused.
    Refused(String),
}

/// What comes of a message.
#[derive(Debug)]
pub(crate) enum Step {
    /// The client is asked for more.
    Ask(Exchange, Vec<u8>),
    /// It is in; for so long, where that is limited.
    In { answer: Vec<u8>, principal: Principal, lifetime: Option<Duration> },
    /// It is not: why, for the log.
    Out(String),
}

impl Logins {
    pub(crate) fn new(users: Users, oauth: Option<Oauth>) -> Self {
        Self { users: Arc::new(users), oauth: oauth.map(Arc::new), checks: Semaphore::new(CHECKS_AT_A_TIME) }
    }

    /// Takes a client's message, on a thread that may take its time.
    pub(crate) async fn step(&self, exchange: Exchange, token: bytes::Bytes, own: Option<Arc<Own>>) -> Step {
        let (users, oauth) = (Arc::clone(&self.users), self.oauth.clone());
        let Ok(_one_of_few) = self.checks.acquire().await else { return Step::Out("no checks are made".to_owned()) };
        let work = move || step(exchange, &token, &users, oauth.as_deref(), own.as_deref());
        let checked = tokio::task::spawn_blocking(work).await;
        checked.unwrap_or_else(|error| Step::Out(format!("the check failed: {error}")))
    }
}

fn step(exchange: Exchange, token: &[u8], users: &Users, oauth: Option<&Oauth>, own: Option<&Own>) -> Step {
    let out = |error: &dyn std::fmt::Display| Step::Out(error.to_string());
    match exchange {
        Exchange::Begun(Mechanism::Plain) => plain(token, users, own),
        Exchange::Begun(Mechanism::ScramSha256) => scram(token, Hash::Sha256, users),
        Exchange::Begun(Mechanism::ScramSha512) => scram(token, Hash::Sha512, users),
        Exchange::Begun(Mechanism::OauthBearer) => match oauth.map(|oauth| oauth.check(token, SystemTime::now())) {
            Some(Ok(bearer)) => Step::In {
                answer: Vec::new(),
                principal: Principal::user(&bearer.user),
                lifetime: Some(bearer.lifetime),
            },
            Some(Err(error)) => Step::Ask(Exchange::Refused(error.to_string()), REFUSED_TOKEN.to_vec()),
            None => Step::Out("no issuer of tokens is configured".to_owned()),
        },
        Exchange::Challenged(challenge) => match challenge.finish(token) {
            Ok(proof) => {
                let principal = Principal::user(challenge.user());
                Step::In { answer: proof.into_bytes(), principal, lifetime: None }
            }
            Err(error) => out(&error),
        },
        Exchange::Refused(reason) => Step::Out(reason),
    }
}

/// `[authorization identity] NUL name NUL password` (RFC 4616).
fn plain(token: &[u8], users: &Users, own: Option<&Own>) -> Step {
    let Ok(text) = std::str::from_utf8(token) else { return Step::Out("the message is not UTF-8".to_owned()) };
    let mut parts = text.split('\0');
    let (Some(authorization), Some(user), Some(password), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Step::Out("the message is not a name and a password".to_owned());
    };
    if !authorization.is_empty() && authorization != user {
        return Step::Out("one user can't log in as another".to_owned());
    }
    let (known, principal) = match own {
        Some(own) => (own.user == user && own.credential.is_password(password), Principal::own()),
        None => (users.is_password(user, password), Principal::user(user)),
    };
    if !known || user.is_empty() {
        return Step::Out("the password is wrong, or there is no such user".to_owned());
    }
    Step::In { answer: Vec::new(), principal, lifetime: None }
}

fn scram(token: &[u8], hash: Hash, users: &Users) -> Step {
    let first = match ClientFirst::parse(token) {
        Ok(first) => first,
        Err(error) => return Step::Out(error.to_string()),
    };
    let nonce = match random::<24>() {
        Ok(nonce) => BASE64.encode(nonce),
        Err(error) => return Step::Out(error.to_string()),
    };
    let credential = users.credential(&first.user, hash);
    let challenge = Challenge::new(first, credential, &nonce);
    let message = challenge.message().as_bytes().to_vec();
    Step::Ask(Exchange::Challenged(Box::new(challenge)), message)
}
