//! Tokens against forged requests: bound to the caller's cookie by a key that only the server knows.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac as _};
use rusqlite::{Connection, OptionalExtension as _, params};
use sha2::Sha256;

use crate::database::DatabaseError;

/// The server's key, kept over restarts so that open pages go on working.
pub(crate) struct CsrfKey([u8; 32]);

impl std::fmt::Debug for CsrfKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CsrfKey(…)")
    }
}

impl CsrfKey {
    pub(super) fn load_or_make(db: &Connection) -> Result<Self, DatabaseError> {
        let stored: Option<Vec<u8>> =
            db.query_row("SELECT value FROM settings WHERE key = 'csrf'", [], |row| row.get(0)).optional()?;
        if let Some(key) = stored.and_then(|bytes| bytes.try_into().ok()) {
            return Ok(Self(key));
        }
        let key = rand::random::<[u8; 32]>();
        db.execute("INSERT OR REPLACE INTO settings (key, value) VALUES ('csrf', ?1)", params![key.as_slice()])?;
        Ok(Self(key))
    }

    /// The token that goes with a cookie.
    pub(crate) fn token_for(&self, cookie: &str) -> String {
        URL_SAFE_NO_PAD.encode(self.mac(cookie).map(|mac| mac.finalize().into_bytes()).unwrap_or_default())
    }

    /// Whether `shown` is the token that goes with the cookie; takes the same time whatever is shown.
    pub(crate) fn fits(&self, cookie: &str, shown: &str) -> bool {
        let Ok(shown) = URL_SAFE_NO_PAD.decode(shown) else { return false };
        self.mac(cookie).is_some_and(|mac| mac.verify_slice(&shown).is_ok())
    }

    fn mac(&self, cookie: &str) -> Option<Hmac<Sha256>> {
        // HMAC takes keys of any length: this is always there.
        Hmac::<Sha256>::new_from_slice(&self.0).ok().map(|mac| mac.chain_update(cookie.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_fits_its_own_cookie_only() {
        let key = CsrfKey([7; 32]);
        let token = key.token_for("cookie");
        assert!(key.fits("cookie", &token));
        assert!(!key.fits("other", &token) && !key.fits("cookie", "") && !key.fits("cookie", "AAAA"));
        assert!(!CsrfKey([8; 32]).fits("cookie", &token));
    }
}
