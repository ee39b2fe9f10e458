//! Talks to an Elasticsearch API: our indexer's, OpenSearch's or Elasticsearch's own.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use logmill_core::indexer_access::{IndexerAccess, IndexerTls, Login};
use reqwest::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Certificate, ClientBuilder, Identity, Method, Response, StatusCode, Url};
use serde_json::Value;

use crate::percent::encode;

/// Answers larger than this are refused: a page of 10,000 large events is a tenth of it.
const ANSWER_BYTES_MAX: usize = 512 << 20;
/// A peer on the same network answers within a fraction; beyond it, it is away.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A search over months of logs may take long; a person gives up before.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(120);

/// A request failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The address is not one.
    #[error("{url:?} is not the address of an indexer: write http://host:9200 ({reason})")]
    Url {
        /// What was written.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Certificates, keys or passwords can't be used.
    #[error("`indexer.client` can't be used: {0}")]
    Access(String),
    /// The HTTP client could not be made.
    #[error("can't make an HTTP client: {0}")]
    Setup(#[source] reqwest::Error),
    /// Nobody answered.
    #[error("the indexer at {url} can't be reached: {reason}")]
    Unreachable {
        /// The address.
        url: String,
        /// Why.
        reason: String,
    },
    /// The indexer said no.
    #[error("{reason} ({kind}, status {status})")]
    Refused {
        /// HTTP status.
        status: u16,
        /// Elasticsearch's type of the error, such as `parsing_exception`.
        kind: String,
        /// Why, in words.
        reason: String,
        /// The whole answer.
        body: Box<Value>,
    },
    /// The answer is not what an indexer answers.
    #[error("the answer of {url} can't be used: {reason}")]
    Answer {
        /// The address.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl ClientError {
    /// The HTTP status, when there was an answer.
    #[must_use]
    pub const fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }
}

/// A status with its bytes, whatever they are.
#[derive(Clone, Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// After how long the server wants to be asked again, where it says so.
    pub retry_after: Option<Duration>,
    /// The body.
    pub body: Bytes,
}

/// A client. Cloning shares the connections.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
}

impl Client {
    /// A client for the indexer at `url` (`http://host:9200`; user and password may stand before the host).
    ///
    /// # Errors
    /// When the address is not one.
    pub fn new(url: &str) -> Result<Self, ClientError> {
        Self::with_access(url, &IndexerAccess::default())
    }

    /// The same with TLS and a login.
    ///
    /// # Errors
    /// When the address is not one, or a file can't be read.
    pub fn with_access(url: &str, access: &IndexerAccess) -> Result<Self, ClientError> {
        let refused = |reason: String| ClientError::Url { url: url.to_owned(), reason };
        let mut base = Url::parse(url).map_err(|error| refused(error.to_string()))?;
        if !matches!(base.scheme(), "http" | "https") || base.host_str().is_none() {
            return Err(refused("it must begin with http:// or https://".to_owned()));
        }
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        // Fails when the program has chosen a provider already, which is then the one to use.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = reqwest::Client::builder().connect_timeout(CONNECT_TIMEOUT).timeout(REQUEST_TIMEOUT);
        if let Some(tls) = &access.tls {
            builder = secured(builder, tls).map_err(ClientError::Access)?;
        }
        let login = access.login().map_err(|error| ClientError::Access(error.to_string()))?;
        if let Some(login) = login {
            let shown = authorization(&login).map_err(|error| ClientError::Access(error.to_string()))?;
            builder = builder.default_headers(HeaderMap::from_iter([(AUTHORIZATION, shown)]));
        }
        let http = builder.build().map_err(ClientError::Setup)?;
        Ok(Self { http, base })
    }

    /// `GET /`: who answers.
    ///
    /// # Errors
    /// See [`ClientError`]; so for every request.
    pub async fn info(&self) -> Result<Value, ClientError> {
        self.get("").await
    }

    /// `POST <index>/_search`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn search(&self, index: &str, body: &Value) -> Result<Value, ClientError> {
        self.json(Method::POST, &format!("{}/_search", encode(index)), Some(body)).await
    }

    /// `POST <index>/_count`: how many events match.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn count(&self, index: &str, query: &Value) -> Result<u64, ClientError> {
        let path = format!("{}/_count", encode(index));
        let body = serde_json::json!({ "query": query });
        let answer = self.json(Method::POST, &path, Some(&body)).await?;
        answer.get("count").and_then(Value::as_u64).ok_or_else(|| self.unusable("there is no count in it"))
    }

    /// `POST _msearch`: several searches in one request; their answers in order, each a result or an error.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn msearch(&self, searches: &[(&str, &Value)]) -> Result<Vec<Value>, ClientError> {
        let mut lines = Vec::new();
        for (index, body) in searches {
            lines.push(serde_json::json!({ "index": index }).to_string());
            lines.push(body.to_string());
        }
        let answer = self.ndjson("_msearch", (lines.join("\n") + "\n").into()).await?;
        match answer.get("responses") {
            Some(Value::Array(responses)) => Ok(responses.clone()),
            _ => Err(self.unusable("there are no responses in it")),
        }
    }

    /// `GET <index>/_field_caps`: which fields there are and what can be done with them.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn field_caps(&self, index: &str, fields: &str) -> Result<Value, ClientError> {
        self.get(&format!("{}/_field_caps?fields={}", encode(index), encode(fields))).await
    }

    /// `POST _bulk` with lines of JSON.
    ///
    /// # Errors
    /// See [`ClientError`]; errors of single items are in the answer.
    pub async fn bulk(&self, lines: Bytes) -> Result<Value, ClientError> {
        self.ndjson("_bulk", lines).await
    }

    /// `GET` on any path below the address.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn get(&self, path: &str) -> Result<Value, ClientError> {
        self.json(Method::GET, path, None).await
    }

    /// Any request with a JSON body, for a JSON answer.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn json(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, ClientError> {
        let bytes = body.map(|body| Bytes::from(body.to_string()));
        let answer = self.raw(method, path, "application/json", bytes).await?;
        self.read(&answer)
    }

    async fn ndjson(&self, path: &str, lines: Bytes) -> Result<Value, ClientError> {
        let answer = self.raw(Method::POST, path, "application/x-ndjson", Some(lines)).await?;
        self.read(&answer)
    }

    /// Any request; any status is an answer.
    ///
    /// # Errors
    /// When nobody answers, or the answer is too large.
    pub async fn raw(
        &self,
        method: Method,
        path: &str,
        content_type: &str,
        body: Option<Bytes>,
    ) -> Result<Answer, ClientError> {
        let mut request = self.http.request(method, self.place(path)?);
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, content_type).body(body);
        }
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        self.whole(response).await
    }

    /// `POST` of lines of JSON that are compressed already, where `gzipped` says so; any status is an answer.
    ///
    /// # Errors
    /// When nobody answers, or the answer is too large.
    pub async fn post_lines(&self, path: &str, lines: Bytes, gzipped: bool) -> Result<Answer, ClientError> {
        let mut request = self.http.post(self.place(path)?).header(CONTENT_TYPE, "application/x-ndjson").body(lines);
        if gzipped {
            request = request.header(CONTENT_ENCODING, "gzip");
        }
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        self.whole(response).await
    }

    fn place(&self, path: &str) -> Result<Url, ClientError> {
        self.base
            .join(path.trim_start_matches('/'))
            .map_err(|error| ClientError::Url { url: path.to_owned(), reason: error.to_string() })
    }

    async fn whole(&self, mut response: Response) -> Result<Answer, ClientError> {
        let status = response.status().as_u16();
        let retry_after =
            response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.unreachable(&error))? {
            if body.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(self.unusable("it is larger than 512 MiB; ask for fewer events at once"));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { status, retry_after: retry_after.map(Duration::from_secs), body: body.freeze() })
    }

    fn read(&self, answer: &Answer) -> Result<Value, ClientError> {
        let ok = StatusCode::from_u16(answer.status).is_ok_and(|status| status.is_success());
        match serde_json::from_slice::<Value>(&answer.body) {
            Ok(body) if ok => Ok(body),
            Err(error) if ok => Err(self.unusable(&format!("it is not JSON ({error})"))),
            body => Err(refused(answer, body.unwrap_or_default())),
        }
    }

    fn unusable(&self, reason: &str) -> ClientError {
        ClientError::Answer { url: self.shown(), reason: reason.to_owned() }
    }

    fn unreachable(&self, error: &reqwest::Error) -> ClientError {
        // The innermost cause says what happened; what is around it repeats the address.
        let mut cause: &dyn std::error::Error = error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        let reason = if error.is_timeout() { "no answer in time".to_owned() } else { cause.to_string() };
        ClientError::Unreachable { url: self.shown(), reason }
    }

    /// The address without user and password.
    #[must_use]
    pub fn shown(&self) -> String {
        let mut url = self.base.clone();
        // Both fail only for addresses that can't have any.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        url.to_string()
    }
}

fn secured(mut builder: ClientBuilder, tls: &IndexerTls) -> Result<ClientBuilder, String> {
    let read = |path: &std::path::Path| std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()));
    if let Some(path) = &tls.ca {
        let told = |reason: &dyn std::fmt::Display| format!("{}: {reason}", path.display());
        let authorities = Certificate::from_pem_bundle(&read(path)?).map_err(|error| told(&error))?;
        if authorities.is_empty() {
            return Err(told(&"there is no certificate in it"));
        }
        builder = builder.tls_certs_only(authorities);
    }
    if let (Some(certificate), Some(key)) = (&tls.certificate, &tls.key) {
        let mut pem = read(certificate)?;
        pem.push(b'\n');
        pem.extend(read(key)?);
        let identity = Identity::from_pem(&pem).map_err(|error| format!("{}: {error}", certificate.display()))?;
        builder = builder.identity(identity);
    }
    Ok(if tls.verify { builder } else { builder.tls_danger_accept_invalid_certs(true) })
}

/// The `Authorization` header of a login, hidden from logs.
fn authorization(login: &Login) -> Result<HeaderValue, reqwest::header::InvalidHeaderValue> {
    let text = match login {
        Login::Basic { username, password } => {
            format!("Basic {}", STANDARD.encode(format!("{username}:{}", password.reveal())))
        }
        // The two halves as they are, which is easy to take for the whole.
        Login::ApiKey(key) if key.reveal().contains(':') => format!("ApiKey {}", STANDARD.encode(key.reveal())),
        Login::ApiKey(key) => format!("ApiKey {}", key.reveal()),
    };
    let mut value = HeaderValue::from_str(&text)?;
    value.set_sensitive(true);
    Ok(value)
}

fn refused(answer: &Answer, body: Value) -> ClientError {
    let error = body.get("error");
    let cause = error.and_then(|error| error.pointer("/root_cause/0")).or(error);
    let text = |key: &str| cause.and_then(|cause| cause.get(key)).and_then(Value::as_str);
    let fallback = || match error.and_then(Value::as_str) {
        Some(message) => message.to_owned(),
        None => String::from_utf8_lossy(&answer.body).chars().take(300).collect(),
    };
    ClientError::Refused {
        status: answer.status,
        kind: text("type").unwrap_or("error").to_owned(),
        reason: text("reason").map_or_else(fallback, str::to_owned),
        body: Box::new(body),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn says_what_is_wrong_with_an_address() {
        for url in ["", "localhost:9200", "ftp://x", "http://"] {
            let outcome = Client::new(url).map(|_| ());
            assert!(matches!(outcome, Err(ClientError::Url { .. })), "{url}: {outcome:?}");
        }
        let client = Client::new("http://user:secret@127.0.0.1:1").unwrap_or_else(|error| panic!("{error}"));
        let error = client.info().await.err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.contains("127.0.0.1:1") && !error.contains("secret"), "{error}");
    }

    #[test]
    fn logins_are_written_as_elasticsearch_reads_them() {
        let secret = |text: &str| logmill_core::config::Secret::new(text.to_owned());
        for (login, expected) in [
            (Login::Basic { username: "one".to_owned(), password: secret("geheim") }, "Basic b25lOmdlaGVpbQ=="),
            (Login::ApiKey(secret("id:key")), "ApiKey aWQ6a2V5"),
            (Login::ApiKey(secret("aWQ6a2V5")), "ApiKey aWQ6a2V5"),
        ] {
            let value = authorization(&login).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!((value.to_str().ok(), value.is_sensitive()), (Some(expected), true));
        }
        let missing = IndexerTls { ca: Some("/nowhere/ca.pem".into()), ..IndexerTls::default() };
        let access = IndexerAccess { tls: Some(missing), ..IndexerAccess::default() };
        let error = Client::with_access("https://x", &access).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.contains("/nowhere/ca.pem"), "{error}");
    }

    #[test]
    fn reads_the_reason_of_a_refusal() {
        let body = serde_json::json!({"error": {"type": "search_phase_execution_exception", "reason": "all shards failed",
            "root_cause": [{"type": "parsing_exception", "reason": "unknown query [x]"}]}, "status": 400});
        let answer = Answer { status: 400, retry_after: None, body: body.to_string().into() };
        let error = refused(&answer, body);
        assert_eq!(error.to_string(), "unknown query [x] (parsing_exception, status 400)");
        assert_eq!(encode("logs-*,a b/c"), "logs-*,a%20b%2Fc");
    }
}
