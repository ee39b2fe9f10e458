//! One of the addresses that the broker listens on, as the connections that came in there know it.

use std::net::SocketAddr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use logmill_core::bus_access::{BusAccess, BusSasl, LoginMechanism};
use logmill_core::config::Secret;
use logmill_core::tls::Tls;

use crate::config::{ClientCertificate, Config, ListenerConfig, Mechanism, host_and_port};
use crate::security::sasl::Own;
use crate::security::scram::{Credential, Hash, ITERATIONS_MIN, SALT_BYTES};
use crate::security::users::{NoRandom, random};

/// What connections that came in on one address have in common.
#[derive(Debug)]
pub(crate) struct Listener {
    /// What it is called.
    pub(crate) name: String,
    /// Told to clients instead of the address that they came in on.
    advertised: Option<(String, u16)>,
    pub(crate) tls: Option<Tls>,
    /// How clients log in, in the order in which they are told; none need to when it is empty.
    pub(crate) sasl: Vec<Mechanism>,
    /// The only user, of a listener that is for this process alone.
    pub(crate) own: Option<Arc<Own>>,
}

/// A listener, the address it is to be bound to, and whether that may be beyond this machine.
pub(crate) struct Planned {
    pub(crate) listener: Listener,
    pub(crate) listen: String,
    pub(crate) may_be_exposed: bool,
    pub(crate) setting: &'static str,
}

/// Who the program's own stages are on the listener that is theirs.
const OWN_USER: &str = "logmill";

/// All listeners that are configured, and one for the program's own stages where those could not come in otherwise.
pub(crate) fn plan(config: &Config) -> Result<(Vec<Planned>, Option<BusAccess>), String> {
    let mut planned = Vec::new();
    for one in &config.listeners {
        planned.push(configured(one).map_err(|error| format!("listener `{}`: {error}", one.name))?);
    }
    if planned.is_empty() {
        planned.push(Planned {
            listener: Listener {
                name: "plain".to_owned(),
                advertised: config.advertised.as_deref().and_then(host_and_port),
                tls: None,
                sasl: Vec::new(),
                own: None,
            },
            listen: config.listen.clone(),
            may_be_exposed: config.insecure,
            setting: "bus.listen",
        });
    }
    if config.listeners.is_empty() && !config.acls.enabled {
        return Ok((planned, None));
    }
    let (own, access) = own().map_err(|error| error.to_string())?;
    planned.push(own);
    Ok((planned, Some(access)))
}

fn configured(config: &ListenerConfig) -> Result<Planned, String> {
    let proven = |tls: &crate::config::TlsConfig| tls.client_certificate == ClientCertificate::Required;
    let is_protected = config.tls.as_ref().is_some_and(|tls| !config.sasl.is_empty() || proven(tls));
    let mut sasl: Vec<Mechanism> = config.sasl.clone();
    sasl.dedup();
    Ok(Planned {
        listener: Listener {
            name: config.name.clone(),
            advertised: config.advertised.as_deref().and_then(host_and_port),
            tls: config.tls.as_ref().map(Tls::new).transpose()?,
            sasl,
            own: None,
        },
        listen: config.listen.clone(),
        may_be_exposed: config.insecure || is_protected,
        setting: "bus.listeners",
    })
}

/// A listener for the stages of this process: on loopback, on a port that nobody else is told, with a password that
/// is made now and kept in memory alone.
fn own() -> Result<(Planned, BusAccess), NoRandom> {
    let password = BASE64URL.encode(random::<32>()?);
    let salt = random::<SALT_BYTES>()?.to_vec();
    let credential = Credential::of_password(Hash::Sha256, &password, salt, ITERATIONS_MIN);
    let sasl = BusSasl {
        mechanism: LoginMechanism::Plain,
        username: OWN_USER.to_owned(),
        password: Some(Secret::new(password)),
        password_file: None,
    };
    let listener = Listener {
        name: "own".to_owned(),
        advertised: None,
        tls: None,
        sasl: vec![Mechanism::Plain],
        own: Some(Arc::new(Own { user: OWN_USER.to_owned(), credential })),
    };
    let listen = "127.0.0.1:0".to_owned();
    let planned = Planned { listener, listen, may_be_exposed: false, setting: "bus.listeners" };
    Ok((planned, BusAccess { tls: None, sasl: Some(sasl) }))
}

impl Listener {
    /// Where a client that came in on `local` is told to connect.
    pub(crate) fn address_for(&self, local: SocketAddr) -> (String, u16) {
        self.advertised.clone().unwrap_or_else(|| (local.ip().to_canonical().to_string(), local.port()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::AclConfig;

    #[test]
    fn the_own_listener_is_there_when_it_is_needed() {
        let (planned, access) = plan(&Config::default()).unwrap();
        assert_eq!((planned.len(), access), (1, None));
        let acls = AclConfig { enabled: true, super_users: Vec::new() };
        let (planned, access) = plan(&Config { acls, ..Config::default() }).unwrap();
        assert_eq!(planned.len(), 2);
        let own = planned[1].listener.own.as_ref().unwrap();
        let sasl = access.unwrap().sasl.unwrap();
        assert!(own.credential.is_password(sasl.secret().unwrap().reveal()));
        assert!(planned[1].listen.starts_with("127.0.0.1:"));
    }

    #[test]
    fn only_tls_with_a_login_may_leave_this_machine_unasked() {
        let tls = |client_certificate| crate::config::TlsConfig { client_certificate, ..Default::default() };
        let exposed = |config: &ListenerConfig| configured(config).map(|planned| planned.may_be_exposed);
        let plain = ListenerConfig { sasl: vec![Mechanism::Plain], ..ListenerConfig::default() };
        assert_eq!(exposed(&plain), Ok(false));
        assert_eq!(exposed(&ListenerConfig { insecure: true, ..plain }), Ok(true));
        // A listener whose files can't be read is not opened at all.
        let unread = ListenerConfig { tls: Some(tls(ClientCertificate::Required)), ..ListenerConfig::default() };
        assert!(exposed(&unread).is_err());
    }

    #[test]
    fn addresses_are_told_per_listener() {
        let config = ListenerConfig { advertised: Some("[2001:db8::1]:9093".to_owned()), ..Default::default() };
        let local = "[::1]:9092".parse().unwrap();
        assert_eq!(configured(&config).unwrap().listener.address_for(local), ("2001:db8::1".to_owned(), 9093));
        let unnamed = configured(&ListenerConfig::default()).unwrap().listener;
        assert_eq!(unnamed.address_for(local), ("::1".to_owned(), 9092));
        let mapped = "[::ffff:10.0.0.1]:9092".parse().unwrap();
        assert_eq!(unnamed.address_for(mapped), ("10.0.0.1".to_owned(), 9092));
    }
}
