//! The state file's bytes: `LMBUSST\n`, version u32, then entries `crc32c u32 | key length u32 | value length u32 | key |
//! value`, little endian; the checksum covers everything behind it; a value length of `u32::MAX` says that the key was
//! removed.

use std::collections::BTreeMap;
use std::path::Path;

use super::{Entries, StateError};

pub(super) const MAGIC: &[u8; 8] = b"LMBUSST\n";
pub(super) const VERSION: u32 = 1;
pub(super) const HEADER_BYTES: usize = 12;
const ENTRY_HEADER_BYTES: usize = 12;
const REMOVED: u32 = u32::MAX;

pub(super) const fn entry_bytes(key: &[u8], value: &[u8]) -> u64 {
    (ENTRY_HEADER_BYTES + key.len() + value.len()) as u64
}

pub(super) fn encode(out: &mut Vec<u8>, key: &[u8], value: Option<&[u8]>) {
    let start = out.len();
    let value_length = value.map_or(REMOVED, |value| u32::try_from(value.len()).unwrap_or(REMOVED));
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&u32::try_from(key.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.extend_from_slice(&value_length.to_le_bytes());
    out.extend_from_slice(key);
    out.extend_from_slice(value.unwrap_or_default());
    let crc = crc32c::crc32c(out.get(start + 4..).unwrap_or_default());
    if let Some(place) = out.get_mut(start..start + 4) {
        place.copy_from_slice(&crc.to_le_bytes());
    }
}

/// Key, value unless removed, and the length of it all.
type Decoded<'b> = (&'b [u8], Option<&'b [u8]>, usize);

/// The entry at the beginning of `bytes` and where the next begins; `None` when it is not whole and intact.
fn decode(bytes: &[u8]) -> Option<Decoded<'_>> {
    let number = |at: usize| {
        let four = bytes.get(at..at + 4)?;
        four.try_into().ok().map(u32::from_le_bytes)
    };
    let (crc, key_length, value_length) = (number(0)?, number(4)?, number(8)?);
    let key_end = ENTRY_HEADER_BYTES.checked_add(usize::try_from(key_length).ok()?)?;
    let length = if value_length == REMOVED { 0 } else { value_length };
    let end = key_end.checked_add(usize::try_from(length).ok()?)?;
    let entry = bytes.get(..end)?;
    if crc32c::crc32c(entry.get(4..)?) != crc {
        return None;
    }
    let value = (value_length != REMOVED).then_some(entry.get(key_end..)?);
    Some((entry.get(ENTRY_HEADER_BYTES..key_end)?, value, end))
}

/// Reads entries until the end or the first that is broken; returns where it stopped.
pub(super) fn read_all(
    path: &Path,
    bytes: &[u8],
    live: &mut BTreeMap<Vec<u8>, Vec<u8>>,
    entries: &mut Entries,
) -> Result<usize, StateError> {
    let Some((header, _)) = bytes.split_first_chunk::<HEADER_BYTES>() else { return Ok(0) };
    let Some(version) = header.strip_prefix(MAGIC).and_then(|version| version.try_into().ok()).map(u32::from_le_bytes)
    else {
        return Err(StateError::Foreign(path.to_owned()));
    };
    if version > VERSION {
        return Err(StateError::Newer { path: path.to_owned(), found: version });
    }
    let mut at = HEADER_BYTES;
    while let Some((key, value, length)) = decode(bytes.get(at..).unwrap_or_default()) {
        match value {
            Some(value) => drop(live.insert(key.to_owned(), value.to_owned())),
            None => drop(live.remove(key)),
        }
        at += length;
    }
    for (key, value) in &*live {
        match (serde_json::from_slice(key), serde_json::from_slice(value)) {
            (Ok(key), Ok(value)) => drop(entries.insert(key, value)),
            // Its checksum is right: a later version wrote a kind that this one does not know. It stays in the file.
            _ => tracing::warn!(key = %String::from_utf8_lossy(key), "an entry of the state file is not understood"),
        }
    }
    Ok(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn entries_come_back_and_pieces_of_them_are_refused(key: Vec<u8>, value: Option<Vec<u8>>) {
            let mut out = Vec::new();
            encode(&mut out, &key, value.as_deref());
            prop_assert_eq!(decode(&out), Some((key.as_slice(), value.as_deref(), out.len())));
            for end in 0..out.len() {
                prop_assert_eq!(decode(&out[..end]), None);
            }
        }
    }
}
