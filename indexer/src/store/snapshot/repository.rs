//! A folder of snapshots: `splits/<index uuid>-<split>/` holds the files of splits, written once; `snapshots/<name>`
//! says what belongs to a snapshot, and is written when all of that is there.
//!
//! A description = `LMSNAP\0\1`, JSON, crc32c of all before. Whatever no description names is what a killed process
//! left, and goes with the next deletion.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{SnapshotError, at};
use crate::store::manifest::{IndexMeta, SplitMeta, sync_folder};

const MAGIC: &[u8; 8] = b"LMSNAP\0\x01";
/// Elasticsearch's bound for names of files.
const NAME_BYTES_MAX: usize = 200;
const COPY_BYTES: usize = 256 << 10;

/// Where snapshots are.
#[derive(Clone, Debug)]
pub(crate) struct Repository {
    pub(crate) name: String,
    pub(crate) location: PathBuf,
}

/// What a snapshot is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Described {
    pub(crate) name: String,
    pub(crate) uuid: String,
    pub(crate) started_ms: i64,
    pub(crate) ended_ms: i64,
    /// The program that made it.
    pub(crate) program: String,
    /// What the client wants to be remembered with it.
    #[serde(default)]
    pub(crate) metadata: serde_json::Value,
    pub(crate) indexes: BTreeMap<String, IndexMeta>,
}

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

impl Repository {
    /// Makes the folders, and shows that they can be written to.
    pub(super) fn prepare(&self) -> Result<(), SnapshotError> {
        for folder in [self.snapshots(), self.splits()] {
            std::fs::create_dir_all(&folder).map_err(at(&folder))?;
        }
        let trial = self.location.join("trial.tmp");
        std::fs::write(&trial, b"").and_then(|()| std::fs::remove_file(&trial)).map_err(at(&trial))
    }

    fn snapshots(&self) -> PathBuf {
        self.location.join("snapshots")
    }

    fn splits(&self) -> PathBuf {
        self.location.join("splits")
    }

    /// Where a split of an index is kept.
    pub(super) fn split(&self, index_uuid: &str, split: u64) -> PathBuf {
        self.splits().join(folder_name(index_uuid, split))
    }

    /// The names of all snapshots.
    pub(crate) fn names(&self) -> Result<Vec<String>, SnapshotError> {
        let folder = self.snapshots();
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&folder).map_err(at(&folder))? {
            let name = entry.map_err(at(&folder))?.file_name().to_string_lossy().into_owned();
            if is_name(&name) {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    /// Reads what a snapshot is.
    pub(crate) fn read(&self, name: &str) -> Result<Described, SnapshotError> {
        let missing = || SnapshotError::NoSnapshot { repository: self.name.clone(), snapshot: name.to_owned() };
        let path = self.snapshots().join(name);
        if !is_name(name) || !path.is_file() {
            return Err(missing());
        }
        let bytes = std::fs::read(&path).map_err(at(&path))?;
        decode(&bytes).ok_or(SnapshotError::Damaged(path))
    }

    /// Whether there is a snapshot of this name; and refuses names that are none.
    pub(super) fn has(&self, name: &str) -> Result<bool, SnapshotError> {
        if !is_name(name) {
            return Err(SnapshotError::Refused(format!(
                "Invalid snapshot name [{name}]: lower case letters, digits, - _ . only, not beginning with - _ or ."
            )));
        }
        Ok(self.snapshots().join(name).exists())
    }

    /// Makes a snapshot one: durable, and only now visible.
    pub(super) fn describe(&self, described: &Described) -> Result<(), SnapshotError> {
        let path = self.snapshots().join(&described.name);
        // No name begins with a dot.
        let new = self.snapshots().join(format!(".{}", described.name));
        let bytes = encode(described).map_err(at(&new))?;
        let mut file = File::create(&new).map_err(at(&new))?;
        file.write_all(&bytes).and_then(|()| file.sync_all()).map_err(at(&new))?;
        sync_folder(&self.splits()).map_err(at(self.splits()))?;
        crate::store::failpoint::hit("snapshot.before_description");
        std::fs::rename(&new, &path).map_err(at(&path))?;
        sync_folder(&self.snapshots()).map_err(at(self.snapshots()))
    }

    /// Removes a snapshot, then the splits that no other names.
    pub(super) fn delete(&self, name: &str) -> Result<(), SnapshotError> {
        self.read(name).or_else(|error| match error {
            // What is damaged can be deleted all the same, and only deleted.
            SnapshotError::Damaged(_) => Ok(Described::default()),
            other => Err(other),
        })?;
        let mut needed = BTreeSet::new();
        for other in self.names()?.iter().filter(|other| *other != name) {
            // A description that can't be read names nobody knows what: then nothing of the splits goes.
            for meta in self.read(other)?.indexes.values() {
                needed.extend(meta.splits.keys().map(|split| folder_name(&meta.uuid, *split)));
            }
        }
        let path = self.snapshots().join(name);
        std::fs::remove_file(&path).map_err(at(&path))?;
        sync_folder(&self.snapshots()).map_err(at(self.snapshots()))?;
        let folder = self.splits();
        for entry in std::fs::read_dir(&folder).map_err(at(&folder))? {
            let entry = entry.map_err(at(&folder))?;
            if !needed.contains(&*entry.file_name().to_string_lossy()) {
                std::fs::remove_dir_all(entry.path()).map_err(at(entry.path()))?;
            }
        }
        Ok(())
    }
}

impl Default for Described {
    fn default() -> Self {
        Self {
            name: String::new(),
            uuid: String::new(),
            started_ms: 0,
            ended_ms: 0,
            program: String::new(),
            metadata: serde_json::Value::Null,
            indexes: BTreeMap::new(),
        }
    }
}

fn folder_name(index_uuid: &str, split: u64) -> String {
    format!("{index_uuid}-{split:016x}")
}

fn is_name(name: &str) -> bool {
    let plain = |letter: char| matches!(letter, 'a'..='z' | '0'..='9' | '-' | '_' | '.');
    !name.is_empty() && name.len() <= NAME_BYTES_MAX && name.chars().all(plain) && !name.starts_with(['-', '_', '.'])
}

fn encode(described: &Described) -> std::io::Result<Vec<u8>> {
    let mut bytes = MAGIC.to_vec();
    serde_json::to_writer(&mut bytes, described)?;
    bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
    Ok(bytes)
}

fn decode(bytes: &[u8]) -> Option<Described> {
    let (body, crc) = bytes.split_last_chunk::<4>()?;
    let whole = crc32c::crc32c(body) == u32::from_le_bytes(*crc);
    serde_json::from_slice(body.strip_prefix(MAGIC).filter(|_| whole)?).ok()
}

/// Copies the files of a split into a folder that is there whole or not at all, comparing each with what was written.
/// Gives the bytes that were copied.
pub(super) fn copy_split(
    from: &Path,
    to: &Path,
    split: &SplitMeta,
    go_on: &dyn Fn() -> bool,
) -> Result<u64, SnapshotError> {
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
pub(super) fn is_there(folder: &Path, split: &SplitMeta) -> bool {
    split
        .files
        .iter()
        .all(|file| std::fs::metadata(folder.join(&file.name)).is_ok_and(|found| found.len() == file.bytes))
}
