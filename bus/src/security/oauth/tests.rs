//! Tokens made by a key of our own, and everything that is not one.

use proptest::prelude::*;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::json;

use super::*;

struct Issuer {
    key: EcdsaKeyPair,
    folder: tempfile::TempDir,
}

impl Issuer {
    fn new() -> Self {
        let random = SystemRandom::new();
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref(), &random).unwrap();
        Self { key, folder: tempfile::tempdir().unwrap() }
    }

    fn oauth(&self) -> Oauth {
        let point = self.key.public_key().as_ref();
        let (x, y) = (BASE64URL.encode(&point[1..33]), BASE64URL.encode(&point[33..]));
        let keys = json!({"keys": [
            {"kty": "oct", "kid": "one", "k": "c2VjcmV0"},
            {"kty": "EC", "kid": "one", "crv": "P-256", "x": x, "y": y, "use": "sig"},
        ]});
        let jwks = self.folder.path().join("jwks.json");
        std::fs::write(&jwks, keys.to_string()).unwrap();
        let config = OauthConfig {
            jwks,
            issuer: Some("https://issuer".to_owned()),
            audience: Some("bus".to_owned()),
            ..OauthConfig::default()
        };
        Oauth::new(&config).unwrap()
    }

    fn message(&self, header: &Value, claims: &Value) -> Vec<u8> {
        let part = |value: &Value| BASE64URL.encode(value.to_string());
        let signed = format!("{}.{}", part(header), part(claims));
        let signature = self.key.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("n,,\u{1}auth=Bearer {signed}.{}\u{1}\u{1}", BASE64URL.encode(signature)).into_bytes()
    }
}

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn claims() -> Value {
    json!({"iss": "https://issuer", "aud": ["x", "bus"], "sub": "one", "iat": 1000, "exp": 2000})
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

#[test]
fn a_token_is_believed_as_long_as_it_says() {
    let issuer = Issuer::new();
    let oauth = issuer.oauth();
    let header = json!({"alg": "ES256", "kid": "one"});
    let check = |claims: &Value, now| oauth.check(&issuer.message(&header, claims), at(now));
    let bearer = Bearer { user: "one".to_owned(), lifetime: Duration::from_secs(530) };
    assert_eq!(check(&claims(), 1500), Ok(bearer));
    assert!(check(&claims(), 2029).is_ok(), "within what clocks may differ");
    assert_eq!(check(&claims(), 2030), Err(TokenError::Time));
    assert_eq!(check(&claims(), 900), Err(TokenError::Time));
    assert_eq!(check(&with("nbf", 1600.into()), 1500), Err(TokenError::Time));
    assert_eq!(check(&with("exp", (-5).into()), 1500), Err(TokenError::Time));
    assert_eq!(check(&with("exp", Value::Null), 1500), Err(TokenError::Time));
    assert_eq!(check(&with("exp", 1e300.into()), 1500), Err(TokenError::Time));
    assert_eq!(check(&with("iss", "another".into()), 1500), Err(TokenError::Claim("iss")));
    assert_eq!(check(&with("aud", "another".into()), 1500), Err(TokenError::Claim("aud")));
    assert_eq!(check(&with("sub", "".into()), 1500), Err(TokenError::Claim("principal")));
}

#[test]
fn only_the_issuers_signature_counts() {
    let issuer = Issuer::new();
    let oauth = issuer.oauth();
    let check = |header: Value| oauth.check(&issuer.message(&header, &claims()), at(1500));
    assert!(check(json!({"alg": "ES256"})).is_ok());
    assert_eq!(check(json!({"alg": "ES256", "kid": "another"})), Err(TokenError::Signature));
    assert_eq!(check(json!({"alg": "RS256"})), Err(TokenError::Signature));
    for weak in ["none", "HS256"] {
        assert_eq!(check(json!({"alg": weak})), Err(TokenError::Algorithm(weak.to_owned())));
    }
    let another = Issuer::new().message(&json!({"alg": "ES256", "kid": "one"}), &claims());
    assert_eq!(oauth.check(&another, at(1500)), Err(TokenError::Signature));
}

#[test]
fn who_asks_to_be_another_is_refused() {
    let issuer = Issuer::new();
    let message = String::from_utf8(issuer.message(&json!({"alg": "ES256"}), &claims())).unwrap();
    let as_whom =
        |user: &str| issuer.oauth().check(message.replace("n,,", &format!("n,a={user},")).as_bytes(), at(1500));
    assert!(as_whom("one").is_ok());
    assert_eq!(as_whom("two"), Err(TokenError::Claim("authorization identity")));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn junk_is_refused_not_panicked_on(junk: Vec<u8>, at_byte in any::<prop::sample::Index>(), with: u8) {
        let issuer = Issuer::new();
        let oauth = issuer.oauth();
        prop_assert!(oauth.check(&junk, at(1500)).is_err());
        let mut message = issuer.message(&json!({"alg": "ES256"}), &claims());
        let place = at_byte.index(message.len());
        message[place] = with;
        let _ = oauth.check(&message, at(1500));
    }
}
