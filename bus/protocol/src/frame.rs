//! Cuts a stream of bytes into requests: a length of four bytes, then that many bytes.
//!
//! It never reserves what a length promises: the buffer grows with the bytes that have come.

use bytes::{Buf, Bytes, BytesMut};

use crate::header::peek_api;

/// Room made for a read: large enough for most requests at once, small enough for ten thousand idle connections.
const READ_BYTES: usize = 16 << 10;

/// The same before the first request, which is small.
const FIRST_READ_BYTES: usize = 1 << 10;

/// A request that will not be read; the connection can't go on, since where the next begins is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A length that is negative or smaller than a header.
    #[error("a request of {0} bytes is announced: this does not look like the Kafka protocol")]
    NotKafka(i32),
    /// More than is accepted of this kind of request.
    #[error("a request of {announced} bytes is announced where {limit} are the most")]
    TooLarge {
        /// What its length says.
        announced: usize,
        /// What is accepted.
        limit: usize,
    },
}

/// The bytes of one connection, as they come.
#[derive(Debug)]
pub struct FrameReader {
    buffer: BytesMut,
    limit: usize,
    limit_without_records: usize,
    /// Whether a request has come. Until then reads are small: those who connect and say nothing cost little.
    has_begun: bool,
}

impl FrameReader {
    /// Accepts requests of up to `limit` bytes when they carry records, else of `limit_without_records`.
    #[must_use]
    pub fn new(limit: usize, limit_without_records: usize) -> Self {
        Self {
            buffer: BytesMut::new(),
            limit,
            limit_without_records: limit_without_records.min(limit),
            has_begun: false,
        }
    }

    /// Accepts more, or less, from now on.
    pub fn set_limits(&mut self, limit: usize, limit_without_records: usize) {
        self.limit = limit;
        self.limit_without_records = limit_without_records.min(limit);
    }

    /// Where the next bytes of the stream are to be put; it always has room.
    pub fn space(&mut self) -> &mut BytesMut {
        // Doubling, so that a large request is copied a constant number of times while it grows.
        let least = if self.has_begun { READ_BYTES } else { FIRST_READ_BYTES };
        let room = least.max(self.wanted().min(self.buffer.len()));
        self.buffer.reserve(room);
        &mut self.buffer
    }

    /// How many bytes of a request that has begun have not come yet.
    fn wanted(&self) -> usize {
        (self.announced_bytes() + 4).saturating_sub(self.buffer.len())
    }

    /// The size of the request that has begun, for whoever must make room for it.
    #[must_use]
    pub fn announced_bytes(&self) -> usize {
        self.announced().and_then(|length| usize::try_from(length).ok()).unwrap_or(0)
    }

    fn announced(&self) -> Option<i32> {
        self.buffer.first_chunk::<4>().map(|length| i32::from_be_bytes(*length))
    }

    /// Whether a request has begun and not ended.
    #[must_use]
    pub fn is_within(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// The next whole request without its length, `None` while more bytes are needed.
    ///
    /// # Errors
    /// When what has come is no request that is accepted.
    pub fn next_frame(&mut self) -> Result<Option<Bytes>, FrameError> {
        let Some(length) = self.announced() else { return Ok(None) };
        let announced = usize::try_from(length).map_err(|_| FrameError::NotKafka(length))?;
        if announced < crate::HEADER_BYTES_MIN {
            return Err(FrameError::NotKafka(length));
        }
        let too_large = |limit| FrameError::TooLarge { announced, limit };
        if announced > self.limit {
            return Err(too_large(self.limit));
        }
        let Some(key) = peek_api(self.buffer.get(4..).unwrap_or_default()) else { return Ok(None) };
        if key != crate::ApiKey::Produce as i16 && announced > self.limit_without_records {
            return Err(too_large(self.limit_without_records));
        }
        if self.buffer.len() < announced + 4 {
            return Ok(None);
        }
        Ok(Some(self.take(announced)))
    }

    /// The next whole frame that is no request: a step of a login as it was before Kafka 1.0, which may be empty.
    ///
    /// # Errors
    /// When it is larger than requests may be.
    pub fn next_token(&mut self) -> Result<Option<Bytes>, FrameError> {
        let Some(length) = self.announced() else { return Ok(None) };
        let announced = usize::try_from(length).map_err(|_| FrameError::NotKafka(length))?;
        if announced > self.limit {
            return Err(FrameError::TooLarge { announced, limit: self.limit });
        }
        Ok((self.buffer.len() >= announced + 4).then(|| self.take(announced)))
    }

    fn take(&mut self, length: usize) -> Bytes {
        self.has_begun = true;
        self.buffer.advance(4);
        self.buffer.split_to(length).freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::BufMut;
    use proptest::prelude::*;

    fn frame(key: i16, body: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        out.put_i32(i32::try_from(body.len() + 10).unwrap());
        out.put_i16(key);
        out.put_slice(&[0; 8]);
        out.put_slice(body);
        out
    }

    proptest! {
        #[test]
        fn requests_come_out_whole_however_the_stream_is_cut(
            bodies in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 0..8),
            cut in 1usize..64,
        ) {
            let stream: Vec<u8> = bodies.iter().flat_map(|body| frame(3, body)).collect();
            let mut reader = FrameReader::new(1000, 1000);
            let mut seen = Vec::new();
            for piece in stream.chunks(cut) {
                reader.space().put_slice(piece);
                while let Some(frame) = reader.next_frame().unwrap() {
                    seen.push(frame.slice(10..).to_vec());
                }
            }
            prop_assert_eq!(seen, bodies);
            prop_assert!(!reader.is_within());
        }

        #[test]
        fn junk_never_panics_nor_makes_it_reserve_what_it_announces(junk: Vec<u8>) {
            let mut reader = FrameReader::new(100 << 20, 8 << 20);
            reader.space().put_slice(&junk);
            while let Ok(Some(_)) = reader.next_frame() {}
            prop_assert!(reader.space().capacity() <= 2 * (junk.len() + READ_BYTES) + 64);
        }
    }

    #[test]
    fn tokens_may_be_small_or_empty() {
        let mut reader = FrameReader::new(10, 10);
        reader.space().put_slice(&[0, 0, 0, 0, 0, 0, 0, 2, 7]);
        assert_eq!(reader.next_token(), Ok(Some(Bytes::new())));
        assert_eq!(reader.next_token(), Ok(None));
        reader.space().put_slice(&[8, 0, 0, 0, 11]);
        assert_eq!(reader.next_token(), Ok(Some(Bytes::from_static(&[7, 8]))));
        assert_eq!(reader.next_token(), Err(FrameError::TooLarge { announced: 11, limit: 10 }));
    }

    #[test]
    fn what_is_too_large_is_refused_as_soon_as_its_kind_is_known() {
        let mut reader = FrameReader::new(1 << 20, 1 << 10);
        reader.space().put_slice(&(1i32 << 30).to_be_bytes());
        assert_eq!(reader.next_frame(), Err(FrameError::TooLarge { announced: 1 << 30, limit: 1 << 20 }));
        let mut reader = FrameReader::new(1 << 20, 1 << 10);
        reader.space().put_slice(&[0, 0, 8, 0, 0, 3]);
        assert_eq!(reader.next_frame(), Err(FrameError::TooLarge { announced: 2 << 10, limit: 1 << 10 }));
        let mut reader = FrameReader::new(1 << 20, 1 << 10);
        reader.space().put_slice(&[0, 0, 8, 0, 0, 0]);
        assert_eq!(reader.next_frame(), Ok(None), "records may be larger");
        let mut reader = FrameReader::new(1 << 20, 1 << 10);
        reader.space().put_slice(b"GET / HTTP/1.1");
        assert!(reader.next_frame().is_err());
        let mut reader = FrameReader::new(1 << 20, 1 << 10);
        reader.space().put_slice(&[0xff; 8]);
        assert_eq!(reader.next_frame(), Err(FrameError::NotKafka(-1)));
    }
}
