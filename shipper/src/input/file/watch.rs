//! Notifications of the file system, as hints: each may be missing, late or twice.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use notify::{EventKind, RecursiveMode, Watcher as _};
use parking_lot::Mutex;

/// More paths than this are not remembered: the reader looks at everything instead.
const PATHS_MAX: usize = 1024;
/// More folders than this are left to the scans; the kernel's default limit of watches is small.
const FOLDERS_MAX: usize = 4096;

/// What was told since the last look.
#[derive(Debug, Default)]
pub(crate) struct News {
    pub(crate) paths: BTreeSet<PathBuf>,
    /// Something was told that only a scan can find.
    pub(crate) scan: bool,
}

/// Watches the folders in which files may appear.
pub(crate) struct Watch {
    watcher: Option<notify::RecommendedWatcher>,
    folders: BTreeSet<PathBuf>,
    news: Arc<Mutex<News>>,
}

impl Watch {
    /// Wakes the reader through `wake` whenever there is news. Without notifications only scans find new files.
    pub(crate) fn new(wake: SyncSender<()>) -> Self {
        let news = Arc::new(Mutex::new(News::default()));
        let shared = news.clone();
        let told = move |event: notify::Result<notify::Event>| {
            let mut news = shared.lock();
            match event {
                Ok(event) if matches!(event.kind, EventKind::Access(_)) => return,
                Ok(event) if event.need_rescan() => news.scan = true,
                Ok(event) if news.paths.len() < PATHS_MAX => news.paths.extend(event.paths),
                _ => news.scan = true,
            }
            drop(news);
            // Full means that the reader is awake already.
            let _ = wake.try_send(());
        };
        let config = notify::Config::default().with_follow_symlinks(false);
        let watcher = match notify::RecommendedWatcher::new(told, config) {
            Ok(watcher) => Some(watcher),
            Err(error) => {
                tracing::warn!(%error, "no notifications of new files; scans find them");
                None
            }
        };
        Self { watcher, folders: BTreeSet::new(), news }
    }

    /// Watches exactly these folders; says whether all of them are watched.
    pub(crate) fn follow(&mut self, folders: &BTreeSet<PathBuf>) -> bool {
        let Some(watcher) = &mut self.watcher else { return false };
        let gone: Vec<_> = self.folders.difference(folders).cloned().collect();
        for folder in gone {
            // Fails for folders that don't exist any more, whose watch is gone with them.
            let _ = watcher.unwatch(&folder);
            self.folders.remove(&folder);
        }
        let mut all = true;
        let new: Vec<_> = folders.difference(&self.folders).cloned().collect();
        for folder in new {
            if self.folders.len() >= FOLDERS_MAX {
                return false;
            }
            match watcher.watch(&folder, RecursiveMode::NonRecursive) {
                Ok(()) => drop(self.folders.insert(folder)),
                Err(error) => {
                    tracing::debug!(folder = %folder.display(), %error, "not watched");
                    all = false;
                }
            }
        }
        all
    }

    /// What was told since the last call.
    pub(crate) fn news(&self) -> News {
        std::mem::take(&mut *self.news.lock())
    }
}
