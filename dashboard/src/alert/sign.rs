//! Signatures after Standard Webhooks (standardwebhooks.com, version 1): HMAC-SHA256 over `id.timestamp.body`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;

/// What secrets begin with, so that people and scanners know them when they see one.
const PREFIX: &str = "whsec_";

/// A new secret: 24 random bytes, the least that the standard asks for.
pub(super) fn new_secret() -> String {
    format!("{PREFIX}{}", STANDARD.encode(rand::random::<[u8; 24]>()))
}

/// The key in a secret; `None` when it is none.
pub(super) fn key_of(secret: &str) -> Option<Vec<u8>> {
    let key = STANDARD.decode(secret.strip_prefix(PREFIX)?).ok()?;
    (24..=64).contains(&key.len()).then_some(key)
}

/// The value of `webhook-signature`; `None` when the secret is none.
pub(super) fn signature(secret: &str, id: &str, timestamp_s: i64, body: &str) -> Option<String> {
    let mac = Hmac::<Sha256>::new_from_slice(&key_of(secret)?).ok()?;
    let signed = mac.chain_update(format!("{id}.{timestamp_s}.{body}")).finalize().into_bytes();
    Some(format!("v1,{}", STANDARD.encode(signed)))
}

/// A new `webhook-id`.
pub(super) fn new_id() -> String {
    let random = rand::random::<[u8; 16]>();
    format!("msg_{}", random.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the standard's reference libraries; recomputed with Python's hmac.
    #[test]
    fn the_documented_example_comes_out() {
        let made = signature(
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            r#"{"test": 2432232314}"#,
        );
        assert_eq!(made.as_deref(), Some("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="));
    }

    #[test]
    fn secrets_are_made_and_told_from_other_text() {
        assert_eq!(key_of(&new_secret()).map(|key| key.len()), Some(24));
        for text in ["", "whsec_", "whsec_c2hvcnQ=", "hunter2", "whsec_!!!!"] {
            assert_eq!(key_of(text), None, "{text}");
        }
        assert_ne!(new_id(), new_id());
    }
}
