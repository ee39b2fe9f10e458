//! Something made of files, made again when one of them changes: certificates and keys are replaced while we run.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use parking_lot::Mutex;

/// How often the files are looked at, at most: connections may come faster.
const LOOK_EVERY: Duration = Duration::from_secs(1);

type Make<T> = Box<dyn Fn() -> Result<T, String> + Send + Sync>;

/// What was made of the files as they were last seen. Files that make no sense leave what was there.
pub struct Watched<T> {
    paths: Vec<PathBuf>,
    make: Make<T>,
    current: ArcSwap<T>,
    seen: Mutex<Seen>,
}

struct Seen {
    at: Instant,
    stamps: Stamps,
}

/// Time and size of each file, `None` for those that can't be looked at.
type Stamps = Vec<Option<(SystemTime, u64)>>;

impl<T> std::fmt::Debug for Watched<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watched").field("paths", &self.paths).finish_non_exhaustive()
    }
}

impl<T> Watched<T> {
    /// Makes it for the first time.
    ///
    /// # Errors
    /// When it can't be made, as `make` says.
    pub fn new(
        paths: Vec<PathBuf>,
        make: impl Fn() -> Result<T, String> + Send + Sync + 'static,
    ) -> Result<Self, String> {
        // Stamped before they are read: a change in between is seen the next time.
        let stamps = stamps(&paths);
        let current = ArcSwap::from_pointee(make()?);
        let seen = Mutex::new(Seen { at: Instant::now(), stamps });
        Ok(Self { paths, make: Box::new(make), current, seen })
    }

    /// As the files are now, or were a second ago.
    #[must_use]
    pub fn get(&self) -> Arc<T> {
        // Whoever comes while another looks takes what is there.
        if let Some(mut seen) = self.seen.try_lock()
            && seen.at.elapsed() >= LOOK_EVERY
        {
            seen.at = Instant::now();
            let now = stamps(&self.paths);
            if now != seen.stamps {
                seen.stamps = now;
                self.make_again();
            }
        }
        self.current.load_full()
    }

    fn make_again(&self) {
        match (self.make)() {
            Ok(fresh) => {
                self.current.store(Arc::new(fresh));
                tracing::info!(files = ?self.paths, "changed files were read again");
            }
            Err(error) => tracing::error!(%error, "changed files can't be used; what was read before stays in force"),
        }
    }
}

fn stamps(paths: &[PathBuf]) -> Stamps {
    let stamp = |path: &PathBuf| {
        let metadata = std::fs::metadata(path).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    };
    paths.iter().map(stamp).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_file_is_taken_and_nonsense_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("number");
        std::fs::write(&path, "1").unwrap();
        let theirs = path.clone();
        let read = move || std::fs::read_to_string(&theirs).unwrap().parse::<i32>().map_err(|error| error.to_string());
        let watched = Watched::new(vec![path.clone()], read).unwrap();
        for (text, expected) in [("22", 22), ("nonsense", 22), ("333", 333)] {
            std::fs::write(&path, text).unwrap();
            watched.seen.lock().at -= LOOK_EVERY;
            assert_eq!(*watched.get(), expected);
        }
    }
}
