//! Opaque random tokens: shown once, kept as hashes.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

/// 256 bits from the system's generator, as text that fits into a URL and a cookie.
#[derive(Clone)]
pub(super) struct Token(String);

impl Token {
    /// A new one.
    pub(super) fn new() -> Self {
        Self(URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>()))
    }

    /// The text to give away.
    pub(super) fn into_text(self) -> String {
        self.0
    }

    /// What is stored. A plain hash is enough: 256 random bits can't be guessed from it.
    pub(super) fn hash(&self) -> [u8; 32] {
        Self::hash_of(&self.0)
    }

    /// The hash of a token that somebody shows.
    pub(super) fn hash_of(text: &str) -> [u8; 32] {
        Sha256::digest(text.as_bytes()).into()
    }
}
