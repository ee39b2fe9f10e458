//! One attempt to get a message to its receiver: signed, to a checked address, without redirects, and with little
//! read of what comes back.

use std::time::{Duration, Instant};

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, Response};

use super::delivery::{Due, Receiver};
use super::guard::{AllowList, Refused, Target};
use super::retry;
use super::sign;
use super::store::{Tried, Verdict};
use crate::database::now_ms;

/// Standard Webhooks asks receivers to answer within 15 to 30 s; whoever needs longer queues.
const TIMEOUT: Duration = Duration::from_secs(15);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// More of an answer is not even read,
const RESPONSE_BYTES_READ_MAX: usize = 64 << 10;
/// and this much is kept in the log.
const RESPONSE_CHARS_KEPT: usize = 4096;

/// Sends messages to where they may go.
#[derive(Clone, Debug)]
pub(crate) struct Sender {
    allowed: AllowList,
}

/// What an attempt came to.
pub(super) struct Outcome {
    pub(super) tried: Tried,
    pub(super) verdict: Verdict,
}

enum Failure {
    /// Trying again can't help.
    Final(String),
    Passing(String),
}

impl Sender {
    /// Sends to public addresses and those that are allowed besides.
    pub(crate) const fn new(allowed: AllowList) -> Self {
        Self { allowed }
    }

    /// Which addresses rules may name.
    pub(crate) const fn allowed(&self) -> &AllowList {
        &self.allowed
    }

    /// Tries once.
    pub(super) async fn attempt(&self, due: &Due) -> Outcome {
        let (at_ms, begun) = (now_ms(), Instant::now());
        let answer = match &due.receiver {
            None => Err(Failure::Final("the rule was deleted".to_owned())),
            Some(receiver) => match tokio::time::timeout(TIMEOUT, self.post(due, receiver, at_ms / 1000)).await {
                Ok(answer) => answer,
                Err(_) => Err(Failure::Passing(format!("no answer within {} s", TIMEOUT.as_secs()))),
            },
        };
        let took_ms = i64::try_from(begun.elapsed().as_millis()).unwrap_or(i64::MAX);
        let failed = due.tried.saturating_add(1);
        let again = |asked: Option<Duration>| match retry::wait_after(failed, asked, rand::random()) {
            Some(wait) => Verdict::Again { at_ms: now_ms() + i64::try_from(wait.as_millis()).unwrap_or(i64::MAX / 2) },
            None => Verdict::Failed,
        };
        let tried = |status, error, response| Tried { at_ms, status, took_ms, error, response };
        match answer {
            Ok((status, retry_after, response)) => {
                let verdict = match status {
                    200..=299 => Verdict::Delivered,
                    410 => Verdict::Gone,
                    _ => again(retry_after),
                };
                let error = (verdict != Verdict::Delivered).then(|| format!("the receiver answered {status}"));
                Outcome { tried: tried(Some(status), error, response), verdict }
            }
            Err(Failure::Passing(error)) => {
                Outcome { tried: tried(None, Some(error), String::new()), verdict: again(None) }
            }
            Err(Failure::Final(error)) => {
                Outcome { tried: tried(None, Some(error), String::new()), verdict: Verdict::Failed }
            }
        }
    }

    async fn post(
        &self,
        due: &Due,
        receiver: &Receiver,
        timestamp_s: i64,
    ) -> Result<(u16, Option<Duration>, String), Failure> {
        let target = self.allowed.check(&receiver.url).await.map_err(|refused| match refused {
            Refused::Unresolved { .. } => Failure::Passing(refused.to_string()),
            Refused::Url(_) | Refused::Internal { .. } => Failure::Final(refused.to_string()),
        })?;
        let headers = headers(due, receiver, timestamp_s)
            .ok_or_else(|| Failure::Final("the rule's secret can't be used".to_owned()))?;
        let request = client_for(&target).map_err(passing)?.post(target.url).headers(headers).body(due.body.clone());
        let response = request.send().await.map_err(passing)?;
        let status = response.status().as_u16();
        let header = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let retry_after = header.and_then(|text| retry::retry_after(text, jiff::Timestamp::now()));
        // Whoever echoes the secret does not get it into the log.
        let text = read_some(response).await.replace(&receiver.secret, "whsec_***");
        Ok((status, retry_after, text.chars().take(RESPONSE_CHARS_KEPT).collect()))
    }
}

/// A client that can reach nothing but the addresses that were checked.
fn client_for(target: &Target) -> reqwest::Result<Client> {
    Client::builder()
        .resolve_to_addrs(&target.host, &target.addresses)
        .redirect(Policy::none())
        .no_proxy()
        .no_gzip()
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(TIMEOUT)
        .user_agent(concat!("logmill/", env!("CARGO_PKG_VERSION")))
        .build()
}

fn headers(due: &Due, receiver: &Receiver, timestamp_s: i64) -> Option<HeaderMap> {
    let signature = sign::signature(&receiver.secret, &due.id, timestamp_s, &due.body)?;
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert("webhook-id", HeaderValue::from_str(&due.id).ok()?);
    headers.insert("webhook-timestamp", HeaderValue::from(timestamp_s));
    headers.insert("webhook-signature", HeaderValue::from_str(&signature).ok()?);
    Some(headers)
}

async fn read_some(mut response: Response) -> String {
    let mut bytes = Vec::new();
    while bytes.len() < RESPONSE_BYTES_READ_MAX
        && let Ok(Some(chunk)) = response.chunk().await
    {
        let room = RESPONSE_BYTES_READ_MAX - bytes.len();
        bytes.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The innermost cause says what happened; the address (which may hold a token) is left out.
#[allow(clippy::needless_pass_by_value, reason = "handed to map_err")]
fn passing(error: reqwest::Error) -> Failure {
    let error = error.without_url();
    let mut cause: &dyn std::error::Error = &error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    Failure::Passing(if error.is_timeout() { "no answer in time".to_owned() } else { cause.to_string() })
}
