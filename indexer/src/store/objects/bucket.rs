//! A bucket of S3, and how it is reached.

use std::sync::Arc;
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, RetryConfig};
use serde::{Deserialize, Serialize};

use super::ObjectError;
use crate::config::S3;

/// An address that does not answer by then is away.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A request moves 16 MiB at most: two megabits a second are enough.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// Some seconds of trying again: who waits for a search does not wait longer.
const RETRIES_MAX: usize = 3;
/// What is to be asked for again is asked for within this time.
const RETRY_TIMEOUT: Duration = Duration::from_secs(60);
const BACKOFF_MAX: Duration = Duration::from_secs(2);
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

    /// Makes the client; nothing is asked yet.
    pub(super) fn connect(&self, access: &S3) -> Result<Arc<dyn ObjectStore>, ObjectError> {
        let refused = |reason: String| ObjectError::Refused(reason);
        let plain =
            |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || matches!(letter, '.' | '-');
        if !(3..=63).contains(&self.bucket.len()) || !self.bucket.chars().all(plain) {
            return Err(refused(format!("[{}] is no name of a bucket", self.bucket)));
        }
        // TLS by the provider that everything here uses.
        let _ = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
        let backoff = BackoffConfig { max_backoff: BACKOFF_MAX, ..BackoffConfig::default() };
        let retry = RetryConfig { backoff, max_retries: RETRIES_MAX, retry_timeout: RETRY_TIMEOUT };
        let options = ClientOptions::new().with_connect_timeout(CONNECT_TIMEOUT).with_timeout(REQUEST_TIMEOUT);
        let mut builder = AmazonS3Builder::from_env().with_bucket_name(&self.bucket).with_retry(retry);
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
        if let (Some(key), Some(secret)) =
            (&access.access_key, access.secret().map_err(|error| refused(error.to_string()))?)
        {
            builder = builder.with_access_key_id(key.reveal()).with_secret_access_key(secret.reveal());
        }
        if let Some(token) = &access.session_token {
            builder = builder.with_token(token.reveal());
        }
        let store = builder.with_client_options(options).build().map_err(|error| refused(super::in_words(&error)))?;
        Ok(Arc::new(store))
    }
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
