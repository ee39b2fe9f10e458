//! Points in time and scrolls: views that are kept for later pages, bounded in number, in time, and in what they keep
//! alive. A view holds its parts: memory of merged parts and files of merged splits are freed only after it.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use parking_lot::Mutex;

use crate::query::error::EsError;
use crate::query::request::SearchRequest;
use crate::store::View;
use crate::store::part::Place;

/// Elasticsearch's `search.max_open_scroll_context`.
const OPEN_MAX: usize = 500;
/// Elasticsearch's `search.max_keep_alive`.
const KEEP_ALIVE_MAX: Duration = Duration::from_secs(24 * 3600);
/// Bytes of memory that kept views may hold, in all: as much again as documents in memory may take by default.
const MEMORY_BYTES_MAX: u64 = 256 << 20;
/// Bytes of files that only kept views still need; beyond, the oldest views are given up.
const ORPHANED_BYTES_MAX: u64 = 8 << 30;

/// All that are kept.
#[derive(Default)]
pub(super) struct Contexts(Mutex<BTreeMap<String, Context>>);

/// A view that is kept.
#[derive(Clone)]
pub(super) struct Context {
    pub(super) view: Arc<View>,
    /// The search that goes on, when it is a scroll.
    pub(super) scroll: Option<Arc<SearchRequest>>,
    pub(super) keep_alive: Duration,
    pub(super) opened: Instant,
    pub(super) opened_ms: i64,
    expires: Instant,
}

/// A name that can't be guessed from others.
pub(super) fn new_id() -> String {
    let words = [(); 2].map(|()| RandomState::new().hash_one(Instant::now()));
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

impl Contexts {
    /// Keeps a view.
    pub(super) fn open(
        &self,
        view: View,
        scroll: Option<SearchRequest>,
        keep_alive: Duration,
    ) -> Result<String, EsError> {
        check(keep_alive)?;
        let mut open = self.0.lock();
        let now = Instant::now();
        open.retain(|_, context| context.expires > now);
        if open.len() >= OPEN_MAX {
            let reason = format!(
                "Trying to create too many scroll contexts. Must be less than or equal to: [{OPEN_MAX}]; close some, or use a shorter keep-alive"
            );
            return Err(EsError::new(429, "too_many_scroll_contexts_exception", reason));
        }
        let view = Arc::new(view);
        let context = Context {
            view,
            scroll: scroll.map(Arc::new),
            keep_alive,
            opened: now,
            opened_ms: jiff::Timestamp::now().as_millisecond(),
            expires: now + keep_alive,
        };
        let views = open.values().map(|context| &context.view).chain(std::iter::once(&context.view));
        let memory = bytes_of(views, |part| part.place == Place::Memory);
        if memory > MEMORY_BYTES_MAX {
            let reason = format!(
                "open scrolls and points in time would hold {memory} bytes of memory, more than {MEMORY_BYTES_MAX}; close some"
            );
            return Err(EsError::new(429, "circuit_breaking_exception", reason));
        }
        let id = new_id();
        open.insert(id.clone(), context);
        Ok(id)
    }

    /// The context of this name, kept for longer when asked to.
    pub(super) fn get(&self, id: &str, keep_alive: Option<Duration>) -> Result<Context, EsError> {
        keep_alive.map_or(Ok(()), check)?;
        let mut open = self.0.lock();
        let now = Instant::now();
        let Some(context) = open.get_mut(id).filter(|context| context.expires > now) else {
            return Err(missing(id));
        };
        if let Some(keep_alive) = keep_alive {
            context.keep_alive = keep_alive;
        }
        // Every use begins the time anew.
        context.expires = now + context.keep_alive;
        Ok(context.clone())
    }

    /// Where a scroll goes on.
    pub(super) fn advance(&self, id: &str, request: SearchRequest) {
        if let Some(context) = self.0.lock().get_mut(id) {
            context.scroll = Some(Arc::new(request));
        }
    }

    /// Closes one; says whether it was there.
    pub(super) fn close(&self, id: &str, scroll: bool) -> bool {
        let mut open = self.0.lock();
        let fits = open.get(id).is_some_and(|context| context.scroll.is_some() == scroll);
        fits && open.remove(id).is_some()
    }

    /// Closes all of a kind; says which.
    pub(super) fn close_all(&self, scrolls: bool) -> Vec<String> {
        let mut open = self.0.lock();
        let closed: Vec<String> =
            open.iter().filter(|(_, context)| context.scroll.is_some() == scrolls).map(|(id, _)| id.clone()).collect();
        open.retain(|id, _| !closed.contains(id));
        closed
    }

    /// The points in time that are open.
    pub(super) fn points_in_time(&self) -> Vec<(String, Context)> {
        let now = Instant::now();
        let open = self.0.lock();
        let points = open.iter().filter(|(_, context)| context.scroll.is_none() && context.expires > now);
        points.map(|(id, context)| (id.clone(), context.clone())).collect()
    }

    /// Drops what has expired, and the oldest while all together keep too many files alive that nobody else needs; any,
    /// where the disk has no room for them.
    pub(super) fn sweep(&self, needed: &View, is_disk_low: bool) {
        let bytes_max = if is_disk_low { 0 } else { ORPHANED_BYTES_MAX };
        let mut open = self.0.lock();
        let now = Instant::now();
        open.retain(|_, context| context.expires > now);
        // A split that went cold keeps its name, and whoever reads its files on the disk keeps those.
        let place = |part: &crate::store::Part| (part.id, part.place == Place::Cold);
        let current: std::collections::HashSet<(u64, bool)> = needed.parts.iter().map(|part| place(part)).collect();
        let is_orphan = |part: &crate::store::Part| part.place == Place::Disk && !current.contains(&place(part));
        while bytes_of(open.values().map(|context| &context.view), is_orphan) > bytes_max {
            let holds = |context: &Context| context.view.parts.iter().any(|part| is_orphan(part));
            let holding = open.iter().filter(|(_, context)| holds(context));
            let Some((oldest, _)) = holding.min_by_key(|(_, context)| context.opened) else { return };
            let oldest = oldest.clone();
            tracing::warn!("a scroll or point in time is closed: it kept too many deleted files alive");
            open.remove(&oldest);
        }
    }
}

/// Bytes of the parts of some views, each part once.
fn bytes_of<'v>(views: impl Iterator<Item = &'v Arc<View>>, counts: impl Fn(&crate::store::Part) -> bool) -> u64 {
    let mut seen = HashMap::new();
    for part in views.flat_map(|view| &view.parts).filter(|part| counts(part)) {
        seen.insert(part.id, part.bytes);
    }
    seen.values().sum()
}

fn check(keep_alive: Duration) -> Result<(), EsError> {
    if keep_alive > KEEP_ALIVE_MAX || keep_alive.is_zero() {
        let reason = format!(
            "Keep alive for request ({}s) is too large, or nothing. It must be less than or equal to ({}h)",
            keep_alive.as_secs(),
            KEEP_ALIVE_MAX.as_secs() / 3600
        );
        return Err(EsError::argument(reason));
    }
    Ok(())
}

fn missing(id: &str) -> EsError {
    EsError::new(404, "search_context_missing_exception", format!("No search context found for id [{id}]"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contexts_are_bounded_and_expire() {
        let contexts = Contexts::default();
        let minute = Duration::from_secs(60);
        let id = contexts.open(View::default(), None, minute).unwrap();
        assert!(contexts.get(&id, None).is_ok() && contexts.get("other", None).is_err());
        assert!(!contexts.close(&id, true) && contexts.close(&id, false) && !contexts.close(&id, false));
        let brief = contexts.open(View::default(), None, Duration::from_millis(1)).unwrap();
        std::thread::sleep(Duration::from_millis(5));
        assert!(contexts.get(&brief, None).is_err_and(|error| error.status == 404));
        for _ in 0..OPEN_MAX {
            contexts.open(View::default(), Some(SearchRequest::default()), minute).unwrap();
        }
        assert!(contexts.open(View::default(), None, minute).is_err_and(|error| error.status == 429));
        assert_eq!(contexts.close_all(true).len(), OPEN_MAX);
        assert!(contexts.open(View::default(), None, KEEP_ALIVE_MAX * 2).is_err_and(|error| error.status == 400));
    }

    #[test]
    fn on_a_low_disk_those_go_that_keep_deleted_files_alive() {
        use crate::store::testing;
        let (contexts, minute) = (Contexts::default(), Duration::from_secs(60));
        let store = testing::empty();
        let event = |day: u32| serde_json::json!({"@timestamp": format!("2026-01-0{day}T12:00:00Z")});
        for (index, day) in [("logs-a", 1), ("logs-b", 2)] {
            testing::add(&store, index, &[event(day)], 1);
        }
        store.flush().unwrap();
        let opened = |index: &str| contexts.open(store.view(index, None).unwrap(), None, minute).unwrap();
        // The one that keeps nothing alive is the older one.
        let (current, holding) = (opened("logs-b"), opened("logs-a"));
        testing::add(&store, "logs-a", &[event(3)], 1);
        store.force_merge("logs-a", crate::store::seal::Force::default()).unwrap();
        let everything = store.view("_all", None).unwrap();
        contexts.sweep(&everything, false);
        assert!(contexts.get(&holding, None).is_ok());
        contexts.sweep(&everything, true);
        assert!(contexts.get(&holding, None).is_err() && contexts.get(&current, None).is_ok());
    }
}
