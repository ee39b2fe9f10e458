//! A split on disk: a folder named after its id, written once and never changed.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tantivy::directory::{Directory as _, RamDirectory, TerminatingWrite as _};
use tantivy::index::SegmentComponent;
use tantivy::store::Compressor;
use tantivy::{Index, IndexSettings};

use super::docstore::{self, SealedForm};
use super::manifest::{SplitFile, SplitMeta, checksum, sync_folder};
use super::paced::{PacedDirectory, Stop};
use super::part::{self, Label, Part};
use super::seqs::Seqs;

/// A split can't be written, or is not as it was written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SplitError {
    /// Reading or writing failed.
    #[error("{}: {source}", folder.display())]
    Io { folder: PathBuf, source: io::Error },
    /// The index in it can't be written or read.
    #[error("{}: {source}", folder.display())]
    Index { folder: PathBuf, source: tantivy::TantivyError },
    /// A file has changed since it was written.
    #[error("{}: {file} is not as it was written", folder.display())]
    Damaged { folder: PathBuf, file: String },
}

/// The folder of a split.
pub(crate) fn folder_of(splits: &Path, id: u64) -> PathBuf {
    splits.join(format!("{id:016x}"))
}

/// The id that a folder's name stands for.
pub(crate) fn id_of(name: &str) -> Option<u64> {
    (name.len() == 16).then(|| u64::from_str_radix(name, 16).ok()).flatten()
}

/// How a split is written.
#[derive(Clone, Debug)]
pub(super) struct Form {
    /// `None` for a hot split, which is soon merged again.
    pub(super) sealed: Option<SealedForm>,
    /// Writing fails once this says so.
    pub(super) stop: Stop,
    /// When the last of its events came, milliseconds since 1970.
    pub(super) arrived_ms: i64,
}

impl Form {
    /// Of what goes from memory to disk now, also while the store is being stopped.
    pub(super) fn hot() -> Self {
        Self { sealed: None, stop: Stop::default(), arrived_ms: super::now_ms() }
    }
}

/// Merges parts into a new split that is wholly on disk when this returns.
///
/// # Errors
/// When it can't be written; what was written is removed again.
pub(super) fn write(splits: &Path, id: u64, parts: &[Arc<Part>], form: &Form) -> Result<SplitMeta, SplitError> {
    let folder = folder_of(splits, id);
    let written = write_in(splits, &folder, id, parts, form);
    if written.is_err() {
        // What stays is removed at the next start: the manifest does not name it.
        let _ = std::fs::remove_dir_all(&folder);
    }
    written
}

fn write_in(splits: &Path, folder: &Path, id: u64, parts: &[Arc<Part>], form: &Form) -> Result<SplitMeta, SplitError> {
    let io = |source| SplitError::Io { folder: folder.to_owned(), source };
    let index = |source| SplitError::Index { folder: folder.to_owned(), source };
    if folder.exists() {
        // tantivy would silently write among what is there.
        std::fs::remove_dir_all(folder).map_err(io)?;
    }
    std::fs::create_dir_all(folder).map_err(io)?;
    let directory = PacedDirectory::open(folder, form.stop.clone()).map_err(index)?;
    directory.drop_store(form.sealed.is_some());
    let merged = match ready_made(parts, form) {
        Some(files) => copy(files, &directory).and_then(|()| Index::open(directory.clone())),
        None => part::merge(parts, settings(parts, form), directory.clone()),
    };
    let merged = merged.map_err(index)?;
    if let Some(form) = form.sealed {
        directory.drop_store(false);
        docstore::write(parts, &merged, form).map_err(index)?;
    }
    let docs = merged.searchable_segment_metas().map_err(index)?.iter().map(|meta| u64::from(meta.num_docs())).sum();
    seqs_in(&merged).map_err(index)?.write(folder).map_err(io)?;
    drop(merged);
    // Each file is synced by tantivy as it is closed; their names are left to us.
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(io)? {
        let entry = entry.map_err(io)?;
        let (crc32c, bytes) = checksum(&entry.path()).map_err(io)?;
        files.push(SplitFile { name: entry.file_name().to_string_lossy().into_owned(), bytes, crc32c });
    }
    files.sort_by(|one, other| one.name.cmp(&other.name));
    sync_folder(folder).and_then(|()| sync_folder(splits)).map_err(io)?;
    let time = part::time_of(parts);
    let bytes = files.iter().map(|file| file.bytes).sum();
    Ok(SplitMeta {
        id,
        docs,
        bytes,
        oldest_ns: *time.start(),
        newest_ns: *time.end(),
        files,
        deleted: Vec::new(),
        deleted_since_ms: None,
        gone: Vec::new(),
        sealed: form.sealed.is_some(),
        arrived_ms: form.arrived_ms,
        cold: None,
    })
}

/// Of a sealed split the merge's docstore is dropped. Where blocks of hot splits are stacked, that costs nothing; where
/// each event is written again, compressing it would be for nothing.
fn settings(parts: &[Arc<Part>], form: &Form) -> IndexSettings {
    let is_stacked = |part: &Arc<Part>| !part.sealed && part.deleted.is_empty() && !part.is_sorted();
    let mut settings = part::disk_settings();
    if form.sealed.is_some() && !parts.iter().all(is_stacked) {
        settings.docstore_compression = Compressor::None;
    }
    settings
}

/// What a segment of our schema may have; deletions are not among it, they are the manifest's.
const COMPONENTS: [SegmentComponent; 6] = [
    SegmentComponent::Postings,
    SegmentComponent::Positions,
    SegmentComponent::Terms,
    SegmentComponent::Store,
    SegmentComponent::FastFields,
    SegmentComponent::FieldNorms,
];

/// Copies a segment, a file at a time: tantivy's own way locks the source until all of it is on the disk, and whoever
/// deletes one of its documents waits, and with it the store.
fn copy(from: &RamDirectory, to: &PacedDirectory) -> tantivy::Result<()> {
    for segment in Index::open(from.clone())?.searchable_segment_metas()? {
        for component in COMPONENTS {
            let path = segment.relative_path(component);
            if from.exists(&path)? {
                let mut file = to.open_write(&path)?;
                file.write_all(&from.open_read(&path)?.read_bytes()?)?;
                file.terminate()?;
            }
        }
    }
    let meta = Path::new("meta.json");
    to.atomic_write(meta, &from.atomic_read(meta)?)?;
    Ok(())
}

/// The files of the only part, when they can lie on disk as they are.
fn ready_made<'p>(parts: &'p [Arc<Part>], form: &Form) -> Option<&'p RamDirectory> {
    let [only] = parts else { return None };
    only.ready_made.as_ref().filter(|_| form.sealed.is_none() && only.deleted.is_empty())
}

/// The numbers on the bus of the documents of a finished index.
fn seqs_in(index: &Index) -> tantivy::Result<Seqs> {
    let mut numbers = Vec::new();
    for segment in index.searchable_segments()? {
        let reader = tantivy::SegmentReader::open(&segment)?;
        let column = reader.fast_fields().u64("seq")?;
        numbers.extend((0..reader.max_doc()).filter_map(|document| column.first(document)));
    }
    Ok(Seqs::new(numbers))
}

/// Opens a split that the manifest names.
///
/// # Errors
/// When a file is missing, has another length, or can't be read.
pub(crate) fn open(splits: &Path, index: &Arc<str>, meta: &SplitMeta) -> Result<Part, SplitError> {
    let folder = folder_of(splits, meta.id);
    for file in &meta.files {
        let found = std::fs::metadata(folder.join(&file.name))
            .map_err(|source| SplitError::Io { folder: folder.clone(), source })?;
        if found.len() != file.bytes {
            return Err(SplitError::Damaged { folder, file: file.name.clone() });
        }
    }
    Part::on_disk(Label::of_split(index, meta), &folder, meta.bytes, meta.deleted.as_slice().into())
        .map_err(|source| SplitError::Index { folder, source })
}

/// Reads a whole split and compares it with what was written.
///
/// # Errors
/// When it differs or can't be read.
pub(crate) fn verify(splits: &Path, meta: &SplitMeta) -> Result<(), SplitError> {
    let folder = folder_of(splits, meta.id);
    for file in &meta.files {
        let (crc32c, bytes) =
            checksum(&folder.join(&file.name)).map_err(|source| SplitError::Io { folder: folder.clone(), source })?;
        if (crc32c, bytes) != (file.crc32c, file.bytes) {
            return Err(SplitError::Damaged { folder, file: file.name.clone() });
        }
    }
    Ok(())
}
