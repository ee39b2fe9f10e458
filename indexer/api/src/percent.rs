//! Percent-encoding of addresses, both ways (RFC 3986; `+` for a space only in queries, after HTML's forms).

/// A part of a path: index expressions keep their `*`, `,`, `-` and `.`.
#[must_use]
pub fn encode(part: &str) -> String {
    let mut out = String::with_capacity(part.len());
    for byte in part.bytes() {
        if byte.is_ascii_alphanumeric() || b"*,-_.@~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// Undoes the encoding of a part of a path. A `%` that begins no byte stands for itself; what is no UTF-8 is replaced.
#[must_use]
pub fn decode(part: &str) -> String {
    decoded(part, b'+')
}

/// Undoes the encoding of a key or value of a query, where `+` is a space.
#[must_use]
pub fn decode_query(text: &str) -> String {
    decoded(text, b' ')
}

fn decoded(text: &str, plus: u8) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => bytes.push(plus),
            b'%' => {
                let mut ahead = rest.clone();
                let digit = |byte: Option<u8>| {
                    byte.and_then(|byte| char::from(byte).to_digit(16)).and_then(|digit| u8::try_from(digit).ok())
                };
                match (digit(ahead.next()), digit(ahead.next())) {
                    (Some(high), Some(low)) => {
                        bytes.push(high << 4 | low);
                        rest = ahead;
                    }
                    _ => bytes.push(b'%'),
                }
            }
            other => bytes.push(other),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plus_is_a_space_in_queries_only() {
        assert_eq!(decode_query("a%3Ab+c%"), "a:b c%");
        assert_eq!(decode("a+b%2Bc%2"), "a+b+c%2");
    }

    proptest::proptest! {
        #[test]
        fn what_was_encoded_is_decoded(text: String) {
            proptest::prop_assert_eq!(decode(&encode(&text)), text);
        }
    }
}
