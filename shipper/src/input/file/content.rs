//! The bytes of an open file, plain or decompressed, by their place in it.
//!
//! Reads only; a file that is shorter than asked for is no error. Never mapped: a truncation would kill the process.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

use flate2::bufread::GzDecoder;

use super::identity::{HEAD_BYTES, TAIL_BYTES};

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
/// One system call a turn for most files, and small enough for the cache.
const GZIP_READ_BYTES: usize = 64 << 10;

/// A compressed file that was written to within this may be written to again.
const IN_THE_MAKING: Duration = Duration::from_secs(10);

/// An open file.
#[derive(Debug)]
pub(crate) enum Content {
    Plain(File),
    Gzip(Box<Gzip>),
}

/// How far a read came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// There may be more right behind.
    No,
    /// The file ends here for now.
    ForNow,
    /// The compressed content is complete.
    ForGood,
}

/// Opens a regular file for reading, without waiting where it is none.
pub(crate) fn open(path: &Path) -> io::Result<(File, Metadata)> {
    let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::CLOEXEC;
    let file = OpenOptions::new().read(true).custom_flags(i32::try_from(flags.bits()).unwrap_or(0)).open(path)?;
    let meta = file.metadata()?;
    if meta.is_file() { Ok((file, meta)) } else { Err(io::Error::other("not a regular file")) }
}

impl Content {
    /// Takes an open file: compressed when it is named so or begins so. `None` while that can't be told.
    pub(crate) fn new(file: File, path: &Path) -> io::Result<Option<Self>> {
        let mut magic = [0; 2];
        let length = read_at(&file, &mut magic, 0)?;
        let named = path.extension().is_some_and(|end| end.eq_ignore_ascii_case("gz"));
        match (length, magic == GZIP_MAGIC, named) {
            (0 | 1, _, true) | (0, ..) => Ok(None),
            (2, true, _) => Ok(Some(Self::Gzip(Box::new(Gzip::new(file))))),
            (_, _, true) => Err(io::Error::new(io::ErrorKind::InvalidData, "named .gz, but not compressed by gzip")),
            _ => Ok(Some(Self::Plain(file))),
        }
    }

    pub(crate) const fn is_gzip(&self) -> bool {
        matches!(self, Self::Gzip(_))
    }

    /// Compressed content that is being written can look torn in any way.
    pub(crate) fn in_the_making(&self) -> bool {
        let written = |file: &File| file.metadata().and_then(|meta| meta.modified()).ok()?.elapsed().ok();
        self.is_gzip() && written(self.file()).is_some_and(|age| age < IN_THE_MAKING)
    }

    pub(crate) fn file(&self) -> &File {
        match self {
            Self::Plain(file) => file,
            Self::Gzip(gzip) => &gzip.file,
        }
    }

    /// Fills `out` with up to `want` bytes from `from` on.
    pub(crate) fn read(&mut self, from: u64, want: usize, out: &mut Vec<u8>) -> io::Result<Ended> {
        match self {
            Self::Plain(file) => {
                out.resize(want, 0);
                let length = read_at(file, out, from)?;
                out.truncate(length);
                Ok(if length < want { Ended::ForNow } else { Ended::No })
            }
            Self::Gzip(gzip) => gzip.read(from, want, out),
        }
    }

    /// How many bytes there are, counting no further than `most`; for compressed content this reads them.
    pub(crate) fn reach(&mut self, most: u64) -> io::Result<(u64, Ended)> {
        match self {
            Self::Plain(file) => {
                let length = file.metadata()?.len();
                Ok(if length < most { (length, Ended::ForNow) } else { (most, Ended::No) })
            }
            Self::Gzip(gzip) => {
                let mut last = Vec::new();
                let ended = gzip.read(most.saturating_sub(1), 1, &mut last)?;
                let there = if last.is_empty() { gzip.window_start + gzip.window.len() as u64 } else { most };
                Ok((there.min(most), ended))
            }
        }
    }

    /// The up to [`TAIL_BYTES`] bytes before `end`.
    pub(crate) fn before(&mut self, end: u64) -> io::Result<Vec<u8>> {
        let length = end.min(TAIL_BYTES as u64);
        let mut out = Vec::new();
        self.read(end - length, length as usize, &mut out)?;
        Ok(out)
    }

    /// The first kilobyte.
    pub(crate) fn head(&mut self) -> io::Result<Vec<u8>> {
        match self {
            Self::Gzip(gzip) if gzip.head.len() == HEAD_BYTES => Ok(gzip.head.clone()),
            _ => {
                let mut head = Vec::new();
                self.read(0, HEAD_BYTES, &mut head)?;
                Ok(head)
            }
        }
    }
}

fn read_at(file: &File, out: &mut [u8], from: u64) -> io::Result<usize> {
    let mut length = 0;
    while let Some(rest) = out.get_mut(length..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, from + length as u64) {
            Ok(0) => break,
            Ok(more) => length += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

/// A gzip file that is read forwards; going back begins it anew.
#[derive(Debug)]
pub(crate) struct Gzip {
    file: File,
    members: Members,
    /// Decompressed bytes that may be asked for again, and where they begin.
    window: Vec<u8>,
    window_start: u64,
    /// The first kilobyte, as far as it was seen.
    head: Vec<u8>,
    ended: Ended,
    /// A member was read to its end: whatever follows need not be one.
    whole_member: bool,
}

/// Where the reading is: in a member, or between two.
#[derive(Debug)]
enum Members {
    Between(BufReader<Cursor>),
    In(GzDecoder<BufReader<Cursor>>),
    Gone,
}

/// A place in a file that others read too.
#[derive(Debug)]
struct Cursor {
    file: Option<File>,
    at: u64,
}

impl Read for Cursor {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let Some(file) = &self.file else { return Ok(0) };
        let length = file.read_at(out, self.at)?;
        self.at += length as u64;
        Ok(length)
    }
}

impl Gzip {
    fn new(file: File) -> Self {
        let (window, head) = (Vec::new(), Vec::new());
        let ended = Ended::ForNow;
        Self { file, members: Members::Gone, window, window_start: 0, head, ended, whole_member: false }
    }

    fn rewind(&mut self) -> io::Result<()> {
        let cursor = Cursor { file: Some(self.file.try_clone()?), at: 0 };
        self.members = Members::Between(BufReader::with_capacity(GZIP_READ_BYTES, cursor));
        self.window.clear();
        self.window_start = 0;
        self.ended = Ended::No;
        self.whole_member = false;
        Ok(())
    }

    fn read(&mut self, from: u64, want: usize, out: &mut Vec<u8>) -> io::Result<Ended> {
        // After an unexpected end the decoder can't go on, even when more was written since.
        if from < self.window_start || self.ended == Ended::ForNow {
            self.rewind()?;
        }
        let mut ended = Ended::No;
        loop {
            let skip = usize::try_from(from - self.window_start).unwrap_or(usize::MAX).min(self.window.len());
            self.window.drain(..skip);
            self.window_start += skip as u64;
            if self.window_start == from && self.window.len() >= want {
                break;
            }
            if self.ended != Ended::No {
                ended = self.ended;
                break;
            }
            self.more()?;
        }
        out.clear();
        if self.window_start == from {
            out.extend(self.window.iter().take(want));
        }
        Ok(if out.len() < self.window.len() { Ended::No } else { ended })
    }

    /// Decompresses some more bytes, or finds the end.
    fn more(&mut self) -> io::Result<()> {
        match std::mem::replace(&mut self.members, Members::Gone) {
            Members::Gone => self.ended = Ended::ForNow,
            Members::Between(mut reader) => {
                let ahead = reader.fill_buf()?;
                if ahead.starts_with(&GZIP_MAGIC) || ahead == &GZIP_MAGIC[..1] {
                    self.members = Members::In(GzDecoder::new(reader));
                } else if !self.whole_member {
                    return Err(io::Error::new(io::ErrorKind::InvalidData, "not compressed by gzip"));
                } else {
                    // Zeros after the last member come from tapes and block devices; gzip(1) ignores whatever follows.
                    self.ended = Ended::ForGood;
                }
            }
            Members::In(mut decoder) => {
                let before = self.window.len();
                self.window.resize(before + GZIP_READ_BYTES, 0);
                let read = decoder.read(self.window.get_mut(before..).unwrap_or_default());
                self.window.truncate(before + read.as_ref().copied().unwrap_or(0));
                match read {
                    Ok(0) => {
                        self.whole_member = true;
                        self.members = Members::Between(decoder.into_inner());
                    }
                    Ok(_) => self.members = Members::In(decoder),
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => self.ended = Ended::ForNow,
                    Err(error) => {
                        self.ended = Ended::ForNow;
                        return Err(error);
                    }
                }
                if self.window_start == 0 && self.head.len() < HEAD_BYTES {
                    self.head = self.window.get(..HEAD_BYTES).unwrap_or(&self.window).to_vec();
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn opened(path: &Path) -> Content {
        Content::new(open(path).unwrap().0, path).unwrap().unwrap()
    }

    fn text() -> Vec<u8> {
        (0..40_000).flat_map(|number| format!("line {number}\n").into_bytes()).collect()
    }

    #[test]
    fn a_compressed_file_reads_like_the_plain_one() {
        let folder = tempfile::tempdir().unwrap();
        let text = text();
        let (plain, packed) = (folder.path().join("a"), folder.path().join("a.gz"));
        std::fs::write(&plain, &text).unwrap();
        let half = text.len() / 2;
        std::fs::write(&packed, [gzip(&text[..half]), gzip(&text[half..]), vec![0; 512]].concat()).unwrap();
        let (mut plain, mut packed) = (opened(&plain), opened(&packed));
        assert!(packed.is_gzip() && !plain.is_gzip());
        let (mut one, mut other) = (Vec::new(), Vec::new());
        for from in [0, 5, 100_000, 90_000, half as u64 - 10, 0, text.len() as u64 - 7, text.len() as u64 + 5] {
            plain.read(from, 1000, &mut one).unwrap();
            let ended = packed.read(from, 1000, &mut other).unwrap();
            assert!(one == other, "{from}");
            assert_eq!(ended == Ended::ForGood, from + 1000 >= text.len() as u64, "{from}");
        }
        assert_eq!(plain.head().unwrap(), packed.head().unwrap());
    }

    #[test]
    fn a_torn_file_yields_what_is_there_and_is_not_complete() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.gz");
        let (text, packed) = (text(), gzip(&text()));
        let mut out = Vec::new();
        for length in [2, 9, 10, 11, 500, packed.len() / 2, packed.len() - 9, packed.len() - 1] {
            std::fs::write(&path, &packed[..length]).unwrap();
            let mut content = opened(&path);
            assert_eq!(content.read(0, text.len() + 1, &mut out).unwrap(), Ended::ForNow, "{length}");
            assert!(text.starts_with(&out), "{length}");
            std::fs::write(&path, &packed).unwrap();
            assert_eq!(content.read(0, text.len() + 1, &mut out).unwrap(), Ended::ForGood, "{length}");
            assert!(out == text);
        }
    }

    #[test]
    fn a_corrupt_file_is_an_error_and_not_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.gz");
        let mut packed = gzip(&text());
        let middle = packed.len() - 6;
        packed[middle] ^= 0xff;
        std::fs::write(&path, &packed).unwrap();
        let mut out = Vec::new();
        assert!(opened(&path).read(0, 10 << 20, &mut out).is_err());
        std::fs::write(&path, "plain text").unwrap();
        assert!(Content::new(open(&path).unwrap().0, &path).is_err());
        std::fs::write(&path, "").unwrap();
        assert!(Content::new(open(&path).unwrap().0, &path).unwrap().is_none());
    }

    #[test]
    fn what_is_no_regular_file_is_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &path,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
            0,
        )
        .unwrap();
        assert!(open(&path).is_err());
        assert!(open(folder.path()).is_err());
    }
}
