//! Snapshots: the splits of some indexes copied to a repository, each file once however many snapshots name it, and
//! last of all the file that makes the snapshot one. Whatever a killed process leaves is no snapshot.

mod bucket;
mod create;
mod folder;
mod repository;
mod restore;

use std::io;
use std::path::PathBuf;

#[cfg(test)]
use create::Created;
pub(crate) use repository::{Described, Repository};
#[cfg(test)]
use restore::Restored;

use super::manifest::{Edit, Location};
use super::objects::ObjectError;
use super::{SplitError, Store};

/// A snapshot could not be made, read or restored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SnapshotError {
    /// There is no repository of this name.
    #[error("[{0}] missing")]
    NoRepository(String),
    /// There is no snapshot of this name.
    #[error("[{repository}:{snapshot}] is missing")]
    NoSnapshot { repository: String, snapshot: String },
    /// There is one already.
    #[error("[{repository}:{snapshot}] Invalid snapshot name [{snapshot}], snapshot with the same name already exists")]
    Exists { repository: String, snapshot: String },
    /// What was asked for makes no sense.
    #[error("{0}")]
    Refused(String),
    /// Another one is at work.
    #[error("another snapshot or restore is at work; wait until it is done")]
    Busy,
    /// An index can't be restored.
    #[error(
        "cannot restore index [{0}] because an open index with same name already exists; delete it, or rename the restored one"
    )]
    InTheWay(String),
    /// A file of the repository, or of the store, is not as it was written.
    #[error("{0} is not as it was written")]
    Damaged(PathBuf),
    /// It was cancelled.
    #[error("it was cancelled")]
    Cancelled,
    /// Reading or writing failed.
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    /// The object store refuses.
    #[error(transparent)]
    Objects(#[from] ObjectError),
    /// A cold split can't be read.
    #[error("cold splits of the index [{0}] are on an object store, and `indexer.cold.url` does not say where")]
    Absent(String),
    /// The store refuses.
    #[error(transparent)]
    Flush(#[from] super::FlushError),
    /// A restored split can't be opened.
    #[error(transparent)]
    Split(#[from] SplitError),
}

/// Says where an operation failed.
fn at(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> SnapshotError {
    let path = path.into();
    move |source| SnapshotError::Io { path, source }
}

impl Store {
    /// The repositories by name.
    pub(crate) fn repositories(&self) -> Vec<Repository> {
        let manifest = self.manifest.lock();
        let known = manifest.state().repositories.iter();
        let repository = |(name, location): (&String, &Location)| Repository {
            name: name.clone(),
            location: location.clone(),
            access: self.config.s3.clone(),
        };
        known.map(repository).collect()
    }

    /// A repository.
    ///
    /// # Errors
    /// When there is none of this name.
    pub(crate) fn repository(&self, name: &str) -> Result<Repository, SnapshotError> {
        let found = self.repositories().into_iter().find(|repository| repository.name == name);
        found.ok_or_else(|| SnapshotError::NoRepository(name.to_owned()))
    }

    /// Registers a place as a repository, or puts it in the place of one. A folder is made, and must be below one of
    /// `indexer.snapshots.paths`; a bucket must be there.
    ///
    /// # Errors
    /// When it may not be used, or can't be written to.
    pub(crate) fn register_repository(&self, name: &str, location: &Location) -> Result<(), SnapshotError> {
        let location = match location {
            Location::Folder(path) => {
                Location::Folder(folder::allowed(&self.config.snapshots.paths, path)?.display().to_string())
            }
            Location::Bucket(bucket) => Location::Bucket(bucket::allowed(&self.config.s3, bucket)?),
        };
        let access = self.config.s3.clone();
        Repository { name: name.to_owned(), location: location.clone(), access }.prepare()?;
        self.keep_repository(name, Some(location))
    }

    /// Forgets a repository; its files stay.
    ///
    /// # Errors
    /// When there is none, or the manifest can't be written.
    pub(crate) fn forget_repository(&self, name: &str) -> Result<(), SnapshotError> {
        self.repository(name)?;
        self.keep_repository(name, None)
    }

    fn keep_repository(&self, name: &str, location: Option<Location>) -> Result<(), SnapshotError> {
        let edit = Edit::Repository { name: name.to_owned(), location };
        self.manifest.lock().append(&edit).map_err(at(&self.folder))
    }

    /// Removes a snapshot, and the files that no other one needs.
    ///
    /// # Errors
    /// When there is none of this name, or the disk refuses.
    pub(crate) fn delete_snapshot(&self, repository: &Repository, name: &str) -> Result<(), SnapshotError> {
        let _one = self.snapshots.try_lock().ok_or(SnapshotError::Busy)?;
        repository.delete(name)
    }
}

#[cfg(test)]
mod tests;
