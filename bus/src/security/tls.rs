//! Who a client's certificate says that it is.

use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::x509::X509Name;

use super::principal::Principal;

/// The subject of a certificate that was verified, as Kafka writes it: `User:CN=client,OU=logs,O=example`.
pub(crate) fn principal_of(certificate: &[u8]) -> Option<Principal> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let subject = distinguished_name(certificate.subject());
    (!subject.is_empty()).then(|| Principal::user(&subject))
}

/// The names that RFC 2253 has short forms for.
const SHORT: [(&str, &str); 9] = [
    ("2.5.4.3", "CN"),
    ("2.5.4.6", "C"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.9", "STREET"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("0.9.2342.19200300.100.1.1", "UID"),
    ("0.9.2342.19200300.100.1.25", "DC"),
];

/// After RFC 2253: the last part first, values escaped.
fn distinguished_name(name: &X509Name<'_>) -> String {
    let mut parts: Vec<String> = Vec::new();
    for relative in name.iter() {
        let values = relative.iter().map(|attribute| {
            let oid = attribute.attr_type().to_id_string();
            let short = SHORT.iter().find(|(known, _)| *known == oid).map(|(_, short)| *short);
            match (short, attribute.as_str()) {
                (Some(short), Ok(value)) => format!("{short}={}", escaped(value)),
                _ => {
                    let hex: String = attribute.as_slice().iter().map(|byte| format!("{byte:02x}")).collect();
                    format!("{oid}=#{hex}")
                }
            }
        });
        parts.push(values.collect::<Vec<_>>().join("+"));
    }
    parts.reverse();
    parts.join(",")
}

fn escaped(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    let last = value.chars().count().saturating_sub(1);
    for (index, sign) in value.chars().enumerate() {
        let special = matches!(sign, ',' | '+' | '"' | '\\' | '<' | '>' | ';')
            || (sign == '#' && index == 0)
            || (sign == ' ' && (index == 0 || index == last));
        if special {
            out.push('\\');
        }
        out.push(sign);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};

    #[test]
    fn subjects_read_as_kafka_writes_them() {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        // rcgen puts a name of its own where none is given.
        params.distinguished_name = DistinguishedName::new();
        for (kind, value) in [
            (DnType::CountryName, "DE"),
            (DnType::OrganizationName, "Example, Inc."),
            (DnType::OrganizationalUnitName, " logs #1 "),
            (DnType::CommonName, "#shipper"),
        ] {
            params.distinguished_name.push(kind, value);
        }
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let principal = principal_of(certificate.der()).unwrap();
        assert_eq!(principal.as_str(), r"User:CN=\#shipper,OU=\ logs #1\ ,O=Example\, Inc.,C=DE");
        assert!(principal_of(b"no certificate").is_none());
    }
}
