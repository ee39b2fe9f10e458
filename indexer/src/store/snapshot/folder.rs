//! A repository in a folder, which may be a mounted one.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Component, Path, PathBuf};

use super::{SnapshotError, at};
use crate::store::manifest::{SplitMeta, sync_folder};

const COPY_BYTES: usize = 256 << 10;

/// The folder that a location means, when it may be used: below one of the allowed paths, without a way out of it.
pub(super) fn allowed(paths: &[PathBuf], location: &str) -> Result<PathBuf, SnapshotError> {
    let refused = |why: &str| SnapshotError::Refused(format!("location [{location}] {why}"));
    let first = paths.first().ok_or_else(|| {
        refused("doesn't match any of the locations specified by indexer.snapshots.paths because this setting is empty")
    })?;
    if location.is_empty() || Path::new(location).components().any(|part| part == Component::ParentDir) {
        return Err(refused("must name a folder, without [..]"));
    }
    let folder = if Path::new(location).is_absolute() { PathBuf::from(location) } else { first.join(location) };
    // What exists of it may be a link to elsewhere.
    let real = |path: &Path| {
        let there = path.ancestors().find_map(|above| Some((above, above.canonicalize().ok()?)));
        there.and_then(|(above, real)| Some(real.join(path.strip_prefix(above).ok()?)))
    };
    let is_below =
        |path: &PathBuf| real(path).zip(real(&folder)).is_some_and(|(path, folder)| folder.starts_with(path));
    if !paths.iter().any(is_below) {
        return Err(refused("doesn't match any of the locations specified by indexer.snapshots.paths"));
    }
    Ok(folder)
}

/// An opened repository.
pub(super) struct Folder(pub(super) PathBuf);

impl Folder {
    pub(super) fn prepare(&self) -> Result<(), SnapshotError> {
        for folder in [self.snapshots(), self.splits()] {
            std::fs::create_dir_all(&folder).map_err(at(&folder))?;
        }
        let trial = self.0.join("trial.tmp");
        std::fs::write(&trial, b"").and_then(|()| std::fs::remove_file(&trial)).map_err(at(&trial))
    }

    fn snapshots(&self) -> PathBuf {
        self.0.join("snapshots")
    }

    fn splits(&self) -> PathBuf {
        self.0.join("splits")
    }

    /// The names of what may be descriptions.
    pub(super) fn names(&self) -> Result<Vec<String>, SnapshotError> {
        let folder = self.snapshots();
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&folder).map_err(at(&folder))? {
            names.push(entry.map_err(at(&folder))?.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        Ok(names)
    }

    /// The bytes of a description; `None` when there is none.
    pub(super) fn read(&self, name: &str) -> Result<Option<Vec<u8>>, SnapshotError> {
        let path = self.snapshots().join(name);
        if !path.is_file() {
            return Ok(None);
        }
        std::fs::read(&path).map(Some).map_err(at(&path))
    }

    pub(super) fn describe(&self, name: &str, bytes: &[u8]) -> Result<(), SnapshotError> {
        let path = self.snapshots().join(name);
        // No name begins with a dot.
        let new = self.snapshots().join(format!(".{name}"));
        let mut file = File::create(&new).map_err(at(&new))?;
        file.write_all(bytes).and_then(|()| file.sync_all()).map_err(at(&new))?;
        sync_folder(&self.splits()).map_err(at(self.splits()))?;
        crate::store::failpoint::hit("snapshot.before_description");
        std::fs::rename(&new, &path).map_err(at(&path))?;
        sync_folder(&self.snapshots()).map_err(at(self.snapshots()))
    }

    pub(super) fn remove_description(&self, name: &str) -> Result<(), SnapshotError> {
        let path = self.snapshots().join(name);
        std::fs::remove_file(&path).map_err(at(&path))?;
        sync_folder(&self.snapshots()).map_err(at(self.snapshots()))
    }

    /// Removes the splits that `needed` does not name.
    pub(super) fn remove_others(&self, needed: &BTreeSet<String>) -> Result<(), SnapshotError> {
        let folder = self.splits();
        for entry in std::fs::read_dir(&folder).map_err(at(&folder))? {
            let entry = entry.map_err(at(&folder))?;
            if !needed.contains(&*entry.file_name().to_string_lossy()) {
                std::fs::remove_dir_all(entry.path()).map_err(at(entry.path()))?;
            }
        }
        Ok(())
    }

    fn split(&self, index_uuid: &str, split: &SplitMeta) -> PathBuf {
        self.splits().join(folder_name(index_uuid, split.id))
    }

    pub(super) fn holds(&self, index_uuid: &str, split: &SplitMeta) -> bool {
        is_there(&self.split(index_uuid, split), split)
    }

    /// Whether there is anything under a split's name.
    pub(super) fn has_any(&self, index_uuid: &str, split: &SplitMeta) -> bool {
        self.split(index_uuid, split).exists()
    }

    pub(super) fn keep(
        &self,
        index_uuid: &str,
        split: &SplitMeta,
        from: &Path,
        go_on: &dyn Fn() -> bool,
    ) -> Result<u64, SnapshotError> {
        let target = self.split(index_uuid, split);
        if target.exists() {
            std::fs::remove_dir_all(&target).map_err(at(&target))?;
        }
        copy_split(from, &target, split, go_on)
    }

    pub(super) fn bring(
        &self,
        index_uuid: &str,
        split: &SplitMeta,
        to: &Path,
        go_on: &dyn Fn() -> bool,
    ) -> Result<u64, SnapshotError> {
        copy_split(&self.split(index_uuid, split), to, split, go_on)
    }
}

/// Copies the files of a split into a folder that is there whole or not at all, comparing each with what was written.
/// Gives the bytes that were copied.
fn copy_split(from: &Path, to: &Path, split: &SplitMeta, go_on: &dyn Fn() -> bool) -> Result<u64, SnapshotError> {
    let parent = to.parent().unwrap_or(to);
    let name = to.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let new = parent.join(format!("{name}.tmp"));
    if new.exists() {
        std::fs::remove_dir_all(&new).map_err(at(&new))?;
    }
    std::fs::create_dir_all(&new).map_err(at(&new))?;
    let copied = split.files.iter().try_for_each(|file| {
        // Names come from a file that somebody may have made: none may lead elsewhere.
        let plain = Path::new(&file.name).file_name().is_some_and(|plain| plain == file.name.as_str());
        let source = from.join(&file.name);
        match plain {
            true => copy_file(&source, &new.join(&file.name), (file.crc32c, file.bytes), go_on),
            false => Err(SnapshotError::Damaged(source)),
        }
    });
    if let Err(error) = copied {
        let _ = std::fs::remove_dir_all(&new);
        return Err(error);
    }
    sync_folder(&new).map_err(at(&new))?;
    std::fs::rename(&new, to).map_err(at(to))?;
    sync_folder(parent).map_err(at(parent))?;
    Ok(split.files.iter().map(|file| file.bytes).sum())
}

fn copy_file(from: &Path, to: &Path, expected: (u32, u64), go_on: &dyn Fn() -> bool) -> Result<(), SnapshotError> {
    let mut source = File::open(from).map_err(at(from))?;
    let mut target = File::create(to).map_err(at(to))?;
    let (mut crc, mut length) = (0, 0u64);
    let mut buffer = vec![0; COPY_BYTES];
    loop {
        if !go_on() {
            return Err(SnapshotError::Cancelled);
        }
        let read = source.read(&mut buffer).map_err(at(from))?;
        let bytes = buffer.get(..read).unwrap_or_default();
        if bytes.is_empty() {
            break;
        }
        crc = crc32c::crc32c_append(crc, bytes);
        length += bytes.len() as u64;
        target.write_all(bytes).map_err(at(to))?;
    }
    if (crc, length) != expected {
        return Err(SnapshotError::Damaged(from.to_owned()));
    }
    target.sync_all().map_err(at(to))
}

/// Whether a split's folder holds its files, as far as their lengths say.
fn is_there(folder: &Path, split: &SplitMeta) -> bool {
    split
        .files
        .iter()
        .all(|file| std::fs::metadata(folder.join(&file.name)).is_ok_and(|found| found.len() == file.bytes))
}

/// What the folder of a split is called, and its name in a bucket.
pub(super) fn folder_name(index_uuid: &str, split: u64) -> String {
    format!("{index_uuid}-{split:016x}")
}
