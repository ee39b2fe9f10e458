//! A bucket of S3, and how it is reached.

use std::sync::Arc;
use std::time::Duration;

use logmill_core::config::Secret;
use object_store::aws::AmazonS3Builder;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, RetryConfig};
use serde::{Deserialize, Serialize};

use super::ObjectError;
use crate::config::S3;
use crate::config::objects::is_address;

/// An address that does not answer by then is away.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A request moves 16 MiB at most: two megabits a second are enough.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// Some seconds of trying again: who waits for a search does not wait longer.
const RETRIES_MAX: usize = 3;
/// What is to be asked for again is asked for within this time.
const RETRY_TIMEOUT: Duration = Duration::from_secs(60);
const BACKOFF_MAX: Duration = Duration::from_secs(2);
/// Longer than any: they are words and numbers joined.
const REGION_LETTERS_MAX: usize = 32;
/// What services other than Amazon's take when they have no regions.
const REGION: &str = "us-east-1";

/// A prefix in a bucket, as the settings of a repository say it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Bucket {
    pub(crate) bucket: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) base_path: String,
    /// What the configuration says, where this says nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) endpoint: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) region: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) path_style_access: Option<bool>,
}

impl Bucket {
    /// As it is shown.
    pub(super) fn shown(&self) -> String {
        let base_path = self.base_path.trim_matches('/');
        if base_path.is_empty() { format!("s3://{}", self.bucket) } else { format!("s3://{}/{base_path}", self.bucket) }
    }

    /// Whether requests for it go where they may: to the service that the configuration names, or to Amazon's.
    /// Whoever may register a repository must not be able to send our requests, which carry credentials, elsewhere.
    ///
    /// # Errors
    /// When a name has what no such name has, or the endpoint is another one.
    pub(crate) fn check(&self, access: &S3) -> Result<(), ObjectError> {
        if !is_bucket_name(&self.bucket) {
            return Err(ObjectError::Refused(format!("[{}] is no name of a bucket", self.bucket)));
        }
        // It becomes a part of a host name where there is no endpoint.
        if let Some(region) = self.region.as_ref().filter(|region| !is_region(region)) {
            return Err(ObjectError::Refused(format!("[region] [{region}] is none: lower case letters, digits and -")));
        }
        match &self.endpoint {
            Some(endpoint) if access.endpoint.as_ref() != Some(endpoint) && !is_amazon(endpoint) => {
                let reason = "is neither the one that indexer.s3.endpoint names nor https://s3....amazonaws.com";
                Err(ObjectError::Refused(format!("[endpoint] [{endpoint}] {reason}")))
            }
            Some(endpoint) if !is_address(endpoint) => {
                Err(ObjectError::Refused(format!("[endpoint] [{endpoint}] is not written as https://host:port")))
            }
            _ => Ok(()),
        }
    }

    /// Makes the client; nothing is asked yet.
    pub(super) fn connect(&self, access: &S3) -> Result<Arc<dyn ObjectStore>, ObjectError> {
        let refused = |reason: String| ObjectError::Refused(reason);
        // Those that were registered are not asked about again, and the configuration may have changed since.
        self.check(access)?;
        // TLS by the provider that everything here uses.
        let _ = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
        let backoff = BackoffConfig { max_backoff: BACKOFF_MAX, ..BackoffConfig::default() };
        let retry = RetryConfig { backoff, max_retries: RETRIES_MAX, retry_timeout: RETRY_TIMEOUT };
        let options = ClientOptions::new().with_connect_timeout(CONNECT_TIMEOUT).with_timeout(REQUEST_TIMEOUT);
        let secret = access.secret().map_err(|error| refused(error.to_string()))?;
        let builder = with_keys(AmazonS3Builder::from_env(), access, secret.as_ref());
        let mut builder = builder.with_bucket_name(&self.bucket).with_retry(retry);
        let region = self.region.as_ref().or(access.region.as_ref()).cloned();
        let region = region.or_else(|| variable("AWS_REGION")).or_else(|| variable("AWS_DEFAULT_REGION"));
        builder = builder.with_region(region.unwrap_or_else(|| REGION.to_owned()));
        let endpoint = self.endpoint.as_ref().or(access.endpoint.as_ref()).cloned();
        let endpoint = endpoint.or_else(|| variable("AWS_ENDPOINT_URL"));
        let by_path = self.path_style_access.unwrap_or(access.path_style_access);
        builder = builder.with_virtual_hosted_style_request(!by_path);
        let mut options = options;
        if let Some(endpoint) = endpoint {
            options = options.with_allow_http(endpoint.starts_with("http://"));
            builder = builder.with_endpoint(if by_path { endpoint } else { with_host(&endpoint, &self.bucket) });
        }
        let store = builder.with_client_options(options).build().map_err(|error| refused(super::in_words(&error)))?;
        Ok(Arc::new(store))
    }
}

/// The credentials of the configuration, or else those of the environment: never a key of one with a token of the other.
fn with_keys(environment: AmazonS3Builder, access: &S3, secret: Option<&Secret>) -> AmazonS3Builder {
    let builder = match (&access.access_key, secret) {
        (Some(key), Some(secret)) => {
            AmazonS3Builder::new().with_access_key_id(key.reveal()).with_secret_access_key(secret.reveal())
        }
        _ => environment,
    };
    match &access.session_token {
        Some(token) => builder.with_token(token.reveal()),
        None => builder,
    }
}

/// As S3 allows them.
fn is_bucket_name(name: &str) -> bool {
    let is_end = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit();
    (3..=63).contains(&name.len())
        && name.chars().all(|letter| is_end(letter) || matches!(letter, '.' | '-'))
        && name.starts_with(is_end)
        && name.ends_with(is_end)
        && !name.contains("..")
}

fn is_region(name: &str) -> bool {
    let plain = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
    (1..=REGION_LETTERS_MAX).contains(&name.len()) && name.chars().all(plain)
}

/// Whether this is the address of Amazon's S3, and nothing that could be read in two ways: no user, path or query.
fn is_amazon(endpoint: &str) -> bool {
    let Some(address) = endpoint.strip_prefix("https://") else { return false };
    let address = address.strip_suffix('/').unwrap_or(address);
    let (host, port) = address.split_once(':').unwrap_or((address, "443"));
    let plain = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || matches!(letter, '.' | '-');
    // Below amazonaws.com are also machines that anybody can rent.
    (host.starts_with("s3.") || host.starts_with("s3-"))
        && host.ends_with(".amazonaws.com")
        && host.chars().all(plain)
        && port.parse::<u16>().is_ok()
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The address at which a service serves a bucket by its name.
fn with_host(endpoint: &str, bucket: &str) -> String {
    match endpoint.split_once("://") {
        Some((scheme, host)) => format!("{scheme}://{bucket}.{host}"),
        None => endpoint.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use object_store::aws::AmazonS3ConfigKey;

    use super::*;

    #[test]
    fn what_could_lead_a_request_elsewhere_is_refused_whenever_it_is_made() {
        let access = S3 { endpoint: Some("http://minio:9000".into()), ..S3::default() };
        let logs = || Bucket { bucket: "logs".into(), ..Bucket::default() };
        let fine = |bucket: &Bucket| {
            let is_fine = bucket.check(&access).is_ok();
            assert_eq!(bucket.connect(&access).is_ok(), is_fine, "{bucket:?}");
            is_fine
        };
        for (name, is_fine) in [("a-1.b", true), ("-ab", false), ("ab.", false), ("a..b", false), ("a/b", false)] {
            assert_eq!(fine(&Bucket { bucket: name.into(), ..Bucket::default() }), is_fine, "{name}");
        }
        for (region, is_fine) in
            [("eu-central-1", true), ("evil.com/", false), ("", false), ("a?", false), ("A", false)]
        {
            assert_eq!(fine(&Bucket { region: Some(region.into()), ..logs() }), is_fine, "{region}");
        }
        for (endpoint, is_fine) in [
            ("http://minio:9000", true),
            ("https://s3.eu-central-1.amazonaws.com", true),
            ("https://s3.dualstack.eu-west-1.amazonaws.com:443/", true),
            ("https://10.0.0.5?.amazonaws.com", false),
            ("https://10.0.0.5#.amazonaws.com", false),
            ("https://s3.10.0.0.5\\.amazonaws.com", false),
            ("https://s3.x@10.0.0.5:80/.amazonaws.com", false),
            ("https://s3.amazonaws.com/../x", false),
            ("https://s3.amazonaws.com:80@10.0.0.5", false),
            ("https://ec2-10-0-0-5.compute-1.amazonaws.com", false),
            ("http://s3.amazonaws.com", false),
            ("http://minio:9001", false),
        ] {
            assert_eq!(fine(&Bucket { endpoint: Some(endpoint.into()), ..logs() }), is_fine, "{endpoint}");
        }
    }

    #[test]
    fn keys_and_tokens_come_from_one_place() {
        let secret = |text: &str| Secret::new(text.to_owned());
        let environment = || AmazonS3Builder::new().with_access_key_id("e").with_token("of the environment");
        let found = |access: &S3, secret: Option<&Secret>| {
            let builder = with_keys(environment(), access, secret);
            [AmazonS3ConfigKey::AccessKeyId, AmazonS3ConfigKey::Token].map(|key| builder.get_config_value(&key))
        };
        let mut access = S3 { access_key: Some(secret("c")), ..S3::default() };
        assert_eq!(found(&access, Some(&secret("s"))), [Some("c".to_owned()), None]);
        access.session_token = Some(secret("t"));
        assert_eq!(found(&access, Some(&secret("s"))), [Some("c".to_owned()), Some("t".to_owned())]);
        let environment = [Some("e".to_owned()), Some("of the environment".to_owned())];
        assert_eq!(found(&S3::default(), None), environment);
    }
}
