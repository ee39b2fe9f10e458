//! A repository on an object store, laid out as one in a folder: `splits/<index uuid>-<split>/` holds the files in
//! pieces, and `snapshots/<name>` is written when all of that is there.

use std::collections::BTreeSet;
use std::path::Path;

use bytes::Bytes;

use super::SnapshotError;
use crate::config::S3;
use crate::store::manifest::SplitMeta;
use crate::store::objects::{Bucket, ObjectError, Objects, delete_split, fetch_split, holds_split, upload_split};

/// What a snapshot of a thousand indexes is described in is a few MiB.
const DESCRIPTION_BYTES_MAX: u64 = 256 << 20;

/// The place that settings mean, when it may be used.
pub(super) fn allowed(access: &S3, bucket: &Bucket) -> Result<Bucket, SnapshotError> {
    bucket.check(access).map_err(|error| SnapshotError::Refused(error.to_string()))?;
    if bucket.base_path.split('/').any(|part| part == "..") {
        return Err(SnapshotError::Refused("[base_path] must be without [..]".to_owned()));
    }
    Ok(Bucket { base_path: bucket.base_path.trim_matches('/').to_owned(), ..bucket.clone() })
}

/// An opened repository.
pub(super) struct Remote(pub(super) Objects);

fn always() -> bool {
    true
}

fn folder_of(index_uuid: &str, split: u64) -> String {
    format!("splits/{index_uuid}-{split:016x}")
}

impl Remote {
    pub(super) fn prepare(&self) -> Result<(), SnapshotError> {
        let trial = format!("trial-{}.tmp", crate::store::uuid::uuid());
        self.0.put(&trial, Bytes::from_static(b"trial"), &always)?;
        Ok(self.0.delete(&[trial])?)
    }

    pub(super) fn names(&self) -> Result<Vec<String>, SnapshotError> {
        let listed = self.0.list("snapshots")?.into_iter();
        let mut names: Vec<String> =
            listed.filter_map(|(name, _)| Some(name.strip_prefix("snapshots/")?.to_owned())).collect();
        names.sort();
        Ok(names)
    }

    /// The bytes of a description; `None` when there is none.
    pub(super) fn read(&self, name: &str) -> Result<Option<Vec<u8>>, SnapshotError> {
        match self.0.get(&format!("snapshots/{name}"), DESCRIPTION_BYTES_MAX) {
            Ok(bytes) => Ok(Some(bytes.to_vec())),
            Err(ObjectError::Missing(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) fn describe(&self, name: &str, bytes: Vec<u8>) -> Result<(), SnapshotError> {
        crate::store::failpoint::hit("snapshot.before_description");
        Ok(self.0.put(&format!("snapshots/{name}"), bytes.into(), &always)?)
    }

    pub(super) fn remove_description(&self, name: &str) -> Result<(), SnapshotError> {
        Ok(self.0.delete(&[format!("snapshots/{name}")])?)
    }

    /// Removes the splits that `needed` does not name.
    pub(super) fn remove_others(&self, needed: &BTreeSet<String>) -> Result<(), SnapshotError> {
        let there = self.0.list("splits")?.into_iter();
        let gone: Vec<String> = there
            .filter(|(name, _)| name.split('/').nth(1).is_some_and(|split| !needed.contains(split)))
            .map(|(name, _)| name)
            .collect();
        Ok(self.0.delete(&gone)?)
    }

    pub(super) fn holds(&self, index_uuid: &str, split: &SplitMeta) -> Result<bool, SnapshotError> {
        Ok(holds_split(&self.0, &folder_of(index_uuid, split.id), split)?)
    }

    /// Whether there is anything under a split's name.
    pub(super) fn has_any(&self, index_uuid: &str, split: &SplitMeta) -> Result<bool, SnapshotError> {
        Ok(!self.0.list(&folder_of(index_uuid, split.id))?.is_empty())
    }

    pub(super) fn keep(
        &self,
        index_uuid: &str,
        split: &SplitMeta,
        from: &Path,
        go_on: &dyn Fn() -> bool,
    ) -> Result<u64, SnapshotError> {
        let name = folder_of(index_uuid, split.id);
        let kept = upload_split(&self.0, &name, from, split, go_on);
        if kept.is_err() {
            // What stays goes with the next deletion: no description names it.
            let _ = delete_split(&self.0, &name);
        }
        Ok(kept?)
    }

    pub(super) fn bring(
        &self,
        index_uuid: &str,
        split: &SplitMeta,
        to: &Path,
        go_on: &dyn Fn() -> bool,
    ) -> Result<u64, SnapshotError> {
        Ok(fetch_split(&self.0, &folder_of(index_uuid, split.id), split, to, go_on)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is described is whole: files are there before the description, and go after it.
    #[test]
    fn splits_are_kept_once_and_go_when_nobody_names_them() {
        let folder = tempfile::tempdir().unwrap();
        let (objects, faults) = crate::store::objects::tests::faulty(&folder.path().join("bucket"));
        let remote = Remote(objects);
        let from = folder.path().join("split");
        let split = crate::store::objects::tests::split(&from, &[3, 500]);
        remote.prepare().unwrap();
        assert!(!remote.holds("u", &split).unwrap());
        faults.fail_at.store(2, std::sync::atomic::Ordering::Relaxed);
        assert!(remote.keep("u", &split, &from, &|| true).is_err());
        assert_eq!(remote.keep("u", &split, &from, &|| true).unwrap(), 503);
        assert!(remote.holds("u", &split).unwrap() && !remote.holds("v", &split).unwrap());
        assert_eq!((remote.names().unwrap(), remote.read("one").unwrap()), (vec![], None));
        remote.describe("one", b"text".to_vec()).unwrap();
        assert_eq!(
            (remote.names().unwrap(), remote.read("one").unwrap()),
            (vec!["one".to_owned()], Some(b"text".to_vec()))
        );
        let to = folder.path().join("back");
        assert_eq!(remote.bring("u", &split, &to, &|| true).unwrap(), 503);
        assert_eq!(std::fs::read(to.join("file-1.x")).unwrap(), std::fs::read(from.join("file-1.x")).unwrap());
        remote.remove_others(&BTreeSet::from(["u-0000000000000001".to_owned()])).unwrap();
        assert!(remote.holds("u", &split).unwrap());
        remote.remove_description("one").unwrap();
        remote.remove_others(&BTreeSet::new()).unwrap();
        assert!(!remote.holds("u", &split).unwrap());
        assert_eq!(remote.0.list("").unwrap(), []);
    }

    #[test]
    fn requests_go_to_amazon_or_where_the_configuration_says() {
        let access = S3 { endpoint: Some("http://minio:9000".into()), ..S3::default() };
        let at = |endpoint: &str| {
            let bucket = Bucket { bucket: "logs".into(), endpoint: Some(endpoint.into()), ..Bucket::default() };
            allowed(&access, &bucket).is_ok()
        };
        assert!(at("http://minio:9000") && at("https://s3.eu-central-1.amazonaws.com"));
        for other in [
            "http://minio:9001",
            "http://169.254.169.254",
            "https://amazonaws.com.example.org",
            "https://x@amazonaws.com/",
            "http://s3.amazonaws.com",
            "s3",
        ] {
            assert!(!at(other), "{other}");
        }
        let up = Bucket { bucket: "logs".into(), base_path: "a/../b".into(), ..Bucket::default() };
        assert!(allowed(&access, &up).is_err());
    }
}
