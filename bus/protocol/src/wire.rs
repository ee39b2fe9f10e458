//! Reading and writing the primitive types of the protocol. Reading never panics and never allocates.

use bytes::{BufMut, Bytes, BytesMut};

/// The bytes ended before what they promised, or a length makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// More bytes were promised than are there.
    #[error("{needed} bytes are needed where {left} are left")]
    Short {
        /// How many bytes the next value takes.
        needed: usize,
        /// How many are left.
        left: usize,
    },
    /// A length below -1, or one that its type can't hold.
    #[error("a length of {0} makes no sense")]
    Length(i64),
    /// A variable-length number of more than 32 bits.
    #[error("a variable-length number is longer than 32 bits")]
    Varint,
    /// Text that is not UTF-8.
    #[error("a text is not UTF-8")]
    Text,
}

/// A place in a body.
#[derive(Clone, Debug)]
pub(crate) struct Cursor<'b> {
    rest: &'b [u8],
}

impl<'b> Cursor<'b> {
    pub(crate) const fn new(body: &'b [u8]) -> Self {
        Self { rest: body }
    }

    pub(crate) const fn left(&self) -> usize {
        self.rest.len()
    }

    pub(crate) fn take(&mut self, count: usize) -> Result<&'b [u8], WireError> {
        let short = WireError::Short { needed: count, left: self.rest.len() };
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(short)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let short = WireError::Short { needed: N, left: self.rest.len() };
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(short)?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(crate) fn i16(&mut self) -> Result<i16, WireError> {
        self.array().map(i16::from_be_bytes)
    }

    pub(crate) fn i32(&mut self) -> Result<i32, WireError> {
        self.array().map(i32::from_be_bytes)
    }

    pub(crate) fn i64(&mut self) -> Result<i64, WireError> {
        self.array().map(i64::from_be_bytes)
    }

    pub(crate) fn bool(&mut self) -> Result<bool, WireError> {
        self.array::<1>().map(|[byte]| byte != 0)
    }

    /// An unsigned number of at most 32 bits, seven bits a byte.
    pub(crate) fn varint(&mut self) -> Result<u32, WireError> {
        let mut value = 0u32;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.array::<1>()?;
            let bits = u32::from(byte & 0x7f);
            if shift == 28 && byte > 0x0f {
                return Err(WireError::Varint);
            }
            value |= bits << shift;
            if byte < 0x80 {
                break;
            }
        }
        Ok(value)
    }

    /// The length of a text, -1 being none.
    pub(crate) fn string_length(&mut self, compact: bool) -> Result<Option<usize>, WireError> {
        if compact { self.compact_length() } else { optional(i64::from(self.i16()?)) }
    }

    /// The length of bytes or of an array, -1 being none.
    pub(crate) fn long_length(&mut self, compact: bool) -> Result<Option<usize>, WireError> {
        if compact { self.compact_length() } else { optional(i64::from(self.i32()?)) }
    }

    fn compact_length(&mut self) -> Result<Option<usize>, WireError> {
        Ok(usize::try_from(self.varint()?).unwrap_or(usize::MAX).checked_sub(1))
    }

    /// A text of the old encoding.
    pub(crate) fn string(&mut self) -> Result<Option<&'b str>, WireError> {
        let Some(length) = self.string_length(false)? else { return Ok(None) };
        std::str::from_utf8(self.take(length)?).map(Some).map_err(|_| WireError::Text)
    }

    /// An array's count in the old encoding, no larger than the bytes that are left.
    pub(crate) fn count(&mut self) -> Result<usize, WireError> {
        let count = self.long_length(false)?.unwrap_or(0);
        if count > self.left() {
            return Err(WireError::Short { needed: count, left: self.left() });
        }
        Ok(count)
    }
}

fn optional(length: i64) -> Result<Option<usize>, WireError> {
    match length {
        -1 => Ok(None),
        _ => usize::try_from(length).map(Some).map_err(|_| WireError::Length(length)),
    }
}

/// Writes an unsigned number, seven bits a byte.
pub(crate) fn put_varint(out: &mut BytesMut, mut value: u32) {
    while value >= 0x80 {
        out.put_u8((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

/// Writes a length or a count: compact ones are one more than they say.
pub(crate) fn put_length(out: &mut BytesMut, compact: bool, length: usize) {
    let length = u32::try_from(length).unwrap_or(u32::MAX);
    if compact {
        put_varint(out, length.saturating_add(1));
    } else {
        out.put_u32(length);
    }
}

/// Writes a text; longer ones than the encoding can hold are cut, which names of topics never are.
pub(crate) fn put_string(out: &mut BytesMut, compact: bool, text: &str) {
    if compact {
        put_length(out, true, text.len());
        out.put_slice(text.as_bytes());
    } else {
        let length = i16::try_from(text.len()).unwrap_or(i16::MAX);
        out.put_i16(length);
        out.put_slice(text.as_bytes().get(..length as usize).unwrap_or_default());
    }
}

/// The part of `whole` that `part` points into, without a copy; `part` must be a piece of `whole`.
pub(crate) fn share(whole: &Bytes, part: &[u8]) -> Bytes {
    if part.is_empty() { Bytes::new() } else { whole.slice_ref(part) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn varints_come_back_and_short_ones_are_refused(value: u32) {
            let mut out = BytesMut::new();
            put_varint(&mut out, value);
            prop_assert_eq!(Cursor::new(&out).varint(), Ok(value));
            for end in 0..out.len() {
                prop_assert!(Cursor::new(out.get(..end).unwrap_or_default()).varint().is_err());
            }
        }
    }

    #[test]
    fn lengths_below_none_make_no_sense() {
        assert_eq!(Cursor::new(&[0xff, 0xfe]).string_length(false), Err(WireError::Length(-2)));
        assert_eq!(Cursor::new(&[0xff, 0xff]).string_length(false), Ok(None));
        assert_eq!(
            Cursor::new(&[0x7f, 0xff, 0xff, 0xff]).count(),
            Err(WireError::Short { needed: 0x7fff_ffff, left: 0 })
        );
        assert_eq!(Cursor::new(&[0xff; 5]).varint(), Err(WireError::Varint));
    }
}
