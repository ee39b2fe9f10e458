//! Segment files: their names, a closed one, and how one with damage is cut into intact pieces.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use crate::aborted;
use crate::disk::{Disk, replace};
use crate::error::LogError;
use crate::index::{Index, Summary};
use crate::marker::Marker;
use crate::proven::Proven;
use crate::report::Quarantined;
use crate::scan::{Damage, scan};

const LOG: &str = "log";
const INDEX: &str = "index";
/// Copying goes through a buffer of this size.
const COPY_BYTES: usize = 1 << 20;

/// A segment that is no longer written; all of it is durable.
#[derive(Debug)]
pub(crate) struct Sealed {
    pub(crate) base_offset: i64,
    pub(crate) path: PathBuf,
    pub(crate) summary: Summary,
    /// Whether a list of aborted transactions lies beside it.
    pub(crate) has_aborted: bool,
    pub(crate) proven: Arc<Proven>,
    pub(crate) open: OpenFile,
}

/// The file of a closed segment, open while anybody reads it: a crowd of readers takes one descriptor, nobody none.
#[derive(Debug, Default)]
pub(crate) struct OpenFile(Mutex<Weak<File>>);

impl Sealed {
    pub(crate) fn file(&self) -> io::Result<Arc<File>> {
        let mut open = self.open.0.lock();
        if let Some(file) = open.upgrade() {
            return Ok(file);
        }
        let file = Arc::new(File::open(&self.path)?);
        *open = Arc::downgrade(&file);
        Ok(file)
    }
}

pub(crate) fn log_path(dir: &Path, base_offset: i64) -> PathBuf {
    // Twenty digits, as Kafka names them, so that names sort as offsets do.
    dir.join(format!("{base_offset:020}.{LOG}"))
}

pub(crate) fn index_path(dir: &Path, base_offset: i64) -> PathBuf {
    dir.join(format!("{base_offset:020}.{INDEX}"))
}

/// Base offsets of the segments in a directory, ascending. Files left by an unfinished write are removed.
pub(crate) fn list(dir: &Path) -> Result<Vec<i64>, LogError> {
    let failed = |source| LogError::Io { action: "list", path: dir.to_owned(), source };
    let mut bases = Vec::new();
    for entry in fs::read_dir(dir).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("tmp") => {
                fs::remove_file(&path).map_err(|source| LogError::Io { action: "remove", path, source })?;
            }
            Some(LOG) => {
                let stem = path.file_stem().and_then(|stem| stem.to_str()).filter(|stem| stem.len() == 20);
                bases.extend(stem.and_then(|stem| stem.parse::<i64>().ok()).filter(|base| *base >= 0));
            }
            _ => {}
        }
    }
    bases.sort_unstable();
    Ok(bases)
}

pub(crate) fn open(path: &Path) -> Result<File, LogError> {
    let file = File::options().read(true).write(true).open(path);
    file.map_err(|source| LogError::Io { action: "open", path: path.to_owned(), source })
}

/// Creates an empty segment; its name is durable on return.
pub(crate) fn create(disk: &dyn Disk, dir: &Path, base_offset: i64) -> io::Result<(PathBuf, File)> {
    let path = log_path(dir, base_offset);
    // An empty file of this name may be left of an attempt that failed after creating it.
    let file = File::options().read(true).write(true).create(true).truncate(false).open(&path)?;
    if file.metadata()?.len() > 0 {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "a segment of that offset is there and not empty"));
    }
    disk.sync_dir(dir)?;
    Ok((path, file))
}

pub(crate) fn write_index(disk: &dyn Disk, dir: &Path, index: &Index) -> io::Result<()> {
    replace(disk, &index_path(dir, index.base_offset()), &index.encode())
}

/// Takes a segment and its index away; its absence is durable after the next sync of the directory.
pub(crate) fn remove(dir: &Path, base_offset: i64) -> Result<(), LogError> {
    for path in [log_path(dir, base_offset), index_path(dir, base_offset), aborted::path(dir, base_offset)] {
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(LogError::Io { action: "remove", path, source });
            }
            _ => {}
        }
    }
    Ok(())
}

/// Replaces a segment that has damage by its intact pieces, each a segment of its own (so that within a segment
/// offsets never leave a gap), and keeps the original aside. `end` is where its last intact batch ends.
/// Interrupted at any point, the next recovery finds the damage again and starts over.
pub(crate) fn cut_out(
    disk: &dyn Disk,
    dir: &Path,
    base_offset: i64,
    damage: &[Damage],
    end: u64,
) -> Result<Vec<Quarantined>, LogError> {
    let path = log_path(dir, base_offset);
    let failed = |source| LogError::Io { action: "quarantine damage of", path: path.clone(), source };
    let kept_as = keep_aside(&path).map_err(failed)?;
    let file = File::open(&path).map_err(failed)?;
    let mut pieces = Vec::with_capacity(damage.len() + 1);
    let (mut from, mut base) = (0, base_offset);
    for gap in damage {
        pieces.push((base, from, gap.from));
        (from, base) = (gap.to, gap.to_offset);
    }
    pieces.push((base, from, end));
    pieces.retain(|(_, from, to)| from < to);
    // The piece that takes the original's name comes last.
    for (base, from, to) in pieces.iter().rev() {
        copy(disk, &file, *from..*to, &log_path(dir, *base)).map_err(failed)?;
    }
    if let Err(error) = aborted::hand_over(disk, dir, base_offset, pieces.last().map(|(base, _, _)| *base)) {
        tracing::error!(
            segment = %path.display(), %error,
            "the aborted transactions of a damaged segment are not known: their records may be read as committed"
        );
    }
    if pieces.first().is_none_or(|(base, _, _)| *base != base_offset) {
        remove(dir, base_offset)?;
    }
    disk.sync_dir(dir).map_err(failed)?;
    let report = |gap: &Damage| Quarantined {
        kept_as: kept_as.clone(),
        position: gap.from,
        bytes: gap.to - gap.from,
        from_offset: gap.from_offset,
        to_offset: gap.to_offset,
    };
    Ok(damage.iter().map(report).collect())
}

fn keep_aside(path: &Path) -> io::Result<PathBuf> {
    let mut number = 0;
    loop {
        let kept_as = path.with_extension(format!("quarantined-{number}"));
        match fs::hard_link(path, &kept_as) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
            linked => return linked.map(|()| kept_as),
        }
    }
}

fn copy(disk: &dyn Disk, from: &File, range: std::ops::Range<u64>, to: &Path) -> io::Result<()> {
    let temporary = to.with_extension("tmp");
    let file = File::create(&temporary)?;
    let mut buffer = vec![0; COPY_BYTES];
    let mut position = range.start;
    while position < range.end {
        let bytes = (COPY_BYTES as u64).min(range.end - position) as usize;
        let chunk = buffer.get_mut(..bytes).unwrap_or_default();
        from.read_exact_at(chunk, position)?;
        disk.write_all_at(&file, chunk, position - range.start)?;
        position += bytes as u64;
    }
    disk.sync(&file)?;
    fs::rename(&temporary, to)
}

/// Checks a closed segment from its first byte to its last and makes its index anew.
/// Damage is taken out; then the segment may be gone or several, and the directory must be listed again.
pub(crate) fn check_sealed(
    disk: &dyn Disk,
    dir: &Path,
    base_offset: i64,
    interval_bytes: u32,
    on_batch: impl FnMut(&crate::batch::BatchHeader, Option<Marker>),
) -> Result<Checked, LogError> {
    let path = log_path(dir, base_offset);
    let failed = |source| LogError::Io { action: "check", path: path.clone(), source };
    let file = open(&path)?;
    let mut index = Index::new(base_offset, interval_bytes);
    let found = scan(&file, &mut index, false, on_batch).map_err(failed)?;
    if !found.damage.is_empty() {
        return Ok(Checked::Damaged(cut_out(disk, dir, base_offset, &found.damage, found.end)?));
    }
    if file.metadata().map_err(failed)?.len() > found.end {
        // Reserved zeros, left when a crash came between sealing and cutting.
        disk.truncate(&file, found.end).and_then(|()| disk.sync(&file)).map_err(failed)?;
    }
    write_index(disk, dir, &index).map_err(failed)?;
    let has_aborted = aborted::path(dir, base_offset).exists();
    let proven = Arc::new(Proven::whole());
    let sealed =
        Sealed { base_offset, path, summary: *index.summary(), has_aborted, proven, open: OpenFile::default() };
    Ok(Checked::Intact { sealed, bytes: found.bytes })
}

/// The outcome of [`check_sealed`].
pub(crate) enum Checked {
    Intact { sealed: Sealed, bytes: u64 },
    Damaged(Vec<Quarantined>),
}
