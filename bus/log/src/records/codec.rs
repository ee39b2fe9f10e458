//! The compressions of record batches, as Kafka's clients write and read them. Taking records out is bounded
//! in what it yields and in what it needs on the way, whatever the bytes claim.

use std::io::{self, Read, Write};

use crate::batch::BatchHeader;

/// How the records of a batch are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// Not at all.
    None,
    /// Deflate with a gzip frame.
    Gzip,
    /// Snappy blocks in the frame that Java's clients use; bare blocks are read too.
    Snappy,
    /// The LZ4 frame format.
    Lz4,
    /// Zstandard.
    Zstd,
}

/// A batch's records can't be taken out, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Undecodable(pub(crate) &'static str);

const BROKEN: Undecodable = Undecodable("its records can't be decompressed");
const TOO_MUCH: Undecodable = Undecodable("its records are larger than this broker opens");

/// The frame around snappy blocks that Java's library writes.
const XERIAL_MAGIC: &[u8; 8] = b"\x82SNAPPY\0";
/// Magic, version, oldest version that can read it.
const XERIAL_HEADER_BYTES: usize = 16;
/// What that library compresses at a time.
const XERIAL_BLOCK_BYTES: usize = 32 << 10;
/// 2 to the power of this is the window that zstd may ask for; producers' levels stay far below.
const ZSTD_WINDOW_LOG_MAX: u32 = 26;
/// The library's own recommendation, and what clients take by default.
const ZSTD_LEVEL: i32 = 3;

impl Codec {
    pub(crate) fn of(header: &BatchHeader) -> Option<Self> {
        [Self::None, Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd].get(usize::from(header.compression())).copied()
    }

    /// The number in a batch's attributes.
    pub(crate) fn code(self) -> i16 {
        match self {
            Self::None => 0,
            Self::Gzip => 1,
            Self::Snappy => 2,
            Self::Lz4 => 3,
            Self::Zstd => 4,
        }
    }

    /// At most `most` bytes come out, or none.
    pub(crate) fn decompress(self, bytes: &[u8], most: usize) -> Result<Vec<u8>, Undecodable> {
        match self {
            Self::None if bytes.len() > most => Err(TOO_MUCH),
            Self::None => Ok(bytes.to_vec()),
            Self::Gzip => read_all(flate2::read::MultiGzDecoder::new(bytes), most),
            Self::Snappy => snappy(bytes, most),
            Self::Lz4 => read_all(lz4_flex::frame::FrameDecoder::new(bytes), most),
            Self::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(bytes).map_err(|_| BROKEN)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(|_| BROKEN)?;
                read_all(decoder, most)
            }
        }
    }

    pub(crate) fn compress(self, bytes: &[u8]) -> io::Result<Vec<u8>> {
        match self {
            Self::None => Ok(bytes.to_vec()),
            Self::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
                encoder.write_all(bytes)?;
                encoder.finish()
            }
            Self::Snappy => {
                let mut out = XERIAL_MAGIC.to_vec();
                out.extend_from_slice(&[0, 0, 0, 1, 0, 0, 0, 1]);
                let mut encoder = snap::raw::Encoder::new();
                for block in bytes.chunks(XERIAL_BLOCK_BYTES) {
                    let block = encoder.compress_vec(block).map_err(io::Error::other)?;
                    // A block of 32 KiB stays far below 2^32.
                    out.extend_from_slice(&(block.len() as u32).to_be_bytes());
                    out.extend_from_slice(&block);
                }
                Ok(out)
            }
            Self::Lz4 => {
                let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
                encoder.write_all(bytes)?;
                encoder.finish().map_err(io::Error::other)
            }
            Self::Zstd => zstd::stream::encode_all(bytes, ZSTD_LEVEL),
        }
    }
}

fn read_all(reader: impl Read, most: usize) -> Result<Vec<u8>, Undecodable> {
    let mut out = Vec::new();
    reader.take(most as u64 + 1).read_to_end(&mut out).map_err(|_| BROKEN)?;
    if out.len() > most { Err(TOO_MUCH) } else { Ok(out) }
}

fn snappy(bytes: &[u8], most: usize) -> Result<Vec<u8>, Undecodable> {
    let mut out = Vec::new();
    if !bytes.starts_with(XERIAL_MAGIC) {
        snappy_block(bytes, most, &mut out)?;
        return Ok(out);
    }
    let mut rest = bytes.get(XERIAL_HEADER_BYTES..).ok_or(BROKEN)?;
    while let Some((length, blocks)) = rest.split_first_chunk::<4>() {
        let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| BROKEN)?;
        let (block, left) = blocks.split_at_checked(length).ok_or(BROKEN)?;
        snappy_block(block, most, &mut out)?;
        rest = left;
    }
    if rest.is_empty() { Ok(out) } else { Err(BROKEN) }
}

/// Appends what a block holds. What a block claims to hold is bounded before room is made for it.
fn snappy_block(block: &[u8], most: usize, out: &mut Vec<u8>) -> Result<(), Undecodable> {
    let claimed = snap::raw::decompress_len(block).map_err(|_| BROKEN)?;
    if claimed > most.saturating_sub(out.len()) {
        return Err(TOO_MUCH);
    }
    // A byte of snappy yields less than 64: a longer claim is a lie, and room is not made for it.
    if claimed / 64 > block.len() {
        return Err(BROKEN);
    }
    let from = out.len();
    out.resize(from + claimed, 0);
    let room = out.get_mut(from..).unwrap_or_default();
    let written = snap::raw::Decoder::new().decompress(block, room).map_err(|_| BROKEN)?;
    out.truncate(from + written);
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALL: [Codec; 5] = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];

    proptest! {
        #[test]
        fn what_goes_in_comes_out_and_not_a_byte_more_than_allowed(
            bytes in prop::collection::vec(0..4_u8, 0..100_000),
        ) {
            for codec in ALL {
                let packed = codec.compress(&bytes).unwrap();
                prop_assert_eq!(codec.decompress(&packed, bytes.len()), Ok(bytes.clone()), "{:?}", codec);
                if !bytes.is_empty() {
                    prop_assert_eq!(codec.decompress(&packed, bytes.len() - 1), Err(TOO_MUCH), "{:?}", codec);
                }
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            for codec in ALL {
                let _ = codec.decompress(&bytes, 1 << 20);
                let framed = [XERIAL_MAGIC.as_slice(), &bytes].concat();
                let _ = codec.decompress(&framed, 1 << 20);
            }
        }
    }

    #[test]
    fn bare_snappy_is_read_and_a_claim_of_gigabytes_is_not_believed() {
        let packed = snap::raw::Encoder::new().compress_vec(b"hello, hello, hello").unwrap();
        assert_eq!(Codec::Snappy.decompress(&packed, 100).unwrap(), b"hello, hello, hello");
        assert_eq!(Codec::Snappy.decompress(&[0xff, 0xff, 0xff, 0xff, 0x0f, 0], usize::MAX), Err(BROKEN));
        assert_eq!(Codec::Snappy.decompress(&[0xff, 0xff, 0xff, 0xff, 0x0f, 0], 1 << 20), Err(TOO_MUCH));
    }

    #[test]
    fn a_bomb_is_cut_off_early() {
        let zeros = vec![0; 64 << 20];
        for codec in [Codec::Gzip, Codec::Lz4, Codec::Zstd, Codec::Snappy] {
            let bomb = codec.compress(&zeros).unwrap();
            assert_eq!(codec.decompress(&bomb, 1 << 20), Err(TOO_MUCH), "{codec:?}");
        }
    }
}
