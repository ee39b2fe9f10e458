//! A listener's side of TLS: how it is configured, and the files as they are now. The bus and the indexer share it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::watched::Watched;

/// A listener's side of TLS. Files that change are read again without a restart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TlsConfig {
    /// PEM file of the certificate and those that lead to its authority.
    pub certificate: PathBuf,
    /// PEM file of its private key.
    pub key: PathBuf,
    /// PEM file of the authorities that may have signed clients' certificates.
    pub client_ca: Option<PathBuf>,
    /// Whether clients show a certificate; on the bus its subject is then who they are (`User:CN=...`).
    pub client_certificate: ClientCertificate,
}

/// Whether clients show a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClientCertificate {
    /// None is asked for.
    #[default]
    None,
    /// Those that have one show it.
    Wanted,
    /// Nobody comes in without.
    Required,
}

impl TlsConfig {
    /// What is wrong with it: key below it, and why.
    #[must_use]
    pub fn problems(&self) -> Vec<(&'static str, &'static str)> {
        let mut problems = Vec::new();
        if self.certificate.as_os_str().is_empty() || self.key.as_os_str().is_empty() {
            problems.push(("", "TLS needs `certificate` and `key`"));
        }
        if (self.client_certificate == ClientCertificate::None) != self.client_ca.is_none() {
            problems.push((".client_ca", "`client_ca` and `client_certificate: wanted` or `required` belong together"));
        }
        problems
    }
}

/// The files as they are now, ready for the next connection.
#[derive(Debug)]
pub struct Tls(Watched<ServerConfig>);

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// When one of them can't be used; the text names it.
    pub fn new(config: &TlsConfig) -> Result<Self, String> {
        let files = [Some(&config.certificate), Some(&config.key), config.client_ca.as_ref()];
        let files = files.into_iter().flatten().cloned().collect();
        let config = config.clone();
        Watched::new(files, move || server_config(&config)).map(Self)
    }

    /// For the next connection.
    #[must_use]
    pub fn current(&self) -> Arc<ServerConfig> {
        self.0.get()
    }
}

fn server_config(config: &TlsConfig) -> Result<ServerConfig, String> {
    let failed = |path: &Path, error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let chain = certificates(&config.certificate)?;
    let key = PrivateKeyDer::from_pem_file(&config.key).map_err(|error| failed(&config.key, &error))?;
    let provider = provider();
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let builder = match &config.client_ca {
        Some(path) if config.client_certificate != ClientCertificate::None => {
            let mut roots = rustls::RootCertStore::empty();
            for authority in certificates(path)? {
                roots.add(authority).map_err(|error| failed(path, &error))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            let verifier = match config.client_certificate {
                ClientCertificate::Required => verifier,
                _ => verifier.allow_unauthenticated(),
            };
            builder.with_client_cert_verifier(verifier.build().map_err(|error| failed(path, &error))?)
        }
        _ => builder.with_no_client_auth(),
    };
    builder.with_single_cert(chain, key).map_err(|error| failed(&config.certificate, &error))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let read = CertificateDer::pem_file_iter(path).map_err(|error| failed(&error))?;
    let certificates = read.collect::<Result<Vec<_>, _>>().map_err(|error| failed(&error))?;
    if certificates.is_empty() { Err(failed(&"there is no certificate in it")) } else { Ok(certificates) }
}

/// Named, so that no other one is ever taken.
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_files_are_named() -> std::io::Result<()> {
        let folder = tempfile::tempdir()?;
        let certificate = folder.path().join("certificate.pem");
        let config = TlsConfig { certificate: certificate.clone(), key: certificate.clone(), ..TlsConfig::default() };
        let refused = |config: &TlsConfig| Tls::new(config).err().unwrap_or_default();
        assert!(refused(&config).contains("certificate.pem"));
        std::fs::write(&certificate, "nothing")?;
        assert!(refused(&config).contains("there is no certificate in it"));
        Ok(())
    }
}
