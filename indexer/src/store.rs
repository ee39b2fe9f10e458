//! The store: parts in memory and on disk, the manifest that says which count, and the views that searches get.
//!
//! Two locks, always taken in this order: `manifest` by whoever changes what is on disk, `changes` by whoever
//! changes the catalog. Searches take neither: they load the catalog, which is replaced as a whole.

mod amend;
pub(crate) mod building;
pub(crate) mod catalog;
pub(crate) mod cold;
pub(crate) mod directory;
mod docstore;
pub(crate) mod document;
mod earlier;
mod erase;
pub(crate) mod facts;
mod failpoint;
mod flush;
pub(crate) mod ids;
pub(crate) mod inventory;
pub(crate) mod manifest;
pub(crate) mod mapping;
mod merge;
pub(crate) mod names;
pub(crate) mod objects;
mod open;
pub(crate) mod order;
mod paced;
pub(crate) mod part;
mod pending;
mod plan;
pub(crate) mod progress;
mod publish;
mod quarantine;
pub(crate) mod registry;
mod repair;
mod retention;
pub(crate) mod seal;
mod seqs;
pub(crate) mod settings;
pub(crate) mod snapshot;
pub(crate) mod source;
mod split;
mod synthetic;
#[cfg(test)]
pub(crate) mod testing;
pub(crate) mod upkeep;
mod uuid;
pub(crate) mod view;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use logmill_bus_client::Position;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::watch;

use crate::config::Config;
pub(crate) use amend::IndexFacts;
pub(crate) use catalog::WriteTarget;
use catalog::{Catalog, IndexState};
use cold::ColdStore;
pub(crate) use erase::Doomed;
pub(crate) use flush::FlushError;
use manifest::{Edit, IndexMeta, Manifest, MarkMeta};
pub(crate) use names::{Expand, NoSuchIndex};
pub(crate) use open::OpenError;
use order::Order;
pub(crate) use part::Part;
use part::{PartId, Place};
use pending::Pending;
use progress::Progress;
pub(crate) use publish::Batch;
use registry::Mapping;
pub(crate) use repair::{Damage, Rebuilt};
pub(crate) use retention::REMEMBERED_DAYS;
pub(crate) use split::SplitError;
pub(crate) use view::{Freshness, IndexSummary, View};

/// Documents and where they are.
pub(crate) struct Store {
    config: Config,
    folder: PathBuf,
    /// What searches see.
    catalog: ArcSwap<Catalog>,
    /// What is in memory only; taken by whoever changes the catalog.
    changes: Mutex<Pending>,
    /// Taken by whoever changes what is on disk.
    manifest: Mutex<Manifest>,
    /// Where cold splits are, where the configuration says it.
    cold: Option<ColdStore>,
    /// One flush at a time.
    flushing: Mutex<()>,
    /// One snapshot or restore at a time.
    snapshots: Mutex<()>,
    /// Held while parts in memory are merged, so that a flush never cuts through a merge.
    memory_merges: Mutex<()>,
    /// One split is sealed at a time: bounds the memory.
    sealing: Mutex<()>,
    /// How many requests to seal everything are at work: splits are not merged meanwhile.
    forced: AtomicU64,
    /// Set when merges on disk are to end without a result.
    stopping: Arc<AtomicBool>,
    /// Deleted splits that somebody still reads, and their bytes.
    leaving: Mutex<Vec<(Weak<()>, u64)>>,
    next_part: AtomicU64,
    hot_bytes: AtomicU64,
    /// Counts changes of what was said about indexes.
    epoch: AtomicU64,
    pub(crate) progress: watch::Sender<Progress>,
    /// No other process may use the folder.
    _lock: std::fs::File,
    #[cfg(test)]
    _folder: Option<tempfile::TempDir>,
    /// The next number that a test's document gets.
    #[cfg(test)]
    next_seq: AtomicU64,
}

/// Why an index was not made or removed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChangeError {
    /// There is one of this name.
    #[error("index [{0}] already exists")]
    Exists(String),
    /// There is an alias of this name.
    #[error("Invalid index name [{0}], already exists as alias")]
    IsAlias(String),
    /// What was asked for, or what templates say, is not possible.
    #[error(transparent)]
    Facts(directory::FactsError),
    /// There is none of this name.
    #[error(transparent)]
    Missing(#[from] NoSuchIndex),
    /// No index may be called so.
    #[error(
        "invalid index name [{0}]: lower case, no spaces, none of \\ / * ? \" < > | , # : and none of - _ + . in front"
    )]
    Name(String),
    /// The store has as many as it may.
    #[error("the store has {0} indexes already; delete some, or raise `indexer.indices_max`")]
    TooMany(usize),
    /// The manifest could not be written.
    #[error("can't write the manifest: {0}")]
    Disk(#[from] std::io::Error),
}

impl Store {
    /// The parts and types of the indexes that `expression` names (`a,b-*,-c`, `_all`), without parts that lie
    /// outside `time_ns`.
    ///
    /// # Errors
    /// When the expression names an index that does not exist.
    pub(crate) fn view(&self, expression: &str, time_ns: Option<&RangeInclusive<i64>>) -> Result<View, NoSuchIndex> {
        self.view_expanding(expression, Expand::All, time_ns)
    }

    /// As [`view`](Self::view), with wildcards that stand for some of the indexes only.
    ///
    /// # Errors
    /// When the expression names an index that does not exist.
    pub(crate) fn view_expanding(
        &self,
        expression: &str,
        expand: Expand,
        time_ns: Option<&RangeInclusive<i64>>,
    ) -> Result<View, NoSuchIndex> {
        self.catalog.load().view(expression, expand, time_ns)
    }

    /// What there is.
    pub(crate) fn indices(&self) -> Vec<IndexSummary> {
        self.catalog.load().summaries()
    }

    /// How far searches are behind the bus.
    pub(crate) fn freshness(&self) -> Freshness {
        self.progress.borrow().freshness(Timestamp::now())
    }

    /// How many records were seen on the bus from these offsets on.
    pub(crate) fn waiting(&self, next: &BTreeMap<i32, i64>) -> u64 {
        self.progress.borrow().waiting(next)
    }

    /// The partitions of the topic that are read.
    pub(crate) fn partitions(&self) -> BTreeSet<i32> {
        self.progress.borrow().partitions()
    }

    /// Waits until the records at these positions are searchable; false after `timeout`.
    pub(crate) async fn wait_visible(&self, positions: &[Position], timeout: Duration) -> bool {
        let mut progress = self.progress.subscribe();
        let shown = progress.wait_for(|progress| progress.shows(positions));
        tokio::time::timeout(timeout, shown).await.is_ok_and(|shown| shown.is_ok())
    }

    /// Removes an index and its documents. Documents on the bus that come later make it anew.
    ///
    /// # Errors
    /// When there is none of this name, or the disk refuses.
    pub(crate) async fn delete_index(self: &Arc<Self>, name: &str) -> Result<(), ChangeError> {
        let (store, name) = (self.clone(), name.to_owned());
        blocking(move || store.delete(&name)).await
    }

    fn delete(&self, name: &str) -> Result<(), ChangeError> {
        // Its documents in memory go to disk first, and with them the offsets: otherwise a crash would bring
        // them back from the bus. A full disk must not keep anyone from deleting, so a failure is only told.
        if let Err(error) = self.flush() {
            tracing::warn!(%error, index = name, "documents of an index to be deleted are not on disk yet");
        }
        let mut manifest = self.manifest.lock();
        if !self.catalog.load().indexes.contains_key(name) {
            return Err(NoSuchIndex(name.to_owned()).into());
        }
        let splits: Vec<u64> =
            manifest.state().indexes.get(name).map(|index| index.splits.keys().copied().collect()).unwrap_or_default();
        manifest.append(&Edit::Delete { index: name.into() })?;
        self.let_go(&splits);
        self.change(|catalog, _| drop(catalog.indexes.remove(name)));
        self.remove_folders(&splits);
        Ok(())
    }

    /// The uuid and types of an index, when there is one.
    pub(crate) fn index_types(&self, name: &str) -> Option<(Arc<str>, Arc<Mapping>)> {
        self.catalog.load().indexes.get(name).map(|index| (index.uuid.clone(), index.mapping.clone()))
    }

    /// The order of the events of an index that is there or is to come.
    pub(crate) fn order_of(&self, name: &str) -> Order {
        let catalog = self.catalog.load();
        let order = match catalog.indexes.get(name) {
            Some(index) => Order::of(&index.facts.settings),
            None => Order::of(&amend::birth(&catalog.directory, name).settings),
        };
        // Refused when the index or its template was made; what is there from before is not sorted.
        order.unwrap_or_default()
    }

    /// How many indexes there are.
    pub(crate) fn index_count(&self) -> usize {
        self.catalog.load().indexes.len()
    }

    /// Whether an index has a document of this id.
    ///
    /// # Errors
    /// When a part can't be read.
    pub(crate) fn has_id(&self, index: &str, id: &str) -> tantivy::Result<bool> {
        let catalog = self.catalog.load();
        for part in catalog.indexes.get(index).into_iter().flat_map(IndexState::changeable) {
            if !part.documents_of(id)?.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Bytes of documents that are in memory only.
    pub(crate) fn hot_bytes(&self) -> u64 {
        self.hot_bytes.load(Ordering::Relaxed)
    }

    /// Bytes of parts in memory that only wait to be copied to the disk.
    fn ready_made_bytes(&self) -> u64 {
        self.catalog.load().parts().filter(|part| part.ready_made.is_some()).map(|part| part.bytes).sum()
    }

    /// Bytes of memory that documents may take.
    pub(crate) const fn memory(&self) -> u64 {
        self.config.memory.0
    }

    /// Whether more documents may come.
    pub(crate) fn has_room(&self) -> bool {
        self.hot_bytes() < self.config.memory.0
    }

    /// Where reading goes on after a restart: what is on disk.
    pub(crate) fn durable_offsets(&self) -> BTreeMap<i32, i64> {
        self.manifest.lock().state().next.clone()
    }

    /// The origins that are on disk.
    pub(crate) fn durable_marks(&self) -> Vec<MarkMeta> {
        let manifest = self.manifest.lock();
        let mark = |((partition, source), (origin, day)): (&(i32, Arc<str>), &(logmill_core::Origin, u32))| MarkMeta {
            partition: *partition,
            source: source.clone(),
            origin: *origin,
            day: *day,
        };
        manifest.state().marks.iter().map(mark).collect()
    }

    /// The splits on the disk that count.
    pub(crate) fn local_split_ids(&self) -> Vec<PartId> {
        let manifest = self.manifest.lock();
        manifest.state().splits().filter(|split| split.cold.is_none()).map(|split| split.id).collect()
    }

    /// The splits that count.
    pub(crate) fn split_ids(&self) -> Vec<PartId> {
        self.manifest.lock().state().splits().map(|split| split.id).collect()
    }

    /// Says where the bus ended at an instant, or that it can't be asked.
    pub(crate) fn looked(&self, ends: Option<(Timestamp, BTreeMap<i32, i64>)>) {
        self.progress.send_modify(|progress| match ends {
            Some((at, ends)) => progress.looked(at, ends),
            None => progress.lost_sight(),
        });
    }

    /// Says where reading begins in a partition: whatever is before is gone from the bus.
    pub(crate) fn begins_at(&self, partition: i32, offset: i64) {
        self.progress.send_modify(|progress| progress.published(&BTreeMap::from([(partition, offset)])));
    }

    /// A name for a new part.
    pub(crate) fn next_part(&self) -> PartId {
        self.next_part.fetch_add(1, Ordering::Relaxed)
    }

    /// Replaces the catalog by a changed one.
    fn change<T>(&self, change: impl FnOnce(&mut Catalog, &mut Pending) -> T) -> T {
        let mut pending: MutexGuard<'_, Pending> = self.changes.lock();
        let mut catalog = Catalog::clone(&self.catalog.load());
        let done = change(&mut catalog, &mut pending);
        let hot = catalog.parts().filter(|part| part.place == Place::Memory).map(|part| part.bytes).sum();
        self.hot_bytes.store(hot, Ordering::Relaxed);
        self.catalog.store(Arc::new(catalog));
        done
    }

    /// Where everything is kept.
    pub(crate) fn folder(&self) -> &std::path::Path {
        &self.folder
    }

    fn splits_folder(&self) -> PathBuf {
        self.folder.join("splits")
    }

    /// Removes the folders of splits that the manifest no longer names. Searches that still read them keep
    /// their mapped files; what can't be removed is removed at the next start.
    fn remove_folders(&self, splits: &[u64]) {
        for id in splits {
            if let Some(cold) = &self.cold {
                cold.doom(*id);
            }
            self.remove_local(*id);
        }
    }

    /// Removes the folder of a split, if it has one.
    fn remove_local(&self, id: u64) {
        let folder = split::folder_of(&self.splits_folder(), id);
        if let Err(error) = std::fs::remove_dir_all(&folder)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(folder = %folder.display(), %error, "can't remove a split that is no longer needed");
        }
    }
}

/// Milliseconds since 1970.
fn now_ms() -> i64 {
    Timestamp::now().as_millisecond()
}

fn meta_of(state: &IndexState) -> IndexMeta {
    IndexMeta {
        uuid: state.uuid.clone(),
        created_ms: state.created_ms,
        mapping: state.mapping.clone(),
        splits: BTreeMap::new(),
        max_age_ms: state.facts.retention_age_ms,
        facts: state.facts.clone(),
        restored: false,
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ChangeError> + Send + 'static,
) -> Result<T, ChangeError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(ChangeError::Disk(std::io::Error::other(error.to_string()))),
    }
}

#[cfg(test)]
mod tests;
