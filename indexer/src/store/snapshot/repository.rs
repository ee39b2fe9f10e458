//! A repository of snapshots, in a folder or on an object store: `splits/<index uuid>-<split>/` holds the files of
//! splits, written once; `snapshots/<name>` says what belongs to a snapshot, and is written when all of that is there.
//!
//! A description = `LMSNAP\0\1`, JSON, crc32c of all before. Whatever no description names is what a killed process
//! left, and goes with the next deletion.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::bucket::Remote;
use super::folder::{Folder, folder_name};
use super::{SnapshotError, at};
use crate::config::S3;
use crate::store::manifest::{IndexMeta, Location, SplitMeta};
use crate::store::objects::Objects;

const MAGIC: &[u8; 8] = b"LMSNAP\0\x01";
/// Elasticsearch's bound for names of files.
const NAME_BYTES_MAX: usize = 200;

/// Where snapshots are.
#[derive(Clone, Debug)]
pub(crate) struct Repository {
    pub(crate) name: String,
    pub(crate) location: Location,
    /// How buckets are reached.
    pub(crate) access: S3,
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

/// A repository, opened.
enum Place {
    Folder(Folder),
    Bucket(Remote),
}

impl Repository {
    fn open(&self) -> Result<Place, SnapshotError> {
        Ok(match &self.location {
            Location::Folder(path) => Place::Folder(Folder(path.into())),
            Location::Bucket(bucket) => Place::Bucket(Remote(Objects::bucket(bucket, &self.access)?)),
        })
    }

    /// Gets it ready, and shows that it can be written to.
    pub(super) fn prepare(&self) -> Result<(), SnapshotError> {
        match self.open()? {
            Place::Folder(folder) => folder.prepare(),
            Place::Bucket(bucket) => bucket.prepare(),
        }
    }

    /// Whether a split of an index is there, as far as the lengths of its files say.
    pub(super) fn holds(&self, index_uuid: &str, split: &SplitMeta) -> Result<bool, SnapshotError> {
        match self.open()? {
            Place::Folder(folder) => Ok(folder.holds(index_uuid, split)),
            Place::Bucket(bucket) => bucket.holds(index_uuid, split),
        }
    }

    /// Refuses to write over files that a snapshot names: a store that was put back to an older state gives numbers
    /// again that it has given before.
    pub(super) fn check_free(&self, index_uuid: &str, split: &SplitMeta) -> Result<(), SnapshotError> {
        let has_any = match self.open()? {
            Place::Folder(folder) => folder.has_any(index_uuid, split),
            Place::Bucket(bucket) => bucket.has_any(index_uuid, split)?,
        };
        // Only then are all descriptions worth reading.
        let names = if has_any { self.names()? } else { Vec::new() };
        for name in names {
            let described = match self.read(&name) {
                Err(SnapshotError::Damaged(_)) => continue,
                read => read?,
            };
            let of_index = described.indexes.values().filter(|meta| *meta.uuid == *index_uuid);
            let mut known = of_index.filter_map(|meta| meta.splits.get(&split.id));
            if known.any(|known| known.files != split.files) {
                return Err(SnapshotError::Refused(format!(
                    "[{}:{name}] has other files under the name of one of the splits; use another repository",
                    self.name
                )));
            }
        }
        Ok(())
    }

    /// Copies a split here from its folder, comparing each file with what was written. Gives the bytes.
    pub(super) fn keep(
        &self,
        index_uuid: &str,
        split: &SplitMeta,
        from: &Path,
        go_on: &dyn Fn() -> bool,
    ) -> Result<u64, SnapshotError> {
        match self.open()? {
            Place::Folder(folder) => folder.keep(index_uuid, split, from, go_on),
            Place::Bucket(bucket) => bucket.keep(index_uuid, split, from, go_on),
        }
    }

    /// Copies a split from here into a folder, comparing each file with what was written. Gives the bytes.
    pub(super) fn bring(
        &self,
        index_uuid: &str,
        split: &SplitMeta,
        to: &Path,
        go_on: &dyn Fn() -> bool,
    ) -> Result<u64, SnapshotError> {
        match self.open()? {
            Place::Folder(folder) => folder.bring(index_uuid, split, to, go_on),
            Place::Bucket(bucket) => bucket.bring(index_uuid, split, to, go_on),
        }
    }

    /// The names of all snapshots.
    pub(crate) fn names(&self) -> Result<Vec<String>, SnapshotError> {
        let mut names = match self.open()? {
            Place::Folder(folder) => folder.names()?,
            Place::Bucket(bucket) => bucket.names()?,
        };
        names.retain(|name| is_name(name));
        Ok(names)
    }

    /// Reads what a snapshot is.
    pub(crate) fn read(&self, name: &str) -> Result<Described, SnapshotError> {
        let missing = || SnapshotError::NoSnapshot { repository: self.name.clone(), snapshot: name.to_owned() };
        if !is_name(name) {
            return Err(missing());
        }
        let bytes = match self.open()? {
            Place::Folder(folder) => folder.read(name)?,
            Place::Bucket(bucket) => bucket.read(name)?,
        };
        decode(&bytes.ok_or_else(missing)?).ok_or_else(|| SnapshotError::Damaged(Path::new("snapshots").join(name)))
    }

    /// Whether there is a snapshot of this name; and refuses names that are none.
    pub(super) fn has(&self, name: &str) -> Result<bool, SnapshotError> {
        if !is_name(name) {
            return Err(SnapshotError::Refused(format!(
                "Invalid snapshot name [{name}]: lower case letters, digits, - _ . only, not beginning with - _ or ."
            )));
        }
        Ok(self.names()?.iter().any(|known| known == name))
    }

    /// Makes a snapshot one: durable, and only now visible.
    pub(super) fn describe(&self, described: &Described) -> Result<(), SnapshotError> {
        let bytes = encode(described).map_err(at(&described.name))?;
        match self.open()? {
            Place::Folder(folder) => folder.describe(&described.name, &bytes),
            Place::Bucket(bucket) => bucket.describe(&described.name, bytes),
        }
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
        match self.open()? {
            Place::Folder(folder) => {
                folder.remove_description(name)?;
                folder.remove_others(&needed)
            }
            Place::Bucket(bucket) => {
                bucket.remove_description(name)?;
                bucket.remove_others(&needed)
            }
        }
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
