//! Ids for idempotent producers. None is ever handed out twice, whatever happens: whole blocks are set aside on disk
//! before the first id of a block is given away.

use tokio::sync::Mutex;

use crate::state_file::{NotWritten, StateFile};
use crate::state_key::{Change, StateKey};

/// Ids set aside at a time: what a crash wastes, of 2^63.
const BLOCK: i64 = 1000;

#[derive(Debug)]
pub(crate) struct ProducerIds {
    state: StateFile,
    range: Mutex<(i64, i64)>,
}

impl ProducerIds {
    /// Goes on at `next`, the first id that was not set aside.
    pub(crate) fn new(state: StateFile, next: i64) -> Self {
        Self { state, range: Mutex::new((next, next)) }
    }

    /// A new id.
    pub(crate) async fn next(&self) -> Result<i64, NotWritten> {
        let mut range = self.range.lock().await;
        if range.0 >= range.1 {
            let end = range.1.saturating_add(BLOCK);
            let change = Change { key: StateKey::ProducerIds, value: Some(end.into()) };
            self.state.put(vec![change]).await?;
            range.1 = end;
        }
        let id = range.0;
        range.0 += 1;
        Ok(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn no_id_twice_across_a_crash() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        let (state, _) = StateFile::open(&path).unwrap();
        let ids = ProducerIds::new(state, 0);
        let mut last = -1;
        for _ in 0..=BLOCK {
            let id = ids.next().await.unwrap();
            assert!(id > last);
            last = id;
        }
        let (state, entries) = StateFile::open(&path).unwrap();
        let next = entries.get(&StateKey::ProducerIds).and_then(serde_json::Value::as_i64).unwrap();
        assert!(ProducerIds::new(state, next).next().await.unwrap() > last);
    }
}
