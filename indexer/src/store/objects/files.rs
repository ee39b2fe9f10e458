//! The files of a split as objects: pieces of bounded size, so that every request is short and nothing half is ever
//! left that a listing does not show.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::Path;

use super::{ObjectError, Objects};
use crate::store::manifest::{SplitFile, SplitMeta, sync_folder};

/// A request of some seconds on a slow line, and the memory that an upload takes.
pub(crate) const PIECE_BYTES: u64 = 16 << 20;

/// The name of a piece of a file.
pub(crate) fn piece_of(file: &str, number: u64) -> String {
    format!("{file}.{number}")
}

fn pieces(file: &SplitFile) -> u64 {
    file.bytes.div_ceil(PIECE_BYTES).max(1)
}

fn disk(path: &Path) -> impl FnOnce(std::io::Error) -> ObjectError {
    let path = path.to_owned();
    move |source| ObjectError::Disk { path, source }
}

/// Whether this is the name of a file and of nothing else: names come from descriptions that somebody may have made.
fn is_plain(name: &str) -> bool {
    Path::new(name).file_name().is_some_and(|plain| plain == name)
}

/// Writes the files of a split's folder under a name, compares each with what the manifest says, and then reads all
/// of it back.
///
/// # Errors
/// When a file has changed, or the object store refuses.
pub(crate) fn upload_split(
    objects: &Objects,
    name: &str,
    folder: &Path,
    split: &SplitMeta,
    go_on: &dyn Fn() -> bool,
) -> Result<u64, ObjectError> {
    for file in &split.files {
        upload_file(objects, name, &folder.join(&file.name), file, go_on)?;
    }
    for file in &split.files {
        verify_file(objects, name, file, go_on)?;
    }
    Ok(split.files.iter().map(|file| file.bytes).sum())
}

fn upload_file(
    objects: &Objects,
    name: &str,
    path: &Path,
    file: &SplitFile,
    go_on: &dyn Fn() -> bool,
) -> Result<(), ObjectError> {
    let damaged = || ObjectError::Damaged(path.display().to_string());
    let mut source = File::open(path).map_err(disk(path))?;
    let (mut crc, mut length) = (0, 0u64);
    for number in 0..pieces(file) {
        if !go_on() {
            return Err(ObjectError::Cancelled);
        }
        let mut piece = Vec::new();
        (&mut source).take(PIECE_BYTES).read_to_end(&mut piece).map_err(disk(path))?;
        crc = crc32c::crc32c_append(crc, &piece);
        length += piece.len() as u64;
        objects.put(&format!("{name}/{}", piece_of(&file.name, number)), piece.into(), go_on)?;
        crate::store::failpoint::hit("objects.between_pieces");
    }
    if (crc, length) == (file.crc32c, file.bytes) { Ok(()) } else { Err(damaged()) }
}

/// Reads a file, piece by piece, and compares it with what was written.
fn read_file(
    objects: &Objects,
    name: &str,
    file: &SplitFile,
    go_on: &dyn Fn() -> bool,
    take: &mut dyn FnMut(&[u8]) -> Result<(), ObjectError>,
) -> Result<(), ObjectError> {
    let damaged = || ObjectError::Damaged(objects.shown(&format!("{name}/{}", file.name)));
    let (mut crc, mut length) = (0, 0u64);
    for number in 0..pieces(file) {
        if !go_on() {
            return Err(ObjectError::Cancelled);
        }
        let piece = objects.get(&format!("{name}/{}", piece_of(&file.name, number)), PIECE_BYTES)?;
        crc = crc32c::crc32c_append(crc, &piece);
        length += piece.len() as u64;
        take(&piece)?;
    }
    if (crc, length) == (file.crc32c, file.bytes) { Ok(()) } else { Err(damaged()) }
}

/// Reads a file and compares it with what was written.
///
/// # Errors
/// When it has changed, is not there, or can't be read.
pub(crate) fn verify_file(
    objects: &Objects,
    name: &str,
    file: &SplitFile,
    go_on: &dyn Fn() -> bool,
) -> Result<(), ObjectError> {
    read_file(objects, name, file, go_on, &mut |_| Ok(()))
}

/// Fetches the files of a split into a folder that is there whole and durably, or not at all.
///
/// # Errors
/// When a file has changed, the object store is away, or the disk refuses.
pub(crate) fn fetch_split(
    objects: &Objects,
    name: &str,
    split: &SplitMeta,
    to: &Path,
    go_on: &dyn Fn() -> bool,
) -> Result<u64, ObjectError> {
    let parent = to.parent().unwrap_or(to);
    let new = parent.join(format!("{}.tmp", to.file_name().unwrap_or_default().to_string_lossy()));
    for old in [to, new.as_path()].into_iter().filter(|old| old.exists()) {
        std::fs::remove_dir_all(old).map_err(disk(old))?;
    }
    std::fs::create_dir_all(&new).map_err(disk(&new))?;
    let fetched = split.files.iter().try_for_each(|file| match is_plain(&file.name) {
        true => fetch_file(objects, name, file, &new.join(&file.name), go_on),
        false => Err(ObjectError::Damaged(file.name.clone())),
    });
    if let Err(error) = fetched {
        let _ = std::fs::remove_dir_all(&new);
        return Err(error);
    }
    sync_folder(&new).map_err(disk(&new))?;
    std::fs::rename(&new, to).map_err(disk(to))?;
    sync_folder(parent).map_err(disk(parent))?;
    Ok(split.files.iter().map(|file| file.bytes).sum())
}

/// Fetches one file.
pub(crate) fn fetch_file(
    objects: &Objects,
    name: &str,
    file: &SplitFile,
    to: &Path,
    go_on: &dyn Fn() -> bool,
) -> Result<(), ObjectError> {
    let mut target = File::create(to).map_err(disk(to))?;
    read_file(objects, name, file, go_on, &mut |piece| target.write_all(piece).map_err(disk(to)))?;
    target.sync_all().map_err(disk(to))
}

/// Whether all files of a split are there, as far as their lengths say.
///
/// # Errors
/// When the object store can't be asked.
pub(crate) fn holds_split(objects: &Objects, name: &str, split: &SplitMeta) -> Result<bool, ObjectError> {
    let there: std::collections::HashMap<String, u64> = objects.list(name)?.into_iter().collect();
    let is_there = |file: &SplitFile| {
        let piece = |number| there.get(&format!("{name}/{}", piece_of(&file.name, number)));
        let found: Option<u64> = (0..pieces(file)).map(piece).sum::<Option<u64>>();
        found == Some(file.bytes)
    };
    Ok(split.files.iter().all(is_there))
}

/// Removes everything under a split's name.
///
/// # Errors
/// When the object store refuses.
pub(crate) fn delete_split(objects: &Objects, name: &str) -> Result<(), ObjectError> {
    let names: Vec<String> = objects.list(name)?.into_iter().map(|(name, _)| name).collect();
    objects.delete(&names)
}
