//! Ids that are being written: one request at a time works on an id, and what the bus has taken is remembered until
//! it can be found. So `create` is refused, versions count on and updates build on each other also while the index
//! has not caught up.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use logmill_bus_client::Position;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::query::error::EsError;

/// Remembered ids, some 200 bytes each. At a hundred thousand a second this is what a store that is two seconds
/// behind needs; beyond it requests with ids are refused until it has caught up.
const FLYING_MAX: usize = 200_000;
/// A request waits so long for another one with the same id.
const TURN: Duration = Duration::from_secs(30);

/// An index and an id in it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key(Arc<(String, String)>);

impl Key {
    pub(super) fn new(index: &str, id: &str) -> Self {
        Self(Arc::new((index.to_owned(), id.to_owned())))
    }

    pub(super) fn index(&self) -> &str {
        &self.0.0
    }

    pub(super) fn id(&self) -> &str {
        &self.0.1
    }
}

/// What an id was last made, on its way to the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Flying {
    pub(super) position: Position,
    pub(super) version: u64,
    /// Otherwise it was deleted.
    pub(super) exists: bool,
}

/// The ids that requests work on, and those on their way.
#[derive(Debug, Default)]
pub(super) struct Ids {
    state: Mutex<State>,
    freed: Notify,
}

#[derive(Debug, Default)]
struct State {
    reserved: HashSet<Key>,
    flying: HashMap<Key, Flying>,
    /// By partition, in the order of acknowledgement.
    landed: BTreeMap<i32, VecDeque<(i64, Key)>>,
}

/// Ids that nobody else works on while this lives.
#[derive(Debug)]
pub(super) struct Reservation<'i> {
    ids: &'i Ids,
    keys: BTreeSet<Key>,
}

impl Ids {
    /// Waits until nobody else works on any of these ids. `is_visible` says what can be found already.
    pub(super) async fn reserve(
        &self,
        keys: BTreeSet<Key>,
        is_visible: impl Fn(Position) -> bool,
    ) -> Result<Reservation<'_>, EsError> {
        let deadline = tokio::time::Instant::now() + TURN;
        loop {
            // Before looking, so that nobody's leaving is missed.
            let freed = self.freed.notified();
            {
                let mut state = self.state.lock();
                state.forget_visible(&is_visible);
                if state.flying.len() >= FLYING_MAX {
                    return Err(overloaded("the index is far behind the bus"));
                }
                if !keys.iter().any(|key| state.reserved.contains(key)) {
                    state.reserved.extend(keys.iter().cloned());
                    return Ok(Reservation { ids: self, keys });
                }
            }
            if tokio::time::timeout_at(deadline, freed).await.is_err() {
                return Err(overloaded("other requests are writing documents of the same ids"));
            }
        }
    }

    /// What an id was last made, when that can't be found yet.
    pub(super) fn flying(&self, key: &Key) -> Option<Flying> {
        self.state.lock().flying.get(key).copied()
    }

    /// Forgets the ids of an index that is no more.
    pub(super) fn forget_index(&self, index: &str) {
        self.state.lock().flying.retain(|key, _| key.index() != index);
    }
}

impl State {
    fn forget_visible(&mut self, is_visible: impl Fn(Position) -> bool) {
        for (partition, landed) in &mut self.landed {
            while let Some((offset, _)) = landed.front()
                && is_visible(Position { partition: *partition, offset: *offset })
                && let Some((offset, key)) = landed.pop_front()
            {
                // The id may have been written again since.
                let position = Position { partition: *partition, offset };
                if self.flying.get(&key).is_some_and(|flying| flying.position == position) {
                    self.flying.remove(&key);
                }
            }
        }
    }
}

impl Reservation<'_> {
    /// Notes what the bus has taken.
    pub(super) fn landed(&self, key: &Key, flying: Flying) {
        let mut state = self.ids.state.lock();
        let Position { partition, offset } = flying.position;
        state.landed.entry(partition).or_default().push_back((offset, key.clone()));
        state.flying.insert(key.clone(), flying);
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        let mut state = self.ids.state.lock();
        for key in &self.keys {
            state.reserved.remove(key);
        }
        drop(state);
        self.ids.freed.notify_waiters();
    }
}

fn overloaded(why: &str) -> EsError {
    EsError::new(429, "es_rejected_execution_exception", format!("{why}; try again later"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(ids: &[&str]) -> BTreeSet<Key> {
        ids.iter().map(|id| Key::new("logs-a", id)).collect()
    }

    fn at(offset: i64, version: u64) -> Flying {
        Flying { position: Position { partition: 0, offset }, version, exists: true }
    }

    #[tokio::test]
    async fn one_request_at_a_time_works_on_an_id() {
        let ids = Arc::new(Ids::default());
        let first = ids.reserve(keys(&["a", "b"]), |_| false).await.unwrap();
        drop(ids.reserve(keys(&["c"]), |_| false).await.unwrap());
        let waiting = {
            let ids = ids.clone();
            tokio::spawn(async move { ids.reserve(keys(&["b", "d"]), |_| false).await.map(drop) })
        };
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(!waiting.is_finished());
        drop(first);
        assert_eq!(waiting.await.unwrap(), Ok(()));
        assert!(ids.state.lock().reserved.is_empty());
    }

    #[tokio::test]
    async fn what_is_on_its_way_is_known_until_it_is_visible() {
        let ids = Ids::default();
        let key = Key::new("logs-a", "a");
        let held = ids.reserve(keys(&["a", "b"]), |_| false).await.unwrap();
        held.landed(&key, at(3, 1));
        held.landed(&Key::new("logs-a", "b"), at(4, 1));
        held.landed(&key, at(5, 2));
        drop(held);
        drop(ids.reserve(keys(&["x"]), |position| position.offset < 5).await.unwrap());
        assert_eq!(ids.flying(&key), Some(at(5, 2)));
        assert_eq!(ids.flying(&Key::new("logs-a", "b")), None);
        drop(ids.reserve(keys(&["x"]), |_| true).await.unwrap());
        assert_eq!(ids.flying(&key), None);
        assert_eq!(ids.state.lock().landed.values().map(VecDeque::len).sum::<usize>(), 0);
    }

    #[tokio::test]
    async fn memory_is_bounded() {
        let ids = Ids::default();
        let held = ids.reserve(BTreeSet::new(), |_| false).await.unwrap();
        for number in 0..FLYING_MAX {
            held.landed(&Key::new("logs-a", &number.to_string()), at(number as i64, 1));
        }
        assert_eq!(ids.reserve(keys(&["a"]), |_| false).await.unwrap_err().status, 429);
        assert!(ids.reserve(keys(&["a"]), |position| position.offset == 0).await.is_ok());
    }
}
