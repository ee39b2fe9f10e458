//! Where webhooks may go: public addresses, and internal ones that the configuration lists. Names are resolved here,
//! once, and the connection goes to what was checked: a name that changes its address in between gains nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use ipnet::IpNet;
use reqwest::Url;

/// Internal ranges that are allowed.
#[derive(Clone, Debug, Default)]
pub(crate) struct AllowList(Vec<IpNet>);

/// Why a webhook may not be sent to an address.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    #[error("`{0}` is not an address of a webhook: write http:// or https://, a host, and a path")]
    Url(String),
    #[error("the name {host} can't be resolved: {reason}")]
    Unresolved { host: String, reason: String },
    #[error(
        "{host} is the internal address {address}, which webhooks may not reach; \
         an administrator can allow it with `dashboard.alerts.allow_internal: [\"{address}/{bits}\"]`"
    )]
    Internal { host: String, address: IpAddr, bits: u8 },
}

/// A target that was checked, with the only addresses that may be connected to.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) url: Url,
    pub(crate) host: String,
    pub(crate) addresses: Vec<SocketAddr>,
}

/// A resolver that is silent so long will not answer.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5);

impl AllowList {
    /// Reads ranges like `10.0.0.0/8`; a single address is a range of one.
    pub(crate) fn parse<'a>(ranges: impl Iterator<Item = &'a str>) -> Result<Self, String> {
        let range = |text: &str| {
            let single = text.parse::<IpAddr>().map(IpNet::from);
            single.or_else(|_| text.parse::<IpNet>()).map_err(|_| format!("`{text}` is not a range like 10.0.0.0/8"))
        };
        ranges.map(range).collect::<Result<_, _>>().map(Self)
    }

    fn allows(&self, address: IpAddr) -> bool {
        let plain = address.to_canonical();
        is_public(plain) || self.0.iter().any(|range| range.contains(&plain) || range.contains(&address))
    }

    /// Checks what can be told from the text alone.
    pub(crate) fn check_url(&self, text: &str) -> Result<(Url, String), Refused> {
        let refused = || Refused::Url(text.chars().take(200).collect());
        let url = Url::parse(text).map_err(|_| refused())?;
        let host = url.host_str().ok_or_else(refused)?.trim_start_matches('[').trim_end_matches(']').to_owned();
        if !["http", "https"].contains(&url.scheme()) || host.is_empty() {
            return Err(refused());
        }
        if let Ok(address) = host.parse::<IpAddr>() {
            self.check_address(&host, address)?;
        }
        Ok((url, host))
    }

    /// Resolves the host and checks every address it has.
    pub(crate) async fn check(&self, text: &str) -> Result<Target, Refused> {
        let (url, host) = self.check_url(text)?;
        let port = url.port_or_known_default().unwrap_or(443);
        let unresolved = |reason: String| Refused::Unresolved { host: host.clone(), reason };
        let addresses: Vec<SocketAddr> = match host.parse::<IpAddr>() {
            Ok(address) => vec![SocketAddr::new(address, port)],
            Err(_) => tokio::time::timeout(RESOLVE_TIMEOUT, tokio::net::lookup_host((host.as_str(), port)))
                .await
                .map_err(|_| unresolved("no answer in 5 s".to_owned()))?
                .map_err(|error| unresolved(error.to_string()))?
                .collect(),
        };
        if addresses.is_empty() {
            return Err(unresolved("it has no address".to_owned()));
        }
        for address in &addresses {
            self.check_address(&host, address.ip())?;
        }
        Ok(Target { url, host, addresses })
    }

    fn check_address(&self, host: &str, address: IpAddr) -> Result<(), Refused> {
        if self.allows(address) {
            return Ok(());
        }
        let address = address.to_canonical();
        let bits = if address.is_ipv4() { 32 } else { 128 };
        Err(Refused::Internal { host: host.to_owned(), address, bits })
    }
}

/// Whether an address belongs to the public internet; everything else (IANA's special-purpose registries) is internal.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_broadcast()
        || address.is_documentation()
        || a == 0
        || (a == 100 && (b & 0xc0) == 64) // carrier-grade NAT
        || (a == 192 && b == 0 && c == 0) // protocol assignments
        || (a == 192 && b == 88 && c == 99) // 6to4 relays
        || (a == 198 && (b & 0xfe) == 18) // benchmarking
        || a >= 240; // reserved
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    // Only 2000::/3 is routed globally; of it, what carries an IPv4 address or is set aside is not.
    let special = (segments[0] & 0xe000) != 0x2000
        || (segments[0] == 0x2001 && segments[1] < 0x0200) // protocol assignments, Teredo among them
        || (segments[0] == 0x2001 && segments[1] == 0x0db8) // documentation
        || segments[0] == 0x2002 // 6to4
        || (segments[0] == 0x3fff && segments[1] < 0x1000); // documentation
    !special
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allow(ranges: &[&str]) -> AllowList {
        AllowList::parse(ranges.iter().copied()).unwrap()
    }

    #[test]
    fn internal_addresses_are_refused_however_they_are_spelled() {
        let internal = [
            "http://127.0.0.1/",
            "http://127.8.9.1:80/",
            "http://0.0.0.0/",
            "http://10.1.2.3/",
            "http://172.16.0.1/",
            "http://172.31.255.255/",
            "http://192.168.1.1/",
            "http://169.254.169.254/latest/meta-data/",
            "http://100.64.0.1/",
            "http://100.127.255.255/",
            "http://192.0.0.8/",
            "http://198.18.0.1/",
            "http://198.19.255.1/",
            "http://224.0.0.1/",
            "http://255.255.255.255/",
            "http://240.0.0.1/",
            "http://192.0.2.1/",
            "http://192.88.99.1/",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://0177.0.0.1/",
            "http://127.1/",
            "http://[::1]/",
            "http://[::]/",
            "http://[::ffff:127.0.0.1]/",
            "http://[::ffff:10.0.0.1]/",
            "http://[::7f00:1]/",
            "http://[64:ff9b::7f00:1]/",
            "http://[fe80::1]/",
            "http://[fc00::1]/",
            "http://[fd12::1]/",
            "http://[ff02::1]/",
            "http://[2002:7f00:1::]/",
            "http://[2001:db8::1]/",
            "http://[2001::1]/",
            "http://[3fff::1]/",
            "http://[fec0::1]/",
        ];
        for url in internal {
            let refused = allow(&[]).check_url(url);
            assert!(matches!(refused, Err(Refused::Internal { .. })), "{url}: {refused:?}");
        }
    }

    #[test]
    fn public_addresses_and_names_pass_the_first_look() {
        for url in [
            "https://hooks.example.com/x",
            "http://1.1.1.1/",
            "http://[2606:4700::1111]/",
            "http://172.32.0.1/",
            "http://100.128.0.1/",
        ] {
            assert!(allow(&[]).check_url(url).is_ok(), "{url}");
        }
        for url in ["ftp://example.com/", "file:///etc/passwd", "nonsense", "http://", "javascript:alert(1)"] {
            assert!(matches!(allow(&[]).check_url(url), Err(Refused::Url(_))), "{url}");
        }
    }

    #[test]
    fn what_is_listed_is_allowed_and_nothing_beside_it() {
        let list = allow(&["10.1.0.0/16", "127.0.0.1"]);
        assert!(list.check_url("http://10.1.200.3:8080/hook").is_ok());
        assert!(list.check_url("http://127.0.0.1/hook").is_ok());
        assert!(list.check_url("http://[::ffff:127.0.0.1]/hook").is_ok());
        assert!(list.check_url("http://127.0.0.2/hook").is_err());
        assert!(list.check_url("http://10.2.0.1/hook").is_err());
        assert!(AllowList::parse(["10.0.0.0/33"].into_iter()).is_err());
    }

    #[tokio::test]
    async fn a_name_of_this_machine_is_internal_too() {
        let refused = allow(&[]).check("http://localhost:9/hook").await;
        assert!(matches!(refused, Err(Refused::Internal { .. })), "{refused:?}");
        let target = allow(&["127.0.0.0/8", "::1"]).check("http://localhost:9/hook").await.unwrap();
        assert!(target.addresses.iter().all(|address| address.port() == 9 && address.ip().is_loopback()));
    }
}
