//! What stands before every request: which API, which version, and the number its answer must carry.

use bytes::Bytes;
use kafka_protocol::messages::ApiKey;
use kafka_protocol::protocol::StrBytes;

use crate::wire::{Cursor, WireError, share};

/// API key, version, correlation id and the length of the client's name.
pub const HEADER_BYTES_MIN: usize = 10;

/// A request's header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestHeader {
    /// Which API: may be one that nobody knows.
    pub api_key: i16,
    /// Which version of it.
    pub api_version: i16,
    /// Comes back with the answer.
    pub correlation_id: i32,
    /// How the client names itself.
    pub client_id: Option<StrBytes>,
}

/// The header can't be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a request's header is broken: {0}")]
pub struct HeaderError(#[from] WireError);

/// The API key of a request, once its bytes have come.
#[must_use]
pub fn peek_api(request: &[u8]) -> Option<i16> {
    request.first_chunk::<2>().map(|key| i16::from_be_bytes(*key))
}

impl RequestHeader {
    /// Takes the header off `request` and leaves the body.
    ///
    /// # Errors
    /// When it is shorter than it says or its text is not UTF-8.
    pub fn take(request: &Bytes) -> Result<(Self, Bytes), HeaderError> {
        let mut cursor = Cursor::new(request);
        let (api_key, api_version, correlation_id) = (cursor.i16()?, cursor.i16()?, cursor.i32()?);
        let client_id = match cursor.string_length(false)? {
            None => None,
            Some(length) => {
                let name = share(request, cursor.take(length)?);
                Some(StrBytes::from_utf8(name).map_err(|_| WireError::Text)?)
            }
        };
        // A version that nobody knows may have another header; its body will not be read, only refused.
        let known = ApiKey::try_from(api_key).ok().filter(|key| {
            let versions = key.valid_versions();
            api_version <= versions.max
        });
        if known.is_some_and(|key| key.request_header_version(api_version) >= 2) {
            skip_tags(&mut cursor)?;
        }
        let body = request.slice(request.len() - cursor.left()..);
        Ok((Self { api_key, api_version, correlation_id, client_id }, body))
    }
}

fn skip_tags(cursor: &mut Cursor<'_>) -> Result<(), WireError> {
    for _ in 0..cursor.varint()? {
        let _tag = cursor.varint()?;
        let size = usize::try_from(cursor.varint()?).unwrap_or(usize::MAX);
        cursor.take(size)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::BytesMut;
    use kafka_protocol::protocol::Encodable;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn reads_what_clients_write_and_refuses_every_piece_of_it(
            correlation in any::<i32>(), name in "\\PC{0,20}", flexible: bool,
        ) {
            let (key, version) = (3i16, if flexible { 9i16 } else { 1 });
            let theirs = kafka_protocol::messages::RequestHeader::default()
                .with_request_api_key(key)
                .with_request_api_version(version)
                .with_correlation_id(correlation)
                .with_client_id(Some(StrBytes::from_string(name.clone())));
            let mut out = BytesMut::new();
            theirs.encode(&mut out, if flexible { 2 } else { 1 }).unwrap();
            let header_bytes = out.len();
            out.extend_from_slice(b"body");
            let (header, body) = RequestHeader::take(&out.clone().freeze()).unwrap();
            prop_assert_eq!((header.api_key, header.api_version, header.correlation_id), (key, version, correlation));
            prop_assert_eq!(header.client_id.as_deref(), Some(name.as_str()));
            prop_assert_eq!(&body[..], b"body");
            for end in 0..header_bytes {
                prop_assert!(RequestHeader::take(&out.clone().freeze().slice(..end)).is_err());
            }
        }

        #[test]
        fn junk_is_refused_not_panicked_on(junk: Vec<u8>) {
            let _ = RequestHeader::take(&Bytes::from(junk));
        }
    }
}
