//! A split that was written before the schema had its last field, read as if it had it: no event has a value there.
//! Splits of both kinds can then be merged.

use std::io;
use std::path::Path;
use std::sync::Arc;

use tantivy::directory::error::{DeleteError, OpenReadError, OpenWriteError};
use tantivy::directory::{FileHandle, WatchCallback, WatchHandle, WritePtr};
use tantivy::{Directory, Index};

use crate::schema::schema;

const META: &str = "meta.json";

/// The files of a split, with what it would say of itself today.
#[derive(Clone, Debug)]
pub(super) struct Earlier {
    inner: Box<dyn Directory>,
    meta: Arc<[u8]>,
}

impl Earlier {
    /// # Errors
    /// When the split does not say what it is.
    pub(super) fn new(inner: Box<dyn Directory>, index: &Index) -> tantivy::Result<Self> {
        let mut meta = index.load_metas()?;
        meta.schema = schema().0.clone();
        let meta = serde_json::to_vec(&meta).map_err(io::Error::from)?;
        Ok(Self { inner, meta: meta.into() })
    }
}

impl Directory for Earlier {
    fn get_file_handle(&self, path: &Path) -> Result<Arc<dyn FileHandle>, OpenReadError> {
        self.inner.get_file_handle(path)
    }

    fn atomic_read(&self, path: &Path) -> Result<Vec<u8>, OpenReadError> {
        if path == Path::new(META) { Ok(self.meta.to_vec()) } else { self.inner.atomic_read(path) }
    }

    fn exists(&self, path: &Path) -> Result<bool, OpenReadError> {
        self.inner.exists(path)
    }

    fn delete(&self, path: &Path) -> Result<(), DeleteError> {
        self.inner.delete(path)
    }

    fn open_write(&self, path: &Path) -> Result<WritePtr, OpenWriteError> {
        self.inner.open_write(path)
    }

    fn atomic_write(&self, path: &Path, data: &[u8]) -> io::Result<()> {
        self.inner.atomic_write(path, data)
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.inner.sync_directory()
    }

    fn watch(&self, changed: WatchCallback) -> tantivy::Result<WatchHandle> {
        self.inner.watch(changed)
    }
}
