//! One growing log file and the ways in which such files are rotated in the wild.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::{Kind, Rotation};

/// How a file is rotated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Way {
    /// Copy to `.1` and truncate in place, instead of renaming and beginning a new file.
    copytruncate: bool,
    /// Compress `.1` when it becomes `.2`, as logrotate's delaycompress does.
    gzip: bool,
}

impl Way {
    const fn of(kind: Kind) -> Self {
        match kind {
            Kind::Nginx | Kind::Kv => Self { copytruncate: false, gzip: false },
            Kind::Java => Self { copytruncate: false, gzip: true },
            Kind::Json => Self { copytruncate: true, gzip: false },
            Kind::Syslog => Self { copytruncate: true, gzip: true },
        }
    }
}

/// A log file that rotates itself.
pub(crate) struct LogFile {
    path: PathBuf,
    file: File,
    size: u64,
    way: Way,
    rotation: Rotation,
}

impl LogFile {
    pub(crate) fn open(out: &Path, kind: Kind, rotation: &Rotation) -> io::Result<Self> {
        let path = out.join(kind.file());
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let file = append_to(&path)?;
        let size = file.metadata()?.len();
        Ok(Self { path, file, size, way: Way::of(kind), rotation: rotation.clone() })
    }

    /// Appends whole lines, rotating first when the file is full.
    pub(crate) fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        if self.rotation.size.0 > 0 && self.size >= self.rotation.size.0 {
            self.rotate()?;
        }
        self.file.write_all(lines)?;
        self.size += lines.len() as u64;
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        self.shift()?;
        let first = self.numbered(1, false);
        if self.way.copytruncate {
            std::fs::copy(&self.path, &first)?;
            self.file.set_len(0)?;
        } else {
            std::fs::rename(&self.path, &first)?;
            self.file = append_to(&self.path)?;
        }
        self.size = 0;
        Ok(())
    }

    /// Moves every rotated file up by one and drops the oldest.
    fn shift(&self) -> io::Result<()> {
        for number in (1..=self.rotation.keep).rev() {
            for compressed in [false, true] {
                let old = self.numbered(number, compressed);
                if !old.exists() {
                    continue;
                }
                if number == self.rotation.keep {
                    std::fs::remove_file(&old)?;
                    continue;
                }
                let new = self.numbered(number + 1, compressed);
                std::fs::rename(&old, &new)?;
                if self.way.gzip && !compressed {
                    compress(&new, &self.numbered(number + 1, true))?;
                }
            }
        }
        Ok(())
    }

    fn numbered(&self, number: u32, compressed: bool) -> PathBuf {
        let mut name = self.path.as_os_str().to_owned();
        name.push(format!(".{number}{}", if compressed { ".gz" } else { "" }));
        PathBuf::from(name)
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

/// As gzip(1) does: write the compressed file beside the plain one, then remove the plain one.
fn compress(plain: &Path, compressed: &Path) -> io::Result<()> {
    let mut encoder = flate2::write::GzEncoder::new(File::create(compressed)?, flate2::Compression::fast());
    io::copy(&mut File::open(plain)?, &mut encoder)?;
    encoder.finish()?;
    std::fs::remove_file(plain)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use logmill_core::config::ByteSize;

    use super::*;

    fn everything(folder: &Path) -> String {
        let mut all = String::new();
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let file = File::open(&path).unwrap();
            if path.extension().is_some_and(|end| end == "gz") {
                flate2::read::GzDecoder::new(file).read_to_string(&mut all).unwrap();
            } else {
                (&file).read_to_string(&mut all).unwrap();
            }
        }
        all
    }

    #[test]
    fn every_way_of_rotating_keeps_every_line_once() {
        for kind in Kind::ALL {
            let folder = tempfile::tempdir().unwrap();
            let rotation = Rotation { size: ByteSize(100), keep: 50 };
            let mut file = LogFile::open(folder.path(), kind, &rotation).unwrap();
            for number in 0..200 {
                file.append(format!("line {number}\n").as_bytes()).unwrap();
            }
            let text = everything(folder.path().join(kind.file()).parent().unwrap());
            let mut lines: Vec<_> = text.lines().collect();
            assert_eq!(lines.len(), 200, "{kind:?}");
            lines.sort_unstable();
            lines.dedup();
            assert_eq!(lines.len(), 200, "{kind:?}");
        }
    }

    #[test]
    fn no_more_files_are_kept_than_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = LogFile::open(folder.path(), Kind::Java, &Rotation { size: ByteSize(10), keep: 3 }).unwrap();
        for _ in 0..50 {
            file.append(b"0123456789\n").unwrap();
        }
        assert_eq!(std::fs::read_dir(folder.path().join("shop")).unwrap().count(), 4);
    }
}
