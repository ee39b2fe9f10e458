//! Addresses as terms: 32 hex digits of the IPv6 address, to which IPv4 addresses are mapped. Their order as text is
//! that of the addresses, so ranges and networks are ranges of terms.

use std::net::{IpAddr, Ipv6Addr};
use std::ops::RangeInclusive;

/// The term of an address.
pub(crate) fn encode(address: IpAddr) -> String {
    let wide = match address {
        IpAddr::V4(narrow) => narrow.to_ipv6_mapped(),
        IpAddr::V6(wide) => wide,
    };
    format!("{:032x}", wide.to_bits())
}

/// The term of an address as people write it; `None` when it is none.
pub(crate) fn parse(text: &str) -> Option<String> {
    text.trim().parse().ok().map(encode)
}

/// The address of a term as people write it.
pub(crate) fn decode(term: &str) -> Option<String> {
    if term.len() != 32 {
        return None;
    }
    let wide = Ipv6Addr::from_bits(u128::from_str_radix(term, 16).ok()?);
    Some(wide.to_ipv4_mapped().map_or_else(|| wide.to_string(), |narrow| narrow.to_string()))
}

/// The first and the last term of a network (`10.0.0.0/8`) or of a single address.
pub(crate) fn network(text: &str) -> Option<RangeInclusive<String>> {
    let Some((address, bits)) = text.split_once('/') else {
        let term = parse(text)?;
        return Some(term.clone()..=term);
    };
    let address: IpAddr = address.trim().parse().ok()?;
    let bits: u32 = bits.trim().parse().ok()?;
    let (wide, bits) = match address {
        IpAddr::V4(narrow) if bits <= 32 => (narrow.to_ipv6_mapped(), bits + 96),
        IpAddr::V6(wide) if bits <= 128 => (wide, bits),
        _ => return None,
    };
    let host = u128::MAX.checked_shr(bits).unwrap_or(0);
    let (first, last) = (wide.to_bits() & !host, wide.to_bits() | host);
    Some(format!("{first:032x}")..=format!("{last:032x}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn networks_hold_their_addresses() {
        let net = network("192.168.0.0/16").unwrap();
        for (address, inside) in
            [("192.168.0.0", true), ("192.168.255.255", true), ("192.169.0.0", false), ("::1", false)]
        {
            assert_eq!(net.contains(&parse(address).unwrap()), inside, "{address}");
        }
        assert!(network("2001:db8::/32").unwrap().contains(&parse("2001:db8:1::5").unwrap()));
        assert!(network("0.0.0.0/0").unwrap().contains(&parse("255.255.255.255").unwrap()));
        assert!(!network("0.0.0.0/0").unwrap().contains(&parse("2001:db8::1").unwrap()));
        assert!(network("::/0").unwrap().contains(&parse("1.2.3.4").unwrap()));
        for wrong in ["1.2.3.4/33", "::/129", "1.2.3/8", "a/b", "/", "1.2.3.4/-1"] {
            assert_eq!(network(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn terms_are_ordered_as_addresses(one: u128, other: u128, narrow: bool) {
            let address = |bits: u128| if narrow {
                IpAddr::V4(std::net::Ipv4Addr::from_bits(bits as u32))
            } else {
                IpAddr::V6(Ipv6Addr::from_bits(bits))
            };
            let (one, other) = (address(one), address(other));
            prop_assert_eq!(encode(one).cmp(&encode(other)), one.cmp(&other));
            prop_assert_eq!(decode(&encode(one)).and_then(|text| parse(&text)), Some(encode(one)));
        }

        #[test]
        fn any_text_is_an_address_or_none(text in "\\PC{0,40}") {
            let _ = (parse(&text), decode(&text), network(&text));
        }
    }
}
