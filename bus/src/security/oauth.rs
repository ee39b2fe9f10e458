//! Bearer tokens (OAUTHBEARER, RFC 7628): JSON Web Tokens that an issuer has signed. Its public keys stand in a file.
//!
//! Only signatures by public keys are believed: a token can never choose a weaker check than its key is for.

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use logmill_core::watched::Watched;
use ring::signature::{self, RsaPublicKeyComponents, UnparsedPublicKey};
use serde::Deserialize;
use serde_json::Value;

use crate::config::OauthConfig;

/// Larger key files are not what they should be.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The issuer's keys, and what its tokens must say.
#[derive(Debug)]
pub(crate) struct Oauth {
    config: OauthConfig,
    keys: Watched<Vec<Key>>,
}

/// A token is not believed. Which of these it was is for the log, not for the client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenError {
    #[error("the message holds no token")]
    Message,
    #[error("the token is not a JSON Web Token")]
    Shape,
    #[error("the token is signed by `{0}`, which is not accepted")]
    Algorithm(String),
    #[error("none of the issuer's keys has made the token's signature")]
    Signature,
    #[error("the token's `{0}` is not what is asked for")]
    Claim(&'static str),
    #[error("the token has expired or is not valid yet")]
    Time,
}

/// Who a token says that its bearer is, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bearer {
    pub(crate) user: String,
    pub(crate) lifetime: Duration,
}

/// A public key of the set.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Key {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
}

impl Oauth {
    pub(crate) fn new(config: &OauthConfig) -> Result<Self, String> {
        let path = config.jwks.clone();
        let read = move || {
            let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
            if std::fs::metadata(&path).map_err(|error| failed(&error))?.len() > FILE_BYTES_MAX {
                return Err(failed(&"more than 1 MiB is no key set"));
            }
            let text = std::fs::read(&path).map_err(|error| failed(&error))?;
            #[derive(Deserialize)]
            struct Set {
                keys: Vec<Key>,
            }
            serde_json::from_slice::<Set>(&text).map(|set| set.keys).map_err(|error| failed(&error))
        };
        Ok(Self { config: config.clone(), keys: Watched::new(vec![config.jwks.clone()], read)? })
    }

    /// Reads the client's first message and believes its token, or not.
    pub(crate) fn check(&self, message: &[u8], now: SystemTime) -> Result<Bearer, TokenError> {
        let (authorization, token) = token_of(message)?;
        let bearer = self.check_token(token, now)?;
        match authorization {
            Some(other) if other != bearer.user => Err(TokenError::Claim("authorization identity")),
            _ => Ok(bearer),
        }
    }

    fn check_token(&self, token: &str, now: SystemTime) -> Result<Bearer, TokenError> {
        let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Shape)?;
        let (header, claims) = signed.split_once('.').ok_or(TokenError::Shape)?;
        let decoded = |part: &str| BASE64URL.decode(part).map_err(|_| TokenError::Shape);
        let header: Header = serde_json::from_slice(&decoded(header)?).map_err(|_| TokenError::Shape)?;
        let signature = decoded(signature)?;
        let keys = self.keys.get();
        let right = |key: &&Key| header.kid.is_none() || key.kid.is_none() || header.kid == key.kid;
        let mut verified = false;
        for key in keys.iter().filter(right) {
            verified = verified || key.verifies(&header.alg, signed.as_bytes(), &signature)?;
        }
        if !verified {
            return Err(TokenError::Signature);
        }
        let claims: HashMap<String, Value> =
            serde_json::from_slice(&decoded(claims)?).map_err(|_| TokenError::Shape)?;
        self.check_claims(&claims, now)
    }

    fn check_claims(&self, claims: &HashMap<String, Value>, now: SystemTime) -> Result<Bearer, TokenError> {
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let skew = self.config.clock_skew.0;
        // Times may have fractions; those that make no sense as a duration are refused.
        let time = |name: &str| match claims.get(name) {
            None => Ok(None),
            Some(value) => {
                let seconds = value.as_f64().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
                seconds.map(Some).ok_or(TokenError::Time)
            }
        };
        let expiry = time("exp")?.ok_or(TokenError::Time)?;
        let begins = [time("nbf")?, time("iat")?].into_iter().flatten().max().unwrap_or_default();
        let lifetime = expiry.saturating_add(skew).saturating_sub(now);
        if lifetime.is_zero() || begins > now.saturating_add(skew) {
            return Err(TokenError::Time);
        }
        if let Some(issuer) = &self.config.issuer
            && claims.get("iss").and_then(Value::as_str) != Some(issuer)
        {
            return Err(TokenError::Claim("iss"));
        }
        if let Some(audience) = &self.config.audience {
            let meant = match claims.get("aud") {
                Some(Value::Array(several)) => several.iter().any(|one| one.as_str() == Some(audience)),
                Some(one) => one.as_str() == Some(audience),
                None => false,
            };
            if !meant {
                return Err(TokenError::Claim("aud"));
            }
        }
        let user = claims.get(&self.config.principal_claim).and_then(Value::as_str).filter(|user| !user.is_empty());
        let user = user.ok_or(TokenError::Claim("principal"))?.to_owned();
        Ok(Bearer { user, lifetime })
    }
}

impl Key {
    /// Whether it made this signature; false for keys that are for something else.
    fn verifies(&self, algorithm: &str, signed: &[u8], signature: &[u8]) -> Result<bool, TokenError> {
        let unknown = || TokenError::Algorithm(algorithm.chars().take(20).collect());
        let rsa = |parameters: &'static signature::RsaParameters| {
            let (Some(n), Some(e)) = (decoded(self.n.as_ref()), decoded(self.e.as_ref())) else { return false };
            let n: Vec<u8> = n.into_iter().skip_while(|byte| *byte == 0).collect();
            self.kty == "RSA" && RsaPublicKeyComponents { n, e }.verify(parameters, signed, signature).is_ok()
        };
        let curve = |name: &str, size: usize, parameters: &'static signature::EcdsaVerificationAlgorithm| {
            let (Some(x), Some(y)) = (decoded(self.x.as_ref()), decoded(self.y.as_ref())) else { return false };
            let fits = self.kty == "EC" && self.crv.as_deref() == Some(name) && x.len() == size && y.len() == size;
            // An uncompressed point.
            let point = [&[4], &x[..], &y[..]].concat();
            fits && UnparsedPublicKey::new(parameters, point).verify(signed, signature).is_ok()
        };
        if self.alg.as_deref().is_some_and(|own| own != algorithm)
            || self.purpose.as_deref().is_some_and(|it| it != "sig")
        {
            return Ok(false);
        }
        Ok(match algorithm {
            "RS256" => rsa(&signature::RSA_PKCS1_2048_8192_SHA256),
            "RS384" => rsa(&signature::RSA_PKCS1_2048_8192_SHA384),
            "RS512" => rsa(&signature::RSA_PKCS1_2048_8192_SHA512),
            "PS256" => rsa(&signature::RSA_PSS_2048_8192_SHA256),
            "ES256" => curve("P-256", 32, &signature::ECDSA_P256_SHA256_FIXED),
            "ES384" => curve("P-384", 48, &signature::ECDSA_P384_SHA384_FIXED),
            _ => return Err(unknown()),
        })
    }
}

fn decoded(part: Option<&String>) -> Option<Vec<u8>> {
    BASE64URL.decode(part?.trim_end_matches('=')).ok()
}

/// Whom the client wants to be, if it says so, and its token: `n,a=NAME,^Aauth=Bearer TOKEN^A^A`.
fn token_of(message: &[u8]) -> Result<(Option<&str>, &str), TokenError> {
    let text = std::str::from_utf8(message).map_err(|_| TokenError::Message)?;
    let mut parts = text.split('\u{1}');
    let head = parts.next().and_then(|head| head.strip_prefix("n,")).and_then(|head| head.strip_suffix(','));
    let head = head.ok_or(TokenError::Message)?;
    let authorization = match head {
        "" => None,
        _ => Some(head.strip_prefix("a=").ok_or(TokenError::Message)?),
    };
    let value = parts.find_map(|part| part.strip_prefix("auth=")).ok_or(TokenError::Message)?;
    let (scheme, token) = value.split_once(' ').ok_or(TokenError::Message)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(TokenError::Message);
    }
    Ok((authorization, token.trim()))
}

#[cfg(test)]
mod tests;
