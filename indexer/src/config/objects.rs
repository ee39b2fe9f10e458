//! Settings of object stores: how buckets are reached, and which splits are kept there.

use std::path::PathBuf;

use logmill_core::config::{ByteSize, Period, Secret};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How buckets are reached, for snapshots and cold splits. What is left out comes from the environment as for other
/// programs (`AWS_ACCESS_KEY_ID`, `AWS_REGION`, ...), or from the role of the machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct S3 {
    /// Where the service is, `https://host:port`, when it is not Amazon's.
    pub endpoint: Option<String>,
    /// The region of the buckets.
    pub region: Option<String>,
    /// Names buckets in the path and not in the host name, as many services other than Amazon's want it.
    pub path_style_access: bool,
    /// The access key.
    pub access_key: Option<Secret>,
    /// The secret key; `secret_key_file` keeps it out of the configuration.
    pub secret_key: Option<Secret>,
    /// A file that holds the secret key.
    pub secret_key_file: Option<PathBuf>,
    /// The token of credentials that are lent for a time.
    pub session_token: Option<Secret>,
}

/// Old splits on an object store. They are searched through a cache on the disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Cold {
    /// Where they are kept: `s3://bucket/prefix`, or a folder, `file:///folder`. It may be shared by several stores.
    /// While splits are there it must not be taken away.
    pub url: Option<String>,
    /// Sealed splits whose newest event is older go there.
    pub after: Option<Period>,
    /// Ages of some indexes; the first rule that names an index counts.
    pub indices: Vec<IndexCold>,
    /// Disk space of the cache.
    pub cache_bytes: ByteSize,
}

impl Default for Cold {
    fn default() -> Self {
        // A day's searches of some ten GB of splits, and a fraction of any disk of a server.
        Self { url: None, after: None, indices: Vec::new(), cache_bytes: ByteSize(1 << 30) }
    }
}

/// When splits of some indexes go to the object store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct IndexCold {
    /// The indexes and data streams: a name, or a pattern with `*`.
    pub index: String,
    /// Their sealed splits whose newest event is older go there; without it they stay.
    pub after: Option<Period>,
}

impl S3 {
    /// Keys relative to `s3`, and what is wrong with them.
    pub(super) fn problems(&self) -> Vec<(&'static str, &'static str)> {
        let mut problems = Vec::new();
        if self.endpoint.as_ref().is_some_and(|url| !is_address(url)) {
            problems.push(("endpoint", "write it as https://host:port"));
        }
        if self.secret_key.is_some() && self.secret_key_file.is_some() {
            problems.push(("secret_key", "`secret_key` and `secret_key_file` exclude each other"));
        }
        let has_secret = self.secret_key.is_some() || self.secret_key_file.is_some();
        if self.access_key.is_some() != has_secret {
            problems.push(("access_key", "an access key and a secret key belong together"));
        }
        problems
    }

    /// The secret key, wherever it is written.
    ///
    /// # Errors
    /// When its file can't be read.
    pub(crate) fn secret(&self) -> std::io::Result<Option<Secret>> {
        match &self.secret_key_file {
            Some(path) => Secret::read(path).map(Some),
            None => Ok(self.secret_key.clone()),
        }
    }
}

impl Cold {
    /// Keys relative to `cold`, and what is wrong with them.
    pub(super) fn problems(&self) -> Vec<(&'static str, &'static str)> {
        let mut problems = Vec::new();
        if self.url.as_ref().is_some_and(|url| !is_place(url)) {
            problems.push(("url", "write it as s3://bucket/prefix or file:///folder"));
        }
        let wants = self.after.is_some() || self.indices.iter().any(|rule| rule.after.is_some());
        if wants && self.url.is_none() {
            problems.push(("url", "splits can go cold only where there is a `url`"));
        }
        if self.indices.iter().any(|rule| rule.index.is_empty()) {
            problems.push(("indices", "every rule needs an `index`: a name or a pattern"));
        }
        if self.cache_bytes.0 < 16 << 20 {
            problems.push(("cache_bytes", "must be at least 16 MiB: one search reads as much at a time"));
        }
        problems
    }
}

fn is_place(url: &str) -> bool {
    let is_bucket = |rest: &str| rest.split('/').next().is_some_and(|bucket| !bucket.is_empty());
    url.strip_prefix("s3://").is_some_and(is_bucket)
        || url.strip_prefix("file://").is_some_and(|path| path.len() > 1 && path.starts_with('/'))
}

/// Whether this is the address of a service.
pub(crate) fn is_address(url: &str) -> bool {
    ["http://", "https://"].iter().any(|scheme| url.strip_prefix(scheme).is_some_and(|host| !host.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_and_keys_are_checked() {
        for (url, fine) in [
            ("s3://bucket", true),
            ("s3://bucket/a/b", true),
            ("file:///mnt/cold", true),
            ("s3:///a", false),
            ("file://a", false),
            ("file:///", false),
            ("/mnt/cold", false),
        ] {
            let cold = Cold { url: Some(url.to_owned()), ..Cold::default() };
            assert_eq!(cold.problems().is_empty(), fine, "{url}");
        }
        let homeless = Cold { after: Some(Period::secs(1)), ..Cold::default() };
        assert_eq!(homeless.problems().len(), 1);
        let half = S3 { access_key: Some(Secret::new("a".to_owned())), ..S3::default() };
        assert_eq!(half.problems().len(), 1);
    }
}
