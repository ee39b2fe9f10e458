//! What the checkpoint says of one file, as bytes: fixed-width little-endian integers and length-prefixed bytes.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use crate::input::file::identity::{FileId, FileKey, HEAD_BYTES, Head, PREFIX_BYTES};

/// Paths longer than this don't exist on Linux (PATH_MAX is 4096).
const PATH_BYTES_MAX: usize = 1 << 16;
/// Boundaries a file can have waiting for acknowledgement.
pub(crate) const CUTS_MAX: usize = 16;

/// All that is kept of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) id: FileId,
    pub(crate) generation: u32,
    /// The file that holds the content now; all zero when none is known.
    pub(crate) key: FileKey,
    /// The name under which it was first read: what events say.
    pub(crate) path: PathBuf,
    pub(crate) head: Head,
    /// Everything before this was acknowledged.
    pub(crate) acked: u64,
    /// Hash of the last bytes before `acked`.
    pub(crate) tail: u64,
    /// Where records were ended although the content did not say so, ascending: they must end there again.
    pub(crate) cuts: Vec<u64>,
    /// The content is the decompressed one.
    pub(crate) gzip: bool,
    /// Size of the compressed file that was read to its end; 0 when it was not.
    pub(crate) whole: u64,
    /// The file is a copy that ends before `acked`: what follows was read from its original.
    pub(crate) short: bool,
    /// When it was last seen, seconds since 1970.
    pub(crate) seen_s: u64,
}

/// One record of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Record {
    /// A file, as it is now.
    Entry(Box<Entry>),
    /// Everything before `offset` was acknowledged.
    Acked { id: FileId, offset: u64, tail: u64 },
    /// A record ends at `at` although the content does not say so.
    Cut { id: FileId, at: u64 },
    /// The file is forgotten.
    Forget { id: FileId },
    /// The last record of a snapshot, with the number of those before it.
    End { records: u64 },
}

const ENTRY: u8 = 1;
const ACKED: u8 = 2;
const CUT: u8 = 3;
const FORGET: u8 = 4;
const END: u8 = 5;

impl Record {
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Entry(entry) => {
                out.push(ENTRY);
                out.extend(entry.id.0.to_le_bytes());
                out.extend(entry.generation.to_le_bytes());
                for number in [entry.key.device, entry.key.inode, entry.key.born_ns] {
                    out.extend(number.to_le_bytes());
                }
                put_bytes(out, entry.path.as_os_str().as_bytes());
                put_bytes(out, &entry.head.prefix);
                out.extend(entry.head.length.to_le_bytes());
                for number in [entry.head.hash, entry.acked, entry.tail, entry.whole, entry.seen_s] {
                    out.extend(number.to_le_bytes());
                }
                out.push(u8::from(entry.gzip) | u8::from(entry.short) << 1);
                out.push(u8::try_from(entry.cuts.len()).unwrap_or(u8::MAX));
                for at in entry.cuts.iter().take(usize::from(u8::MAX)) {
                    out.extend(at.to_le_bytes());
                }
            }
            Self::Acked { id, offset, tail } => {
                out.push(ACKED);
                out.extend(id.0.to_le_bytes());
                out.extend(offset.to_le_bytes());
                out.extend(tail.to_le_bytes());
            }
            Self::Cut { id, at } => {
                out.push(CUT);
                out.extend(id.0.to_le_bytes());
                out.extend(at.to_le_bytes());
            }
            Self::Forget { id } => {
                out.push(FORGET);
                out.extend(id.0.to_le_bytes());
            }
            Self::End { records } => {
                out.push(END);
                out.extend(records.to_le_bytes());
            }
        }
    }

    /// `None` for anything that [`Self::encode`] did not write.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut from = Reader(bytes);
        let record = match from.take::<1>()?[0] {
            ENTRY => Self::Entry(Box::new(entry(&mut from)?)),
            ACKED => Self::Acked { id: from.id()?, offset: from.number()?, tail: from.number()? },
            CUT => Self::Cut { id: from.id()?, at: from.number()? },
            FORGET => Self::Forget { id: from.id()? },
            END => Self::End { records: from.number()? },
            _ => return None,
        };
        from.0.is_empty().then_some(record)
    }
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    let bytes = bytes.get(..PATH_BYTES_MAX).unwrap_or(bytes);
    out.extend(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.extend(bytes);
}

fn entry(from: &mut Reader<'_>) -> Option<Entry> {
    let id = from.id()?;
    let generation = u32::from_le_bytes(from.take()?);
    let key = FileKey { device: from.number()?, inode: from.number()?, born_ns: from.number()? };
    let path = PathBuf::from(OsString::from_vec(from.bytes(PATH_BYTES_MAX)?.to_vec()));
    let prefix = from.bytes(PREFIX_BYTES)?.into();
    let length = u16::from_le_bytes(from.take()?);
    let head = Head { prefix, length, hash: from.number()? };
    let (acked, tail, whole, seen_s) = (from.number()?, from.number()?, from.number()?, from.number()?);
    let [flags, cuts] = from.take()?;
    let cuts = (0..cuts).map(|_| from.number()).collect::<Option<Vec<_>>>()?;
    let (gzip, short) = (flags & 1 != 0, flags & 2 != 0);
    let plausible = flags < 4 && usize::from(length) <= HEAD_BYTES;
    plausible.then_some(Entry { id, generation, key, path, head, acked, tail, cuts, gzip, whole, short, seen_s })
}

struct Reader<'b>(&'b [u8]);

impl<'b> Reader<'b> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    fn number(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    fn id(&mut self) -> Option<FileId> {
        self.take().map(|bytes| FileId(u128::from_le_bytes(bytes)))
    }

    fn bytes(&mut self, max: usize) -> Option<&'b [u8]> {
        let length = usize::try_from(u32::from_le_bytes(self.take()?)).ok()?;
        let (taken, rest) = self.0.split_at_checked(length).filter(|_| length <= max)?;
        self.0 = rest;
        Some(taken)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) fn any_entry() -> impl Strategy<Value = Entry> {
        let numbers = (any::<u128>(), any::<u32>(), any::<[u64; 3]>(), any::<[u64; 4]>());
        let bytes = ("/[a-z/.0-9]{0,40}", prop::collection::vec(any::<u8>(), 0..HEAD_BYTES));
        let rest = (prop::collection::vec(any::<u64>(), 0..CUTS_MAX), any::<bool>(), any::<bool>());
        (numbers, bytes, rest).prop_map(|((id, generation, key, n), (path, head), (cuts, gzip, short))| Entry {
            id: FileId(id),
            generation,
            key: FileKey { device: key[0], inode: key[1], born_ns: key[2] },
            path: path.into(),
            head: Head::of(&head),
            acked: n[0],
            tail: n[1],
            cuts,
            gzip,
            whole: n[2],
            short,
            seen_s: n[3],
        })
    }

    fn any_record() -> impl Strategy<Value = Record> {
        prop_oneof![
            any_entry().prop_map(|entry| Record::Entry(Box::new(entry))),
            any::<(u128, u64, u64)>().prop_map(|(id, offset, tail)| Record::Acked { id: FileId(id), offset, tail }),
            any::<(u128, u64)>().prop_map(|(id, at)| Record::Cut { id: FileId(id), at }),
            any::<u128>().prop_map(|id| Record::Forget { id: FileId(id) }),
            any::<u64>().prop_map(|records| Record::End { records }),
        ]
    }

    proptest! {
        #[test]
        fn decodes_what_was_encoded_and_no_prefix_of_it(record in any_record()) {
            let mut bytes = Vec::new();
            record.encode(&mut bytes);
            let decoded = Record::decode(&bytes);
            prop_assert_eq!(decoded.as_ref(), Some(&record));
            for end in 0..bytes.len() {
                prop_assert_eq!(Record::decode(&bytes[..end]), None);
            }
        }

        #[test]
        fn junk_is_refused_not_panicked_on(bytes: Vec<u8>) {
            let _ = Record::decode(&bytes);
        }
    }
}
