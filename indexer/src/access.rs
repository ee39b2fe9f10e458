//! Who may use the API, and for what: passwords and keys from the configuration, rights by index, one guard in front of
//! every request.

pub(crate) mod guard;
mod needs;
mod settings;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use argon2::Argon2;
use argon2::password_hash::{PasswordHash, PasswordVerifier as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use logmill_core::config::Secret;
use logmill_indexer_api::text::Wildcard;
use parking_lot::Mutex;
use ring::hmac;
use ring::rand::{SecureRandom as _, SystemRandom};
use tokio::sync::Semaphore;

use crate::store::names;

pub use settings::{ApiKey, Auth, Privilege, Role, User};

/// Passwords that were found right are not hashed again. More than so many different ones are in use nowhere.
const PROVEN_MAX: usize = 1024;
/// Hashes computed at a time: each takes 19 MiB and a core.
const HASHES_AT_A_TIME: usize = 2;
/// A password beyond this is none that was configured.
const SECRET_BYTES_MAX: usize = 1024;
/// The user that the program's own stages log in as.
const OWN_USER: &str = "_logmill";

/// Somebody who was let in.
#[derive(Debug)]
pub(crate) struct Principal {
    pub(crate) name: String,
    pub(crate) roles: Vec<String>,
    is_key: bool,
    grants: Vec<Grant>,
}

#[derive(Clone, Debug)]
struct Grant {
    patterns: Vec<Wildcard>,
    privileges: Vec<Privilege>,
}

impl Principal {
    /// Whether everything that an index expression can mean may be used so. A pattern in a role covers an expression that
    /// it matches letter by letter: only its own `*` can match the expression's.
    pub(crate) fn may(&self, privilege: Privilege, expression: &str) -> bool {
        let is_covered = |item: &str| {
            self.grants.iter().any(|grant| {
                grant.privileges.iter().any(|held| held.includes(privilege))
                    && grant.patterns.iter().any(|pattern| pattern.matches(item))
            })
        };
        let mut items = names::items(expression).into_iter().enumerate();
        // What is taken out again needs no right; in front a `-` would be part of a name.
        items.all(|(place, item)| {
            place > 0 && item.starts_with('-') || is_covered(if matches!(item, "" | "_all") { "*" } else { item })
        })
    }

    /// Whether there is any index that may be used so.
    pub(crate) fn may_somewhere(&self, privilege: Privilege) -> bool {
        self.grants.iter().any(|grant| grant.privileges.iter().any(|held| held.includes(privilege)))
    }
}

/// What proves who somebody is.
enum Proof {
    /// As it was configured, kept as a keyed hash so that comparing takes the same time whatever is wrong.
    Tag(hmac::Tag),
    /// A hash that is made to be slow.
    Argon2(String),
}

struct Known {
    proof: Proof,
    principal: Arc<Principal>,
}

/// Everybody who may come in.
pub(crate) struct Logins {
    /// Made at the start, for tags that are worth nothing outside of this process.
    key: hmac::Key,
    users: HashMap<String, Known>,
    keys: HashMap<String, Known>,
    /// Of each user, the tag of the password that was found right.
    proven: Mutex<HashMap<String, hmac::Tag>>,
    hashing: Semaphore,
    own: Secret,
}

impl std::fmt::Debug for Logins {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Logins({} users, {} keys)", self.users.len(), self.keys.len())
    }
}

/// Why somebody is not let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Denied {
    /// Nobody said who they are.
    Nobody,
    /// It can't be read, or it is wrong. The name, for the log.
    Wrong(String),
}

impl Logins {
    /// Reads the passwords and keys.
    ///
    /// # Errors
    /// When a file can't be read or a hash is none; the text names it.
    pub(crate) fn new(auth: &Auth) -> Result<Self, String> {
        let random = SystemRandom::new();
        let mut bytes = [0; 32];
        random.fill(&mut bytes).map_err(|_| "the system has no random numbers".to_owned())?;
        let key = hmac::Key::new(hmac::HMAC_SHA256, &bytes);
        random.fill(&mut bytes).map_err(|_| "the system has no random numbers".to_owned())?;
        let own = Secret::new(STANDARD.encode(bytes));
        let proof = |secret: &Secret| Proof::Tag(hmac::sign(&key, secret.reveal().as_bytes()));
        let mut users = HashMap::new();
        for user in &auth.users {
            let proven = match (&user.password_hash, user.secret().map_err(|error| error.to_string())?) {
                (Some(hash), _) => {
                    PasswordHash::new(hash)
                        .map_err(|error| format!("the password hash of `{}`: {error}", user.name))?;
                    Proof::Argon2(hash.clone())
                }
                (None, Some(secret)) => proof(&secret),
                (None, None) => return Err(format!("the user `{}` has no password", user.name)),
            };
            let principal = principal(&user.name, &user.roles, &auth.roles, false);
            users.insert(user.name.clone(), Known { proof: proven, principal });
        }
        let mut keys = HashMap::new();
        for one in &auth.api_keys {
            let secret = one.secret().map_err(|error| error.to_string())?;
            let secret = secret.ok_or_else(|| format!("the API key `{}` has no key", one.id))?;
            let principal = principal(&one.id, &one.roles, &auth.roles, true);
            keys.insert(one.id.clone(), Known { proof: proof(&secret), principal });
        }
        let everything = principal(OWN_USER, &["admin".to_owned()], &BTreeMap::new(), false);
        users.insert(OWN_USER.to_owned(), Known { proof: proof(&own), principal: everything });
        Ok(Self { key, users, keys, proven: Mutex::default(), hashing: Semaphore::new(HASHES_AT_A_TIME), own })
    }

    /// Name and password for the stages of this process, made at the start and kept in memory alone.
    pub(crate) fn own(&self) -> (String, Secret) {
        (OWN_USER.to_owned(), self.own.clone())
    }

    /// Who sent this `Authorization` header.
    pub(crate) async fn authenticate(&self, header: Option<&str>) -> Result<Arc<Principal>, Denied> {
        let Some((scheme, encoded)) = header.and_then(|header| header.trim().split_once(' ')) else {
            return Err(if header.is_some() { Denied::Wrong("?".to_owned()) } else { Denied::Nobody });
        };
        let unreadable = || Denied::Wrong("?".to_owned());
        let decoded = STANDARD.decode(encoded.trim()).map_err(|_| unreadable())?;
        let text = String::from_utf8(decoded).map_err(|_| unreadable())?;
        let (name, secret) = text.split_once(':').ok_or_else(unreadable)?;
        let among = if scheme.eq_ignore_ascii_case("basic") {
            &self.users
        } else if scheme.eq_ignore_ascii_case("apikey") {
            &self.keys
        } else {
            return Err(unreadable());
        };
        let wrong = || Denied::Wrong(name.chars().take(100).collect());
        if secret.len() > SECRET_BYTES_MAX {
            return Err(wrong());
        }
        let known = among.get(name).ok_or_else(wrong)?;
        if self.is_proven(known, name, secret).await { Ok(known.principal.clone()) } else { Err(wrong()) }
    }

    async fn is_proven(&self, known: &Known, name: &str, secret: &str) -> bool {
        let is_same = |tag: &hmac::Tag| hmac::verify(&self.key, secret.as_bytes(), tag.as_ref()).is_ok();
        let hash = match &known.proof {
            Proof::Tag(tag) => return is_same(tag),
            Proof::Argon2(hash) => hash.clone(),
        };
        if let Some(tag) = self.proven.lock().get(name)
            && is_same(tag)
        {
            return true;
        }
        let Ok(_turn) = self.hashing.acquire().await else { return false };
        let given = secret.to_owned();
        let verify = move || {
            PasswordHash::new(&hash)
                .is_ok_and(|hash| Argon2::default().verify_password(given.as_bytes(), &hash).is_ok())
        };
        let is_right = tokio::task::spawn_blocking(verify).await.unwrap_or(false);
        if is_right {
            let mut proven = self.proven.lock();
            if proven.len() >= PROVEN_MAX {
                proven.clear();
            }
            proven.insert(name.to_owned(), hmac::sign(&self.key, secret.as_bytes()));
        }
        is_right
    }
}

/// Somebody with these roles; every role there is was checked with the configuration.
fn principal(name: &str, roles: &[String], defined: &BTreeMap<String, Role>, is_key: bool) -> Arc<Principal> {
    let grant = |role: &String| {
        let role = defined.get(role).cloned().or_else(|| Role::built_in(role))?;
        let patterns = role.indices.iter().map(|pattern| Wildcard::new(pattern)).collect();
        Some(Grant { patterns, privileges: role.privileges })
    };
    let grants = roles.iter().filter_map(grant).collect();
    Arc::new(Principal { name: name.to_owned(), roles: roles.to_vec(), is_key, grants })
}

#[cfg(test)]
mod tests {
    use super::*;
    use argon2::password_hash::{PasswordHasher as _, SaltString};

    fn auth() -> Auth {
        let salt = SaltString::encode_b64(b"sixteen bytes of").unwrap();
        let hash = Argon2::default().hash_password(b"slow", &salt).unwrap().to_string();
        let secret = |text: &str| Some(Secret::new(text.to_owned()));
        Auth {
            users: vec![
                User {
                    name: "plain".into(),
                    password: secret("ge:heim"),
                    roles: vec!["shop".into()],
                    ..User::default()
                },
                User {
                    name: "hashed".into(),
                    password_hash: Some(hash),
                    roles: vec!["admin".into()],
                    ..User::default()
                },
            ],
            api_keys: vec![ApiKey {
                id: "k1".into(),
                key: secret("abc"),
                roles: vec!["writer".into()],
                ..ApiKey::default()
            }],
            roles: BTreeMap::from([(
                "shop".to_owned(),
                Role { indices: vec!["logs-shop-*".into()], privileges: vec![Privilege::Read] },
            )]),
        }
    }

    fn header(scheme: &str, text: &str) -> String {
        format!("{scheme} {}", STANDARD.encode(text))
    }

    #[tokio::test]
    async fn who_knows_the_secret_comes_in() {
        let logins = Logins::new(&auth()).unwrap();
        for (header, expected) in [
            (Some(header("Basic", "plain:ge:heim")), Ok("plain")),
            (Some(header("basic", "hashed:slow")), Ok("hashed")),
            (Some(header("Basic", "hashed:slow")), Ok("hashed")),
            (Some(header("ApiKey", "k1:abc")), Ok("k1")),
            (Some(header("ApiKey", "plain:ge:heim")), Err(Denied::Wrong("plain".into()))),
            (Some(header("Basic", "hashed:fast")), Err(Denied::Wrong("hashed".into()))),
            (Some(header("Basic", "nobody:x")), Err(Denied::Wrong("nobody".into()))),
            (Some("Basic ???".to_owned()), Err(Denied::Wrong("?".into()))),
            (Some("Bearer".to_owned()), Err(Denied::Wrong("?".into()))),
            (None, Err(Denied::Nobody)),
        ] {
            let found = logins.authenticate(header.as_deref()).await;
            assert_eq!(found.map(|principal| principal.name.clone()), expected.map(str::to_owned), "{header:?}");
        }
        let (name, secret) = logins.own();
        let own = logins.authenticate(Some(&header("Basic", &format!("{name}:{}", secret.reveal())))).await.unwrap();
        assert!(own.may(Privilege::Manage, "*"));
    }

    #[tokio::test]
    async fn rights_reach_as_far_as_their_patterns() {
        let logins = Logins::new(&auth()).unwrap();
        let shop = logins.authenticate(Some(&header("Basic", "plain:ge:heim"))).await.unwrap();
        for (expression, may) in [
            ("logs-shop-a", true),
            ("logs-shop-*", true),
            ("logs-shop-a*,logs-shop-b,-logs-other", true),
            ("logs-*", false),
            ("logs-shop-a,logs-bank", false),
            ("*", false),
            ("_all", false),
            ("", false),
            ("-logs-shop-a", false),
        ] {
            assert_eq!(shop.may(Privilege::Read, expression), may, "{expression}");
        }
        assert!(!shop.may(Privilege::Write, "logs-shop-a") && !shop.may_somewhere(Privilege::Manage));
        let key = logins.authenticate(Some(&header("ApiKey", "k1:abc"))).await.unwrap();
        assert!(key.may(Privilege::Write, "anything") && !key.may(Privilege::Read, "anything"));
    }
}
