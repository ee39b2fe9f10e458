//! What a member of a classic consumer group subscribes to, as it tells its leader: bytes that the protocol leaves to
//! the clients, in the one layout that all of them share.

use std::collections::BTreeSet;

use crate::wire::{Cursor, WireError};

/// The topics that a member's metadata names; what follows them (user data, owned partitions, rack) is not read.
///
/// # Errors
/// When the bytes are not such metadata: the members are no consumers, or of a kind of their own.
pub fn subscribed_topics(metadata: &[u8]) -> Result<BTreeSet<String>, WireError> {
    let mut at = Cursor::new(metadata);
    let version = at.i16()?;
    if version < 0 {
        return Err(WireError::Length(version.into()));
    }
    let mut topics = BTreeSet::new();
    for _ in 0..at.count()? {
        topics.insert(at.string()?.ok_or(WireError::Length(-1))?.to_owned());
    }
    Ok(topics)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::{BufMut, BytesMut};

    use crate::wire::{put_length, put_string};

    #[test]
    fn topics_are_read_and_pieces_refused() {
        let mut out = BytesMut::new();
        out.put_i16(3);
        put_length(&mut out, false, 2);
        put_string(&mut out, false, "one");
        put_string(&mut out, false, "two");
        let end = out.len();
        out.put_slice(b"\0\0\0\0whatever comes");
        let topics = subscribed_topics(&out).unwrap();
        assert_eq!(topics.into_iter().collect::<Vec<_>>(), ["one", "two"]);
        for end in 0..end {
            assert!(subscribed_topics(&out[..end]).is_err(), "cut at {end}");
        }
        assert!(subscribed_topics(&[0xff, 0xff, 0, 0, 0, 0]).is_err());
        assert!(subscribed_topics(&[0, 0, 0x7f, 0xff, 0xff, 0xff]).is_err());
    }
}
