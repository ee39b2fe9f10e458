//! SCRAM, the server's side (RFC 5802 and RFC 7677): a client proves that it knows a password, and learns that the
//! server knows it too. What is kept is enough to check the proof and not enough to make one.
//!
//! Channel binding is not offered, as Kafka does not. Passwords are taken as they are, without SASLprep: so do
//! Kafka's own clients.

use std::num::NonZeroU32;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::{digest, hmac, pbkdf2};
use serde::{Deserialize, Serialize};

/// Below this a stolen file is guessed too fast (RFC 7677).
pub(crate) const ITERATIONS_MIN: u32 = 4096;
/// Above this a login takes too long; Kafka's own bound.
pub(crate) const ITERATIONS_MAX: u32 = 16_384;
/// What clients send at most: names and nonces.
const MESSAGE_BYTES_MAX: usize = 4 << 10;

/// Which hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Hash {
    Sha256,
    Sha512,
}

impl Hash {
    pub(crate) const ALL: [Self; 2] = [Self::Sha256, Self::Sha512];

    fn hmac(self) -> hmac::Algorithm {
        match self {
            Self::Sha256 => hmac::HMAC_SHA256,
            Self::Sha512 => hmac::HMAC_SHA512,
        }
    }

    fn digest(self) -> &'static digest::Algorithm {
        match self {
            Self::Sha256 => &digest::SHA256,
            Self::Sha512 => &digest::SHA512,
        }
    }

    fn pbkdf2(self) -> pbkdf2::Algorithm {
        match self {
            Self::Sha256 => pbkdf2::PBKDF2_HMAC_SHA256,
            Self::Sha512 => pbkdf2::PBKDF2_HMAC_SHA512,
        }
    }

    /// Bytes of a hash, and of a salted password.
    pub(crate) fn len(self) -> usize {
        self.digest().output_len()
    }

    fn sign(self, key: &[u8], data: &[u8]) -> Vec<u8> {
        hmac::sign(&hmac::Key::new(self.hmac(), key), data).as_ref().to_vec()
    }
}

/// What is kept of a password.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Credential {
    pub(crate) hash: Hash,
    pub(crate) iterations: u32,
    #[serde(with = "base64_text")]
    salt: Vec<u8>,
    #[serde(with = "base64_text")]
    stored_key: Vec<u8>,
    #[serde(with = "base64_text")]
    server_key: Vec<u8>,
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credential").field("hash", &self.hash).finish_non_exhaustive()
    }
}

impl Credential {
    /// From the password itself. Slow on purpose.
    pub(crate) fn of_password(hash: Hash, password: &str, salt: Vec<u8>, iterations: u32) -> Self {
        let salted = salted(hash, password, &salt, iterations);
        Self::of_salted(hash, &salted, salt, iterations)
    }

    /// From what a client has made of the password.
    pub(crate) fn of_salted(hash: Hash, salted: &[u8], salt: Vec<u8>, iterations: u32) -> Self {
        let client_key = hash.sign(salted, b"Client Key");
        let stored_key = digest::digest(hash.digest(), &client_key).as_ref().to_vec();
        Self { hash, iterations, salt, stored_key, server_key: hash.sign(salted, b"Server Key") }
    }

    /// One that no password fits, for users that are not there: the same salt each time a name is asked for, so that
    /// nobody can tell by trying twice.
    pub(crate) fn of_nobody(hash: Hash, user: &str, secret: &[u8]) -> Self {
        let salt = Hash::Sha256.sign(secret, user.as_bytes()).into_iter().take(SALT_BYTES).collect();
        // No hash is all zeros.
        Self {
            hash,
            iterations: ITERATIONS_MIN,
            salt,
            stored_key: vec![0; hash.len()],
            server_key: vec![0; hash.len()],
        }
    }

    /// Whether this is the password. Slow on purpose.
    pub(crate) fn is_password(&self, password: &str) -> bool {
        let salted = salted(self.hash, password, &self.salt, self.iterations);
        self.is_client_key(&self.hash.sign(&salted, b"Client Key"))
    }

    fn is_client_key(&self, client_key: &[u8]) -> bool {
        let stored = digest::digest(self.hash.digest(), client_key);
        same(stored.as_ref(), &self.stored_key)
    }
}

/// Bytes of the salts made here.
pub(crate) const SALT_BYTES: usize = 18;

fn salted(hash: Hash, password: &str, salt: &[u8], iterations: u32) -> Vec<u8> {
    let mut out = vec![0; hash.len()];
    let iterations = NonZeroU32::new(iterations).unwrap_or(NonZeroU32::MIN);
    pbkdf2::derive(hash.pbkdf2(), iterations, salt, password.as_bytes(), &mut out);
    out
}

/// Compares without telling by the time it takes how much is the same.
fn same(one: &[u8], other: &[u8]) -> bool {
    let key = hmac::Key::new(hmac::HMAC_SHA256, other);
    hmac::verify(&key, one, hmac::sign(&key, other).as_ref()).is_ok()
}

/// A message is not what it should be, or proves nothing. Which one is for the log, not for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ScramError {
    #[error("a SCRAM message is not understood")]
    Message,
    #[error("the client wants channel binding, which is not offered")]
    ChannelBinding,
    #[error("one user can't log in as another")]
    Authorization,
    #[error("the proof is wrong, or there is no such user")]
    Proof,
}

/// What the client said first.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ClientFirst {
    pub(crate) user: String,
    /// What stands before the message proper; comes back in base64.
    gs2: String,
    bare: String,
    nonce: String,
}

impl ClientFirst {
    pub(crate) fn parse(message: &[u8]) -> Result<Self, ScramError> {
        let text = text(message)?;
        let (binding, rest) = text.split_once(',').ok_or(ScramError::Message)?;
        let (authorization, bare) = rest.split_once(',').ok_or(ScramError::Message)?;
        match binding {
            "n" | "y" => {}
            _ if binding.starts_with("p=") => return Err(ScramError::ChannelBinding),
            _ => return Err(ScramError::Message),
        }
        let mut parts = bare.split(',');
        // A mandatory extension ("m=") would stand here.
        let user = name(parts.next().and_then(|part| part.strip_prefix("n=")).ok_or(ScramError::Message)?)?;
        let nonce = parts.next().and_then(|part| part.strip_prefix("r=")).ok_or(ScramError::Message)?;
        if nonce.is_empty() || user.is_empty() {
            return Err(ScramError::Message);
        }
        match authorization.strip_prefix("a=").map(name).transpose()? {
            None if !authorization.is_empty() => return Err(ScramError::Message),
            Some(other) if other != user => return Err(ScramError::Authorization),
            _ => {}
        }
        let gs2 = text.get(..text.len() - bare.len()).unwrap_or_default().to_owned();
        Ok(Self { gs2, bare: bare.to_owned(), nonce: nonce.to_owned(), user })
    }
}

/// Waits for the proof.
#[derive(Debug)]
pub(crate) struct Challenge {
    first: ClientFirst,
    credential: Credential,
    nonce: String,
    message: String,
}

impl Challenge {
    /// `ours` is the server's half of the nonce, new each time.
    pub(crate) fn new(first: ClientFirst, credential: Credential, ours: &str) -> Self {
        let nonce = format!("{}{ours}", first.nonce);
        let message = format!("r={nonce},s={},i={}", BASE64.encode(&credential.salt), credential.iterations);
        Self { first, credential, nonce, message }
    }

    /// What to ask the client.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// Who it says that it is.
    pub(crate) fn user(&self) -> &str {
        &self.first.user
    }

    /// Checks the client's proof and returns the server's.
    pub(crate) fn finish(&self, message: &[u8]) -> Result<String, ScramError> {
        let text = text(message)?;
        let (without_proof, proof) = text.rsplit_once(",p=").ok_or(ScramError::Message)?;
        let mut parts = without_proof.split(',');
        let binding = parts.next().and_then(|part| part.strip_prefix("c=")).ok_or(ScramError::Message)?;
        let nonce = parts.next().and_then(|part| part.strip_prefix("r=")).ok_or(ScramError::Message)?;
        // librdkafka from 2.0 to 2.6.0 (kcat in Debian 12 and 13) says its own half once more before the whole; Kafka
        // lets it in, and the proof covers what was said.
        let is_ours = nonce.ends_with(&self.nonce);
        if BASE64.decode(binding).ok().as_deref() != Some(self.first.gs2.as_bytes()) || !is_ours {
            return Err(ScramError::Message);
        }
        let proof = BASE64.decode(proof).map_err(|_| ScramError::Message)?;
        let signed = format!("{},{},{without_proof}", self.first.bare, self.message);
        let hash = self.credential.hash;
        let signature = hash.sign(&self.credential.stored_key, signed.as_bytes());
        if proof.len() != signature.len() {
            return Err(ScramError::Proof);
        }
        let client_key: Vec<u8> = proof.iter().zip(&signature).map(|(one, other)| one ^ other).collect();
        if !self.credential.is_client_key(&client_key) {
            return Err(ScramError::Proof);
        }
        Ok(format!("v={}", BASE64.encode(hash.sign(&self.credential.server_key, signed.as_bytes()))))
    }
}

fn text(message: &[u8]) -> Result<&str, ScramError> {
    if message.len() > MESSAGE_BYTES_MAX {
        return Err(ScramError::Message);
    }
    std::str::from_utf8(message).map_err(|_| ScramError::Message)
}

/// A name, with its commas and equals signs back.
fn name(text: &str) -> Result<String, ScramError> {
    let mut out = String::with_capacity(text.len());
    let mut parts = text.split('=');
    out.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let (sign, rest) = match (part.strip_prefix("2C"), part.strip_prefix("3D")) {
            (Some(rest), _) => (',', rest),
            (_, Some(rest)) => ('=', rest),
            _ => return Err(ScramError::Message),
        };
        out.push(sign);
        out.push_str(rest);
    }
    Ok(out)
}

mod base64_text {
    use base64::Engine as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    use super::BASE64;

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        BASE64.decode(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NONCE: &str = "rOprNGfwEbeRWgbNEkqO";

    /// The example of RFC 7677, section 3.
    fn example() -> Challenge {
        let salt = BASE64.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let credential = Credential::of_password(Hash::Sha256, "pencil", salt, 4096);
        let first = ClientFirst::parse(format!("n,,n=user,r={NONCE}").as_bytes()).unwrap();
        Challenge::new(first, credential, "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0")
    }

    const FINAL: &str = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                         p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";

    #[test]
    fn the_example_of_the_standard() {
        let challenge = example();
        assert_eq!(
            challenge.message(),
            "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
        );
        assert_eq!(challenge.finish(FINAL.as_bytes()), Ok("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=".into()));
    }

    #[test]
    fn a_client_that_says_its_nonce_twice_comes_in_by_its_proof() {
        let twice = FINAL.replace("r=rOpr", &format!("r={NONCE}rOpr"));
        assert_eq!(example().finish(twice.as_bytes()), Err(ScramError::Proof));
        let (without_proof, _) = twice.split_once(",p=").unwrap();
        let proven = format!("{without_proof},p=1Y75+q7XaCGJj/r6vyQWwoNxSzV5ksS8xhp5Lqyriec=");
        assert!(example().finish(proven.as_bytes()).is_ok());
        let cut = proven.replace("hNlF$k0", "hNlF$k");
        assert_eq!(example().finish(cut.as_bytes()), Err(ScramError::Message));
    }

    #[test]
    fn what_proves_nothing_is_refused() {
        let challenge = example();
        let wrong = FINAL.replace("p=dH", "p=dX");
        assert_eq!(challenge.finish(wrong.as_bytes()), Err(ScramError::Proof));
        assert_eq!(challenge.finish(FINAL.replace("biws", "eSws").as_bytes()), Err(ScramError::Message));
        assert_eq!(challenge.finish(FINAL.replace("rOpr", "rOpq").as_bytes()), Err(ScramError::Message));
        assert_eq!(challenge.finish(b"c=biws,r=x,p="), Err(ScramError::Message));
        let short = FINAL.split_once(",p=").unwrap().0.to_owned() + ",p=AAAA";
        assert_eq!(challenge.finish(short.as_bytes()), Err(ScramError::Proof));
    }

    #[test]
    fn nobody_looks_like_somebody_and_can_never_log_in() {
        let nobody = |user: &str| Credential::of_nobody(Hash::Sha512, user, b"secret");
        assert_eq!(nobody("one"), nobody("one"));
        assert_ne!(nobody("one").salt, nobody("two").salt);
        assert!(!nobody("one").is_password(""));
        let known = Credential::of_password(Hash::Sha512, "x", vec![7; SALT_BYTES], ITERATIONS_MIN);
        assert!(known.is_password("x") && !known.is_password("y"));
        assert_eq!((nobody("one").salt.len(), nobody("one").iterations), (known.salt.len(), known.iterations));
        let kept = serde_json::to_string(&known).unwrap();
        assert_eq!(serde_json::from_str::<Credential>(&kept).unwrap(), known);
        assert!(!format!("{known:?}").contains("key"));
    }

    #[test]
    fn first_messages() {
        let user = |message: &str| ClientFirst::parse(message.as_bytes()).map(|first| first.user);
        assert_eq!(user("y,a=a=2Cb=3Dc,n=a=2Cb=3Dc,r=1,tokenauth=true"), Ok("a,b=c".to_owned()));
        assert_eq!(user("n,a=other,n=user,r=1"), Err(ScramError::Authorization));
        assert_eq!(user("p=tls-unique,,n=user,r=1"), Err(ScramError::ChannelBinding));
        for broken in
            ["", "n", "n,,", "n,,n=,r=1", "n,,n=a=2Fb,r=1", "n,,m=x,n=a,r=1", "n,,n=a", "n,,n=a,r=", "x,,n=a,r=1"]
        {
            assert_eq!(user(broken), Err(ScramError::Message), "{broken}");
        }
    }

    proptest! {
        #[test]
        fn junk_is_refused_not_panicked_on(junk: Vec<u8>) {
            let _ = ClientFirst::parse(&junk);
            prop_assert!(example().finish(&junk).is_err());
        }
    }
}
